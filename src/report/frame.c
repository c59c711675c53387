#include "report/frame.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

typedef struct {
  char *name;
  am_column_type type;
  int64_t capacity;
  union {  // owned: `rows` values
    int64_t *i64;
    double *f64;
    char **text;  // owned strings; NULL reads as ""
  } value;
} column;

struct am_frame {
  column *column;
  int count;
  int64_t capacity;
  int64_t rows;
};

// ---- building ----

static am_err add_column(am_frame *f, const char *spec, size_t bytes) {
  static const struct {
    const char *name;
    am_column_type type;
  } types[] = {{"i64", AM_COLUMN_I64}, {"f64", AM_COLUMN_F64}, {"text", AM_COLUMN_TEXT}};
  const char *colon = memchr(spec, ':', bytes);
  AM_CHECK(colon, AM_ERR_INTERNAL, "column \"%.*s\" has no type", (int)bytes, spec);
  size_t type_bytes = bytes - (size_t)(colon + 1 - spec);
  for (int t = 0; t < 3; t++) {
    if (strlen(types[t].name) != type_bytes || memcmp(types[t].name, colon + 1, type_bytes)) continue;
    AM_TRY(AM_GROW(&f->column, &f->capacity, f->count + 1));
    AM_TRY(am_str_format(&f->column[f->count].name, "%.*s", (int)(colon - spec), spec));
    f->column[f->count++].type = types[t].type;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_INTERNAL, "column \"%.*s\": the type is i64, f64 or text", (int)bytes, spec);
}

am_err am_frame_new(const char *columns, am_frame **out) {
  am_err err = AM_OK;
  am_frame *f = NULL;
  AM_GO(failed, AM_NEW(&f));
  for (const char *p = columns; *p;) {
    size_t n = strcspn(p, " ");
    AM_GO(failed, add_column(f, p, n));
    p += n + strspn(p + n, " ");
  }
  *out = f;
  return AM_OK;
failed:
  am_frame_free(f);
  return err;
}

void am_frame_free(am_frame *f) {
  if (!f) return;
  for (int c = 0; c < f->count; c++) {
    column *col = &f->column[c];
    for (int64_t i = 0; col->type == AM_COLUMN_TEXT && i < f->rows; i++) free(col->value.text[i]);
    free(col->value.i64);
    free(col->name);
  }
  free(f->column);
  free(f);
}

am_err am_frame_add(am_frame *f, int64_t *row) {
  for (int c = 0; c < f->count; c++) {
    column *col = &f->column[c];
    switch (col->type) {
      case AM_COLUMN_I64:
        AM_TRY(AM_GROW(&col->value.i64, &col->capacity, f->rows + 1));
        col->value.i64[f->rows] = 0;
        break;
      case AM_COLUMN_F64:
        AM_TRY(AM_GROW(&col->value.f64, &col->capacity, f->rows + 1));
        col->value.f64[f->rows] = NAN;
        break;
      case AM_COLUMN_TEXT:
        AM_TRY(AM_GROW(&col->value.text, &col->capacity, f->rows + 1));
        col->value.text[f->rows] = NULL;
        break;
    }
  }
  *row = f->rows++;
  return AM_OK;
}

// ---- looking ----

int64_t am_frame_rows(const am_frame *f) { return f->rows; }
int am_frame_columns(const am_frame *f) { return f->count; }
const char *am_frame_column_name(const am_frame *f, int c) { return f->column[c].name; }
am_column_type am_frame_column_type(const am_frame *f, int c) { return f->column[c].type; }

int am_frame_column(const am_frame *f, const char *name) {
  for (int c = 0; c < f->count; c++) {
    if (!strcmp(f->column[c].name, name)) return c;
  }
  return -1;
}

static column *find(const am_frame *f, int64_t row, const char *name, am_column_type type) {
  int c = am_frame_column(f, name);
  bool right = c >= 0 && f->column[c].type == type && row >= 0 && row < f->rows;
  AM_ASSERT(right);
  return right ? &f->column[c] : NULL;
}

am_err am_frame_set_text(am_frame *f, int64_t row, const char *name, const char *value) {
  column *col = find(f, row, name, AM_COLUMN_TEXT);
  AM_CHECK(col, AM_ERR_INTERNAL, "no text column %s or no row %lld", name, (long long)row);
  char *copy = NULL;
  AM_TRY(am_mem_strdup(value, &copy));
  free(col->value.text[row]);
  col->value.text[row] = copy;
  return AM_OK;
}

void am_frame_set_i64(am_frame *f, int64_t row, const char *name, int64_t value) {
  column *col = find(f, row, name, AM_COLUMN_I64);
  if (col) col->value.i64[row] = value;
}

void am_frame_set_f64(am_frame *f, int64_t row, const char *name, double value) {
  column *col = find(f, row, name, AM_COLUMN_F64);
  if (col) col->value.f64[row] = value;
}

const char *am_frame_text(const am_frame *f, int64_t row, const char *name) {
  const column *col = find(f, row, name, AM_COLUMN_TEXT);
  return col && col->value.text[row] ? col->value.text[row] : "";
}

int64_t am_frame_i64(const am_frame *f, int64_t row, const char *name) {
  const column *col = find(f, row, name, AM_COLUMN_I64);
  return col ? col->value.i64[row] : 0;
}

double am_frame_f64(const am_frame *f, int64_t row, const char *name) {
  const column *col = find(f, row, name, AM_COLUMN_F64);
  return col ? col->value.f64[row] : NAN;
}
