// Ranks that fail, die, hang or wait for each other: the job ends, with one message that names the rank. The program
// starts itself under mpirun, once per way to fail; a job that did not end would run into the runner's time limit.
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "am_test.h"
#include "dist/comm.h"

// ---- what the ranks do ----

static am_err meet(am_comm *world) { return am_comm_barrier(world); }

static am_err fail_alone(am_comm *world) {
  if (am_comm_rank(world) != 1) return meet(world);
  return AM_FAIL(AM_ERR_DATA, "image 7 of shard block-3.h5 is corrupt");
}

static am_err fail_together(am_comm *world) {
  am_err err = am_comm_rank(world) == 2 ? AM_FAIL(AM_ERR_IO, "cannot write results.h5") : AM_OK;
  return am_agree(world, err);
}

// Nobody agreed: every rank found the same mistake by itself.
static am_err fail_alike(am_comm *world) {
  (void)world;
  return AM_FAIL(AM_ERR_CONFIG, "unknown key epochz");
}

static am_err die(am_comm *world) {
  if (am_comm_rank(world) == 2) raise(SIGKILL);
  return meet(world);
}

static am_err hang(am_comm *world) {
  if (am_comm_rank(world) == 1) {
    for (;;) pause();
  }
  return meet(world);
}

static am_err wait_for_each_other(am_comm *world) {
  am_comm *pair = NULL;
  AM_TRY(am_comm_split(world, am_comm_rank(world) > 0 ? 0 : -1, &pair));
  return am_comm_rank(world) == 1 ? am_comm_barrier(pair) : am_comm_barrier(world);
}

static am_err stop(am_comm *world) {
  if (am_comm_rank(world) == 1) raise(SIGUSR1);
  bool stopped = false;
  AM_TRY(am_signal_agreed(world, &stopped));
  return stopped ? AM_FAIL(AM_ERR_STOPPED, "stopped by a signal") : AM_OK;
}

// Rank 2 works for long on its own and then fails; the others have left in good order.
static am_err fail_late(am_comm *world) {
  if (am_comm_rank(world) != 2) return AM_OK;
  nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  return AM_FAIL(AM_ERR_NUMERIC, "the loss is not a number");
}

static const struct {
  const char *name;
  am_err (*run)(am_comm *world);
} ways[] = {
    {"fail_alone", fail_alone},
    {"fail_together", fail_together},
    {"fail_alike", fail_alike},
    {"die", die},
    {"hang", hang},
    {"wait_for_each_other", wait_for_each_other},
    {"stop", stop},
    {"fail_late", fail_late},
};

// What app/main.c does with the ranks and the error.
static int rank_program(int argc, char **argv, const char *way) {
  am_comm *world = NULL;
  if (am_comm_init(&argc, &argv, false, &world) != AM_OK) return 9;
  am_comm_deadline(world, 0.5);
  am_signal_install();
  am_err err = AM_ERR_INTERNAL;
  for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
    if (strcmp(ways[i].name, way) == 0) err = ways[i].run(world);
  }
  err = am_comm_settle(world, err);
  if (err && am_peer_should_print()) am_err_print(stderr, am_err_last(), false);
  if (am_comm_finish(world) != AM_OK) am_comm_abort(world, am_err_exit_code(err));
  return am_err_exit_code(err);
}

// ---- what is seen from outside ----

static const char *self;

static int lines_with(const char *text, const char *word) {
  int count = 0;
  for (const char *at = strstr(text, word); at; at = strstr(at + 1, word)) count++;
  return count;
}

static void run_ranks(const char *way, char *output, size_t bytes, int *code) {
  char command[1024];
  snprintf(command, sizeof command, "mpirun -n 3 '%s' rank %s 2>&1 </dev/null", self, way);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  size_t used = fread(output, 1, bytes - 1, pipe);
  output[used] = '\0';
  int status = pclose(pipe);
  *code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void expect(const char *way, int want_code, const char *message) {
  static char output[65536];
  int code;
  run_ranks(way, output, sizeof output, &code);
  if (code != want_code || !strstr(output, message) || lines_with(output, "augmint: error:") != 1) {
    fail_msg("%s: exit code %d (expected %d), expected one message with \"%s\", got:\n%s", way, code,
             want_code, message, output);
  }
}

static void names_a_rank_that_fails_alone(void **state) {
  (void)state;
  expect("fail_alone", 1, "rank 1 on ");
  expect("fail_alone", 1, ": image 7 of shard block-3.h5 is corrupt");
}

static void names_the_origin_of_an_agreed_error(void **state) {
  (void)state;
  expect("fail_together", 1, "rank 2 on ");
}

static void says_once_what_all_ranks_found(void **state) {
  (void)state;
  expect("fail_alike", 2, "unknown key epochz");
}

static void waits_for_an_error_that_comes_late(void **state) {
  (void)state;
  expect("fail_late", 1, "rank 2 on ");
}

static void names_a_rank_that_hangs(void **state) {
  (void)state;
  expect("hang", 1, "error: rank 1 on ");
}

static void tells_ranks_that_wait_for_each_other(void **state) {
  (void)state;
  expect("wait_for_each_other", 1, "all 3 ranks have waited for each other");
}

static void stops_on_a_signal_to_one_rank(void **state) {
  (void)state;
  expect("stop", 75, "stopped by a signal");
}

// A killed rank cannot speak: mpirun names it and ends the job.
static void ends_when_a_rank_dies(void **state) {
  (void)state;
  char output[65536];
  int code;
  run_ranks("die", output, sizeof output, &code);
  assert_int_not_equal(code, 0);
  assert_non_null(strstr(output, "rank 2"));
}

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "rank") == 0) return rank_program(argc, argv, argv[2]);
  self = argv[0];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(names_a_rank_that_fails_alone),
      cmocka_unit_test(names_the_origin_of_an_agreed_error),
      cmocka_unit_test(says_once_what_all_ranks_found),
      cmocka_unit_test(waits_for_an_error_that_comes_late),
      cmocka_unit_test(names_a_rank_that_hangs),
      cmocka_unit_test(tells_ranks_that_wait_for_each_other),
      cmocka_unit_test(stops_on_a_signal_to_one_rank),
      cmocka_unit_test(ends_when_a_rank_dies),
  };
  return cmocka_run_group_tests_name("ranks", tests, NULL, NULL);
}
