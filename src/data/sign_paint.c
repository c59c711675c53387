#include "data/sign_paint.h"

#include <math.h>
#include <string.h>

enum { SIDE = AM_SCENE_SIDE };

// The odd polynomial of the Taylor series on a quarter turn.
static float sine_of_quarter(float turn) {
  float x = turn * 6.2831853f, y = x * x;
  return x * (1 + y * (-1.0f / 6 + y * (1.0f / 120 + y * (-1.0f / 5040 + y * (1.0f / 362880)))));
}
static float sine(float turn) {
  turn -= floorf(turn + 0.5f);  // [-1/2, 1/2)
  if (turn > 0.25f) turn = 0.5f - turn;
  if (turn < -0.25f) turn = -0.5f - turn;
  return sine_of_quarter(turn);
}
void am_sincos_turn(float turn, float *s, float *c) {
  *s = sine(turn);
  *c = sine(turn + 0.25f);
}

// One octave: random values on a lattice at a random place, joined smoothly.
static void add_octave(am_rng *rng, float cells_x, float cells_y, float strength,
                       float out[AM_SCENE_PIXELS]) {
  enum { MOST = SIDE + 3 };
  float value[MOST][MOST], line[MOST], part[SIDE];
  int cell[SIDE];
  cells_x = am_clamp_f(cells_x, 1, SIDE);
  cells_y = am_clamp_f(cells_y, 1, SIDE);
  int nx = (int)cells_x + 3, ny = (int)cells_y + 3;
  float shift_x = am_draw_f(rng, 0, 1), shift_y = am_draw_f(rng, 0, 1);
  for (int j = 0; j < ny; j++) {
    for (int i = 0; i < nx; i++) value[j][i] = (float)(am_rng_u32(rng) >> 8) * (2.0f / 16777216.0f) - 1.0f;
  }
  for (int x = 0; x < SIDE; x++) {
    float at = shift_x + (float)x * cells_x / SIDE;
    cell[x] = (int)at;
    part[x] = am_smooth_f(at - (float)cell[x]);
  }
  for (int y = 0; y < SIDE; y++) {
    float at = shift_y + (float)y * cells_y / SIDE;
    int j = (int)at;
    float t = am_smooth_f(at - (float)j);
    for (int i = 0; i < nx; i++) line[i] = strength * am_mix_f(value[j][i], value[j + 1][i], t);
    for (int x = 0; x < SIDE; x++) out[y * SIDE + x] += am_mix_f(line[cell[x]], line[cell[x] + 1], part[x]);
  }
}

void am_noise(am_rng *rng, float cells_x, float cells_y, int octaves, float out[AM_SCENE_PIXELS]) {
  float strength = 0.6f;
  memset(out, 0, AM_SCENE_PIXELS * sizeof *out);
  for (int k = 0; k < octaves; k++, strength *= 0.55f, cells_x *= 1.9f, cells_y *= 1.9f) {
    add_octave(rng, cells_x, cells_y, strength, out);
  }
}

// A bell of finite width: (1 - (x / (2 r))^2)^2, normalised. Returns how many taps lie on each side.
static int bell(float radius, float weight[2 * SIDE + 1]) {
  float width = 2 * radius, sum = 0;
  int reach = (int)width;
  for (int i = -reach; i <= reach; i++) {
    float x = (float)i / (width + 1e-6f), w = 1 - x * x;
    weight[i + reach] = w * w;
    sum += w * w;
  }
  for (int i = 0; i <= 2 * reach; i++) weight[i] /= sum;
  return reach;
}

static int clamp_side(int i) { return i < 0 ? 0 : i >= SIDE ? SIDE - 1 : i; }

void am_blur(am_scene *s, float radius) {
  float weight[2 * SIDE + 1];
  am_scene across;
  if (radius < 0.5f) radius = radius * radius * 2;  // no taps below half a pixel: fade in
  int reach = bell(radius, weight);
  if (reach == 0) return;
  memset(&across, 0, sizeof across);
  for (int y = 0; y < SIDE; y++) {
    for (int x = 0; x < SIDE; x++) {
      float *to = across.rgb[y * SIDE + x];
      for (int i = -reach; i <= reach; i++) {
        const float *from = s->rgb[y * SIDE + clamp_side(x + i)];
        for (int c = 0; c < 3; c++) to[c] += weight[i + reach] * from[c];
      }
    }
  }
  memset(s, 0, sizeof *s);
  for (int y = 0; y < SIDE; y++) {
    for (int i = -reach; i <= reach; i++) {
      const float *from = across.rgb[clamp_side(y + i) * SIDE];
      float *to = s->rgb[y * SIDE], w = weight[i + reach];
      for (int k = 0; k < SIDE * 3; k++) to[k] += w * from[k];
    }
  }
}

void am_blur_line(am_scene *s, float length, float turn) {
  float dx, dy;
  int steps = (int)length + 1;
  am_scene sharp = *s;
  if (steps < 2) return;
  am_sincos_turn(turn, &dy, &dx);
  memset(s, 0, sizeof *s);
  for (int k = 0; k < steps; k++) {
    float t = ((float)k / (float)(steps - 1) - 0.5f) * length;
    int ox = (int)floorf(t * dx + 0.5f), oy = (int)floorf(t * dy + 0.5f);
    for (int y = 0; y < SIDE; y++) {
      for (int x = 0; x < SIDE; x++) {
        const float *from = sharp.rgb[clamp_side(y + oy) * SIDE + clamp_side(x + ox)];
        for (int c = 0; c < 3; c++) s->rgb[y * SIDE + x][c] += from[c] / (float)steps;
      }
    }
  }
}
