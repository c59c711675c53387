// results.h5 on disk: the layout of results.h over data/h5.h. What is read is foreign: tables must
// have the columns they should have, and nothing may be larger than the file that holds it.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "data/h5.h"
#include "report/results_internal.h"

static const char FORMAT[] = "augmint-results-2";
// Groups below which the arrays are.
static const char *const array_groups[] = {"predictions", "confusion", "samples", "real"};
enum { ARRAY_DEPTH = 4, PATH_BYTES = 1024 };

static am_h5_type h5_type(am_array_type type) {
  static const am_h5_type of[] = {[AM_ARRAY_U8] = AM_H5_U8,
                                  [AM_ARRAY_I32] = AM_H5_I32,
                                  [AM_ARRAY_I64] = AM_H5_I64,
                                  [AM_ARRAY_F32] = AM_H5_F32};
  return of[type];
}

static am_err array_type(am_h5_type type, const char *path, am_array_type *out) {
  for (int t = AM_ARRAY_U8; t <= AM_ARRAY_F32; t++) {
    if (h5_type((am_array_type)t) != type) continue;
    *out = (am_array_type)t;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_DATA, "/%s is of type %s, expected u8, i32, i64 or f32", path, am_h5_type_name(type));
}

static am_err column_path(const char *frame, const char *column, char path[PATH_BYTES]) {
  int used = snprintf(path, PATH_BYTES, "%s/%s", frame, column);
  AM_CHECK(used > 0 && used < PATH_BYTES, AM_ERR_INTERNAL, "column %s/%s: the name is too long", frame,
           column);
  return AM_OK;
}

// ---- writing ----

static am_err put_numbers(am_h5 *h, const char *path, const am_frame *f, const char *name,
                          am_column_type type) {
  am_err err = AM_OK;
  int64_t rows = am_frame_rows(f), *whole = NULL;
  double *number = NULL;
  if (type == AM_COLUMN_I64) {
    AM_GO(done, AM_NEW_ARRAY(&whole, rows));
    for (int64_t i = 0; i < rows; i++) whole[i] = am_frame_i64(f, i, name);
    AM_GO(done, am_h5_put(h, path, AM_H5_I64, 1, &rows, whole));
  } else {
    AM_GO(done, AM_NEW_ARRAY(&number, rows));
    for (int64_t i = 0; i < rows; i++) number[i] = am_frame_f64(f, i, name);
    AM_GO(done, am_h5_put(h, path, AM_H5_F64, 1, &rows, number));
  }
done:
  free(whole);
  free(number);
  return err;
}

static am_err put_texts(am_h5 *h, const char *path, const am_frame *f, const char *name) {
  am_err err = AM_OK;
  const char **text = NULL;
  int64_t rows = am_frame_rows(f);
  AM_TRY(AM_NEW_ARRAY(&text, rows));
  for (int64_t i = 0; i < rows; i++) text[i] = am_frame_text(f, i, name);
  err = am_h5_put_text(h, path, text, rows);
  free(text);
  return err;
}

static am_err put_frame(am_h5 *h, const char *name, const am_frame *f) {
  char path[PATH_BYTES];
  AM_TRY(am_h5_put_group(h, name));
  for (int c = 0; c < am_frame_columns(f); c++) {
    const char *column = am_frame_column_name(f, c);
    am_column_type type = am_frame_column_type(f, c);
    AM_TRY(column_path(name, column, path));
    if (type == AM_COLUMN_TEXT) {
      AM_TRY(put_texts(h, path, f, column));
    } else {
      AM_TRY(put_numbers(h, path, f, column, type));
    }
  }
  return AM_OK;
}

static am_err put_array(am_h5 *h, const am_array *a) {
  AM_TRY(am_h5_put(h, a->path, h5_type(a->type), a->ndim, a->dim, a->data));
  if (a->label) AM_TRY(am_h5_put_attr_i64s(h, a->path, "label", a->label, a->label_count));
  if (!a->class_name) return AM_OK;
  return am_h5_put_attr_texts(h, a->path, "class_names", (const char *const *)a->class_name, a->class_count);
}

am_err am_results_write(const am_results *r, const char *path) {
  am_err err = AM_OK;
  am_h5 *h = NULL;
  AM_GO(done, am_h5_create(&h));
  AM_GO(done, am_h5_put_attr_text(h, "", "format", FORMAT));
  AM_GO(done, am_h5_put_attr_i64(h, "", "tiny", !strcmp(am_results_attr(r, "tiny"), "1")));
  for (int i = 0; am_results_text_attrs[i]; i++) {
    const char *name = am_results_text_attrs[i];
    AM_GO(done, am_h5_put_attr_text(h, "", name, am_results_attr(r, name)));
  }
  for (int f = 0; f < AM_RESULTS_FRAMES; f++) AM_GO(done, put_frame(h, am_frame_defs[f].name, r->frame[f]));
  for (int64_t i = 0; i < r->array_count; i++) AM_GO(done, put_array(h, &r->array[i]));
  AM_GO(done, am_h5_publish(h, path));
done:
  am_h5_close(h);
  return err;
}

// ---- reading ----

typedef struct {
  am_h5 *h;
  am_results *r;
  const char *path;  // of the file
  int64_t file_bytes;
  int64_t budget_bytes;  // what the arrays may still take
} reader;

static am_err add_rows(reader *in, am_frame *f, const char *column, int64_t count, bool first) {
  int64_t row;
  AM_CHECK(count <= in->file_bytes, AM_ERR_DATA, "%s: column %s claims %lld rows", in->path, column,
           (long long)count);
  for (int64_t i = 0; first && i < count; i++) AM_TRY(am_frame_add(f, &row));
  AM_CHECK(am_frame_rows(f) == count, AM_ERR_DATA, "%s: column %s has %lld rows, the others %lld", in->path,
           column, (long long)count, (long long)am_frame_rows(f));
  return AM_OK;
}

static am_err get_texts(reader *in, const char *path, am_frame *f, const char *column, bool first) {
  am_err err = AM_OK;
  char **text = NULL;
  int64_t count = 0;
  AM_TRY(am_h5_get_text(in->h, path, &text, &count));
  AM_GO(done, add_rows(in, f, path, count, first));
  for (int64_t i = 0; i < count; i++) AM_GO(done, am_frame_set_text(f, i, column, text[i]));
done:
  am_h5_free_texts(text, count);
  return err;
}

static am_err get_numbers(reader *in, const char *path, am_frame *f, const char *column, bool whole,
                          bool first) {
  am_err err = AM_OK;
  am_h5_info info;
  void *data = NULL;
  AM_TRY(am_h5_get(in->h, path, whole ? AM_H5_I64 : AM_H5_F64, 1, &info, &data));
  AM_GO(done, add_rows(in, f, path, info.count, first));
  for (int64_t i = 0; i < info.count; i++) {
    if (whole) {
      am_frame_set_i64(f, i, column, ((const int64_t *)data)[i]);
    } else {
      am_frame_set_f64(f, i, column, ((const double *)data)[i]);
    }
  }
done:
  free(data);
  return err;
}

static am_err get_frame(reader *in, const char *name, am_frame *f) {
  char path[PATH_BYTES];
  for (int c = 0; c < am_frame_columns(f); c++) {
    const char *column = am_frame_column_name(f, c);
    am_column_type type = am_frame_column_type(f, c);
    AM_TRY(column_path(name, column, path));
    if (type == AM_COLUMN_TEXT) {
      AM_TRY(get_texts(in, path, f, column, c == 0));
    } else {
      AM_TRY(get_numbers(in, path, f, column, type == AM_COLUMN_I64, c == 0));
    }
  }
  return AM_OK;
}

static am_err get_array_attributes(reader *in, const char *path) {
  am_err err = AM_OK;
  int64_t *label = NULL, count = 0;
  char **name = NULL;
  if (am_h5_has_attr(in->h, path, "label")) {
    AM_TRY(am_h5_get_attr_i64s(in->h, path, "label", &label, &count));
    err = am_results_label_array(in->r, path, label, count);
    free(label);
    AM_TRY(err);
  }
  if (am_h5_has_attr(in->h, path, "class_names")) {
    AM_TRY(am_h5_get_attr_texts(in->h, path, "class_names", &name, &count));
    err = am_results_name_classes(in->r, path, (const char *const *)name, count);
    am_h5_free_texts(name, count);
  }
  return err;
}

static am_err get_array(reader *in, const char *path) {
  am_err err = AM_OK;
  am_h5_info info;
  am_array_type type = AM_ARRAY_U8;
  void *data = NULL;
  AM_TRY(am_h5_describe(in->h, path, &info));
  AM_TRY(array_type(info.type, path, &type));
  AM_CHECK(info.ndim >= 1, AM_ERR_DATA, "%s: /%s is a single value, expected an array", in->path, path);
  in->budget_bytes -= info.count * info.item_bytes;
  AM_CHECK(in->budget_bytes >= 0, AM_ERR_DATA, "%s: the arrays claim more than the file holds", in->path);
  AM_TRY(am_h5_get(in->h, path, info.type, info.ndim, &info, &data));
  AM_GO(done, am_results_put_array(in->r, path, type, info.ndim, info.dim, data));
  AM_GO(done, get_array_attributes(in, path));
done:
  free(data);
  return err;
}

static am_err get_arrays(reader *in, const char *path, int depth) {
  if (!am_h5_is_group(in->h, path)) return get_array(in, path);
  AM_CHECK(depth < ARRAY_DEPTH, AM_ERR_DATA, "%s: /%s is nested too deeply", in->path, path);
  am_err err = AM_OK;
  char **name = NULL, child[PATH_BYTES];
  int64_t count = 0;
  AM_TRY(am_h5_list(in->h, path, &name, &count));
  for (int64_t i = 0; i < count; i++) {
    AM_GO(done, column_path(path, name[i], child));
    AM_GO(done, get_arrays(in, child, depth + 1));
  }
done:
  am_h5_free_texts(name, count);
  return err;
}

static am_err get_attributes(reader *in) {
  char *text = NULL;
  int64_t tiny = 0;
  AM_TRY(am_h5_get_attr_text(in->h, "", "format", &text));
  am_err err = strcmp(text, FORMAT)
                   ? AM_FAIL(AM_ERR_DATA, "%s: the format is \"%s\", expected \"%s\"; `augmint report EXPERIMENT.yaml` writes it anew",
                             in->path, text, FORMAT)
                   : AM_OK;
  free(text);
  AM_TRY(err);
  AM_TRY(am_h5_get_attr_i64(in->h, "", "tiny", &tiny));
  AM_TRY(am_results_set_attr(in->r, "tiny", tiny ? "1" : "0"));
  for (int i = 0; am_results_text_attrs[i]; i++) {
    if (!am_h5_has_attr(in->h, "", am_results_text_attrs[i])) continue;
    AM_TRY(am_h5_get_attr_text(in->h, "", am_results_text_attrs[i], &text));
    err = am_results_set_attr(in->r, am_results_text_attrs[i], text);
    free(text);
    AM_TRY(err);
  }
  return AM_OK;
}

am_err am_results_read(const char *path, am_results **out) {
  am_err err = AM_OK;
  reader in = {.path = path};
  AM_GO(done, am_file_size(path, &in.file_bytes));
  in.budget_bytes = in.file_bytes;
  AM_GO(done, am_h5_open(path, &in.h));
  AM_GO(done, am_results_new(&in.r));
  AM_GO(done, get_attributes(&in));
  for (int f = 0; f < AM_RESULTS_FRAMES; f++)
    AM_GO(done, get_frame(&in, am_frame_defs[f].name, in.r->frame[f]));
  AM_GO(done, am_results_check(in.r, path));
  for (int64_t g = 0; g < AM_COUNT_OF(array_groups); g++) {
    if (am_h5_has(in.h, array_groups[g])) AM_GO(done, get_arrays(&in, array_groups[g], 0));
  }
  *out = in.r;
  in.r = NULL;
done:
  am_results_free(in.r);
  am_h5_close(in.h);
  return err;
}
