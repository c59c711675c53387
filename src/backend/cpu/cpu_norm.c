// Batch normalisation, its gradient, and the scale-and-shift of a channel.
//
// Statistics take one pass: sums of x - pivot and its square, where pivot is the mean of the
// channel's first few values, so that nothing cancels when a channel lies far from zero. Partial
// sums of at most 32 terms are f32, what they add up to is double. Channels are shared between
// threads, so the order of a channel's sums never changes.
#include <math.h>

#include "backend/cpu/cpu_internal.h"

enum { PIECE = 32, PIVOT = 16 };

typedef struct {
  am_cpu_image im;
  double eps;
  const float *x, *dy;
  const float *gamma, *beta, *mean, *inv_std;  // (c); beta is also the shift of scale_shift
  float *y, *out_a, *out_b;                    // y or dx; mean and inv_std, or dgamma and dbeta
} norm_args;

// The values of channel block b in image i.
static int64_t run_at(const am_cpu_image *im, int64_t i, int64_t b) {
  return (i * im->blocks + b) * im->spatial * im->lanes;
}

// ---- sums over one run ----
// Plain runs fold into 16 lanes by position, C16 runs by channel; both give 16 sums.

typedef struct { double a[AM_CPU_LANES], b[AM_CPU_LANES]; } lane_sums;

// Sixteen floats anywhere in memory; spelled out, because sums kept in arrays are not taken into
// registers by every compiler.
typedef float lanes __attribute__((vector_size(64), aligned(4), may_alias));
#define LOAD(x) (*(const lanes *)(x))

// The last values of a run that do not fill the lanes, with those of `rest` behind them.
static const float *padded(const float *x, int64_t count, const float rest[AM_CPU_LANES],
                           float out[AM_CPU_LANES]) {
  for (int64_t j = 0; j < AM_CPU_LANES; j++) out[j] = j < count ? x[j] : rest[j];
  return out;
}

static void add_piece(lane_sums *sums, const lanes *a, const lanes *b) {
  for (int j = 0; j < AM_CPU_LANES; j++) {
    sums->a[j] += (*a)[j];
    sums->b[j] += (*b)[j];
  }
}

// Adds x - pivot and its square. count is the number of values of the run.
AM_CPU_KERNEL static void moments(const float *restrict x, int64_t count, const float *pivot,
                                  lane_sums *sums) {
  const lanes middle = LOAD(pivot);
  for (int64_t i = 0; i < count;) {
    lanes a = {0}, b = {0};
    const int64_t stop = am_min_i64(count, i + PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      const lanes d = LOAD(x + i) - middle;
      a += d;
      b += d * d;
    }
    if (i < stop) {
      float part[AM_CPU_LANES];
      const lanes d = LOAD(padded(x + i, stop - i, pivot, part)) - middle;
      a += d;
      b += d * d;
      i = stop;
    }
    add_piece(sums, &a, &b);
  }
}

// Adds dy and dy * (x - mean).
AM_CPU_KERNEL static void grad_moments(const float *restrict dy, const float *restrict x, int64_t count,
                                       const float *mean, lane_sums *sums) {
  const lanes middle = LOAD(mean);
  for (int64_t i = 0; i < count;) {
    lanes a = {0}, b = {0};
    const int64_t stop = am_min_i64(count, i + PIECE * AM_CPU_LANES);
    for (; i + AM_CPU_LANES <= stop; i += AM_CPU_LANES) {
      const lanes g = LOAD(dy + i);
      a += g;
      b += g * (LOAD(x + i) - middle);
    }
    if (i < stop) {
      const float zero[AM_CPU_LANES] = {0};
      float part[2][AM_CPU_LANES];
      const lanes g = LOAD(padded(dy + i, stop - i, zero, part[0]));
      a += g;
      b += g * (LOAD(padded(x + i, stop - i, mean, part[1])) - middle);
      i = stop;
    }
    add_piece(sums, &a, &b);
  }
}

// Plain memory: the lanes of a run belong to one channel and are added up.
static void fold_lanes(lane_sums *sums) {
  for (int width = AM_CPU_LANES / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; j++) {
      sums->a[j] += sums->a[j + width];
      sums->b[j] += sums->b[j + width];
    }
  }
}

// ---- per-channel constants of a block, one per lane ----

static void spread(const am_cpu_image *im, const float *per_channel, int64_t b, float lane[AM_CPU_LANES]) {
  for (int64_t j = 0; j < AM_CPU_LANES; j++) lane[j] = per_channel[im->lanes == 1 ? b : b * AM_CPU_LANES + j];
}

static void find_pivot(const norm_args *k, int64_t b, float pivot[AM_CPU_LANES]) {
  const am_cpu_image *im = &k->im;
  const int64_t places = am_min_i64(im->spatial, PIVOT);
  const float *x = k->x + run_at(im, 0, b);
  float sum[AM_CPU_LANES] = {0};
  for (int64_t s = 0; s < places; s++) {
    for (int64_t j = 0; j < im->lanes; j++) sum[j] += x[s * im->lanes + j];
  }
  for (int64_t j = 0; j < AM_CPU_LANES; j++) pivot[j] = (im->lanes == 1 ? sum[0] : sum[j]) / (float)places;
}

// ---- y = (x - mean) * scale + shift ----

AM_CPU_KERNEL static void affine_run(const float *restrict x, float *restrict y, int64_t count,
                                     const float *restrict mean, const float *restrict scale,
                                     const float *restrict shift) {
  int64_t i = 0;
  for (; i + AM_CPU_LANES <= count; i += AM_CPU_LANES) {
    for (int j = 0; j < AM_CPU_LANES; j++) y[i + j] = (x[i + j] - mean[j]) * scale[j] + shift[j];
  }
  for (int j = 0; i < count; i++, j++) y[i] = (x[i] - mean[j]) * scale[j] + shift[j];
}

// dx = (dy - from_dy - (x - mean) * from_x) * scale
AM_CPU_KERNEL static void grad_run(const float *restrict dy, const float *restrict x, float *restrict dx,
                                   int64_t count, const float *restrict mean, const float *restrict from_dy,
                                   const float *restrict from_x, const float *restrict scale) {
  int64_t i = 0;
  for (; i + AM_CPU_LANES <= count; i += AM_CPU_LANES) {
    for (int j = 0; j < AM_CPU_LANES; j++) {
      dx[i + j] = (dy[i + j] - from_dy[j] - (x[i + j] - mean[j]) * from_x[j]) * scale[j];
    }
  }
  for (int j = 0; i < count; i++, j++) dx[i] = (dy[i] - from_dy[j] - (x[i] - mean[j]) * from_x[j]) * scale[j];
}

// ---- blocks of channels ----

static void norm_range(const void *arg, int64_t begin, int64_t end) {
  const norm_args *k = arg;
  const am_cpu_image *im = &k->im;
  const int64_t run = im->spatial * im->lanes;
  const double count = (double)(im->n * im->spatial);
  for (int64_t b = begin; b < end; b++) {
    float pivot[AM_CPU_LANES], mean[AM_CPU_LANES], scale[AM_CPU_LANES], shift[AM_CPU_LANES];
    lane_sums sums = {{0}, {0}};
    find_pivot(k, b, pivot);
    for (int64_t i = 0; i < im->n; i++) moments(k->x + run_at(im, i, b), run, pivot, &sums);
    if (im->lanes == 1) fold_lanes(&sums);
    for (int64_t j = 0; j < im->lanes; j++) {
      const double away = sums.a[j] / count, variance = sums.b[j] / count - away * away;
      k->out_a[b * im->lanes + j] = (float)(pivot[j] + away);
      k->out_b[b * im->lanes + j] = (float)(1.0 / sqrt((variance > 0 ? variance : 0) + k->eps));
    }
    spread(im, k->out_a, b, mean);
    spread(im, k->out_b, b, scale);
    spread(im, k->beta, b, shift);
    for (int64_t j = 0; j < AM_CPU_LANES; j++)
      scale[j] *= k->gamma[im->lanes == 1 ? b : b * AM_CPU_LANES + j];
    for (int64_t i = 0; i < im->n; i++) {
      affine_run(k->x + run_at(im, i, b), k->y + run_at(im, i, b), run, mean, scale, shift);
    }
  }
}

static void norm_grad_range(const void *arg, int64_t begin, int64_t end) {
  const norm_args *k = arg;
  const am_cpu_image *im = &k->im;
  const int64_t run = im->spatial * im->lanes;
  const double count = (double)(im->n * im->spatial);
  for (int64_t b = begin; b < end; b++) {
    float mean[AM_CPU_LANES], inv_std[AM_CPU_LANES], scale[AM_CPU_LANES], from_dy[AM_CPU_LANES],
        from_x[AM_CPU_LANES];
    lane_sums sums = {{0}, {0}};
    spread(im, k->mean, b, mean);
    spread(im, k->inv_std, b, inv_std);
    spread(im, k->gamma, b, scale);
    for (int64_t i = 0; i < im->n; i++) {
      grad_moments(k->dy + run_at(im, i, b), k->x + run_at(im, i, b), run, mean, &sums);
    }
    if (im->lanes == 1) fold_lanes(&sums);
    for (int64_t j = 0; j < AM_CPU_LANES; j++) {
      const double dy_sum = sums.a[j % im->lanes], x_sum = sums.b[j % im->lanes] * inv_std[j];
      from_dy[j] = (float)(dy_sum / count);
      from_x[j] = (float)(x_sum * inv_std[j] / count);
      scale[j] *= inv_std[j];
      if (j >= im->lanes) continue;
      k->out_a[b * im->lanes + j] = (float)x_sum;
      k->out_b[b * im->lanes + j] = (float)dy_sum;
    }
    for (int64_t i = 0; i < im->n; i++) {
      const int64_t at = run_at(im, i, b);
      grad_run(k->dy + at, k->x + at, k->y + at, run, mean, from_dy, from_x, scale);
    }
  }
}

static void scale_shift_range(const void *arg, int64_t begin, int64_t end) {
  const norm_args *k = arg;
  const am_cpu_image *im = &k->im;
  const float zero[AM_CPU_LANES] = {0};
  float scale[AM_CPU_LANES], shift[AM_CPU_LANES];
  for (int64_t r = begin; r < end; r++) {
    spread(im, k->gamma, r % im->blocks, scale);
    spread(im, k->beta, r % im->blocks, shift);
    const int64_t at = r * im->spatial * im->lanes;
    affine_run(k->x + at, k->y + at, im->spatial * im->lanes, zero, scale, shift);
  }
}

// ---- the ops ----

am_err am_cpu_batch_norm(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  const norm_args k = {.im = am_cpu_image_of(&in[0]), .eps = desc->eps, .x = in[0].data, .gamma = in[1].data,
                       .beta = in[2].data, .y = out[0].data, .out_a = out[1].data, .out_b = out[2].data};
  am_cpu_for(ctx, k.im.blocks, am_cpu_grain(k.im.n * k.im.spatial * k.im.lanes), norm_range, &k);
  return AM_OK;
}

am_err am_cpu_batch_norm_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  const norm_args k = {.im = am_cpu_image_of(&in[1]), .eps = desc->eps, .dy = in[0].data, .x = in[1].data,
                       .gamma = in[2].data, .mean = in[3].data, .inv_std = in[4].data,
                       .y = out[0].data, .out_a = out[1].data, .out_b = out[2].data};
  am_cpu_for(ctx, k.im.blocks, am_cpu_grain(k.im.n * k.im.spatial * k.im.lanes), norm_grad_range, &k);
  return AM_OK;
}

am_err am_cpu_scale_shift(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  const norm_args k = {.im = am_cpu_image_of(&in[0]), .x = in[0].data, .gamma = in[1].data,
                       .beta = in[2].data, .y = out[0].data};
  am_cpu_for(ctx, k.im.n * k.im.blocks, am_cpu_grain(k.im.spatial * k.im.lanes), scale_shift_range, &k);
  return AM_OK;
}
