// Ops against PyTorch (make_ops.py, make_resample.py): `ref` in f64 to the last digits, which makes it the oracle of
// tests/ops, and `cpu` in f32.
#include "base/num.h"
#include "golden_nn.h"

// A case of the file and the tensors of the device that belong to it.
typedef struct {
  const golden *t;
  char prefix[64];
} golden_case;

static bool find_case(golden_case *c, const golden *t, const char *op, int number) {
  c->t = t;
  snprintf(c->prefix, sizeof c->prefix, "%s/%d", op, number);
  return am_safetensors_find(t->file, golden_name(c->prefix, "x")) ||
         am_safetensors_find(t->file, golden_name(c->prefix, "start"));
}

// Runs `test` on each case of an op; there must be some.
static void each_case(const golden *t, const char *op, void (*test)(const golden_case *c)) {
  golden_case c;
  int count = 0;
  for (; find_case(&c, t, op, count); count++) test(&c);
  assert_true(count > 0);
}

static am_tensor *load(const golden_case *c, const char *name) {
  return golden_tensor(c->t, golden_name(c->prefix, name), -1);
}

static void setting(const golden_case *c, double *value, int64_t count) {
  const char *name = golden_name(c->prefix, "desc");
  assert_int_equal(am_shape_count(golden_entry(c->t, name)->shape), count);
  double *host = golden_values(c->t, name);
  memcpy(value, host, sizeof(double) * (size_t)count);
  free(host);
}

static void check(const golden_case *c, am_tensor *got, const char *name) {
  const char *full = golden_name(c->prefix, name);
  assert_true(am_shape_equal(got->shape, golden_entry(c->t, full)->shape));
  golden_check(c->t, got, full, 1);
}

// Runs an op; the graph owns the outputs.
static void apply(const golden_case *c, am_op op, const void *desc, am_tensor *const *in, am_tensor **out) {
  am_ok(am_apply(c->t->graph, op, desc, in, out));
}
#define APPLY(op, desc, out, ...) apply(c, AM_OP_##op, (desc), (am_tensor *[]){__VA_ARGS__}, (out))

// ---- convolution ----

static am_conv2d_desc conv_desc(const golden_case *c) {
  double v[7];
  setting(c, v, 7);
  return (am_conv2d_desc){.stride_h = (int64_t)v[0], .stride_w = (int64_t)v[1], .pad_h = (int64_t)v[2],
                          .pad_w = (int64_t)v[3], .dilation_h = (int64_t)v[4], .dilation_w = (int64_t)v[5],
                          .groups = (int64_t)v[6]};
}

static void conv_case(const golden_case *c) {
  am_tensor *x = load(c, "x"), *w = load(c, "w"), *dy = load(c, "dy"), *y, *dx, *dw;
  am_conv2d_desc desc = conv_desc(c);
  desc.in_h = x->shape.dim[2];
  desc.in_w = x->shape.dim[3];
  desc.kernel_h = w->shape.dim[2];
  desc.kernel_w = w->shape.dim[3];
  APPLY(conv2d, &desc, &y, x, w);
  APPLY(conv2d_grad_input, &desc, &dx, dy, w);
  APPLY(conv2d_grad_weight, &desc, &dw, dy, x);
  check(c, y, "y");
  check(c, dx, "dx");
  check(c, dw, "dw");
}

static void conv_transpose_case(const golden_case *c) {
  am_tensor *x = load(c, "x"), *w = load(c, "w"), *y;
  am_conv2d_desc desc = conv_desc(c);
  am_shape size = golden_entry(c->t, golden_name(c->prefix, "y"))->shape;
  desc.in_h = size.dim[2];
  desc.in_w = size.dim[3];
  APPLY(conv2d_grad_input, &desc, &y, x, w);
  check(c, y, "y");
}

// ---- pooling ----

static am_pool2d_desc pool_desc(const double *v, const am_tensor *x) {
  return (am_pool2d_desc){.kernel_h = (int64_t)v[0], .kernel_w = (int64_t)v[1], .stride_h = (int64_t)v[2],
                          .stride_w = (int64_t)v[3], .pad_h = (int64_t)v[4], .pad_w = (int64_t)v[5],
                          .in_h = x->shape.dim[2], .in_w = x->shape.dim[3]};
}

static void check_index(const golden_case *c, am_tensor *index) {
  const char *name = golden_name(c->prefix, "index");
  double *want = golden_values(c->t, name);
  int64_t count = am_shape_count(golden_entry(c->t, name)->shape);
  int32_t *got = malloc(sizeof *got * (size_t)count);
  assert_non_null(got);
  assert_int_equal(am_tensor_count(index), count);
  am_ok(am_tensor_to_host(index, got));
  for (int64_t i = 0; i < count; i++) assert_int_equal(got[i], (int32_t)want[i]);
  free(got);
  free(want);
}

static void max_pool_case(const golden_case *c) {
  double v[6];
  am_tensor *x = load(c, "x"), *dy = load(c, "dy"), *pooled[2], *dx, *again;
  setting(c, v, 6);
  am_pool2d_desc desc = pool_desc(v, x);
  APPLY(max_pool2d, &desc, pooled, x);
  APPLY(pool_scatter, &desc, &dx, dy, pooled[1]);
  APPLY(pool_gather, &desc, &again, x, pooled[1]);
  check(c, pooled[0], "y");
  check_index(c, pooled[1]);
  check(c, dx, "dx");
  check(c, again, "y");
}

static void avg_pool_case(const golden_case *c) {
  double v[7];
  am_tensor *x = load(c, "x"), *dy = load(c, "dy"), *y, *dx;
  setting(c, v, 7);
  am_pool2d_desc desc = pool_desc(v, x);
  desc.include_pad = v[6] != 0;
  APPLY(avg_pool2d, &desc, &y, x);
  APPLY(avg_pool2d_grad, &desc, &dx, dy);
  check(c, y, "y");
  check(c, dx, "dx");
}

// ---- resampling ----

static void upfirdn_case(const golden_case *c) {
  double v[10];
  am_tensor *x = load(c, "x"), *f = load(c, "f"), *dy = load(c, "dy"), *y, *dx;
  setting(c, v, 10);
  const am_upfirdn2d_desc desc = {.up_h = (int64_t)v[0], .up_w = (int64_t)v[1], .down_h = (int64_t)v[2],
                                  .down_w = (int64_t)v[3], .pad_top = (int64_t)v[4], .pad_bottom = (int64_t)v[5],
                                  .pad_left = (int64_t)v[6], .pad_right = (int64_t)v[7], .flip_filter = v[8] != 0,
                                  .gain = v[9]};
  am_require_grad(x, true);
  am_ok(am_upfirdn2d(c->t->graph, x, f, desc, &y));
  am_grad_desc back = {.y = &y, .seed = &dy, .y_count = 1, .x = &x, .x_count = 1};
  am_ok(am_grad(c->t->graph, &back, &dx));
  check(c, y, "y");
  check(c, dx, "dx");
}

static void resample_case(const golden_case *c) {
  double kind;
  am_tensor *x = load(c, "x"), *dy = load(c, "dy"), *y, *dx;
  setting(c, &kind, 1);
  const am_resample2d_desc desc = {(am_resample_kind)kind, dy->shape.dim[2], dy->shape.dim[3], x->shape.dim[2],
                                   x->shape.dim[3]};
  APPLY(resample2d, &desc, &y, x);
  APPLY(resample2d_grad, &desc, &dx, dy);
  check(c, y, "y");
  check(c, dx, "dx");
}

static void nearest_case(const golden_case *c) {
  const int64_t size = golden_entry(c->t, golden_name(c->prefix, "y"))->shape.dim[3];
  am_tensor *y;
  APPLY(resample2d, (&(am_resample2d_desc){.kind = AM_RESAMPLE_NEAREST, .out_h = 1, .out_w = size}), &y, load(c, "x"));
  check(c, y, "y");
}

// ---- normalisation, softmax, elementwise ----

static void batch_norm_case(const golden_case *c) {
  am_norm_desc desc = {0};
  am_tensor *x = load(c, "x"), *gamma = load(c, "gamma"), *beta = load(c, "beta"), *dy = load(c, "dy");
  am_tensor *y[3], *dx[3];
  setting(c, &desc.eps, 1);
  APPLY(batch_norm, &desc, y, x, gamma, beta);
  APPLY(batch_norm_grad, &desc, dx, dy, x, gamma, beta, y[1], y[2]);
  check(c, y[0], "y");
  check(c, y[1], "mean");
  check(c, y[2], "inv_std");
  check(c, dx[0], "dx");
  check(c, dx[1], "dgamma");
  check(c, dx[2], "dbeta");
}

static void log_softmax_case(const golden_case *c) {
  am_tensor *y;
  APPLY(log_softmax, NULL, &y, load(c, "x"));
  check(c, y, "y");
}

static void unary_cases(const golden *t) {
  static const struct {
    const char *name;
    am_unary_desc desc;
  } kinds[] = {
    {"tanh", {AM_UN_TANH, 0, 0}},
    {"sigmoid", {AM_UN_SIGMOID, 0, 0}},
    {"softplus", {AM_UN_SOFTPLUS, 0, 0}},
    {"leaky_relu", {AM_UN_LEAKY_RELU, 0.2, 0}},
    {"clamp", {AM_UN_CLAMP, -0.5, 0.75}},
    {"sign", {AM_UN_SIGN, 0, 0}},
  };
  for (int i = 0; i < AM_COUNT_OF(kinds); i++) {
    golden_case here = {.t = t}, *c = &here;
    am_tensor *y;
    snprintf(here.prefix, sizeof here.prefix, "unary/%s", kinds[i].name);
    APPLY(unary, &kinds[i].desc, &y, load(c, "x"));
    check(c, y, "y");
  }
}

// ---- movement, sums, products ----

static void permute_case(const golden_case *c) {
  double v[4];
  am_permute_desc desc = {{0}};
  am_tensor *y;
  setting(c, v, 4);
  for (int i = 0; i < 4; i++) desc.perm[i] = (int)v[i];
  APPLY(permute, &desc, &y, load(c, "x"));
  check(c, y, "y");
}

static void slice_case(const golden_case *c) {
  double v[3];
  am_tensor *y;
  setting(c, v, 3);
  APPLY(slice, (&(am_slice_desc){(int)v[0], (int64_t)v[1], (int64_t)v[2]}), &y, load(c, "x"));
  check(c, y, "y");
}

static void pad_case(const golden_case *c) {
  double v[3];
  am_tensor *y;
  setting(c, v, 3);
  APPLY(pad, (&(am_pad_desc){(int)v[0], (int64_t)v[1], (int64_t)v[2]}), &y, load(c, "x"));
  check(c, y, "y");
}

static void concat_case(const golden_case *c) {
  double axis;
  am_tensor *y;
  setting(c, &axis, 1);
  APPLY(concat, (&(am_axis_desc){(int)axis}), &y, load(c, "x"), load(c, "q"));
  check(c, y, "y");
}

static void broadcast_case(const golden_case *c) {
  am_shape_desc desc = {golden_entry(c->t, golden_name(c->prefix, "y"))->shape};
  am_tensor *y;
  APPLY(broadcast_to, &desc, &y, load(c, "x"));
  check(c, y, "y");
}

static am_tensor *reduce(const golden_case *c, am_reduce_kind kind) {
  double axes;
  am_tensor *y;
  setting(c, &axes, 1);
  APPLY(reduce, (&(am_reduce_desc){kind, (unsigned)axes}), &y, load(c, "x"));
  return y;
}
static void sum_case(const golden_case *c) { check(c, reduce(c, AM_RED_SUM), "y"); }
static void max_case(const golden_case *c) { check(c, reduce(c, AM_RED_MAX), "y"); }
static void argmax_case(const golden_case *c) { check_index(c, reduce(c, AM_RED_ARGMAX)); }

static void binary_case(const golden_case *c) {
  am_tensor *x = load(c, "x"), *q = load(c, "q"), *y;
  APPLY(binary, (&(am_binary_desc){AM_BIN_SUB, 0}), &y, x, q);
  check(c, y, "sub");
  APPLY(binary, (&(am_binary_desc){AM_BIN_DIV, 0}), &y, x, q);
  check(c, y, "div");
  APPLY(binary, (&(am_binary_desc){AM_BIN_MAX, 0}), &y, x, q);
  check(c, y, "max");
  APPLY(binary, (&(am_binary_desc){AM_BIN_SUB, 0}), &y, q, x);
  check(c, y, "reverse");
}

static void scale_shift_case(const golden_case *c) {
  am_tensor *y;
  APPLY(scale_shift, NULL, &y, load(c, "x"), load(c, "scale"), load(c, "shift"));
  check(c, y, "y");
}

// The array "index" as an i32 tensor of the graph.
static am_tensor *load_index(const golden_case *c) {
  am_tensor *number = load(c, "index"), *index;
  APPLY(cast, (&(am_dtype_desc){AM_I32}), &index, number);
  return index;
}

static void gather_rows_case(const golden_case *c) {
  am_tensor *y;
  APPLY(gather_rows, NULL, &y, load(c, "x"), load_index(c));
  check(c, y, "y");
}

static void scatter_rows_case(const golden_case *c) {
  double rows;
  am_tensor *y;
  setting(c, &rows, 1);
  APPLY(scatter_rows, (&(am_rows_desc){(int64_t)rows}), &y, load(c, "x"), load_index(c));
  check(c, y, "y");
}

static void matmul_case(const golden_case *c) {
  double transpose[2];
  am_tensor *y;
  setting(c, transpose, 2);
  APPLY(matmul, (&(am_matmul_desc){transpose[0] != 0, transpose[1] != 0}), &y, load(c, "x"), load(c, "q"));
  check(c, y, "y");
}

// ---- updates ----

// The parameter after step s (counted from 0) of a run.
static void check_step(const golden_case *c, am_tensor *param, int64_t s) {
  char name[96];
  int64_t count = am_tensor_count(param);
  snprintf(name, sizeof name, "%s/param", c->prefix);
  double *want = golden_part(c->t, name, s * count, count);
  golden_expect(c->t, param, name, want, 1);
  free(want);
}

static int64_t steps_of(const golden_case *c) {
  return golden_entry(c->t, golden_name(c->prefix, "grad"))->shape.dim[0];
}

static am_tensor *zeros_like(const golden_case *c, const am_tensor *x) {
  am_tensor *t = NULL;
  am_ok(am_tensor_zeros(c->t->device, x->dtype, x->shape, &t));
  am_ok(am_graph_own(c->t->graph, t));
  return t;
}

static void sgd_case(const golden_case *c) {
  double v[5];
  setting(c, v, 5);
  am_sgd_desc desc = {.lr = v[0], .momentum = v[1], .dampening = v[2], .weight_decay = v[3],
                      .nesterov = v[4] != 0};
  am_tensor *param = load(c, "start"), *updated[2] = {param, zeros_like(c, param)};
  for (int64_t s = 0; s < steps_of(c); s++) {
    am_tensor *grad = golden_tensor(c->t, golden_name(c->prefix, "grad"), s);
    desc.step = s + 1;
    am_ok(am_dispatch(c->t->device, AM_OP_sgd_step, &desc, &grad, updated));
    check_step(c, param, s);
  }
  if (desc.momentum != 0) check(c, updated[1], "momentum_buffer");
}

static void adam_case(const golden_case *c) {
  double v[6];
  setting(c, v, 6);
  am_adam_desc desc = {.lr = v[0], .beta1 = v[1], .beta2 = v[2], .eps = v[3], .weight_decay = v[4],
                       .decoupled = v[5] != 0};
  am_tensor *param = load(c, "start"), *updated[3] = {param, zeros_like(c, param), zeros_like(c, param)};
  for (int64_t s = 0; s < steps_of(c); s++) {
    am_tensor *grad = golden_tensor(c->t, golden_name(c->prefix, "grad"), s);
    desc.step = s + 1;
    am_ok(am_dispatch(c->t->device, AM_OP_adam_step, &desc, &grad, updated));
    check_step(c, param, s);
  }
  check(c, updated[1], "exp_avg");
  check(c, updated[2], "exp_avg_sq");
}

// ---- targets ----

static void on_every_target_of(const char *path, void (*test)(const golden *t)) {
  golden targets[] = {{.kind = "ref", .dtype = AM_F64, .tolerance = 1e-13},
                      {.kind = "ref", .dtype = AM_F32, .tolerance = 1e-6},
                      {.kind = "cpu", .dtype = AM_F32, .tolerance = 2e-6}};
  for (int i = 0; i < AM_COUNT_OF(targets); i++) {
    targets[i].path = path;
    golden_open(&targets[i]);
    test(&targets[i]);
    golden_close(&targets[i]);
  }
}

static void on_every_target(void (*test)(const golden *t)) {
  on_every_target_of("tests/golden/ops.safetensors", test);
}

static void convs(const golden *t) {
  each_case(t, "conv", conv_case);
  each_case(t, "conv_transpose", conv_transpose_case);
}
static void pools(const golden *t) {
  each_case(t, "max_pool", max_pool_case);
  each_case(t, "avg_pool", avg_pool_case);
}
static void resamplings(const golden *t) {
  each_case(t, "upfirdn", upfirdn_case);
  each_case(t, "resample", resample_case);
  each_case(t, "nearest", nearest_case);
}
static void norms(const golden *t) {
  each_case(t, "batch_norm", batch_norm_case);
  each_case(t, "log_softmax", log_softmax_case);
}
static void movements(const golden *t) {
  each_case(t, "permute", permute_case);
  each_case(t, "slice", slice_case);
  each_case(t, "pad", pad_case);
  each_case(t, "concat", concat_case);
  each_case(t, "broadcast_to", broadcast_case);
  each_case(t, "gather_rows", gather_rows_case);
  each_case(t, "scatter_rows", scatter_rows_case);
}
static void sums(const golden *t) {
  each_case(t, "sum", sum_case);
  each_case(t, "max", max_case);
  each_case(t, "argmax", argmax_case);
  each_case(t, "matmul", matmul_case);
}
static void broadcasts(const golden *t) {
  each_case(t, "binary", binary_case);
  each_case(t, "scale_shift", scale_shift_case);
  unary_cases(t);
}
static void updates(const golden *t) {
  each_case(t, "sgd", sgd_case);
  each_case(t, "adam", adam_case);
}

static void convolution(void **state) { on_every_target(convs); }
static void pooling(void **state) { on_every_target(pools); }
static void resampling(void **state) { on_every_target_of("tests/golden/resample.safetensors", resamplings); }
static void normalisation(void **state) { on_every_target(norms); }
static void elementwise(void **state) { on_every_target(broadcasts); }
static void movement(void **state) { on_every_target(movements); }
static void sums_and_products(void **state) { on_every_target(sums); }
static void update_rules(void **state) { on_every_target(updates); }

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(convolution), cmocka_unit_test(pooling),  cmocka_unit_test(normalisation),
    cmocka_unit_test(elementwise), cmocka_unit_test(movement), cmocka_unit_test(sums_and_products),
    cmocka_unit_test(update_rules), cmocka_unit_test(resampling),
  };
  return cmocka_run_group_tests_name("golden_ops", tests, NULL, NULL);
}
