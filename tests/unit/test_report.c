// From cells to tables: spreads, paired differences, verdicts, what is missing, every rendering.
#include "am_test.h"
#include "base/num.h"
#include "base/path.h"
#include "report/results.h"

static void set(am_frame *f, int64_t row, const char *column, const char *text) {
  am_ok(am_frame_set_text(f, row, column, text));
}

static int64_t add_cell(am_results *r, const char *arm, const char *draw, int64_t seed, const char *status) {
  am_frame *f = am_results_frame(r, "cells");
  int64_t row;
  am_ok(am_frame_add(f, &row));
  set(f, row, "arm", arm);
  set(f, row, "model", "cnn");
  set(f, row, "draw", draw);
  set(f, row, "status", status);
  am_frame_set_i64(f, row, "seed", seed);
  return row;
}

static void add_metric(am_results *r, int64_t cell, const char *metric, double value) {
  am_frame *f = am_results_frame(r, "metrics");
  int64_t row;
  am_ok(am_frame_add(f, &row));
  am_frame_set_i64(f, row, "cell", cell);
  set(f, row, "split", "test");
  set(f, row, "metric", metric);
  set(f, row, "unit", "1");
  set(f, row, "better", "higher");
  am_frame_set_f64(f, row, "value", value);
}

static int64_t publish(am_results *r, const char *arm, const char *metric, double value, double tolerance,
                       const char *reason) {
  am_frame *f = am_results_frame(r, "published");
  int64_t row;
  am_ok(am_frame_add(f, &row));
  set(f, row, "arm", arm);
  set(f, row, "split", "test");
  set(f, row, "metric", metric);
  set(f, row, "reason", reason);
  am_frame_set_f64(f, row, "value", value);
  am_frame_set_f64(f, row, "tolerance", tolerance);
  return row;
}

// Two arms, three seeds each, all done.
static am_results *two_arms(void) {
  am_results *r = NULL;
  am_ok(am_results_new(&r));
  am_ok(am_results_set_attr(r, "name", "demo"));
  const double real[] = {0.50, 0.60, 0.70}, gan[] = {0.61, 0.70, 0.82};
  for (int64_t s = 0; s < 3; s++) add_metric(r, add_cell(r, "real", "all", s, "done"), "accuracy", real[s]);
  for (int64_t s = 0; s < 3; s++) add_metric(r, add_cell(r, "gan", "all", s, "done"), "accuracy", gan[s]);
  return r;
}

static int64_t find_row(am_results *r, const char *arm, const char *metric) {
  am_frame *rows = am_results_frame(r, "rows");
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    if (!strcmp(am_frame_text(rows, i, "arm"), arm) && !strcmp(am_frame_text(rows, i, "metric"), metric))
      return i;
  }
  fail_msg("no row %s %s", arm, metric);
  return -1;
}

static void close_to(double got, double want) { am_close(&got, &want, 1, 0, 1e-12); }

static void means_and_paired_differences(void **state) {
  (void)state;
  am_results *r = two_arms();
  am_ok(am_results_compute_rows(r, NULL));
  am_frame *rows = am_results_frame(r, "rows");
  int64_t gan = find_row(r, "gan", "accuracy"), real = find_row(r, "real", "accuracy");
  assert_int_equal(am_frame_i64(rows, gan, "n_seeds"), 3);
  assert_int_equal(am_frame_i64(rows, gan, "n_draws"), 1);
  close_to(am_frame_f64(rows, real, "ours_mean"), 0.6);
  close_to(am_frame_f64(rows, real, "ours_sd"), 0.1);
  assert_true(isnan(am_frame_f64(rows, real, "sd_draws")));
  assert_true(isnan(am_frame_f64(rows, real, "vs_reference")));
  close_to(am_frame_f64(rows, gan, "vs_reference"), 0.11);
  // differences 0.11, 0.10, 0.12: sd 0.01, t(2) = 4.302652729911275
  close_to(am_frame_f64(rows, gan, "t_hi"), 0.11 + 4.302652729911275 * 0.01 / sqrt(3));
  // Of the 27 resamples one each is all least and all most: 3.7 %, more than the 2.5 % that are cut off.
  close_to(am_frame_f64(rows, gan, "ci_lo"), 0.10);
  close_to(am_frame_f64(rows, gan, "ci_hi"), 0.12);
  assert_int_equal(am_frame_i64(rows, gan, "n_pairs"), 3);
  close_to(am_frame_f64(rows, gan, "p"), 0.25);
  close_to(am_frame_f64(rows, gan, "p_min"), 0.25);
  assert_string_equal(am_frame_text(rows, gan, "p_method"), "exact");
  assert_string_equal(am_frame_text(rows, gan, "reference"), "real");
  assert_string_equal(am_frame_text(rows, gan, "verdict"), "");
  am_ok(am_results_compute_rows(r, "gan"));  // again, against the other arm
  assert_int_equal(am_frame_rows(am_results_frame(r, "rows")), 2);
  close_to(am_frame_f64(am_results_frame(r, "rows"), find_row(r, "real", "accuracy"), "vs_reference"), -0.11);
  am_fails(am_results_compute_rows(r, "vae"), AM_ERR_CONFIG, "`vae` is not an arm");
  am_results_free(r);
}

static void draws_and_seeds_are_kept_apart(void **state) {
  (void)state;
  am_results *r = NULL;
  am_ok(am_results_new(&r));
  const double value[2][2] = {{0.5, 0.7}, {0.8, 0.9}};
  const char *const draw[] = {"a", "b"};
  for (int d = 0; d < 2; d++) {
    for (int s = 0; s < 2; s++) {
      add_metric(r, add_cell(r, "real", draw[d], s, "done"), "accuracy", value[d][s]);
      // A pair that differs by 0.1 in one draw and 0.3 in the other.
      add_metric(r, add_cell(r, "gan", draw[d], s, "done"), "accuracy", value[d][s] + (d ? 0.3 : 0.1));
    }
  }
  add_metric(r, add_cell(r, "gan", "b", 9, "done"), "accuracy", 5);  // has no partner: not in the difference
  am_ok(am_results_compute_rows(r, "real"));
  am_frame *rows = am_results_frame(r, "rows");
  int64_t real = find_row(r, "real", "accuracy"), gan = find_row(r, "gan", "accuracy");
  assert_int_equal(am_frame_i64(rows, real, "n_seeds"), 2);
  assert_int_equal(am_frame_i64(rows, real, "n_draws"), 2);
  close_to(am_frame_f64(rows, real, "ours_mean"), (0.6 + 0.85) / 2);
  close_to(am_frame_f64(rows, real, "ours_sd"), sqrt((0.02 + 0.005) / 2));
  // MSW 0.0125, MSB 2 * 0.25^2 / 2 = 0.0625, two trainings a draw
  close_to(am_frame_f64(rows, real, "sd_draws"), sqrt((0.0625 - 0.0125) / 2));
  close_to(am_frame_f64(rows, gan, "vs_reference"), 0.2);
  close_to(am_frame_f64(rows, gan, "t_lo"), 0.2 - 12.706204736174707 * 0.1);  // over the two draws
  close_to(am_frame_f64(rows, gan, "ci_lo"), 0.1);  // a quarter of the resamples takes the first draw twice
  assert_int_equal(am_frame_i64(rows, gan, "n_pairs"), 4);
  close_to(am_frame_f64(rows, gan, "p"), 0.125);
  am_results_free(r);
}

static void read_file(const char *dir, const char *name, char **text) {
  char *path = NULL;
  size_t bytes = 0;
  am_ok(am_path_join(dir, name, &path));
  am_ok(am_file_read(path, 1 << 24, text, &bytes));
  free(path);
}

static void prices_stand_beside_the_numbers(void **state) {
  (void)state;
  am_results *r = two_arms();
  am_frame *cells = am_results_frame(r, "cells");
  for (int64_t i = 0; i < am_frame_rows(cells); i++) {
    bool gan = i >= 3;
    am_frame_set_i64(cells, i, "epochs", 10);
    am_frame_set_i64(cells, i, "steps", gan ? 400 : 200);
    am_frame_set_f64(cells, i, "device_seconds", 1800 + 3600.0 * (double)(i % 3));  // mean 1.5 h
    am_frame_set_f64(cells, i, "fit_device_seconds", gan ? 7200 : 0);
    am_frame_set_f64(cells, i, "generate_device_seconds", gan ? 360 : 0);
  }
  add_cell(r, "gan", "all", 9, "missing");  // is not in the means
  add_cell(r, "vae", "all", 9, "missing");
  am_ok(am_results_compute_rows(r, "real"));
  const am_frame *spent = am_results_frame(r, "spent");
  assert_int_equal(am_frame_rows(spent), 3);
  assert_int_equal(am_frame_i64(spent, 1, "cells"), 3);
  close_to(am_frame_f64(spent, 1, "steps"), 400);
  close_to(am_frame_f64(spent, 1, "train_device_sec"), 5400);
  close_to(am_frame_f64(spent, 1, "fit_device_sec"), 7200);
  assert_int_equal(am_frame_i64(spent, 2, "cells"), 0);
  assert_true(isnan(am_frame_f64(spent, 2, "epochs")));
  am_ok(am_report_write(r, am_test_dir()));
  const struct {
    const char *file, *line;
  } shown[] = {{"table.txt", "  gan   cnn       10      400         1.5        2           0.1\n"},
               {"table.md", "| gan | cnn | 10 | 400 | 1.5 | 2 | 0.1 |"},
               {"table.tex", "gan & cnn & 10 & 400 & 1.5 & 2 & 0.1 \\\\"},
               {"spent.csv", "gan,cnn,3,10,400,5400,7200,360,"},
               {"report.html", "<td class=\"num\">400</td><td class=\"num\">1.5</td><td class=\"num\">2</td>"}};
  for (int i = 0; i < AM_COUNT_OF(shown); i++) {
    char *text = NULL;
    read_file(am_test_dir(), shown[i].file, &text);
    if (!strstr(text, shown[i].line)) fail_msg("\"%s\" is not in %s:\n%s", shown[i].line, shown[i].file, text);
    free(text);
  }
  am_results_free(r);
}

static void verdicts(void **state) {
  (void)state;
  am_results *r = two_arms();
  publish(r, "real", "accuracy", 0.55, 0.05, "");
  publish(r, "gan", "accuracy", 0.9, NAN, "");
  publish(r, "ddpm", "accuracy", 0.9, NAN, "");
  publish(r, "real", "f1", 0.4, NAN, "");
  int64_t cell = add_cell(r, "vae", "all", 0, "done");
  add_metric(r, cell, "accuracy", 0.2);
  publish(r, "vae", "accuracy", 0.99, 0.01, "the test set leaked");
  am_ok(am_results_compute_rows(r, "real"));
  am_frame *rows = am_results_frame(r, "rows");
  assert_string_equal(am_frame_text(rows, find_row(r, "real", "accuracy"), "verdict"), "reproduced");
  assert_string_equal(am_frame_text(rows, find_row(r, "gan", "accuracy"), "verdict"), "differs");
  assert_string_equal(am_frame_text(rows, find_row(r, "ddpm", "accuracy"), "verdict"), "not run");
  assert_string_equal(am_frame_text(rows, find_row(r, "real", "f1"), "verdict"), "not run");
  assert_string_equal(am_frame_text(rows, find_row(r, "real", "f1"), "unit"), "1");
  assert_string_equal(am_frame_text(rows, find_row(r, "vae", "accuracy"), "verdict"), "not reproducible");
  assert_string_equal(am_frame_text(rows, find_row(r, "vae", "accuracy"), "note"), "the test set leaked");
  close_to(am_frame_f64(rows, find_row(r, "real", "accuracy"), "difference"), 0.05);
  am_ok(am_results_set_attr(r, "tiny", "1"));
  am_ok(am_results_compute_rows(r, "real"));
  rows = am_results_frame(r, "rows");
  assert_string_equal(am_frame_text(rows, find_row(r, "real", "accuracy"), "verdict"), "tiny");
  assert_string_equal(am_frame_text(rows, find_row(r, "ddpm", "accuracy"), "verdict"), "not run");
  assert_string_equal(am_frame_text(rows, find_row(r, "gan", "accuracy"), "note"), "tiny run");
  am_results_free(r);
}

static int widest_line(const char *text) {
  int widest = 0, width = 0;
  for (; *text; text++) {
    width = *text == '\n' ? 0 : width + (((unsigned char)*text & 0xc0) != 0x80);
    if (width > widest) widest = width;
  }
  return widest;
}

static void text_shows_what_is_missing(void **state) {
  (void)state;
  am_results *r = two_arms();
  publish(r, "real", "accuracy", 0.5, 0.05, "");
  add_cell(r, "an arm with a very long name that would not fit beside the numbers", "all", 0, "missing");
  int64_t cell = add_cell(r, "gan", "all", 7, "failed");
  set(am_results_frame(r, "cells"), cell, "error", "x.png:\ntruncated");
  am_ok(am_results_set_attr(r, "tiny", "1"));
  am_ok(am_results_set_attr(r, "notes", "first note\nsecond note"));
  am_ok(am_results_compute_rows(r, "real"));
  am_str text = {0};
  am_ok(am_report_text(r, &text));
  const char *const parts[] = {"TINY RUN",
                               "INCOMPLETE: of 8 cells 1 are missing and 1 failed",
                               "0.6000 ± 0.1000",
                               "+0.110 [+0.100, +0.120] p=0.25",
                               "3 seeds, 1 draw of the data: ± is the deviation between trainings; what other draws",
                               "with 3 pairs p cannot be below 0.25\n",
                               "with 3 pairs bootstrap intervals are too narrow: Student's are in table.csv",
                               "failed: gan, cnn, draw all, seed 7: x.png: truncated",
                               "note: second note",
                               "test, cnn",
                               "  an arm with a very long name that would not fit beside the numbers\n",
                               "tiny"};
  for (int i = 0; i < AM_COUNT_OF(parts); i++) {
    if (!strstr(am_str_get(&text), parts[i])) fail_msg("\"%s\" is not in:\n%s", parts[i], am_str_get(&text));
  }
  assert_true(widest_line(am_str_get(&text)) <= 110);
  assert_null(strstr(am_str_get(&text), "taken at"));
  am_str_fini(&text);
  am_results_free(r);
}

static void files_hold_the_contract(void **state) {
  (void)state;
  am_results *r = two_arms();
  publish(r, "real", "accuracy", 0.5, 0.05, "a \"quoted\", reason");
  am_ok(am_results_compute_rows(r, "real"));
  am_ok(am_report_write(r, am_test_dir()));
  char *csv = NULL;
  read_file(am_test_dir(), "table.csv", &csv);
  const char head[] = "arm,model,split,metric,unit,n_seeds,ours_mean,ours_sd,published,difference,verdict,";
  assert_memory_equal(csv, head, sizeof head - 1);
  const char *line = strchr(csv, '\n') + 1;
  assert_non_null(strstr(line, "real,cnn,test,accuracy,1,3,0.6"));
  assert_non_null(strstr(line, "\"a \"\"quoted\"\", reason\""));
  free(csv);
  const char *const other[] = {"table.txt", "table.md", "table.tex", "report.html"};
  for (int i = 0; i < AM_COUNT_OF(other); i++) {
    char *text = NULL;
    read_file(am_test_dir(), other[i], &text);
    assert_non_null(strstr(text, "accuracy"));
    assert_non_null(strstr(text, "not reproducible"));
    free(text);
  }
  am_results_free(r);
}

static void html_escapes_foreign_text(void **state) {
  (void)state;
  am_results *r = two_arms();
  am_ok(am_results_set_attr(r, "question", "<script>alert(1)</script>"));
  am_ok(am_results_set_attr(r, "provenance", "{\"commit\": \"<b>x</b>\", \"n\": 3}"));
  am_ok(am_results_set_attr(r, "config", "{\"name\":\"<i>\"}"));
  am_ok(am_results_compute_rows(r, "real"));
  am_ok(am_report_write(r, am_test_dir()));
  char *text = NULL;
  read_file(am_test_dir(), "report.html", &text);
  assert_null(strstr(text, "<script"));
  assert_null(strstr(text, "<b>x"));
  assert_null(strstr(text, "<i>"));
  assert_non_null(strstr(text, "&lt;script&gt;"));
  assert_non_null(strstr(text, "<dt>commit</dt><dd>&lt;b&gt;x&lt;/b&gt;</dd>"));
  free(text);
  am_results_free(r);
}

static void empty_results_render(void **state) {
  (void)state;
  am_results *r = NULL;
  am_ok(am_results_new(&r));
  am_ok(am_results_compute_rows(r, ""));
  am_ok(am_report_write(r, am_test_dir()));
  am_results_free(r);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(means_and_paired_differences),
      cmocka_unit_test(draws_and_seeds_are_kept_apart),
      cmocka_unit_test(prices_stand_beside_the_numbers),
      cmocka_unit_test(verdicts),
      cmocka_unit_test(text_shows_what_is_missing),
      cmocka_unit_test(files_hold_the_contract),
      cmocka_unit_test(html_escapes_foreign_text),
      cmocka_unit_test(empty_results_render),
  };
  return cmocka_run_group_tests_name("report", tests, NULL, NULL);
}
