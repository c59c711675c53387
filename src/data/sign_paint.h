// Small tools of the sign painter: numbers from a stream, noise fields, mixing, blurring. Everything is
// made of operations that give the same bits on every machine.
#ifndef AM_DATA_SIGN_PAINT_H
#define AM_DATA_SIGN_PAINT_H

#include "data/sign_scene.h"

static inline float am_clamp_f(float x, float lo, float hi) { return x < lo ? lo : x > hi ? hi : x; }
static inline float am_mix_f(float a, float b, float t) { return a + (b - a) * t; }
static inline float am_smooth_f(float t) { return t * t * (3 - 2 * t); }
static inline void am_mix_rgb(float rgb[3], const float with[3], float t) {
  for (int c = 0; c < 3; c++) rgb[c] = am_mix_f(rgb[c], with[c], t);
}

static inline float am_draw_f(am_rng *rng, float lo, float hi) { return (float)am_rng_range(rng, lo, hi); }
static inline bool am_draw_chance(am_rng *rng, double p) { return am_rng_uniform(rng) < p; }
// Mean 0, deviation 1: four bytes of one draw added up.
static inline float am_draw_bell(am_rng *rng) {
  uint32_t r = am_rng_u32(rng);
  float sum = (float)((r & 255) + (r >> 8 & 255) + (r >> 16 & 255) + (r >> 24));
  return (sum - 510.0f) * (1.0f / 147.8f);
}
// A colour between two colours.
static inline void am_draw_rgb(am_rng *rng, const float a[3], const float b[3], float out[3]) {
  float t = am_draw_f(rng, 0, 1);
  for (int c = 0; c < 3; c++) out[c] = am_mix_f(a[c], b[c], t) + am_draw_f(rng, -0.03f, 0.03f);
}

// Sine and cosine of a fraction of a full turn, to about 1e-5.
void am_sincos_turn(float turn, float *s, float *c);
// Value noise in [-1, 1] with `cells` cells across the picture; each further octave has about half the
// size and strength.
void am_noise(am_rng *rng, float cells_x, float cells_y, int octaves, float out[AM_SCENE_PIXELS]);
// Smooth blur of about `radius` pixels (0: none); and along a line of `length` pixels.
void am_blur(am_scene *s, float radius);
void am_blur_line(am_scene *s, float length, float turn);

#endif
