// Shared by the files that compare experiments; not for other folders.
#ifndef AM_REPORT_COMPARE_INTERNAL_H
#define AM_REPORT_COMPARE_INTERNAL_H

#include <stdbool.h>

#include "config/node.h"
#include "report/compare.h"

// An experiment of the comparison.
typedef struct {
  am_results *from;    // borrowed
  const char *name;    // borrowed
  const char *watch;   // borrowed: the split that its histories watch, or ""
  am_node *config;     // owned; NULL where it cannot be read
} am_compared;

typedef struct {
  am_compared *item;  // owned
  int64_t count;
  am_str notes;       // a line each
} am_comparing;

// compare_match.c: what of the experiments may stand in one table.
AM_MUST_USE am_err am_comparing_begin(am_results *const *in, int64_t count, am_comparing *out);
void am_comparing_end(am_comparing *c);
// Whether a split is the same images in all experiments.
bool am_compare_shares_split(const am_comparing *c, const char *split);
// Notes on what was left out, and on what makes pairs weaker. Errors: AM_ERR_CONFIG nothing is left.
AM_MUST_USE am_err am_compare_note_differences(am_comparing *c, am_budget budget);
// How the arm and the model of a cell are called in the table.
AM_MUST_USE am_err am_compare_arm_name(const am_comparing *c, int64_t which, const char *arm, char **out);
AM_MUST_USE am_err am_compare_model_name(const am_comparing *c, int64_t which, const char *model, char **out);

#endif
