// results.h5: what is written is what is read, equal content is equal bytes, foreign files are refused.
#include "am_test.h"
#include "base/num.h"
#include "base/path.h"
#include "data/h5.h"
#include "report/results.h"

static am_results *example(void) {
  am_results *r = NULL;
  am_ok(am_results_new(&r));
  am_ok(am_results_set_attr(r, "name", "demo"));
  am_ok(am_results_set_attr(r, "tiny", "1"));
  char *large = calloc(100001, 1);  // larger than HDF5's old limit for an attribute
  memset(large, 'x', 100000);
  am_ok(am_results_set_attr(r, "config", large));
  free(large);
  int64_t row;
  am_frame *cells = am_results_frame(r, "cells"), *metrics = am_results_frame(r, "metrics");
  for (int64_t i = 0; i < 3; i++) {
    am_ok(am_frame_add(cells, &row));
    am_ok(am_frame_set_text(cells, row, "arm", i ? "gan-ü" : ""));
    am_frame_set_i64(cells, row, "seed", i - 1);
  }
  am_ok(am_frame_add(metrics, &row));
  am_frame_set_i64(metrics, row, "cell", 2);
  am_frame_set_f64(metrics, row, "value", 0.1);
  const int64_t counts[] = {1, 2, 3, 4}, label[] = {5, 6}, square[] = {2, 2}, images[] = {2, 1, 1, 3};
  const uint8_t pixel[] = {1, 2, 3, 4, 5, 6};
  const char *const name[] = {"cow", "horse"};
  am_ok(am_results_put_array(r, "samples/gan:all", AM_ARRAY_U8, 4, images, pixel));
  am_ok(am_results_label_array(r, "samples/gan:all", label, 2));
  am_ok(am_results_put_array(r, "confusion/0/test", AM_ARRAY_I64, 2, square, counts));
  am_ok(am_results_name_classes(r, "confusion/0/test", name, 2));
  return r;
}

static const char *path_of(const char *name) {
  static char path[300];
  snprintf(path, sizeof path, "%s/%s", am_test_dir(), name);
  return path;
}

static void reads_what_it_wrote(void **state) {
  (void)state;
  am_results *r = example(), *back = NULL;
  am_ok(am_results_write(r, path_of("a.h5")));
  am_results_free(r);
  am_ok(am_results_read(path_of("a.h5"), &back));
  assert_string_equal(am_results_attr(back, "name"), "demo");
  assert_string_equal(am_results_attr(back, "tiny"), "1");
  assert_int_equal(strlen(am_results_attr(back, "config")), 100000);
  am_frame *cells = am_results_frame(back, "cells"), *metrics = am_results_frame(back, "metrics");
  assert_int_equal(am_frame_rows(cells), 3);
  assert_string_equal(am_frame_text(cells, 0, "arm"), "");
  assert_string_equal(am_frame_text(cells, 2, "arm"), "gan-ü");
  assert_int_equal(am_frame_i64(cells, 0, "seed"), -1);
  assert_true(isnan(am_frame_f64(cells, 0, "seconds")));
  assert_true(am_frame_f64(metrics, 0, "value") == 0.1);
  assert_int_equal(am_results_array_count(back), 2);
  const am_array *a = am_results_array(back, "confusion/0/test");
  assert_non_null(a);
  assert_string_equal(a->class_name[1], "horse");
  assert_int_equal(((const int64_t *)a->data)[3], 4);
  a = am_results_array(back, "samples/gan:all");
  assert_non_null(a);
  assert_int_equal(a->ndim, 4);
  assert_int_equal(a->label[1], 6);
  am_results_free(back);
}

static void equal_content_is_equal_bytes(void **state) {
  (void)state;
  char *one = NULL, *two = NULL;
  size_t one_bytes = 0, two_bytes = 0;
  am_results *r = example(), *back = NULL;
  am_ok(am_results_write(r, path_of("one.h5")));
  am_ok(am_results_read(path_of("one.h5"), &back));
  am_ok(am_results_write(back, path_of("two.h5")));
  am_ok(am_file_read(path_of("one.h5"), 1 << 24, &one, &one_bytes));
  am_ok(am_file_read(path_of("two.h5"), 1 << 24, &two, &two_bytes));
  assert_int_equal(one_bytes, two_bytes);
  assert_memory_equal(one, two, one_bytes);
  free(one);
  free(two);
  am_results_free(r);
  am_results_free(back);
}

static void replaces_arrays_and_refuses_unknown_ones(void **state) {
  (void)state;
  am_results *r = example();
  const int64_t one = 1, value = 9;
  am_ok(am_results_put_array(r, "confusion/0/test", AM_ARRAY_I64, 1, &one, &value));
  assert_int_equal(am_results_array_count(r), 2);
  assert_int_equal(*(int64_t *)am_results_array(r, "confusion/0/test")->data, 9);
  assert_null(am_results_array(r, "confusion/1/test"));
  am_fails(am_results_label_array(r, "nowhere", &one, 1), AM_ERR_ARG, "no array nowhere");
  am_fails(am_results_put_array(r, "x", AM_ARRAY_I64, 0, &one, &value), AM_ERR_ARG, "0 dimensions");
  am_results_free(r);
}

static void refuses_foreign_files(void **state) {
  (void)state;
  am_results *back = NULL;
  am_fails(am_results_read(path_of("none.h5"), &back), AM_ERR_IO, "none.h5");
  am_ok(am_file_write(path_of("text.h5"), "not hdf5", 8));
  am_fails(am_results_read(path_of("text.h5"), &back), AM_ERR_DATA, "text.h5");
  am_h5 *h = NULL;
  am_ok(am_h5_create(&h));
  am_ok(am_h5_put_attr_text(h, "", "format", "something-else"));
  am_ok(am_h5_publish(h, path_of("other.h5")));
  am_h5_close(h);
  am_fails(am_results_read(path_of("other.h5"), &back), AM_ERR_DATA, "the format is \"something-else\"");

  am_results *r = example();
  am_frame_set_i64(am_results_frame(r, "metrics"), 0, "cell", 3);
  am_ok(am_results_write(r, path_of("range.h5")));
  am_fails(am_results_read(path_of("range.h5"), &back), AM_ERR_DATA,
           "row 0 of /metrics has cell 3, expected 0 to 2");
  am_results_free(r);
  assert_null(back);
}

// Every prefix and every damaged byte of a file gives results or an error, never a crash.
static void survives_damage(void **state) {
  (void)state;
  am_results *r = NULL, *back = NULL;
  am_ok(am_results_new(&r));
  am_ok(am_results_write(r, path_of("good.h5")));
  am_results_free(r);
  char *bytes = NULL;
  size_t count = 0;
  am_ok(am_file_read(path_of("good.h5"), 1 << 24, &bytes, &count));
  for (size_t at = 0; at < count; at += 97) {
    char keep = bytes[at];
    bytes[at] = (char)~keep;
    FILE *f = fopen(path_of("bad.h5"), "wb");
    assert_non_null(f);
    size_t kept = at % 2 ? count : at;
    assert_int_equal(fwrite(bytes, 1, kept, f), kept);
    fclose(f);
    if (am_results_read(path_of("bad.h5"), &back) == AM_OK) am_results_free(back);
    bytes[at] = keep;
  }
  free(bytes);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_what_it_wrote),
      cmocka_unit_test(equal_content_is_equal_bytes),
      cmocka_unit_test(replaces_arrays_and_refuses_unknown_ones),
      cmocka_unit_test(refuses_foreign_files),
      cmocka_unit_test(survives_damage),
  };
  return cmocka_run_group_tests_name("results", tests, NULL, NULL);
}
