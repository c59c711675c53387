// A training history as a file: one f64 data set for each column, attribute `columns` their order.
#ifndef AM_SWEEP_STAGE_HISTORY_H
#define AM_SWEEP_STAGE_HISTORY_H

#include "train/train.h"

AM_MUST_USE am_err am_history_save(const am_history *h, const char *path);
AM_MUST_USE am_err am_history_load(const char *path, am_history **out);  // foreign bytes: checked

#endif
