#include "weights/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"

enum { LENGTH_BYTES = 8, HEADER_LIMIT_BYTES = 100000000 };
#define METADATA_KEY "__metadata__"

struct am_safetensors {
  void *map;  // owned: the whole file
  size_t map_bytes;
  json_t *header;      // owned: names and metadata point into it
  const json_t *meta;  // borrowed from header; NULL when absent
  am_st_entry *entry;  // owned, in file order
  int64_t count;
  const am_st_entry **by_name;  // owned, sorted by name
};

static const struct {
  const char *name;
  size_t size;
} dtype_table[AM_ST_DTYPE_COUNT] = {
#define AM_ST_DTYPE_ROW(name, bytes) [AM_ST_##name] = {#name, bytes},
    AM_ST_DTYPE_LIST(AM_ST_DTYPE_ROW)
#undef AM_ST_DTYPE_ROW
};

const char *am_st_dtype_name(am_st_dtype t) { return dtype_table[t].name; }
size_t am_st_dtype_size(am_st_dtype t) { return dtype_table[t].size; }

static am_err parse_dtype(const char *path, const char *name, const json_t *node, am_st_dtype *out) {
  const char *text = json_string_value(node);
  for (int t = 0; text && t < AM_ST_DTYPE_COUNT; t++) {
    if (strcmp(text, dtype_table[t].name) != 0) continue;
    *out = (am_st_dtype)t;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_DATA, "%s: tensor \"%.200s\": the element type \"%.40s\" is unknown", path, name,
                 text ? text : "");
}

static am_err parse_shape(const char *path, const char *name, const json_t *node, am_shape *out) {
  AM_CHECK(json_is_array(node) && json_array_size(node) <= AM_MAX_DIM, AM_ERR_DATA,
           "%s: tensor \"%.200s\": the shape must be a list of at most %d numbers", path, name, AM_MAX_DIM);
  am_shape shape = {.ndim = (int)json_array_size(node)};
  for (int d = 0; d < shape.ndim; d++) {
    const json_t *dim = json_array_get(node, (size_t)d);
    AM_CHECK(json_is_integer(dim) && json_integer_value(dim) >= 0, AM_ERR_DATA,
             "%s: tensor \"%.200s\": dimension %d is not a whole number from 0", path, name, d);
    shape.dim[d] = json_integer_value(dim);
  }
  *out = shape;
  return AM_OK;
}

// Bytes of a tensor by its shape; false when they overflow.
static bool shape_bytes(am_shape shape, am_st_dtype dtype, size_t *bytes) {
  size_t total = am_st_dtype_size(dtype);
  for (int d = 0; d < shape.ndim; d++) {
    if (!am_mul_size(total, (size_t)shape.dim[d], &total)) return false;
  }
  *bytes = total;
  return true;
}

static am_err parse_entry(const char *path, const char *name, const json_t *node, const char *data,
                          size_t data_bytes, am_st_entry *out) {
  AM_CHECK(json_is_object(node), AM_ERR_DATA, "%s: tensor \"%.200s\" is not described by an object", path,
           name);
  am_st_entry entry = {.name = name};
  AM_TRY(parse_dtype(path, name, json_object_get(node, "dtype"), &entry.dtype));
  AM_TRY(parse_shape(path, name, json_object_get(node, "shape"), &entry.shape));

  const json_t *offsets = json_object_get(node, "data_offsets");
  const json_t *first = json_array_get(offsets, 0), *last = json_array_get(offsets, 1);
  AM_CHECK(json_array_size(offsets) == 2 && json_is_integer(first) && json_is_integer(last), AM_ERR_DATA,
           "%s: tensor \"%.200s\": data_offsets must be two whole numbers", path, name);
  int64_t begin = json_integer_value(first), end = json_integer_value(last);
  AM_CHECK(0 <= begin && begin <= end && (uint64_t)end <= data_bytes, AM_ERR_DATA,
           "%s: tensor \"%.200s\": bytes %lld to %lld are not inside the %zu bytes of data", path, name,
           (long long)begin, (long long)end, data_bytes);
  entry.data = data + begin;
  entry.bytes = (size_t)(end - begin);

  size_t want = 0;
  char text[AM_SHAPE_TEXT];
  AM_CHECK(shape_bytes(entry.shape, entry.dtype, &want) && want == entry.bytes, AM_ERR_DATA,
           "%s: tensor \"%.200s\" of shape %s and type %s has %zu bytes of data", path, name,
           am_shape_text(entry.shape, text), am_st_dtype_name(entry.dtype), entry.bytes);
  *out = entry;
  return AM_OK;
}

static int compare_place(const void *a, const void *b) {
  const am_st_entry *p = a, *q = b;
  const char *p_data = p->data, *q_data = q->data;
  if (p_data != q_data) return p_data < q_data ? -1 : 1;
  return (p->bytes > q->bytes) - (p->bytes < q->bytes);  // empty tensors before the one that starts here
}

static int compare_name(const void *a, const void *b) {
  return strcmp((*(const am_st_entry *const *)a)->name, (*(const am_st_entry *const *)b)->name);
}

// In file order the tensors must cover the data exactly: no holes, no overlaps, nothing behind.
static am_err check_cover(const char *path, const am_safetensors *st, const char *data, size_t data_bytes) {
  const char *at = data;
  for (int64_t i = 0; i < st->count; i++) {
    AM_CHECK((const char *)st->entry[i].data == at, AM_ERR_DATA,
             "%s: tensor \"%.200s\" starts at byte %td of the data, expected %td", path, st->entry[i].name,
             (const char *)st->entry[i].data - data, at - data);
    at += st->entry[i].bytes;
  }
  AM_CHECK((size_t)(at - data) == data_bytes, AM_ERR_DATA,
           "%s holds %zu bytes of data, its tensors %td: the file is truncated or has something behind them",
           path, data_bytes, at - data);
  return AM_OK;
}

static am_err check_meta(const char *path, json_t *meta) {
  AM_CHECK(json_is_object(meta), AM_ERR_DATA, "%s: " METADATA_KEY " is not an object", path);
  const char *key;
  json_t *value;
  json_object_foreach(meta, key, value) {
    AM_CHECK(json_is_string(value), AM_ERR_DATA, "%s: " METADATA_KEY ": \"%.200s\" is not a text", path, key);
  }
  return AM_OK;
}

static am_err parse_file(const char *path, const char *bytes, size_t count, am_safetensors *st) {
  AM_CHECK(count >= LENGTH_BYTES, AM_ERR_DATA,
           "%s is not a safetensors file: it has %zu bytes, the header length alone takes %d", path, count,
           LENGTH_BYTES);
  uint64_t length = 0;
  for (int i = 0; i < LENGTH_BYTES; i++) length |= (uint64_t)(unsigned char)bytes[i] << (8 * i);
  AM_CHECK(length <= HEADER_LIMIT_BYTES, AM_ERR_DATA,
           "%s is not a safetensors file: a header of %llu bytes, at most %d are read", path,
           (unsigned long long)length, HEADER_LIMIT_BYTES);
  AM_CHECK(length <= count - LENGTH_BYTES, AM_ERR_DATA,
           "%s is not a safetensors file or is truncated: a header of %llu bytes in a file of %zu", path,
           (unsigned long long)length, count);
  const char *data = bytes + LENGTH_BYTES + length;
  size_t data_bytes = count - LENGTH_BYTES - (size_t)length;

  json_error_t why;
  AM_CHECK(length > 0 && bytes[LENGTH_BYTES] == '{', AM_ERR_DATA,
           "%s is not a safetensors file: its header is not a JSON object", path);
  st->header = json_loadb(bytes + LENGTH_BYTES, (size_t)length, JSON_REJECT_DUPLICATES, &why);
  AM_CHECK(st->header, AM_ERR_DATA, "%s: the header is not valid: %s", path, why.text);

  int64_t keys = (int64_t)json_object_size(st->header);
  AM_TRY(AM_NEW_ARRAY(&st->entry, keys));
  AM_TRY(AM_NEW_ARRAY(&st->by_name, keys));
  const char *key;
  json_t *value;
  json_object_foreach(st->header, key, value) {
    if (strcmp(key, METADATA_KEY) == 0) {
      if (json_is_null(value)) continue;
      AM_TRY(check_meta(path, value));
      st->meta = value;
      continue;
    }
    AM_TRY(parse_entry(path, key, value, data, data_bytes, &st->entry[st->count]));
    st->count++;
  }
  if (st->count) qsort(st->entry, (size_t)st->count, sizeof *st->entry, compare_place);
  for (int64_t i = 0; i < st->count; i++) st->by_name[i] = &st->entry[i];
  if (st->count) qsort(st->by_name, (size_t)st->count, sizeof *st->by_name, compare_name);
  return check_cover(path, st, data, data_bytes);
}

static am_err map_file(const char *path, am_safetensors *st) {
  am_err err = AM_OK;
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  AM_CHECK(fd >= 0, AM_ERR_IO, "cannot open %s: %s", path, strerror(errno));
  struct stat info;
  AM_CHECK_GO(done, fstat(fd, &info) == 0, AM_ERR_IO, "cannot stat %s: %s", path, strerror(errno));
  AM_CHECK_GO(done, S_ISREG(info.st_mode), AM_ERR_IO, "cannot read %s: it is not a regular file", path);
  AM_CHECK_GO(done, info.st_size > 0, AM_ERR_DATA, "%s is empty", path);
  void *map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
  AM_CHECK_GO(done, map != MAP_FAILED, AM_ERR_IO, "cannot map %s: %s", path, strerror(errno));
  st->map = map;
  st->map_bytes = (size_t)info.st_size;
done:
  close(fd);
  return err;
}

am_err am_safetensors_open(const char *path, am_safetensors **out) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  AM_GO(done, AM_NEW(&st));
  AM_GO(done, map_file(path, st));
  AM_GO(done, parse_file(path, st->map, st->map_bytes, st));
  *out = st;
  st = NULL;
done:
  am_safetensors_close(st);
  return err;
}

am_err am_safetensors_parse(const char *name, const void *bytes, size_t count, am_safetensors **out) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  AM_GO(done, AM_NEW(&st));
  AM_GO(done, parse_file(name, bytes, count, st));
  *out = st;
  st = NULL;
done:
  am_safetensors_close(st);
  return err;
}

void am_safetensors_close(am_safetensors *st) {
  if (!st) return;
  if (st->map) munmap(st->map, st->map_bytes);
  json_decref(st->header);
  free(st->entry);
  free(st->by_name);
  free(st);
}

int64_t am_safetensors_count(const am_safetensors *st) { return st->count; }

const am_st_entry *am_safetensors_at(const am_safetensors *st, int64_t i) { return &st->entry[i]; }

const am_st_entry *am_safetensors_find(const am_safetensors *st, const char *name) {
  const am_st_entry key = {.name = name}, *key_at = &key;
  const am_st_entry **found =
      bsearch(&key_at, st->by_name, (size_t)st->count, sizeof *st->by_name, compare_name);
  return found ? *found : NULL;
}

const char *am_safetensors_meta(const am_safetensors *st, const char *key) {
  return json_string_value(json_object_get(st->meta, key));
}

bool am_safetensors_meta_at(const am_safetensors *st, int64_t i, const char **key, const char **value) {
  const char *name;
  json_t *node;
  json_object_foreach((json_t *)st->meta, name, node) {
    if (i-- > 0) continue;
    *key = name;
    *value = json_string_value(node);
    return true;
  }
  return false;
}
