// Flip, crop, rotation.
#include <math.h>
#include <string.h>

#include "augment/pixels.h"
#include "base/num.h"

// The result that was built in scratch becomes the image.
static void take_scratch(am_planar *image, am_planar *scratch, int64_t height, int64_t width) {
  float *old = image->pixel;
  image->pixel = scratch->pixel;
  image->height = height;
  image->width = width;
  scratch->pixel = old;
}

void am_flip_horizontal(am_planar *image) {
  for (int64_t y = 0; y < image->channels * image->height; y++) {
    float *row = image->pixel + y * image->width;
    for (int64_t left = 0, right = image->width - 1; left < right; left++, right--) {
      float t = row[left];
      row[left] = row[right];
      row[right] = t;
    }
  }
}

void am_flip_vertical(am_planar *image) {
  int64_t width = image->width, height = image->height;
  for (int64_t c = 0; c < image->channels; c++) {
    float *plane = image->pixel + c * height * width;
    for (int64_t top = 0, bottom = height - 1; top < bottom; top++, bottom--) {
      for (int64_t x = 0; x < width; x++) {
        float t = plane[top * width + x];
        plane[top * width + x] = plane[bottom * width + x];
        plane[bottom * width + x] = t;
      }
    }
  }
}

static void fill_run(float *out, int64_t count, float value) {
  for (int64_t i = 0; i < count; i++) out[i] = value;
}

void am_crop(am_planar *image, am_planar *scratch, const am_rect *window, float fill) {
  int64_t width = window->width, height = window->height;
  // The columns of the window that lie on the image: [first, last) of the result.
  int64_t first = am_clamp_i64(-window->left, 0, width);
  int64_t last = am_clamp_i64(image->width - window->left, first, width);
  for (int64_t c = 0; c < image->channels; c++) {
    for (int64_t y = 0; y < height; y++) {
      float *out = scratch->pixel + (c * height + y) * width;
      int64_t from = y + window->top;
      if (from < 0 || from >= image->height || first == last) {
        fill_run(out, width, fill);
        continue;
      }
      const float *row = image->pixel + (c * image->height + from) * image->width;
      fill_run(out, first, fill);
      memcpy(out + first, row + first + window->left, (size_t)(last - first) * sizeof *out);
      fill_run(out + last, width - last, fill);
    }
  }
  take_scratch(image, scratch, height, width);
}

// ---- rotation ----------------------------------------------------------------------------------

// Nearest integer, ties to even, for |x| below 2^22: as nearbyint, and vectorises.
static inline float round_even(float x) { return (x + 12582912.0f) - 12582912.0f; }

typedef struct {
  const am_planar *in;
  float *out;  // (c, h, w)
  float fill;
} rotation;

static void put_nearest(const rotation *r, int64_t at, float x, float y) {
  int64_t width = r->in->width, height = r->in->height, plane = height * width;
  float column = round_even(x), row = round_even(y);
  bool inside = column >= 0 && column < (float)width && row >= 0 && row < (float)height;
  const float *from = r->in->pixel + (inside ? (int64_t)row * width + (int64_t)column : 0);
  for (int64_t c = 0; c < r->in->channels; c++) r->out[c * plane + at] = inside ? from[c * plane] : r->fill;
}

// Outside pixels weigh nothing; torchvision then blends once more with `fill` by the weight that
// was inside, which it samples as a mask beside the image.
static void put_bilinear(const rotation *r, int64_t at, float x, float y) {
  int64_t width = r->in->width, height = r->in->height, plane = height * width;
  float left = floorf(x), top = floorf(y), fx = x - left, fy = y - top, mask = 0;
  float weight[4] = {(1 - fx) * (1 - fy), fx * (1 - fy), (1 - fx) * fy, fx * fy};
  int64_t from[4];
  for (int k = 0; k < 4; k++) {
    int64_t column = (int64_t)left + k % 2, row = (int64_t)top + k / 2;
    bool inside = column >= 0 && column < width && row >= 0 && row < height;
    from[k] = inside ? row * width + column : 0;
    if (!inside) weight[k] = 0;
    mask += weight[k];
  }
  for (int64_t c = 0; c < r->in->channels; c++) {
    float sum = 0;
    for (int k = 0; k < 4; k++) sum += weight[k] * r->in->pixel[c * plane + from[k]];
    r->out[c * plane + at] = sum * mask + (1 - mask) * r->fill;
  }
}

void am_rotate(am_planar *image, am_planar *scratch, double degrees, bool bilinear, float fill) {
  // Each pixel of the result looks up where the inverse rotation takes it (y points down). The
  // coordinates go through [-1, 1] as torchvision's grid does, so that ties round as there.
  double angle = degrees * (3.14159265358979323846 / 180.0);
  float cosine = (float)cos(angle), sine = (float)sin(angle);
  float width = (float)image->width, height = (float)image->height, half_x = width / 2, half_y = height / 2;
  float xx = cosine / half_x, xy = -sine / half_x, yx = sine / half_y, yy = cosine / half_y;
  rotation r = {image, scratch->pixel, fill};
  for (int64_t row = 0; row < image->height; row++) {
    float dy = (float)row - (height - 1) / 2;
    for (int64_t column = 0; column < image->width; column++) {
      float dx = (float)column - (width - 1) / 2;
      float x = ((dx * xx + dy * xy + 1) * width - 1) / 2, y = ((dx * yx + dy * yy + 1) * height - 1) / 2;
      int64_t at = row * image->width + column;
      if (bilinear) {
        put_bilinear(&r, at, x, y);
      } else {
        put_nearest(&r, at, x, y);
      }
    }
  }
  take_scratch(image, scratch, image->height, image->width);
}
