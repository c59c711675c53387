// Metrics by hand: ties, absent classes, bad labels, the confusion matrices behind paper P4.
#include "am_test.h"
#include "base/num.h"
#include "metrics/metrics.h"

static double compute(const char *name, const am_predictions *p) {
  double out = NAN;
  const am_metric *m = am_metric_find(name);
  assert_non_null(m);
  am_ok(m->compute(p, &out));
  return out;
}

static void close_to(double got, double want, double absolute) { am_close(&got, &want, 1, 0, absolute); }

// 41 cows and 41 horses, of which so many are called right: papers' section 11.3.
static void paper_confusions_give_the_printed_scores(void **state) {
  (void)state;
  const struct {
    int64_t cow, horse;
    double accuracy, precision, f1;
  } row[] = {
      {41, 2, 0.524, 0.756, 0.385},   // original
      {41, 7, 0.585, 0.773, 0.499},   // GAN 1000
      {41, 11, 0.634, 0.789, 0.578},  // GAN 2000
      {33, 13, 0.561, 0.580, 0.533},  // GAN 2000 + transforms
      {37, 11, 0.585, 0.643, 0.539},  // transforms
  };
  enum { N = 82 };
  for (int r = 0; r < AM_COUNT_OF(row); r++) {
    float logits[N][2];
    int32_t label[N];
    for (int i = 0; i < N; i++) {
      label[i] = i >= 41;
      int64_t place = i % 41;
      bool right = place < (label[i] ? row[r].horse : row[r].cow);
      int called = right ? label[i] : 1 - label[i];
      logits[i][called] = 2;
      logits[i][1 - called] = -1;
    }
    am_predictions p = {.logits = &logits[0][0], .label = label, .n = N, .k = 2};
    close_to(compute("accuracy", &p), row[r].accuracy, 5e-4);
    close_to(compute("recall", &p), row[r].accuracy, 5e-4);
    close_to(compute("balanced_accuracy", &p), row[r].accuracy, 5e-4);
    close_to(compute("precision", &p), row[r].precision, 5e-4);
    close_to(compute("f1", &p), row[r].f1, 5.1e-4);
    int64_t counts[4];
    am_ok(am_confusion(&p, counts));
    assert_int_equal(counts[0], row[r].cow);
    assert_int_equal(counts[1], 41 - row[r].cow);
    assert_int_equal(counts[3], row[r].horse);
  }
}

static void equal_logits_go_to_the_first_class(void **state) {
  (void)state;
  const float logits[] = {1, 1, 1, 1, 1, 1};
  for (int32_t label = 0; label < 6; label++) {
    am_predictions p = {.logits = logits, .label = &label, .n = 1, .k = 6};
    close_to(compute("accuracy", &p), label == 0, 0);
    close_to(compute("top5_accuracy", &p), label < 5, 0);
  }
}

static void saturated_double_softmax(void **state) {
  (void)state;
  const float logits[] = {60, -60};
  int32_t right = 0, wrong = 1;
  am_predictions p = {.logits = logits, .label = &right, .n = 1, .k = 2};
  close_to(compute("double_softmax_loss", &p), 0.313261688, 1e-9);
  p.label = &wrong;
  close_to(compute("double_softmax_loss", &p), 1.313261688, 1e-9);
  close_to(compute("loss", &p), 120, 1e-9);
  close_to(compute("brier", &p), 2, 1e-9);
  close_to(compute("ece", &p), 1, 1e-9);
}

static void macro_means_skip_classes_nobody_mentions(void **state) {
  (void)state;
  const int64_t counts[9] = {3, 0, 0, 1, 2, 0, 0, 0, 0};
  double precision[3], recall[3], f1[3], macro[3];
  am_confusion_scores(counts, 3, precision, recall, f1, macro);
  close_to(precision[0], 0.75, 1e-15);
  close_to(recall[1], 2.0 / 3, 1e-15);
  assert_true(precision[2] == 0 && recall[2] == 0 && f1[2] == 0);
  close_to(macro[0], (0.75 + 1) / 2, 1e-15);
  close_to(macro[1], (1 + 2.0 / 3) / 2, 1e-15);
}

static void refuses_bad_input(void **state) {
  (void)state;
  const float logits[] = {1, 2};
  int32_t label = 2;
  double out;
  am_predictions p = {.logits = logits, .label = &label, .n = 1, .k = 2};
  for (const am_metric *const *m = am_metric_all(); *m; m++) {
    am_fails((*m)->compute(&p, &out), AM_ERR_DATA, "label 2 of item 0 is outside 0..1");
  }
  p.n = 0;
  am_fails(am_metric_find("accuracy")->compute(&p, &out), AM_ERR_ARG, "nothing to measure");
  assert_null(am_metric_find("acuracy"));
}

static void logits_that_are_no_numbers_show(void **state) {
  (void)state;
  const float logits[] = {NAN, NAN};
  int32_t label = 0;
  am_predictions p = {.logits = logits, .label = &label, .n = 1, .k = 2};
  const char *const names[] = {"loss", "nll", "brier", "ece", "double_softmax_loss"};
  for (int i = 0; i < AM_COUNT_OF(names); i++) assert_true(isnan(compute(names[i], &p)));
}

static void summaries(void **state) {
  (void)state;
  const double x[] = {1, 2, 3, 4};
  am_summary s = am_summarise(x, 4);
  close_to(s.mean, 2.5, 0);
  close_to(s.sd, sqrt(5.0 / 3), 1e-15);
  close_to(s.hi - s.mean, 3.182446305284263 * s.sd / 2, 1e-12);
  s = am_summarise(x, 1);
  assert_true(s.mean == 1 && isnan(s.sd) && isnan(s.lo) && isnan(s.hi));
  assert_true(isnan(am_summarise(x, 0).mean));
  assert_true(isnan(am_student_quantile(1, 3)) && isnan(am_student_quantile(0.5, 0)));
  close_to(am_student_quantile(0.5, 3), 0, 1e-15);
}

// ---- draws and pairs ----

static void draws_of_any_size(void **state) {
  (void)state;
  const am_sample x[] = {{0, 0, 1}, {0, 1, 3}, {1, 0, 6}, {2, 0, NAN}};
  assert_true(isnan(am_summarise_draws(x, 0).mean));
  am_spread s = am_summarise_draws(x, 1);
  assert_true(s.mean == 1 && isnan(s.sd_training) && isnan(s.sd_draw) && isnan(s.t_lo));
  s = am_summarise_draws(x, 2);
  assert_true(s.draws == 1 && s.trainings == 2 && isnan(s.sd_draw));
  close_to(s.sd_training, sqrt(2), 1e-15);
  close_to(s.t_hi, am_summarise((const double[]){1, 3}, 2).hi, 1e-12);
  s = am_summarise_draws(x, 3);  // the second draw lacks a training
  assert_true(s.draws == 2 && s.mean == 4);
  // mean of all 10/3; MSB = 2 (4/3)^2 + (8/3)^2 = 32/3, MSW = 2, n0 = 3 - 5/3
  close_to(s.sd_draw, sqrt((32.0 / 3 - 2) / (4.0 / 3)), 1e-12);
  const am_sample apart[] = {{0, 0, 1}, {1, 0, 2}, {4, 0, 6}};  // one training a draw
  s = am_summarise_draws(apart, 3);
  assert_true(isnan(s.sd_training));
  close_to(s.sd_draw, sqrt(7), 1e-12);
  assert_true(isnan(am_summarise_draws(x, 4).mean));
}

static void pairs_of_any_number(void **state) {
  (void)state;
  am_sample x[32];
  am_pairing w = {0};
  am_comparison c;
  for (int i = 0; i < 32; i++) x[i] = (am_sample){0, i, 0.1 * (i + 1)};
  am_ok(am_compare_pairs(&w, x, 0, &c));
  assert_true(c.pairs == 0 && isnan(c.p) && isnan(c.lo) && isnan(c.p_min));
  am_ok(am_compare_pairs(&w, x, 1, &c));
  assert_true(c.p == 1 && c.p_min == 1 && isnan(c.lo));
  am_ok(am_compare_pairs(&w, x, 2, &c));
  assert_true(c.p == 0.5 && c.p_min == 0.5);
  close_to(c.lo, 0.1, 1e-15);
  close_to(c.hi, 0.2, 1e-15);
  for (int n = 3; n <= 21; n++) {  // all of one sign: as small as it gets
    am_ok(am_compare_pairs(&w, x, n, &c));
    assert_true(c.exact == (n <= 20));
    assert_true(c.p == c.p_min);
    assert_true(c.p_min == (n <= 20 ? ldexp(1, 1 - n) : 1e-5));
  }
  x[1].value = 0;
  x[0].value = -0.3;  // -0.3, 0, 0.3: every arrangement reaches a sum of 0
  am_ok(am_compare_pairs(&w, x, 3, &c));
  close_to(c.p, 1, 0);
  x[2].value = NAN;
  am_ok(am_compare_pairs(&w, x, 3, &c));
  assert_true(isnan(c.p) && isnan(c.lo));
  am_pairing_fini(&w);
}

// What is kept between comparisons changes none of them.
static void shapes_may_take_turns(void **state) {
  (void)state;
  am_pairing w = {0};
  am_sample many[250];  // more than are kept
  am_comparison all;
  for (int i = 0; i < 250; i++) many[i] = (am_sample){0, i, sin(i) + 0.1};
  am_ok(am_compare_pairs(&w, many, 250, &all));
  am_spread spread = am_summarise_draws(many, 250);
  close_to(all.lo, spread.t_lo, 0.02);  // so many that bootstrap and Student agree
  close_to(all.hi, spread.t_hi, 0.02);
  assert_true(!all.exact && all.p > 0.01 && all.p < 0.2);
  for (int round = 0; round < 12; round++) {
    am_sample x[24];
    const int n = round % 3 == 2 ? 24 : 6, per_draw = round % 2 ? 3 : 6;
    for (int i = 0; i < n; i++) x[i] = (am_sample){i / per_draw, i % per_draw, sin(i + round)};
    am_pairing own = {0};
    am_comparison kept, fresh;
    am_ok(am_compare_pairs(&w, x, n, &kept));
    am_ok(am_compare_pairs(&own, x, n, &fresh));
    assert_true(kept.lo == fresh.lo && kept.hi == fresh.hi && kept.p == fresh.p);
    am_pairing_fini(&own);
  }
  am_pairing_fini(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(paper_confusions_give_the_printed_scores),
      cmocka_unit_test(equal_logits_go_to_the_first_class),
      cmocka_unit_test(saturated_double_softmax),
      cmocka_unit_test(macro_means_skip_classes_nobody_mentions),
      cmocka_unit_test(refuses_bad_input),
      cmocka_unit_test(logits_that_are_no_numbers_show),
      cmocka_unit_test(summaries),
      cmocka_unit_test(draws_of_any_size),
      cmocka_unit_test(pairs_of_any_number),
      cmocka_unit_test(shapes_may_take_turns),
  };
  return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
