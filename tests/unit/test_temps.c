// Memory of the ops of one stream (backend/cuda/temps.h): host logic, no card needed.
#include <string.h>

#include "am_test.h"
#include "backend/cuda/temps.h"

static int64_t chunks, taken_bytes;
static bool full;

static am_err take_chunk(void *ctx, size_t bytes, void **out) {
  AM_CHECK(!full, AM_ERR_NOMEM, "no more");
  assert_int_equal(bytes % AM_TEMP_GRAIN, 0);
  *out = malloc(bytes);
  assert_non_null(*out);
  chunks++;
  taken_bytes += (int64_t)bytes;
  return AM_OK;
}
static void release_chunk(void *ctx, void *memory, size_t bytes) {
  memset(memory, 0xff, bytes);  // bytes are those of the chunk, or a sanitizer says so
  free(memory);
  chunks--;
  taken_bytes -= (int64_t)bytes;
}
static const am_backend backend = {.alloc = take_chunk, .release = release_chunk};

static char *take(am_temps *t, size_t bytes) {
  char *memory = NULL;
  am_ok(am_temps_take(t, bytes, &memory));
  memset(memory, 1, bytes);
  return memory;
}

static void ops_use_the_same_memory(void **state) {
  am_temps t = {.backend = &backend};
  char *first = take(&t, 100), *second = take(&t, 300), *third = take(&t, 0);
  assert_true(second >= first + 100 && third >= second + 300);
  am_temps_end(&t);
  assert_ptr_equal(take(&t, 1000), first);
  am_temps_end(&t);
  assert_int_equal(chunks, 1);
  am_temps_fini(&t);
  assert_int_equal(chunks, 0);
}

// What an op has taken stays where it is when more is wanted; the next op finds room for all of it in one chunk.
static void grows_without_moving(void **state) {
  enum { LARGE = 3 * AM_TEMP_GRAIN };
  am_temps t = {.backend = &backend};
  char *first = take(&t, 100), *second = take(&t, LARGE);
  assert_int_equal(chunks, 2);
  assert_int_equal(first[99], 1);
  assert_true(second + LARGE <= first || first + 100 <= second);
  am_temps_end(&t);
  assert_int_equal(chunks, 1);
  const int64_t bytes = taken_bytes;
  take(&t, 100);
  take(&t, LARGE);
  am_temps_end(&t);
  assert_int_equal(taken_bytes, bytes);
  am_temps_fini(&t);
}

static void keeps_what_recordings_name(void **state) {
  am_temps t = {.backend = &backend, .keep = true};
  char *first = take(&t, 100);
  am_temps_end(&t);
  take(&t, 2 * AM_TEMP_GRAIN);
  am_temps_end(&t);
  assert_int_equal(chunks, 2);
  assert_int_equal(first[99], 1);
  t.keep = false;
  am_temps_end(&t);
  assert_int_equal(chunks, 1);
  am_temps_fini(&t);
  assert_int_equal(chunks, 0);
}

static void passes_on_that_memory_ran_out(void **state) {
  am_temps t = {.backend = &backend};
  char *memory = NULL;
  full = true;
  am_fails(am_temps_take(&t, 100, &memory), AM_ERR_NOMEM, "no more");
  full = false;
  take(&t, 100);
  am_temps_end(&t);
  am_temps_fini(&t);
  assert_int_equal(chunks, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ops_use_the_same_memory),
    cmocka_unit_test(grows_without_moving),
    cmocka_unit_test(keeps_what_recordings_name),
    cmocka_unit_test(passes_on_that_memory_ran_out),
  };
  return cmocka_run_group_tests_name("temps", tests, NULL, NULL);
}
