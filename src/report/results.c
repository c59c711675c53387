#include "report/results.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/results_internal.h"

const am_frame_def am_frame_defs[AM_RESULTS_FRAMES] = {
    {"cells",
     "id:text arm:text model:text draw:text seed:i64 address:text status:text error:text train_images:i64 "
     "seconds:f64 device_seconds:f64 stand_in:text epochs:i64 steps:i64 fit_device_seconds:f64 "
     "generate_device_seconds:f64 loss:text"},
    {"metrics", "cell:i64 split:text metric:text unit:text better:text value:f64 n:i64"},
    {"history", "cell:i64 epoch:i64 column:text value:f64"},
    {"fits",
     "id:text generator:text class_name:text run:i64 draw:text seed:i64 address:text status:text error:text "
     "seconds:f64 images:i64 device_seconds:f64"},
    {"fit_history", "fit:i64 epoch:i64 column:text value:f64"},
    {"pools", "id:text generator:text draw:text seed:i64 address:text status:text images:i64 seconds:f64 "
     "device_seconds:f64"},
    {"rows",
     "arm:text model:text split:text metric:text unit:text n_seeds:i64 ours_mean:f64 ours_sd:f64 "
     "published:f64 "
     "difference:f64 verdict:text n_draws:i64 sd_draws:f64 vs_reference:f64 ci_lo:f64 ci_hi:f64 "
     "reference:text "
     "note:text n_pairs:i64 t_lo:f64 t_hi:f64 p:f64 p_min:f64 p_method:text"},
    {"published", "arm:text split:text metric:text value:f64 tolerance:f64 reason:text"},
    {"spent",
     "arm:text model:text cells:i64 epochs:f64 steps:f64 train_device_sec:f64 fit_device_sec:f64 "
     "generate_device_sec:f64 taken_at:f64"},
    {"splits", "draw:text split:text address:text images:i64"},
};

const char *const am_results_text_attrs[] = {"name",       "question", "paper_id",  "paper_where", "config",
                                             "provenance", "devices",  "reference", "notes",       "watch",
                                             "budget",     NULL};

am_err am_results_new(am_results **out) {
  am_err err = AM_OK;
  am_results *r = NULL;
  AM_GO(failed, AM_NEW(&r));
  for (int f = 0; f < AM_RESULTS_FRAMES; f++)
    AM_GO(failed, am_frame_new(am_frame_defs[f].columns, &r->frame[f]));
  *out = r;
  return AM_OK;
failed:
  am_results_free(r);
  return err;
}

static void free_texts(char **text, int64_t count) {
  for (int64_t i = 0; i < count; i++) free(text[i]);
  free(text);
}

static void array_fini(am_array *a) {
  free(a->path);
  free(a->data);
  free(a->label);
  free_texts(a->class_name, a->class_count);
  *a = (am_array){0};
}

void am_results_free(am_results *r) {
  if (!r) return;
  for (int f = 0; f < AM_RESULTS_FRAMES; f++) am_frame_free(r->frame[f]);
  for (int64_t i = 0; i < r->attr_count; i++) {
    free(r->attr[i].name);
    free(r->attr[i].text);
  }
  for (int64_t i = 0; i < r->array_count; i++) array_fini(&r->array[i]);
  free(r->attr);
  free(r->array);
  free(r);
}

am_frame *am_results_frame(am_results *r, const char *name) {
  for (int f = 0; f < AM_RESULTS_FRAMES; f++) {
    if (!strcmp(am_frame_defs[f].name, name)) return r->frame[f];
  }
  return NULL;
}

am_err am_results_clear_frame(am_results *r, const char *name) {
  for (int f = 0; f < AM_RESULTS_FRAMES; f++) {
    if (strcmp(am_frame_defs[f].name, name)) continue;
    am_frame *fresh = NULL;
    AM_TRY(am_frame_new(am_frame_defs[f].columns, &fresh));
    am_frame_free(r->frame[f]);
    r->frame[f] = fresh;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_INTERNAL, "results have no frame %s", name);
}

static am_err check_range(am_results *r, const char *name, const char *frame, const char *column,
                          int64_t below) {
  const am_frame *f = am_results_frame(r, frame);
  for (int64_t i = 0; i < am_frame_rows(f); i++) {
    int64_t at = am_frame_i64(f, i, column);
    AM_CHECK(at >= 0 && at < below, AM_ERR_DATA, "%s: row %lld of /%s has %s %lld, expected 0 to %lld", name,
             (long long)i, frame, column, (long long)at, (long long)below - 1);
  }
  return AM_OK;
}

am_err am_results_check(am_results *r, const char *name) {
  const int64_t epochs = (int64_t)1 << 40;
  int64_t cells = am_frame_rows(am_results_frame(r, "cells")),
          fits = am_frame_rows(am_results_frame(r, "fits"));
  AM_TRY(check_range(r, name, "metrics", "cell", cells));
  AM_TRY(check_range(r, name, "history", "cell", cells));
  AM_TRY(check_range(r, name, "history", "epoch", epochs));
  AM_TRY(check_range(r, name, "fit_history", "fit", fits));
  return check_range(r, name, "fit_history", "epoch", epochs);
}

// ---- attributes ----

static am_results_attribute *find_attr(const am_results *r, const char *name) {
  for (int64_t i = 0; i < r->attr_count; i++) {
    if (!strcmp(r->attr[i].name, name)) return &r->attr[i];
  }
  return NULL;
}

am_err am_results_set_attr(am_results *r, const char *name, const char *text) {
  char *copy = NULL;
  AM_TRY(am_mem_strdup(text, &copy));
  am_results_attribute *a = find_attr(r, name);
  if (a) {
    free(a->text);
    a->text = copy;
    return AM_OK;
  }
  am_err err = AM_OK;
  AM_GO(failed, AM_GROW(&r->attr, &r->attr_capacity, r->attr_count + 1));
  AM_GO(failed, am_mem_strdup(name, &r->attr[r->attr_count].name));
  r->attr[r->attr_count++].text = copy;
  return AM_OK;
failed:
  free(copy);
  return err;
}

const char *am_results_attr(const am_results *r, const char *name) {
  const am_results_attribute *a = find_attr(r, name);
  return a && a->text ? a->text : "";
}

// ---- arrays, kept in order of their paths ----

size_t am_array_type_size(am_array_type type) {
  static const size_t bytes[] = {
      [AM_ARRAY_U8] = 1, [AM_ARRAY_I32] = 4, [AM_ARRAY_I64] = 8, [AM_ARRAY_F32] = 4};
  return bytes[type];
}

am_err am_array_elements(int ndim, const int64_t *dim, int64_t *out) {
  AM_CHECK(ndim >= 1 && ndim <= 4, AM_ERR_ARG, "an array of %d dimensions, expected 1 to 4", ndim);
  int64_t total = 1;
  for (int d = 0; d < ndim; d++) {
    AM_CHECK(am_mul_i64(total, dim[d], &total), AM_ERR_ARG, "dimension %d of an array is %lld", d,
             (long long)dim[d]);
  }
  *out = total;
  return AM_OK;
}

// Where `path` is, or where it belongs.
static int64_t lower_bound(const am_results *r, const char *path) {
  int64_t lo = 0, hi = r->array_count;
  while (lo < hi) {
    int64_t mid = lo + (hi - lo) / 2;
    if (strcmp(r->array[mid].path, path) < 0) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

static am_array *find_array(const am_results *r, const char *path) {
  int64_t at = lower_bound(r, path);
  return at < r->array_count && !strcmp(r->array[at].path, path) ? &r->array[at] : NULL;
}

am_err am_results_put_array(am_results *r, const char *path, am_array_type type, int ndim, const int64_t *dim,
                            const void *data) {
  am_err err = AM_OK;
  am_array fresh = {.type = type, .ndim = ndim};
  int64_t elements = 0;
  size_t item = am_array_type_size(type);
  AM_TRY(am_array_elements(ndim, dim, &elements));
  memcpy(fresh.dim, dim, (size_t)ndim * sizeof *dim);
  AM_GO(failed, am_mem_strdup(path, &fresh.path));
  AM_GO(failed, am_mem_alloc(&fresh.data, elements, item));
  if (elements) memcpy(fresh.data, data, (size_t)elements * item);
  int64_t at = lower_bound(r, path);
  if (at < r->array_count && !strcmp(r->array[at].path, path)) {
    array_fini(&r->array[at]);
  } else {
    AM_GO(failed, AM_GROW(&r->array, &r->array_capacity, r->array_count + 1));
    memmove(&r->array[at + 1], &r->array[at], (size_t)(r->array_count - at) * sizeof *r->array);
    r->array_count++;
  }
  r->array[at] = fresh;
  return AM_OK;
failed:
  array_fini(&fresh);
  return err;
}

am_err am_results_label_array(am_results *r, const char *path, const int64_t *label, int64_t count) {
  am_array *a = find_array(r, path);
  AM_CHECK(a, AM_ERR_ARG, "results hold no array %s", path);
  int64_t *copy = NULL;
  AM_TRY(AM_NEW_ARRAY(&copy, count));
  if (count) memcpy(copy, label, (size_t)count * sizeof *label);
  free(a->label);
  a->label = copy;
  a->label_count = count;
  return AM_OK;
}

am_err am_results_name_classes(am_results *r, const char *path, const char *const *name, int64_t count) {
  am_array *a = find_array(r, path);
  AM_CHECK(a, AM_ERR_ARG, "results hold no array %s", path);
  am_err err = AM_OK;
  char **copy = NULL;
  AM_TRY(AM_NEW_ARRAY(&copy, count));
  for (int64_t i = 0; i < count; i++) AM_GO(failed, am_mem_strdup(name[i], &copy[i]));
  free_texts(a->class_name, a->class_count);
  a->class_name = copy;
  a->class_count = count;
  return AM_OK;
failed:
  free_texts(copy, count);
  return err;
}

const am_array *am_results_array(const am_results *r, const char *path) { return find_array(r, path); }
int64_t am_results_array_count(const am_results *r) { return r->array_count; }
const am_array *am_results_array_at(const am_results *r, int64_t i) { return &r->array[i]; }
