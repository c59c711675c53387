// Shared by the files that collect results; not for other folders.
#ifndef AM_REPORT_COLLECT_INTERNAL_H
#define AM_REPORT_COLLECT_INTERNAL_H

#include "report/collect.h"

typedef struct {
  const am_plan *plan;      // borrowed
  const am_store *store;    // borrowed
  am_results *results;      // owned
  const char **class_name;  // owned
  int64_t class_count;
  double *device_seconds;  // owned: of each stage; below 0: not looked up, NaN: not done
} am_collector;

// Device-seconds (seconds times ranks) that a stage took, NaN when it is not done.
double am_collect_device_seconds(am_collector *c, int64_t stage);
// Columns of /cells on what a trained cell spent (collect_cost.c).
AM_MUST_USE am_err am_collect_cell_cost(am_collector *c, const am_cell *cell, int64_t row);
// /samples of every pool and /real of every split (collect_images.c).
AM_MUST_USE am_err am_collect_samples(am_collector *c);
// DIR/pools/<pool>/<draw>/<class>-<index>.h5: relative links to the shards of finished blocks.
AM_MUST_USE am_err am_link_pools(const am_plan *plan, const am_store *store, const char *dir);

#endif
