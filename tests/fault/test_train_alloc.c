// A training and a fit in which the n-th allocation fails, for many n: each ends in AM_ERR_NOMEM (or
// succeeds, where idle memory could be given back), with nothing left on the device or (under
// sanitizers) on the heap. One child process per n, since a fault point counts from its arming.
#include <sys/wait.h>

#include "am_test.h"
#include "base/fault.h"
#include "base/path.h"
#include "mpi/tiny_training.h"

enum { CHILD_DONE, CHILD_OUT_OF_MEMORY, CHILD_WRONG };

// What is made before the fault is armed.
typedef struct {
  am_comm *world;
  am_device *dev;
  am_dataset *data;
  am_model *net, *g, *d;
  am_classify_job classify;
  am_gan_job gan;
} bench;

static bench prepare(const char *checkpoints) {
  bench b = {0};
  tiny_options o = {
      .slices = 2, .epochs = 1, .checkpoint_dir = checkpoints, .extras = true, .fine_tuned = true};
  am_ok(am_path_remove_tree(checkpoints));
  am_ok(am_comm_init(NULL, NULL, false, &b.world));
  am_ok(am_device_open(NULL, &b.dev));
  b.data = tiny_data(am_test_dir());
  b.net = tiny_classifier(b.dev);
  tiny_gan(b.dev, &b.g, &b.d);
  b.classify = tiny_classify_job(b.world, b.dev, b.net, b.data, o);
  b.gan = tiny_gan_job(b.world, b.dev, b.g, b.d, b.data, o);
  return b;
}

static void tear_down(bench *b) {
  am_model_free(b->net);
  am_model_free(b->g);
  am_model_free(b->d);
  am_dataset_free(b->data);
  am_ok(am_comm_finish(b->world));
}

static int run_child(bench *b, bool gan, int n) {
  char spec[32];
  am_history *history = NULL;
  snprintf(spec, sizeof spec, "alloc:%d", n);
  if (am_fault_init(spec, 0)) return CHILD_WRONG;
  am_err err = gan ? am_fit_gan(&b->gan, &history) : am_train_classifier(&b->classify, &history);
  if (err && history) return CHILD_WRONG;  // outputs are set on success only
  am_history_free(history);
  tear_down(b);
  if (am_device_memory_now(b->dev).live_bytes != 0) return CHILD_WRONG;
  am_device_close(b->dev);
  if (err == AM_OK) return CHILD_DONE;
  return err == AM_ERR_NOMEM ? CHILD_OUT_OF_MEMORY : CHILD_WRONG;
}

static int outcome(bench *b, bool gan, int n) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) exit(run_child(b, gan, n));
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  return WIFEXITED(status) ? WEXITSTATUS(status) : CHILD_WRONG;
}

// Every allocation of the start, then a sample: steps repeat.
static void fails_cleanly(bool gan) {
  enum { EVERY = 100, STRIDE = 37, STREAK = 20 };
  char checkpoints[300];
  snprintf(checkpoints, sizeof checkpoints, "%s/checkpoints", am_test_dir());
  bench b = prepare(checkpoints);
  int failed = 0, done = 0;
  for (int n = 1; done < STREAK; n += n < EVERY ? 1 : STRIDE) {  // done in a row: past the last allocation
    int code = outcome(&b, gan, n);
    if (code != CHILD_OUT_OF_MEMORY && code != CHILD_DONE)
      fail_msg("allocation %d: the child gave %d", n, code);
    failed += code == CHILD_OUT_OF_MEMORY;
    done = code == CHILD_DONE ? done + 1 : 0;
    am_ok(am_path_remove_tree(checkpoints));
  }
  assert_true(failed > EVERY / 2);
  tear_down(&b);
  am_device_close(b.dev);
}

static void training_survives_every_failed_allocation(void **state) { (void)state, fails_cleanly(false); }
static void fitting_survives_every_failed_allocation(void **state) { (void)state, fails_cleanly(true); }

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(training_survives_every_failed_allocation),
      cmocka_unit_test(fitting_survives_every_failed_allocation),
  };
  return cmocka_run_group_tests_name("train alloc", tests, NULL, NULL);
}
