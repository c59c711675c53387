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
} am_collector;

// /samples of every pool and /real of every split (collect_images.c).
AM_MUST_USE am_err am_collect_samples(am_collector *c);
// DIR/pools/<pool>/<draw>/<class>-<index>.h5: relative links to the shards of finished blocks.
AM_MUST_USE am_err am_link_pools(const am_plan *plan, const am_store *store, const char *dir);

#endif
