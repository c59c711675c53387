// JPEG through libjpeg-turbo, with the settings Pillow uses: accurate integer DCT, smooth chroma
// upsampling, CMYK taken as Adobe writes it (inverted).
//
// libjpeg reports errors by a jump. Each job keeps everything that outlives the jump in one struct
// that the outer function owns; the guarded functions hold no resources of their own.
#include "data/codec_internal.h"

#include <setjmp.h>
#include <stdio.h>  // jpeglib.h needs FILE
#include <jpeglib.h>
#include <jerror.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

typedef struct {
  struct jpeg_error_mgr base;  // first: libjpeg hands this back to us
  jmp_buf escape;
  char message[JMSG_LENGTH_MAX];
} error_trap;

static void on_error(j_common_ptr info) {
  error_trap *trap = (error_trap *)info->err;
  info->err->format_message(info, trap->message);
  longjmp(trap->escape, 1);
}

static void give_up(j_common_ptr info, const char *why) {
  error_trap *trap = (error_trap *)info->err;
  snprintf(trap->message, sizeof trap->message, "%s", why);
  longjmp(trap->escape, 1);
}

// Warnings that mean pixels were invented are errors here; the others (stray bytes between markers,
// odd version numbers) leave the picture whole.
static void on_message(j_common_ptr info, int level) {
  if (level >= 0) return;
  switch (info->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
      give_up(info, "truncated: the picture data end too early");
      break;
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
    case JWRN_MUST_RESYNC:
      on_error(info);
      break;
  }
}

static struct jpeg_error_mgr *trap_errors(error_trap *trap) {
  struct jpeg_error_mgr *manager = jpeg_std_error(&trap->base);
  manager->error_exit = on_error;
  manager->emit_message = on_message;
  return manager;
}

typedef struct {
  struct jpeg_decompress_struct info;
  error_trap trap;
  struct jpeg_progress_mgr progress;
  const char *name;
  const am_image_window *want;  // borrowed; NULL: the whole image
  am_image *image;              // borrowed: holds what is decoded
  uint8_t *row;                 // owned: one line as libjpeg gives it
  am_image_cut cut;
  am_err err;  // of our own checks
} decode_job;

// A small progressive file can ask for thousands of passes over a large picture.
static void limit_scans(j_common_ptr info) {
  enum { MOST_SCANS = 500 };
  j_decompress_ptr d = (j_decompress_ptr)info;
  if (d->input_scan_number > MOST_SCANS) give_up(info, "more than 500 progressive scans");
}

// Pillow's CMYK to RGB on inverted ink: out = nk - c * nk / 255 with nk the stored black.
static uint8_t ink_to_light(uint8_t stored, uint8_t stored_black) {
  unsigned product = (255u - stored) * stored_black + 128u;
  return (uint8_t)(stored_black - ((product + (product >> 8)) >> 8));
}

static void store_row(const uint8_t *row, int channels, int64_t width, uint8_t *out) {
  for (int64_t x = 0; x < width; x++, row += channels, out += 3) {
    if (channels == 1) {
      out[0] = out[1] = out[2] = row[0];
    } else {
      for (int c = 0; c < 3; c++) out[c] = ink_to_light(row[c], row[3]);
    }
  }
}

static am_err read_shape(decode_job *job) {
  struct jpeg_decompress_struct *d = &job->info;
  AM_TRY(am_image_check_size(job->name, d->image_width, d->image_height));
  int n = d->num_components;
  AM_CHECK(n == 1 || n == 3 || n == 4, AM_ERR_DATA, "%s: a JPEG with %d components, expected 1, 3 or 4",
           job->name, n);
  d->out_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
  return AM_OK;
}

// How far the inverse DCT may reduce the window: 1, 2, 4 or 8.
static int reduction(const am_image_window *w) {
  int by = 1;
  if (w->out_width <= 0 || w->out_height <= 0) return 1;
  while (by < 8 && w->width >= 2 * by * AM_IMAGE_SPARE * w->out_width &&
         w->height >= 2 * by * AM_IMAGE_SPARE * w->out_height)
    by *= 2;
  return by;
}

// Pixels of the reduced image: those that the window touches, and where it lies in them.
typedef struct {
  int64_t first, end;
  double from, to;  // from `first`
} span;
static span reduce(int64_t at, int64_t length, int by) {
  span s = {.first = at / by, .end = am_ceil_div(at + length, by)};
  s.from = (double)at / by - (double)s.first;
  s.to = (double)(at + length) / by - (double)s.first;
  return s;
}

// Narrows the lines that come to the columns of the window, `skip` columns in. Smooth upsampling looks at the
// pixels beside a pixel, and not at all in very narrow pictures, so a few columns more are asked for.
static void narrow(struct jpeg_decompress_struct *d, span across, JDIMENSION *skip) {
  enum { BESIDE = 1, SMOOTH_PX = 16 };
  int64_t from = am_min_i64(across.first - BESIDE, (int64_t)d->output_width - SMOOTH_PX);
  int64_t to = am_max_i64(across.end + BESIDE, across.first + SMOOTH_PX);
  from = am_max_i64(from, 0);
  to = am_min_i64(to, d->output_width);
  JDIMENSION first = (JDIMENSION)from, width = (JDIMENSION)(to - from);
  if (from > 0 || to < d->output_width) jpeg_crop_scanline(d, &first, &width);
  *skip = (JDIMENSION)across.first - first;
}

// Whole lines as libjpeg gives them (from `skip` on), or of another number of components.
static void read_lines(decode_job *job, JDIMENSION skip, int64_t count) {
  struct jpeg_decompress_struct *d = &job->info;
  int64_t width = job->image->width;
  bool direct = d->output_components == 3 && d->output_width == (JDIMENSION)width;
  for (int64_t y = 0; y < count; y++) {
    uint8_t *out = job->image->pixel + y * width * 3;
    JSAMPROW target = direct ? out : job->row;
    if (jpeg_read_scanlines(d, &target, 1) != 1) give_up((j_common_ptr)d, "a line is missing");
    const uint8_t *from = job->row + (size_t)skip * (size_t)d->output_components;
    if (direct) continue;
    if (d->output_components == 3) {
      memcpy(out, from, (size_t)width * 3);
    } else {
      store_row(from, d->output_components, width, out);
    }
  }
}

static am_err check_window(const decode_job *job, const am_image_window *w) {
  int64_t width = job->info.image_width, height = job->info.image_height;
  AM_CHECK(w->left >= 0 && w->top >= 0 && w->width > 0 && w->height > 0 && w->left <= width - w->width &&
               w->top <= height - w->height,
           AM_ERR_ARG, "%s: a window of %lld x %lld px at (%lld, %lld) of an image of %lld x %lld px",
           job->name, (long long)w->width, (long long)w->height, (long long)w->left, (long long)w->top,
           (long long)width, (long long)height);
  return AM_OK;
}

// Only a picture that is read to its last line is known to be whole.
static am_err decode_lines(decode_job *job) {
  struct jpeg_decompress_struct *d = &job->info;
  am_image_window w = {.width = d->image_width, .height = d->image_height};
  if (job->want) w = *job->want;
  AM_TRY(check_window(job, &w));
  int by = reduction(&w);
  span across = reduce(w.left, w.width, by), down = reduce(w.top, w.height, by);
  JDIMENSION skip = 0;
  d->scale_num = 1;
  d->scale_denom = (unsigned)by;
  jpeg_start_decompress(d);
  narrow(d, across, &skip);
  AM_TRY(am_image_reserve(job->image, across.end - across.first, down.end - down.first, 3));
  AM_TRY(AM_NEW_ARRAY(&job->row, (int64_t)d->output_width * d->output_components));
  if (down.first > 0) jpeg_skip_scanlines(d, (JDIMENSION)down.first);
  read_lines(job, skip, down.end - down.first);
  if (d->output_scanline == d->output_height) jpeg_finish_decompress(d);
  job->cut = (am_image_cut){am_image_whole(job->image), {across.from, down.from, across.to, down.to}, by};
  return AM_OK;
}

// False: libjpeg gave up and trap.message says why, or job->err is set.
static bool decode_guarded(decode_job *job, const uint8_t *bytes, size_t count) {
  struct jpeg_decompress_struct *d = &job->info;
  if (setjmp(job->trap.escape)) return false;
  jpeg_create_decompress(d);
  job->progress.progress_monitor = limit_scans;
  d->progress = &job->progress;
  jpeg_mem_src(d, bytes, (unsigned long)count);
  jpeg_read_header(d, TRUE);
  job->err = read_shape(job);
  if (!job->err && job->image) job->err = decode_lines(job);
  return !job->err;
}

// Without job->image only the header is read.
static am_err run_job(decode_job *job, const uint8_t *bytes, size_t count) {
  job->info.err = trap_errors(&job->trap);
  bool good = decode_guarded(job, bytes, count);
  jpeg_destroy_decompress(&job->info);
  free(job->row);
  if (good) return AM_OK;
  if (job->image) am_image_fini(job->image);
  return job->err ? job->err
                  : AM_FAIL(AM_ERR_DATA, "%s: a damaged JPEG image: %s", job->name, job->trap.message);
}

am_err am_jpeg_decode(const char *name, const uint8_t *bytes, size_t count, const am_image_window *want,
                      am_image *out, am_image_cut *cut) {
  decode_job job = {.name = name, .want = want, .image = out};
  AM_TRY(run_job(&job, bytes, count));
  *cut = job.cut;
  return AM_OK;
}

am_err am_jpeg_size(const char *name, const uint8_t *bytes, size_t count, int64_t *width, int64_t *height) {
  decode_job job = {.name = name};
  AM_TRY(run_job(&job, bytes, count));
  *width = job.info.image_width;
  *height = job.info.image_height;
  return AM_OK;
}

typedef struct {
  struct jpeg_compress_struct info;
  error_trap trap;
  unsigned char *bytes;  // owned: libjpeg's buffer
  unsigned long count;
} encode_job;

static bool encode_guarded(encode_job *job, const am_image *image, int quality) {
  struct jpeg_compress_struct *c = &job->info;
  if (setjmp(job->trap.escape)) return false;
  jpeg_create_compress(c);
  jpeg_mem_dest(c, &job->bytes, &job->count);
  c->image_width = (JDIMENSION)image->width;
  c->image_height = (JDIMENSION)image->height;
  c->input_components = (int)image->channels;
  c->in_color_space = image->channels == 1 ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(c);
  jpeg_set_quality(c, quality, TRUE);
  jpeg_start_compress(c, TRUE);
  while (c->next_scanline < c->image_height) {
    JSAMPROW row = image->pixel + (size_t)c->next_scanline * (size_t)(image->width * image->channels);
    jpeg_write_scanlines(c, &row, 1);
  }
  jpeg_finish_compress(c);
  return true;
}

am_err am_image_encode_jpeg(const am_image *image, int quality, uint8_t **bytes, size_t *count) {
  AM_CHECK(image->channels == 1 || image->channels == 3, AM_ERR_ARG, "cannot write %lld channels as JPEG",
           (long long)image->channels);
  AM_CHECK(quality >= 1 && quality <= 100, AM_ERR_ARG, "JPEG quality is %d, expected 1 to 100", quality);
  AM_TRY(am_image_check_size("JPEG", image->width, image->height));
  encode_job job = {0};
  job.info.err = trap_errors(&job.trap);
  bool good = encode_guarded(&job, image, quality);
  jpeg_destroy_compress(&job.info);
  if (!good) {
    free(job.bytes);
    return AM_FAIL(AM_ERR_NOMEM, "cannot encode a JPEG image: %s", job.trap.message);
  }
  *bytes = job.bytes;
  *count = job.count;
  return AM_OK;
}
