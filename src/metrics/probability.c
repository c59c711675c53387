// Metrics of the predicted probabilities: log losses, Brier score, calibration error.
#include <math.h>

#include "base/num.h"
#include "metrics/metrics_internal.h"

static am_err cross_entropy(const am_predictions *p, double *out) {
  AM_TRY(am_predictions_check(p));
  double sum = 0;
  for (int64_t i = 0; i < p->n; i++) {
    const float *x = am_predictions_row(p, i);
    sum += am_log_sum_exp(x, p->k) - x[p->label[i]];
  }
  *out = sum / (double)p->n;
  return AM_OK;
}

// What a program reports that feeds softmax outputs to a loss which applies softmax itself (paper
// P4, section 11.3): -log softmax(q)_label with q = softmax(x). Between 0.313 and 1.313 for two
// classes, whatever the network does.
static am_err double_softmax(const am_predictions *p, double *out) {
  AM_TRY(am_predictions_check(p));
  double sum = 0;
  for (int64_t i = 0; i < p->n; i++) {
    const float *x = am_predictions_row(p, i);
    double norm = am_log_sum_exp(x, p->k), total = 0;
    for (int64_t j = 0; j < p->k; j++) total += exp(exp(x[j] - norm));
    sum += log(total) - exp(x[p->label[i]] - norm);
  }
  *out = sum / (double)p->n;
  return AM_OK;
}

static am_err brier(const am_predictions *p, double *out) {
  AM_TRY(am_predictions_check(p));
  double sum = 0;
  for (int64_t i = 0; i < p->n; i++) {
    const float *x = am_predictions_row(p, i);
    double norm = am_log_sum_exp(x, p->k);
    for (int64_t j = 0; j < p->k; j++) {
      double gap = exp(x[j] - norm) - (j == p->label[i] ? 1 : 0);
      sum += gap * gap;
    }
  }
  *out = sum / (double)p->n;
  return AM_OK;
}

// Expected calibration error (Guo et al. 2017): 15 bins of equal width, (a, b], over the highest
// probability; the gap between share right and mean confidence, weighted by the items in the bin.
static am_err calibration_error(const am_predictions *p, double *out) {
  enum { BINS = 15 };
  AM_TRY(am_predictions_check(p));
  double right[BINS] = {0}, confidence[BINS] = {0};
  for (int64_t i = 0; i < p->n; i++) {
    const float *x = am_predictions_row(p, i);
    int64_t called = am_argmax(x, p->k);
    double top = exp(x[called] - am_log_sum_exp(x, p->k));
    if (isnan(top)) {
      *out = NAN;
      return AM_OK;
    }
    int64_t bin = am_clamp_i64((int64_t)ceil(top * BINS) - 1, 0, BINS - 1);
    confidence[bin] += top;
    right[bin] += called == p->label[i];
  }
  double sum = 0;
  for (int b = 0; b < BINS; b++) sum += fabs(right[b] - confidence[b]);
  *out = sum / (double)p->n;
  return AM_OK;
}

const am_metric am_metric_loss = {"loss", "nats", AM_LOWER_IS_BETTER, "mean cross-entropy of the logits",
                                  cross_entropy};
const am_metric am_metric_nll = {"nll", "nats", AM_LOWER_IS_BETTER,
                                 "mean negative log-likelihood of the true class", cross_entropy};
const am_metric am_metric_double_softmax_loss = {"double_softmax_loss", "nats", AM_LOWER_IS_BETTER,
                                                 "cross-entropy of softmax outputs taken for logits",
                                                 double_softmax};
const am_metric am_metric_brier = {
    "brier", "1", AM_LOWER_IS_BETTER,
    "mean squared distance of probabilities from the truth, summed over classes", brier};
const am_metric am_metric_ece = {"ece", "1", AM_LOWER_IS_BETTER,
                                 "expected calibration error, 15 bins of equal width", calibration_error};
