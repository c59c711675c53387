// Paired comparisons and variance components against scipy (tests/golden/make_paired.py).
#include "am_test.h"
#include "config/node.h"
#include "metrics/metrics.h"

enum { MOST = 64 };

static double number(const am_node *map, const char *key) {
  double x = 0;
  assert_non_null(am_node_get(map, key));
  am_ok(am_node_f64(am_node_get(map, key), &x));
  return x;
}

static int64_t samples_of(const am_node *c, am_sample x[MOST]) {
  const am_node *counts = am_node_get(c, "counts"), *values = am_node_get(c, "x");
  int64_t n = 0;
  for (int64_t d = 0; d < counts->count; d++) {
    double trainings = 0;
    am_ok(am_node_f64(counts->item[d], &trainings));
    for (int64_t j = 0; j < (int64_t)trainings; j++, n++) {
      assert_true(n < MOST && n < values->count);
      x[n] = (am_sample){.draw = d, .seed = j};
      am_ok(am_node_f64(values->item[n], &x[n].value));
    }
  }
  assert_int_equal(n, values->count);
  return n;
}

static void agrees_with_scipy(void **state) {
  (void)state;
  am_node *golden = NULL;
  am_pairing w = {0};
  am_ok(am_yaml_read("tests/golden/paired.yaml", &golden));
  assert_true(golden->count >= 9);
  for (int64_t i = 0; i < golden->count; i++) {
    const am_node *c = golden->item[i];
    am_sample x[MOST];
    int64_t n = samples_of(c, x);
    am_comparison got;
    am_ok(am_compare_pairs(&w, x, n, &got));
    am_spread s = am_summarise_draws(x, n);
    double want = number(c, "p");
    assert_int_equal(got.exact, n <= AM_EXACT_PAIRS);
    // Exact tests agree to the last digit; two random ones of 1e5 and 1e6 flips within four deviations.
    am_close(&got.p, &want, 1, 1e-12, got.exact ? 0 : 4 * sqrt(want / AM_RANDOM_FLIPS) + 2e-5);
    // The 2.5 % quantile of 1e4 resamples is uncertain by 0.027 deviations of their distribution; four times that. A
    // deviation of a mean with so few pairs is at least a fifth of the interval.
    double width = number(c, "hi") - number(c, "lo"), bounds[2] = {got.lo, got.hi},
           scipys[2] = {number(c, "lo"), number(c, "hi")};
    am_close(bounds, scipys, 2, 0, 4 * 0.027 * width / 3.5);
    double parts[2] = {s.mean, s.sd_training}, theirs[2] = {number(c, "mean"), number(c, "sd_training")};
    am_close(parts, theirs, 2, 1e-12, 1e-15);
    if (am_node_get(c, "sd_draw")) {
      want = number(c, "sd_draw");
      am_close(&s.sd_draw, &want, 1, 1e-9, 1e-12);
    } else {
      assert_true(isnan(s.sd_draw));
    }
  }
  am_pairing_fini(&w);
  am_node_free(golden);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(agrees_with_scipy)};
  return cmocka_run_group_tests_name("paired_golden", tests, NULL, NULL);
}
