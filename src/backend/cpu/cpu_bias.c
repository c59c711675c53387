// A channel's bias and the activation behind it, and the gradients of both in one pass.
#include "backend/cpu/cpu_bf16.h"

typedef struct {
  am_cpu_image im;
  float slope;
  const float *x, *y;     // x: the argument, or dy
  const float *bias;      // (c)
  float *out, *dbias;
} bias_args;

AM_CPU_KERNEL static void forward_run(const float *restrict x, float *restrict y, int64_t count,
                                      const float *restrict bias, float slope) {
  int64_t i = 0;
  for (; i + AM_CPU_LANES <= count; i += AM_CPU_LANES) {
    for (int j = 0; j < AM_CPU_LANES; j++) y[i + j] = am_cpu_activate(x[i + j] + bias[j], slope);
  }
  for (int j = 0; i < count; i++, j++) y[i] = am_cpu_activate(x[i] + bias[j], slope);
}

static void forward_range(const void *arg, int64_t begin, int64_t end) {
  const bias_args *k = arg;
  const int64_t count = k->im.spatial * k->im.lanes;
  float bias[AM_CPU_LANES];
  for (int64_t r = begin; r < end; r++) {
    am_cpu_spread(&k->im, k->bias, r % k->im.blocks, bias);
    forward_run(k->x + r * count, k->out + r * count, count, bias, k->slope);
  }
}

// Writes dx and adds it up.
AM_CPU_KERNEL static void grad_run(const float *restrict dy, const float *restrict y, float *restrict dx,
                                   int64_t count, float slope, double sums[AM_CPU_LANES]) {
  for (int64_t i = 0; i < count;) {
    float a[AM_CPU_LANES] = {0};
    const int64_t stop = am_min_i64(count, i + AM_CPU_SUM_PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      for (int j = 0; j < AM_CPU_LANES; j++) {
        const float g = y[i + j] > 0 ? dy[i + j] : slope * dy[i + j];
        dx[i + j] = g;
        a[j] += g;
      }
    }
    for (int j = 0; i < stop; i++, j++) {
      const float g = y[i] > 0 ? dy[i] : slope * dy[i];
      dx[i] = g;
      a[j] += g;
    }
    for (int j = 0; j < AM_CPU_LANES; j++) sums[j] += a[j];
  }
}

static void grad_range(const void *arg, int64_t begin, int64_t end) {
  const bias_args *k = arg;
  const am_cpu_image *im = &k->im;
  for (int64_t b = begin; b < end; b++) {
    am_cpu_lane_sums sums = {{0}, {0}};
    for (int64_t i = 0; i < im->n; i++) {
      const int64_t at = am_cpu_run_at(im, i, b);
      grad_run(k->x + at, k->y + at, k->out + at, im->spatial * im->lanes, k->slope, sums.a);
    }
    if (im->lanes == 1) am_cpu_fold_lanes(&sums);
    for (int64_t j = 0; j < im->lanes; j++) k->dbias[b * im->lanes + j] = (float)sums.a[j];
  }
}

am_err am_cpu_bias_act(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_scale_shift_bf16(ctx, &in[0], NULL, &in[1], NULL, *desc, out);
  const bias_args k = {.im = am_cpu_image_of(&in[0]), .slope = am_cpu_slope(*desc), .x = in[0].data,
                       .bias = in[1].data, .out = out[0].data};
  am_cpu_for(ctx, k.im.n * k.im.blocks, am_cpu_grain(k.im.spatial * k.im.lanes), forward_range, &k);
  return AM_OK;
}

am_err am_cpu_bias_act_grad(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_bias_act_grad_bf16(ctx, *desc, in, out);
  const bias_args k = {.im = am_cpu_image_of(&in[0]), .slope = am_cpu_slope(*desc), .x = in[0].data,
                       .y = in[1].data, .out = out[0].data, .dbias = out[1].data};
  am_cpu_for(ctx, k.im.blocks, am_cpu_grain(k.im.n * k.im.spatial * k.im.lanes), grad_range, &k);
  return AM_OK;
}
