// What each arm spent: means over its finished cells, so that numbers are read beside their price.
#include <math.h>
#include <string.h>

#include "report/results_internal.h"

typedef struct {
  const char *column, *of;  // of /spent, from /cells
  bool whole;               // a count there
} price;
static const price prices[] = {{"epochs", "epochs", true},
                               {"steps", "steps", true},
                               {"train_device_sec", "device_seconds", false},
                               {"fit_device_sec", "fit_device_seconds", false},
                               {"generate_device_sec", "generate_device_seconds", false}};

static bool is_of(const am_frame *cells, int64_t cell, const char *arm, const char *model) {
  return !strcmp(am_frame_text(cells, cell, "arm"), arm) && !strcmp(am_frame_text(cells, cell, "model"), model);
}

static bool is_first(const am_frame *cells, int64_t cell) {
  const char *arm = am_frame_text(cells, cell, "arm"), *model = am_frame_text(cells, cell, "model");
  for (int64_t i = 0; i < cell; i++) {
    if (is_of(cells, i, arm, model)) return false;
  }
  return true;
}

static am_err add_line(const am_frame *cells, int64_t first, am_frame *spent) {
  const char *arm = am_frame_text(cells, first, "arm"), *model = am_frame_text(cells, first, "model");
  double sum[AM_COUNT_OF(prices)] = {0};
  int64_t count = 0, row;
  for (int64_t i = first; i < am_frame_rows(cells); i++) {
    if (!is_of(cells, i, arm, model) || !am_cell_is_trained(cells, i)) continue;
    count++;
    for (int64_t k = 0; k < AM_COUNT_OF(prices); k++)
      sum[k] += prices[k].whole ? (double)am_frame_i64(cells, i, prices[k].of) : am_frame_f64(cells, i, prices[k].of);
  }
  AM_TRY(am_frame_add(spent, &row));
  AM_TRY(am_frame_set_text(spent, row, "arm", arm));
  AM_TRY(am_frame_set_text(spent, row, "model", model));
  am_frame_set_i64(spent, row, "cells", count);
  for (int64_t k = 0; count && k < AM_COUNT_OF(prices); k++)
    am_frame_set_f64(spent, row, prices[k].column, sum[k] / (double)count);
  return AM_OK;
}

bool am_cell_is_trained(const am_frame *cells, int64_t cell) {
  const char *status = am_frame_text(cells, cell, "status");
  return !strcmp(status, "done") || !strcmp(status, AM_CELL_CUT);
}

am_err am_results_compute_spent(am_results *r) {
  AM_TRY(am_results_clear_frame(r, "spent"));
  const am_frame *cells = am_results_frame(r, "cells");
  for (int64_t i = 0; i < am_frame_rows(cells); i++) {
    if (is_first(cells, i)) AM_TRY(add_line(cells, i, am_results_frame(r, "spent")));
  }
  return AM_OK;
}
