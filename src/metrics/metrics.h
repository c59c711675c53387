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

// ---- summaries over seeds and draws (summary.c) ----
typedef struct {
  int64_t n;
  double mean, sd, lo, hi;
} am_summary;  // sd: n-1; lo..hi: 95 % interval of the mean
// Student t interval; n = 1 gives sd, lo, hi = NaN, n = 0 a NaN mean as well.
am_summary am_summarise(const double *x, int64_t n);
// The x with P(T <= x) = probability, T of Student's t with `degrees` > 0 (need not be whole).
double am_student_quantile(double probability, double degrees);

// What one training gave: on a draw of the data, under a seed. Lists are ordered by draw, then seed.
typedef struct {
  int64_t draw, seed;
  double value;
} am_sample;
// Variance components of a nested design, x_ij = mean + D_i + T_ij: draw i of the data, training j on it. With k draws
// of n_i trainings, N in all (Searle, Casella & McCulloch 1992, section 3.6: the ANOVA estimates, unbalanced data):
//   MSW = sum_ij (x_ij - x_i)^2 / (N - k)         MSB = sum_i n_i (x_i - x)^2 / (k - 1), x the mean of all N
//   sd_training = sqrt(MSW)                       sd_draw = sqrt(max(0, (MSB - MSW) / n0)),
//   n0 = (N - sum_i n_i^2 / N) / (k - 1), which is n where every draw has n trainings.
// One draw: sd_draw is NaN, nothing is known about it. One training a draw: sd_training is NaN and sd_draw = sqrt(MSB)
// holds both.
typedef struct {
  int64_t draws, trainings;     // draws with a value; the most trainings that any of them has
  double mean;                  // of the draws' means: a draw with a missing seed weighs as much as the others
  double sd_training, sd_draw;
  double t_lo, t_hi;            // Student's 95 % interval over the draws' means; over the values when there is one draw
} am_spread;
am_spread am_summarise_draws(const am_sample *x, int64_t n);

// ---- paired comparisons (paired.c) ----
enum { AM_RESAMPLES = 10000, AM_EXACT_PAIRS = 20, AM_RANDOM_FLIPS = 99999 };
// Whether the differences of pairs (an arm minus another, on the same draw under the same seed) are zero.
//   lo..hi  95 % percentile interval (linear quantiles) of the mean over AM_RESAMPLES bootstrap resamples: draws are
//           drawn, then seeds within each; with one draw seeds alone. Philox(seed 0, AM_RNG_BOOTSTRAP, resample): a
//           function of the numbers only. NaN below two pairs. Few pairs make it too narrow: see am_spread.t_lo.
//   p       two-sided sign-flip test of the same mean: the share of the 2^n ways of swapping the sides of pairs that
//           give |mean| at least as large, the observed one included. All of them up to AM_EXACT_PAIRS pairs, above
//           (1 + hits) / (1 + AM_RANDOM_FLIPS) by random ones (`exact` false). What it refutes is that the arms are
//           the same on these draws.
//   p_min   the smallest p that so many pairs can give: 2^(1 - n)
// Values that are not numbers make all of it NaN. Errors: AM_ERR_NOMEM.
typedef struct {
  int64_t pairs;
  double lo, hi, p, p_min;
  bool exact;
} am_comparison;
// What comparisons of one shape (draws, and pairs on each) have in common: the resamples. Starts as {0}, and is made anew
// when another shape comes; keep one for a whole table.
typedef struct {
  int64_t pairs, draws;
  int64_t *first;  // owned, as all of it: where each draw starts, and the end
  double *weight;  // (AM_RESAMPLES, pairs); one row where there are many pairs
  double *mean;    // (AM_RESAMPLES)
  uint8_t *flips;  // (AM_RANDOM_FLIPS, bytes of pairs bits), likewise; NULL before the first that needs it
} am_pairing;
void am_pairing_fini(am_pairing *w);
AM_MUST_USE am_err am_compare_pairs(am_pairing *w, const am_sample *difference, int64_t n, am_comparison *out);

#endif
