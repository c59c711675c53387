// For test programs that run on several ranks: every rank runs the same tests, rank 0 reports. A
// check that fails on any rank ends the whole program at once, since the others would wait for it.
//
//   AM_MPI_TEST(sums_agree) { am_ok(am_reduce_slices_f32(world, ...)); }
//   int main(int argc, char **argv) {
//     const struct CMUnitTest tests[] = {am_mpi_test(sums_agree)};
//     return am_mpi_test_main(&argc, &argv, "collective", tests);
//   }
#ifndef AM_TESTS_MPI_TEST_H
#define AM_TESTS_MPI_TEST_H

#include "am_test.h"
#include "base/num.h"
#include "dist/comm.h"

static am_comm *world;
static bool am_mpi_test_passed;

#define AM_MPI_TEST(name)          \
  static void name##_body(void);   \
  static void name(void **state) { \
    (void)state;                   \
    name##_body();                 \
    am_mpi_test_passed = true;     \
  }                                \
  static void name##_body(void)

// On every rank or on none.
#define am_mpi_skip(...)       \
  do {                         \
    am_mpi_test_passed = true; \
    am_skip(__VA_ARGS__);      \
  } while (0)

static inline int am_mpi_test_begin(void **state) {
  (void)state;
  am_mpi_test_passed = false;
  return am_comm_barrier(world) == AM_OK ? 0 : -1;
}

static inline int am_mpi_test_end(void **state) {
  (void)state;
  if (am_mpi_test_passed || am_comm_size(world) == 1) return 0;
  fprintf(stderr, "the test failed on rank %d of %d\n", am_comm_rank(world), am_comm_size(world));
  fflush(NULL);
  am_comm_abort(world, 1);
  return -1;
}

#define am_mpi_test(name) cmocka_unit_test_setup_teardown(name, am_mpi_test_begin, am_mpi_test_end)

static inline int am_mpi_test_run(int *argc, char ***argv, const char *group, const struct CMUnitTest *tests,
                                  size_t count) {
  enum { DEADLINE_SEC = 60 };
  if (am_comm_init(argc, argv, false, &world) != AM_OK) {
    am_err_print(stderr, am_err_last(), true);
    return 1;
  }
  am_comm_deadline(world, DEADLINE_SEC);
  if (am_comm_rank(world) != 0 && !freopen("/dev/null", "w", stdout)) return 1;
  int failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
  if (am_comm_finish(world) != AM_OK) {
    am_err_print(stderr, am_err_last(), true);
    am_comm_abort(world, 1);
  }
  return failed;
}
#define am_mpi_test_main(argc, argv, group, tests) \
  am_mpi_test_run((argc), (argv), (group), (tests), sizeof(tests) / sizeof((tests)[0]))

#endif
