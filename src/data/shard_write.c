// Writing a shard: items are collected in memory, the file is built in memory around the images, one
// atomic write publishes it.
#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "data/h5.h"
#include "data/shard_format.h"

struct am_shard_writer {
  am_shard_desc desc;  // names are owned
  uint8_t *bytes;      // owned: the images
  int64_t byte_count, byte_capacity;
  int64_t count, capacity;            // items; the arrays below grow together
  uint64_t *end;                      // owned: where each image ends
  int32_t *label;                     // owned
  int64_t *index;                     // owned
  uint32_t *crc;                      // owned
  int64_t *column[AM_SHARD_COLUMNS];  // owned
};

static am_err check_desc(const am_shard_desc *d) {
  bool sized = d->height > 0 && d->width > 0 && d->channels > 0;
  AM_CHECK(sized || (d->height == 0 && d->width == 0 && d->channels == 0), AM_ERR_ARG,
           "a shard of %lld x %lld x %lld images: all sizes or none", (long long)d->height,
           (long long)d->width, (long long)d->channels);
  AM_CHECK(sized || d->encoding != AM_ENCODING_RAW, AM_ERR_ARG, "raw shards hold images of one size");
  AM_CHECK(d->column_count <= AM_SHARD_COLUMNS, AM_ERR_ARG, "%d provenance columns, at most %d",
           d->column_count, AM_SHARD_COLUMNS);
  for (int k = 0; k < d->column_count; k++) {
    AM_CHECK(strlen(d->column_name[k]) < AM_SHARD_NAME, AM_ERR_ARG,
             "the column name %s is longer than %d bytes", d->column_name[k], AM_SHARD_NAME - 1);
  }
  return AM_OK;
}

// The writer outlives the caller's strings.
static am_err own_names(am_shard_desc *d) {
  const char *const *class_name = d->class_name;
  const char *column_name[AM_SHARD_COLUMNS];
  char **own = NULL;
  memcpy(column_name, d->column_name, sizeof column_name);
  memset(d->column_name, 0, sizeof d->column_name);
  d->class_name = NULL;
  AM_TRY(AM_NEW_ARRAY(&own, d->class_count));
  d->class_name = (const char *const *)own;
  for (int64_t k = 0; k < d->class_count; k++) AM_TRY(am_mem_strdup(class_name[k], &own[k]));
  for (int k = 0; k < d->column_count; k++)
    AM_TRY(am_mem_strdup(column_name[k], (char **)&d->column_name[k]));
  return AM_OK;
}

am_err am_shard_writer_new(const am_shard_desc *desc, am_shard_writer **out) {
  am_shard_writer *w = NULL;
  AM_TRY(check_desc(desc));
  AM_TRY(AM_NEW(&w));
  w->desc = *desc;
  am_err err = own_names(&w->desc);
  if (err) {
    am_shard_writer_free(w);
    return err;
  }
  *out = w;
  return AM_OK;
}

void am_shard_writer_free(am_shard_writer *w) {
  if (!w) return;
  for (int64_t k = 0; w->desc.class_name && k < w->desc.class_count; k++) free((void *)w->desc.class_name[k]);
  free((void *)w->desc.class_name);
  for (int k = 0; k < w->desc.column_count; k++) {
    free((void *)w->desc.column_name[k]);
    free(w->column[k]);
  }
  free(w->bytes);
  free(w->end);
  free(w->label);
  free(w->index);
  free(w->crc);
  free(w);
}

// Room for one more item in every per-item array.
static am_err grow_items(am_shard_writer *w) {
  if (w->count < w->capacity) return AM_OK;
  int64_t target = w->capacity ? 2 * w->capacity : 64, have;
  have = w->capacity;
  AM_TRY(AM_GROW(&w->end, &have, target));
  have = w->capacity;
  AM_TRY(AM_GROW(&w->label, &have, target));
  have = w->capacity;
  AM_TRY(AM_GROW(&w->index, &have, target));
  have = w->capacity;
  AM_TRY(AM_GROW(&w->crc, &have, target));
  for (int k = 0; k < w->desc.column_count; k++) {
    have = w->capacity;
    AM_TRY(AM_GROW(&w->column[k], &have, target));
  }
  w->capacity = target;
  return AM_OK;
}

am_err am_shard_add(am_shard_writer *w, const void *bytes, size_t count, int32_t label, int64_t index,
                    const int64_t *column) {
  const am_shard_desc *d = &w->desc;
  int64_t raw_bytes = d->height * d->width * d->channels;
  AM_CHECK(d->encoding != AM_ENCODING_RAW || (int64_t)count == raw_bytes, AM_ERR_ARG,
           "a raw image of %zu bytes for a shard of %lld x %lld x %lld", count, (long long)d->height,
           (long long)d->width, (long long)d->channels);
  AM_CHECK(label >= -1 && label < d->class_count, AM_ERR_ARG, "label %d for a shard of %lld classes", label,
           (long long)d->class_count);
  AM_TRY(grow_items(w));
  AM_TRY(am_mem_grow_bytes(&w->bytes, &w->byte_capacity, w->byte_count + (int64_t)count));
  memcpy(w->bytes + w->byte_count, bytes, count);
  w->byte_count += (int64_t)count;
  w->end[w->count] = (uint64_t)w->byte_count;
  w->label[w->count] = label;
  w->index[w->count] = index;
  w->crc[w->count] = am_crc32c(0, bytes, count);
  for (int k = 0; k < d->column_count; k++) w->column[k][w->count] = column ? column[k] : -1;
  w->count++;
  return AM_OK;
}

am_err am_shard_add_image(am_shard_writer *w, const am_image *image, int32_t label, int64_t index,
                          const int64_t *column) {
  const am_shard_desc *d = &w->desc;
  AM_CHECK(d->height == 0 ||
               (image->height == d->height && image->width == d->width && image->channels == d->channels),
           AM_ERR_ARG, "an image of %lld x %lld x %lld for a shard of %lld x %lld x %lld",
           (long long)image->height, (long long)image->width, (long long)image->channels,
           (long long)d->height, (long long)d->width, (long long)d->channels);
  if (d->encoding == AM_ENCODING_RAW) {
    return am_shard_add(w, image->pixel, (size_t)(image->height * image->width * image->channels), label,
                        index, column);
  }
  enum { JPEG_QUALITY = 95 };
  uint8_t *bytes = NULL;
  size_t count = 0;
  AM_TRY(d->encoding == AM_ENCODING_JPEG ? am_image_encode_jpeg(image, JPEG_QUALITY, &bytes, &count)
                                         : am_image_encode_png(image, &bytes, &count));
  am_err err = am_shard_add(w, bytes, count, label, index, column);
  free(bytes);
  return err;
}

static am_err put_attributes(const am_shard_desc *d, am_h5 *f) {
  static const char *const encoding_name[] = AM_SHARD_ENCODING_NAMES;
  AM_TRY(am_h5_put_attr_text(f, "", AM_SHARD_ATTR_FORMAT, AM_SHARD_FORMAT));
  AM_TRY(am_h5_put_attr_text(f, "", AM_SHARD_ATTR_ENCODING, encoding_name[d->encoding]));
  AM_TRY(am_h5_put_attr_i64(f, "", AM_SHARD_ATTR_HEIGHT, d->height));
  AM_TRY(am_h5_put_attr_i64(f, "", AM_SHARD_ATTR_WIDTH, d->width));
  AM_TRY(am_h5_put_attr_i64(f, "", AM_SHARD_ATTR_CHANNELS, d->channels));
  AM_TRY(am_h5_put_attr_i64(f, "", AM_SHARD_ATTR_CLASSES, d->class_count));
  return am_h5_put_attr_texts(f, "", AM_SHARD_ATTR_CLASS_NAMES, d->class_name, d->class_count);
}

static am_err put_arrays(const am_shard_writer *w, am_h5 *f) {
  am_err err = AM_OK;
  uint64_t *offset = NULL;
  int64_t offsets = w->count + 1;
  AM_GO(done, AM_NEW_ARRAY(&offset, offsets));
  if (w->count) memcpy(offset + 1, w->end, (size_t)w->count * sizeof *offset);
  AM_GO(done, am_h5_put(f, AM_SHARD_OFFSET, AM_H5_U64, 1, &offsets, offset));
  AM_GO(done, am_h5_put(f, AM_SHARD_LABEL, AM_H5_I32, 1, &w->count, w->label));
  AM_GO(done, am_h5_put(f, AM_SHARD_INDEX, AM_H5_I64, 1, &w->count, w->index));
  AM_GO(done, am_h5_put(f, AM_SHARD_CRC, AM_H5_U32, 1, &w->count, w->crc));
  for (int k = 0; k < w->desc.column_count; k++) {
    AM_GO(done, am_h5_put(f, w->desc.column_name[k], AM_H5_I64, 1, &w->count, w->column[k]));
  }
  AM_GO(done, am_h5_put_borrowed(f, AM_SHARD_IMAGE_BYTES, AM_H5_U8, w->byte_count, w->bytes));
done:
  free(offset);
  return err;
}

am_err am_shard_publish(am_shard_writer *w, const char *path) {
  am_err err = AM_OK;
  am_h5 *f = NULL;
  AM_TRY(am_h5_create(&f));
  AM_GO(done, put_attributes(&w->desc, f));
  AM_GO(done, put_arrays(w, f));
  AM_GO(done, am_h5_publish(f, path));
done:
  am_h5_close(f);
  return err;
}
