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
  am_image image;  // owned until handed over
  uint8_t *row;    // owned: one line as libjpeg gives it
  am_err err;      // of our own checks
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

static am_err prepare_rows(decode_job *job) {
  struct jpeg_decompress_struct *d = &job->info;
  AM_TRY(am_image_check_size(job->name, d->image_width, d->image_height));
  int n = d->num_components;
  AM_CHECK(n == 1 || n == 3 || n == 4, AM_ERR_DATA, "%s: a JPEG with %d components, expected 1, 3 or 4",
           job->name, n);
  d->out_color_space = n == 1 ? JCS_GRAYSCALE : n == 3 ? JCS_RGB : JCS_CMYK;
  AM_TRY(am_image_new(d->image_width, d->image_height, 3, &job->image));
  return AM_NEW_ARRAY(&job->row, (int64_t)d->image_width * n);
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
  job->err = prepare_rows(job);
  if (job->err) return false;
  jpeg_start_decompress(d);
  while (d->output_scanline < d->output_height) {
    uint8_t *out = job->image.pixel + (size_t)d->output_scanline * d->output_width * 3;
    JSAMPROW target = d->output_components == 3 ? out : job->row;
    jpeg_read_scanlines(d, &target, 1);
    if (d->output_components != 3) store_row(job->row, d->output_components, d->output_width, out);
  }
  jpeg_finish_decompress(d);
  return true;
}

am_err am_jpeg_decode(const char *name, const uint8_t *bytes, size_t count, am_image *out) {
  decode_job job = {.name = name};
  job.info.err = trap_errors(&job.trap);
  bool good = decode_guarded(&job, bytes, count);
  jpeg_destroy_decompress(&job.info);
  free(job.row);
  if (good) {
    *out = job.image;
    return AM_OK;
  }
  am_image_fini(&job.image);
  return job.err ? job.err : AM_FAIL(AM_ERR_DATA, "%s: a damaged JPEG image: %s", name, job.trap.message);
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
