// The writer gives the bytes of the Python package, and the reader understands them.
#include "am_test.h"

#include "base/path.h"
#include "weights/safetensors.h"

#define GOLDEN "tests/golden/safetensors.safetensors"

static void reads_every_type(void **state) {
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(GOLDEN, &st));
  assert_int_equal(am_safetensors_count(st), 11);
  assert_string_equal(am_safetensors_meta(st, "format"), "pt");
  assert_null(am_safetensors_meta(st, "absent"));

  const am_st_entry *b = am_safetensors_find(st, "b.weight");
  assert_non_null(b);
  assert_int_equal(b->dtype, AM_ST_F32);
  assert_true(am_shape_equal(b->shape, AM_SHAPE(2, 3)));
  float value[6];
  assert_int_equal(b->bytes, sizeof value);
  memcpy(value, b->data, sizeof value);
  for (int i = 0; i < 6; i++) assert_true(value[i] == (float)i / 4);

  const am_st_entry *counter = am_safetensors_find(st, "counter");
  int64_t count = 0;
  assert_int_equal(counter->shape.ndim, 0);
  memcpy(&count, counter->data, sizeof count);
  assert_true(count == 12345678901);

  const am_st_entry *empty = am_safetensors_find(st, "empty");
  assert_true(am_shape_equal(empty->shape, AM_SHAPE(0, 3)));
  assert_int_equal(empty->bytes, 0);
  assert_non_null(am_safetensors_find(st, "quoted \"name\" \\ \xc3\xbc"));
  assert_null(am_safetensors_find(st, "weight"));
  am_safetensors_close(st);
}

static void writes_the_same_bytes(void **state) {
  enum { ENTRIES = 16 };
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open(GOLDEN, &st));
  am_st_entry entry[ENTRIES];
  int64_t count = am_safetensors_count(st);
  assert_true(count <= ENTRIES);
  for (int64_t i = 0; i < count; i++) entry[count - 1 - i] = *am_safetensors_at(st, i);

  char path[300];
  snprintf(path, sizeof path, "%s/copy.safetensors", am_test_dir());
  const char *const meta[] = {"format", "pt", NULL};
  am_ok(am_safetensors_write(path, entry, count, meta));
  am_safetensors_close(st);

  char *want = NULL, *got = NULL;
  size_t want_bytes = 0, got_bytes = 0;
  am_ok(am_file_read(GOLDEN, 1 << 20, &want, &want_bytes));
  am_ok(am_file_read(path, 1 << 20, &got, &got_bytes));
  assert_int_equal(got_bytes, want_bytes);
  assert_memory_equal(got, want, want_bytes);
  free(want);
  free(got);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(reads_every_type),
                                     cmocka_unit_test(writes_the_same_bytes)};
  return cmocka_run_group_tests_name("golden safetensors", tests, NULL, NULL);
}
