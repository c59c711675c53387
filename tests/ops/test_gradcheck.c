// Every op with a gradient rule, alone, against finite differences of first and second order. The
// last test fails when an op of the list has a rule and no case.
#include "grad_case.h"

#include "base/num.h"

static bool covered[AM_OP_COUNT];

static am_err apply_op(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  am_tensor *made[AM_OP_MAX_OUTPUTS] = {NULL};
  AM_TRY(am_apply(g, c->op, c->desc, in, made));
  *out = made[0];
  return AM_OK;
}

static void check_op(grad_case c) {
  c.f = apply_op;
  if (!c.name) c.name = am_op_name(c.op);
  grad_check(&c);
  covered[c.op] = true;
}

#define CHECK_OP(op_name, description, ...) \
  check_op((grad_case){.op = AM_OP_##op_name, .desc = &(description), __VA_ARGS__})

// ---- elementwise ----

static grad_draw unary_domain(am_unary_kind kind) {
  switch (kind) {
    case AM_UN_LOG:
    case AM_UN_SQRT:
    case AM_UN_RSQRT:
      return DRAW_POSITIVE;
    case AM_UN_RECIP:
    case AM_UN_ABS:
    case AM_UN_LEAKY_RELU:
    case AM_UN_SIGN:
    case AM_UN_STEP:
      return DRAW_APART;
    default:
      return DRAW_NORMAL;
  }
}

static void unary(void **state) {
  for (int kind = AM_UN_AFFINE; kind <= AM_UN_STEP; kind++) {
    am_unary_desc d = {.kind = (am_unary_kind)kind, .a = -0.6, .b = 0.7};
    if (kind == AM_UN_STEP) d.a = 0;
    CHECK_OP(unary, d, .in = {S(3, 4)}, .count = 1, .draw = unary_domain(d.kind), .orders = 3);
  }
  for (int i = 0; i < 2; i++) {
    am_unary_desc d = {.kind = AM_UN_LEAKY_RELU, .a = i * 0.2};
    CHECK_OP(unary, d, .in = {S(2, 3, 2, 2)}, .count = 1, .draw = DRAW_APART);
  }
}

static void binary(void **state) {
  am_shape pairs[][2] = {{S(2, 3), S(2, 3)},
                         {S(2, 3, 2, 2), S(1, 3, 1, 1)},
                         {S(2, 3, 2, 2), S(2, 3, 1, 1)},
                         {S(2, 3), AM_SHAPE_SCALAR},
                         {S(4), S(3, 4)},
                         {S(3, 1), S(1, 4)},
                         {AM_SHAPE_SCALAR, S(2, 1, 3)},
                         {S(1, 3, 1, 1), S(2, 3, 1, 2)}};
  for (int kind = AM_BIN_ADD; kind <= AM_BIN_SIGMOID_GRAD; kind++) {
    for (int i = 0; i < AM_COUNT_OF(pairs); i++) {
      am_binary_desc d = {.kind = (am_binary_kind)kind, .a = 0.3};
      CHECK_OP(binary, d, .in = {pairs[i][0], pairs[i][1]}, .count = 2, .draw = DRAW_APART);
    }
  }
}

static void dropout(void **state) {
  for (int i = 0; i < 3; i++) {
    am_dropout_desc d = {.p = i * 0.4, .seed = 3, .index = 17, .purpose = AM_RNG_DROPOUT};
    CHECK_OP(dropout, d, .in = {S(3, 4)}, .count = 1, .orders = 3);
    CHECK_OP(dropout, d, .in = {S(2, 3, 3, 2)}, .count = 1);
  }
}

// ---- shape and reduction ----

static void reduce(void **state) {
  for (unsigned axes = 0; axes < 8; axes++) {
    am_reduce_desc sum = {AM_RED_SUM, axes}, max = {AM_RED_MAX, axes};
    CHECK_OP(reduce, sum, .in = {S(2, 3, 4)}, .count = 1);
    CHECK_OP(reduce, max, .in = {S(2, 3, 4)}, .count = 1);
  }
}

static void broadcast_to(void **state) {
  am_shape_desc a = {S(2, 3, 2, 2)}, b = {S(2, 3)};
  CHECK_OP(broadcast_to, a, .in = {S(1, 3, 1, 2)}, .count = 1);
  CHECK_OP(broadcast_to, a, .in = {S(3, 1, 2)}, .count = 1);
  CHECK_OP(broadcast_to, b, .in = {AM_SHAPE_SCALAR}, .count = 1);
}

static void moves(void **state) {
  am_permute_desc turn = {{2, 0, 3, 1}};
  CHECK_OP(permute, turn, .in = {S(2, 3, 1, 4)}, .count = 1);
  am_slice_desc middle = {.axis = 1, .start = 1, .stop = 3}, first = {.axis = 0, .start = 0, .stop = 1};
  CHECK_OP(slice, middle, .in = {S(2, 4, 3)}, .count = 1);
  CHECK_OP(slice, first, .in = {S(3, 2)}, .count = 1);
  am_pad_desc pad = {.axis = 2, .before = 2, .after = 1};
  CHECK_OP(pad, pad, .in = {S(2, 1, 3, 2)}, .count = 1);
  am_axis_desc rows = {0}, channels = {1};
  CHECK_OP(concat, rows, .in = {S(2, 3), S(1, 3)}, .count = 2);
  CHECK_OP(concat, channels, .in = {S(2, 3, 2), S(2, 1, 2)}, .count = 2);
  CHECK_OP(concat, channels, .in = {S(2, 3), S(2, 2)}, .count = 2, .constant = 1);
  am_layout_desc plain = {AM_LAYOUT_PLAIN};
  CHECK_OP(reorder, plain, .in = {S(2, 3, 2, 2)}, .count = 1);
  am_dtype_desc same = {grad_type()};
  CHECK_OP(cast, same, .in = {S(2, 3)}, .count = 1);
}

static void rows(void **state) {
  static const int32_t index[] = {2, 0, 2, 1, 2};
  am_no_desc none = {0};
  CHECK_OP(gather_rows, none, .in = {S(4, 3), S(5)}, .count = 2, .index_input = 1, .index = index);
  am_rows_desc four = {4};
  CHECK_OP(scatter_rows, four, .in = {S(5, 2, 2), S(5)}, .count = 2, .index_input = 1, .index = index);
}

// ---- products and convolutions ----

static void matmul(void **state) {
  for (int i = 0; i < 8; i++) {
    am_matmul_desc d = {.transpose_a = i & 1, .transpose_b = i & 2};
    bool batched = i & 4;
    int64_t m = 2, k = 3, n = 4, b = 2;
    am_shape left = d.transpose_a ? S(k, m) : S(m, k), right = d.transpose_b ? S(n, k) : S(k, n);
    if (batched) {
      left = S(b, left.dim[0], left.dim[1]);
      right = S(b, right.dim[0], right.dim[1]);
    }
    CHECK_OP(matmul, d, .in = {left, right}, .count = 2);
  }
}

// The three ops of the family, with the shapes of x (n, ci, h, w), w (co, ci/groups, kh, kw), y.
static void check_conv(am_conv2d_desc d, am_shape x, am_shape w, int orders) {
  int64_t ho = (x.dim[2] + 2 * d.pad_h - d.dilation_h * (w.dim[2] - 1) - 1) / d.stride_h + 1;
  int64_t wo = (x.dim[3] + 2 * d.pad_w - d.dilation_w * (w.dim[3] - 1) - 1) / d.stride_w + 1;
  am_shape y = S(x.dim[0], w.dim[0], ho, wo);
  d.in_h = x.dim[2];
  d.in_w = x.dim[3];
  d.kernel_h = w.dim[2];
  d.kernel_w = w.dim[3];
  CHECK_OP(conv2d, d, .in = {x, w}, .count = 2, .orders = orders);
  CHECK_OP(conv2d_grad_input, d, .in = {y, w}, .count = 2, .orders = orders);
  CHECK_OP(conv2d_grad_weight, d, .in = {y, x}, .count = 2, .orders = orders);
}

static am_conv2d_desc conv(int64_t pad, int64_t dilation, int64_t groups) {
  return (am_conv2d_desc){.stride_h = 1,
                          .stride_w = 1,
                          .pad_h = pad,
                          .pad_w = pad,
                          .dilation_h = dilation,
                          .dilation_w = dilation,
                          .groups = groups};
}

static void convolution(void **state) {
  check_conv(conv(0, 1, 1), S(2, 2, 3, 3), S(2, 2, 2, 2), 3);
  check_conv(conv(1, 1, 1), S(1, 2, 3, 3), S(2, 2, 3, 3), 2);
  check_conv(conv(1, 1, 2), S(1, 4, 3, 2), S(2, 2, 3, 3), 2);
  check_conv(conv(2, 2, 1), S(1, 1, 4, 5), S(2, 1, 2, 3), 2);
}

// Strides leave a remainder here: positions of x that no window reaches.
static void convolution_with_strides(void **state) {
  am_rng rng = am_rng_at(11, AM_RNG_TEST, 0);
  for (int i = 0; i < 12; i++) {
    int64_t groups = 1 + am_rng_below(&rng, 2);
    int64_t ci = groups * (1 + am_rng_below(&rng, 2)), co = groups * (1 + am_rng_below(&rng, 2));
    am_conv2d_desc d = {.stride_h = 1 + am_rng_below(&rng, 3),
                        .stride_w = 1 + am_rng_below(&rng, 3),
                        .pad_h = am_rng_below(&rng, 2),
                        .pad_w = am_rng_below(&rng, 3),
                        .dilation_h = 1 + am_rng_below(&rng, 2),
                        .dilation_w = 1,
                        .groups = groups};
    int64_t kh = 1 + am_rng_below(&rng, 2), kw = 1 + am_rng_below(&rng, 3);
    int64_t h = 4 + am_rng_below(&rng, 2), w = 3 + am_rng_below(&rng, 3);
    check_conv(d, S(1, ci, h, w), S(co, ci / groups, kh, kw), 2);
  }
}

// ---- pooling ----

static const am_pool2d_desc pools[] = {
    {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2, .in_h = 4, .in_w = 5},
    {.kernel_h = 3,
     .kernel_w = 2,
     .stride_h = 2,
     .stride_w = 1,
     .pad_h = 1,
     .pad_w = 1,
     .in_h = 4,
     .in_w = 5},
    {.kernel_h = 3,
     .kernel_w = 3,
     .stride_h = 1,
     .stride_w = 2,
     .pad_h = 1,
     .in_h = 4,
     .in_w = 5,
     .include_pad = true}};

static am_shape pooled(const am_pool2d_desc *d) {
  return S(1, 2, (d->in_h + 2 * d->pad_h - d->kernel_h) / d->stride_h + 1,
           (d->in_w + 2 * d->pad_w - d->kernel_w) / d->stride_w + 1);
}

static void average_pooling(void **state) {
  for (int i = 0; i < AM_COUNT_OF(pools); i++) {
    CHECK_OP(avg_pool2d, pools[i], .in = {S(1, 2, 4, 5)}, .count = 1);
    CHECK_OP(avg_pool2d_grad, pools[i], .in = {pooled(&pools[i])}, .count = 1);
  }
}

// Scatter and gather with the indices that a maximum gave.
static void max_pooling(void **state) {
  for (int i = 0; i < AM_COUNT_OF(pools); i++) {
    grad_case forward = {.op = AM_OP_max_pool2d, .desc = &pools[i], .in = {S(1, 2, 4, 5)}, .count = 1};
    check_op(forward);
    forward.name = "index";
    am_tensor *x = grad_input(&forward, 0), *out[AM_OP_MAX_OUTPUTS] = {NULL};
    int32_t index[64];
    am_shape y = pooled(&pools[i]);
    am_ok(am_dispatch(grad_device, AM_OP_max_pool2d, &pools[i], &x, out));
    assert_true(am_shape_equal(out[1]->shape, y) && am_shape_count(y) <= 64);
    am_ok(am_tensor_to_host(out[1], index));
    CHECK_OP(pool_scatter, pools[i], .in = {y, y}, .count = 2, .index_input = 1, .index = index);
    CHECK_OP(pool_gather, pools[i], .in = {S(1, 2, 4, 5), y}, .count = 2, .index_input = 1, .index = index);
    am_tensor_release(x);
    am_tensor_release(out[0]);
    am_tensor_release(out[1]);
  }
}

// ---- resampling ----

// The filter is a constant.
static void check_upfirdn(am_upfirdn2d_desc d, am_shape x, am_shape filter) {
  CHECK_OP(upfirdn2d, d, .in = {x, filter}, .count = 2, .constant = 2);
}

static void filters(void **state) {
  am_rng rng = am_rng_at(13, AM_RNG_TEST, 0);
  check_upfirdn((am_upfirdn2d_desc){0}, S(1, 2, 3, 4), S(2, 3));
  check_upfirdn((am_upfirdn2d_desc){.up_h = 2, .up_w = 2, .pad_top = 2, .pad_bottom = 1, .pad_left = 2, .pad_right = 1,
                                    .gain = 4},
                S(1, 2, 3, 2), S(4, 4));
  check_upfirdn((am_upfirdn2d_desc){.down_h = 2, .down_w = 2, .pad_top = 1, .pad_bottom = 1, .pad_left = 1, .pad_right = 1},
                S(2, 1, 4, 5), S(4, 4));
  check_upfirdn((am_upfirdn2d_desc){.pad_top = -2, .pad_bottom = 3, .pad_left = 3, .pad_right = -1, .flip_filter = true},
                S(1, 1, 4, 3), S(2, 2));
  for (int i = 0; i < 12; i++) {
    am_upfirdn2d_desc d = {.up_h = 1 + am_rng_below(&rng, 3), .up_w = 1 + am_rng_below(&rng, 3),
                           .down_h = 1 + am_rng_below(&rng, 3), .down_w = 1 + am_rng_below(&rng, 3),
                           .pad_top = am_rng_below(&rng, 5) - 1, .pad_bottom = am_rng_below(&rng, 5) - 1,
                           .pad_left = am_rng_below(&rng, 5) - 1, .pad_right = am_rng_below(&rng, 5) - 1,
                           .flip_filter = i % 2, .gain = 0.5 + i % 3};
    const int64_t kh = 1 + am_rng_below(&rng, 3), kw = 1 + am_rng_below(&rng, 3);
    check_upfirdn(d, S(1, 1 + i % 2, 4 + am_rng_below(&rng, 2), 4 + am_rng_below(&rng, 2)), S(kh, kw));
  }
}

static void interpolation(void **state) {
  static const int64_t to[][2] = {{6, 8}, {3, 4}, {1, 1}, {7, 3}, {2, 9}};
  const am_shape x = S(1, 2, 3, 4);
  for (int kind = AM_RESAMPLE_NEAREST; kind <= AM_RESAMPLE_BILINEAR; kind++) {
    for (int i = 0; i < AM_COUNT_OF(to); i++) {
      const am_resample2d_desc d = {(am_resample_kind)kind, to[i][0], to[i][1], x.dim[2], x.dim[3]};
      CHECK_OP(resample2d, d, .in = {x}, .count = 1);
      CHECK_OP(resample2d_grad, d, .in = {S(1, 2, to[i][0], to[i][1])}, .count = 1);
    }
  }
}

// ---- normalisation ----

static void normalisation(void **state) {
  am_no_desc none = {0};
  CHECK_OP(log_softmax, none, .in = {S(3, 4)}, .count = 1, .orders = 3);
  CHECK_OP(scale_shift, none, .in = {S(2, 3, 2, 2), S(3), S(3)}, .count = 3);
  CHECK_OP(scale_shift, none, .in = {S(2, 3), S(3), S(3)}, .count = 3, .constant = 1);
}

// Without activation, with ReLU, with a slope; with residual and without; x or the weights alone.
static void batch_normalisation(void **state) {
  const am_norm_desc desc[] = {{1e-5, {0}}, {1e-5, {.on = true}}, {1e-5, {.on = true, .slope = 0.3}}};
  for (int i = 0; i < AM_COUNT_OF(desc); i++) {
    CHECK_OP(batch_norm, desc[i], .in = {S(2, 2, 2, 2), S(2), S(2)}, .count = 3, .orders = 3);
    CHECK_OP(batch_norm, desc[i], .in = {S(1, 2, 3, 2), S(2), S(2)}, .count = 3);
    CHECK_OP(batch_norm, desc[i], .in = {S(4, 3), S(3), S(3)}, .count = 3);
    CHECK_OP(batch_norm, desc[i], .in = {S(3, 2, 4), S(2), S(2)}, .count = 3);
    CHECK_OP(batch_norm, desc[i], .in = {S(3, 2, 2, 1), S(2), S(2)}, .count = 3, .constant = 6);
    CHECK_OP(batch_norm, desc[i], .in = {S(3, 2, 2, 1), S(2), S(2)}, .count = 3, .constant = 1);
    CHECK_OP(batch_norm_add, desc[i], .in = {S(2, 2, 2, 2), S(2), S(2), S(2, 2, 2, 2)}, .count = 4, .orders = 3);
    CHECK_OP(batch_norm_add, desc[i], .in = {S(4, 3), S(3), S(3), S(4, 3)}, .count = 4);
    CHECK_OP(batch_norm_add, desc[i], .in = {S(4, 3), S(3), S(3), S(4, 3)}, .count = 4, .constant = 7);
    CHECK_OP(batch_norm_add, desc[i], .in = {S(4, 3), S(3), S(3), S(4, 3)}, .count = 4, .constant = 8);
  }
}

static void biases(void **state) {
  const am_activation act[] = {{0}, {.on = true}, {.on = true, .slope = 0.3}};
  for (int i = 0; i < AM_COUNT_OF(act); i++) {
    CHECK_OP(bias_act, act[i], .in = {S(2, 3, 2, 2), S(3)}, .count = 2, .orders = 3);
    CHECK_OP(bias_act, act[i], .in = {S(4, 3), S(3)}, .count = 2, .constant = 1);
    CHECK_OP(bias_act, act[i], .in = {S(4, 3), S(3)}, .count = 2, .constant = 2);
  }
}

static void no_rule_is_left_out(void **state) {
  for (int op = 0; op < AM_OP_COUNT; op++) {
    if (am_op_differentiable((am_op)op) && !covered[op])
      fail_msg("no gradient check for %s", am_op_name((am_op)op));
  }
}

int main(int argc, char **argv) {
  grad_options(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(unary),
      cmocka_unit_test(binary),
      cmocka_unit_test(dropout),
      cmocka_unit_test(reduce),
      cmocka_unit_test(broadcast_to),
      cmocka_unit_test(moves),
      cmocka_unit_test(rows),
      cmocka_unit_test(matmul),
      cmocka_unit_test(convolution),
      cmocka_unit_test(convolution_with_strides),
      cmocka_unit_test(average_pooling),
      cmocka_unit_test(max_pooling),
      cmocka_unit_test(filters),
      cmocka_unit_test(interpolation),
      cmocka_unit_test(normalisation),
      cmocka_unit_test(batch_normalisation),
      cmocka_unit_test(biases),
      cmocka_unit_test(no_rule_is_left_out),
  };
  return cmocka_run_group_tests_name("gradcheck", tests, grad_setup, grad_teardown);
}
