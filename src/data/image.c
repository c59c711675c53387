// Images in memory: allocation, contact sheets, files in and out. The codecs are in codec*.c.
#include "data/image.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"

static am_err pixel_bytes(int64_t width, int64_t height, int64_t channels, int64_t *bytes) {
  AM_CHECK(width > 0 && height > 0 && channels > 0 && am_mul_i64(width, height, bytes) &&
               am_mul_i64(*bytes, channels, bytes),
           AM_ERR_ARG, "an image of %lld x %lld px with %lld channels cannot exist", (long long)width,
           (long long)height, (long long)channels);
  return AM_OK;
}

am_err am_image_new(int64_t width, int64_t height, int64_t channels, am_image *out) {
  int64_t bytes = 0;
  uint8_t *pixel = NULL;
  AM_TRY(pixel_bytes(width, height, channels, &bytes));
  AM_TRY(AM_NEW_ARRAY(&pixel, bytes));
  *out = (am_image){.width = width, .height = height, .channels = channels, .pixel = pixel};
  return AM_OK;
}

am_err am_image_reserve(am_image *image, int64_t width, int64_t height, int64_t channels) {
  int64_t bytes = 0;
  AM_TRY(pixel_bytes(width, height, channels, &bytes));
  am_scratch memory = {.data = image->pixel, .bytes = image->room};
  if (!image->room) memory.bytes = (size_t)(image->width * image->height * image->channels);
  uint8_t *pixel = NULL;
  am_err err = am_scratch_get(&memory, (size_t)bytes, &pixel);
  *image = (am_image){.pixel = memory.data, .room = memory.bytes};
  if (err) return err;
  image->width = width;
  image->height = height;
  image->channels = channels;
  return AM_OK;
}

am_err am_image_copy(const am_image *in, am_image *out) {
  am_image copy = {0};
  AM_TRY(am_image_reserve(&copy, in->width, in->height, in->channels));
  memcpy(copy.pixel, in->pixel, (size_t)(in->width * in->height * in->channels));
  *out = copy;
  return AM_OK;
}

void am_image_fini(am_image *image) {
  free(image->pixel);
  *image = (am_image){0};
}

am_err am_image_read(const char *path, am_image *out) {
  char *data = NULL;
  size_t bytes = 0;
  AM_TRY(am_file_read(path, AM_IMAGE_FILE_BYTES, &data, &bytes));
  am_err err = am_image_decode(path, data, bytes, out);
  free(data);
  return err;
}

// In 16-bit fixed point.
static uint8_t luma(const uint8_t rgb[3]) {
  return (uint8_t)((rgb[0] * 19595u + rgb[1] * 38470u + rgb[2] * 7471u + 0x8000u) >> 16);
}

am_err am_image_part_to_grey(const am_image_part *in, am_image *out) {
  AM_CHECK(in->channels == 3, AM_ERR_ARG, "cannot make grey of %lld channels", (long long)in->channels);
  AM_TRY(am_image_reserve(out, in->width, in->height, 1));
  for (int64_t y = 0; y < in->height; y++) {
    const uint8_t *from = in->pixel + y * in->stride;
    uint8_t *to = out->pixel + y * in->width;
    for (int64_t x = 0; x < in->width; x++) to[x] = luma(from + 3 * x);
  }
  return AM_OK;
}

am_err am_image_to_grey(const am_image *in, am_image *out) {
  if (in->channels == 1) return am_image_copy(in, out);
  am_image_part whole = am_image_whole(in);
  am_image grey = {0};
  AM_TRY(am_image_part_to_grey(&whole, &grey));
  *out = grey;
  return AM_OK;
}

am_err am_image_read_grey(const char *path, am_image *out) {
  am_image rgb = {0};
  AM_TRY(am_image_read(path, &rgb));
  am_err err = am_image_to_grey(&rgb, out);
  am_image_fini(&rgb);
  return err;
}

am_err am_image_write_png(const char *path, const am_image *image) {
  uint8_t *bytes = NULL;
  size_t count = 0;
  AM_TRY(am_image_encode_png(image, &bytes, &count));
  am_err err = am_file_write(path, bytes, count);
  free(bytes);
  return err;
}

// Copies `image` with its upper left corner at (left, top) of `sheet`.
static void paste(const am_image *image, am_image *sheet, int64_t left, int64_t top) {
  size_t row_bytes = (size_t)(image->width * image->channels);
  for (int64_t y = 0; y < image->height; y++) {
    memcpy(sheet->pixel + ((top + y) * sheet->width + left) * sheet->channels,
           image->pixel + (size_t)y * row_bytes, row_bytes);
  }
}

am_err am_image_grid(const am_image *images, int64_t count, int64_t columns, int64_t gap, am_image *out) {
  AM_CHECK(count > 0 && columns > 0 && gap >= 0, AM_ERR_ARG, "a grid of %lld images in %lld columns",
           (long long)count, (long long)columns);
  const am_image *first = &images[0];
  for (int64_t i = 1; i < count; i++) {
    const am_image *image = &images[i];
    AM_CHECK(
        image->width == first->width && image->height == first->height && image->channels == first->channels,
        AM_ERR_ARG, "image %lld of a grid is %lldx%lldx%lld, the first is %lldx%lldx%lld", (long long)i,
        (long long)image->width, (long long)image->height, (long long)image->channels,
        (long long)first->width, (long long)first->height, (long long)first->channels);
  }
  columns = am_min_i64(columns, count);
  int64_t rows = am_ceil_div(count, columns);
  int64_t step_x = first->width + gap, step_y = first->height + gap;
  am_image sheet = {0};
  AM_TRY(am_image_new(columns * step_x - gap, rows * step_y - gap, first->channels, &sheet));
  memset(sheet.pixel, 255, (size_t)(sheet.width * sheet.height * sheet.channels));
  for (int64_t i = 0; i < count; i++) paste(&images[i], &sheet, i % columns * step_x, i / columns * step_y);
  *out = sheet;
  return AM_OK;
}
