// Several experiments, or the arms of one, at an equal budget.
//
// The budget is what every trained cell spent: the least of their ends. A cell that ends there gives all its values.
// One that spent more gives what its history says at the last epoch within the budget: accuracy and loss of the split
// that it watched, and nothing else. What is not known there is `not comparable` in the table, with the reason; it is
// never replaced by the value at the end. Device-hours are training, fits and generation of the pools behind a cell
// (each counted whole), as means over the cells of an arm and model; the epochs of a training count the same.
//
// Only splits that are the same images in all experiments are compared (addresses of /splits); models stand together
// where their sections of the configuration are the same.
#ifndef AM_REPORT_COMPARE_H
#define AM_REPORT_COMPARE_H

#include "report/results.h"

typedef enum { AM_BUDGET_EPOCHS, AM_BUDGET_STEPS, AM_BUDGET_DEVICE_HOURS } am_budget;
extern const char *const am_budget_names[];  // "epochs", "steps", "device-hours", NULL

// A table of its own: /cells (arms as "experiment: arm" where there are several experiments), /metrics at the budget,
// /rows and /spent, attribute `budget`. References are to the reference arm of the first. `in` have their rows.
// Errors: AM_ERR_CONFIG two of one name, tiny beside full runs, no common split, a budget of nothing.
AM_MUST_USE am_err am_results_compare(am_results *const *in, int64_t count, am_budget budget, am_results **out);

#endif
