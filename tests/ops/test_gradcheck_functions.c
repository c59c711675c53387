// The functions of autograd/ops.h that are more than one op, and the losses, against finite
// differences of first and second order. (am_unary, am_binary, am_permute ... are test_gradcheck's.)
#include "grad_case.h"

#include "base/num.h"
#include "nn/loss.h"

// ---- by kind of signature ----

typedef am_err (*one_input)(am_graph *g, am_tensor *x, am_tensor **y);
typedef am_err (*two_inputs)(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y);

static one_input under_test_1;
static two_inputs under_test_2;

static am_err call_1(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  return under_test_1(g, in[0], out);
}
static am_err call_2(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  return under_test_2(g, in[0], in[1], out);
}

static void check_1(const char *name, one_input f, am_shape x, grad_draw draw) {
  under_test_1 = f;
  grad_check(&(grad_case){.name = name, .f = call_1, .in = {x}, .count = 1, .draw = draw});
}
static void check_2(const char *name, two_inputs f, am_shape p, am_shape q, grad_draw draw,
                    unsigned constant) {
  under_test_2 = f;
  grad_check(
      &(grad_case){.name = name, .f = call_2, .in = {p, q}, .count = 2, .draw = draw, .constant = constant});
}
#define CHECK_1(f, x, draw)    check_1(#f, f, x, draw)
#define CHECK_2(f, p, q, draw) check_2(#f, f, p, q, draw, 0)

static void elementwise(void **state) {
  am_shape x = S(2, 3);
  CHECK_1(am_exp, x, DRAW_NORMAL);
  CHECK_1(am_log, x, DRAW_POSITIVE);
  CHECK_1(am_sqrt, x, DRAW_POSITIVE);
  CHECK_1(am_square, x, DRAW_NORMAL);
  CHECK_1(am_tanh, x, DRAW_NORMAL);
  CHECK_1(am_sigmoid, x, DRAW_NORMAL);
  CHECK_1(am_softplus, x, DRAW_NORMAL);
  CHECK_1(am_relu, x, DRAW_APART);
  CHECK_1(am_log_softmax, x, DRAW_NORMAL);
  CHECK_1(am_global_avg_pool, S(2, 3, 2, 4), DRAW_NORMAL);
  CHECK_2(am_add, x, S(3), DRAW_NORMAL);
  CHECK_2(am_sub, S(3), x, DRAW_NORMAL);
  CHECK_2(am_mul, x, S(2, 1), DRAW_NORMAL);
  CHECK_2(am_div, x, S(2, 1), DRAW_POSITIVE);
}

static am_err affine(am_graph *g, am_tensor *x, am_tensor **y) { return am_affine(g, x, -1.7, 0.3, y); }
static am_err leaky(am_graph *g, am_tensor *x, am_tensor **y) { return am_leaky_relu(g, x, 0.2, y); }
static am_err clamp(am_graph *g, am_tensor *x, am_tensor **y) { return am_clamp(g, x, -0.5, 0.8, y); }
static am_err flatten(am_graph *g, am_tensor *x, am_tensor **y) { return am_reshape(g, x, S(2, -1), y); }
static am_err to_shape(am_graph *g, am_tensor *x, am_tensor **y) {
  return am_broadcast_to(g, x, S(2, 2, 3), y);
}
static am_err sum_all(am_graph *g, am_tensor *x, am_tensor **y) { return am_sum(g, x, ~0u, y); }
static am_err sum_some(am_graph *g, am_tensor *x, am_tensor **y) { return am_sum(g, x, 5, y); }
static am_err mean_all(am_graph *g, am_tensor *x, am_tensor **y) { return am_mean(g, x, ~0u, y); }
static am_err mean_some(am_graph *g, am_tensor *x, am_tensor **y) { return am_mean(g, x, 2, y); }
static am_err max_pool(am_graph *g, am_tensor *x, am_tensor **y) {
  return am_max_pool2d(g, x, (am_pool2d_desc){.kernel_h = 2, .kernel_w = 2}, y);
}
static am_err avg_pool(am_graph *g, am_tensor *x, am_tensor **y) {
  return am_avg_pool2d(g, x, (am_pool2d_desc){.kernel_h = 3, .kernel_w = 2, .pad_h = 1, .include_pad = true},
                       y);
}

static void with_arguments(void **state) {
  am_shape x = S(2, 3, 4);
  CHECK_1(affine, x, DRAW_NORMAL);
  CHECK_1(leaky, x, DRAW_APART);
  CHECK_1(clamp, x, DRAW_NORMAL);
  CHECK_1(flatten, x, DRAW_NORMAL);
  CHECK_1(to_shape, S(2, 1), DRAW_NORMAL);
  CHECK_1(sum_all, x, DRAW_NORMAL);
  CHECK_1(sum_some, x, DRAW_NORMAL);
  CHECK_1(mean_all, x, DRAW_NORMAL);
  CHECK_1(mean_some, x, DRAW_NORMAL);
  CHECK_1(max_pool, S(1, 2, 4, 4), DRAW_NORMAL);
  CHECK_1(avg_pool, S(1, 2, 4, 4), DRAW_NORMAL);
}

// One tensor in several places: its gradients add up.
static am_err repeated(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y) {
  am_tensor *list[] = {p, q, p, q, p};
  AM_TRY(am_concat(g, list, 5, 1, y));
  return am_mul(g, *y, *y, y);
}

static am_err matmul(am_graph *g, am_tensor *a, am_tensor *b, am_tensor **y) {
  return am_matmul(g, a, b, true, false, y);
}

static void with_two_inputs(void **state) {
  CHECK_2(repeated, S(2, 2), S(2, 1), DRAW_NORMAL);
  CHECK_2(matmul, S(3, 2), S(3, 2), DRAW_NORMAL);
}

// ---- convolutions of DCGAN: k4 s2 p1 and k4 s1 p0, and k3 s2 p1 with output padding ----

static am_err conv(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  return am_conv2d(g, in[0], in[1], *(const am_conv2d_desc *)c->desc, out);
}
static am_err conv_transpose(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  return am_conv_transpose2d(g, in[0], in[1], *(const am_conv2d_desc *)c->desc, (int64_t)c->value[0], out);
}

static void convolutions(void **state) {
  am_conv2d_desc half = {.stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1}, plain = {0};
  am_conv2d_desc grouped = {.stride_h = 2, .stride_w = 1, .groups = 2, .dilation_w = 2};
  grad_case cases[] = {
      {.name = "conv k4 s2 p1", .f = conv, .desc = &half, .in = {S(1, 2, 4, 4), S(2, 2, 4, 4)}},
      {.name = "conv k4", .f = conv, .desc = &plain, .in = {S(2, 2, 4, 4), S(1, 2, 4, 4)}},
      {.name = "transposed k4", .f = conv_transpose, .desc = &plain, .in = {S(2, 2, 1, 1), S(2, 1, 4, 4)}},
      {.name = "transposed k4 s2 p1",
       .f = conv_transpose,
       .desc = &half,
       .in = {S(1, 2, 2, 2), S(2, 1, 4, 4)}},
      {.name = "transposed k3 s2 p1 op1",
       .f = conv_transpose,
       .desc = &half,
       .in = {S(1, 2, 2, 3), S(2, 2, 3, 3)},
       .value = {1}},
      {.name = "transposed, grouped",
       .f = conv_transpose,
       .desc = &grouped,
       .in = {S(1, 4, 2, 2), S(4, 1, 2, 2)}},
  };
  for (int i = 0; i < AM_COUNT_OF(cases); i++) {
    cases[i].count = 2;
    grad_check(&cases[i]);
  }
}

// ---- resampling between squares, so that second derivatives pass through both of its gradients ----

static am_err filtered(am_graph *g, am_tensor *x, am_tensor *filter, am_tensor **y) {
  const am_upfirdn2d_desc twice = {.up_h = 2, .up_w = 2, .pad_top = 2, .pad_bottom = 1, .pad_left = 2, .pad_right = 1,
                                   .gain = 4};
  AM_TRY(am_square(g, x, &x));
  AM_TRY(am_upfirdn2d(g, x, filter, twice, y));
  return am_square(g, *y, y);
}
static am_err interpolated(am_graph *g, am_tensor *x, am_tensor **y) {
  AM_TRY(am_square(g, x, &x));
  AM_TRY(am_resample2d(g, x, AM_RESAMPLE_BILINEAR, 5, 3, y));
  AM_TRY(am_square(g, *y, y));
  return am_resample2d(g, *y, AM_RESAMPLE_NEAREST, 10, 6, y);
}

static void resampling(void **state) {
  const unsigned constant_filter = 2;
  check_2("filtered", filtered, S(1, 2, 2, 3), S(4, 4), DRAW_NORMAL, constant_filter);
  check_1("interpolated", interpolated, S(1, 2, 3, 4), DRAW_NORMAL);
}

// ---- normalisation inside something that is not linear ----

// A gradient penalty's path: gradients of gradients through statistics, then through a tanh.
static am_err normalised_block(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **out) {
  am_tensor *y = NULL, *mean = NULL, *inv_std = NULL;
  AM_TRY(am_batch_norm(g, in[0], in[1], in[2], NULL, (am_norm_desc){.eps = 1e-5}, &y, &mean, &inv_std));
  AM_TRY(am_tanh(g, y, &y));
  return am_scale_shift(g, y, in[2], in[1], out);
}

static void normalisation(void **state) {
  grad_check(&(grad_case){
      .name = "batch norm block", .f = normalised_block, .in = {S(1, 2, 2, 3), S(2), S(2)}, .count = 3});
  grad_check(&(grad_case){.name = "batch norm vector",
                          .f = normalised_block,
                          .in = {S(4, 2), S(2), S(2)},
                          .count = 3,
                          .orders = 3});
}

// ---- losses ----

static void losses(void **state) {
  am_shape x = S(3, 4);
  unsigned constant_target = 2;
  check_2("cross-entropy", am_loss_cross_entropy, x, x, DRAW_POSITIVE, constant_target);
  check_2("double softmax", am_loss_double_softmax, x, x, DRAW_POSITIVE, constant_target);
  check_2("bce", am_loss_bce_logits, S(5), S(5), DRAW_NORMAL, constant_target);
  check_2("mse", am_loss_mse, x, x, DRAW_NORMAL, constant_target);
  check_2("mse of two networks", am_loss_mse, x, x, DRAW_NORMAL, 0);
}

int main(int argc, char **argv) {
  grad_options(argc, argv);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elementwise),  cmocka_unit_test(with_arguments), cmocka_unit_test(with_two_inputs),
      cmocka_unit_test(convolutions), cmocka_unit_test(resampling),     cmocka_unit_test(normalisation),
      cmocka_unit_test(losses),
  };
  return cmocka_run_group_tests_name("gradcheck_functions", tests, grad_setup, grad_teardown);
}
