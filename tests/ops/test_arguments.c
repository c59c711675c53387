// What dispatch refuses: shapes, types and descriptors that make no sense, with the op and its
// operands in the message; and that a refusal leaves nothing behind.
#include <math.h>

#include "am_test.h"
#include "base/num.h"
#include "tensor/backend.h"

typedef struct {
  am_dtype dtype;
  am_shape shape;
} operand;

typedef struct {
  am_op op;
  const char *part;  // of the message
  const void *desc;
  operand in[AM_OP_MAX_INPUTS];
  operand out[AM_OP_MAX_OUTPUTS];  // of in-place ops
  am_err code;                     // 0: AM_ERR_ARG
} refusal;

#define DIMS(...) {.ndim = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), .dim = {__VA_ARGS__}}
#define F(...) {AM_F32, DIMS(__VA_ARGS__)}
#define D(...) {AM_F64, DIMS(__VA_ARGS__)}
#define I(...) {AM_I32, DIMS(__VA_ARGS__)}
#define SCALAR {AM_F32, {0}}

static const am_conv2d_desc conv = {
  .pad_h = 1, .pad_w = 1, .in_h = 5, .in_w = 5, .kernel_h = 3, .kernel_w = 3,
};
static const am_conv2d_desc grouped = {.groups = 2};
static const am_conv2d_desc backwards = {.stride_h = -1};
static const am_conv2d_desc huge = {.pad_h = INT64_MAX / 2};
static const am_pool2d_desc pool = {.kernel_h = 2, .kernel_w = 2, .in_h = 4, .in_w = 4};

static const refusal refusals[] = {
  {AM_OP_unary, "unary of f32 (3): there is no unary kind 99",
   .desc = &(am_unary_desc){.kind = 99}, .in = {F(3)}},
  {AM_OP_unary, "unary of i32 (3): operand 0 is i32", .in = {I(3)}, .code = AM_ERR_UNSUPPORTED},
  {AM_OP_binary, "binary of f32 (2, 3), f32 (2, 4): shapes (2, 3) and (2, 4) do not broadcast",
   .in = {F(2, 3), F(2, 4)}},
  {AM_OP_binary, "types f32 and f64 are mixed", .in = {F(2), D(2)}},
  {AM_OP_binary, "no binary kind", .desc = &(am_binary_desc){.kind = -1}, .in = {F(2), F(2)}},
  {AM_OP_reduce, "axes 0x4", .desc = &(am_reduce_desc){.axes = 4}, .in = {F(2, 3)}},
  {AM_OP_reduce, "argmax reduces one axis", .desc = &(am_reduce_desc){AM_RED_ARGMAX, 3}, .in = {F(2, 3)}},
  {AM_OP_reduce, "no reduction 7", .desc = &(am_reduce_desc){.kind = 7}, .in = {F(2, 3)}},
  {AM_OP_broadcast_to, "do not broadcast", .desc = &(am_shape_desc){{1, {3}}}, .in = {F(2)}},
  {AM_OP_broadcast_to, "does not broadcast to (3)", .desc = &(am_shape_desc){{1, {3}}}, .in = {F(2, 3)}},
  {AM_OP_permute, "axis 0 is named twice", .desc = &(am_permute_desc){{0, 0}}, .in = {F(2, 3)}},
  {AM_OP_permute, "no axis 2", .desc = &(am_permute_desc){{0, 2}}, .in = {F(2, 3)}},
  {AM_OP_slice, "[2, 4) is not a range of axis 1", .desc = &(am_slice_desc){1, 2, 4}, .in = {F(2, 3)}},
  {AM_OP_slice, "[2, 2)", .desc = &(am_slice_desc){1, 2, 2}, .in = {F(2, 3)}},
  {AM_OP_slice, "no axis -1", .desc = &(am_slice_desc){-1, 0, 1}, .in = {F(2, 3)}},
  {AM_OP_pad, "-1 before", .desc = &(am_pad_desc){0, -1, 0}, .in = {F(2)}},
  {AM_OP_pad, "not possible", .desc = &(am_pad_desc){0, INT64_MAX, 1}, .in = {F(2)}},
  {AM_OP_concat, "differ beside axis 1", .desc = &(am_axis_desc){1}, .in = {F(2, 3), F(3, 3)}},
  {AM_OP_concat, "no axis 0", .desc = &(am_axis_desc){0}, .in = {SCALAR, SCALAR}},
  {AM_OP_gather_rows, "the index is f32", .in = {F(2, 3), F(2)}},
  {AM_OP_gather_rows, "the index has 2 dimensions", .in = {F(2, 3), I(2, 1)}},
  {AM_OP_gather_rows, "a scalar has no rows", .in = {SCALAR, I(2)}},
  {AM_OP_scatter_rows, "not one index for each row", .desc = &(am_rows_desc){4}, .in = {F(2, 3), I(3)}},
  {AM_OP_scatter_rows, "0 rows", .in = {F(2, 3), I(2)}},
  {AM_OP_reorder, "cannot have layout", .desc = &(am_layout_desc){AM_LAYOUT_C16}, .in = {F(2, 8, 3, 3)}},
  {AM_OP_cast, "17 is not an element type", .desc = &(am_dtype_desc){(am_dtype)17}, .in = {F(2)}},
  {AM_OP_fill, "fill: (0) is not a shape", .desc = &(am_fill_desc){.shape = {1, {0}}}},
  {AM_OP_random, "i32",
   .desc = &(am_random_desc){.dtype = AM_I32, .shape = {1, {2}}}, .code = AM_ERR_UNSUPPORTED},
  {AM_OP_random, "no distribution 5", .desc = &(am_random_desc){.kind = 5, .shape = {1, {2}}}},
  {AM_OP_dropout, "dropout of f32 (2, 3): a share of 1 cannot be dropped",
   .desc = &(am_dropout_desc){.p = 1}, .in = {F(2, 3)}},
  {AM_OP_dropout, "a share of -0.1", .desc = &(am_dropout_desc){.p = -0.1}, .in = {F(2, 3)}},
  {AM_OP_dropout, "a share of nan", .desc = &(am_dropout_desc){.p = NAN}, .in = {F(2, 3)}},
  {AM_OP_dropout, "operand 0 is i32", .in = {I(2, 3)}, .code = AM_ERR_UNSUPPORTED},
  {AM_OP_log_softmax, "3 dimensions, 2 are expected", .in = {F(2, 3, 4)}},
  {AM_OP_matmul, "matmul of f32 (2, 3), f32 (4, 5): inner sizes 3 and 4", .in = {F(2, 3), F(4, 5)}},
  {AM_OP_matmul, "second transposed",
   .desc = &(am_matmul_desc){.transpose_b = true}, .in = {F(2, 3), F(3, 5)}},
  {AM_OP_matmul, "both factors", .in = {F(2, 3), F(1, 3, 5)}},
  {AM_OP_matmul, "2 and 1 matrices", .in = {F(2, 2, 3), F(1, 3, 5)}},
  {AM_OP_conv2d, "3 input channels", .in = {F(1, 3, 5, 5), F(8, 4, 3, 3)}},
  {AM_OP_conv2d, "x has 3 dimensions", .in = {F(3, 5, 5), F(8, 3, 3, 3)}},
  {AM_OP_conv2d, "kernel of 3 x 3 (dilation 1 x 1) does not fit 2 x 5", .in = {F(1, 3, 2, 5), F(8, 3, 3, 3)}},
  {AM_OP_conv2d, "3 output channels do not divide into 2",
   .desc = &grouped, .in = {F(1, 4, 5, 5), F(3, 2, 3, 3)}},
  {AM_OP_conv2d, "stride -1 x 1", .desc = &backwards, .in = {F(1, 3, 5, 5), F(8, 3, 3, 3)}},
  {AM_OP_conv2d, "is out of range", .desc = &huge, .in = {F(1, 3, 5, 5), F(8, 3, 3, 3)}},
  {AM_OP_conv2d_grad_input, "(1, 8, 5, 5) is expected", .desc = &conv, .in = {F(1, 8, 4, 4), F(8, 3, 3, 3)}},
  {AM_OP_conv2d_grad_input, "input 0 x 0", .in = {F(1, 8, 4, 4), F(8, 3, 3, 3)}},
  {AM_OP_conv2d_grad_weight, "(1, 8, 5, 5) is expected", .desc = &conv, .in = {F(2, 8, 5, 5), F(1, 3, 5, 5)}},
  {AM_OP_conv2d_grad_weight, "3 input channels do not divide",
   .desc = &grouped, .in = {F(1, 8, 5, 5), F(1, 3, 5, 5)}},
  {AM_OP_max_pool2d, "window 0 x 0", .in = {F(1, 3, 4, 4)}},
  {AM_OP_max_pool2d, "half the window",
   .desc = &(am_pool2d_desc){.kernel_h = 2, .kernel_w = 2, .pad_h = 2}, .in = {F(1, 3, 4, 4)}},
  {AM_OP_max_pool2d, "does not fit 4 x 4",
   .desc = &(am_pool2d_desc){.kernel_h = 5, .kernel_w = 2}, .in = {F(1, 3, 4, 4)}},
  {AM_OP_pool_scatter, "the index has shape (1, 3, 2, 1)",
   .desc = &pool, .in = {F(1, 3, 2, 2), I(1, 3, 2, 1)}},
  {AM_OP_pool_scatter, "(1, 3, 2, 2) is expected", .desc = &pool, .in = {F(1, 3, 3, 2), I(1, 3, 3, 2)}},
  {AM_OP_pool_gather, "the index is f32", .desc = &pool, .in = {F(1, 3, 4, 4), F(1, 3, 2, 2)}},
  {AM_OP_pool_gather, "(1, 3, 2, 2) is expected", .desc = &pool, .in = {F(1, 3, 4, 4), I(1, 3, 3, 2)}},
  {AM_OP_avg_pool2d, "x has 3 dimensions", .desc = &pool, .in = {F(3, 4, 4)}},
  {AM_OP_avg_pool2d_grad, "(1, 3, 2, 2) is expected", .desc = &pool, .in = {F(1, 3, 4, 4)}},
  {AM_OP_upfirdn2d, "upfirdn2d of f32 (3, 4, 4), f32 (2, 2): x has 3 dimensions", .in = {F(3, 4, 4), F(2, 2)}},
  {AM_OP_upfirdn2d, "the filter has 4 dimensions", .in = {F(1, 3, 4, 4), F(1, 1, 2, 2)}},
  {AM_OP_upfirdn2d, "beside images of f32 it is f32", .in = {F(1, 3, 4, 4), D(2, 2)}},
  {AM_OP_upfirdn2d, "a filter of 5 x 2 does not fit 4 x 4 padded by 2 and -2, 0 and 0",
   .desc = &(am_upfirdn2d_desc){.pad_top = 2, .pad_bottom = -2}, .in = {F(1, 3, 4, 4), F(5, 2)}},
  {AM_OP_upfirdn2d, "a filter of 2 x 2 does not fit 4 x 8", .desc = &(am_upfirdn2d_desc){.up_w = 2, .pad_left = -7},
   .in = {F(1, 3, 4, 4), F(2, 2)}},
  {AM_OP_upfirdn2d, "a filter of 5 x 2 does not fit 4 x 4", .desc = &(am_upfirdn2d_desc){.down_h = 2},
   .in = {F(1, 3, 4, 4), F(5, 2)}},
  {AM_OP_upfirdn2d, "a rate of -1", .desc = &(am_upfirdn2d_desc){.down_w = -1}, .in = {F(1, 3, 4, 4), F(2, 2)}},
  {AM_OP_upfirdn2d, "a pad of", .desc = &(am_upfirdn2d_desc){.pad_right = INT64_MAX}, .in = {F(1, 3, 4, 4), F(2, 2)}},
  {AM_OP_upfirdn2d, "the gain is inf", .desc = &(am_upfirdn2d_desc){.gain = INFINITY}, .in = {F(1, 3, 4, 4), F(2, 2)}},
  {AM_OP_upfirdn2d, "the result would be 4194304 x 4", .desc = &(am_upfirdn2d_desc){.up_h = 1 << 20},
   .in = {F(1, 3, 4, 4), F(1, 1)}},
  {AM_OP_resample2d, "the result would be 0 x 0: sizes are 1 to 1048576", .in = {F(1, 3, 4, 4)}},
  {AM_OP_resample2d, "no resampling 2", .desc = &(am_resample2d_desc){.kind = 2, .out_h = 2, .out_w = 2},
   .in = {F(1, 3, 4, 4)}},
  {AM_OP_resample2d, "x has 3 dimensions", .in = {F(3, 4, 4)}},
  {AM_OP_resample2d_grad, "the gradient has 2 dimensions", .in = {F(4, 4)}},
  {AM_OP_resample2d_grad, "the result would be 2 x -1", .desc = &(am_resample2d_desc){.in_h = 2, .in_w = -1},
   .in = {F(1, 3, 4, 4)}},
  {AM_OP_batch_norm, "(3) is expected", .desc = &(am_norm_desc){.eps = 1e-5}, .in = {F(2, 3, 4, 4), F(4), F(3)}},
  {AM_OP_batch_norm, "eps is 0", .in = {F(2, 3), F(3), F(3)}},
  {AM_OP_batch_norm, "no channels", .desc = &(am_norm_desc){.eps = 1e-5}, .in = {F(3), F(3), F(3)}},
  {AM_OP_batch_norm_grad, "(4, 3) is expected", .in = {F(2, 3), F(4, 3), F(3), F(3), F(3), F(3)}},
  {AM_OP_batch_norm_grad, "has shape (1)", .in = {F(4, 3), F(4, 3), F(3), F(3), F(1), F(3)}},
  {AM_OP_batch_norm, "cannot be negative", .desc = &(am_norm_desc){1e-5, {true, -0.1}},
   .in = {F(2, 3), F(3), F(3)}},
  {AM_OP_batch_norm, "beside images of f32 it is f32", .desc = &(am_norm_desc){.eps = 1e-5},
   .in = {F(2, 3), D(3), F(3)}},
  {AM_OP_batch_norm_add, "(2, 3) is expected", .desc = &(am_norm_desc){.eps = 1e-5},
   .in = {F(2, 3), F(3), F(3), F(2, 4)}},
  {AM_OP_batch_norm_add_grad, "(4, 3) is expected", .in = {F(4, 3), F(4, 3), F(1, 3), F(3), F(3), F(3)}},
  {AM_OP_bias_act, "bias has shape (4)", .in = {F(2, 3, 4, 4), F(4)}},
  {AM_OP_bias_act_grad, "(2, 3) is expected", .in = {F(2, 3), F(2, 4)}},
  {AM_OP_conv2d_affine, "scale or shift has shape (8)", .in = {F(1, 3, 4, 4), F(5, 3, 1, 1), F(5), F(8)}},
  {AM_OP_conv2d_affine_add, "the residual has shape (1, 5, 4, 3)",
   .in = {F(1, 3, 4, 4), F(5, 3, 1, 1), F(5), F(5), F(1, 5, 4, 3)}},
  {AM_OP_scale_shift, "(3) is expected", .in = {F(4, 3), F(4), F(3)}},
  {AM_OP_axpby, "axpby of f32 (3) onto f32 (4): a tensor that is updated", .in = {F(3)}, .out = {F(4)}},
  {AM_OP_axpby, "types f32 and f64", .in = {F(3)}, .out = {D(3)}},
  {AM_OP_running_stats, "momentum 1.5", .desc = &(am_running_desc){.momentum = 1.5}, .in = {F(3), F(3)}, .out = {F(3), F(3)}},
  {AM_OP_running_stats, "has shape (4)", .in = {F(3), F(4)}, .out = {F(3), F(3)}},
  {AM_OP_running_stats, "has shape (2)", .in = {F(3), F(3)}, .out = {F(3), F(2)}},
  {AM_OP_sgd_step, "steps count from 1", .in = {F(3)}, .out = {F(3), F(3)}},
  {AM_OP_sgd_step, "has shape (1)",
   .desc = &(am_sgd_desc){.momentum = 0.9, .step = 1}, .in = {F(3)}, .out = {F(3), F(1)}},
  {AM_OP_sgd_step, "Nesterov",
   .desc = &(am_sgd_desc){.nesterov = true, .step = 1}, .in = {F(3)}, .out = {F(3), F(3)}},
  {AM_OP_adam_step, "steps count from 1",
   .desc = &(am_adam_desc){.step = 0}, .in = {F(3)}, .out = {F(3), F(3), F(3)}},
  {AM_OP_adam_step, "betas 1 and 0",
   .desc = &(am_adam_desc){.beta1 = 1, .step = 1}, .in = {F(3)}, .out = {F(3), F(3), F(3)}},
  {AM_OP_adam_step, "has shape (2)",
   .desc = &(am_adam_desc){.step = 1}, .in = {F(3)}, .out = {F(3), F(2), F(3)}},
  {(am_op)AM_OP_COUNT, .part = "there is no op"},
};

static am_device *open_device(const char *kind) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &dev));
  return dev;
}

static void refuses(am_device *dev, const refusal *r) {
  am_tensor *in[AM_OP_MAX_INPUTS] = {0}, *out[AM_OP_MAX_OUTPUTS] = {0};
  bool known = (int)r->op < AM_OP_COUNT;
  int inputs = known ? am_op_inputs(r->op) : 0;
  int outputs = known && am_op_in_place(r->op) ? am_op_outputs(r->op) : 0;
  for (int i = 0; i < inputs; i++) am_ok(am_tensor_zeros(dev, r->in[i].dtype, r->in[i].shape, &in[i]));
  for (int i = 0; i < outputs; i++) am_ok(am_tensor_zeros(dev, r->out[i].dtype, r->out[i].shape, &out[i]));
  int64_t before = am_device_memory_now(dev).live_bytes;
  am_fails(am_dispatch(dev, r->op, r->desc, in, out), r->code ? r->code : AM_ERR_ARG, r->part);
  assert_int_equal(am_device_memory_now(dev).live_bytes, before);
  for (int i = outputs; i < AM_OP_MAX_OUTPUTS; i++) assert_null(out[i]);
  for (int i = 0; i < inputs; i++) am_tensor_release(in[i]);
  for (int i = 0; i < outputs; i++) am_tensor_release(out[i]);
}

static void refuses_bad_arguments(void **state) {
  am_device *dev = open_device("ref");
  for (int i = 0; i < AM_COUNT_OF(refusals); i++) refuses(dev, &refusals[i]);
  am_device_close(dev);
}

// Values of an index are seen by the backend alone.
static void index_leaves(am_device *dev, am_op op, const void *desc, am_shape x, am_shape index,
                         int32_t value) {
  int32_t host[16];
  am_tensor *in[2], *out = NULL;
  for (int64_t i = 0; i < am_shape_count(index); i++) host[i] = value;
  am_ok(am_tensor_zeros(dev, AM_F32, x, &in[0]));
  am_ok(am_tensor_from_host(dev, AM_I32, index, host, &in[1]));
  am_fails(am_dispatch(dev, op, desc, in, &out), AM_ERR_ARG, am_op_name(op));
  assert_null(out);
  am_tensor_release(in[0]);
  am_tensor_release(in[1]);
}

static void refuses_indices_on(const char *kind) {
  if (!am_backend_find(kind)) am_skip("device %s is not in this build", kind);
  am_device *dev = open_device(kind);
  am_shape small = AM_SHAPE(1, 2, 2, 2), large = AM_SHAPE(1, 2, 4, 4);
  const int32_t beyond[] = {-1, 1 << 20, INT32_MIN};
  for (int i = 0; i < AM_COUNT_OF(beyond); i++) {
    index_leaves(dev, AM_OP_gather_rows, NULL, AM_SHAPE(5, 3), AM_SHAPE(4), beyond[i]);
    index_leaves(dev, AM_OP_scatter_rows, &(am_rows_desc){5}, AM_SHAPE(4, 3), AM_SHAPE(4), beyond[i]);
    index_leaves(dev, AM_OP_pool_scatter, &pool, small, small, beyond[i]);
    index_leaves(dev, AM_OP_pool_gather, &pool, large, small, beyond[i]);
  }
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
  am_device_close(dev);
}

static void ref_refuses_indices(void **state) { refuses_indices_on("ref"); }
static void cpu_refuses_indices(void **state) { refuses_indices_on("cpu"); }

static void operands_live_on_one_device(void **state) {
  am_device *a = open_device("ref"), *b = open_device("ref");
  am_tensor *x = NULL, *y = NULL, *z = NULL;
  am_ok(am_tensor_zeros(a, AM_F32, AM_SHAPE(3), &x));
  am_ok(am_tensor_zeros(b, AM_F32, AM_SHAPE(3), &y));
  am_tensor *in[2] = {x, y};
  am_fails(am_dispatch(a, AM_OP_binary, NULL, in, &z), AM_ERR_ARG, "input 1 lives on another device");
  am_fails(am_dispatch(a, AM_OP_axpby, NULL, &x, &y), AM_ERR_ARG, "output 0 lives on another device");
  am_tensor_release(x);
  am_tensor_release(y);
  am_device_close(a);
  am_device_close(b);
}

// A type that the device does not compute in is an error, not a conversion.
static void refuses_types_it_does_not_compute_in(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *x = NULL, *y = NULL;
  am_ok(am_tensor_zeros(dev, AM_BF16, AM_SHAPE(3), &x));
  am_fails(am_dispatch(dev, AM_OP_unary, NULL, &x, &y), AM_ERR_UNSUPPORTED, "does not compute unary in bf16: it computes in f32 and f64");
  am_tensor_release(x);
  am_device_close(dev);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(refuses_bad_arguments),
    cmocka_unit_test(ref_refuses_indices),
    cmocka_unit_test(cpu_refuses_indices),
    cmocka_unit_test(operands_live_on_one_device),
    cmocka_unit_test(refuses_types_it_does_not_compute_in),
  };
  return cmocka_run_group_tests_name("arguments", tests, NULL, NULL);
}
