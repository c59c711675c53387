// Exact resume: a training that was killed, stopped by a signal or lost its newest checkpoint, and
// goes on with another number of ranks, ends with the bits of one that ran through. The program
// starts itself as the training that is interrupted.
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

#include "am_test.h"
#include "base/fault.h"
#include "base/path.h"
#include "dist/comm.h"
#include "mpi/tiny_training.h"

enum { SLICES = 3, EPOCHS = 8 };

// ---- the training ----

static int64_t images_until_signal = -1;

// The given transform, with a stop signal to this process at one image.
static am_err signalling_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                                   am_transform_work *work, float *out) {
  if (images_until_signal >= 0 && images_until_signal-- == 0)
    kill(getpid(), SIGUSR1);  // loader threads block signals
  return tiny_transform(user, image, seed, stream, work, out);
}

static am_err run_training(am_comm *comm, const char *kind, const char *dir, const char *checkpoints,
                           char hash[2][65]) {
  am_dataset *data = tiny_data(dir);
  am_history *history = NULL;
  tiny_options o = {
      .slices = SLICES, .epochs = EPOCHS, .checkpoint_dir = checkpoints, .extras = true, .fine_tuned = true};
  o.transform =
      (am_transform){.apply = signalling_transform, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  memset(hash, 0, 2 * 65);
  am_err err = strcmp(kind, "gan") == 0 ? tiny_fit(comm, data, o, hash, &history)
                                        : tiny_train(comm, data, o, hash[0], &history);
  am_history_free(history);
  am_dataset_free(data);
  return err;
}

// rank KIND DIR SIGNAL_RANK SIGNAL_IMAGE
static int rank_program(int argc, char **argv) {
  am_comm *world = NULL;
  char hash[2][65], checkpoints[512];
  if (am_comm_init(&argc, &argv, false, &world) != AM_OK) return 9;
  am_signal_install();
  if (am_comm_rank(world) == atol(argv[4])) images_until_signal = atol(argv[5]);
  snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", argv[3]);
  am_err err = am_fault_init(getenv("AUGMINT_FAULT"), am_comm_rank(world));
  if (!err) err = run_training(world, argv[2], argv[3], checkpoints, hash);
  err = am_comm_settle(world, err);
  if (err && am_peer_should_print()) am_err_print(stderr, am_err_last(), true);
  if (!err && am_comm_rank(world) == 0) printf("hash %s %s\n", hash[0], hash[1]);
  if (am_comm_finish(world) != AM_OK) am_comm_abort(world, 1);
  return am_err_exit_code(err);
}

// ---- running it from outside ----

static const char *self;
static char dir[512], reference[256];

typedef struct {
  int ranks;          // 0: without mpirun
  const char *fault;  // AUGMINT_FAULT, "" for none
  int signal_rank;
  int64_t signal_image;  // -1: no signal
} launch;

static int run(const char *kind, launch l, char *output, size_t bytes) {
  char command[2048], mpirun[64] = "";
  if (l.ranks) snprintf(mpirun, sizeof mpirun, "mpirun -n %d ", l.ranks);
  snprintf(command, sizeof command, "AUGMINT_FAULT='%s' %s'%s' rank %s '%s' %d %lld 2>&1 </dev/null",
           l.fault ? l.fault : "", mpirun, self, kind, dir, l.signal_rank,
           (long long)(l.signal_image ? l.signal_image : -1));
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  size_t used = fread(output, 1, bytes - 1, pipe);
  output[used] = '\0';
  int status = pclose(pipe);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

// A clean folder, and what the training gives when nothing happens.
static void begin(const char *kind) {
  char hash[2][65];
  am_comm *world = NULL;
  snprintf(dir, sizeof dir, "%s/%s", am_test_dir(), kind);
  am_ok(am_path_remove_tree(dir));
  am_ok(am_path_mkdirs(dir));
  am_ok(am_comm_init(NULL, NULL, false, &world));
  am_ok(run_training(world, kind, dir, NULL, hash));
  am_ok(am_comm_finish(world));
  snprintf(reference, sizeof reference, "hash %s %s\n", hash[0], hash[1]);
}

static void interrupt(const char *kind, launch l, int want_code, const char *message) {
  static char output[65536];
  int code = run(kind, l, output, sizeof output);
  if ((want_code >= 0 && code != want_code) || code == 0 || !strstr(output, message)) {
    fail_msg("%s on %d ranks: exit code %d, expected %d and \"%s\", got:\n%s", kind, l.ranks, code, want_code,
             message, output);
  }
}

static void ends_like_the_reference(const char *kind, launch l, const char *message) {
  static char output[65536];
  int code = run(kind, l, output, sizeof output);
  if (code != 0 || !strstr(output, reference) || !strstr(output, message)) {
    fail_msg("%s on %d ranks: exit code %d, expected %s and \"%s\", got:\n%s", kind, l.ranks, code, reference,
             message, output);
  }
}

static void killed_rank(const char *kind) {
  begin(kind);
  interrupt(kind, (launch){.ranks = 2, .fault = "die:5@1"}, -1, "");
  interrupt(kind, (launch){.ranks = 3, .fault = "die:7@0"}, -1, "");
  ends_like_the_reference(kind, (launch){.ranks = 0}, "continues at epoch");
}

static void classifier_goes_on_after_a_kill(void **state) { (void)state, killed_rank("classifier"); }
static void gan_goes_on_after_a_kill(void **state) { (void)state, killed_rank("gan"); }

// Only one rank sees the signal; all stop at the same step.
static void classifier_goes_on_after_a_signal(void **state) {
  (void)state;
  begin("classifier");
  interrupt("classifier", (launch){.ranks = 2, .signal_rank = 1, .signal_image = 45}, 75,
            "stopped by a signal");
  ends_like_the_reference("classifier", (launch){.ranks = 3}, "continues at epoch");
}

static void stops_alone_on_a_signal(void **state) {
  (void)state;
  begin("classifier");
  interrupt("classifier", (launch){.signal_image = 120}, 75, "stopped by a signal");
  ends_like_the_reference("classifier", (launch){.ranks = 2}, "continues at epoch");
}

// SIGKILL without regard to where the training stands: in a step or while a checkpoint is written.
static void survives_kills_at_any_moment(void **state) {
  (void)state;
  enum { MOST_KILLS = 90 };
  begin("gan");
  int kills = 0;
  for (bool finished = false; !finished && kills < MOST_KILLS; kills++) {
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
      if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/null", "w", stderr)) _exit(9);
      execl(self, self, "rank", "gan", dir, "0", "-1", (char *)NULL);
      _exit(9);
    }
    // Ever longer lives: short ones first, whatever the speed of the machine, and in the end one that suffices.
    am_rng rng = am_rng_at(1, AM_RNG_TEST, (uint64_t)kills);
    int64_t life_ns = (int64_t)am_rng_range(&rng, 0, 40e6 * (kills + 1));
    nanosleep(&(struct timespec){.tv_sec = life_ns / 1000000000, .tv_nsec = life_ns % 1000000000}, NULL);
    kill(child, SIGKILL);
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    finished = WIFEXITED(status);
    if (finished) assert_int_equal(WEXITSTATUS(status), 0);
  }
  assert_in_range(kills, 2, MOST_KILLS - 1);
  ends_like_the_reference("gan", (launch){.ranks = 0}, "hash");
}

// ---- bad checkpoints ----

static void newest_checkpoint(int back, char *path, size_t bytes) {
  char folder[600];
  am_dir_list list = {0};
  snprintf(folder, sizeof folder, "%s/checkpoints", dir);
  am_ok(am_dir_read(folder, &list));
  assert_int_equal(list.count, 2);  // two generations, nothing half-written
  snprintf(path, bytes, "%s/%s", folder, list.name[list.count - 1 - back]);
  am_dir_list_fini(&list);
}

// Flips one byte in the middle of a file.
static void spoil(const char *checkpoint, const char *name) {
  char path[1400], *data = NULL;
  size_t bytes = 0;
  snprintf(path, sizeof path, "%s/%s", checkpoint, name);
  am_ok(am_file_read(path, 1 << 24, &data, &bytes));
  data[bytes / 2] ^= 1;
  am_ok(am_file_write(path, data, bytes));
  free(data);
}

static void falls_back_to_the_checkpoint_before(void **state) {
  (void)state;
  char newest[1200];
  begin("classifier");
  interrupt("classifier", (launch){.ranks = 2, .signal_rank = 1, .signal_image = 45}, 75,
            "stopped by a signal");
  newest_checkpoint(0, newest, sizeof newest);
  spoil(newest, "state.bin");
  ends_like_the_reference("classifier", (launch){.ranks = 2},
                          "/state.bin is corrupt: its checksum differs); the one before it is taken");
}

static void starts_again_without_a_good_checkpoint(void **state) {
  (void)state;
  char path[1200];
  begin("classifier");
  interrupt("classifier", (launch){.ranks = 2, .signal_rank = 1, .signal_image = 45}, 75,
            "stopped by a signal");
  newest_checkpoint(0, path, sizeof path);
  spoil(path, "index.txt");
  newest_checkpoint(1, path, sizeof path);
  spoil(path, "state.bin");
  ends_like_the_reference("classifier", (launch){.ranks = 2}, "training starts again");
}

// Writing fails at the n-th call: an error that names the file, and nothing half-written is taken later.
static void a_full_disk_is_an_error_and_no_more(void **state) {
  (void)state;
  begin("classifier");
  interrupt("classifier", (launch){.ranks = 2, .fault = "io:25@0"}, 1, "rank 0 on ");
  ends_like_the_reference("classifier", (launch){.ranks = 2}, "continues at epoch");
}

static void refuses_the_checkpoint_of_another_training(void **state) {
  (void)state;
  static char output[65536];
  begin("classifier");
  interrupt("classifier", (launch){.signal_image = 60}, 75, "stopped by a signal");
  assert_int_equal(run("gan", (launch){.ranks = 2}, output, sizeof output), 1);
  assert_non_null(strstr(output, "belongs to another training"));
}

int main(int argc, char **argv) {
  if (argc == 6 && strcmp(argv[1], "rank") == 0) return rank_program(argc, argv);
  self = argv[0];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classifier_goes_on_after_a_kill),
      cmocka_unit_test(gan_goes_on_after_a_kill),
      cmocka_unit_test(classifier_goes_on_after_a_signal),
      cmocka_unit_test(stops_alone_on_a_signal),
      cmocka_unit_test(survives_kills_at_any_moment),
      cmocka_unit_test(falls_back_to_the_checkpoint_before),
      cmocka_unit_test(starts_again_without_a_good_checkpoint),
      cmocka_unit_test(a_full_disk_is_an_error_and_no_more),
      cmocka_unit_test(refuses_the_checkpoint_of_another_training),
  };
  return cmocka_run_group_tests_name("resume", tests, NULL, NULL);
}
