// Cropping as torchvision does it.
#include "data/image.h"

#include <string.h>

#include "base/num.h"

static void copy_window(const am_image *in, int64_t left, int64_t top, am_image *out, int64_t to_x,
                        int64_t to_y, int64_t width, int64_t height) {
  int64_t c = in->channels;
  for (int64_t y = 0; y < height; y++) {
    memcpy(out->pixel + ((to_y + y) * out->width + to_x) * c, in->pixel + ((top + y) * in->width + left) * c,
           (size_t)(width * c));
  }
}

am_err am_image_part_of(const am_image_part *in, int64_t left, int64_t top, int64_t width, int64_t height,
                        am_image_part *out) {
  AM_CHECK(left >= 0 && top >= 0 && width > 0 && height > 0 && left <= in->width - width &&
               top <= in->height - height,
           AM_ERR_ARG, "a crop of %lld x %lld px at (%lld, %lld) is not inside an image of %lld x %lld px",
           (long long)width, (long long)height, (long long)left, (long long)top, (long long)in->width,
           (long long)in->height);
  *out = (am_image_part){.pixel = in->pixel + top * in->stride + left * in->channels,
                         .stride = in->stride,
                         .width = width,
                         .height = height,
                         .channels = in->channels};
  return AM_OK;
}

am_err am_image_crop(const am_image *in, int64_t left, int64_t top, int64_t width, int64_t height,
                     am_image *out) {
  am_image_part whole = am_image_whole(in), part;
  am_image result = {0};
  AM_TRY(am_image_part_of(&whole, left, top, width, height, &part));
  AM_TRY(am_image_reserve(&result, width, height, in->channels));
  copy_window(in, left, top, &result, 0, 0, width, height);
  *out = result;
  return AM_OK;
}

// (in - out) / 2 rounded half to even, as Python's round(); what is missing is padded by floor(missing / 2) on
// the left.
int64_t am_image_center(int64_t in, int64_t out) {
  if (out > in) return -((out - in) / 2);
  int64_t low = (in - out) / 2;
  return (in - out) % 2 == 0 ? low : low + low % 2;
}

am_err am_image_center_crop(const am_image *in, int64_t width, int64_t height, am_image *out) {
  am_image result = {0};
  AM_TRY(am_image_new(width, height, in->channels, &result));
  int64_t copy_w = am_min_i64(width, in->width), copy_h = am_min_i64(height, in->height);
  int64_t left = am_image_center(in->width, width), top = am_image_center(in->height, height);
  copy_window(in, am_max_i64(left, 0), am_max_i64(top, 0), &result, am_max_i64(-left, 0), am_max_i64(-top, 0),
              copy_w, copy_h);
  *out = result;
  return AM_OK;
}
