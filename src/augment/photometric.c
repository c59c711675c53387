// Colour and blur. Loops run over whole planes without branches, so that the compiler vectorises
// them: they are on the training loader's critical path.
#include <math.h>
#include <string.h>

#include "augment/pixels.h"

// Weights of torchvision's rgb_to_grayscale (ITU-R 601-2, rounded as there).
static inline float grey_of(float r, float g, float b) { return 0.2989f * r + 0.587f * g + 0.114f * b; }

static inline float clamp_unit(float x) {
  x = x < 0.0f ? 0.0f : x;
  return x > 1.0f ? 1.0f : x;
}

static inline int64_t plane_size(const am_planar *image) { return image->height * image->width; }

void am_adjust_brightness(am_planar *image, float factor) {
  float *restrict x = image->pixel;
  int64_t n = image->channels * plane_size(image);
  for (int64_t i = 0; i < n; i++) x[i] = clamp_unit(factor * x[i]);
}

// ---- contrast ----------------------------------------------------------------------------------

enum { SUM_LANES = 8, SUM_BLOCK = 1024 };

// Sum of the grey values. Lanes let the compiler vectorise; f64 over blocks keeps large images exact.
static double grey_sum(const am_planar *image) {
  int64_t n = plane_size(image), g = image->channels == 3 ? n : 0;
  const float *restrict x = image->pixel;
  bool is_grey = image->channels != 3;
  double total = 0;
  for (int64_t begin = 0; begin < n; begin += SUM_BLOCK) {
    int64_t end = begin + SUM_BLOCK < n ? begin + SUM_BLOCK : n, i = begin;
    float lane[SUM_LANES] = {0};
    for (; i + SUM_LANES <= end; i += SUM_LANES) {
      for (int64_t k = 0; k < SUM_LANES; k++) {
        lane[k] += is_grey ? x[i + k] : grey_of(x[i + k], x[i + k + g], x[i + k + 2 * g]);
      }
    }
    for (; i < end; i++) lane[0] += is_grey ? x[i] : grey_of(x[i], x[i + g], x[i + 2 * g]);
    for (int k = 0; k < SUM_LANES; k++) total += lane[k];
  }
  return total;
}

void am_adjust_contrast(am_planar *image, float factor) {
  float mean = (float)(grey_sum(image) / (double)plane_size(image));
  float rest = (1.0f - factor) * mean;
  float *restrict x = image->pixel;
  int64_t n = image->channels * plane_size(image);
  for (int64_t i = 0; i < n; i++) x[i] = clamp_unit(factor * x[i] + rest);
}

// ---- saturation, hue ---------------------------------------------------------------------------

void am_adjust_saturation(am_planar *image, float factor) {
  if (image->channels != 3) return;
  int64_t n = plane_size(image);
  float *restrict r = image->pixel, *restrict g = r + n, *restrict b = g + n;
  float other = 1.0f - factor;
  for (int64_t i = 0; i < n; i++) {
    float rest = other * grey_of(r[i], g[i], b[i]);
    r[i] = clamp_unit(factor * r[i] + rest);
    g[i] = clamp_unit(factor * g[i] + rest);
    b[i] = clamp_unit(factor * b[i] + rest);
  }
}

// x in [-period, 2*period) modulo period. Only constants are selected: arithmetic inside a condition
// would keep the loop from being vectorised.
static inline float wrap(float x, float period) {
  x -= x >= period ? period : 0.0f;
  x += x < 0.0f ? period : 0.0f;
  return x;
}

// The channel that is full at `offset` sixths of the hue circle: v minus up to v*s (= chroma), falling
// over one sixth on either side of a third (the hexcone of torchvision's _hsv2rgb in closed form).
static inline float hexcone(float sixths, float offset, float v, float chroma) {
  float k = wrap(sixths + offset, 6.0f), other = 4.0f - k;
  k = k < other ? k : other;
  return clamp_unit(v - chroma * clamp_unit(k));
}

// RGB to HSV, the hue turned, and back. The saturation drops out: v*s is the chroma.
void am_adjust_hue(am_planar *image, float turn) {
  if (image->channels != 3) return;
  int64_t n = plane_size(image);
  float *restrict red = image->pixel, *restrict green = red + n, *restrict blue = green + n;
  for (int64_t i = 0; i < n; i++) {
    float r = red[i], g = green[i], b = blue[i];
    float high = r > g ? r : g, low = r < g ? r : g;
    high = high > b ? high : b;
    low = low < b ? low : b;

    // Grey pixels have no hue; with chroma 0 any divisor does.
    float chroma = high - low, divisor = chroma + (high == low ? 1.0f : 0.0f);
    float slope_red = g - b, slope_green = b - r, slope_blue = r - g;
    float slope = high == r ? slope_red : high == g ? slope_green : slope_blue;
    float start = high == r ? 0.0f : high == g ? 2.0f : 4.0f;
    float sixths = start + slope / divisor;

    sixths = wrap(wrap(sixths, 6.0f) + 6.0f * turn, 6.0f);
    red[i] = hexcone(sixths, 5.0f, high, chroma);
    green[i] = hexcone(sixths, 3.0f, high, chroma);
    blue[i] = hexcone(sixths, 1.0f, high, chroma);
  }
}

// ---- blur --------------------------------------------------------------------------------------

static void gaussian_kernel(int64_t size, double sigma, float *weight) {
  double value[AM_BLUR_KERNEL], sum = 0;
  for (int64_t i = 0; i < size; i++) {
    double x = ((double)i - (double)(size - 1) / 2) / sigma;
    value[i] = exp(-0.5 * x * x);
    sum += value[i];
  }
  for (int64_t i = 0; i < size; i++) weight[i] = (float)(value[i] / sum);
}

// Index i of a line of n, reflected at its ends without repeating them: -1 -> 1, n -> n - 2.
static inline int64_t reflect(int64_t i, int64_t n) {
  if (i < 0) return -i;
  return i < n ? i : 2 * n - 2 - i;
}

// One output row: the weighted sum of `size` input rows.
static void blur_rows(const float *plane, int64_t height, int64_t width, int64_t y, const float *weight,
                      int64_t size, float *restrict out) {
  memset(out, 0, (size_t)width * sizeof *out);
  for (int64_t k = 0; k < size; k++) {
    const float *restrict row = plane + reflect(y + k - size / 2, height) * width;
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
    for (int64_t k = 0; k < size; k++) sum += weight[k] * in[reflect(x + k - half, width)];
    out[x] = sum;
  }
}

void am_gaussian_blur(am_planar *image, am_planar *scratch, int64_t kernel, double sigma) {
  float weight[AM_BLUR_KERNEL];
  gaussian_kernel(kernel, sigma, weight);
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
