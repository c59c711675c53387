// Metrics against scikit-learn, torch and scipy (tests/golden/make_metrics.py).
#include "am_test.h"
#include "base/mem.h"
#include "config/node.h"
#include "metrics/metrics.h"

static am_node *golden;

static int load(void **state) {
  (void)state;
  return am_yaml_read("tests/golden/metrics.yaml", &golden) != AM_OK;
}

static int unload(void **state) {
  (void)state;
  am_node_free(golden);
  return 0;
}

static double number(const am_node *map, const char *key) {
  double x = 0;
  assert_non_null(am_node_get(map, key));
  am_ok(am_node_f64(am_node_get(map, key), &x));
  return x;
}

static void every_metric_agrees(void **state) {
  (void)state;
  const am_node *cases = am_node_get(golden, "cases");
  assert_true(cases->count >= 4);
  for (int64_t c = 0; c < cases->count; c++) {
    const am_node *logits = am_node_get(cases->item[c], "logits"),
                  *label = am_node_get(cases->item[c], "label");
    am_predictions p = {.n = label->count, .k = (int64_t)number(cases->item[c], "classes")};
    float *x = NULL;
    int32_t *t = NULL;
    am_ok(AM_NEW_ARRAY(&x, logits->count));
    am_ok(AM_NEW_ARRAY(&t, label->count));
    for (int64_t i = 0; i < logits->count; i++) x[i] = strtof(logits->item[i]->text, NULL);
    for (int64_t i = 0; i < label->count; i++) t[i] = atoi(label->item[i]->text);
    p.logits = x;
    p.label = t;
    assert_int_equal(logits->count, p.n * p.k);
    const am_node *values = am_node_get(cases->item[c], "values");
    int64_t checked = 0;
    for (const am_metric *const *m = am_metric_all(); *m; m++, checked++) {
      double got = 0, want = number(values, (*m)->name);
      am_ok((*m)->compute(&p, &got));
      am_close_at(&got, &want, 1, 1e-12, 1e-12, (*m)->name, __FILE__, __LINE__);
    }
    assert_int_equal(checked, values->count);
    free(x);
    free(t);
  }
}

static void student_quantiles_agree(void **state) {
  (void)state;
  const am_node *list = am_node_get(golden, "student");
  for (int64_t i = 0; i < list->count; i++) {
    double want = number(list->item[i], "value");
    double got = am_student_quantile(number(list->item[i], "probability"), number(list->item[i], "degrees"));
    am_close(&got, &want, 1, 1e-10, 0);
  }
}

static void paired_interval_agrees(void **state) {
  (void)state;
  const am_node *paired = am_node_get(golden, "paired");
  const am_node *a = am_node_get(paired, "a"), *b = am_node_get(paired, "b");
  double x[6], y[6];
  assert_int_equal(a->count, 6);
  for (int i = 0; i < 6; i++) {
    am_ok(am_node_f64(a->item[i], &x[i]));
    am_ok(am_node_f64(b->item[i], &y[i]));
  }
  for (int i = 0; i < 6; i++) x[i] -= y[i];
  am_summary s = am_summarise(x, 6);
  double got[4] = {s.mean, s.sd, s.lo, s.hi};
  double want[4] = {number(paired, "mean"), number(paired, "sd"), number(paired, "lo"), number(paired, "hi")};
  am_close(got, want, 4, 1e-12, 1e-14);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_metric_agrees),
      cmocka_unit_test(student_quantiles_agree),
      cmocka_unit_test(paired_interval_agrees),
  };
  return cmocka_run_group_tests_name("metrics_golden", tests, load, unload);
}
