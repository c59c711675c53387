// Convolution with a channel's scale and shift, a residual and an activation behind it: evaluation's
// convolution, normalisation and ReLU as one op.
#include "backend/cpu/cpu_bf16.h"

typedef struct {
  am_cpu_image im;
  const float *scale, *shift, *residual;  // residual: NULL without one
  float *y, slope;
} finish_args;

// One run of y in place; the run of the residual may be missing.
AM_CPU_KERNEL static void finish_run(float *restrict y, const float *restrict residual, int64_t count,
                                     const float *restrict scale, const float *restrict shift, float slope) {
  for (int64_t i = 0; i < count; i += AM_CPU_LANES) {
    const int64_t here = am_min_i64(AM_CPU_LANES, count - i);
    for (int64_t j = 0; j < here; j++) {
      const float v = y[i + j] * scale[j] + shift[j];
      y[i + j] = am_cpu_activate(residual ? v + residual[i + j] : v, slope);
    }
  }
}

typedef struct {
  const float *w, *scale;
  float *out;
  int64_t row;  // weights of an output channel
} scale_args;

AM_CPU_KERNEL static void scale_range(const void *arg, int64_t begin, int64_t end) {
  const scale_args *k = arg;
  for (int64_t r = begin; r < end; r++) {
    const float *restrict w = k->w + r * k->row;
    float *restrict out = k->out + r * k->row;
    for (int64_t i = 0; i < k->row; i++) out[i] = w[i] * k->scale[r];
  }
}

static void finish_range(const void *arg, int64_t begin, int64_t end) {
  const finish_args *k = arg;
  const am_cpu_image *im = &k->im;
  const int64_t count = im->spatial * im->lanes;
  float scale[AM_CPU_LANES], shift[AM_CPU_LANES];
  for (int64_t r = begin; r < end; r++) {
    am_cpu_spread(im, k->scale, r % im->blocks, scale);
    am_cpu_spread(im, k->shift, r % im->blocks, shift);
    finish_run(k->y + r * count, k->residual ? k->residual + r * count : NULL, count, scale, shift, k->slope);
  }
}

// oneDNN stores finished elements where it can: the scale goes into the weights, the shift is its bias.
static am_err run_finished(am_cpu *cpu, am_cpu_conv_plan *plan, const am_view *in, void *residual, void *y) {
  const am_shape w = in[1].shape;
  const int64_t row = w.dim[1] * w.dim[2] * w.dim[3];
  float *scaled = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_SCALED, w.dim[0] * row, sizeof *scaled, &scaled));
  const scale_args k = {.w = in[1].data, .scale = in[2].data, .row = row, .out = scaled};
  am_cpu_for(cpu, w.dim[0], am_cpu_grain(row), scale_range, &k);
  return am_cpu_conv_plan_run_affine(cpu, plan, in[0].data, scaled, in[3].data, residual, y);
}

static am_err affine(am_cpu *cpu, am_op op, const am_conv2d_affine_desc *desc, const am_view *in,
                     void *residual, am_view *out) {
  const am_cpu_conv c = am_cpu_conv_of(&desc->conv, in[0].shape, in[1].shape, out[0].shape, in[0].dtype);
  const bool finishes = c.bf16 || (am_cpu_conv_is_blocked(cpu, AM_OP_conv2d, &c) &&
                                   !(residual && am_cpu_conv_suits_winograd(&c)));
  am_cpu_conv_plan *plan = NULL;
  if (finishes) AM_TRY(am_cpu_conv_plan_get(cpu, op, &c, desc->act, &plan));
  if (plan && am_cpu_conv_plan_is_amx(plan)) {
    const am_cpu_amx_finish finish = {.scale = in[2].data, .shift = in[3].data, .residual = residual,
                                      .slope = am_cpu_slope(desc->act)};
    return am_cpu_amx_rows(cpu, op, &c, in[0].data, &in[1], &finish, out[0].data);
  }
  if (plan) return run_finished(cpu, plan, in, residual, out[0].data);
  AM_TRY(am_cpu_conv2d(cpu, &desc->conv, in, out));
  if (c.bf16) return am_cpu_scale_shift_bf16(cpu, &out[0], &in[2], &in[3], residual, desc->act, &out[0]);
  const finish_args k = {.im = am_cpu_image_of(&out[0]), .scale = in[2].data, .shift = in[3].data,
                         .residual = residual, .y = out[0].data, .slope = am_cpu_slope(desc->act)};
  am_cpu_for(cpu, k.im.n * k.im.blocks, am_cpu_grain(k.im.spatial * k.im.lanes), finish_range, &k);
  return AM_OK;
}

am_err am_cpu_conv2d_affine(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in, am_view *out) {
  return affine(ctx, AM_OP_conv2d_affine, desc, in, NULL, out);
}

am_err am_cpu_conv2d_affine_add(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in,
                                am_view *out) {
  return affine(ctx, AM_OP_conv2d_affine_add, desc, in, in[4].data, out);
}
