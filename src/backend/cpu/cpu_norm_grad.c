// The gradient of batch normalisation, through the activation and to the residual that were fused with it.
//
// Two passes over a block of channels: sums of dy and of dy * (x - mean), then dx. Where the activation
// did not let dy through is found out anew in both passes, from x and with the arithmetic of the forward
// op. With a residual y tells, and the first pass writes dresidual, dy before the activation, which the
// second reads instead of dy and y.
#include "backend/cpu/cpu_bf16.h"

typedef struct {
  am_cpu_image im;
  float slope;
  const float *dy, *x, *y;                     // y: with a residual
  const float *gamma, *beta, *mean, *inv_std;  // (c); beta: without
  float *dx, *dresidual, *dgamma, *dbeta;
} grad_args;

// What the lanes of a block need.
typedef struct {
  float mean[AM_CPU_LANES];
  float scale[AM_CPU_LANES], shift[AM_CPU_LANES];  // gamma * inv_std, and beta: the forward op's
  float from_dy[AM_CPU_LANES], from_x[AM_CPU_LANES];
} lane_constants;

static float passed(float dy, float x, float mean, float scale, float shift, float slope) {
  return (x - mean) * scale + shift > 0 ? dy : slope * dy;
}

// Adds dy and dy * (x - mean) of up to a piece's values, which fill their lanes.
AM_CPU_KERNEL static void sum_run(const float *restrict dy, const float *restrict x, int64_t count,
                                  const lane_constants *c, float slope, am_cpu_lane_sums *sums) {
  for (int64_t i = 0; i < count;) {
    float a[AM_CPU_LANES] = {0}, b[AM_CPU_LANES] = {0};
    const int64_t stop = am_min_i64(count, i + AM_CPU_SUM_PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      for (int j = 0; j < AM_CPU_LANES; j++) {
        const float g = passed(dy[i + j], x[i + j], c->mean[j], c->scale[j], c->shift[j], slope);
        a[j] += g;
        b[j] += g * (x[i + j] - c->mean[j]);
      }
    }
    for (int j = 0; i < stop; i++, j++) {
      const float g = passed(dy[i], x[i], c->mean[j], c->scale[j], c->shift[j], slope);
      a[j] += g;
      b[j] += g * (x[i] - c->mean[j]);
    }
    for (int j = 0; j < AM_CPU_LANES; j++) {
      sums->a[j] += a[j];
      sums->b[j] += b[j];
    }
  }
}

// The same behind a residual; writes dresidual.
AM_CPU_KERNEL static void sum_add_run(const float *restrict dy, const float *restrict x, const float *restrict y,
                                      float *restrict dresidual, int64_t count, const float *restrict mean,
                                      float slope, am_cpu_lane_sums *sums) {
  for (int64_t i = 0; i < count;) {
    float a[AM_CPU_LANES] = {0}, b[AM_CPU_LANES] = {0};
    const int64_t stop = am_min_i64(count, i + AM_CPU_SUM_PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      for (int j = 0; j < AM_CPU_LANES; j++) {
        const float g = y[i + j] > 0 ? dy[i + j] : slope * dy[i + j];
        dresidual[i + j] = g;
        a[j] += g;
        b[j] += g * (x[i + j] - mean[j]);
      }
    }
    for (int j = 0; i < stop; i++, j++) {
      const float g = y[i] > 0 ? dy[i] : slope * dy[i];
      dresidual[i] = g;
      a[j] += g;
      b[j] += g * (x[i] - mean[j]);
    }
    for (int j = 0; j < AM_CPU_LANES; j++) {
      sums->a[j] += a[j];
      sums->b[j] += b[j];
    }
  }
}

// dx = (dy - from_dy - (x - mean) * from_x) * scale, dy before the activation.
AM_CPU_KERNEL static void grad_run(const float *restrict dy, const float *restrict x, float *restrict dx,
                                   int64_t count, const lane_constants *c, float slope) {
  int64_t i = 0;
  for (; i + AM_CPU_LANES <= count; i += AM_CPU_LANES) {
    for (int j = 0; j < AM_CPU_LANES; j++) {
      const float g = passed(dy[i + j], x[i + j], c->mean[j], c->scale[j], c->shift[j], slope);
      dx[i + j] = (g - c->from_dy[j] - (x[i + j] - c->mean[j]) * c->from_x[j]) * c->scale[j];
    }
  }
  for (int j = 0; i < count; i++, j++) {
    const float g = passed(dy[i], x[i], c->mean[j], c->scale[j], c->shift[j], slope);
    dx[i] = (g - c->from_dy[j] - (x[i] - c->mean[j]) * c->from_x[j]) * c->scale[j];
  }
}

static void find_sums(const grad_args *k, int64_t b, const lane_constants *c, am_cpu_lane_sums *sums) {
  const am_cpu_image *im = &k->im;
  const int64_t count = im->spatial * im->lanes;
  for (int64_t i = 0; i < im->n; i++) {
    const int64_t at = am_cpu_run_at(im, i, b);
    if (k->y) {
      sum_add_run(k->dy + at, k->x + at, k->y + at, k->dresidual + at, count, c->mean, k->slope, sums);
    } else {
      sum_run(k->dy + at, k->x + at, count, c, k->slope, sums);
    }
  }
  if (im->lanes == 1) am_cpu_fold_lanes(sums);
}

static void grad_range(const void *arg, int64_t begin, int64_t end) {
  const grad_args *k = arg;
  const am_cpu_image *im = &k->im;
  const double count = (double)(im->n * im->spatial);
  for (int64_t b = begin; b < end; b++) {
    lane_constants c = {.shift = {0}};
    float inv_std[AM_CPU_LANES];
    am_cpu_lane_sums sums = {{0}, {0}};
    am_cpu_spread(im, k->mean, b, c.mean);
    am_cpu_spread(im, k->inv_std, b, inv_std);
    am_cpu_spread(im, k->gamma, b, c.scale);
    if (k->beta) am_cpu_spread(im, k->beta, b, c.shift);
    for (int64_t j = 0; j < AM_CPU_LANES; j++) c.scale[j] *= inv_std[j];
    find_sums(k, b, &c, &sums);
    for (int64_t j = 0; j < AM_CPU_LANES; j++) {
      const double dy_sum = sums.a[j % im->lanes], x_sum = sums.b[j % im->lanes] * inv_std[j];
      c.from_dy[j] = (float)(dy_sum / count);
      c.from_x[j] = (float)(x_sum * inv_std[j] / count);
      if (j >= im->lanes) continue;
      k->dgamma[b * im->lanes + j] = (float)x_sum;
      k->dbeta[b * im->lanes + j] = (float)dy_sum;
    }
    for (int64_t i = 0; i < im->n; i++) {
      const int64_t at = am_cpu_run_at(im, i, b);
      // What the residual gets is dy before the activation: nothing more to find out.
      grad_run((k->y ? k->dresidual : k->dy) + at, k->x + at, k->dx + at, im->spatial * im->lanes, &c,
               k->y ? 1.0f : k->slope);
    }
  }
}

// ---- the ops ----

static void run(const am_cpu *cpu, const grad_args *k) {
  am_cpu_for(cpu, k->im.blocks, am_cpu_norm_grain(&k->im), grad_range, k);
}

am_err am_cpu_batch_norm_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) {
    const am_cpu_norm_grad g = {.dy = &in[0], .x = &in[1], .gamma = &in[2], .beta = &in[3], .mean = &in[4],
                                .inv_std = &in[5], .dx = &out[0], .dgamma = &out[1], .dbeta = &out[2]};
    return am_cpu_batch_norm_grad_bf16(ctx, desc, &g);
  }
  const grad_args k = {.im = am_cpu_image_of(&in[1]), .slope = am_cpu_slope(desc->act), .dy = in[0].data,
                       .x = in[1].data, .gamma = in[2].data, .beta = in[3].data, .mean = in[4].data,
                       .inv_std = in[5].data, .dx = out[0].data, .dgamma = out[1].data,
                       .dbeta = out[2].data};
  run(ctx, &k);
  return AM_OK;
}

am_err am_cpu_batch_norm_add_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) {
    const am_cpu_norm_grad g = {.dy = &in[0], .x = &in[1], .y = &in[2], .gamma = &in[3], .mean = &in[4],
                                .inv_std = &in[5], .dx = &out[0], .dresidual = &out[1], .dgamma = &out[2],
                                .dbeta = &out[3]};
    return am_cpu_batch_norm_grad_bf16(ctx, desc, &g);
  }
  const grad_args k = {.im = am_cpu_image_of(&in[1]), .slope = am_cpu_slope(desc->act), .dy = in[0].data,
                       .x = in[1].data, .y = in[2].data, .gamma = in[3].data, .mean = in[4].data,
                       .inv_std = in[5].data, .dx = out[0].data, .dresidual = out[1].data,
                       .dgamma = out[2].data, .dbeta = out[3].data};
  run(ctx, &k);
  return AM_OK;
}
