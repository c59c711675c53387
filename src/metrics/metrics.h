// Metrics: arrays in, numbers out. All sums are f64 in index order, so a value depends only on the
// arrays. Conventions are scikit-learn's: macro means run over the classes that occur in the labels
// or the predictions, 0/0 counts as 0, balanced accuracy is the mean recall of the classes that have
// items. Logits that are not numbers make the losses NaN, not an error.
#ifndef AM_METRICS_METRICS_H
#define AM_METRICS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

// What a classifier said about a labelled set.
typedef struct {
  const float *logits;   // (n, k)
  const int32_t *label;  // (n), in [0, k)
  int64_t n, k;
} am_predictions;

typedef enum { AM_HIGHER_IS_BETTER, AM_LOWER_IS_BETTER } am_better;
typedef struct am_metric {
  const char *name;  // "accuracy", "top5_accuracy", "balanced_accuracy", "precision", "recall", "f1",
                     // "loss", "double_softmax_loss", "nll", "brier", "ece"
  const char *unit;  // "1" (a fraction) or "nats"
  am_better better;
  const char *doc;
  // Errors: AM_ERR_ARG no items; AM_ERR_DATA a label outside [0, k).
  AM_MUST_USE am_err (*compute)(const am_predictions *p, double *out);
} am_metric;
const am_metric *const *am_metric_all(void);        // NULL-terminated
const am_metric *am_metric_find(const char *name);  // NULL when unknown

// counts[t*k + p]: class t predicted as p (argmax, first of equals).
AM_MUST_USE am_err am_confusion(const am_predictions *p, int64_t *counts);
// From a confusion matrix: per class (k values each, may be NULL) and macro means. 0/0 = 0.
void am_confusion_scores(const int64_t *counts, int64_t k, double *precision, double *recall, double *f1,
                         double macro[3]);

// ---- summaries over seeds (summary.c) ----
typedef struct {
  int64_t n;
  double mean, sd, lo, hi;
} am_summary;  // sd: n-1; lo..hi: 95 % interval of the mean
// Student t interval; n = 1 gives sd, lo, hi = NaN, n = 0 a NaN mean as well.
am_summary am_summarise(const double *x, int64_t n);
// Summary of the differences a[i] - b[i] (paired on seeds).
am_summary am_summarise_paired(const double *a, const double *b, int64_t n);
// The x with P(T <= x) = probability, T of Student's t with `degrees` > 0 (need not be whole).
double am_student_quantile(double probability, double degrees);

#endif
