#include "metrics/metrics.h"

#include <math.h>
#include <string.h>

#include "metrics/metrics_internal.h"

static const am_metric *const all_metrics[] = {&am_metric_accuracy,
                                               &am_metric_top5_accuracy,
                                               &am_metric_balanced_accuracy,
                                               &am_metric_precision,
                                               &am_metric_recall,
                                               &am_metric_f1,
                                               &am_metric_loss,
                                               &am_metric_double_softmax_loss,
                                               &am_metric_nll,
                                               &am_metric_brier,
                                               &am_metric_ece,
                                               NULL};

const am_metric *const *am_metric_all(void) { return all_metrics; }

const am_metric *am_metric_find(const char *name) {
  for (int i = 0; all_metrics[i]; i++) {
    if (!strcmp(all_metrics[i]->name, name)) return all_metrics[i];
  }
  return NULL;
}

am_err am_predictions_check(const am_predictions *p) {
  AM_CHECK(p->n > 0 && p->k > 0, AM_ERR_ARG, "%lld predictions of %lld classes: nothing to measure",
           (long long)p->n, (long long)p->k);
  for (int64_t i = 0; i < p->n; i++) {
    AM_CHECK(p->label[i] >= 0 && p->label[i] < p->k, AM_ERR_DATA, "label %d of item %lld is outside 0..%lld",
             (int)p->label[i], (long long)i, (long long)p->k - 1);
  }
  return AM_OK;
}

const float *am_predictions_row(const am_predictions *p, int64_t i) { return p->logits + i * p->k; }

int64_t am_argmax(const float *x, int64_t k) {
  int64_t best = 0;
  for (int64_t j = 1; j < k; j++) {
    if (x[j] > x[best]) best = j;
  }
  return best;
}

double am_log_sum_exp(const float *x, int64_t k) {
  double top = x[am_argmax(x, k)], sum = 0;
  for (int64_t j = 0; j < k; j++) sum += exp(x[j] - top);
  return top + log(sum);
}
