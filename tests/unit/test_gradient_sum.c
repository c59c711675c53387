// Which gradients are summed together and when, and in which order a rank adds its slices.
#include "am_test.h"
#include "base/num.h"
#include "dist/collective.h"
#include "train/buckets.h"

// ---- buckets ----

enum { LEAVES = 6 };
static const int64_t elements[LEAVES] = {5, 30, 3, 4, 90, 8};

static am_buckets buckets_of(int64_t least) {
  am_buckets b;
  am_ok(am_buckets_init(&b, elements, LEAVES, least));
  return b;
}

// From the last leaf down, closed once there is enough: (8, 90), (4, 3, 30), (5).
static void fills_from_the_last_leaf(void **state) {
  (void)state;
  am_buckets b = buckets_of(20);
  assert_int_equal(b.count, 3);
  static const int64_t first[] = {42, 5, 0}, count[] = {98, 37, 5};
  static const int leaves[] = {2, 3, 1}, of[LEAVES] = {2, 1, 1, 1, 0, 0};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(b.item[i].first, first[i]);
    assert_int_equal(b.item[i].count, count[i]);
    assert_int_equal(b.item[i].leaves, leaves[i]);
  }
  for (int j = 0; j < LEAVES; j++) assert_int_equal(b.of[j], of[j]);
  am_buckets_fini(&b);
}

static void covers_everything_once(void **state) {
  (void)state;
  for (int64_t least = 1; least < 200; least += 7) {
    am_buckets b = buckets_of(least);
    int64_t end = 140;
    for (int64_t i = 0; i < b.count; i++) {
      assert_int_equal(b.item[i].first + b.item[i].count, end);
      assert_true(b.item[i].count >= least || i == b.count - 1);
      end = b.item[i].first;
    }
    assert_int_equal(end, 0);
    am_buckets_fini(&b);
  }
}

// A later bucket waits for those before it: all ranks begin them in one order.
static void is_ready_in_order(void **state) {
  (void)state;
  am_buckets b = buckets_of(20);
  static const int leaf[] = {5, 0, 1, 2, 3, 4};
  static const int64_t ready[] = {0, 0, 0, 0, 0, 3};
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < LEAVES; i++) {
      am_buckets_mark(&b, leaf[i]);
      assert_int_equal(b.ready, ready[i]);
    }
    am_buckets_reset(&b);
    assert_int_equal(b.ready, 0);
  }
  for (int j = LEAVES - 1, i = 0; j >= 0; j--, i++) {
    static const int64_t in_order[] = {0, 1, 1, 1, 2, 3};
    am_buckets_mark(&b, j);
    assert_int_equal(b.ready, in_order[i]);
  }
  am_buckets_fini(&b);
}

static void no_leaves_no_buckets(void **state) {
  (void)state;
  am_buckets b;
  am_ok(am_buckets_init(&b, NULL, 0, 20));
  assert_int_equal(b.count, 0);
  am_buckets_fini(&b);
}

// ---- the tree ----

enum { MOST_SLICES = 19 };

static am_err add(void *user, int64_t to, int64_t from) {
  float *value = user;
  assert_false(isnan(value[to]) || isnan(value[from]));  // neither is part of another sum yet
  value[to] += value[from];
  value[from] = NAN;
  return AM_OK;
}

// Numbers whose sum depends on the order.
static void draw(float *value, int64_t count) {
  for (int64_t i = 0; i < count; i++)
    value[i] = (float)(1.0 / (double)(3 + 7 * i)) * (float)(i % 3 ? 1 : -1000);
}

static void all_slices_give_the_tree_of_a_reduction(void **state) {
  (void)state;
  am_comm *self = NULL;
  am_ok(am_comm_init(NULL, NULL, false, &self));
  for (int64_t slices = 1; slices <= MOST_SLICES; slices++) {
    float value[MOST_SLICES], same[MOST_SLICES], *row[MOST_SLICES], want = 0;
    draw(value, slices);
    draw(same, slices);
    for (int64_t k = 0; k < slices; k++) row[k] = &same[k];
    am_ok(am_reduce_slices_f32(self, row, slices, 1, &want));
    am_ok(am_tree_fold(slices, 0, slices, add, value));
    assert_memory_equal(&value[0], &want, sizeof want);
  }
  am_ok(am_comm_finish(self));
}

// Each rank's part, then what remains of all of them in tree order: the whole tree again.
static void parts_are_parts_of_the_tree(void **state) {
  (void)state;
  for (int64_t slices = 1; slices <= MOST_SLICES; slices++) {
    for (int64_t ranks = 1; ranks <= 5; ranks++) {
      float whole[MOST_SLICES], part[MOST_SLICES];
      draw(whole, slices);
      draw(part, slices);
      am_ok(am_tree_fold(slices, 0, slices, add, whole));
      for (int64_t r = 0; r < ranks; r++) {
        int64_t first, count;
        am_partition(slices, ranks, r, &first, &count);
        am_ok(am_tree_fold(slices, first, count, add, part + first));
      }
      for (int64_t stride = 1; stride < slices; stride *= 2) {
        for (int64_t i = 0; i + stride < slices; i += 2 * stride) {
          if (!isnan(part[i + stride])) am_ok(add(part, i, i + stride));
        }
      }
      assert_memory_equal(&part[0], &whole[0], sizeof whole[0]);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(fills_from_the_last_leaf),
      cmocka_unit_test(covers_everything_once),
      cmocka_unit_test(is_ready_in_order),
      cmocka_unit_test(no_leaves_no_buckets),
      cmocka_unit_test(all_slices_give_the_tree_of_a_reduction),
      cmocka_unit_test(parts_are_parts_of_the_tree),
  };
  return cmocka_run_group_tests_name("gradient_sum", tests, NULL, NULL);
}
