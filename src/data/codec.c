// Which codec: the first bytes decide, never the name.
#include "data/codec_internal.h"

#include <ctype.h>
#include <string.h>

#include "base/num.h"

am_err am_image_check_size(const char *name, int64_t width, int64_t height) {
  AM_CHECK(width > 0 && height > 0, AM_ERR_DATA, "%s: the image is %lld x %lld px", name, (long long)width,
           (long long)height);
  AM_CHECK(width <= AM_IMAGE_MAX_SIDE && height <= AM_IMAGE_MAX_SIDE && width * height <= AM_IMAGE_MAX_PIXELS,
           AM_ERR_DATA, "%s: the image is %lld x %lld px, the limits are %d px a side and %d megapixels",
           name, (long long)width, (long long)height, AM_IMAGE_MAX_SIDE, AM_IMAGE_MAX_PIXELS / 1000000);
  return AM_OK;
}

static bool starts_with(const uint8_t *bytes, size_t count, const char *magic, size_t magic_bytes) {
  return count >= magic_bytes && memcmp(bytes, magic, magic_bytes) == 0;
}
#define STARTS_WITH(magic) starts_with(bytes, count, magic, sizeof(magic) - 1)

// Formats that people do put into image folders, for a message that helps.
static const char *known_format(const uint8_t *bytes, size_t count) {
  if (STARTS_WITH("GIF8")) return "a GIF image";
  if (STARTS_WITH("RIFF") && count >= 12 && memcmp(bytes + 8, "WEBP", 4) == 0) return "a WebP image";
  if (STARTS_WITH("BM")) return "a BMP image";
  if (STARTS_WITH("II*\0") || STARTS_WITH("MM\0*")) return "a TIFF image";
  if (STARTS_WITH("\x89HDF")) return "an HDF5 file";
  if (count >= 12 && memcmp(bytes + 4, "ftyp", 4) == 0) return "a HEIF, AVIF or MP4 file";
  size_t printable = 0, look = count < 64 ? count : 64;
  for (size_t i = 0; i < look; i++) printable += isprint(bytes[i]) || isspace(bytes[i]);
  return printable == look ? "text" : "of an unknown kind";
}

static am_err not_an_image(const char *name, const uint8_t *bytes, size_t count) {
  AM_CHECK(count > 0, AM_ERR_DATA, "%s: the file is empty", name);
  return AM_FAIL(AM_ERR_DATA, "%s: not a JPEG or PNG image: it is %s", name, known_format(bytes, count));
}

static bool is_jpeg(const uint8_t *bytes, size_t count) { return STARTS_WITH("\xff\xd8\xff"); }
static bool is_png(const uint8_t *bytes, size_t count) { return STARTS_WITH("\x89PNG\r\n\x1a\n"); }

am_err am_image_decode(const char *name, const void *data, size_t count, am_image *out) {
  am_image image = {0};
  am_image_cut whole;
  if (is_jpeg(data, count)) {
    AM_TRY(am_jpeg_decode(name, data, count, NULL, &image, &whole));
  } else if (is_png(data, count)) {
    AM_TRY(am_png_decode(name, data, count, &image));
  } else {
    return not_an_image(name, data, count);
  }
  *out = image;
  return AM_OK;
}

am_err am_image_size(const char *name, const void *data, size_t count, int64_t *width, int64_t *height) {
  if (is_jpeg(data, count)) return am_jpeg_size(name, data, count, width, height);
  if (is_png(data, count)) return am_png_size(name, data, count, width, height);
  return not_an_image(name, data, count);
}

am_err am_image_decode_window(const char *name, const void *data, size_t count, const am_image_window *want,
                              am_image *memory, am_image_cut *out) {
  if (is_jpeg(data, count)) return am_jpeg_decode(name, data, count, want, memory, out);
  if (!is_png(data, count)) return not_an_image(name, data, count);
  AM_TRY(am_png_decode(name, data, count, memory));
  am_image_part whole = am_image_whole(memory), part;
  AM_TRY(am_image_part_of(&whole, want->left, want->top, want->width, want->height, &part));
  *out = (am_image_cut){part, {0, 0, (double)part.width, (double)part.height}, 1};
  return AM_OK;
}
