// A training step with a gradient penalty in which the n-th allocation fails, for every n: each time
// it must end in AM_ERR_NOMEM, with nothing leaked on the device or (under sanitizers) on the heap.
// One child process per n, since a fault point counts from the start of its process.
#include <sys/wait.h>

#include "am_test.h"
#include "base/fault.h"
#include "base/rng.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/optim.h"

typedef struct {
  am_device *dev;
  am_params *params;
  am_graph *graph;
  am_optim *adam;
  am_ema *ema;
  am_conv conv;
  am_batch_norm_layer bn;
  am_linear fc;
} job;

static am_err build(job *j) {
  AM_TRY(am_params_new(&j->params));
  AM_TRY(
      am_conv_init(&j->conv, j->params, "conv", (am_conv_cfg){.in = 2, .out = 3, .kernel = 3, .bias = true}));
  AM_TRY(am_batch_norm_init(&j->bn, j->params, "bn", (am_batch_norm_cfg){.channels = 3}));
  AM_TRY(am_linear_init(&j->fc, j->params, "fc", (am_linear_cfg){.in = 12, .out = 2}));
  AM_TRY(am_params_commit(j->params, j->dev, AM_F32, 1));
  AM_TRY(am_graph_new(j->dev, &j->graph));
  AM_TRY(am_optim_new(am_optim_cfg_default(AM_OPTIM_ADAM), j->params, &j->adam));
  return am_ema_new(j->params, &j->ema);
}

static am_err forward(job *j, am_tensor *x, am_tensor **y) {
  am_pass pass = {.graph = j->graph, .train = true, .update_stats = true, .seed = 1};
  AM_TRY(am_conv_forward(&j->conv, &pass, x, &x));
  AM_TRY(am_batch_norm_forward(&j->bn, &pass, x, &x));
  AM_TRY(am_softplus(j->graph, x, &x));
  AM_TRY(am_reshape(j->graph, x, AM_SHAPE(2, -1), &x));
  AM_TRY(am_dropout(&pass, x, 0.2, &x));
  return am_linear_forward(&j->fc, &pass, x, y);
}

static am_err penalty(job *j, am_tensor *x, am_tensor *logits, am_tensor **value) {
  am_tensor *y = NULL, *slope = NULL;
  AM_TRY(am_sum(j->graph, logits, ~0u, &y));
  am_grad_desc d = {.y = &y, .y_count = 1, .x = &x, .x_count = 1, .create_graph = true};
  AM_TRY(am_grad(j->graph, &d, &slope));
  AM_TRY(am_square(j->graph, slope, &slope));
  return am_mean(j->graph, slope, ~0u, value);
}

static am_err step(job *j) {
  static const int32_t label[] = {0, 1};
  float rows[4];
  am_tensor *x = NULL, *logits = NULL, *target = NULL, *y[2];
  int count = 0;
  am_random_desc noise = {
      .kind = AM_RAND_NORMAL, .dtype = AM_F32, .shape = AM_SHAPE(2, 2, 4, 4), .purpose = AM_RNG_TEST};
  AM_TRY(am_random(j->graph, noise, &x));
  am_require_grad(x, true);
  AM_TRY(forward(j, x, &logits));
  AM_TRY(am_one_hot(label, 2, 2, 0.1, rows));
  AM_TRY(am_tensor_from_host(j->dev, AM_F32, AM_SHAPE(2, 2), rows, &target));
  AM_TRY(am_graph_own(j->graph, target));
  AM_TRY(am_loss_cross_entropy(j->graph, logits, target, &y[0]));
  AM_TRY(penalty(j, x, logits, &y[1]));
  am_grad_desc d = {.y = y, .y_count = 2};
  d.x = am_params_leaves(j->params, &count);
  d.sink = am_params_grad_views(j->params, &count);
  d.x_count = count;
  AM_TRY(am_grad(j->graph, &d, NULL));
  AM_TRY(am_clip_grad_norm(j->params, 0.01));
  AM_TRY(am_optim_step(j->adam, 1e-3));
  AM_TRY(am_ema_update(j->ema, j->params, 0.9));
  return am_ema_swap(j->ema, j->params);
}

enum { CHILD_DONE, CHILD_OUT_OF_MEMORY, CHILD_WRONG };

// Out of memory in the n-th allocation after the device was opened.
static int run_child(const char *kind, int n) {
  char spec[32];
  job j = {0};
  if (am_device_open(&(am_device_cfg){.kind = kind}, &j.dev)) return CHILD_WRONG;
  snprintf(spec, sizeof spec, "alloc:%d", n);
  if (am_fault_init(spec, 0)) return CHILD_WRONG;
  am_err err = build(&j);
  if (!err) err = step(&j);
  am_ema_free(j.ema);
  am_optim_free(j.adam);
  am_graph_free(j.graph);
  am_params_free(j.params);
  bool leaked = am_device_memory_now(j.dev).live_bytes != 0;
  am_device_close(j.dev);
  if (leaked || (err && err != AM_ERR_NOMEM)) {
    fprintf(stderr, "allocation %d on %s: %s\n", n, kind,
            leaked ? "device memory leaked" : am_err_last()->message);
    return CHILD_WRONG;
  }
  return err ? CHILD_OUT_OF_MEMORY : CHILD_DONE;
}

static void every_allocation_fails_on(const char *kind) {
  int n = 0, status = 0;
  do {
    n++;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) exit(run_child(kind, n));
    assert_true(child > 0 && waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) > CHILD_OUT_OF_MEMORY)
      fail_msg("allocation %d: status %d", n, status);
  } while (WEXITSTATUS(status) == CHILD_OUT_OF_MEMORY);
  assert_true(n > 100);  // it did allocate, and did fail, many times
}

static void every_allocation_may_fail(void **state) { every_allocation_fails_on("ref"); }

// There clipping takes ops of the device.
static void so_may_those_of_a_device_that_the_host_cannot_read(void **state) {
  char path[4096];
  am_test_plugins("on_host/sealed", path);
  every_allocation_fails_on("cuda");
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_allocation_may_fail),
                                     cmocka_unit_test(so_may_those_of_a_device_that_the_host_cannot_read)};
  return cmocka_run_group_tests_name("autograd_alloc", tests, NULL, NULL);
}
