// The inside of am_results, shared by results.c and results_h5.c.
#ifndef AM_REPORT_RESULTS_INTERNAL_H
#define AM_REPORT_RESULTS_INTERNAL_H

#include <stdbool.h>

#include "base/num.h"
#include "report/results.h"

enum { AM_RESULTS_FRAMES = 10 };
typedef struct {
  const char *name, *columns;
} am_frame_def;
extern const am_frame_def am_frame_defs[AM_RESULTS_FRAMES];

// Attributes of the file that are texts, NULL-terminated; `format` and `tiny` are apart.
extern const char *const am_results_text_attrs[];

typedef struct {
  char *name, *text;  // owned
} am_results_attribute;

struct am_results {
  am_frame *frame[AM_RESULTS_FRAMES];  // owned
  am_results_attribute *attr;          // owned
  int64_t attr_count, attr_capacity;
  am_array *array;  // owned, ordered by path
  int64_t array_count, array_capacity;
};

AM_MUST_USE am_err am_results_clear_frame(am_results *r, const char *name);
// Rows that name rows of other tables name some that exist, epochs are epochs. Errors: AM_ERR_DATA.
AM_MUST_USE am_err am_results_check(am_results *r, const char *name);
// /spent from /cells (spent.c).
AM_MUST_USE am_err am_results_compute_spent(am_results *r);
// Status of a cell of a comparison whose values are those of an earlier epoch, or none.
#define AM_CELL_CUT "cut"
// Whether a cell was trained: done, or cut.
bool am_cell_is_trained(const am_frame *cells, int64_t cell);
size_t am_array_type_size(am_array_type type);
// *out = product of the dimensions. Errors: AM_ERR_ARG rank or size that cannot be.
AM_MUST_USE am_err am_array_elements(int ndim, const int64_t *dim, int64_t *out);

#endif
