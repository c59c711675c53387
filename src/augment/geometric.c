// Flip, crop, rotation.
#include <math.h>
#include <string.h>

#include "augment/pixels.h"
#include "base/num.h"
#include "tensor/augment_rules.h"

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

void am_rotation_matrix(double degrees, int64_t height, int64_t width, float matrix[4]) {
  double angle = degrees * (3.14159265358979323846 / 180.0);
  float cosine = (float)cos(angle), sine = (float)sin(angle);
  float half_x = (float)width / 2, half_y = (float)height / 2;
  matrix[0] = cosine / half_x;
  matrix[1] = -sine / half_x;
  matrix[2] = sine / half_y;
  matrix[3] = cosine / half_y;
}

typedef struct {
  const am_planar *in;
  float *out;  // (c, h, w)
  float fill;
} rotation;

static void put_nearest(const rotation *r, int64_t at, am_rule_point p) {
  int64_t plane = r->in->height * r->in->width, from = am_rule_nearest(p, r->in->height, r->in->width);
  for (int64_t c = 0; c < r->in->channels; c++)
    r->out[c * plane + at] = from >= 0 ? r->in->pixel[c * plane + from] : r->fill;
}

static void put_bilinear(const rotation *r, int64_t at, am_rule_point p) {
  int64_t plane = r->in->height * r->in->width;
  am_rule_corners k = am_rule_around(p, r->in->height, r->in->width);
  for (int64_t c = 0; c < r->in->channels; c++)
    r->out[c * plane + at] = am_rule_between(&k, r->in->pixel + c * plane, r->fill);
}

void am_rotate(am_planar *image, am_planar *scratch, const float matrix[4], bool bilinear, float fill) {
  rotation r = {image, scratch->pixel, fill};
  for (int64_t row = 0; row < image->height; row++) {
    for (int64_t column = 0; column < image->width; column++) {
      am_rule_point p = am_rule_rotated(matrix, row, column, (float)image->height, (float)image->width);
      int64_t at = row * image->width + column;
      if (bilinear) {
        put_bilinear(&r, at, p);
      } else {
        put_nearest(&r, at, p);
      }
    }
  }
  take_scratch(image, scratch, image->height, image->width);
}
