// Means over seeds and draws with their spread and the interval of Student's t.
#include <float.h>
#include <math.h>

#include "metrics/metrics.h"

// ---- Student's t ----

// Continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
static double beta_fraction(double x, double a, double b) {
  const double tiny = 1e-300;
  double c = 1, d = 1 - (a + b) * x / (a + 1);
  d = 1 / (fabs(d) < tiny ? tiny : d);
  double h = d;
  for (int m = 1; m < 2000; m++) {
    double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    double last = 1;
    for (int half = 0; half < 2; half++) {
      double step = half ? odd : even;
      d = 1 + step * d;
      d = 1 / (fabs(d) < tiny ? tiny : d);
      c = 1 + step / c;
      if (fabs(c) < tiny) c = tiny;
      last = d * c;
      h *= last;
    }
    if (fabs(last - 1) < DBL_EPSILON) break;
  }
  return h;
}

// I_x(a, b), the regularised incomplete beta function; y = 1 - x, given apart to keep its digits.
static double incomplete_beta(double x, double y, double a, double b) {
  if (x <= 0) return 0;
  if (y <= 0) return 1;
  double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log(y));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(x, a, b) / a;
  return 1 - front * beta_fraction(y, b, a) / b;
}

// P(T > t) for t >= 0.
static double upper_tail(double t, double degrees) {
  double sum = degrees + t * t;
  return 0.5 * incomplete_beta(degrees / sum, t * t / sum, 0.5 * degrees, 0.5);
}

double am_student_quantile(double probability, double degrees) {
  if (!(probability > 0 && probability < 1) || !(degrees > 0)) return NAN;
  if (probability < 0.5) return -am_student_quantile(1 - probability, degrees);
  double tail = 1 - probability, lo = 0, hi = 1;
  while (upper_tail(hi, degrees) > tail && hi < 1e300) {
    lo = hi;
    hi *= 2;
  }
  // Bisection to the last bit: a few hundred cheap steps, and nothing that can fail to converge.
  for (;;) {
    double mid = lo + 0.5 * (hi - lo);
    if (mid <= lo || mid >= hi) return mid;
    if (upper_tail(mid, degrees) > tail) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
}

// ---- summaries ----

am_summary am_summarise(const double *x, int64_t n) {
  am_summary s = {.n = n, .mean = NAN, .sd = NAN, .lo = NAN, .hi = NAN};
  if (n < 1) return s;
  double sum = 0, squares = 0;
  for (int64_t i = 0; i < n; i++) sum += x[i];
  s.mean = sum / (double)n;
  if (n < 2) return s;
  for (int64_t i = 0; i < n; i++) squares += (x[i] - s.mean) * (x[i] - s.mean);
  s.sd = sqrt(squares / (double)(n - 1));
  double half = am_student_quantile(0.975, (double)(n - 1)) * s.sd / sqrt((double)n);
  s.lo = s.mean - half;
  s.hi = s.mean + half;
  return s;
}

// ---- draws and the trainings on them ----

// Sums over the trainings of one draw, x[first, end).
typedef struct {
  int64_t end;
  double n, mean, squares;  // squares: of what differs from the mean
} draw_sums;

static draw_sums sum_draw(const am_sample *x, int64_t n, int64_t first) {
  draw_sums d = {.end = first};
  double sum = 0;
  for (; d.end < n && x[d.end].draw == x[first].draw; d.end++) sum += x[d.end].value;
  d.n = (double)(d.end - first);
  d.mean = sum / d.n;
  for (int64_t i = first; i < d.end; i++) d.squares += (x[i].value - d.mean) * (x[i].value - d.mean);
  return d;
}

am_spread am_summarise_draws(const am_sample *x, int64_t n) {
  am_spread s = {.mean = NAN, .sd_training = NAN, .sd_draw = NAN, .t_lo = NAN, .t_hi = NAN};
  double within = 0, means = 0, total = 0, squared_counts = 0, between = 0, of_means = 0;
  draw_sums d;
  for (int64_t first = 0; first < n; first = d.end) {
    d = sum_draw(x, n, first);
    s.draws++;
    if (d.end - first > s.trainings) s.trainings = d.end - first;
    within += d.squares;
    means += d.mean;
    total += d.n * d.mean;
    squared_counts += d.n * d.n;
  }
  if (n == 0) return s;
  double all = (double)n, k = (double)s.draws, freedom = all - k, mean_square = freedom > 0 ? within / freedom : 0;
  s.mean = means / k;
  if (freedom > 0) s.sd_training = sqrt(mean_square);
  for (int64_t first = 0; first < n; first = d.end) {
    d = sum_draw(x, n, first);
    between += d.n * (d.mean - total / all) * (d.mean - total / all);
    of_means += (d.mean - s.mean) * (d.mean - s.mean);
  }
  double units = s.draws > 1 ? k : all, spread = s.draws > 1 ? of_means : within;
  if (s.draws > 1) {
    double component = (between / (k - 1) - mean_square) * (k - 1) / (all - squared_counts / all);
    s.sd_draw = sqrt(component < 0 ? 0 : component);
  }
  if (units < 2) return s;
  double half = am_student_quantile(0.975, units - 1) * sqrt(spread / (units - 1) / units);
  s.t_lo = s.mean - half;
  s.t_hi = s.mean + half;
  return s;
}
