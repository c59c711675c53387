#include <jansson.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "weights/safetensors.h"

enum { LENGTH_BYTES = 8, ALIGN_BYTES = 8 };

static int compare_name(const void *a, const void *b) {
  return strcmp(((const am_st_entry *)a)->name, ((const am_st_entry *)b)->name);
}

static int compare_reference_order(const void *a, const void *b) {
  const am_st_entry *p = a, *q = b;
  if (p->dtype != q->dtype) return p->dtype > q->dtype ? -1 : 1;
  return strcmp(p->name, q->name);
}

// text as a JSON string with its quotes.
static am_err append_quoted(am_str *out, const char *text) {
  json_t *node = json_string(text);
  AM_CHECK(node, AM_ERR_ARG, "\"%.200s\" is not valid UTF-8", text);
  char *quoted = json_dumps(node, JSON_ENCODE_ANY);
  json_decref(node);
  AM_CHECK(quoted, AM_ERR_NOMEM, "out of memory writing a name");
  am_err err = am_str_append(out, quoted, (int64_t)strlen(quoted));
  free(quoted);
  AM_TRY(err);
  return AM_OK;
}

static am_err append_meta(am_str *header, const char *const *meta) {
  AM_TRY(am_str_printf(header, "\"__metadata__\":{"));
  for (int i = 0; meta[i]; i += 2) {
    AM_TRY(am_str_printf(header, i ? "," : ""));
    AM_TRY(append_quoted(header, meta[i]));
    AM_TRY(am_str_printf(header, ":"));
    AM_TRY(append_quoted(header, meta[i + 1]));
  }
  AM_TRY(am_str_printf(header, "}"));
  return AM_OK;
}

static am_err append_entry(am_str *header, const am_st_entry *entry, size_t begin) {
  AM_TRY(append_quoted(header, entry->name));
  AM_TRY(am_str_printf(header, ":{\"dtype\":\"%s\",\"shape\":[", am_st_dtype_name(entry->dtype)));
  for (int d = 0; d < entry->shape.ndim; d++) {
    AM_TRY(am_str_printf(header, "%s%lld", d ? "," : "", (long long)entry->shape.dim[d]));
  }
  AM_TRY(am_str_printf(header, "],\"data_offsets\":[%zu,%zu]}", begin, begin + entry->bytes));
  return AM_OK;
}

// Entries in the order of the reference writer.
static am_err sort_entries(const char *path, am_st_entry *entry, int64_t count) {
  if (count == 0) return AM_OK;
  qsort(entry, (size_t)count, sizeof *entry, compare_name);
  for (int64_t i = 1; i < count; i++) {
    AM_CHECK(strcmp(entry[i - 1].name, entry[i].name) != 0, AM_ERR_ARG, "%s: two tensors are named \"%s\"",
             path, entry[i].name);
  }
  qsort(entry, (size_t)count, sizeof *entry, compare_reference_order);
  return AM_OK;
}

static am_err check_sizes(const char *path, const am_st_entry *entry, int64_t count, size_t *data_bytes) {
  size_t total = 0;
  for (int64_t i = 0; i < count; i++) {
    int64_t elements = am_shape_count(entry[i].shape);
    AM_CHECK((size_t)elements * am_st_dtype_size(entry[i].dtype) == entry[i].bytes, AM_ERR_ARG,
             "%s: tensor \"%s\" has %zu bytes, expected %lld elements of %s", path, entry[i].name,
             entry[i].bytes, (long long)elements, am_st_dtype_name(entry[i].dtype));
    total += entry[i].bytes;
  }
  *data_bytes = total;
  return AM_OK;
}

static am_err make_header(const am_st_entry *entry, int64_t count, const char *const *meta, am_str *header) {
  bool has_meta = meta && meta[0];
  AM_TRY(am_str_printf(header, "{"));
  if (has_meta) AM_TRY(append_meta(header, meta));
  size_t begin = 0;
  for (int64_t i = 0; i < count; i++) {
    AM_TRY(am_str_printf(header, has_meta || i ? "," : ""));
    AM_TRY(append_entry(header, &entry[i], begin));
    begin += entry[i].bytes;
  }
  AM_TRY(am_str_printf(header, "}"));
  int64_t padded = (int64_t)am_align_up((size_t)header->length, ALIGN_BYTES);
  while (header->length < padded) AM_TRY(am_str_append(header, " ", 1));
  return AM_OK;
}

am_err am_safetensors_write(const char *path, const am_st_entry *entry, int64_t count,
                            const char *const *meta) {
  am_err err = AM_OK;
  am_st_entry *sorted = NULL;
  am_str header = {0};
  char *file = NULL;
  size_t data_bytes = 0;
  AM_GO(done, AM_NEW_ARRAY(&sorted, count));
  if (count) memcpy(sorted, entry, (size_t)count * sizeof *sorted);
  AM_GO(done, sort_entries(path, sorted, count));
  AM_GO(done, check_sizes(path, sorted, count, &data_bytes));
  AM_GO(done, make_header(sorted, count, meta, &header));

  size_t header_bytes = (size_t)header.length, total = LENGTH_BYTES + header_bytes + data_bytes;
  AM_GO(done, AM_NEW_ARRAY(&file, (int64_t)total));
  for (int i = 0; i < LENGTH_BYTES; i++) file[i] = (char)((uint64_t)header_bytes >> (8 * i));
  memcpy(file + LENGTH_BYTES, header.text, header_bytes);
  char *at = file + LENGTH_BYTES + header_bytes;
  for (int64_t i = 0; i < count; i++) {
    if (sorted[i].bytes) memcpy(at, sorted[i].data, sorted[i].bytes);
    at += sorted[i].bytes;
  }
  AM_GO(done, am_file_write(path, file, total));
done:
  free(file);
  am_str_fini(&header);
  free(sorted);
  return err;
}
