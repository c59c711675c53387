// From the store to results.h5: reads what the stages of a plan left and puts it into tables.
#ifndef AM_REPORT_COLLECT_H
#define AM_REPORT_COLLECT_H

#include "report/results.h"
#include "sweep/plan.h"

// Everything the store has of this plan, rows not computed yet; missing and failed cells are there
// as such. Metrics are computed here, from the logits of each cell. `plan` has been looked at
// (am_plan_look). Local.
AM_MUST_USE am_err am_collect(const am_plan *plan, const am_store *store, am_results **out);

// RESULTS/<experiment>/: collects, computes the rows, writes results.h5 and the tables, and links
// the pools' shards under pools/<pool>/<draw>/. *text (may be NULL) = the table for a terminal.
AM_MUST_USE am_err am_collect_and_write(const am_plan *plan, const am_store *store, const char *results_dir,
                                        am_str *text);

#endif
