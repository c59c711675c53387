#include "data/packed.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "data/codec_internal.h"
#include "data/packed_file.h"

enum { IDX_BYTE = 8, IMAGE_DIMS = 3, LABEL_DIMS = 1 };

struct am_packed {
  am_packed_desc desc;  // with the sizes that an idx file states
  am_packed_file images;
  int64_t count;
  int64_t first_at, stride;  // image i begins at first_at + i * stride
  int64_t image_bytes;
  int32_t *label;  // owned (count), NULL: none
};

// ---- headers ----

static int64_t big_endian(const uint8_t *p) {
  return (int64_t)((uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3]);
}

// The dimensions of an idx file, and nothing behind its last byte.
static am_err read_idx(am_packed_file *f, int dims, int64_t size[], int64_t *data_at) {
  uint8_t head[4 + 4 * IMAGE_DIMS];
  int64_t bytes = 1;
  am_str why = {0};
  *data_at = 4 + 4 * dims;
  AM_TRY(am_packed_file_head(f, (size_t)*data_at, head));
  AM_CHECK(
      head[0] == 0 && head[1] == 0 && head[2] == IDX_BYTE && head[3] == dims, AM_ERR_DATA,
      "%s: begins with %02x %02x %02x %02x, expected 00 00 08 %02x (idx, unsigned bytes, %d dimension%s)",
      f->name, head[0], head[1], head[2], head[3], (unsigned)dims, dims, dims == 1 ? "" : "s");
  am_err err = am_str_printf(&why, "its header says ");
  for (int d = 0; d < dims && !err; d++) {
    size[d] = big_endian(head + 4 + 4 * d);
    err = am_str_printf(&why, "%s%lld", d ? " x " : "", (long long)size[d]);
    if (!err && !am_mul_i64(bytes, size[d], &bytes))
      err = AM_FAIL(AM_ERR_DATA, "%s: %s bytes, more than any file holds", f->name, am_str_get(&why));
  }
  if (!err && !am_add_i64(bytes, *data_at, &bytes))
    err = AM_FAIL(AM_ERR_DATA, "%s: %s bytes, more than any file holds", f->name, am_str_get(&why));
  if (!err) err = am_packed_file_expect(f, bytes, am_str_get(&why));
  am_str_fini(&why);
  return err;
}

static am_err open_idx(am_packed *p) {
  int64_t size[IMAGE_DIMS];
  AM_TRY(read_idx(&p->images, IMAGE_DIMS, size, &p->first_at));
  p->count = size[0];
  p->desc.height = size[1];
  p->desc.width = size[2];
  p->desc.channels = 1;
  p->image_bytes = p->stride = size[1] * size[2];
  return am_image_check_size(p->images.name, p->desc.width, p->desc.height);
}

static am_err open_records(am_packed *p) {
  const am_packed_desc *d = &p->desc;
  AM_TRY(am_image_check_size(p->images.name, d->width, d->height));
  p->image_bytes = d->channels * d->height * d->width;
  p->stride = d->label_bytes + p->image_bytes;
  p->first_at = d->label_bytes;
  p->count = p->images.bytes / p->stride;
  AM_CHECK(p->images.bytes % p->stride == 0, AM_ERR_DATA,
           "%s: %lld bytes are not a whole number of records of %lld + %lld bytes: %lld are left over",
           p->images.name, (long long)p->images.bytes, (long long)d->label_bytes, (long long)p->image_bytes,
           (long long)(p->images.bytes % p->stride));
  return AM_OK;
}

// ---- labels ----

static am_err set_label(am_packed *p, const char *file, int64_t i, int64_t stored) {
  const am_packed_desc *d = &p->desc;
  int64_t k = stored - d->first_label;
  AM_CHECK(k >= 0 && k < d->class_count, AM_ERR_DATA,
           "%s: the label of image %lld is %lld, expected %lld to %lld", file, (long long)i,
           (long long)stored, (long long)d->first_label, (long long)(d->first_label + d->class_count - 1));
  p->label[i] = (int32_t)k;
  return AM_OK;
}

static am_err labels_in_records(am_packed *p) {
  AM_TRY(AM_NEW_ARRAY(&p->label, p->count));
  for (int64_t i = 0; i < p->count; i++) {
    uint8_t stored = 0;
    AM_TRY(am_packed_file_read(&p->images, i * p->stride + p->desc.label_at, 1, &stored));
    AM_TRY(set_label(p, p->images.name, i, stored));
  }
  return AM_OK;
}

// One byte for each image, behind an idx header or on their own.
static am_err labels_in_file(am_packed *p, am_packed_file *f) {
  am_err err = AM_OK;
  int64_t count = f->bytes, data_at = 0;
  uint8_t *stored = NULL;
  if (p->desc.kind == AM_PACKED_IDX) AM_TRY(read_idx(f, LABEL_DIMS, &count, &data_at));
  AM_CHECK(count == p->count, AM_ERR_DATA, "%s holds %lld labels, but %s %lld images", f->name,
           (long long)count, p->images.name, (long long)p->count);
  AM_GO(done, AM_NEW_ARRAY(&stored, count));
  AM_GO(done, am_packed_file_read(f, data_at, (size_t)count, stored));
  AM_GO(done, AM_NEW_ARRAY(&p->label, count));
  for (int64_t i = 0; i < count; i++) AM_GO(done, set_label(p, f->name, i, stored[i]));
done:
  free(stored);
  return err;
}

// ---- opening ----

static bool may_be_gzip(const am_packed_desc *d) { return d->kind == AM_PACKED_IDX; }

// Takes both files whatever happens; labels NULL: no such file.
static am_err open_files(const am_packed_desc *desc, am_packed_file images_take, am_packed_file *labels_take,
                         am_packed **out) {
  am_err err = AM_OK;
  am_packed *p = NULL;
  AM_GO(done, AM_NEW(&p));
  p->desc = *desc;
  p->images = images_take;
  images_take = (am_packed_file){.fd = -1};
  AM_GO(done, desc->kind == AM_PACKED_IDX ? open_idx(p) : open_records(p));
  AM_CHECK_GO(done, p->count <= INT32_MAX, AM_ERR_DATA, "%s: %lld images, at most %d can be used",
              p->images.name, (long long)p->count, INT32_MAX);
  if (labels_take) {
    AM_GO(done, labels_in_file(p, labels_take));
  } else if (p->desc.label_bytes) {
    AM_GO(done, labels_in_records(p));
  }
  *out = p;
  p = NULL;
done:
  am_packed_close(p);
  am_packed_file_fini(&images_take);
  if (labels_take) am_packed_file_fini(labels_take);
  return err;
}

am_err am_packed_open(const am_packed_desc *desc, const char *images, const char *labels, am_packed **out) {
  am_packed_file image_file = {.fd = -1}, label_file = {.fd = -1};
  AM_TRY(am_packed_file_open(images, may_be_gzip(desc), &image_file));
  am_err err = labels ? am_packed_file_open(labels, may_be_gzip(desc), &label_file) : AM_OK;
  if (!err) return open_files(desc, image_file, labels ? &label_file : NULL, out);
  am_packed_file_fini(&image_file);
  return err;
}

am_err am_packed_parse(const am_packed_desc *desc, const void *images, size_t image_bytes, const void *labels,
                       size_t label_bytes, am_packed **out) {
  am_packed_file image_file = {.fd = -1}, label_file = {.fd = -1};
  AM_TRY(am_packed_file_copy("images", images, image_bytes, may_be_gzip(desc), &image_file));
  am_err err =
      labels ? am_packed_file_copy("labels", labels, label_bytes, may_be_gzip(desc), &label_file) : AM_OK;
  if (!err) return open_files(desc, image_file, labels ? &label_file : NULL, out);
  am_packed_file_fini(&image_file);
  return err;
}

void am_packed_close(am_packed *p) {
  if (!p) return;
  am_packed_file_fini(&p->images);
  free(p->label);
  free(p);
}

// ---- images ----

int64_t am_packed_count(const am_packed *p) { return p->count; }
int32_t am_packed_label(const am_packed *p, int64_t i) { return p->label ? p->label[i] : -1; }

// Planes of bytes -> interleaved RGB.
static void interleave(const am_packed_desc *d, const uint8_t *plane, uint8_t *rgb) {
  int64_t pixels = d->height * d->width, step = d->channels == 1 ? 0 : pixels;
  for (int64_t y = 0; y < d->height; y++) {
    for (int64_t x = 0; x < d->width; x++, rgb += 3) {
      const uint8_t *at = plane + (d->transposed ? x * d->height + y : y * d->width + x);
      for (int c = 0; c < 3; c++) rgb[c] = at[c * step];
    }
  }
}

am_err am_packed_image(const am_packed *p, int64_t i, am_image *out) {
  am_err err = AM_OK;
  am_image image = {0};
  uint8_t *plane = NULL;
  AM_CHECK(i >= 0 && i < p->count, AM_ERR_ARG, "%s: image %lld of %lld", p->images.name, (long long)i,
           (long long)p->count);
  AM_GO(done, AM_NEW_ARRAY(&plane, p->image_bytes));
  AM_GO(done, am_packed_file_read(&p->images, p->first_at + i * p->stride, (size_t)p->image_bytes, plane));
  AM_GO(done, am_image_new(p->desc.width, p->desc.height, 3, &image));
  interleave(&p->desc, plane, image.pixel);
  *out = image;
done:
  free(plane);
  return err;
}

am_err am_packed_hash(const am_packed *p, int64_t i, char hex[65]) {
  am_err err = AM_OK;
  am_image image = {0};
  am_sha256 *h = NULL;
  char size[64];
  AM_GO(done, am_packed_image(p, i, &image));
  AM_GO(done, am_sha256_new(&h));
  int n = snprintf(size, sizeof size, "rgb %lld x %lld\n", (long long)image.width, (long long)image.height);
  AM_GO(done, am_sha256_update(h, size, (size_t)n));
  AM_GO(done, am_sha256_update(h, image.pixel, (size_t)(image.width * image.height * image.channels)));
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  am_image_fini(&image);
  return err;
}
