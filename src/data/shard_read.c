// Reading a shard: metadata is loaded and checked on open, image bytes are mapped.
#include "data/shard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/h5.h"
#include "data/shard_format.h"

struct am_shard {
  char *path;          // owned
  am_shard_desc desc;  // its names point into class_name and column_name
  char **class_name;   // owned
  int64_t count;
  uint64_t *offset;                     // owned (count + 1)
  int32_t *label;                       // owned
  int64_t *index;                       // owned
  uint32_t *crc;                        // owned
  char *column_name[AM_SHARD_COLUMNS];  // owned
  int64_t *column[AM_SHARD_COLUMNS];    // owned
  atomic_uchar *checked;                // owned: 1 once an image's CRC was found right
  const uint8_t *bytes;                 // the images: in the map or in `loaded`
  void *map;                            // owned
  size_t map_bytes;
  uint8_t *loaded;  // owned: where the file has no contiguous run
};

void am_shard_close(am_shard *s) {
  if (!s) return;
  if (s->map) munmap(s->map, s->map_bytes);
  free(s->loaded);
  am_h5_free_texts(s->class_name, s->desc.class_count);
  for (int k = 0; k < AM_SHARD_COLUMNS; k++) {
    free(s->column_name[k]);
    free(s->column[k]);
  }
  free(s->offset);
  free(s->label);
  free(s->index);
  free(s->crc);
  free(s->checked);
  free(s->path);
  free(s);
}

static am_err read_encoding(am_h5 *f, am_shard *s) {
  static const char *const name[] = AM_SHARD_ENCODING_NAMES;
  char *text = NULL;
  AM_TRY(am_h5_get_attr_text(f, "", AM_SHARD_ATTR_ENCODING, &text));
  int k = 0;
  while (k < AM_COUNT_OF(name) && strcmp(text, name[k]) != 0) k++;
  am_err err = k < AM_COUNT_OF(name)
                   ? AM_OK
                   : AM_FAIL(AM_ERR_DATA, "%s: unknown encoding \"%s\", expected raw, png, jpeg or files",
                             s->path, text);
  free(text);
  if (!err) s->desc.encoding = (am_encoding)k;
  return err;
}

static am_err read_format(am_h5 *f, const char *path) {
  char *text = NULL;
  AM_CHECK(am_h5_has_attr(f, "", AM_SHARD_ATTR_FORMAT), AM_ERR_DATA,
           "%s: not a shard: an HDF5 file without the attribute \"" AM_SHARD_ATTR_FORMAT "\"", path);
  AM_TRY(am_h5_get_attr_text(f, "", AM_SHARD_ATTR_FORMAT, &text));
  am_err err = strcmp(text, AM_SHARD_FORMAT) == 0
                   ? AM_OK
                   : AM_FAIL(AM_ERR_DATA, "%s: format \"%s\", expected \"" AM_SHARD_FORMAT "\"", path, text);
  free(text);
  return err;
}

static am_err read_attributes(am_h5 *f, am_shard *s) {
  am_shard_desc *d = &s->desc;
  int64_t classes = 0;
  AM_TRY(read_format(f, s->path));
  AM_TRY(read_encoding(f, s));
  AM_TRY(am_h5_get_attr_i64(f, "", AM_SHARD_ATTR_HEIGHT, &d->height));
  AM_TRY(am_h5_get_attr_i64(f, "", AM_SHARD_ATTR_WIDTH, &d->width));
  AM_TRY(am_h5_get_attr_i64(f, "", AM_SHARD_ATTR_CHANNELS, &d->channels));
  AM_TRY(am_h5_get_attr_i64(f, "", AM_SHARD_ATTR_CLASSES, &classes));
  AM_TRY(am_h5_get_attr_texts(f, "", AM_SHARD_ATTR_CLASS_NAMES, &s->class_name, &d->class_count));
  d->class_name = (const char *const *)s->class_name;
  AM_CHECK(classes == d->class_count, AM_ERR_DATA, "%s: %lld classes but %lld class names", s->path,
           (long long)classes, (long long)d->class_count);
  int64_t pixels = 0;
  bool sized = d->height > 0 && d->width > 0 && d->channels > 0 && am_mul_i64(d->height, d->width, &pixels) &&
               am_mul_i64(pixels, d->channels, &pixels);
  bool unsized = d->height == 0 && d->width == 0 && d->channels == 0 && d->encoding != AM_ENCODING_RAW;
  AM_CHECK(sized || unsized, AM_ERR_DATA, "%s: images of %lld x %lld x %lld cannot be", s->path,
           (long long)d->height, (long long)d->width, (long long)d->channels);
  return AM_OK;
}

// One 1-D array with `want` items (-1: any number, handed out through *count).
static am_err read_items(am_h5 *f, const char *path, const char *name, am_h5_type type, int64_t want,
                         void *data, int64_t *count) {
  am_h5_info info;
  AM_TRY(am_h5_get(f, name, type, 1, &info, data));
  if (count) *count = info.count;
  AM_CHECK(want < 0 || info.count == want, AM_ERR_DATA, "%s: \"%s\" has %lld items, expected %lld", path,
           name, (long long)info.count, (long long)want);
  return AM_OK;
}

static bool is_standard(const char *name) {
  static const char *const standard[] = {AM_SHARD_IMAGE_BYTES, AM_SHARD_OFFSET, AM_SHARD_LABEL,
                                         AM_SHARD_INDEX, AM_SHARD_CRC};
  for (int k = 0; k < AM_COUNT_OF(standard); k++) {
    if (strcmp(name, standard[k]) == 0) return true;
  }
  return false;
}

// Any other i64 array with one value per image is provenance; what else a file holds is not ours.
static am_err read_columns(am_h5 *f, am_shard *s) {
  am_err err = AM_OK;
  char **name = NULL;
  int64_t names = 0;
  AM_TRY(am_h5_list(f, "", &name, &names));
  for (int64_t i = 0; i < names; i++) {
    am_h5_info info;
    if (is_standard(name[i]) || strlen(name[i]) >= AM_SHARD_NAME || am_h5_is_group(f, name[i])) continue;
    AM_GO(done, am_h5_describe(f, name[i], &info));
    if (info.type != AM_H5_I64 || info.ndim != 1 || info.count != s->count) continue;
    int k = s->desc.column_count;
    AM_CHECK_GO(done, k < AM_SHARD_COLUMNS, AM_ERR_DATA, "%s: more than %d provenance columns", s->path,
                AM_SHARD_COLUMNS);
    AM_GO(done, am_h5_get(f, name[i], AM_H5_I64, 1, NULL, &s->column[k]));
    s->column_name[k] = name[i];
    s->desc.column_name[k] = name[i];
    s->desc.column_count++;
    name[i] = NULL;
  }
done:
  am_h5_free_texts(name, names);
  return err;
}

static am_err check_items(const am_shard *s, int64_t total) {
  const am_shard_desc *d = &s->desc;
  uint64_t raw_bytes = (uint64_t)(d->height * d->width * d->channels);
  AM_CHECK(s->offset[0] == 0 && s->offset[s->count] == (uint64_t)total, AM_ERR_DATA,
           "%s: offsets run from %llu to %llu, the images have %lld bytes", s->path,
           (unsigned long long)s->offset[0], (unsigned long long)s->offset[s->count], (long long)total);
  for (int64_t i = 0; i < s->count; i++) {
    uint64_t from = s->offset[i], to = s->offset[i + 1];
    AM_CHECK(from <= to && to <= (uint64_t)total, AM_ERR_DATA,
             "%s: image %lld has the offsets %llu to %llu of %lld bytes", s->path, (long long)i,
             (unsigned long long)from, (unsigned long long)to, (long long)total);
    AM_CHECK(d->encoding != AM_ENCODING_RAW || to - from == raw_bytes, AM_ERR_DATA,
             "%s: raw image %lld has %llu bytes, expected %llu", s->path, (long long)i,
             (unsigned long long)(to - from), (unsigned long long)raw_bytes);
    AM_CHECK(s->label[i] >= -1 && s->label[i] < d->class_count, AM_ERR_DATA,
             "%s: image %lld has label %d of %lld classes", s->path, (long long)i, s->label[i],
             (long long)d->class_count);
  }
  return AM_OK;
}

static am_err map_bytes(am_shard *s, int64_t offset, int64_t total) {
  int fd = open(s->path, O_RDONLY | O_CLOEXEC);
  AM_CHECK(fd >= 0, AM_ERR_IO, "cannot open %s: %s", s->path, strerror(errno));
  am_err err = AM_OK;
  struct stat st;
  AM_CHECK_GO(done, fstat(fd, &st) == 0 && offset <= st.st_size && total <= st.st_size - offset, AM_ERR_DATA,
              "%s: the file became shorter while it was opened", s->path);
  s->map_bytes = (size_t)st.st_size;
  void *map = mmap(NULL, s->map_bytes, PROT_READ, MAP_PRIVATE, fd, 0);
  AM_CHECK_GO(done, map != MAP_FAILED, AM_ERR_IO, "cannot map %s: %s", s->path, strerror(errno));
  s->map = map;
  s->bytes = (const uint8_t *)map + offset;
done:
  close(fd);
  return err;
}

static am_err read_images(am_h5 *f, am_shard *s) {
  am_h5_info info;
  int64_t offset = -1;
  AM_TRY(am_h5_describe(f, AM_SHARD_IMAGE_BYTES, &info));
  AM_CHECK(info.type == AM_H5_U8 && info.ndim == 1, AM_ERR_DATA,
           "%s: \"" AM_SHARD_IMAGE_BYTES "\" is not a run of u8", s->path);
  AM_TRY(check_items(s, info.count));
  AM_TRY(am_h5_offset(f, AM_SHARD_IMAGE_BYTES, &offset));
  if (offset >= 0 && info.count > 0) return map_bytes(s, offset, info.count);
  AM_TRY(am_h5_get(f, AM_SHARD_IMAGE_BYTES, AM_H5_U8, 1, NULL, &s->loaded));
  s->bytes = s->loaded;
  return AM_OK;
}

am_err am_shard_open(const char *path, am_shard **out) {
  am_err err = AM_OK;
  am_h5 *f = NULL;
  am_shard *s = NULL;
  AM_GO(done, AM_NEW(&s));
  AM_GO(done, am_mem_strdup(path, &s->path));
  AM_GO(done, am_h5_open(path, &f));
  AM_GO(done, read_attributes(f, s));
  AM_GO(done, read_items(f, path, AM_SHARD_LABEL, AM_H5_I32, -1, &s->label, &s->count));
  AM_GO(done, read_items(f, path, AM_SHARD_OFFSET, AM_H5_U64, s->count + 1, &s->offset, NULL));
  AM_GO(done, read_items(f, path, AM_SHARD_INDEX, AM_H5_I64, s->count, &s->index, NULL));
  AM_GO(done, read_items(f, path, AM_SHARD_CRC, AM_H5_U32, s->count, &s->crc, NULL));
  AM_GO(done, read_columns(f, s));
  AM_GO(done, read_images(f, s));
  AM_GO(done, AM_NEW_ARRAY(&s->checked, s->count));
  *out = s;
  s = NULL;
done:
  am_h5_close(f);
  am_shard_close(s);
  return err;
}

int64_t am_shard_count(const am_shard *s) { return s->count; }
const am_shard_desc *am_shard_describe(const am_shard *s) { return &s->desc; }
int32_t am_shard_label(const am_shard *s, int64_t i) { return s->label[i]; }
int64_t am_shard_index(const am_shard *s, int64_t i) { return s->index[i]; }
const char *am_shard_path(const am_shard *s) { return s->path; }

const int64_t *am_shard_column(const am_shard *s, const char *name) {
  for (int k = 0; k < s->desc.column_count; k++) {
    if (strcmp(s->column_name[k], name) == 0) return s->column[k];
  }
  return NULL;
}

am_err am_shard_bytes(am_shard *s, int64_t i, const uint8_t **bytes, size_t *count) {
  AM_CHECK(i >= 0 && i < s->count, AM_ERR_ARG, "%s: image %lld of %lld", s->path, (long long)i,
           (long long)s->count);
  const uint8_t *at = s->bytes + s->offset[i];
  size_t n = (size_t)(s->offset[i + 1] - s->offset[i]);
  if (!atomic_load_explicit(&s->checked[i], memory_order_relaxed)) {
    uint32_t crc = am_crc32c(0, at, n);
    AM_CHECK(crc == s->crc[i], AM_ERR_DATA,
             "%s: image %lld (sample %lld) is corrupt: CRC-32C %08x, expected %08x", s->path, (long long)i,
             (long long)s->index[i], crc, s->crc[i]);
    atomic_store_explicit(&s->checked[i], 1, memory_order_relaxed);
  }
  *bytes = at;
  *count = n;
  return AM_OK;
}

am_err am_shard_image(am_shard *s, int64_t i, am_image *out) {
  const am_shard_desc *d = &s->desc;
  const uint8_t *bytes = NULL;
  size_t count = 0;
  am_image image = {0};
  AM_TRY(am_shard_bytes(s, i, &bytes, &count));
  if (d->encoding == AM_ENCODING_RAW) {
    AM_TRY(am_image_new(d->width, d->height, d->channels, out));
    memcpy(out->pixel, bytes, count);
    return AM_OK;
  }
  AM_TRY(am_image_decode(s->path, bytes, count, &image));
  if (d->height && (image.height != d->height || image.width != d->width)) {
    am_err err = AM_FAIL(AM_ERR_DATA, "%s: image %lld is %lld x %lld px, the shard says %lld x %lld", s->path,
                         (long long)i, (long long)image.width, (long long)image.height, (long long)d->width,
                         (long long)d->height);
    am_image_fini(&image);
    return err;
  }
  *out = image;
  return AM_OK;
}

am_err am_shard_verify(am_shard *s) {
  for (int64_t i = 0; i < s->count; i++) {
    const uint8_t *bytes = NULL;
    size_t count = 0;
    atomic_store_explicit(&s->checked[i], 0, memory_order_relaxed);
    AM_TRY(am_shard_bytes(s, i, &bytes, &count));
  }
  return AM_OK;
}
