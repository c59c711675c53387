// The base: errors, checked arithmetic, random streams, strings, files, hashes.
#include "am_test.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/str.h"

static am_err origin(int x) {
  AM_CHECK(x > 0, AM_ERR_DATA, "x is %d, expected a positive number", x);
  return AM_OK;
}
static am_err caller(int x) {
  AM_TRY(origin(x));
  return AM_OK;
}

static void an_error_keeps_its_message_and_its_way(void **state) {
  (void)state;
  am_ok(caller(1));
  am_fails(caller(-3), AM_ERR_DATA, "x is -3");
  assert_int_equal(am_err_last()->frame_count, 2);
  assert_string_equal(am_err_last()->frame[0].func, "origin");
  assert_string_equal(am_err_last()->frame[1].func, "caller");
  am_err_prefix("file %s", "a.yaml");
  assert_string_equal(am_err_last()->message, "file a.yaml: x is -3, expected a positive number");
  // A message may be made from the message before it.
  assert_int_equal(AM_FAIL(AM_ERR_IO, "again: %s", am_err_last()->message), AM_ERR_IO);
  assert_string_equal(am_err_last()->message, "again: file a.yaml: x is -3, expected a positive number");
}

static void exit_codes_are_the_documented_ones(void **state) {
  (void)state;
  assert_int_equal(am_err_exit_code(AM_OK), 0);
  assert_int_equal(am_err_exit_code(AM_ERR_DATA), 1);
  assert_int_equal(am_err_exit_code(AM_ERR_CONFIG), 2);
  assert_int_equal(am_err_exit_code(AM_ERR_STOPPED), 75);
}

static void sizes_do_not_wrap(void **state) {
  (void)state;
  int64_t n = 7;
  assert_false(am_mul_i64(INT64_MAX / 2, 3, &n));
  assert_int_equal(n, 7);
  assert_false(am_mul_i64(-1, 3, &n));
  assert_true(am_mul_i64(6, 7, &n));
  assert_int_equal(n, 42);
  char *p = NULL;
  am_fails(am_mem_alloc(&p, INT64_MAX, 16), AM_ERR_NOMEM, "overflows");
  assert_null(p);
  am_ok(AM_NEW_ARRAY(&p, 0));
  assert_non_null(p);
  free(p);
}

// Known answers of the Random123 distribution (kat_vectors, philox4x32-10).
static void philox_gives_the_published_numbers(void **state) {
  (void)state;
  const struct {
    uint32_t counter[4], key[2], want[4];
  } kat[] = {
      {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
      {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
       {0xffffffff, 0xffffffff},
       {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
      {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
       {0xa4093822, 0x299f31d0},
       {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
  };
  for (int i = 0; i < 3; i++) {
    uint32_t out[4];
    am_philox(kat[i].key, kat[i].counter, out);
    assert_memory_equal(out, kat[i].want, sizeof out);
  }
}

static void streams_are_pure_functions_of_their_name(void **state) {
  (void)state;
  am_rng a = am_rng_at(3, AM_RNG_TEST, 17), b = am_rng_at(3, AM_RNG_TEST, 17);
  for (int i = 0; i < 100; i++) assert_int_equal(am_rng_u64(&a), am_rng_u64(&b));
  am_rng c = am_rng_at(3, AM_RNG_TEST, 18), d = am_rng_at(4, AM_RNG_TEST, 17);
  a = am_rng_at(3, AM_RNG_TEST, 17);
  uint64_t first = am_rng_u64(&a);
  assert_true(first != am_rng_u64(&c));
  assert_true(first != am_rng_u64(&d));
  assert_true(am_seed_derive(1, "gan/cow") != am_seed_derive(1, "gan/horse"));
  assert_true(am_seed_derive(1, "gan/cow") != am_seed_derive(2, "gan/cow"));
}

static void draws_have_the_right_moments(void **state) {
  (void)state;
  enum { N = 200000 };
  am_rng rng = am_rng_at(5, AM_RNG_TEST, 0);
  double sum = 0, squares = 0, cubes = 0, uniform = 0;
  int64_t bin[7] = {0};
  for (int i = 0; i < N; i++) {
    double x = am_rng_normal(&rng), u = am_rng_uniform(&rng);
    assert_true(u >= 0 && u < 1);
    sum += x;
    squares += x * x;
    cubes += x * x * x;
    uniform += u;
    bin[am_rng_below(&rng, 7)]++;
  }
  // five standard errors each
  assert_true(fabs(sum / N) < 5 / sqrt(N));
  assert_true(fabs(squares / N - 1) < 5 * sqrt(2.0 / N));
  assert_true(fabs(cubes / N) < 5 * sqrt(15.0 / N));
  assert_true(fabs(uniform / N - 0.5) < 5 * sqrt(1.0 / 12 / N));
  for (int k = 0; k < 7; k++) assert_true(fabs((double)bin[k] / N - 1.0 / 7) < 5 * sqrt(6.0 / 49 / N));
}

static void a_permutation_holds_every_index_once(void **state) {
  (void)state;
  int64_t order[100], seen[100] = {0}, moved = 0;
  am_rng rng = am_rng_at(9, AM_RNG_TEST, 0);
  am_rng_permutation(&rng, order, 100);
  for (int i = 0; i < 100; i++) {
    seen[order[i]]++;
    moved += order[i] != i;
  }
  for (int i = 0; i < 100; i++) assert_int_equal(seen[i], 1);
  assert_true(moved > 80);
}

static void nearest_words_are_found(void **state) {
  (void)state;
  const char *const words[] = {"epochs", "batch_size", "optimizer"};
  assert_string_equal(am_str_nearest("epoch", words, 3), "epochs");
  assert_string_equal(am_str_nearest("optimiser", words, 3), "optimizer");
  assert_null(am_str_nearest("nothing alike", words, 3));
  assert_int_equal(am_str_distance("kitten", "sitting"), 3);
}

static void files_are_written_whole_or_not_at_all(void **state) {
  (void)state;
  char *path = NULL, *deep = NULL, *data = NULL;
  size_t bytes = 0;
  am_ok(am_path_join(am_test_dir(), "a/b/c", &deep));
  am_ok(am_path_mkdirs(deep));
  am_ok(am_path_mkdirs(deep));
  am_ok(am_path_join(deep, "f.txt", &path));
  am_ok(am_file_write(path, "old", 3));
  am_ok(am_file_write(path, "newer", 5));
  am_ok(am_file_read(path, 100, &data, &bytes));
  assert_int_equal(bytes, 5);
  assert_string_equal(data, "newer");
  free(data);
  am_fails(am_file_read(path, 4, &data, &bytes), AM_ERR_DATA, "limit of 4 bytes");
  am_dir_list list = {0};
  am_ok(am_dir_read(deep, &list));
  assert_int_equal(list.count, 1);  // no temporary file is left
  am_dir_list_fini(&list);
  am_fails(am_file_write("/nowhere/at/all", "x", 1), AM_ERR_IO, "/nowhere/at/all");
  am_fails(am_file_read("/nowhere", 10, &data, &bytes), AM_ERR_IO, "/nowhere");
  am_fails(am_path_mkdirs("/dev/null/x"), AM_ERR_IO, "/dev/null");
  am_ok(am_path_remove_tree(am_test_dir()));
  assert_false(am_path_exists(am_test_dir()));
  am_ok(am_path_remove_tree(am_test_dir()));
  free(path);
  free(deep);
}

static void hashes_give_the_known_values(void **state) {
  (void)state;
  char hex[AM_SHA256_HEX];
  am_ok(am_sha256_bytes("abc", 3, hex));
  assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  assert_int_equal(am_crc32c(0, "123456789", 9), 0xE3069283);
  // RFC 3720 B.4: 32 bytes of zeros, of ones, ascending
  unsigned char block[32] = {0};
  assert_int_equal(am_crc32c(0, block, 32), 0x8A9136AA);
  memset(block, 0xff, 32);
  assert_int_equal(am_crc32c(0, block, 32), 0x62A8AB43);
  for (int i = 0; i < 32; i++) block[i] = (unsigned char)i;
  assert_int_equal(am_crc32c(0, block, 32), 0x46DD794E);
  uint32_t in_parts = am_crc32c(am_crc32c(0, block, 13), block + 13, 19);
  assert_int_equal(in_parts, 0x46DD794E);
  // Long runs take another way than short ones: every length up to several of its steps, at odd addresses.
  unsigned char run[2500];
  for (int i = 0; i < (int)sizeof run; i++) run[i] = (unsigned char)(i * i / 7 + i);
  uint32_t by_seven = 0;
  for (size_t n = 0; n + 8 < sizeof run; n += 7) {
    assert_int_equal(am_crc32c(0, run + 1, n), by_seven);
    by_seven = am_crc32c(by_seven, run + 1 + n, 7);
  }
}

static void spans_read_well(void **state) {
  (void)state;
  char text[32];
  am_clock_span(0.25, text);
  assert_string_equal(text, "0.2s");
  am_clock_span(61, text);
  assert_string_equal(text, "1m01s");
  am_clock_span(3 * 3600 + 7 * 60, text);
  assert_string_equal(text, "3h07m");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(an_error_keeps_its_message_and_its_way),
      cmocka_unit_test(exit_codes_are_the_documented_ones),
      cmocka_unit_test(sizes_do_not_wrap),
      cmocka_unit_test(philox_gives_the_published_numbers),
      cmocka_unit_test(streams_are_pure_functions_of_their_name),
      cmocka_unit_test(draws_have_the_right_moments),
      cmocka_unit_test(a_permutation_holds_every_index_once),
      cmocka_unit_test(nearest_words_are_found),
      cmocka_unit_test(files_are_written_whole_or_not_at_all),
      cmocka_unit_test(hashes_give_the_known_values),
      cmocka_unit_test(spans_read_well),
  };
  return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
