// Ranks whose cards sum among themselves, and one that fails, dies or falls silent while the others' cards wait for it: the job
// ends, with one message. The program starts itself under mpirun; the cards are those of tests/on_host/sealed.c.
#include <signal.h>
#include <sys/wait.h>

#include "mpi/tiny_training.h"

enum { RANKS = 3 };

// ---- what the ranks do ----

static int64_t images_until_death = -1;

static am_err deadly_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                               am_transform_work *work, float *out) {
  if (images_until_death-- == 0) raise(SIGKILL);
  return tiny_transform(user, image, seed, stream, work, out);
}

static am_err train(am_comm *world, const char *way) {
  char path[4096], hash[65];
  am_test_plugins("on_host/sealed", path);
  tiny_device = (am_device_cfg){.kind = "cuda", .index = am_comm_local_rank(world)};
  tiny_options o = {.slices = RANKS, .epochs = 2};
  if (strcmp(way, "die") == 0 && am_comm_rank(world) == 2) images_until_death = 8;
  o.transform = (am_transform){.apply = deadly_transform, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  am_err err = tiny_train(world, data, o, hash, &h);
  am_history_free(h);
  am_dataset_free(data);
  return err;
}

// What app/main.c does with the ranks and the error.
static int rank_program(int argc, char **argv, const char *way) {
  am_comm *world = NULL;
  if (am_comm_init(&argc, &argv, false, &world) != AM_OK) return 9;
  am_comm_deadline(world, 1);
  am_err err = am_comm_settle(world, train(world, way));
  if (err && am_peer_should_print()) am_err_print(stderr, am_err_last(), false);
  if (am_comm_finish(world) != AM_OK) am_comm_abort(world, am_err_exit_code(err));
  return am_err_exit_code(err);
}

// ---- what is seen from outside ----

static const char *self;

// Ends with `code` and one message that holds `text`; 0: with none.
static void expect(const char *way, const char *order, int code, const char *text) {
  static char output[65536];
  char command[1024];
  snprintf(command, sizeof command, "AUGMINT_SEALED='%s' mpirun -n %d '%s' rank %s 2>&1 </dev/null", order,
           RANKS, self, way);
  FILE *pipe = popen(command, "r");
  assert_non_null(pipe);
  output[fread(output, 1, sizeof output - 1, pipe)] = '\0';
  int status = pclose(pipe), ended = WIFEXITED(status) ? WEXITSTATUS(status) : -1, messages = 0;
  for (const char *at = output; (at = strstr(at, "augmint: error:")); at++) messages++;
  bool as_expected = code < 0 ? ended != 0 : ended == code && messages == (code != 0);
  if (!as_expected || !strstr(output, text)) {
    fail_msg("%s, %s: exit code %d, %d messages, expected %d and \"%s\", got:\n%s", way, order, ended,
             messages, code, text, output);
  }
}

static void trains_when_nothing_happens(void **state) { expect("train", "", 0, ""); }

// The others' cards wait for a sum that this rank never begins.
static void a_refused_sum_ends_all(void **state) {
  expect("train", "fail 1 0", 1, "rank 1 on ");
  expect("train", "fail 1 2", 1, "sum 2 is refused");
  expect("train", "fail 0 1", 1, "rank 0 on ");
}

// All went well but for the cards: the host finds out while it waits for the device.
static void a_silent_card_ends_all(void **state) {
  expect("train", "mute 2 1", 1, "waits for sums of gradients on the cards");
  expect("train", "mute 0 0", 1, "waits for sums of gradients on the cards");
}

// A killed rank cannot speak: mpirun names it.
static void a_dead_rank_ends_all(void **state) { expect("die", "", -1, "rank 2"); }

int main(int argc, char **argv) {
  if (argc == 3 && strcmp(argv[1], "rank") == 0) return rank_program(argc, argv, argv[2]);
  self = argv[0];
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(trains_when_nothing_happens),
      cmocka_unit_test(a_refused_sum_ends_all),
      cmocka_unit_test(a_silent_card_ends_all),
      cmocka_unit_test(a_dead_rank_ends_all),
  };
  return cmocka_run_group_tests_name("card_ranks", tests, NULL, NULL);
}
