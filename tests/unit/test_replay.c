// Steps that are recorded (tensor/replay.h), on a device that carries nothing out while it records and whose memory the host
// cannot touch (tests/on_host/sealed.c), beside the same steps on a device that cannot record.
#include "am_test.h"
#include "autograd/ops.h"
#include "base/rng.h"
#include "tensor/profile.h"
#include "tensor/replay.h"

enum { ROWS = 3, COLUMNS = 4, COUNT = ROWS * COLUMNS, STEPS = 12 };

// Sums what its steps make of their inputs into memory that outlives them.
typedef struct {
  am_device *dev;
  am_graph *graph;
  am_replay *replay;
  am_tensor *total;          // owned: (ROWS, COLUMNS)
  am_tensor *input, *slope;  // borrowed: of the step; of the graph, from one part to the next
  int64_t calls, counter;
  double scale;
  bool fails;
} worker;

static void worker_open(worker *w, const char *kind) {
  char path[4096];
  *w = (worker){.scale = 2};
  am_test_plugins("on_host/sealed", path);
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &w->dev));
  am_ok(am_graph_new(w->dev, &w->graph));
  am_ok(am_replay_new(w->dev, true, &w->replay));
  am_ok(am_replay_counter(w->replay, &w->counter));
  am_ok(am_tensor_zeros(w->dev, AM_F32, AM_SHAPE(ROWS, COLUMNS), &w->total));
}

static void worker_close(worker *w) {
  am_graph_free(w->graph);
  am_replay_free(w->replay);
  am_tensor_release(w->total);
  assert_int_equal(am_device_memory_now(w->dev).live_bytes, 0);
  am_device_close(w->dev);
}

// First part: slope = d/dx sum(dropout(scale x + noise)^2), kept on the graph for the second; out: the sum.
static am_err first_part(void *self, am_tensor **out) {
  worker *w = self;
  am_graph *g = w->graph;
  am_tensor *noise = NULL, *x = NULL, *y = NULL;
  am_random_desc d = {.kind = AM_RAND_NORMAL,
                      .dtype = AM_F32,
                      .shape = AM_SHAPE(ROWS, COLUMNS),
                      .seed = 5,
                      .index = 1000,
                      .purpose = AM_RNG_TEST};
  d.index += (uint64_t)w->counter * 7;
  w->calls++;
  AM_TRY(am_random(g, d, &noise));
  AM_TRY(am_affine(g, w->input, w->scale, 0, &x));
  am_require_grad(x, true);
  AM_TRY(am_add(g, x, noise, &y));
  AM_TRY(am_dropout_op(g, y, (am_dropout_desc){.p = 0.4, .seed = 6, .index = d.index, .purpose = AM_RNG_TEST},
                       &y));
  AM_TRY(am_square(g, y, &y));
  AM_TRY(am_sum(g, y, ~0u, &y));
  out[0] = am_tensor_retain(y);
  AM_TRY(am_grad(g, &(am_grad_desc){.y = &y, .y_count = 1, .x = &x, .x_count = 1}, &w->slope));
  AM_CHECK(!w->fails, AM_ERR_DATA, "told to fail");
  w->counter++;
  return AM_OK;
}

// Second part: total <- 0.5 total + slope.
static am_err second_part(void *self, am_tensor **out) {
  worker *w = self;
  w->calls++;
  return am_apply(w->graph, AM_OP_axpby, &(am_axpby_desc){.a = 1, .b = 0.5}, &w->slope, &w->total);
}

static am_err both_parts(worker *w, const float *host, double *sum) {
  am_tensor *y = NULL;
  AM_TRY(am_replay_input(w->replay, AM_F32, AM_SHAPE(ROWS, COLUMNS), host, &w->input));
  AM_TRY(am_replay_run(w->replay, first_part, w, &y, 1));
  AM_TRY(am_tensor_item(y, sum));
  return am_replay_run(w->replay, second_part, w, NULL, 0);
}

static am_err step(worker *w, int64_t s, double *sum) {
  float host[COUNT];
  for (int i = 0; i < COUNT; i++) host[i] = (float)((s * 31 + i * 17) % 23) - 11;
  AM_TRY(am_replay_begin(w->replay, &w->scale, sizeof w->scale, (uint64_t)w->counter * 7));
  const am_err err = both_parts(w, host, sum);
  am_graph_reset(w->graph);
  return am_replay_end(w->replay, err);
}

static void total_of(worker *w, float *host) { am_ok(am_tensor_to_host(w->total, host)); }

// Somebody else's memory, more of it after every step: no step may write there.
static void take_more(worker *w, am_tensor **taken) {
  am_fill_desc d = {.shape = AM_SHAPE(ROWS, COLUMNS), .dtype = AM_F32, .value = 77};
  am_ok(am_dispatch(w->dev, AM_OP_fill, &d, NULL, taken));
}

static void check_taken(am_tensor *const *taken, int64_t count) {
  float host[COUNT];
  for (int64_t k = 0; k < count; k++) {
    am_ok(am_tensor_to_host(taken[k], host));
    for (int i = 0; i < COUNT; i++) assert_float_equal(host[i], 77, 0);
  }
}

static void check_same(worker *a, worker *b, double (*scale)(int64_t step)) {
  am_tensor *taken[STEPS];
  for (int64_t s = 0; s < STEPS; s++) {
    double sum_a = 0, sum_b = 0;
    float total_a[COUNT], total_b[COUNT];
    const uint64_t stamp = am_tensor_as_view(a->total).stamp;
    a->scale = b->scale = scale(s);
    am_ok(step(a, s, &sum_a));
    am_ok(step(b, s, &sum_b));
    assert_true(sum_a == sum_b);
    assert_true(am_tensor_as_view(a->total).stamp != stamp);
    total_of(a, total_a);
    total_of(b, total_b);
    assert_memory_equal(total_a, total_b, sizeof total_a);
    assert_int_equal(a->counter, s + 1);
    check_taken(taken, s);
    take_more(a, &taken[s]);
  }
  for (int64_t s = 0; s < STEPS; s++) am_tensor_release(taken[s]);
}

static double always_two(int64_t s) { return 2; }
static double two_or_three(int64_t s) { return s % 3 == 2 ? 3 : 2; }
static double three_before_two(int64_t s) { return s >= 2 && s < 5 ? 2 : 3; }

// The same steps on a sealed device and on the cpu: how many were launched, and how many parts were called.
static void run_beside_cpu(const char *kind, double (*scale)(int64_t step), int64_t launched,
                           int64_t called) {
  worker sealed, cpu;
  worker_open(&sealed, kind);
  worker_open(&cpu, "cpu");
  check_same(&sealed, &cpu, scale);
  assert_int_equal(am_replay_launched(sealed.replay), launched);
  assert_int_equal(sealed.calls, called);
  assert_int_equal(am_replay_launched(cpu.replay), 0);
  assert_int_equal(cpu.calls, 2 * STEPS);
  worker_close(&sealed);
  worker_close(&cpu);
}

// Two steps are carried out, the third is recorded, all others are launched.
static void launches_what_it_recorded(void **state) { run_beside_cpu("cuda", always_two, STEPS - 3, 2 * 3); }

// Steps 1, 2, 4 are of one kind, recorded at 4; 3, 6, 9 of the other, whose second step was after a recording: recorded at 9.
static void keeps_kinds_of_steps_apart(void **state) {
  run_beside_cpu("cuda", two_or_three, STEPS - 6, 2 * 6);
}

// Two steps of one kind were settled before another kind, recorded at the fifth, took memory for good: they settle again, at
// the sixth, and are recorded at the seventh.
static void settles_again_after_a_recording(void **state) {
  run_beside_cpu("cuda", three_before_two, STEPS - 7, 2 * 7);
}

// A round is a step of each kind, two kinds more than are kept. Each round one of them is recorded, after which the others settle
// again; in the end all that are kept are launched, and two are carried out for ever.
static void keeps_no_more_kinds_than_it_says(void **state) {
  enum { KINDS = AM_REPLAY_KINDS + 2, ROUNDS = AM_REPLAY_KINDS + 4 };
  worker w;
  double sum;
  int64_t launched = 0, calls = 0;
  worker_open(&w, "cuda");
  for (int64_t r = 0; r < ROUNDS; r++) {
    launched = am_replay_launched(w.replay);
    calls = w.calls;
    for (int64_t k = 0; k < KINDS; k++) {
      w.scale = (double)k;
      am_ok(step(&w, r * KINDS + k, &sum));
    }
  }
  assert_int_equal(am_replay_launched(w.replay) - launched, AM_REPLAY_KINDS);
  assert_int_equal(w.calls - calls, 2 * (KINDS - AM_REPLAY_KINDS));
  worker_close(&w);
}

static void records_nothing_when_told_not_to(void **state) {
  run_beside_cpu("cuda:eager", always_two, 0, 2 * STEPS);
}

static void profiles_op_by_op(void **state) {
  worker w;
  double sum;
  am_profile profile = {0};
  worker_open(&w, "cuda");
  am_device_profile(w.dev, &profile);
  for (int64_t s = 0; s < STEPS; s++) am_ok(step(&w, s, &sum));
  assert_int_equal(w.calls, 2 * STEPS);
  am_device_profile(w.dev, NULL);
  worker_close(&w);
}

// Whatever its mode, a step that fails leaves nothing behind, and the same kind works afterwards.
static void survives_failures(void **state) {
  for (int64_t failing = 0; failing < 3; failing++) {
    worker w;
    double sum;
    worker_open(&w, "cuda");
    for (int64_t s = 0; s < failing; s++) am_ok(step(&w, s, &sum));
    w.fails = true;
    am_fails(step(&w, failing, &sum), AM_ERR_DATA, "told to fail");
    w.fails = false;
    for (int64_t s = 0; s < STEPS; s++) am_ok(step(&w, s, &sum));
    assert_true(am_replay_launched(w.replay) > 0);
    worker_close(&w);
  }
}

// ---- what a part must not do ----

static am_err reads(void *self, am_tensor **out) {
  worker *w = self;
  double value;
  am_tensor *y = NULL;
  AM_TRY(am_sum(w->graph, w->input, ~0u, &y));
  return am_tensor_item(y, &value);
}
static am_err writes(void *self, am_tensor **out) {
  worker *w = self;
  const float host[COUNT] = {0};
  return am_tensor_copy_from_host(w->input, host);
}

static am_err step_of(worker *w, am_replay_part part) {
  const float host[COUNT] = {0};
  AM_TRY(am_replay_begin(w->replay, "k", 1, 0));
  am_err err = am_replay_input(w->replay, AM_F32, AM_SHAPE(COUNT), host, &w->input);
  if (!err) err = am_replay_run(w->replay, part, w, NULL, 0);
  am_graph_reset(w->graph);
  return am_replay_end(w->replay, err);
}

static void refuses_host_memory_in_a_part(void **state) {
  const am_replay_part part[] = {reads, writes};
  for (int i = 0; i < 2; i++) {
    worker w;
    worker_open(&w, "cuda");
    am_ok(step_of(&w, part[i]));
    am_ok(step_of(&w, part[i]));
    am_fails(step_of(&w, part[i]), AM_ERR_INTERNAL, "bytes between host and device");
    worker_close(&w);
  }
}

static void refuses_steps_out_of_order(void **state) {
  worker w;
  am_tensor *t = NULL;
  const float host[COUNT] = {0};
  worker_open(&w, "cuda");
  am_fails(am_replay_input(w.replay, AM_F32, AM_SHAPE(COUNT), host, &t), AM_ERR_ARG, "outside a step");
  am_fails(am_replay_run(w.replay, writes, &w, NULL, 0), AM_ERR_ARG, "outside a step");
  am_ok(am_replay_begin(w.replay, "k", 1, 0));
  am_fails(am_replay_begin(w.replay, "k", 1, 0), AM_ERR_ARG, "before the one before it has ended");
  am_ok(am_replay_end(w.replay, AM_OK));
  am_fails(am_replay_counter(w.replay, &w.counter), AM_ERR_ARG, "after the first step");
  worker_close(&w);
}

static void notices_other_inputs_and_outputs(void **state) {
  worker w;
  double sum;
  am_tensor *t[2];
  const float host[COUNT + 1] = {0};
  worker_open(&w, "cuda");
  for (int64_t s = 0; s < 4; s++) am_ok(step(&w, s, &sum));
  am_ok(am_replay_begin(w.replay, &w.scale, sizeof w.scale, 0));
  am_fails(am_replay_input(w.replay, AM_F32, AM_SHAPE(COUNT + 1), host, &t[0]), AM_ERR_INTERNAL,
           "input 0 of a repeated step");
  am_ok(am_replay_input(w.replay, AM_F32, AM_SHAPE(ROWS, COLUMNS), host, &t[0]));
  am_fails(am_replay_run(w.replay, first_part, &w, t, 2), AM_ERR_INTERNAL,
           "2 outputs, 1 when it was recorded");
  assert_int_equal(am_replay_end(w.replay, AM_ERR_INTERNAL), AM_ERR_INTERNAL);
  worker_close(&w);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(launches_what_it_recorded),
      cmocka_unit_test(keeps_kinds_of_steps_apart),
      cmocka_unit_test(settles_again_after_a_recording),
      cmocka_unit_test(keeps_no_more_kinds_than_it_says),
      cmocka_unit_test(records_nothing_when_told_not_to),
      cmocka_unit_test(profiles_op_by_op),
      cmocka_unit_test(survives_failures),
      cmocka_unit_test(refuses_host_memory_in_a_part),
      cmocka_unit_test(refuses_steps_out_of_order),
      cmocka_unit_test(notices_other_inputs_and_outputs),
  };
  return cmocka_run_group_tests_name("replay", tests, NULL, NULL);
}
