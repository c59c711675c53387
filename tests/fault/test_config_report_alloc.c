// A configuration read, overridden, merged and printed, and results computed, written, read and
// rendered, in which the n-th allocation or the n-th file operation fails: each time a clean error,
// nothing leaked (the sanitizer build looks), no half-written file. Every n up to DENSE, then every
// seventh, where rendering repeats the same few calls.
// One child process per n, since a fault point counts from the start of its process.
#include <sys/wait.h>

#include "am_test.h"

#include "base/fault.h"
#include "base/path.h"
#include "config/bind.h"
#include "report/compare.h"

#define TEXT "a: &x {lr: 0.1, list: [1, {k: 2}]}\nb: *x\nname: 'demo'\n"

#define DEMO_FIELDS(I, F, B, S, C) \
  I(n, 3, 0, 10, "", "a number")   \
  S(name, "x", "a text")
typedef struct {
  AM_STRUCT(DEMO_FIELDS)
} demo_cfg;
#define AM_FIELD_OF demo_cfg
static const am_field demo_fields[] = {AM_FIELDS(DEMO_FIELDS)};
#undef AM_FIELD_OF
static const am_schema demo_schema = AM_SCHEMA("demo", "a demonstration", demo_cfg, demo_fields);

static am_err configure(void) {
  am_err err = AM_OK;
  am_node *n = NULL, *over = NULL, *bound = NULL;
  am_str text = {0};
  demo_cfg cfg;
  AM_GO(done, am_yaml_parse("f.yaml", TEXT, strlen(TEXT), &n));
  AM_GO(done, am_node_copy(n, &over));
  AM_GO(done, am_node_set(over, "a.list[1].k=[3, 4]"));
  AM_GO(done, am_node_set(over, "new.deep=1"));
  AM_GO(done, am_node_merge(n, over));
  AM_GO(done, am_node_canonical(n, &text));
  AM_GO(done, am_node_print(n, &text));
  AM_GO(done, am_bind(NULL, &demo_schema, NULL, &cfg));
  AM_GO(done, am_bind_to_node(&demo_schema, &cfg, &bound));
  AM_GO(done, am_schema_print(&demo_schema, &text));
done:
  am_node_free(n);
  am_node_free(over);
  am_node_free(bound);
  am_str_fini(&text);
  return err;
}

static am_err fill(am_results *r) {
  static const char *const arm[] = {"real", "gan"};
  am_frame *cells = am_results_frame(r, "cells"), *metrics = am_results_frame(r, "metrics"),
           *history = am_results_frame(r, "history"), *published = am_results_frame(r, "published");
  int64_t row;
  AM_TRY(am_results_set_attr(r, "name", "demo"));
  AM_TRY(am_results_set_attr(r, "notes", "one\ntwo"));
  AM_TRY(am_results_set_attr(r, "provenance", "{\"a\": 1}"));
  for (int64_t a = 0; a < 2; a++) {
    AM_TRY(am_frame_add(cells, &row));
    AM_TRY(am_frame_set_text(cells, row, "arm", arm[a]));
    AM_TRY(am_frame_set_text(cells, row, "model", "cnn"));
    AM_TRY(am_frame_set_text(cells, row, "status", a ? "failed" : "done"));
    am_frame_set_i64(cells, row, "epochs", 1 + a);
    AM_TRY(am_frame_add(metrics, &row));
    am_frame_set_i64(metrics, row, "cell", a);
    AM_TRY(am_frame_set_text(metrics, row, "metric", "accuracy"));
    AM_TRY(am_frame_set_text(metrics, row, "split", "test"));
    am_frame_set_f64(metrics, row, "value", 0.5);
    AM_TRY(am_frame_add(history, &row));
    am_frame_set_i64(history, row, "cell", a);
    AM_TRY(am_frame_set_text(history, row, "column", "train_loss"));
    am_frame_set_f64(history, row, "value", 1);
  }
  AM_TRY(am_frame_add(published, &row));
  AM_TRY(am_frame_set_text(published, row, "arm", "real"));
  AM_TRY(am_frame_set_text(published, row, "split", "test"));
  AM_TRY(am_frame_set_text(published, row, "metric", "accuracy"));
  am_frame_set_f64(published, row, "value", 0.5);
  const int64_t counts[] = {1, 2, 3, 4}, square[] = {2, 2}, sheet[] = {1, 2, 2, 3}, label = 0;
  const uint8_t pixel[12] = {0};
  const char *const name[] = {"cow", "horse"};
  AM_TRY(am_results_put_array(r, "confusion/0/test", AM_ARRAY_I64, 2, square, counts));
  AM_TRY(am_results_name_classes(r, "confusion/0/test", name, 2));
  AM_TRY(am_results_put_array(r, "real/test", AM_ARRAY_U8, 4, sheet, pixel));
  return am_results_label_array(r, "real/test", &label, 1);
}

static am_err report(const char *dir) {
  am_err err = AM_OK;
  am_results *r = NULL, *back = NULL, *compared = NULL;
  char *file = NULL;
  AM_GO(done, am_path_join(dir, "results.h5", &file));
  AM_GO(done, am_results_new(&r));
  AM_GO(done, fill(r));
  AM_GO(done, am_results_compute_rows(r, "real"));
  AM_GO(done, am_results_write(r, file));
  AM_GO(done, am_results_read(file, &back));
  AM_GO(done, am_report_write(back, dir));
  AM_GO(done, am_results_compare(&back, 1, AM_BUDGET_EPOCHS, &compared));
done:
  am_results_free(r);
  am_results_free(back);
  am_results_free(compared);
  free(file);
  return err;
}

// Files are whole or absent; nothing lies beside them.
static bool is_tidy(const char *dir) {
  am_dir_list list = {0};
  if (am_dir_read(dir, &list)) return false;
  bool tidy = true;
  for (int64_t i = 0; i < list.count; i++) {
    tidy = tidy && (am_str_starts(list.name[i], "table.") || !strcmp(list.name[i], "spent.csv") ||
                    !strcmp(list.name[i], "report.html") ||
                    !strcmp(list.name[i], "results.h5"));
  }
  am_dir_list_fini(&list);
  return tidy;
}

enum { DENSE = 250, STRIDE = 7 };
enum { CHILD_DONE, CHILD_FAILED_CLEANLY, CHILD_WRONG };

static int run_child(const char *fault, int n, am_err expected) {
  char spec[32], dir[300];
  snprintf(dir, sizeof dir, "%s/%s%d", am_test_dir(), fault, n);
  if (am_path_mkdirs(dir)) return CHILD_WRONG;
  snprintf(spec, sizeof spec, "%s:%d", fault, n);
  if (am_fault_init(spec, 0)) return CHILD_WRONG;
  am_err err = configure();
  if (!err) err = report(dir);
  const char *trouble = err && err != expected ? am_err_last()->message
                        : err && !is_tidy(dir) ? "leftovers"
                                               : NULL;
  if (trouble) fprintf(stderr, "%s %d: %s\n", fault, n, trouble);
  return trouble ? CHILD_WRONG : err ? CHILD_FAILED_CLEANLY : CHILD_DONE;
}

static void fail_every(const char *fault, am_err expected, int at_least) {
  am_test_dir();  // one for all children
  int n = 1, status = CHILD_FAILED_CLEANLY;
  for (; status == CHILD_FAILED_CLEANLY; n += n < DENSE ? 1 : STRIDE) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) exit(run_child(fault, n, expected));
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    status = WEXITSTATUS(status);
  }
  assert_int_equal(status, CHILD_DONE);
  assert_true(n > at_least);
}

static void every_allocation_may_fail(void **state) {
  (void)state;
  fail_every("alloc", AM_ERR_NOMEM, 500);
}

static void every_file_operation_may_fail(void **state) {
  (void)state;
  fail_every("io", AM_ERR_IO, 10);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(every_allocation_may_fail),
      cmocka_unit_test(every_file_operation_may_fail),
  };
  return cmocka_run_group_tests_name("config_report_alloc", tests, NULL, NULL);
}
