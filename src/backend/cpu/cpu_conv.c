// The three convolution ops: geometry, and who carries them out.
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/cpu_bf16.h"

am_cpu_conv am_cpu_conv_of(const am_conv2d_desc *desc, am_shape x, am_shape w, am_shape y, am_dtype image) {
  return (am_cpu_conv){
      .n = x.dim[0], .ci = x.dim[1], .h = x.dim[2], .w = x.dim[3],
      .co = y.dim[1], .ho = y.dim[2], .wo = y.dim[3], .kh = w.dim[2], .kw = w.dim[3],
      .stride_h = am_max_i64(1, desc->stride_h), .stride_w = am_max_i64(1, desc->stride_w),
      .pad_h = desc->pad_h, .pad_w = desc->pad_w,
      .dilation_h = am_max_i64(1, desc->dilation_h), .dilation_w = am_max_i64(1, desc->dilation_w),
      .groups = am_max_i64(1, desc->groups), .bf16 = image == AM_BF16};
}

static am_cpu_image image_of(int64_t n, int64_t c, int64_t h, int64_t w) {
  return (am_cpu_image){.n = n, .c = c, .h = h, .w = w, .spatial = h * w,
                        .blocks = c / AM_CPU_LANES, .lanes = AM_CPU_LANES};
}

am_err am_cpu_conv_gemm(am_cpu *cpu, am_op op, const am_cpu_conv *c, float *x, float *w, float *y) {
  if (op == AM_OP_conv2d) return am_cpu_gemm_forward(cpu, c, x, w, y);
  if (op == AM_OP_conv2d_grad_input) return am_cpu_gemm_grad_input(cpu, c, y, w, x);
  return am_cpu_gemm_grad_weight(cpu, c, y, x, w);
}

// The rule gave this one to oneDNN, which has nothing but its reference loops: the arrays are blocked
// but the work is done on plain copies.
static am_err run_gemm_on_blocked(am_cpu *cpu, am_op op, const am_cpu_conv *c, float *x, float *w, float *y) {
  const am_cpu_image x_image = image_of(c->n, c->ci, c->h, c->w);
  const am_cpu_image y_image = image_of(c->n, c->co, c->ho, c->wo);
  const bool x_blocked = c->ci % AM_CPU_LANES == 0;
  float *plain_x = x, *plain_y = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLAIN_Y, y_image.n * y_image.c * y_image.spatial, sizeof(float),
                        &plain_y));
  if (x_blocked) {
    AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLAIN_X, x_image.n * x_image.c * x_image.spatial, sizeof(float),
                          &plain_x));
  }
  if (x_blocked && op != AM_OP_conv2d_grad_input) am_cpu_unblock_c16(cpu, x_image, x, plain_x);
  if (op != AM_OP_conv2d) am_cpu_unblock_c16(cpu, y_image, y, plain_y);
  AM_TRY(am_cpu_conv_gemm(cpu, op, c, plain_x, w, plain_y));
  if (x_blocked && op == AM_OP_conv2d_grad_input) am_cpu_block_c16(cpu, x_image, plain_x, x);
  if (op == AM_OP_conv2d) am_cpu_block_c16(cpu, y_image, plain_y, y);
  return AM_OK;
}

static am_err run(am_cpu *cpu, am_op op, const am_cpu_conv *c, void *x, void *w, void *y) {
  am_cpu_conv_plan *plan = NULL;
  AM_TRY(am_cpu_conv_plan_get(cpu, op, c, (am_activation){0}, &plan));
  if (plan) return am_cpu_conv_plan_run(cpu, plan, x, w, y);
  if (c->bf16) return am_cpu_conv_plain_bf16(cpu, op, c, x, w, y);
  return am_cpu_conv_is_blocked(cpu, op, c) ? run_gemm_on_blocked(cpu, op, c, x, w, y)
                                            : am_cpu_conv_gemm(cpu, op, c, x, w, y);
}

am_err am_cpu_conv2d(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cpu_conv c = am_cpu_conv_of(desc, in[0].shape, in[1].shape, out[0].shape, in[0].dtype);
  return run(ctx, AM_OP_conv2d, &c, in[0].data, in[1].data, out[0].data);
}

am_err am_cpu_conv2d_grad_input(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cpu_conv c = am_cpu_conv_of(desc, out[0].shape, in[1].shape, in[0].shape, in[0].dtype);
  return run(ctx, AM_OP_conv2d_grad_input, &c, out[0].data, in[1].data, in[0].data);
}

am_err am_cpu_conv2d_grad_weight(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_cpu_conv c = am_cpu_conv_of(desc, in[1].shape, out[0].shape, in[0].shape, in[0].dtype);
  return run(ctx, AM_OP_conv2d_grad_weight, &c, in[1].data, out[0].data, in[0].data);
}

// ---- for tests and reports ----

static int64_t out_length(int64_t in, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  return (in + 2 * pad - dilation * (kernel - 1) - 1) / stride + 1;
}

am_err am_cpu_conv_impl(void *ctx, am_op op, const am_conv2d_desc *desc, am_dtype image, am_shape x,
                        am_shape w, const char **name) {
  am_cpu *cpu = ctx;
  am_cpu_conv c = am_cpu_conv_of(desc, x, w, AM_SHAPE(x.dim[0], w.dim[0], 1, 1), image);
  c.ho = out_length(c.h, c.kh, c.stride_h, c.pad_h, c.dilation_h);
  c.wo = out_length(c.w, c.kw, c.stride_w, c.pad_w, c.dilation_w);
  am_cpu_conv_plan *plan = NULL;
  AM_TRY(am_cpu_conv_plan_get(cpu, op, &c, (am_activation){0}, &plan));
  *name = plan ? am_cpu_conv_plan_name(plan) : "gemm";
  return AM_OK;
}
