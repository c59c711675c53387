// Whether paired differences are zero: bootstrap interval and sign-flip test.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "metrics/metrics.h"

// Arrangements that equal the observed one but for rounding count as reaching it.
static const double ROUNDING = 1e-12;

// ---- bootstrap ----

void am_pairing_fini(am_pairing *w) {
  free(w->first);
  free(w->weight);
  free(w->mean);
  free(w->flips);
  *w = (am_pairing){0};
}

// Beyond this many pairs resamples and flips are drawn anew each time, into one row.
enum { KEPT_PAIRS = 200 };
static bool is_kept(const am_pairing *w) { return w->pairs <= KEPT_PAIRS; }

// Whether the pairs lie on as many draws of the same sizes as those that w was made for.
static bool is_of_shape(const am_pairing *w, const am_sample *x, int64_t n) {
  if (w->pairs != n) return false;
  for (int64_t g = 0; g < w->draws; g++) {
    for (int64_t i = w->first[g]; i < w->first[g + 1]; i++) {
      if (x[i].draw != x[w->first[g]].draw) return false;
    }
    if (g > 0 && x[w->first[g]].draw == x[w->first[g] - 1].draw) return false;
  }
  return true;
}

// An index below n from 32 bits; off from uniform by less than n / 2^32.
static int64_t pick(am_rng *rng, int64_t n) { return (int64_t)((uint64_t)am_rng_u32(rng) * (uint64_t)n >> 32); }

// What each pair weighs in resample r: draws are drawn, then as many of each one's pairs as it has.
static void resample(const am_pairing *w, int64_t r, double *weight) {
  am_rng stream = am_rng_at(0, AM_RNG_BOOTSTRAP, (uint64_t)r), *rng = &stream;
  memset(weight, 0, (size_t)w->pairs * sizeof *weight);
  for (int64_t g = 0; g < w->draws; g++) {
    int64_t drawn = pick(rng, w->draws), first = w->first[drawn], n = w->first[drawn + 1] - first;
    for (int64_t j = 0; j < n; j++) weight[first + pick(rng, n)] += 1 / (double)(n * w->draws);
  }
}

static am_err fit_shape(am_pairing *w, const am_sample *x, int64_t n) {
  am_err err = AM_OK;
  am_pairing fresh = {.pairs = n};
  if (is_of_shape(w, x, n)) return AM_OK;
  AM_GO(failed, AM_NEW_ARRAY(&fresh.first, n + 1));
  for (int64_t i = 0; i < n; i++) {
    if (i == 0 || x[i].draw != x[i - 1].draw) fresh.first[fresh.draws++] = i;
  }
  fresh.first[fresh.draws] = n;
  AM_GO(failed, AM_NEW_ARRAY(&fresh.weight, is_kept(&fresh) ? n * AM_RESAMPLES : n));
  AM_GO(failed, AM_NEW_ARRAY(&fresh.mean, AM_RESAMPLES));
  for (int64_t r = 0; is_kept(&fresh) && r < AM_RESAMPLES; r++) resample(&fresh, r, fresh.weight + r * n);
  am_pairing_fini(w);
  *w = fresh;
  return AM_OK;
failed:
  am_pairing_fini(&fresh);
  return err;
}

// Afterwards a[k] is where sorting would put it, with nothing larger before and nothing smaller behind (Hoare's FIND).
static void select_kth(double *a, int64_t n, int64_t k) {
  for (int64_t lo = 0, hi = n - 1; lo < hi;) {
    double pivot = a[lo + (hi - lo) / 2];
    int64_t i = lo, j = hi;
    while (i <= j) {
      while (a[i] < pivot) i++;
      while (a[j] > pivot) j--;
      if (i > j) break;
      double t = a[i];
      a[i++] = a[j];
      a[j--] = t;
    }
    if (k <= j) {
      hi = j;
    } else if (k >= i) {
      lo = i;
    } else {
      return;
    }
  }
}

// Linear between order statistics, as numpy's default. Reorders a.
static double quantile(double *a, int64_t n, double probability) {
  double at = probability * (double)(n - 1);
  int64_t below = (int64_t)at;
  select_kth(a, n, below);
  double above = below + 1 < n ? a[below + 1] : a[below];
  for (int64_t i = below + 1; i < n; i++) above = fmin(above, a[i]);
  return a[below] + (at - (double)below) * (above - a[below]);
}

static void bootstrap(am_pairing *w, const am_sample *x, am_comparison *out) {
  for (int64_t r = 0; r < AM_RESAMPLES; r++) {
    double *weight = w->weight + (is_kept(w) ? r * w->pairs : 0);
    if (!is_kept(w)) resample(w, r, weight);
    w->mean[r] = 0;
    for (int64_t i = 0; i < w->pairs; i++) w->mean[r] += weight[i] * x[i].value;
  }
  out->lo = quantile(w->mean, AM_RESAMPLES, 0.025);
  out->hi = quantile(w->mean, AM_RESAMPLES, 0.975);
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

// Two halves of at most 2^10 sums each: every arrangement is one addition away. Of an arrangement and its opposite, which
// are as large, the one in which the last pair counts negative is looked at.
static am_err count_exactly(const double *x, int64_t n, double reach, double *p) {
  am_err err = AM_OK;
  double *low = NULL, *high = NULL;
  int64_t half = n / 2, lows = (int64_t)1 << half, highs = (int64_t)1 << (n - half), hits = 0;
  AM_GO(done, AM_NEW_ARRAY(&low, lows));
  AM_GO(done, AM_NEW_ARRAY(&high, highs));
  all_sums(x, half, low);
  all_sums(x + half, n - half, high);
  for (int64_t j = 0; j < highs / 2; j++)
    for (int64_t i = 0; i < lows; i++) hits += fabs(low[i] + high[j]) >= reach;
  *p = (double)hits / (double)(lows * (highs / 2));
done:
  free(low);
  free(high);
  return err;
}

// Random signs number r, a bit each, in whole bytes: the same for every comparison of so many pairs.
static void draw_signs(int64_t r, int64_t bytes, uint8_t *signs) {
  am_rng rng = am_rng_at(1, AM_RNG_BOOTSTRAP, (uint64_t)r);
  for (int64_t i = 0; i < bytes; i++) signs[i] = (uint8_t)am_rng_u32(&rng);
}

static am_err keep_flips(am_pairing *w) {
  int64_t bytes = am_ceil_div(w->pairs, 8);
  if (w->flips) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&w->flips, is_kept(w) ? bytes * AM_RANDOM_FLIPS : bytes));
  for (int64_t r = 0; is_kept(w) && r < AM_RANDOM_FLIPS; r++) draw_signs(r, bytes, w->flips + r * bytes);
  return AM_OK;
}

// Eight pairs at a time: a byte of signs names one of their 256 sums.
static am_err count_randomly(am_pairing *w, const double *x, double reach, double *p) {
  enum { SUMS = 256 };
  double *sums = NULL;
  int64_t bytes = am_ceil_div(w->pairs, 8), hits = 0;
  AM_TRY(keep_flips(w));
  AM_TRY(AM_NEW_ARRAY(&sums, bytes * SUMS));
  for (int64_t b = 0; b < bytes; b++) all_sums(x + 8 * b, 8, sums + b * SUMS);
  for (int64_t r = 0; r < AM_RANDOM_FLIPS; r++) {
    uint8_t *signs = w->flips + (is_kept(w) ? r * bytes : 0);
    double sum = 0;
    if (!is_kept(w)) draw_signs(r, bytes, signs);
    for (int64_t b = 0; b < bytes; b++) sum += sums[b * SUMS + signs[b]];
    hits += fabs(sum) >= reach;
  }
  *p = (double)(1 + hits) / (double)(1 + AM_RANDOM_FLIPS);
  free(sums);
  return AM_OK;
}

static am_err flip_signs(am_pairing *w, const am_sample *x, int64_t n, am_comparison *out) {
  double *weighted = NULL, sum = 0, size = 0;
  AM_TRY(AM_NEW_ARRAY(&weighted, am_ceil_div(n, 8) * 8));  // what is missing to whole bytes is zero
  weigh(x, n, weighted);
  for (int64_t i = 0; i < n; i++) {
    sum += weighted[i];
    size += fabs(weighted[i]);
  }
  double reach = fabs(sum) - ROUNDING * size;
  am_err err = out->exact ? count_exactly(weighted, n, reach, &out->p) : count_randomly(w, weighted, reach, &out->p);
  free(weighted);
  return err;
}

am_err am_compare_pairs(am_pairing *w, const am_sample *difference, int64_t n, am_comparison *out) {
  am_comparison c = {.pairs = n, .lo = NAN, .hi = NAN, .p = NAN, .p_min = NAN, .exact = n <= AM_EXACT_PAIRS};
  bool numbers = n > 0;
  for (int64_t i = 0; i < n; i++) numbers &= isfinite(difference[i].value);
  if (numbers) {
    c.p_min = c.exact ? ldexp(1, (int)(1 - n)) : 1.0 / (1 + AM_RANDOM_FLIPS);
    AM_TRY(fit_shape(w, difference, n));
    AM_TRY(flip_signs(w, difference, n, &c));
    if (n > 1) bootstrap(w, difference, &c);
  }
  *out = c;
  return AM_OK;
}
