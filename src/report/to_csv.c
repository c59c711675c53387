// /rows as CSV (RFC 4180): every column, numbers in shortest exact form, nothing where there is none.
#include <math.h>
#include <string.h>

#include "config/node.h"
#include "report/table.h"

static am_err put_text(am_str *out, const char *text) {
  if (!text[strcspn(text, ",\"\r\n")]) return am_str_printf(out, "%s", text);
  AM_TRY(am_str_append(out, "\"", 1));
  for (const char *p = text; *p; p++) AM_TRY(am_str_printf(out, *p == '"' ? "\"%c" : "%c", *p));
  return am_str_append(out, "\"", 1);
}

static am_err put_cell(am_str *out, const am_frame *rows, int64_t row, int column) {
  const char *name = am_frame_column_name(rows, column);
  char text[AM_NUMBER_TEXT];
  double x;
  switch (am_frame_column_type(rows, column)) {
    case AM_COLUMN_TEXT:
      return put_text(out, am_frame_text(rows, row, name));
    case AM_COLUMN_I64:
      return am_str_printf(out, "%lld", (long long)am_frame_i64(rows, row, name));
    case AM_COLUMN_F64:
      x = am_frame_f64(rows, row, name);
      return isnan(x)
                 ? AM_OK
                 : am_str_printf(out, "%s", isinf(x) ? (x > 0 ? "inf" : "-inf") : am_number_text(x, text));
  }
  return AM_FAIL(AM_ERR_INTERNAL, "column %s has no type", name);
}

am_err am_rows_to_csv(const am_frame *rows, am_str *out) {
  for (int c = 0; c < am_frame_columns(rows); c++) {
    AM_TRY(am_str_printf(out, "%s%s", c ? "," : "", am_frame_column_name(rows, c)));
  }
  AM_TRY(am_str_printf(out, "\n"));
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    for (int c = 0; c < am_frame_columns(rows); c++) {
      if (c) AM_TRY(am_str_append(out, ",", 1));
      AM_TRY(put_cell(out, rows, i, c));
    }
    AM_TRY(am_str_append(out, "\n", 1));
  }
  return AM_OK;
}
