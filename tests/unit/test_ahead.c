// Items made ahead: in order, never more than the window, and with the error of the item that failed.
#include "am_test.h"

#include <stdatomic.h>

#include "base/ahead.h"

enum { ITEMS = 200, WINDOW = 5 };

typedef struct {
  _Atomic int64_t item[WINDOW];
  _Atomic int64_t made, taken, furthest;
  int64_t fails;  // this item
} work;

static am_err make(void *user, int64_t i, int64_t slot) {
  work *w = user;
  int64_t ahead = i - w->taken, furthest = w->furthest;
  while (ahead > furthest && !atomic_compare_exchange_weak(&w->furthest, &furthest, ahead)) continue;
  w->made++;
  if (i == w->fails) return AM_FAIL(AM_ERR_DATA, "item %d is broken", (int)i);
  w->item[slot] = i;
  return AM_OK;
}

static void run(int workers) {
  work w = {.fails = -1};
  am_ahead *a = NULL;
  am_ok(am_ahead_new(workers, ITEMS, WINDOW, make, &w, &a));
  for (int64_t i = 0; i < ITEMS; i++) {
    int64_t slot = -1;
    am_ok(am_ahead_next(a, &slot));
    assert_int_equal(slot, i % WINDOW);
    assert_int_equal(w.item[slot], i);
    w.taken = i;  // the slot is ours until the next call
  }
  int64_t slot = 0;
  am_fails(am_ahead_next(a, &slot), AM_ERR_INTERNAL, "all 200 items");
  assert_int_equal(w.made, ITEMS);
  assert_true(w.furthest <= WINDOW);
  am_ahead_free(a);
}

static void items_come_in_order(void **state) {
  run(0);
  run(1);
  run(7);
}

static void an_error_comes_in_its_place(void **state) {
  for (int workers = 0; workers < 4; workers += 3) {
    work w = {.fails = 8};
    am_ahead *a = NULL;
    int64_t slot = 0;
    am_ok(am_ahead_new(workers, ITEMS, WINDOW, make, &w, &a));
    for (int64_t i = 0; i < 8; i++) am_ok(am_ahead_next(a, &slot));
    am_fails(am_ahead_next(a, &slot), AM_ERR_DATA, "item 8 is broken");
    am_ahead_free(a);
    assert_true(w.made < ITEMS);
  }
}

static void stopping_early_leaves_nothing_running(void **state) {
  work w = {.fails = -1};
  am_ahead *a = NULL;
  am_ok(am_ahead_new(3, ITEMS, WINDOW, make, &w, &a));
  am_ahead_free(a);
  int64_t made = w.made;
  assert_true(made <= WINDOW);
  am_ok(am_ahead_new(3, 0, 1, make, &w, &a));
  am_ahead_free(a);
  am_ahead_free(NULL);
  assert_int_equal(w.made, made);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(items_come_in_order),
      cmocka_unit_test(an_error_comes_in_its_place),
      cmocka_unit_test(stopping_early_leaves_nothing_running),
  };
  return cmocka_run_group_tests_name("ahead", tests, NULL, NULL);
}
