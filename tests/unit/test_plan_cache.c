// The cuda backend's cache of plans: host logic, no card needed.
#include "am_test.h"
#include "backend/cuda/plan_cache.h"
#include "base/fault.h"
#include "base/mem.h"

static int live;

static int64_t *new_plan(int64_t value) {
  int64_t *p = NULL;
  am_ok(AM_NEW(&p));
  *p = value;
  live++;
  return p;
}
static void release(void *plan) {
  free(plan);
  live--;
}

static void keys_find_their_plans(void **state) {
  am_plan_cache c = {.release = release};
  for (int64_t i = 0; i < 1000; i++) {
    assert_null(am_plan_cache_find(&c, &i, sizeof i));
    am_ok(am_plan_cache_add(&c, &i, sizeof i, new_plan(3 * i)));
  }
  for (int64_t i = 0; i < 1000; i++) assert_int_equal(*(int64_t *)am_plan_cache_find(&c, &i, sizeof i), 3 * i);
  const int32_t shorter = 7;
  assert_null(am_plan_cache_find(&c, &shorter, sizeof shorter));
  assert_int_equal(live, 1000);
  am_plan_cache_clear(&c);
  assert_int_equal(live, 0);
  assert_int_equal(c.count, 0);
}

static void a_full_cache_starts_over(void **state) {
  am_plan_cache c = {.release = release};
  for (int64_t i = 0; i <= AM_PLAN_LIMIT; i++) am_ok(am_plan_cache_add(&c, &i, sizeof i, new_plan(i)));
  const int64_t first = 0, last = AM_PLAN_LIMIT;
  assert_int_equal(c.count, 1);
  assert_int_equal(live, 1);
  assert_null(am_plan_cache_find(&c, &first, sizeof first));
  assert_int_equal(*(int64_t *)am_plan_cache_find(&c, &last, sizeof last), last);
  am_plan_cache_clear(&c);
  assert_int_equal(live, 0);
}

static void a_cache_that_recordings_use_only_grows(void **state) {
  am_plan_cache c = {.release = release, .keep = true};
  for (int64_t i = 0; i <= AM_PLAN_LIMIT; i++) am_ok(am_plan_cache_add(&c, &i, sizeof i, new_plan(i)));
  assert_int_equal(live, AM_PLAN_LIMIT + 1);
  am_plan_cache_clear(&c);
  assert_int_equal(live, 0);
}

static void a_plan_without_room_is_released(void **state) {
  am_plan_cache c = {.release = release};
  const int64_t key = 1;
  am_ok(am_fault_init("alloc:2", 0));  // the plan is the first one
  am_fails(am_plan_cache_add(&c, &key, sizeof key, new_plan(1)), AM_ERR_NOMEM, "out of memory");
  assert_int_equal(live, 0);
  assert_int_equal(c.count, 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(keys_find_their_plans),
    cmocka_unit_test(a_full_cache_starts_over),
    cmocka_unit_test(a_cache_that_recordings_use_only_grows),
    cmocka_unit_test(a_plan_without_room_is_released),
  };
  return cmocka_run_group_tests_name("plan_cache", tests, NULL, NULL);
}
