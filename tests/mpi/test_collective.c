// ranks: 1 2 3
// Reductions give the bits of the tree on any number of ranks; agreement gives one error to all.
#include <time.h>

#include "base/mem.h"
#include "base/rng.h"
#include "dist/collective.h"
#include "mpi_test.h"

// The tree written down as a recursion: the left part holds the largest power of two below n.
static float tree_sum(const float *x, int64_t n) {
  if (n == 1) return x[0];
  int64_t left = 1;
  while (2 * left < n) left *= 2;
  return tree_sum(x, left) + tree_sum(x + left, n - left);
}

static float value_of(int64_t slice, int64_t i) {
  am_rng rng = am_rng_at(7, AM_RNG_TEST, (uint64_t)(slice << 32 | i));
  return (float)(am_rng_normal(&rng) * (i % 3 ? 1.0 : 1.0e6));
}

// Fills this rank's slices; row k of *data, and pointers to the rows.
static void make_slices(int64_t slices, int64_t count, float **data, float ***row, int64_t *first,
                        int64_t *local) {
  am_partition(slices, am_comm_size(world), am_comm_rank(world), first, local);
  am_ok(AM_NEW_ARRAY(data, *local * count));
  am_ok(AM_NEW_ARRAY(row, *local));
  for (int64_t k = 0; k < *local; k++) {
    (*row)[k] = *data + k * count;
    for (int64_t i = 0; i < count; i++) (*row)[k][i] = value_of(*first + k, i);
  }
}

static void check_sum(const float *out, int64_t slices, int64_t count) {
  float *column = NULL;
  am_ok(AM_NEW_ARRAY(&column, slices));
  for (int64_t i = 0; i < count; i++) {
    for (int64_t s = 0; s < slices; s++) column[s] = value_of(s, i);
    float want = tree_sum(column, slices);
    assert_memory_equal(&out[i], &want, sizeof want);
  }
  free(column);
}

AM_MPI_TEST(reduces_in_tree_order) {
  static const int64_t slices[] = {1, 2, 3, 4, 5, 7, 8, 13}, count[] = {1, 2, 5, 1000, 9001};
  for (int64_t s = 0; s < AM_COUNT_OF(slices); s++) {
    for (int64_t n = 0; n < AM_COUNT_OF(count); n++) {
      float *data, **row, *out = NULL;
      int64_t first, local;
      make_slices(slices[s], count[n], &data, &row, &first, &local);
      am_ok(AM_NEW_ARRAY(&out, count[n]));
      am_ok(am_reduce_slices_f32(world, row, slices[s], count[n], out));
      check_sum(out, slices[s], count[n]);
      free(out);
      free(row);
      free(data);
    }
  }
}

AM_MPI_TEST(overlapping_reductions_do_not_mix) {
  enum { BUCKETS = 6, SLICES = 4, COUNT = 3000 };
  float *data[BUCKETS], **row[BUCKETS], *out[BUCKETS];
  am_reduction *r[BUCKETS];
  int64_t first, local;
  for (int b = 0; b < BUCKETS; b++) {
    make_slices(SLICES, COUNT - 100 * b, &data[b], &row[b], &first, &local);
    // Where this rank has a slice, the sum replaces it, as in training.
    out[b] = NULL;
    if (local == 0) am_ok(AM_NEW_ARRAY(&out[b], COUNT));
  }
  for (int b = 0; b < BUCKETS; b++) {
    am_ok(am_reduction_begin(world, row[b], SLICES, COUNT - 100 * b, local ? row[b][0] : out[b], &r[b]));
    bool done;
    for (int k = 0; k <= b; k++) am_ok(am_reduction_progress(r[k], &done));
  }
  for (int b = 0; b < BUCKETS; b++) {
    am_ok(am_reduction_wait(r[b]));
    check_sum(local ? row[b][0] : out[b], SLICES, COUNT - 100 * b);
    free(out[b]);
    free(row[b]);
    free(data[b]);
  }
}

AM_MPI_TEST(adds_doubles) {
  enum { SLICES = 5 };
  double x[SLICES][2], *row[SLICES];
  int64_t first, local;
  am_partition(SLICES, am_comm_size(world), am_comm_rank(world), &first, &local);
  for (int64_t k = 0; k < local; k++) {
    x[k][0] = (double)(first + k);
    x[k][1] = 0.5;
    row[k] = x[k];
  }
  double out[2];
  am_ok(am_reduce_slices_f64(world, row, SLICES, 2, out));
  assert_true(out[0] == 10 && out[1] == 2.5);
}

AM_MPI_TEST(partition_covers_everything_once) {
  for (int64_t total = 0; total < 30; total++) {
    for (int64_t parts = 1; parts < 9; parts++) {
      int64_t next = 0;
      for (int64_t p = 0; p < parts; p++) {
        int64_t first, count;
        am_partition(total, parts, p, &first, &count);
        assert_int_equal(first, next);
        for (int64_t i = first; i < first + count; i++)
          assert_int_equal(am_partition_owner(total, parts, i), p);
        next += count;
      }
      assert_int_equal(next, total);
    }
  }
}

AM_MPI_TEST(exchanges_bytes) {
  int size = am_comm_size(world), rank = am_comm_rank(world), all[16], root = size - 1;
  assert_true(size <= 16);
  am_ok(am_comm_all_gather(world, &rank, sizeof rank, all));
  for (int r = 0; r < size; r++) assert_int_equal(all[r], r);
  int64_t value = 100 + rank;
  am_ok(am_comm_max_i64(world, &value));
  assert_int_equal(value, 100 + size - 1);
  char text[8] = "other";
  if (rank == root) strcpy(text, "root");
  am_ok(am_comm_bcast(world, text, sizeof text, root));
  assert_string_equal(text, "root");
  memset(all, 0, sizeof all);
  am_ok(am_comm_gather(world, &rank, sizeof rank, all, root));
  if (rank == root) assert_int_equal(all[size - 1], size - 1);
}

AM_MPI_TEST(splits_into_groups) {
  int rank = am_comm_rank(world), size = am_comm_size(world);
  am_comm *group = NULL;
  am_ok(am_comm_split(world, rank % 2, &group));
  assert_int_equal(am_comm_rank(group), rank / 2);
  assert_int_equal(am_comm_size(group), rank % 2 ? size / 2 : (size + 1) / 2);
  int64_t top = rank;
  am_ok(am_comm_max_i64(group, &top));
  assert_int_equal(top, size - 1 - (size - 1 - rank) % 2);
  am_comm_free(group);
  am_ok(am_comm_split(world, rank == 0 ? -1 : 0, &group));
  assert_true((group == NULL) == (rank == 0));
  am_comm_free(group);
}

static am_err fail_on(int rank, am_err code) {
  if (am_comm_rank(world) != rank) return AM_OK;
  return AM_FAIL(code, "image %d is broken", rank);
}

AM_MPI_TEST(agrees_on_the_origin_of_an_error) {
  int last = am_comm_size(world) - 1;
  am_ok(am_agree(world, AM_OK));
  am_fails(am_agree(world, fail_on(last, AM_ERR_DATA)), AM_ERR_DATA, "is broken");
  char want[64];
  snprintf(want, sizeof want, "rank %d on %s: image %d is broken", last, am_comm_host(world), last);
  if (last > 0) assert_string_equal(am_err_last()->message, want);
  if (last == 0) assert_string_equal(am_err_last()->message, "image 0 is broken");
  assert_true(am_peer_should_print() == (am_comm_rank(world) == 0));
  // Again on the same error: the prefix is not repeated.
  am_fails(am_agree(world, AM_ERR_DATA), AM_ERR_DATA, "is broken");
  if (last > 0) assert_string_equal(am_err_last()->message, want);
}

AM_MPI_TEST(agrees_on_flags) {
  unsigned any = 0;
  am_ok(am_agree_flags(world, AM_OK, am_comm_rank(world) == 0 ? 4u : 0u, &any));
  assert_int_equal(any, 4);
  am_ok(am_agree_flags(world, AM_OK, am_comm_rank(world) == 0 ? 0u : 1u, &any));
  assert_int_equal(any, am_comm_size(world) > 1 ? 1 : 0);
  bool stop = true;
  am_ok(am_signal_agreed(world, &stop));
  assert_false(stop);
}

// The last rank arrives after the deadline, but answers the roll: the others wait on.
AM_MPI_TEST(waits_on_for_a_rank_that_works) {
  am_comm_deadline(world, 0.3);
  if (am_comm_rank(world) == am_comm_size(world) - 1) {
    for (int i = 0; i < 12; i++) {
      nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
      am_ok(am_peer_check());
    }
  }
  am_ok(am_comm_barrier(world));
  am_comm_deadline(world, 60);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      am_mpi_test(partition_covers_everything_once),
      am_mpi_test(reduces_in_tree_order),
      am_mpi_test(overlapping_reductions_do_not_mix),
      am_mpi_test(adds_doubles),
      am_mpi_test(exchanges_bytes),
      am_mpi_test(splits_into_groups),
      am_mpi_test(agrees_on_the_origin_of_an_error),
      am_mpi_test(agrees_on_flags),
      am_mpi_test(waits_on_for_a_rank_that_works),
  };
  return am_mpi_test_main(&argc, &argv, "collective", tests);
}
