// Whether paired differences are zero: bootstrap interval and sign-flip test.
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "metrics/metrics.h"

// Arrangements that equal the observed one but for rounding count as reaching it.
static const double ROUNDING = 1e-12;

// ---- bootstrap ----

typedef struct {
  int64_t *first;  // owned: where each draw starts, and the end
  int64_t count;
} draws;

static am_err find_draws(const am_sample *x, int64_t n, draws *out) {
  AM_TRY(AM_NEW_ARRAY(&out->first, n + 1));
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || x[i].draw != x[i - 1].draw) out->first[out->count++] = i;
  }
  out->first[out->count] = n;
  return AM_OK;
}

static double resampled_mean(const am_sample *x, const draws *d, am_rng *rng) {
  double means = 0;
  for (int64_t i = 0; i < d->count; i++) {
    int64_t draw = am_rng_below(rng, d->count), first = d->first[draw], n = d->first[draw + 1] - first;
    double sum = 0;
    for (int64_t j = 0; j < n; j++) sum += x[first + am_rng_below(rng, n)].value;
    means += sum / (double)n;
  }
  return means / (double)d->count;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

// Linear between order statistics, as numpy's default.
static double quantile(const double *sorted, int64_t n, double probability) {
  double at = probability * (double)(n - 1);
  int64_t below = (int64_t)at, above = below + 1 < n ? below + 1 : below;
  return sorted[below] + (at - (double)below) * (sorted[above] - sorted[below]);
}

static am_err bootstrap(const am_sample *x, int64_t n, am_comparison *out) {
  am_err err = AM_OK;
  draws d = {0};
  double *mean = NULL;
  AM_GO(done, find_draws(x, n, &d));
  AM_GO(done, AM_NEW_ARRAY(&mean, AM_RESAMPLES));
  for (int64_t r = 0; r < AM_RESAMPLES; r++) {
    am_rng rng = am_rng_at(0, AM_RNG_BOOTSTRAP, (uint64_t)r);
    mean[r] = resampled_mean(x, &d, &rng);
  }
  qsort(mean, AM_RESAMPLES, sizeof *mean, ascending);
  out->lo = quantile(mean, AM_RESAMPLES, 0.025);
  out->hi = quantile(mean, AM_RESAMPLES, 0.975);
done:
  free(d.first);
  free(mean);
  return err;
}

// ---- sign flips ----

// weighted[i] = what pair i adds to the mean of the draws' means, but for the number of draws.
static void weigh(const am_sample *x, int64_t n, double *weighted) {
  for (int64_t first = 0, end; first < n; first = end) {
    for (end = first; end < n && x[end].draw == x[first].draw;) end++;
    for (int64_t i = first; i < end; i++) weighted[i] = x[i].value / (double)(end - first);
  }
}

// sums[s] = sum of x with the signs that the bits of s say.
static void all_sums(const double *x, int64_t n, double *sums) {
  sums[0] = 0;
  for (int64_t i = 0; i < n; i++) sums[0] -= x[i];
  for (int64_t i = 0; i < n; i++)
    for (int64_t s = 0; s < (int64_t)1 << i; s++) sums[s + ((int64_t)1 << i)] = sums[s] + 2 * x[i];
}

// Two halves of at most 2^10 sums each: every arrangement is one addition away.
static am_err count_exactly(const double *x, int64_t n, double reach, double *p) {
  am_err err = AM_OK;
  double *low = NULL, *high = NULL;
  int64_t half = n / 2, lows = (int64_t)1 << half, highs = (int64_t)1 << (n - half), hits = 0;
  AM_GO(done, AM_NEW_ARRAY(&low, lows));
  AM_GO(done, AM_NEW_ARRAY(&high, highs));
  all_sums(x, half, low);
  all_sums(x + half, n - half, high);
  for (int64_t i = 0; i < lows; i++)
    for (int64_t j = 0; j < highs; j++) hits += fabs(low[i] + high[j]) >= reach;
  *p = (double)hits / (double)(lows * highs);
done:
  free(low);
  free(high);
  return err;
}

static double count_randomly(const double *x, int64_t n, double reach) {
  int64_t hits = 0;
  for (int64_t r = 0; r < AM_RANDOM_FLIPS; r++) {
    am_rng rng = am_rng_at(1, AM_RNG_BOOTSTRAP, (uint64_t)r);
    double sum = 0;
    for (int64_t i = 0; i < n;) {
      uint32_t bits = am_rng_u32(&rng);
      for (int b = 0; b < 32 && i < n; b++, i++) sum += bits >> b & 1 ? x[i] : -x[i];
    }
    hits += fabs(sum) >= reach;
  }
  return (double)(1 + hits) / (double)(1 + AM_RANDOM_FLIPS);
}

static am_err flip_signs(const am_sample *x, int64_t n, am_comparison *out) {
  double *weighted = NULL, sum = 0, size = 0;
  AM_TRY(AM_NEW_ARRAY(&weighted, n));
  weigh(x, n, weighted);
  for (int64_t i = 0; i < n; i++) {
    sum += weighted[i];
    size += fabs(weighted[i]);
  }
  double reach = fabs(sum) - ROUNDING * size;
  am_err err = AM_OK;
  if (out->exact) {
    err = count_exactly(weighted, n, reach, &out->p);
  } else {
    out->p = count_randomly(weighted, n, reach);
  }
  free(weighted);
  return err;
}

am_err am_compare_pairs(const am_sample *difference, int64_t n, am_comparison *out) {
  am_comparison c = {.pairs = n, .lo = NAN, .hi = NAN, .p = NAN, .p_min = NAN, .exact = n <= AM_EXACT_PAIRS};
  bool numbers = n > 0;
  for (int64_t i = 0; i < n; i++) numbers &= isfinite(difference[i].value);
  if (numbers) {
    c.p_min = c.exact ? ldexp(1, (int)(1 - n)) : 1.0 / (1 + AM_RANDOM_FLIPS);
    AM_TRY(flip_signs(difference, n, &c));
    if (n > 1) AM_TRY(bootstrap(difference, n, &c));
  }
  *out = c;
  return AM_OK;
}
