// Batch normalisation with what follows it (a sum, an activation), and the scale and shift of a channel.
//
// Statistics take one pass: sums of x - pivot and its square, where pivot is the mean of the
// channel's first few values, so that nothing cancels when a channel lies far from zero. Partial
// sums of at most 32 terms are f32, what they add up to is double. Channels are shared between
// threads, so the order of a channel's sums never changes.
#include "backend/cpu/cpu_bf16.h"

#include <math.h>

enum { PIVOT = 16 };

typedef struct {
  am_cpu_image im;
  double eps;
  float slope;
  const float *x, *residual;   // residual: NULL without one
  const float *scale, *shift;  // (c): gamma and beta, or those of scale_shift
  float *y, *mean, *inv_std;
} norm_args;

// Adds x - pivot and its square. count is the number of values of the run.
AM_CPU_KERNEL static void moments(const float *restrict x, int64_t count, const float *pivot,
                                  am_cpu_lane_sums *sums) {
  const am_cpu_lanes middle = AM_CPU_LOAD(pivot);
  for (int64_t i = 0; i < count;) {
    am_cpu_lanes a = {0}, b = {0};
    const int64_t stop = am_min_i64(count, i + AM_CPU_SUM_PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      const am_cpu_lanes d = AM_CPU_LOAD(x + i) - middle;
      a += d;
      b += d * d;
    }
    if (i < stop) {
      float part[AM_CPU_LANES];
      const am_cpu_lanes d = AM_CPU_LOAD(am_cpu_padded(x + i, stop - i, pivot, part)) - middle;
      a += d;
      b += d * d;
      i = stop;
    }
    am_cpu_add_piece(sums, &a, &b);
  }
}

static void find_pivot(const norm_args *k, int64_t b, float pivot[AM_CPU_LANES]) {
  const am_cpu_image *im = &k->im;
  const int64_t places = am_min_i64(im->spatial, PIVOT);
  const float *x = k->x + am_cpu_run_at(im, 0, b);
  float sum[AM_CPU_LANES] = {0};
  for (int64_t s = 0; s < places; s++) {
    for (int64_t j = 0; j < im->lanes; j++) sum[j] += x[s * im->lanes + j];
  }
  for (int64_t j = 0; j < AM_CPU_LANES; j++) pivot[j] = (im->lanes == 1 ? sum[0] : sum[j]) / (float)places;
}

// ---- y = act((x - mean) * scale + shift [+ residual]) ----

#define AFFINE_RUN(name, plus_residual)                                                                    \
  AM_CPU_KERNEL static void name(const float *restrict x, const float *restrict residual,                  \
                                 float *restrict y, int64_t count, const float *restrict mean,             \
                                 const float *restrict scale, const float *restrict shift, float slope) {  \
    int64_t i = 0;                                                                                         \
    (void)residual;                                                                                        \
    for (; i + AM_CPU_LANES <= count; i += AM_CPU_LANES) {                                                 \
      for (int j = 0; j < AM_CPU_LANES; j++) {                                                             \
        y[i + j] = am_cpu_activate((x[i + j] - mean[j]) * scale[j] + shift[j] plus_residual, slope);       \
      }                                                                                                    \
    }                                                                                                      \
    for (int j = 0; i + j < count; j++) {                                                                  \
      y[i + j] = am_cpu_activate((x[i + j] - mean[j]) * scale[j] + shift[j] plus_residual, slope);         \
    }                                                                                                      \
  }
AFFINE_RUN(affine_run, )
AFFINE_RUN(affine_add_run, +residual[i + j])

// ---- blocks of channels ----

static void find_statistics(const norm_args *k, int64_t b) {
  const am_cpu_image *im = &k->im;
  const double count = (double)(im->n * im->spatial);
  float pivot[AM_CPU_LANES];
  am_cpu_lane_sums sums = {{0}, {0}};
  find_pivot(k, b, pivot);
  for (int64_t i = 0; i < im->n; i++) {
    moments(k->x + am_cpu_run_at(im, i, b), im->spatial * im->lanes, pivot, &sums);
  }
  if (im->lanes == 1) am_cpu_fold_lanes(&sums);
  for (int64_t j = 0; j < im->lanes; j++) {
    const double away = sums.a[j] / count, variance = sums.b[j] / count - away * away;
    k->mean[b * im->lanes + j] = (float)(pivot[j] + away);
    k->inv_std[b * im->lanes + j] = (float)(1.0 / sqrt((variance > 0 ? variance : 0) + k->eps));
  }
}

static void norm_range(const void *arg, int64_t begin, int64_t end) {
  const norm_args *k = arg;
  const am_cpu_image *im = &k->im;
  for (int64_t b = begin; b < end; b++) {
    float mean[AM_CPU_LANES], scale[AM_CPU_LANES], inv_std[AM_CPU_LANES], shift[AM_CPU_LANES];
    find_statistics(k, b);
    am_cpu_spread(im, k->mean, b, mean);
    am_cpu_spread(im, k->inv_std, b, inv_std);
    am_cpu_spread(im, k->scale, b, scale);
    am_cpu_spread(im, k->shift, b, shift);
    for (int64_t j = 0; j < AM_CPU_LANES; j++) scale[j] *= inv_std[j];
    for (int64_t i = 0; i < im->n; i++) {
      const int64_t at = am_cpu_run_at(im, i, b), count = im->spatial * im->lanes;
      if (k->residual) {
        affine_add_run(k->x + at, k->residual + at, k->y + at, count, mean, scale, shift, k->slope);
      } else {
        affine_run(k->x + at, NULL, k->y + at, count, mean, scale, shift, k->slope);
      }
    }
  }
}

static void scale_shift_range(const void *arg, int64_t begin, int64_t end) {
  const norm_args *k = arg;
  const am_cpu_image *im = &k->im;
  const float zero[AM_CPU_LANES] = {0};
  float scale[AM_CPU_LANES], shift[AM_CPU_LANES];
  for (int64_t r = begin; r < end; r++) {
    am_cpu_spread(im, k->scale, r % im->blocks, scale);
    am_cpu_spread(im, k->shift, r % im->blocks, shift);
    const int64_t at = r * im->spatial * im->lanes;
    affine_run(k->x + at, NULL, k->y + at, im->spatial * im->lanes, zero, scale, shift, k->slope);
  }
}

// ---- the ops ----

static norm_args args_of(am_activation act, const am_view *in, am_view *out) {
  return (norm_args){.im = am_cpu_image_of(&in[0]), .slope = am_cpu_slope(act), .x = in[0].data,
                     .scale = in[1].data, .shift = in[2].data, .y = out[0].data};
}

static am_err normalise(am_cpu *cpu, const am_norm_desc *desc, const am_view *in, const am_view *residual,
                        am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_batch_norm_bf16(cpu, desc, in, residual, out);
  norm_args k = args_of(desc->act, in, out);
  k.eps = desc->eps;
  k.residual = residual ? residual->data : NULL;
  k.mean = out[1].data;
  k.inv_std = out[2].data;
  am_cpu_for(cpu, k.im.blocks, am_cpu_norm_grain(&k.im), norm_range, &k);
  return AM_OK;
}

am_err am_cpu_batch_norm(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  return normalise(ctx, desc, in, NULL, out);
}

am_err am_cpu_batch_norm_add(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  return normalise(ctx, desc, in, &in[3], out);
}

am_err am_cpu_scale_shift(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_scale_shift_bf16(ctx, &in[0], &in[1], &in[2], NULL, (am_activation){0}, out);
  const norm_args k = args_of((am_activation){0}, in, out);
  am_cpu_for(ctx, k.im.n * k.im.blocks, am_cpu_grain(k.im.spatial * k.im.lanes), scale_shift_range, &k);
  return AM_OK;
}
