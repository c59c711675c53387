// Surroundings, the sign itself with its wear, and the sketch; the rest of the way to a photograph is in
// sign_camera.c.
#include "data/sign_scene.h"

#include <math.h>
#include <string.h>

#include "data/sign_paint.h"

enum { SIDE = AM_SCENE_SIDE };
typedef const float colour[3];

// ---- surroundings ----

static void put(am_scene *s, int x, int y, const float rgb[3], float light) {
  for (int c = 0; c < 3; c++) s->rgb[y * SIDE + x][c] = rgb[c] * light;
}

static void paint_sky(am_scene *s, am_rng *rng) {
  static colour blue = {0.42f, 0.6f, 0.85f}, grey = {0.78f, 0.8f, 0.82f}, cloud = {0.95f, 0.95f, 0.95f};
  float sky[3], clouds[AM_SCENE_PIXELS], cover = am_draw_f(rng, -0.5f, 0.7f);
  am_draw_rgb(rng, blue, grey, sky);
  am_noise(rng, 2, 4, 3, clouds);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float t = am_clamp_f(clouds[i] + cover, 0, 1), low = (float)(i / SIDE) / SIDE;
    memcpy(s->rgb[i], sky, sizeof sky);
    am_mix_rgb(s->rgb[i], cloud, 0.7f * t + 0.25f * low);
  }
}

// Leaves from row `top` (wavy) downwards: clumps of light and dark green.
static void paint_leaves(am_scene *s, float top, float wave, am_rng *rng) {
  static colour fresh = {0.34f, 0.46f, 0.16f}, dull = {0.24f, 0.3f, 0.18f}, autumn = {0.5f, 0.36f, 0.16f};
  float leaf[3], clumps[AM_SCENE_PIXELS], fine[AM_SCENE_PIXELS], edge[AM_SCENE_PIXELS];
  am_draw_rgb(rng, fresh, dull, leaf);
  if (am_draw_chance(rng, 0.2)) am_mix_rgb(leaf, autumn, am_draw_f(rng, 0.3f, 0.9f));
  am_noise(rng, 6, 6, 3, clumps);
  am_noise(rng, 20, 20, 2, fine);
  am_noise(rng, 4, 1, 3, edge);
  for (int y = 0; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      int i = y * SIDE + x;
      float border = top + wave * edge[x] + 3 * fine[i];
      if ((float)y > border)
        put(s, x, y, leaf, am_clamp_f(0.75f + 0.75f * clumps[i] + 0.5f * fine[i], 0.12f, 1.9f));
    }
  }
}

// A front with rows of windows, its roof at row `top`.
static void paint_house(am_scene *s, int left, int right, int top, am_rng *rng) {
  static colour plaster = {0.78f, 0.72f, 0.6f}, stone = {0.5f, 0.46f, 0.44f}, glass = {0.2f, 0.24f, 0.3f},
                sheen = {0.55f, 0.62f, 0.7f};
  float wall[3], pane[3], grain[AM_SCENE_PIXELS];
  int step_x = 7 + (int)am_rng_below(rng, 9), step_y = 9 + (int)am_rng_below(rng, 9),
      start = (int)am_rng_below(rng, 6);
  int window_w = 3 + (int)am_rng_below(rng, step_x - 5), window_h = 4 + (int)am_rng_below(rng, step_y - 6);
  am_draw_rgb(rng, plaster, stone, wall);
  am_draw_rgb(rng, glass, sheen, pane);
  am_noise(rng, 10, 10, 2, grain);
  for (int y = top < 0 ? 0 : top; y < SIDE; y++) {
    for (int x = left < 0 ? 0 : left; x < right && x < SIDE; x++) {
      bool window = (x - left + start) % step_x < window_w && (y - top) % step_y < window_h && y - top > 2;
      put(s, x, y, window ? pane : wall, 1 + 0.12f * grain[y * SIDE + x]);
    }
  }
}

static void paint_road(am_scene *s, float top, am_rng *rng) {
  static colour dark = {0.28f, 0.28f, 0.29f}, light = {0.5f, 0.49f, 0.47f}, line = {0.85f, 0.85f, 0.8f};
  float asphalt[3], grain[AM_SCENE_PIXELS], slant = am_draw_f(rng, -1.2f, 1.2f), at = am_draw_f(rng, 10, 54);
  am_draw_rgb(rng, dark, light, asphalt);
  am_noise(rng, 16, 32, 2, grain);
  for (int y = (int)top; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      float depth = (float)y - top, width = 0.6f + 0.06f * depth;
      bool marked = fabsf((float)x - at - slant * depth) < width;
      put(s, x, y, marked ? line : asphalt, 1 + 0.16f * grain[y * SIDE + x]);
    }
  }
}

void am_scene_surroundings(am_scene *s, am_rng *rng) {
  paint_sky(s, rng);
  int kind = (int)am_rng_below(rng, 5);
  float horizon = am_draw_f(rng, 12, 44);
  if (kind == 0) paint_leaves(s, horizon, am_draw_f(rng, 4, 14), rng);
  if (kind == 1) paint_leaves(s, -20, 0, rng);
  if (kind == 2 || kind == 3) {
    int corner = (int)am_rng_below(rng, 50) + 7;
    paint_house(s, -2, corner, (int)am_draw_f(rng, -8, 30), rng);
    paint_house(s, corner, SIDE, (int)am_draw_f(rng, -8, 40), rng);
    if (kind == 3) paint_leaves(s, am_draw_f(rng, 30, 60), 6, rng);
  }
  if (kind == 4) {
    paint_leaves(s, horizon, 5, rng);
    paint_road(s, am_draw_f(rng, 36, 58), rng);
  }
  am_blur(s, am_draw_f(rng, 0.2f, 1.6f));
}

static void paint_bricks(am_scene *s, am_rng *rng) {
  static colour red = {0.55f, 0.28f, 0.2f}, brown = {0.42f, 0.32f, 0.25f}, mortar = {0.68f, 0.65f, 0.6f};
  float brick[3], tone[AM_SCENE_PIXELS];
  int high = 5 + (int)am_rng_below(rng, 4), wide = 2 * high + (int)am_rng_below(rng, 4);
  am_draw_rgb(rng, red, brown, brick);
  am_noise(rng, 9, 12, 2, tone);
  for (int y = 0; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      int course = y / high, along = x + course % 2 * wide / 2;
      bool joint = y % high == 0 || along % wide == 0;
      put(s, x, y, joint ? mortar : brick, 1 + 0.3f * tone[y * SIDE + x]);
    }
  }
}

static void paint_ground(am_scene *s, const float near[3], const float far[3], float roughness, am_rng *rng) {
  float rough[AM_SCENE_PIXELS], edge[AM_SCENE_PIXELS], top = am_draw_f(rng, 14, 40);
  am_noise(rng, 5, 14, 4, rough);
  am_noise(rng, 3, 1, 3, edge);
  for (int y = 0; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      float depth = ((float)y - top - 5 * edge[x]) / (SIDE - top);
      if (depth < 0) continue;
      float rgb[3] = {far[0], far[1], far[2]};
      am_mix_rgb(rgb, near, am_clamp_f(depth, 0, 1));
      put(s, x, y, rgb, 1 + roughness * rough[y * SIDE + x]);
    }
  }
}

void am_scene_far_surroundings(am_scene *s, am_rng *rng) {
  static colour sand = {0.8f, 0.66f, 0.45f}, dune = {0.66f, 0.5f, 0.34f}, snow = {0.9f, 0.92f, 0.96f},
                drift = {0.7f, 0.76f, 0.86f};
  static colour paint_a = {0.75f, 0.55f, 0.2f}, paint_b = {0.3f, 0.5f, 0.5f};
  paint_sky(s, rng);
  int kind = (int)am_rng_below(rng, 4);
  if (kind == 0) paint_bricks(s, rng);
  if (kind == 1) paint_ground(s, sand, dune, 0.3f, rng);
  if (kind == 2) paint_ground(s, snow, drift, 0.12f, rng);
  if (kind == 3) {
    float wall[3], stain[AM_SCENE_PIXELS];
    am_draw_rgb(rng, paint_a, paint_b, wall);
    am_noise(rng, 3, 3, 5, stain);
    for (int i = 0; i < AM_SCENE_PIXELS; i++) put(s, i % SIDE, i / SIDE, wall, 1 + 0.35f * stain[i]);
  }
  am_blur(s, am_draw_f(rng, 0.2f, 1.2f));
}

// ---- the view ----

// Columns of the rotation about x, y and z: the images of the sign's u and v axes in the camera's frame.
am_sign_view am_scene_view(am_rng *rng, float turn, float smallest, float off) {
  float sy, cy, sx, cx, sz, cz;
  am_sincos_turn(am_draw_f(rng, -turn, turn), &sy, &cy);
  am_sincos_turn(am_draw_f(rng, -0.5f * turn, 0.5f * turn), &sx, &cx);
  am_sincos_turn(am_draw_f(rng, -0.35f * turn, 0.35f * turn), &sz, &cz);
  float radius = am_draw_f(rng, smallest, 29), depth = am_draw_f(rng, 2.5f, 6);  // px; distance in radii
  float middle_x = 31.5f + am_draw_f(rng, -off, off), middle_y = 31.5f + am_draw_f(rng, -off, off);
  float u[3] = {cy * cz, cy * sz, -sy}, v[3] = {sx * sy * cz - cx * sz, sx * sy * sz + cx * cz, sx * cy};
  // Forward: x = middle + radius * X / (1 + Z / depth), and so for y; a 3x3 matrix on (u, v, 1).
  float h[9];
  for (int k = 0; k < 2; k++) {
    float at = k == 0 ? middle_x : middle_y;
    h[3 * k] = radius * u[k] + at * u[2] / depth;
    h[3 * k + 1] = radius * v[k] + at * v[2] / depth;
    h[3 * k + 2] = at;
  }
  h[6] = u[2] / depth;
  h[7] = v[2] / depth;
  h[8] = 1;
  // The inverse up to a factor, which the division in am_scene_locate removes: the adjugate.
  return (am_sign_view){{h[4] * h[8] - h[5] * h[7], h[2] * h[7] - h[1] * h[8], h[1] * h[5] - h[2] * h[4],
                         h[5] * h[6] - h[3] * h[8], h[0] * h[8] - h[2] * h[6], h[2] * h[3] - h[0] * h[5],
                         h[3] * h[7] - h[4] * h[6], h[1] * h[6] - h[0] * h[7], h[0] * h[4] - h[1] * h[3]}};
}

void am_scene_locate(const am_sign_view *view, float x, float y, float *u, float *v, float *pixel) {
  const float *m = view->m;
  float w = m[6] * x + m[7] * y + m[8], a = m[0] * x + m[1] * y + m[2], b = m[3] * x + m[4] * y + m[5];
  *u = a / w;
  *v = b / w;
  // The area of a pixel in the sign's square is the determinant of the map's derivative.
  float ux = (m[0] - *u * m[6]) / w, uy = (m[1] - *u * m[7]) / w, vx = (m[3] - *v * m[6]) / w,
        vy = (m[4] - *v * m[7]) / w;
  *pixel = sqrtf(fabsf(ux * vy - uy * vx)) + 1e-6f;
}

// ---- the sign ----

typedef struct {
  float paint[AM_PAINTS][3];
  float light, tilt_u, tilt_v;  // brightness, and how it changes across the plate
  float fade, dirt, glare;      // 0: new
  float glare_u, glare_v;
} finish;

static void draw_paints(float paint[AM_PAINTS][3], am_rng *rng) {
  static colour red_a = {0.72f, 0.08f, 0.1f}, red_b = {0.85f, 0.2f, 0.14f}, blue_a = {0.06f, 0.22f, 0.55f},
                blue_b = {0.1f, 0.38f, 0.72f};
  static colour white_a = {0.94f, 0.94f, 0.93f}, white_b = {0.86f, 0.87f, 0.84f},
                yellow = {0.95f, 0.82f, 0.3f};
  static colour black_a = {0.06f, 0.06f, 0.07f}, black_b = {0.16f, 0.15f, 0.15f};
  am_draw_rgb(rng, red_a, red_b, paint[AM_PAINT_RED]);
  am_draw_rgb(rng, blue_a, blue_b, paint[AM_PAINT_BLUE]);
  am_draw_rgb(rng, white_a, white_b, paint[AM_PAINT_WHITE]);
  am_draw_rgb(rng, white_a, white_b, paint[AM_PAINT_FACE]);
  am_draw_rgb(rng, black_a, black_b, paint[AM_PAINT_INK]);
  if (am_draw_chance(rng, 0.12)) am_mix_rgb(paint[AM_PAINT_FACE], yellow, am_draw_f(rng, 0.5f, 1));
}

static finish draw_finish(am_weather weather, am_rng *rng) {
  finish f;
  draw_paints(f.paint, rng);
  f.light = am_draw_chance(rng, 0.2) ? am_draw_f(rng, 0.5f, 0.75f)
                                     : am_draw_f(rng, 0.75f, 1.1f);         // a fifth stand in shade
  if (weather == AM_WEATHER_NIGHT) f.light = am_draw_f(rng, 0.45f, 0.95f);  // headlights
  f.tilt_u = am_draw_f(rng, -0.2f, 0.2f);
  f.tilt_v = am_draw_f(rng, -0.2f, 0.1f);
  f.fade = am_draw_chance(rng, 0.35) ? am_draw_f(rng, 0.1f, 0.5f) : 0;
  f.dirt = am_draw_chance(rng, 0.4) ? am_draw_f(rng, 0.1f, 0.7f) : 0;
  f.glare = am_draw_chance(rng, 0.15) ? am_draw_f(rng, 0.2f, 0.6f) : 0;
  f.glare_u = am_draw_f(rng, -1, 1);
  f.glare_v = am_draw_f(rng, -1, 0.5f);
  return f;
}

static void wear(float rgb[3], const finish *f, float u, float v, float patch, float speck) {
  static colour dust = {0.42f, 0.37f, 0.3f}, white = {1, 1, 1};
  float grey = 0.3f * rgb[0] + 0.55f * rgb[1] + 0.15f * rgb[2],
        pale[3] = {grey + 0.12f, grey + 0.12f, grey + 0.1f};
  am_mix_rgb(rgb, pale, am_clamp_f(f->fade * (0.8f + 0.6f * patch), 0, 0.85f));
  am_mix_rgb(rgb, dust, am_clamp_f(f->dirt * (0.25f + 0.5f * v + 0.8f * patch), 0, 0.6f));
  if (f->dirt > 0 && speck > 0.72f) am_mix_rgb(rgb, dust, 0.7f);
  float light = f->light * (1 + f->tilt_u * u + f->tilt_v * v);
  for (int c = 0; c < 3; c++) rgb[c] *= light;
  float du = u - f->glare_u, dv = v - f->glare_v, near = am_clamp_f(1 - 0.8f * (du * du + dv * dv), 0, 1);
  am_mix_rgb(rgb, white, f->glare * near * near);
}

static float coverage(float distance, float pixel) { return am_clamp_f(0.5f - distance / pixel, 0, 1); }

static void put_pole(am_scene *s, const am_sign_view *view, am_rng *rng) {
  static colour zinc = {0.55f, 0.56f, 0.57f}, dark = {0.3f, 0.3f, 0.3f};
  float tone[3], half = am_draw_f(rng, 0.05f, 0.11f);
  am_draw_rgb(rng, zinc, dark, tone);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    float u, v, pixel;
    am_scene_locate(view, (float)(i % SIDE), (float)(i / SIDE), &u, &v, &pixel);
    if (v < 0) continue;
    float light = 1 - 0.5f * u / half, rgb[3] = {tone[0] * light, tone[1] * light, tone[2] * light};
    am_mix_rgb(s->rgb[i], rgb, coverage(fabsf(u) - half, pixel));
  }
}

void am_scene_put_sign(am_scene *s, int k, const am_sign_view *view, const am_sign_style *style,
                       am_weather weather, am_rng *rng, unsigned char *mask) {
  float patch[AM_SCENE_PIXELS], speck[AM_SCENE_PIXELS];
  finish f = draw_finish(weather, rng);
  am_noise(rng, 3, 3, 4, patch);
  am_noise(rng, 24, 24, 2, speck);
  if (am_draw_chance(rng, 0.6)) put_pole(s, view, rng);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    am_sign_layer layer[AM_SIGN_LAYERS];
    float u, v, pixel, rgb[3] = {0};
    am_scene_locate(view, (float)(i % SIDE), (float)(i / SIDE), &u, &v, &pixel);
    if (mask) mask[i] = 0;
    if (u < -1.1f || u > 1.1f || v < -1.1f || v > 1.1f) continue;
    int layers = am_sign_art(k, style, u, v, layer);
    float plate = coverage(layer[0].distance, pixel);
    if (mask && layer[0].distance < 0) mask[i] = 255;
    if (plate == 0) continue;
    memcpy(rgb, f.paint[layer[0].paint], sizeof rgb);
    for (int l = 1; l < layers; l++)
      am_mix_rgb(rgb, f.paint[layer[l].paint], coverage(layer[l].distance, pixel));
    wear(rgb, &f, u, v, patch[i], speck[i]);
    am_mix_rgb(s->rgb[i], rgb, plate);
  }
}

// ---- sketch ----

void am_scene_sketch(am_scene *s, int k, const am_sign_view *view, const am_sign_style *style, am_rng *rng,
                     unsigned char *mask) {
  static colour white = {0.97f, 0.97f, 0.96f}, cream = {0.9f, 0.86f, 0.78f}, black = {0.1f, 0.1f, 0.1f},
                pencil = {0.38f, 0.38f, 0.4f};
  static colour pen = {0.1f, 0.15f, 0.45f};
  float paper[3], ink[3], grain[AM_SCENE_PIXELS], wobble_u[AM_SCENE_PIXELS], wobble_v[AM_SCENE_PIXELS];
  float half = am_draw_f(rng, 0.6f, 1.3f), shake = am_draw_f(rng, 0.01f, 0.06f),
        fill = am_draw_f(rng, 0.1f, 1);
  am_draw_rgb(rng, white, cream, paper);
  am_draw_rgb(rng, black, pencil, ink);
  if (am_draw_chance(rng, 0.2)) memcpy(ink, pen, sizeof ink);
  am_noise(rng, 20, 20, 2, grain);
  am_noise(rng, 5, 5, 2, wobble_u);
  am_noise(rng, 5, 5, 2, wobble_v);
  for (int i = 0; i < AM_SCENE_PIXELS; i++) {
    am_sign_layer layer[AM_SIGN_LAYERS];
    float u, v, pixel, dark = 0;
    am_scene_locate(view, (float)(i % SIDE), (float)(i / SIDE), &u, &v, &pixel);
    int layers = am_sign_art(k, style, u + shake * wobble_u[i], v + shake * wobble_v[i], layer);
    if (mask) mask[i] = layer[0].distance < 0 ? 255 : 0;
    for (int l = 0; l < layers; l++) {
      float line = coverage(fabsf(layer[l].distance) - (half - 0.5f) * pixel, pixel);
      bool symbol = l == layers - 1 && l > 0 && layer[l].paint != AM_PAINT_FACE;
      float inside = symbol ? fill * coverage(layer[l].distance, pixel) : 0;
      float both = line > inside ? line : inside;
      if (both > dark) dark = both;
    }
    for (int c = 0; c < 3; c++) s->rgb[i][c] = paper[c] * (1 + 0.03f * grain[i]);
    am_mix_rgb(s->rgb[i], ink, am_clamp_f(dark * (0.9f + 0.35f * grain[i]), 0, 1));
  }
}
