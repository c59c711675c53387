// Resizing as Pillow does it, and cropping as torchvision does it, bit for bit.
#include "data/image.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

// ---- filters: weight at distance x from the centre, in units of the larger pixel ----

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic with a = -1/2 (Keys, IEEE ASSP 1981, eq. 4).
static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= 3.14159265358979323846;
  return sin(x) / x;
}
static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef struct {
  double (*weight)(double x);
  double support;  // the weight is 0 beyond it
} filter;
static const filter filters[] = {
    [AM_RESIZE_BOX] = {box, 0.5},
    [AM_RESIZE_BILINEAR] = {bilinear, 1.0},
    [AM_RESIZE_BICUBIC] = {bicubic, 2.0},
    [AM_RESIZE_LANCZOS] = {lanczos, 3.0},
};

// ---- one axis: for each output position the input range and its fixed-point weights ----

enum { WEIGHT_BITS = 32 - 8 - 2 };  // 8-bit samples, two bits of room for overshoot

typedef struct {
  int64_t taps;     // weights per output position
  int64_t *first;   // owned (out): first input position
  int64_t *count;   // owned (out): how many of the taps are used
  int32_t *weight;  // owned (out, taps)
} axis;

static void axis_fini(axis *a) {
  free(a->first);
  free(a->count);
  free(a->weight);
}

// Weights of output position i, normalised in f64, then rounded to fixed point half away from zero.
static void fill_weights(axis *a, const filter *f, int64_t in, double scale, int64_t i, double *scratch) {
  double stretch = scale < 1.0 ? 1.0 : scale;  // the filter widens when shrinking: antialiasing
  double support = f->support * stretch, inverse = 1.0 / stretch, center = ((double)i + 0.5) * scale, sum = 0;
  int64_t first = am_max_i64(0, (int64_t)(center - support + 0.5));
  int64_t end = am_min_i64(in, (int64_t)(center + support + 0.5));
  for (int64_t x = first; x < end; x++) {
    scratch[x - first] = f->weight(((double)x - center + 0.5) * inverse);
    sum += scratch[x - first];
  }
  a->first[i] = first;
  a->count[i] = end - first;
  for (int64_t x = 0; x < end - first; x++) {
    double w = (sum != 0.0 ? scratch[x] / sum : scratch[x]) * (1 << WEIGHT_BITS);
    a->weight[i * a->taps + x] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
  }
}

static am_err axis_init(const filter *f, int64_t in, int64_t out, axis *a) {
  am_err err = AM_OK;
  double scale = (double)in / (double)out, *scratch = NULL;
  int64_t weights = 0;
  a->taps = (int64_t)ceil(f->support * (scale < 1.0 ? 1.0 : scale)) * 2 + 1;
  AM_CHECK(am_mul_i64(out, a->taps, &weights), AM_ERR_NOMEM, "cannot resize %lld px to %lld px",
           (long long)in, (long long)out);
  AM_GO(done, AM_NEW_ARRAY(&a->first, out));
  AM_GO(done, AM_NEW_ARRAY(&a->count, out));
  AM_GO(done, AM_NEW_ARRAY(&a->weight, weights));
  AM_GO(done, AM_NEW_ARRAY(&scratch, a->taps));
  for (int64_t i = 0; i < out; i++) fill_weights(a, f, in, scale, i, scratch);
done:
  free(scratch);
  return err;
}

static uint8_t to_u8(int32_t sum) {
  int32_t v = sum >> WEIGHT_BITS;
  return (uint8_t)(v < 0 ? 0 : v > 255 ? 255 : v);
}
static const int32_t half = 1 << (WEIGHT_BITS - 1);

static void resize_rows(const am_image *in, const axis *a, am_image *out) {
  int64_t c = in->channels;
  for (int64_t y = 0; y < in->height; y++) {
    const uint8_t *line = in->pixel + y * in->width * c;
    uint8_t *target = out->pixel + y * out->width * c;
    for (int64_t x = 0; x < out->width; x++) {
      const uint8_t *source = line + a->first[x] * c;
      const int32_t *weight = a->weight + x * a->taps;
      for (int64_t k = 0; k < c; k++) {
        int32_t sum = half;
        for (int64_t t = 0; t < a->count[x]; t++) sum += source[t * c + k] * weight[t];
        *target++ = to_u8(sum);
      }
    }
  }
}

// Whole lines at a time: line y of the output is a weighted sum of input lines.
static am_err resize_columns(const am_image *in, const axis *a, am_image *out) {
  int64_t line_bytes = in->width * in->channels;
  int32_t *sum = NULL;
  AM_TRY(AM_NEW_ARRAY(&sum, line_bytes));
  for (int64_t y = 0; y < out->height; y++) {
    for (int64_t i = 0; i < line_bytes; i++) sum[i] = half;
    for (int64_t t = 0; t < a->count[y]; t++) {
      const uint8_t *source = in->pixel + (a->first[y] + t) * line_bytes;
      int32_t weight = a->weight[y * a->taps + t];
      for (int64_t i = 0; i < line_bytes; i++) sum[i] += source[i] * weight;
    }
    for (int64_t i = 0; i < line_bytes; i++) out->pixel[y * line_bytes + i] = to_u8(sum[i]);
  }
  free(sum);
  return AM_OK;
}

// Pillow 13's choice: lines first where the height loses more than twice the pixels the width does.
static bool columns_first(const am_image *in, const am_image *out) {
  int64_t fewer_lines = in->height - out->height;
  return fewer_lines > 0 && fewer_lines > 2 * (in->width - out->width);
}

// An axis that keeps its size is skipped, as in Pillow: weights could only copy it.
static am_err resize_filtered(const am_image *in, const filter *f, am_image *out) {
  am_err err = AM_OK;
  axis across = {0}, down = {0};
  am_image middle = {0};
  AM_GO(done, axis_init(f, in->width, out->width, &across));
  AM_GO(done, axis_init(f, in->height, out->height, &down));
  if (in->height == out->height) {
    resize_rows(in, &across, out);
  } else if (in->width == out->width) {
    AM_GO(done, resize_columns(in, &down, out));
  } else if (columns_first(in, out)) {
    AM_GO(done, am_image_new(in->width, out->height, in->channels, &middle));
    AM_GO(done, resize_columns(in, &down, &middle));
    resize_rows(&middle, &across, out);
  } else {
    AM_GO(done, am_image_new(out->width, in->height, in->channels, &middle));
    resize_rows(in, &across, &middle);
    AM_GO(done, resize_columns(&middle, &down, out));
  }
done:
  axis_fini(&across);
  axis_fini(&down);
  am_image_fini(&middle);
  return err;
}

// The position is accumulated, not multiplied, so that rounding falls as in Pillow.
static am_err nearest_table(int64_t in, int64_t out, int64_t **table) {
  AM_TRY(AM_NEW_ARRAY(table, out));
  double step = (double)in / (double)out, at = 0.5 * step;
  for (int64_t i = 0; i < out; i++, at += step) (*table)[i] = am_min_i64((int64_t)at, in - 1);
  return AM_OK;
}

static am_err resize_nearest(const am_image *in, am_image *out) {
  am_err err = AM_OK;
  int64_t *column = NULL, *line = NULL, c = in->channels;
  AM_GO(done, nearest_table(in->width, out->width, &column));
  AM_GO(done, nearest_table(in->height, out->height, &line));
  for (int64_t y = 0; y < out->height; y++) {
    for (int64_t x = 0; x < out->width; x++) {
      memcpy(out->pixel + (y * out->width + x) * c, in->pixel + (line[y] * in->width + column[x]) * c,
             (size_t)c);
    }
  }
done:
  free(column);
  free(line);
  return err;
}

am_err am_image_resize(const am_image *in, int64_t width, int64_t height, am_resize_kind kind,
                       am_image *out) {
  if (in->width == width && in->height == height) return am_image_copy(in, out);
  am_image result = {0};
  AM_TRY(am_image_new(width, height, in->channels, &result));
  am_err err =
      kind == AM_RESIZE_NEAREST ? resize_nearest(in, &result) : resize_filtered(in, &filters[kind], &result);
  if (err) {
    am_image_fini(&result);
    return err;
  }
  *out = result;
  return AM_OK;
}

am_err am_image_resize_short(const am_image *in, int64_t side, am_resize_kind kind, am_image *out) {
  int64_t small = am_min_i64(in->width, in->height), large = am_max_i64(in->width, in->height), other = 0;
  AM_CHECK(side > 0 && am_mul_i64(side, large, &other), AM_ERR_ARG,
           "cannot resize a %lld x %lld px image to a short side of %lld px", (long long)in->width,
           (long long)in->height, (long long)side);
  other /= small;
  return in->width <= in->height ? am_image_resize(in, side, other, kind, out)
                                 : am_image_resize(in, other, side, kind, out);
}

static void copy_window(const am_image *in, int64_t left, int64_t top, am_image *out, int64_t to_x,
                        int64_t to_y, int64_t width, int64_t height) {
  int64_t c = in->channels;
  for (int64_t y = 0; y < height; y++) {
    memcpy(out->pixel + ((to_y + y) * out->width + to_x) * c, in->pixel + ((top + y) * in->width + left) * c,
           (size_t)(width * c));
  }
}

am_err am_image_crop(const am_image *in, int64_t left, int64_t top, int64_t width, int64_t height,
                     am_image *out) {
  AM_CHECK(left >= 0 && top >= 0 && width > 0 && height > 0 && left <= in->width - width &&
               top <= in->height - height,
           AM_ERR_ARG, "a crop of %lld x %lld px at (%lld, %lld) is not inside an image of %lld x %lld px",
           (long long)width, (long long)height, (long long)left, (long long)top, (long long)in->width,
           (long long)in->height);
  am_image result = {0};
  AM_TRY(am_image_new(width, height, in->channels, &result));
  copy_window(in, left, top, &result, 0, 0, width, height);
  *out = result;
  return AM_OK;
}

// (in - out) / 2 rounded half to even, as Python's round().
static int64_t centered(int64_t in, int64_t out) {
  int64_t twice = in - out, low = twice / 2;
  return twice % 2 == 0 ? low : low + low % 2;
}

am_err am_image_center_crop(const am_image *in, int64_t width, int64_t height, am_image *out) {
  am_image result = {0};
  AM_TRY(am_image_new(width, height, in->channels, &result));
  // An image that is too small is padded by floor(missing / 2) on the left and the rest on the right.
  int64_t copy_w = am_min_i64(width, in->width), copy_h = am_min_i64(height, in->height);
  copy_window(in, centered(in->width, copy_w), centered(in->height, copy_h), &result, (width - copy_w) / 2,
              (height - copy_h) / 2, copy_w, copy_h);
  *out = result;
  return AM_OK;
}
