// Metrics of the predicted class: accuracy, top-k, and everything a confusion matrix gives.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "metrics/metrics_internal.h"

am_err am_confusion(const am_predictions *p, int64_t *counts) {
  AM_TRY(am_predictions_check(p));
  memset(counts, 0, (size_t)(p->k * p->k) * sizeof *counts);
  for (int64_t i = 0; i < p->n; i++) counts[p->label[i] * p->k + am_argmax(am_predictions_row(p, i), p->k)]++;
  return AM_OK;
}

static double ratio(double part, double whole) { return whole > 0 ? part / whole : 0; }

// How class c did: items of it, items called it, both.
typedef struct {
  int64_t truth, called, hit;
} class_tally;

static class_tally tally(const int64_t *counts, int64_t k, int64_t c) {
  class_tally t = {.hit = counts[c * k + c]};
  for (int64_t j = 0; j < k; j++) {
    t.truth += counts[c * k + j];
    t.called += counts[j * k + c];
  }
  return t;
}

void am_confusion_scores(const int64_t *counts, int64_t k, double *precision, double *recall, double *f1,
                         double macro[3]) {
  double sum[3] = {0};
  int64_t seen = 0;
  for (int64_t c = 0; c < k; c++) {
    class_tally t = tally(counts, k, c);
    double p = ratio((double)t.hit, (double)t.called), r = ratio((double)t.hit, (double)t.truth);
    double f = ratio(2.0 * (double)t.hit, (double)(t.called + t.truth));
    if (precision) precision[c] = p;
    if (recall) recall[c] = r;
    if (f1) f1[c] = f;
    if (t.truth + t.called == 0) continue;
    seen++;
    sum[0] += p;
    sum[1] += r;
    sum[2] += f;
  }
  for (int m = 0; m < 3; m++) macro[m] = ratio(sum[m], (double)seen);
}

static am_err new_confusion(const am_predictions *p, int64_t **out) {
  int64_t cells = 0, *counts = NULL;
  AM_CHECK(am_mul_i64(p->k, p->k, &cells), AM_ERR_ARG, "%lld classes are too many", (long long)p->k);
  AM_TRY(AM_NEW_ARRAY(&counts, cells));
  am_err err = am_confusion(p, counts);
  if (err) {
    free(counts);
    return err;
  }
  *out = counts;
  return AM_OK;
}

// Item i counts as found among the first `top` when fewer than `top` classes come before its own;
// of equal logits the lower class comes first, as in argmax.
static am_err top_k(const am_predictions *p, int64_t top, double *out) {
  AM_TRY(am_predictions_check(p));
  int64_t found = 0;
  for (int64_t i = 0; i < p->n; i++) {
    const float *x = am_predictions_row(p, i);
    int64_t own = p->label[i], before = 0;
    for (int64_t j = 0; j < p->k; j++) before += x[j] > x[own] || (x[j] == x[own] && j < own);
    found += before < top;
  }
  *out = (double)found / (double)p->n;
  return AM_OK;
}

static am_err accuracy(const am_predictions *p, double *out) { return top_k(p, 1, out); }
static am_err top5_accuracy(const am_predictions *p, double *out) { return top_k(p, 5, out); }

static am_err macro_score(const am_predictions *p, int which, double *out) {
  int64_t *counts = NULL;
  double macro[3];
  AM_TRY(new_confusion(p, &counts));
  am_confusion_scores(counts, p->k, NULL, NULL, NULL, macro);
  free(counts);
  *out = macro[which];
  return AM_OK;
}

static am_err precision(const am_predictions *p, double *out) { return macro_score(p, 0, out); }
static am_err recall(const am_predictions *p, double *out) { return macro_score(p, 1, out); }
static am_err f1(const am_predictions *p, double *out) { return macro_score(p, 2, out); }

static am_err balanced_accuracy(const am_predictions *p, double *out) {
  int64_t *counts = NULL;
  AM_TRY(new_confusion(p, &counts));
  double sum = 0;
  int64_t present = 0;
  for (int64_t c = 0; c < p->k; c++) {
    class_tally t = tally(counts, p->k, c);
    sum += ratio((double)t.hit, (double)t.truth);
    present += t.truth > 0;
  }
  free(counts);
  *out = sum / (double)present;
  return AM_OK;
}

const am_metric am_metric_accuracy = {"accuracy", "1", AM_HIGHER_IS_BETTER,
                                      "share of items whose class is right", accuracy};
const am_metric am_metric_top5_accuracy = {"top5_accuracy", "1", AM_HIGHER_IS_BETTER,
                                           "share of items whose class is among the five highest logits",
                                           top5_accuracy};
const am_metric am_metric_balanced_accuracy = {"balanced_accuracy", "1", AM_HIGHER_IS_BETTER,
                                               "mean recall of the classes that have items",
                                               balanced_accuracy};
const am_metric am_metric_precision = {"precision", "1", AM_HIGHER_IS_BETTER,
                                       "mean over classes of right / called; 0/0 = 0", precision};
const am_metric am_metric_recall = {"recall", "1", AM_HIGHER_IS_BETTER,
                                    "mean over classes of right / items; 0/0 = 0", recall};
const am_metric am_metric_f1 = {"f1", "1", AM_HIGHER_IS_BETTER,
                                "mean over classes of 2 right / (called + items); 0/0 = 0", f1};
