// A network wide enough for a backend's own layouts (channels in sixteens), with the turns at which
// layouts meet: a residual sum, pooling, a flattening, a transposed convolution, images of three
// channels. Two updates and a gradient penalty on each device give what "ref" gives in f64.
#include "am_test.h"
#include "base/num.h"
#include "base/rng.h"
#include "nn/loss.h"
#include "nn/module.h"
#include "nn/optim.h"

enum { BATCH = 3, SIZE = 12, CLASSES = 7, PARTS = 5, MAX_RESULT = 80000 };

// The gradients of two steps and of a penalty, running statistics, and logits in evaluation.
typedef struct {
  double value[MAX_RESULT];
  int64_t end[PARTS];
  int parts;
} outcome;

typedef struct {
  am_conv stem, conv1, conv2, down, up;
  am_batch_norm_layer bn0, bn1, bn2, bn3;
  am_linear fc;
} network;

static am_err network_init(network *m, am_params *ps) {
  AM_TRY(am_conv_init(&m->stem, ps, "stem", (am_conv_cfg){.in = 3, .out = 16, .kernel = 3, .pad = 1}));
  AM_TRY(am_batch_norm_init(&m->bn0, ps, "bn0", (am_batch_norm_cfg){.channels = 16}));
  AM_TRY(am_conv_init(&m->conv1, ps, "conv1",
                      (am_conv_cfg){.in = 16, .out = 32, .kernel = 3, .stride = 2, .pad = 1}));
  AM_TRY(am_batch_norm_init(&m->bn1, ps, "bn1", (am_batch_norm_cfg){.channels = 32}));
  AM_TRY(am_conv_init(&m->conv2, ps, "conv2",
                      (am_conv_cfg){.in = 32, .out = 32, .kernel = 3, .pad = 1}));
  AM_TRY(am_batch_norm_init(&m->bn2, ps, "bn2", (am_batch_norm_cfg){.channels = 32}));
  AM_TRY(am_conv_init(&m->down, ps, "down", (am_conv_cfg){.in = 16, .out = 32, .kernel = 1, .stride = 2}));
  AM_TRY(am_conv_init(
      &m->up, ps, "up",
      (am_conv_cfg){.in = 32, .out = 16, .kernel = 4, .stride = 2, .pad = 1, .transposed = true}));
  AM_TRY(am_batch_norm_init(&m->bn3, ps, "bn3", (am_batch_norm_cfg){.channels = 16}));
  return am_linear_init(&m->fc, ps, "fc", (am_linear_cfg){.in = 16 * 3 * 3 + 16, .out = CLASSES});
}

static am_err normalised_conv(am_pass *pass, am_conv *conv, am_batch_norm_layer *bn, am_tensor *x,
                              am_tensor **y) {
  AM_TRY(am_conv_forward(conv, pass, x, &x));
  return am_batch_norm_forward(bn, pass, x, y);
}

static am_err forward(network *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  am_graph *g = pass->graph;
  am_tensor *side = NULL, *flat[2];
  AM_TRY(normalised_conv(pass, &m->stem, &m->bn0, x, &x));
  AM_TRY(am_softplus(g, x, &x));
  AM_TRY(am_conv_forward(&m->down, pass, x, &side));
  AM_TRY(am_conv_norm_act_forward(&m->conv1, &m->bn1, pass, x, NULL, AM_LEAKY_RELU(0.2), &x));
  AM_TRY(am_conv_norm_act_forward(&m->conv2, &m->bn2, pass, x, side, AM_LEAKY_RELU(0.1), &x));
  AM_TRY(am_tanh(g, x, &x));
  AM_TRY(normalised_conv(pass, &m->up, &m->bn3, x, &x));
  am_pool2d_desc max = {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
  AM_TRY(am_max_pool2d(g, x, max, &x));
  AM_TRY(am_global_avg_pool(g, x, &flat[0]));
  AM_TRY(am_avg_pool2d(g, x, (am_pool2d_desc){.kernel_h = 2, .kernel_w = 2}, &x));
  AM_TRY(am_reshape(g, x, AM_SHAPE(BATCH, -1), &flat[1]));
  AM_TRY(am_concat(g, flat, 2, 1, &x));
  return am_linear_forward(&m->fc, pass, x, y);
}

// ---- one device ----

typedef struct {
  am_device *dev;
  am_dtype dtype;
  am_graph *graph;
  am_params *params;
  network net;
} bench;

static am_tensor *drawn(bench *b, am_shape shape, uint64_t index) {
  int64_t count = am_shape_count(shape);
  double *wide = malloc(sizeof *wide * (size_t)count);
  float *single = malloc(sizeof *single * (size_t)count);
  assert_true(wide && single);
  am_rng rng = am_rng_at(5, AM_RNG_TEST, index);
  for (int64_t i = 0; i < count; i++) wide[i] = single[i] = (float)am_rng_normal(&rng);
  am_tensor *t = NULL;
  am_ok(am_tensor_from_host(b->dev, b->dtype, shape, b->dtype == AM_F64 ? (void *)wide : single, &t));
  am_ok(am_graph_own(b->graph, t));
  free(wide);
  free(single);
  return t;
}

static void append(outcome *o, am_tensor *t) {
  int64_t start = o->parts > 0 ? o->end[o->parts - 1] : 0, n = am_tensor_count(t);
  float *single = malloc(sizeof *single * (size_t)n);
  assert_non_null(single);
  assert_true(o->parts < PARTS && start + n <= MAX_RESULT);
  if (t->dtype == AM_F64) {
    am_ok(am_tensor_to_host(t, o->value + start));
  } else {
    am_ok(am_tensor_to_host(t, single));
    for (int64_t i = 0; i < n; i++) o->value[start + i] = single[i];
  }
  free(single);
  o->end[o->parts++] = start + n;
}

static void backward(bench *b, am_tensor *y) {
  int count = 0;
  am_grad_desc d = {.y = &y, .y_count = 1};
  d.x = am_params_leaves(b->params, &count);
  d.sink = am_params_grad_views(b->params, &count);
  d.x_count = count;
  am_ok(am_grad(b->graph, &d, NULL));
}

static am_tensor *penalty(bench *b, am_tensor *x, am_tensor *logits) {
  am_tensor *y = NULL, *slope = NULL;
  am_ok(am_sum(b->graph, logits, ~0u, &y));
  am_grad_desc d = {.y = &y, .y_count = 1, .x = &x, .x_count = 1, .create_graph = true};
  am_ok(am_grad(b->graph, &d, &slope));
  am_ok(am_square(b->graph, slope, &slope));
  am_ok(am_sum(b->graph, slope, ~0u, &slope));
  return slope;
}

static bool asked_tf32;

static void run(const char *kind, am_dtype dtype, outcome *o) {
  bench b = {.dtype = dtype};
  am_tensor *logits = NULL, *loss = NULL;
  o->parts = 0;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &b.dev));
  if (asked_tf32 && dtype == AM_F32) am_ok(am_device_set_tf32(b.dev, true));
  am_ok(am_graph_new(b.dev, &b.graph));
  am_ok(am_params_new(&b.params));
  am_ok(network_init(&b.net, b.params));
  am_ok(am_params_commit(b.params, b.dev, dtype, 4));
  am_pass pass = {.graph = b.graph, .train = true, .update_stats = true};
  for (uint64_t step = 0; step < 3; step++) {
    am_tensor *x = drawn(&b, AM_SHAPE(BATCH, 3, SIZE, SIZE), step), *target = NULL;
    am_require_grad(x, true);
    am_ok(forward(&b.net, &pass, x, &logits));
    am_ok(am_sigmoid(b.graph, drawn(&b, AM_SHAPE(BATCH, CLASSES), 10 + step), &target));
    am_ok(am_loss_bce_logits(b.graph, logits, target, &loss));
    backward(&b, step < 2 ? loss : penalty(&b, x, logits));
    append(o, am_params_grads(b.params));
    am_graph_reset(b.graph);
  }
  append(o, am_params_buffers(b.params));
  pass.train = false;
  am_graph_record(b.graph, false);
  am_ok(forward(&b.net, &pass, drawn(&b, AM_SHAPE(BATCH, 3, SIZE, SIZE), 0), &logits));
  append(o, logits);
  am_params_free(b.params);
  am_graph_free(b.graph);
  assert_int_equal(am_device_memory_now(b.dev).live_bytes, 0);
  am_device_close(b.dev);
}

static outcome exact, got;

// Errors of single precision grow through three normalisations and their gradients; each part may be
// off by a share of its largest element. TF32's rounding is 2^12 times as large as f32's; two updates carry it on.
#define TOL_SINGLE 1e-5
#define TOL_CARD 1e-4
#define TOL_TF32 3e-2
static double tolerance = TOL_SINGLE;
static void agrees_with_f64(const char *kind) {
  run("ref", AM_F64, &exact);
  run(kind, AM_F32, &got);
  for (int p = 0; p < PARTS; p++) {
    int64_t start = p > 0 ? exact.end[p - 1] : 0;
    double largest = 0;
    for (int64_t i = start; i < exact.end[p]; i++) largest = fmax(largest, fabs(exact.value[i]));
    assert_int_equal(got.end[p], exact.end[p]);
    am_close(got.value + start, exact.value + start, exact.end[p] - start, 0, tolerance * largest);
  }
}

static void on_ref(void **state) { agrees_with_f64("ref"); }
static void on_cpu(void **state) { agrees_with_f64("cpu"); }
static void on_guard(void **state) { agrees_with_f64("guard"); }

static const char *asked_kind;  // tested alone (am_test_option)
static void on_asked(void **state) { agrees_with_f64(asked_kind); }

static int run_asked(const char *type) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(on_asked)};
  asked_tf32 = type && strcmp(type, "tf32") == 0;
  if (strcmp(asked_kind, "cuda") == 0) tolerance = asked_tf32 ? TOL_TF32 : TOL_CARD;
  return cmocka_run_group_tests_name("network_agree", tests, NULL, NULL);
}

int main(int argc, char **argv) {
  asked_kind = am_test_option(argc, argv, "--device");
  if (asked_kind) return run_asked(am_test_option(argc, argv, "--type"));
  const struct CMUnitTest tests[] = {cmocka_unit_test(on_ref), cmocka_unit_test(on_cpu),
                                     cmocka_unit_test(on_guard)};
  return cmocka_run_group_tests_name("network_agree", tests, NULL, NULL);
}
