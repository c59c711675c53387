// PNG through libpng. Every kind of PNG becomes RGB: samples below 8 bit are scaled up, 16 bit keep
// the high byte, palettes are looked up (an index outside the palette is black), alpha and tRNS are
// dropped, gamma is ignored.
//
// libpng reports errors by a jump: what outlives it is in a job struct that the outer function owns.
#include "data/codec_internal.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { MESSAGE_BYTES = 256 };

typedef struct {
  png_structp png;  // owned
  png_infop info;   // owned
  const char *name;
  const uint8_t *bytes;  // borrowed
  size_t count, used;
  am_image stored;  // owned: one channel (grey, palette index) or three
  png_bytep *row;   // owned: pointers into stored
  am_err err;       // of our own checks
  char message[MESSAGE_BYTES];
} decode_job;

static void keep_message(char message[MESSAGE_BYTES], const char *text) {
  snprintf(message, MESSAGE_BYTES, "%s", text);
}
static void on_decode_error(png_structp png, png_const_charp text) {
  decode_job *job = png_get_error_ptr(png);
  keep_message(job->message, text);
  png_longjmp(png, 1);
}
// Warnings concern chunks we do not use, or were repaired by libpng without touching pixels.
static void on_warning(png_structp png, png_const_charp text) {}

static void read_bytes(png_structp png, png_bytep out, size_t want) {
  decode_job *job = png_get_io_ptr(png);
  if (want > job->count - job->used) png_error(png, "truncated: the data end too early");
  memcpy(out, job->bytes + job->used, want);
  job->used += want;
}

static am_err prepare_rows(decode_job *job) {
  int64_t width = png_get_image_width(job->png, job->info),
          height = png_get_image_height(job->png, job->info);
  int channels = png_get_channels(job->png, job->info);
  AM_CHECK(
      (channels == 1 || channels == 3) && png_get_rowbytes(job->png, job->info) == (size_t)(width * channels),
      AM_ERR_INTERNAL, "%s: libpng gives %d channels in rows of %zu bytes", job->name, channels,
      png_get_rowbytes(job->png, job->info));
  AM_TRY(am_image_new(width, height, channels, &job->stored));
  AM_TRY(AM_NEW_ARRAY(&job->row, height));
  for (int64_t y = 0; y < height; y++) job->row[y] = job->stored.pixel + y * width * channels;
  return AM_OK;
}

// False: libpng gave up and job->message says why, or job->err is set.
static bool decode_guarded(decode_job *job) {
  png_structp png = job->png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_read_fn(png, job, read_bytes);
  png_read_info(png, job->info);
  png_set_strip_16(png);
  png_set_strip_alpha(png);
  if (png_get_color_type(png, job->info) == PNG_COLOR_TYPE_GRAY) png_set_expand_gray_1_2_4_to_8(png);
  png_set_packing(png);  // palette indices one to a byte
  png_set_interlace_handling(png);
  png_read_update_info(png, job->info);
  job->err = prepare_rows(job);
  if (job->err) return false;
  png_read_image(png, job->row);
  png_read_end(png, NULL);
  return true;
}

// One stored channel to RGB: grey is repeated, an index is looked up.
static am_err spread_channel(decode_job *job, am_image *out) {
  uint8_t table[256][3] = {{0}};
  png_colorp palette = NULL;
  int palette_count = 0;
  bool indexed = png_get_color_type(job->png, job->info) == PNG_COLOR_TYPE_PALETTE;
  if (indexed) png_get_PLTE(job->png, job->info, &palette, &palette_count);
  for (int i = 0; i < 256; i++) {
    if (!indexed) {
      memset(table[i], i, 3);
    } else if (i < palette_count) {
      table[i][0] = palette[i].red;
      table[i][1] = palette[i].green;
      table[i][2] = palette[i].blue;
    }
  }
  AM_TRY(am_image_reserve(out, job->stored.width, job->stored.height, 3));
  for (int64_t i = 0; i < out->width * out->height; i++)
    memcpy(out->pixel + 3 * i, table[job->stored.pixel[i]], 3);
  return AM_OK;
}

static int64_t read_be32(const uint8_t *p) {
  return (int64_t)p[0] << 24 | (int64_t)p[1] << 16 | (int64_t)p[2] << 8 | (int64_t)p[3];
}

// The header is always the first chunk: its sizes are judged before libpng sees them.
am_err am_png_size(const char *name, const uint8_t *bytes, size_t count, int64_t *width, int64_t *height) {
  enum { WIDTH = 16, HEIGHT = 20, HEADER_END = 24 };
  AM_CHECK(count >= HEADER_END, AM_ERR_DATA, "%s: a damaged PNG image: truncated: the data end too early",
           name);
  AM_TRY(am_image_check_size(name, read_be32(bytes + WIDTH), read_be32(bytes + HEIGHT)));
  *width = read_be32(bytes + WIDTH);
  *height = read_be32(bytes + HEIGHT);
  return AM_OK;
}

am_err am_png_decode(const char *name, const uint8_t *bytes, size_t count, am_image *out) {
  decode_job job = {.name = name, .bytes = bytes, .count = count};
  int64_t width = 0, height = 0;
  AM_TRY(am_png_size(name, bytes, count, &width, &height));
  job.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &job, on_decode_error, on_warning);
  if (job.png) job.info = png_create_info_struct(job.png);
  am_err err = AM_OK;
  AM_CHECK_GO(done, job.info, AM_ERR_NOMEM, "out of memory: cannot start libpng");
  if (!decode_guarded(&job)) {
    err = job.err ? job.err : AM_FAIL(AM_ERR_DATA, "%s: a damaged PNG image: %s", name, job.message);
    goto done;
  }
  if (job.stored.channels == 3) {
    am_image_fini(out);
    *out = job.stored;
    job.stored = (am_image){0};
  } else {
    AM_GO(done, spread_channel(&job, out));
  }
done:
  png_destroy_read_struct(&job.png, &job.info, NULL);
  free(job.row);
  am_image_fini(&job.stored);
  return err;
}

typedef struct {
  png_structp png;  // owned
  png_infop info;   // owned
  uint8_t *bytes;   // owned until handed over
  int64_t count, capacity;
  char message[MESSAGE_BYTES];
} encode_job;

static void on_encode_error(png_structp png, png_const_charp text) {
  encode_job *job = png_get_error_ptr(png);
  keep_message(job->message, text);
  png_longjmp(png, 1);
}
static void write_bytes(png_structp png, png_bytep data, size_t bytes) {
  encode_job *job = png_get_io_ptr(png);
  if (AM_GROW(&job->bytes, &job->capacity, job->count + (int64_t)bytes)) png_error(png, "out of memory");
  memcpy(job->bytes + job->count, data, bytes);
  job->count += (int64_t)bytes;
}
static void flush_nothing(png_structp png) {}

static bool encode_guarded(encode_job *job, const am_image *image) {
  png_structp png = job->png;
  if (setjmp(png_jmpbuf(png))) return false;
  png_set_write_fn(png, job, write_bytes, flush_nothing);
  png_set_IHDR(png, job->info, (png_uint_32)image->width, (png_uint_32)image->height, 8,
               image->channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(png, job->info);
  for (int64_t y = 0; y < image->height; y++) {
    png_write_row(png, image->pixel + (size_t)(y * image->width * image->channels));
  }
  png_write_end(png, NULL);
  return true;
}

am_err am_image_encode_png(const am_image *image, uint8_t **bytes, size_t *count) {
  AM_CHECK(image->channels == 1 || image->channels == 3, AM_ERR_ARG, "cannot write %lld channels as PNG",
           (long long)image->channels);
  am_err err = AM_OK;
  encode_job job = {0};
  job.png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &job, on_encode_error, on_warning);
  if (job.png) job.info = png_create_info_struct(job.png);
  AM_CHECK_GO(done, job.info, AM_ERR_NOMEM, "out of memory: cannot start libpng");
  AM_CHECK_GO(done, encode_guarded(&job, image), AM_ERR_NOMEM, "cannot encode a PNG image: %s", job.message);
  *bytes = job.bytes;
  *count = (size_t)job.count;
  job.bytes = NULL;
done:
  png_destroy_write_struct(&job.png, &job.info);
  free(job.bytes);
  return err;
}
