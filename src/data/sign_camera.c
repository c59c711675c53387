// Light, weather, lens and sensor: from a scene to a photograph of it.
#include <math.h>
#include <string.h>

#include "data/sign_paint.h"
#include "data/sign_scene.h"

enum { SIDE = AM_SCENE_SIDE };

void am_scene_shade(am_scene *s, am_rng *rng) {
  float ramp_x = am_draw_f(rng, -0.25f, 0.25f), ramp_y = am_draw_f(rng, -0.25f, 0.25f),
        leaves[AM_SCENE_PIXELS];
  float depth = am_draw_chance(rng, 0.2) ? am_draw_f(rng, 0.2f, 0.55f) : 0;  // the shadow of a tree
  am_noise(rng, 5, 5, 2, leaves);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float x = (float)(i % SIDE) / SIDE - 0.5f, y = (float)(i / SIDE) / SIDE - 0.5f;
    float shadow = depth * am_clamp_f(0.5f + 4 * leaves[i], 0, 1),
          light = (1 + ramp_x * x + ramp_y * y) * (1 - shadow);
    for (int c = 0; c < 3; c++) s->rgb[i][c] *= light;
  }
}

// ---- weather ----

static void add_fog(am_scene *s, am_rng *rng) {
  static const float white[3] = {0.82f, 0.83f, 0.84f};
  float thick = am_draw_f(rng, 0.35f, 0.72f), drift[AM_SCENE_PIXELS];
  am_noise(rng, 2, 2, 3, drift);
  for (int i = 0; i < AM_SCENE_PIXELS; i++)
    am_mix_rgb(s->rgb[i], white, am_clamp_f(thick + 0.2f * drift[i], 0, 0.85f));
}

// A soft line or dot of light between two points.
static void add_streak(am_scene *s, float x, float y, float dx, float dy, float radius, float strength,
                       const float light[3]) {
  float far_x = x + dx, far_y = y + dy, length2 = dx * dx + dy * dy + 1e-6f;
  int left = (int)floorf((x < far_x ? x : far_x) - radius),
      right = (int)floorf((x > far_x ? x : far_x) + radius) + 1;
  int top = (int)floorf((y < far_y ? y : far_y) - radius),
      bottom = (int)floorf((y > far_y ? y : far_y) + radius) + 1;
  for (int j = top < 0 ? 0 : top; j <= bottom && j < SIDE; j++) {
    for (int i = left < 0 ? 0 : left; i <= right && i < SIDE; i++) {
      float px = (float)i - x, py = (float)j - y, t = am_clamp_f((px * dx + py * dy) / length2, 0, 1);
      float ex = px - t * dx, ey = py - t * dy, near = 1 - (ex * ex + ey * ey) / (radius * radius);
      if (near > 0) am_mix_rgb(s->rgb[j * SIDE + i], light, strength * near);
    }
  }
}

static void add_rain(am_scene *s, am_rng *rng) {
  static const float drop[3] = {0.8f, 0.82f, 0.86f};
  float slant = am_draw_f(rng, -0.5f, 0.5f), dull = am_draw_f(rng, 0.5f, 0.8f);
  int drops = 30 + (int)am_rng_below(rng, 60);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float *p = s->rgb[i], grey = (p[0] + p[1] + p[2]) / 3;
    for (int c = 0; c < 3; c++) p[c] = dull * am_mix_f(p[c], grey, 0.4f) + 0.06f;
  }
  am_blur(s, am_draw_f(rng, 0.5f, 1));
  for (int k = 0; k < drops; k++) {
    float x = am_draw_f(rng, -8, 72), y = am_draw_f(rng, -12, 64), length = am_draw_f(rng, 5, 14);
    float radius = am_draw_f(rng, 0.6f, 1.1f), strength = am_draw_f(rng, 0.15f, 0.5f);
    add_streak(s, x, y, slant * length, length, radius, strength, drop);
  }
}

static void add_snow(am_scene *s, am_rng *rng) {
  static const float flake[3] = {0.97f, 0.97f, 0.98f};
  float haze = am_draw_f(rng, 0.1f, 0.35f);
  int flakes = 40 + (int)am_rng_below(rng, 80);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) am_mix_rgb(s->rgb[i], flake, haze);
  for (int k = 0; k < flakes; k++) {
    float x = am_draw_f(rng, -2, 66), y = am_draw_f(rng, -2, 66);
    float drift = am_draw_f(rng, -1, 1), fall = am_draw_f(rng, 0, 2);
    float radius = am_draw_f(rng, 0.7f, 2.4f), strength = am_draw_f(rng, 0.5f, 0.95f);
    add_streak(s, x, y, drift, fall, radius, strength, flake);
  }
}

// Far lamps in the dark; the sign itself, lit by headlights, was already put darker.
static void add_night(am_scene *s, am_rng *rng) {
  float red = am_draw_f(rng, 0.8f, 1.1f), green = am_draw_f(rng, 0.8f, 1), blue = am_draw_f(rng, 0.75f, 1.1f);
  float tint[3] = {red, green, blue}, falloff = am_draw_f(rng, 0.3f, 0.9f);
  int lamps = (int)am_rng_below(rng, 6);
  for (int k = 0; k < lamps; k++) {
    float lamp[3] = {1, 0, 0};
    lamp[1] = am_draw_f(rng, 0.6f, 0.95f);
    lamp[2] = am_draw_f(rng, 0.25f, 0.9f);
    float x = am_draw_f(rng, 0, 64), y = am_draw_f(rng, 0, 64);
    float radius = am_draw_f(rng, 1.5f, 6), strength = am_draw_f(rng, 0.3f, 0.8f);
    add_streak(s, x, y, 0, 0, radius, strength, lamp);
  }
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float x = (float)(i % SIDE) / SIDE - 0.5f, y = (float)(i / SIDE) / SIDE - 0.5f;
    for (int c = 0; c < 3; c++) s->rgb[i][c] *= tint[c] * (1 - falloff * 1.6f * (x * x + y * y));
  }
}

void am_scene_weather(am_scene *s, am_weather weather, am_rng *rng) {
  switch (weather) {
    case AM_WEATHER_FOG:
      add_fog(s, rng);
      break;
    case AM_WEATHER_RAIN:
      add_rain(s, rng);
      break;
    case AM_WEATHER_SNOW:
      add_snow(s, rng);
      break;
    case AM_WEATHER_NIGHT:
      add_night(s, rng);
      break;
    default:
      break;
  }
}

// ---- lens and sensor ----

// Colour is recorded at half the resolution: mean chroma of 2 x 2 pixels, as JPEG's 4:2:0.
static void thin_colour(am_scene *s) {
  for (int y = 0; y < SIDE; y += 2) {
    for (int x = 0; x < SIDE; x += 2) {
      float *p[4] = {s->rgb[y * SIDE + x], s->rgb[y * SIDE + x + 1], s->rgb[(y + 1) * SIDE + x],
                     s->rgb[(y + 1) * SIDE + x + 1]};
      float light[4], red = 0, blue = 0;
      for (int k = 0; k < 4; k++) {
        light[k] = 0.299f * p[k][0] + 0.587f * p[k][1] + 0.114f * p[k][2];
        red += 0.25f * (p[k][0] - light[k]);
        blue += 0.25f * (p[k][2] - light[k]);
      }
      for (int k = 0; k < 4; k++) {
        p[k][0] = light[k] + red;
        p[k][2] = light[k] + blue;
        p[k][1] = light[k] - (0.299f * red + 0.114f * blue) / 0.587f;
      }
    }
  }
}

// What a camera does to make a soft picture look crisp; it leaves halos.
static void sharpen(am_scene *s, float amount) {
  am_scene soft = *s;
  am_blur(&soft, 1);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    for (int c = 0; c < 3; c++) s->rgb[i][c] += amount * (s->rgb[i][c] - soft.rgb[i][c]);
  }
}

static void expose(am_scene *s, am_weather weather, am_rng *rng) {
  float gain = am_draw_f(rng, 0.75f, 1.2f), contrast = am_draw_f(rng, 0.75f, 1.15f),
        warm = am_draw_f(rng, -0.08f, 0.08f);
  float green = am_draw_f(rng, -0.03f, 0.03f),
        lift = weather == AM_WEATHER_NIGHT ? 0 : am_draw_f(rng, 0, 0.05f);
  float balance[3] = {gain * (1 + warm), gain * (1 + green), gain * (1 - warm)};
  float pivot = weather == AM_WEATHER_NIGHT ? 0.15f : 0.45f;
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    for (int c = 0; c < 3; c++) s->rgb[i][c] = pivot + contrast * (s->rgb[i][c] * balance[c] - pivot) + lift;
  }
}

static void add_grain(am_scene *s, am_weather weather, am_rng *rng) {
  float strength = am_draw_f(rng, 0.004f, 0.025f) * (weather == AM_WEATHER_NIGHT ? 2.2f : 1);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float grey = am_draw_bell(rng);
    for (int c = 0; c < 3; c++) {
      float level = am_clamp_f(s->rgb[i][c], 0, 1);  // shot noise grows with the root of the light
      s->rgb[i][c] += strength * (0.35f + sqrtf(level)) * (0.7f * grey + 0.5f * am_draw_bell(rng));
    }
  }
}

void am_scene_photograph(am_scene *s, am_weather weather, am_rng *rng) {
  expose(s, weather, rng);
  if (am_draw_chance(rng, 0.2)) {
    float length = am_draw_f(rng, 1, 4), turn = am_draw_f(rng, 0, 0.5f);
    am_blur_line(s, length, turn);
  }
  am_blur(s, am_draw_f(rng, 0.3f, 1.1f));
  add_grain(s, weather, rng);
  thin_colour(s);
  if (am_draw_chance(rng, 0.5)) sharpen(s, am_draw_f(rng, 0.2f, 0.9f));
}
