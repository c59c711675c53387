// A table in memory: named, typed columns of equal length. What results.h5 is read into and
// written from, and what report tables are computed on.
#ifndef AM_REPORT_FRAME_H
#define AM_REPORT_FRAME_H

#include <stdint.h>

#include "base/err.h"

typedef enum { AM_COLUMN_I64, AM_COLUMN_F64, AM_COLUMN_TEXT } am_column_type;
typedef struct am_frame am_frame;

// columns: "id:text arm:text seed:i64 value:f64".
AM_MUST_USE am_err am_frame_new(const char *columns, am_frame **out);
void am_frame_free(am_frame *f);
// Appends a row of 0, NaN and "".
AM_MUST_USE am_err am_frame_add(am_frame *f, int64_t *row);
int64_t am_frame_rows(const am_frame *f);
int am_frame_columns(const am_frame *f);
const char *am_frame_column_name(const am_frame *f, int column);
am_column_type am_frame_column_type(const am_frame *f, int column);
int am_frame_column(const am_frame *f, const char *name);  // -1 when absent
// A wrong name or type is a bug (AM_ASSERT); reading one gives 0, NaN or "".
AM_MUST_USE am_err am_frame_set_text(am_frame *f, int64_t row, const char *column, const char *value);
void am_frame_set_i64(am_frame *f, int64_t row, const char *column, int64_t value);
void am_frame_set_f64(am_frame *f, int64_t row, const char *column, double value);
const char *am_frame_text(const am_frame *f, int64_t row, const char *column);
int64_t am_frame_i64(const am_frame *f, int64_t row, const char *column);
double am_frame_f64(const am_frame *f, int64_t row, const char *column);

#endif
