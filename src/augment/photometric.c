// Colour and blur. Loops run over whole planes without branches, so that the compiler vectorises
// them: they are on the training loader's critical path.
#include <math.h>
#include <string.h>

#include "augment/pixels.h"
#include "tensor/augment_rules.h"

static inline int64_t plane_size(const am_planar *image) { return image->height * image->width; }

void am_adjust_brightness(am_planar *image, float factor) {
  float *restrict x = image->pixel;
  int64_t n = image->channels * plane_size(image);
  for (int64_t i = 0; i < n; i++) x[i] = am_rule_scaled(x[i], factor);
}

// ---- contrast ----------------------------------------------------------------------------------

// Lanes let the compiler vectorise; f64 over blocks keeps large images exact.
static double grey_sum(const am_planar *image) {
  int64_t n = plane_size(image), g = image->channels == 3 ? n : 0;
  const float *restrict x = image->pixel;
  bool is_grey = image->channels != 3;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += AM_GREY_BLOCK) {
    int64_t end = begin + AM_GREY_BLOCK < n ? begin + AM_GREY_BLOCK : n, i = begin;
    float lane[AM_GREY_LANES] = {0};
    for (; i + AM_GREY_LANES <= end; i += AM_GREY_LANES) {
      for (int64_t k = 0; k < AM_GREY_LANES; k++) {
        lane[k] += is_grey ? x[i + k] : am_rule_grey(x[i + k], x[i + k + g], x[i + k + 2 * g]);
      }
    }
    for (; i < end; i++) lane[0] += is_grey ? x[i] : am_rule_grey(x[i], x[i + g], x[i + 2 * g]);
    for (int k = 0; k < AM_GREY_LANES; k++) total += lane[k];
  }
  return total;
}

void am_adjust_contrast(am_planar *image, float factor) {
  float mean = (float)(grey_sum(image) / (double)plane_size(image));
  float rest = (1.0f - factor) * mean;
  float *restrict x = image->pixel;
  int64_t n = image->channels * plane_size(image);
  for (int64_t i = 0; i < n; i++) x[i] = am_rule_blended(x[i], factor, rest);
}

// ---- saturation, hue ---------------------------------------------------------------------------

void am_adjust_saturation(am_planar *image, float factor) {
  if (image->channels != 3) return;
  int64_t n = plane_size(image);
  float *restrict r = image->pixel, *restrict g = r + n, *restrict b = g + n;
  float other = 1.0f - factor;
  for (int64_t i = 0; i < n; i++) {
    float rest = other * am_rule_grey(r[i], g[i], b[i]);
    r[i] = am_rule_blended(r[i], factor, rest);
    g[i] = am_rule_blended(g[i], factor, rest);
    b[i] = am_rule_blended(b[i], factor, rest);
  }
}

void am_adjust_hue(am_planar *image, float turn) {
  if (image->channels != 3) return;
  int64_t n = plane_size(image);
  float *restrict red = image->pixel, *restrict green = red + n, *restrict blue = green + n;
  for (int64_t i = 0; i < n; i++) {
    am_rule_rgb c = am_rule_turn_hue(red[i], green[i], blue[i], turn);
    red[i] = c.r;
    green[i] = c.g;
    blue[i] = c.b;
  }
}

// ---- blur --------------------------------------------------------------------------------------

void am_blur_weights(int64_t size, double sigma, float *weight) {
  double value[AM_BLUR_KERNEL], sum = 0;
  for (int64_t i = 0; i < size; i++) {
    double x = ((double)i - (double)(size - 1) / 2) / sigma;
    value[i] = exp(-0.5 * x * x);
    sum += value[i];
  }
  for (int64_t i = 0; i < size; i++) weight[i] = (float)(value[i] / sum);
}

// One output row: the weighted sum of `size` input rows.
static void blur_rows(const float *plane, int64_t height, int64_t width, int64_t y, const float *weight,
                      int64_t size, float *restrict out) {
  memset(out, 0, (size_t)width * sizeof *out);
  for (int64_t k = 0; k < size; k++) {
    const float *restrict row = plane + am_rule_reflect(y + k - size / 2, height) * width;
    float w = weight[k];
    for (int64_t x = 0; x < width; x++) out[x] += w * row[x];
  }
}

// One row blurred along itself: ends with reflected indices, the middle as shifted sums.
static void blur_along(const float *restrict in, int64_t width, const float *weight, int64_t size,
                       float *restrict out) {
  int64_t half = size / 2, middle_end = width - half;
  memset(out, 0, (size_t)width * sizeof *out);
  for (int64_t k = 0; k < size; k++) {
    float w = weight[k];
    for (int64_t x = half; x < middle_end; x++) out[x] += w * in[x + k - half];
  }
  for (int64_t x = 0; x < width; x++) {
    if (x == half && middle_end > half) x = middle_end;
    if (x >= width) break;
    float sum = 0;
    for (int64_t k = 0; k < size; k++) sum += weight[k] * in[am_rule_reflect(x + k - half, width)];
    out[x] = sum;
  }
}

void am_gaussian_blur(am_planar *image, am_planar *scratch, int64_t kernel, const float *weight) {
  int64_t height = image->height, width = image->width;
  for (int64_t c = 0; c < image->channels; c++) {
    float *plane = image->pixel + c * height * width;
    for (int64_t y = 0; y < height; y++) {
      blur_rows(plane, height, width, y, weight, kernel, scratch->pixel + y * width);
    }
    for (int64_t y = 0; y < height; y++) {
      blur_along(scratch->pixel + y * width, width, weight, kernel, plane + y * width);
    }
  }
}
