// Shared by the metric families; not for other folders.
#ifndef AM_METRICS_INTERNAL_H
#define AM_METRICS_INTERNAL_H

#include "metrics/metrics.h"

// Errors: AM_ERR_ARG nothing to measure; AM_ERR_DATA a label outside [0, k).
AM_MUST_USE am_err am_predictions_check(const am_predictions *p);
const float *am_predictions_row(const am_predictions *p, int64_t i);
int64_t am_argmax(const float *x, int64_t k);  // first of equals
// log(sum_j exp(x_j)) without overflow.
double am_log_sum_exp(const float *x, int64_t k);

extern const am_metric am_metric_accuracy, am_metric_top5_accuracy, am_metric_balanced_accuracy,
    am_metric_precision, am_metric_recall, am_metric_f1;  // accuracy.c
extern const am_metric am_metric_loss, am_metric_double_softmax_loss, am_metric_nll, am_metric_brier,
    am_metric_ece;  // probability.c

#endif
