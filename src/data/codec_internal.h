// What codec.c asks of the two codecs. Both check their limits before they allocate.
#ifndef AM_DATA_CODEC_INTERNAL_H
#define AM_DATA_CODEC_INTERNAL_H

#include "data/image.h"

enum { AM_IMAGE_MAX_SIDE = 65500, AM_IMAGE_MAX_PIXELS = 100 * 1000 * 1000 };

am_err am_image_check_size(const char *name, int64_t width, int64_t height);
// From the header alone; checked.
am_err am_jpeg_size(const char *name, const uint8_t *bytes, size_t count, int64_t *width, int64_t *height);
am_err am_png_size(const char *name, const uint8_t *bytes, size_t count, int64_t *width, int64_t *height);
// want NULL: the whole image, at its size. Uses the memory of *out, which is left without an image on errors.
am_err am_jpeg_decode(const char *name, const uint8_t *bytes, size_t count, const am_image_window *want,
                      am_image *out, am_image_cut *cut);
am_err am_png_decode(const char *name, const uint8_t *bytes, size_t count, am_image *out);

#endif
