// The ring of pinned memory that the cuda backend's copies pass through: host logic, no card needed.
#include "am_test.h"
#include "backend/cuda/ring.h"
#include "base/rng.h"

enum { BYTES = 1 << 16 };

// Ranges that are out, as a model that knows nothing of rings.
typedef struct {
  size_t offset, bytes;
  int slot;
} range;
typedef struct {
  range out[AM_RING_RANGES];
  int count;
} model;

static void check_free(const model *m, size_t offset, size_t bytes) {
  assert_true(offset % AM_RING_ALIGN == 0 && offset + bytes <= BYTES);
  for (int i = 0; i < m->count; i++)
    assert_true(offset + bytes <= m->out[i].offset || m->out[i].offset + m->out[i].bytes <= offset);
}

static void give_oldest(am_ring *r, model *m) {
  assert_int_equal(am_ring_oldest(r), m->out[0].slot);
  am_ring_give(r);
  m->count--;
  for (int i = 0; i < m->count; i++) m->out[i] = m->out[i + 1];
}

static void ranges_that_are_out_never_overlap(void **state) {
  am_ring r = {.bytes = BYTES};
  model m = {0};
  int64_t refused = 0;
  am_rng rng = am_rng_at(7, AM_RNG_TEST, 0);
  for (int i = 0; i < 200000; i++) {
    const uint64_t draw = am_rng_u64(&rng);
    const size_t bytes = 1 + (draw >> 8) % (draw % 3 ? 2000 : BYTES / 2);
    range x = {.bytes = bytes};
    while (!am_ring_take(&r, bytes, &x.offset, &x.slot)) {
      assert_true(m.count > 0);
      give_oldest(&r, &m);
      refused++;
    }
    check_free(&m, x.offset, bytes);
    for (int k = 0; k < m.count; k++) assert_int_not_equal(m.out[k].slot, x.slot);
    m.out[m.count++] = x;
    if (draw % 5 == 0) give_oldest(&r, &m);
  }
  assert_true(refused > 1000);
  while (m.count) give_oldest(&r, &m);
  assert_int_equal(am_ring_oldest(&r), -1);
}

static void a_ring_gives_out_no_more_ranges_than_it_can_name(void **state) {
  am_ring r = {.bytes = BYTES};
  size_t offset;
  int slot;
  for (int i = 0; i < AM_RING_RANGES; i++) assert_true(am_ring_take(&r, 1, &offset, &slot));
  assert_false(am_ring_take(&r, 1, &offset, &slot));
  am_ring_give(&r);
  assert_true(am_ring_take(&r, 1, &offset, &slot));
}

static void half_a_ring_always_fits_once_all_is_back(void **state) {
  for (size_t first = 1; first <= BYTES / 2; first += 997) {
    am_ring r = {.bytes = BYTES};
    size_t offset;
    int slot;
    assert_true(am_ring_take(&r, first, &offset, &slot));
    assert_true(am_ring_take(&r, BYTES / 2, &offset, &slot));
    am_ring_give(&r);
    am_ring_give(&r);
    assert_true(am_ring_take(&r, BYTES / 2, &offset, &slot));
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ranges_that_are_out_never_overlap),
      cmocka_unit_test(a_ring_gives_out_no_more_ranges_than_it_can_name),
      cmocka_unit_test(half_a_ring_always_fits_once_all_is_back),
  };
  return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
