// The arithmetic of transforms, pixel by pixel, for the processor (augment/) and for cards: there AM_AUGMENT_FN says how a
// function is declared. As torchvision.transforms.functional does it on float tensors.
#ifndef AM_TENSOR_AUGMENT_RULES_H
#define AM_TENSOR_AUGMENT_RULES_H

#include <math.h>

#include "tensor/augment.h"

#ifndef AM_AUGMENT_FN
#define AM_AUGMENT_FN static inline
#endif

// ---- colour ----

// Weights of torchvision's rgb_to_grayscale (ITU-R 601-2, rounded as there).
AM_AUGMENT_FN float am_rule_grey(float r, float g, float b) { return 0.2989f * r + 0.587f * g + 0.114f * b; }

AM_AUGMENT_FN float am_rule_unit(float x) {
  x = x < 0.0f ? 0.0f : x;
  return x > 1.0f ? 1.0f : x;
}

// factor * x, and blended with something that is (1 - factor) * other.
AM_AUGMENT_FN float am_rule_scaled(float x, float factor) { return am_rule_unit(factor * x); }
AM_AUGMENT_FN float am_rule_blended(float x, float factor, float rest) {
  return am_rule_unit(factor * x + rest);
}

// How the grey values of an image are summed: in f32 in each lane of each block of pixels, then those in f64, one after the
// other. Lane k takes pixels k, k + AM_GREY_LANES, ...; what is left at the end of the last block is lane 0's.
enum { AM_GREY_LANES = 8, AM_GREY_BLOCK = 1024 };

// x in [-period, 2*period) modulo period. Only constants are selected: arithmetic inside a condition
// would keep the loop around it from being vectorised.
AM_AUGMENT_FN float am_rule_wrap(float x, float period) {
  x -= x >= period ? period : 0.0f;
  x += x < 0.0f ? period : 0.0f;
  return x;
}

// The channel that is full at `offset` sixths of the hue circle: v minus up to v*s (= chroma), falling
// over one sixth on either side of a third (the hexcone of torchvision's _hsv2rgb in closed form).
AM_AUGMENT_FN float am_rule_hexcone(float sixths, float offset, float v, float chroma) {
  float k = am_rule_wrap(sixths + offset, 6.0f), other = 4.0f - k;
  k = k < other ? k : other;
  return am_rule_unit(v - chroma * am_rule_unit(k));
}

typedef struct {
  float r, g, b;
} am_rule_rgb;

// RGB to HSV, the hue turned, and back. The saturation drops out: v*s is the chroma.
AM_AUGMENT_FN am_rule_rgb am_rule_turn_hue(float r, float g, float b, float turn) {
  float high = r > g ? r : g, low = r < g ? r : g;
  high = high > b ? high : b;
  low = low < b ? low : b;

  // Grey pixels have no hue; with chroma 0 any divisor does.
  float chroma = high - low, divisor = chroma + (high == low ? 1.0f : 0.0f);
  float slope_red = g - b, slope_green = b - r, slope_blue = r - g;
  float slope = high == r ? slope_red : high == g ? slope_green : slope_blue;
  float start = high == r ? 0.0f : high == g ? 2.0f : 4.0f;
  float sixths = start + slope / divisor;

  sixths = am_rule_wrap(am_rule_wrap(sixths, 6.0f) + 6.0f * turn, 6.0f);
  am_rule_rgb out;
  out.r = am_rule_hexcone(sixths, 5.0f, high, chroma);
  out.g = am_rule_hexcone(sixths, 3.0f, high, chroma);
  out.b = am_rule_hexcone(sixths, 1.0f, high, chroma);
  return out;
}

// ---- places ----

// Index i of a line of n, reflected at its ends without repeating them: -1 -> 1, n -> n - 2.
AM_AUGMENT_FN int64_t am_rule_reflect(int64_t i, int64_t n) {
  if (i < 0) return -i;
  return i < n ? i : 2 * n - 2 - i;
}

// Nearest integer, ties to even, for |x| below 2^22: as nearbyint, and vectorises.
AM_AUGMENT_FN float am_rule_round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

typedef struct {
  float x, y;
} am_rule_point;

// Where the inverse rotation takes a pixel of the result. The coordinates go through [-1, 1] as torchvision's grid does,
// so that ties round as there. matrix: {cos/half_x, -sin/half_x, sin/half_y, cos/half_y} with the halves of width and height.
AM_AUGMENT_FN am_rule_point am_rule_rotated(const float *matrix, int64_t row, int64_t column, float height,
                                            float width) {
  float dy = (float)row - (height - 1) / 2, dx = (float)column - (width - 1) / 2;
  am_rule_point p;
  p.x = ((dx * matrix[0] + dy * matrix[1] + 1) * width - 1) / 2;
  p.y = ((dx * matrix[2] + dy * matrix[3] + 1) * height - 1) / 2;
  return p;
}

// The pixel of a plane that is nearest; -1 outside.
AM_AUGMENT_FN int64_t am_rule_nearest(am_rule_point p, int64_t height, int64_t width) {
  float column = am_rule_round_even(p.x), row = am_rule_round_even(p.y);
  bool inside = column >= 0 && column < (float)width && row >= 0 && row < (float)height;
  return inside ? (int64_t)row * width + (int64_t)column : -1;
}

typedef struct {
  int64_t from[4];
  float weight[4], mask;  // the weight that is inside
} am_rule_corners;

// Outside pixels weigh nothing.
AM_AUGMENT_FN am_rule_corners am_rule_around(am_rule_point p, int64_t height, int64_t width) {
  float left = floorf(p.x), top = floorf(p.y), fx = p.x - left, fy = p.y - top;
  am_rule_corners k;
  k.weight[0] = (1 - fx) * (1 - fy);
  k.weight[1] = fx * (1 - fy);
  k.weight[2] = (1 - fx) * fy;
  k.weight[3] = fx * fy;
  k.mask = 0;
  for (int i = 0; i < 4; i++) {
    int64_t column = (int64_t)left + i % 2, row = (int64_t)top + i / 2;
    bool inside = column >= 0 && column < width && row >= 0 && row < height;
    k.from[i] = inside ? row * width + column : 0;
    if (!inside) k.weight[i] = 0;
    k.mask += k.weight[i];
  }
  return k;
}

// torchvision blends once more with `fill` by the weight that was inside, which it samples as a mask beside the image.
AM_AUGMENT_FN float am_rule_between(const am_rule_corners *k, const float *plane, float fill) {
  float sum = 0;
  for (int i = 0; i < 4; i++) sum += k->weight[i] * plane[k->from[i]];
  return sum * k->mask + (1 - k->mask) * fill;
}

#endif
