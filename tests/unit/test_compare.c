// Experiments at equal budget: what is taken where, what is not comparable and why, what never stands together.
#include "am_test.h"
#include "base/num.h"
#include "report/compare.h"

static void set(am_frame *f, int64_t row, const char *column, const char *text) {
  am_ok(am_frame_set_text(f, row, column, text));
}

static int64_t add(am_results *r, const char *frame) {
  int64_t row;
  am_ok(am_frame_add(am_results_frame(r, frame), &row));
  return row;
}

// Two splits of one draw, `test` watched.
static am_results *experiment(const char *name) {
  am_results *r = NULL;
  am_ok(am_results_new(&r));
  am_ok(am_results_set_attr(r, "name", name));
  am_ok(am_results_set_attr(r, "watch", "test"));
  am_ok(am_results_set_attr(r, "config", "{\"models\": {\"cnn\": {\"kind\": \"p3_cnn\"}}, \"seed\": 3}"));
  const char *const split[] = {"test", "shifted"};
  for (int i = 0; i < 2; i++) {
    int64_t row = add(r, "splits");
    set(am_results_frame(r, "splits"), row, "draw", "all");
    set(am_results_frame(r, "splits"), row, "split", split[i]);
    set(am_results_frame(r, "splits"), row, "address", split[i]);
  }
  return r;
}

static void add_metric(am_results *r, int64_t cell, const char *split, const char *metric, double value) {
  am_frame *f = am_results_frame(r, "metrics");
  int64_t row = add(r, "metrics");
  am_frame_set_i64(f, row, "cell", cell);
  set(f, row, "split", split);
  set(f, row, "metric", metric);
  am_frame_set_f64(f, row, "value", value);
}

// A cell that ends at accuracy `end` after so many epochs, and showed end - 0.1, end - 0.2, ... before; its loss likewise
// falls to 1. An hour of training an epoch.
static void add_cell(am_results *r, const char *arm, int64_t seed, int64_t epochs, int64_t steps, double fit_hours,
                     double end) {
  am_frame *f = am_results_frame(r, "cells"), *history = am_results_frame(r, "history");
  int64_t cell = add(r, "cells");
  set(f, cell, "arm", arm);
  set(f, cell, "model", "cnn");
  set(f, cell, "draw", "all");
  set(f, cell, "status", "done");
  set(f, cell, "loss", "loss");
  am_frame_set_i64(f, cell, "seed", seed);
  am_frame_set_i64(f, cell, "epochs", epochs);
  am_frame_set_i64(f, cell, "steps", steps);
  am_frame_set_f64(f, cell, "device_seconds", 3600.0 * (double)epochs);
  am_frame_set_f64(f, cell, "fit_device_seconds", 3600 * fit_hours);
  am_frame_set_f64(f, cell, "generate_device_seconds", 0);
  add_metric(r, cell, "test", "accuracy", end);
  add_metric(r, cell, "test", "loss", 1);
  add_metric(r, cell, "test", "f1", end / 2);
  add_metric(r, cell, "shifted", "accuracy", end / 3);
  for (int64_t e = 1; e <= epochs; e++) {
    for (int k = 0; k < 2; k++) {
      int64_t row = add(r, "history");
      am_frame_set_i64(history, row, "cell", cell);
      am_frame_set_i64(history, row, "epoch", e);
      set(history, row, "column", k ? "watch_loss" : "watch_accuracy");
      am_frame_set_f64(history, row, "value", k ? 1 + (double)(epochs - e) : end - 0.1 * (double)(epochs - e));
    }
  }
}

// `real`: 4 epochs of 10 steps; `gan`: 4 of 25, after two hours of fitting.
static am_results *two_arms(const char *name) {
  am_results *r = experiment(name);
  for (int64_t s = 0; s < 2; s++) add_cell(r, "real", s, 4, 40, 0, 0.6 + 0.02 * (double)s);
  for (int64_t s = 0; s < 2; s++) add_cell(r, "gan", s, 4, 100, 2, 0.9 + 0.02 * (double)s);
  am_ok(am_results_compute_rows(r, "real"));
  return r;
}

static int64_t find_row(am_results *r, const char *arm, const char *split, const char *metric) {
  const am_frame *f = am_results_frame(r, "rows");
  for (int64_t i = 0; i < am_frame_rows(f); i++) {
    if (!strcmp(am_frame_text(f, i, "arm"), arm) && !strcmp(am_frame_text(f, i, "split"), split) &&
        !strcmp(am_frame_text(f, i, "metric"), metric))
      return i;
  }
  return -1;
}

static void has_value(am_results *r, const char *arm, const char *split, const char *metric, double want) {
  int64_t row = find_row(r, arm, split, metric);
  assert_true(row >= 0);
  double got = am_frame_f64(am_results_frame(r, "rows"), row, "ours_mean");
  am_close_at(&got, &want, 1, 0, 1e-12, metric, __FILE__, __LINE__);
}

static void is_not_comparable(am_results *r, const char *arm, const char *split, const char *metric, const char *why) {
  const am_frame *rows = am_results_frame(r, "rows");
  int64_t row = find_row(r, arm, split, metric);
  assert_true(row >= 0);
  assert_string_equal(am_frame_text(rows, row, "verdict"), "not comparable");
  assert_int_equal(am_frame_i64(rows, row, "n_seeds"), 0);
  if (!strstr(am_frame_text(rows, row, "note"), why)) fail_msg("\"%s\": \"%s\"", why, am_frame_text(rows, row, "note"));
}

static am_results *compare(am_results *a, am_results *b, am_budget budget) {
  am_results *in[] = {a, b}, *out = NULL;
  am_ok(am_results_compare(in, b ? 2 : 1, budget, &out));
  return out;
}

static void arms_of_one_experiment(void **state) {
  (void)state;
  am_results *a = two_arms("a"), *r = compare(a, NULL, AM_BUDGET_STEPS);
  has_value(r, "real", "test", "accuracy", 0.61);
  has_value(r, "real", "test", "f1", 0.305);
  has_value(r, "real", "shifted", "accuracy", 0.61 / 3);
  has_value(r, "gan", "test", "accuracy", 0.91 - 0.3);  // one epoch of 25 steps fits into 40
  has_value(r, "gan", "test", "loss", 4);
  is_not_comparable(r, "gan", "test", "f1", "it spent 100 optimiser steps, and f1 before the end was not recorded");
  is_not_comparable(r, "gan", "shifted", "accuracy", "what `shifted` showed at 40 was not recorded: run it with `watch: shifted`");
  const am_frame *spent = am_results_frame(r, "spent");
  assert_true(isnan(am_frame_f64(spent, 0, "taken_at")));
  assert_true(am_frame_f64(spent, 1, "taken_at") == 25);
  assert_true(am_frame_f64(spent, 1, "steps") == 100);
  assert_non_null(strstr(am_results_attr(r, "budget"), "equal budget in optimiser steps: 40"));
  am_results_free(r);
  r = compare(a, NULL, AM_BUDGET_EPOCHS);  // equal already
  has_value(r, "gan", "test", "f1", 0.455);
  assert_null(strstr(am_results_attr(r, "budget"), "schedule"));
  am_results_free(r);
  r = compare(a, NULL, AM_BUDGET_DEVICE_HOURS);  // 4 hours: two for the generator, two epochs
  has_value(r, "gan", "test", "accuracy", 0.91 - 0.2);
  assert_true(am_frame_f64(am_results_frame(r, "spent"), 1, "taken_at") == 4);
  am_results_free(r);
  am_results_free(a);
}

static void two_experiments(void **state) {
  (void)state;
  am_results *a = experiment("a"), *b = two_arms("b");
  for (int64_t s = 0; s < 2; s++) add_cell(a, "short", s, 1, 10, 0, 0.4 + 0.02 * (double)s);
  am_ok(am_results_compute_rows(a, "short"));
  set(am_results_frame(b, "splits"), 1, "address", "other images");
  am_results *r = compare(a, b, AM_BUDGET_DEVICE_HOURS);
  has_value(r, "a: short", "test", "accuracy", 0.41);
  has_value(r, "b: real", "test", "accuracy", 0.61 - 0.3);
  is_not_comparable(r, "b: gan", "test", "accuracy", "its generators alone spent 2 device-hours of 1");
  assert_int_equal(find_row(r, "a: short", "shifted", "accuracy"), -1);
  assert_non_null(strstr(am_results_attr(r, "notes"), "split `shifted` of a is left out"));
  const am_frame *rows = am_results_frame(r, "rows");
  int64_t row = find_row(r, "b: real", "test", "accuracy");
  assert_string_equal(am_frame_text(rows, row, "reference"), "a: short");
  assert_int_equal(am_frame_i64(rows, row, "n_pairs"), 2);
  am_str text = {0};
  am_ok(am_report_text(r, &text));
  assert_non_null(strstr(am_str_get(&text), "not comparable"));
  assert_non_null(strstr(am_str_get(&text), "taken at"));
  am_str_fini(&text);
  am_results_free(r);
  r = compare(a, b, AM_BUDGET_STEPS);
  is_not_comparable(r, "b: gan", "test", "accuracy", "its first epoch is longer than 10 optimiser steps");
  am_results_free(r);
  // Another network of the same name stands in a table of its own, and nothing is paired across.
  am_ok(am_results_set_attr(b, "config", "{\"models\": {\"cnn\": {\"kind\": \"resnet18\"}}, \"seed\": 4}"));
  r = compare(a, b, AM_BUDGET_EPOCHS);
  rows = am_results_frame(r, "rows");
  row = find_row(r, "b: real", "test", "accuracy");
  assert_string_equal(am_frame_text(rows, row, "model"), "cnn of b");
  assert_int_equal(am_frame_i64(rows, row, "n_pairs"), 0);
  assert_non_null(strstr(am_results_attr(r, "notes"), "a and b start from other seeds"));
  am_results_free(r);
  am_results_free(a);
  am_results_free(b);
}

static void what_cannot_be_compared_is_refused(void **state) {
  (void)state;
  am_results *a = two_arms("a"), *b = two_arms("a"), *r = NULL;
  am_results *in[] = {a, b};
  am_fails(am_results_compare(in, 2, AM_BUDGET_STEPS, &r), AM_ERR_CONFIG, "two of the experiments are called a");
  am_ok(am_results_set_attr(b, "name", "b"));
  am_ok(am_results_set_attr(b, "tiny", "1"));
  am_fails(am_results_compare(in, 2, AM_BUDGET_STEPS, &r), AM_ERR_CONFIG, "one is a tiny run");
  am_ok(am_results_set_attr(b, "tiny", ""));
  set(am_results_frame(b, "splits"), 0, "address", "x");
  set(am_results_frame(b, "splits"), 1, "address", "y");
  am_fails(am_results_compare(in, 2, AM_BUDGET_STEPS, &r), AM_ERR_CONFIG, "no evaluated split is the same images");
  am_frame_set_i64(am_results_frame(a, "cells"), 0, "steps", 0);
  am_fails(am_results_compare(in, 1, AM_BUDGET_STEPS, &r), AM_ERR_CONFIG, "a: real spent no optimiser steps");
  assert_null(r);
  am_results_free(a);
  am_results_free(b);
}

// Missing and failed cells stay visible; of a history with gaps nothing is guessed.
static void holes_stay_holes(void **state) {
  (void)state;
  am_results *a = two_arms("a");
  set(am_results_frame(a, "cells"), 1, "status", "failed");
  am_frame *history = am_results_frame(a, "history");
  for (int64_t i = 0; i < am_frame_rows(history); i++) {
    if (am_frame_i64(history, i, "cell") == 3) am_frame_set_f64(history, i, "value", NAN);
  }
  am_results *r = compare(a, NULL, AM_BUDGET_STEPS);
  const am_frame *rows = am_results_frame(r, "rows");
  int64_t gan = find_row(r, "gan", "test", "accuracy");
  assert_int_equal(am_frame_i64(rows, gan, "n_seeds"), 1);
  assert_non_null(strstr(am_frame_text(rows, gan, "note"), "its history does not hold epoch 1"));
  am_str text = {0};
  am_ok(am_report_text(r, &text));
  assert_non_null(strstr(am_str_get(&text), "of 4 cells 0 are missing and 1 failed"));
  am_str_fini(&text);
  am_results_free(r);
  am_results_free(a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(arms_of_one_experiment),
      cmocka_unit_test(two_experiments),
      cmocka_unit_test(what_cannot_be_compared_is_refused),
      cmocka_unit_test(holes_stay_holes),
  };
  return cmocka_run_group_tests_name("compare", tests, NULL, NULL);
}
