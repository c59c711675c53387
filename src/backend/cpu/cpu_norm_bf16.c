// Batch normalisation, scale, shift and bias of bf16 images that lie channels last: rows of c channels.
//
// Rows are cut into chunks of a fixed length, which threads share. Within a chunk up to 32 terms are
// added in f32, what they come to in double; the chunks' sums are added in order, so nothing depends on
// the number of threads. Everything is read and written row by row. The arithmetic is that of
// cpu_norm.c and cpu_norm_grad.c.
#include <math.h>

#include "backend/cpu/cpu_bf16.h"

enum {
  PIVOT = 16,             // rows that the pivot is the mean of
  ABREAST = 4,            // rows that are summed side by side
  CHUNK_ELEMENTS = 65536  // about so many in a chunk
};

typedef struct {
  int64_t rows, c, lanes;   // lanes: c, up to whole lanes
  int64_t chunk, chunks;    // rows of a chunk
  float slope;
  const am_bf16 *x, *residual, *dy, *y;  // y: the forward op's, with a residual
  am_bf16 *out, *dresidual;
  const float *mean, *scale, *shift;     // of each channel, as many as there are lanes
  const float *from_dy, *from_x;
  double *sums;                          // (chunks, 2, lanes)
  float *part;                           // (chunks, 2, lanes)
} rows_args;

static rows_args rows_of(const am_view *x) {
  const am_cpu_image im = am_cpu_image_of(x);
  rows_args k = {.rows = im.n * im.spatial, .c = im.c, .x = x->data};
  k.lanes = am_ceil_div(k.c, AM_CPU_LANES) * AM_CPU_LANES;
  k.chunk = am_ceil_div(CHUNK_ELEMENTS, k.lanes * AM_CPU_SUM_PIECE) * AM_CPU_SUM_PIECE;
  k.chunks = am_ceil_div(k.rows, k.chunk);
  return k;
}

// `count` rows of lanes in one piece of scratch memory, the first at *out.
static am_err channel_rows(am_cpu *cpu, const rows_args *k, int64_t count, float **out) {
  return am_cpu_scratch(cpu, AM_CPU_SCRATCH_CHANNELS, count * k->lanes, sizeof(float), out);
}

static am_err sum_memory(am_cpu *cpu, rows_args *k) {
  const int64_t count = k->chunks * 2 * k->lanes;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_SUMS, count, sizeof(double), &k->sums));
  return am_cpu_scratch(cpu, AM_CPU_SCRATCH_PARTS, count, sizeof(float), &k->part);
}

static void to_lanes(const rows_args *k, const float *per_channel, float *lane) {
  for (int64_t j = 0; j < k->lanes; j++) lane[j] = j < k->c ? per_channel[j] : 0;
}

static int64_t rows_grain(const rows_args *k) { return am_cpu_grain(k->chunk * k->lanes); }

// What a pass over rows does with sixteen channels of up to ABREAST of them: adds to a and b.
#define SUM_ROWS(name, row_step)                                                             \
  AM_CPU_BF16_TARGET static void name(const rows_args *k, int64_t row, int64_t end, float *a, float *b) { \
    for (int64_t j = 0; j < k->lanes; j++) a[j] = b[j] = 0;                                  \
    for (; row < end; row += ABREAST) {                                                      \
      const int64_t abreast = am_min_i64(ABREAST, end - row);                                \
      for (int64_t j = 0; j < k->c; j += AM_CPU_LANES) {                                     \
        am_cpu_lanes sum_a = AM_CPU_LOAD(a + j), sum_b = AM_CPU_LOAD(b + j);                 \
        if (abreast == ABREAST) {                                                            \
          for (int64_t r = 0; r < ABREAST; r++) row_step(k, (row + r) * k->c + j, j, &sum_a, &sum_b); \
        } else {                                                                             \
          for (int64_t r = 0; r < abreast; r++) row_step(k, (row + r) * k->c + j, j, &sum_a, &sum_b); \
        }                                                                                    \
        *(am_cpu_lanes *)(a + j) = sum_a;                                                    \
        *(am_cpu_lanes *)(b + j) = sum_b;                                                    \
      }                                                                                      \
    }                                                                                        \
  }

// The sums of a chunk, piece by piece.
typedef void (*sum_rows_fn)(const rows_args *k, int64_t row, int64_t end, float *a, float *b);
static void sum_chunks(const rows_args *k, int64_t begin, int64_t end, sum_rows_fn sum_rows) {
  for (int64_t i = begin; i < end; i++) {
    const int64_t last = am_min_i64(k->rows, (i + 1) * k->chunk), area = i * 2 * k->lanes;
    double *restrict sum = k->sums + area;
    float *restrict part = k->part + area;
    for (int64_t j = 0; j < 2 * k->lanes; j++) sum[j] = 0;
    for (int64_t row = i * k->chunk; row < last; row += AM_CPU_SUM_PIECE) {
      sum_rows(k, row, am_min_i64(last, row + AM_CPU_SUM_PIECE), part, part + k->lanes);
      for (int64_t j = 0; j < 2 * k->lanes; j++) sum[j] += part[j];
    }
  }
}

// The two sums of channel j over all chunks.
static void whole_sums(const rows_args *k, int64_t j, double *a, double *b) {
  *a = *b = 0;
  for (int64_t i = 0; i < k->chunks; i++) {
    *a += k->sums[i * 2 * k->lanes + j];
    *b += k->sums[(i * 2 + 1) * k->lanes + j];
  }
}

// Calls step for sixteen channels of every row of the chunks; `count` of them are channels.
#define EACH_ROW(name, step)                                                        \
  AM_CPU_BF16_TARGET static void name(const void *arg, int64_t begin, int64_t end) { \
    const rows_args *k = arg;                                                       \
    const int64_t last = am_min_i64(k->rows, end * k->chunk);                       \
    for (int64_t row = begin * k->chunk; row < last; row++) {                       \
      for (int64_t j = 0; j < k->c; j += AM_CPU_LANES) step(k, row * k->c + j, j);  \
    }                                                                               \
  }

AM_CPU_BF16_INLINE am_cpu_lanes activated(am_cpu_lanes v, float slope) {
  return am_cpu_positive(v, v, v * slope);
}

// ---- statistics, and y = act((x - mean) * scale + shift [+ residual]) ----

// `mean` is the pivot here.
AM_CPU_BF16_INLINE void moment_step(const rows_args *k, int64_t at, int64_t j, am_cpu_lanes *a, am_cpu_lanes *b) {
  const am_cpu_lanes d = am_cpu_widen_part(k->x + at, k->c - j) - AM_CPU_LOAD(k->mean + j);
  *a += d;
  *b += d * d;
}
SUM_ROWS(moments, moment_step)
static void moments_range(const void *arg, int64_t begin, int64_t end) { sum_chunks(arg, begin, end, moments); }

AM_CPU_BF16_INLINE void affine_step(const rows_args *k, int64_t at, int64_t j) {
  const am_cpu_lanes x = am_cpu_widen_part(k->x + at, k->c - j);
  const am_cpu_lanes v = (x - AM_CPU_LOAD(k->mean + j)) * AM_CPU_LOAD(k->scale + j) + AM_CPU_LOAD(k->shift + j);
  am_cpu_narrow_part(activated(v, k->slope), k->out + at, k->c - j);
}
EACH_ROW(affine_range, affine_step)

AM_CPU_BF16_INLINE void affine_add_step(const rows_args *k, int64_t at, int64_t j) {
  const am_cpu_lanes x = am_cpu_widen_part(k->x + at, k->c - j);
  const am_cpu_lanes v = (x - AM_CPU_LOAD(k->mean + j)) * AM_CPU_LOAD(k->scale + j) + AM_CPU_LOAD(k->shift + j);
  am_cpu_narrow_part(activated(v + am_cpu_widen_part(k->residual + at, k->c - j), k->slope), k->out + at,
                     k->c - j);
}
EACH_ROW(affine_add_range, affine_add_step)

AM_CPU_BF16_TARGET static void find_pivot(const rows_args *k, float *pivot) {
  const int64_t rows = am_min_i64(k->rows, PIVOT);
  for (int64_t j = 0; j < k->c; j += AM_CPU_LANES) {
    am_cpu_lanes sum = {0};
    for (int64_t r = 0; r < rows; r++) sum += am_cpu_widen_part(k->x + r * k->c + j, k->c - j);
    *(am_cpu_lanes *)(pivot + j) = sum / (float)rows;
  }
}

static void find_statistics(const am_cpu *cpu, rows_args *k, double eps, float *pivot, float *mean,
                            float *inv_std) {
  find_pivot(k, pivot);
  k->mean = pivot;
  am_cpu_for(cpu, k->chunks, rows_grain(k), moments_range, k);
  for (int64_t j = 0; j < k->c; j++) {
    double sum, square;
    whole_sums(k, j, &sum, &square);
    const double away = sum / (double)k->rows, variance = square / (double)k->rows - away * away;
    mean[j] = (float)(pivot[j] + away);
    inv_std[j] = (float)(1.0 / sqrt((variance > 0 ? variance : 0) + eps));
  }
}

am_err am_cpu_batch_norm_bf16(am_cpu *cpu, const am_norm_desc *desc, const am_view *in, const am_view *residual,
                              am_view *out) {
  rows_args k = rows_of(&in[0]);
  float *mean = NULL, *of_channel = out[1].data, *inv_std = out[2].data;
  AM_TRY(channel_rows(cpu, &k, 3, &mean));
  AM_TRY(sum_memory(cpu, &k));
  float *scale = mean + k.lanes, *shift = scale + k.lanes;
  find_statistics(cpu, &k, desc->eps, mean, of_channel, inv_std);
  to_lanes(&k, of_channel, mean);
  to_lanes(&k, in[1].data, scale);
  to_lanes(&k, in[2].data, shift);
  for (int64_t j = 0; j < k.c; j++) scale[j] *= inv_std[j];
  k.scale = scale;
  k.shift = shift;
  k.slope = am_cpu_slope(desc->act);
  k.residual = residual ? residual->data : NULL;
  k.out = out[0].data;
  am_cpu_for(cpu, k.chunks, rows_grain(&k), residual ? affine_add_range : affine_range, &k);
  return AM_OK;
}

am_err am_cpu_scale_shift_bf16(am_cpu *cpu, const am_view *x, const am_view *scale, const am_view *shift,
                               const am_bf16 *residual, am_activation act, am_view *out) {
  rows_args k = rows_of(x);
  float *mean = NULL;
  AM_TRY(channel_rows(cpu, &k, 3, &mean));
  float *factor = mean + k.lanes, *term = factor + k.lanes;
  for (int64_t j = 0; j < k.lanes; j++) {
    mean[j] = 0;
    factor[j] = 1;
  }
  if (scale) to_lanes(&k, scale->data, factor);
  to_lanes(&k, shift->data, term);
  k.mean = mean;
  k.scale = factor;
  k.shift = term;
  k.slope = am_cpu_slope(act);
  k.residual = residual;
  k.out = out->data;
  am_cpu_for(cpu, k.chunks, rows_grain(&k), residual ? affine_add_range : affine_range, &k);
  return AM_OK;
}

// ---- gradients ----

AM_CPU_BF16_INLINE am_cpu_lanes passed(const rows_args *k, am_cpu_lanes dy, am_cpu_lanes centred, int64_t j) {
  const am_cpu_lanes v = centred * AM_CPU_LOAD(k->scale + j) + AM_CPU_LOAD(k->shift + j);
  return am_cpu_positive(v, dy, dy * k->slope);
}

// Sums of dy before the activation and of its product with x - mean.
AM_CPU_BF16_INLINE void grad_sum_step(const rows_args *k, int64_t at, int64_t j, am_cpu_lanes *a,
                                      am_cpu_lanes *b) {
  const am_cpu_lanes centred = am_cpu_widen_part(k->x + at, k->c - j) - AM_CPU_LOAD(k->mean + j);
  const am_cpu_lanes g = passed(k, am_cpu_widen_part(k->dy + at, k->c - j), centred, j);
  *a += g;
  *b += g * centred;
}
SUM_ROWS(grad_sums, grad_sum_step)
static void grad_sums_range(const void *arg, int64_t begin, int64_t end) {
  sum_chunks(arg, begin, end, grad_sums);
}

// The same behind a residual, from the sign of y; writes dresidual.
AM_CPU_BF16_INLINE void grad_add_sum_step(const rows_args *k, int64_t at, int64_t j, am_cpu_lanes *a,
                                          am_cpu_lanes *b) {
  const am_cpu_lanes centred = am_cpu_widen_part(k->x + at, k->c - j) - AM_CPU_LOAD(k->mean + j);
  const am_cpu_lanes dy = am_cpu_widen_part(k->dy + at, k->c - j);
  const am_cpu_lanes g = am_cpu_positive(am_cpu_widen_part(k->y + at, k->c - j), dy, dy * k->slope);
  am_cpu_narrow_part(g, k->dresidual + at, k->c - j);
  *a += g;
  *b += g * centred;
}
SUM_ROWS(grad_add_sums, grad_add_sum_step)
static void grad_add_sums_range(const void *arg, int64_t begin, int64_t end) {
  sum_chunks(arg, begin, end, grad_add_sums);
}

// dx = (g - from_dy - (x - mean) * from_x) * scale
AM_CPU_BF16_INLINE void write_dx(const rows_args *k, int64_t at, int64_t j, am_cpu_lanes g, am_cpu_lanes centred) {
  const am_cpu_lanes dx = (g - AM_CPU_LOAD(k->from_dy + j) - centred * AM_CPU_LOAD(k->from_x + j)) *
                          AM_CPU_LOAD(k->scale + j);
  am_cpu_narrow_part(dx, k->out + at, k->c - j);
}
AM_CPU_BF16_INLINE void grad_step(const rows_args *k, int64_t at, int64_t j) {
  const am_cpu_lanes centred = am_cpu_widen_part(k->x + at, k->c - j) - AM_CPU_LOAD(k->mean + j);
  write_dx(k, at, j, passed(k, am_cpu_widen_part(k->dy + at, k->c - j), centred, j), centred);
}
EACH_ROW(grad_range, grad_step)
AM_CPU_BF16_INLINE void grad_add_step(const rows_args *k, int64_t at, int64_t j) {
  const am_cpu_lanes centred = am_cpu_widen_part(k->x + at, k->c - j) - AM_CPU_LOAD(k->mean + j);
  write_dx(k, at, j, am_cpu_widen_part(k->dresidual + at, k->c - j), centred);
}
EACH_ROW(grad_add_range, grad_add_step)

am_err am_cpu_batch_norm_grad_bf16(am_cpu *cpu, const am_norm_desc *desc, const am_cpu_norm_grad *g) {
  rows_args k = rows_of(g->x);
  float *mean = NULL, *dgamma = g->dgamma->data, *dbeta = g->dbeta->data;
  const float *inv_std = g->inv_std->data;
  AM_TRY(channel_rows(cpu, &k, 5, &mean));
  AM_TRY(sum_memory(cpu, &k));
  float *scale = mean + k.lanes, *shift = scale + k.lanes, *from_dy = shift + k.lanes, *from_x = from_dy + k.lanes;
  to_lanes(&k, g->mean->data, mean);
  to_lanes(&k, g->gamma->data, scale);
  for (int64_t j = 0; j < k.c; j++) scale[j] *= inv_std[j];
  if (g->beta) to_lanes(&k, g->beta->data, shift);
  k.dy = g->dy->data;
  k.y = g->y ? g->y->data : NULL;
  k.dresidual = g->y ? g->dresidual->data : NULL;
  k.out = g->dx->data;
  k.mean = mean;
  k.scale = scale;
  k.shift = shift;
  k.from_dy = from_dy;
  k.from_x = from_x;
  k.slope = am_cpu_slope(desc->act);
  am_cpu_for(cpu, k.chunks, rows_grain(&k), k.y ? grad_add_sums_range : grad_sums_range, &k);
  for (int64_t j = 0; j < k.c; j++) {
    double sum, along;
    whole_sums(&k, j, &sum, &along);
    dbeta[j] = (float)sum;
    dgamma[j] = (float)(along * inv_std[j]);
    from_dy[j] = (float)(sum / (double)k.rows);
    from_x[j] = (float)(along * inv_std[j] * inv_std[j] / (double)k.rows);
  }
  for (int64_t j = k.c; j < k.lanes; j++) from_dy[j] = from_x[j] = 0;
  am_cpu_for(cpu, k.chunks, rows_grain(&k), k.y ? grad_add_range : grad_range, &k);
  return AM_OK;
}

// ---- the gradient of a bias and an activation ----

// Writes dx and adds it up.
AM_CPU_BF16_INLINE void bias_grad_step(const rows_args *k, int64_t at, int64_t j, am_cpu_lanes *a,
                                       am_cpu_lanes *b) {
  const am_cpu_lanes dy = am_cpu_widen_part(k->dy + at, k->c - j);
  const am_cpu_lanes g = am_cpu_positive(am_cpu_widen_part(k->y + at, k->c - j), dy, dy * k->slope);
  (void)b;
  am_cpu_narrow_part(g, k->out + at, k->c - j);
  *a += g;
}
SUM_ROWS(bias_grad, bias_grad_step)
static void bias_grad_range(const void *arg, int64_t begin, int64_t end) {
  sum_chunks(arg, begin, end, bias_grad);
}

am_err am_cpu_bias_act_grad_bf16(am_cpu *cpu, am_activation act, const am_view *in, am_view *out) {
  rows_args k = rows_of(&in[0]);
  float *dbias = out[1].data;
  AM_TRY(sum_memory(cpu, &k));
  k.dy = in[0].data;
  k.y = in[1].data;
  k.out = out[0].data;
  k.slope = am_cpu_slope(act);
  am_cpu_for(cpu, k.chunks, rows_grain(&k), bias_grad_range, &k);
  for (int64_t j = 0; j < k.c; j++) {
    double sum, unused;
    whole_sums(&k, j, &sum, &unused);
    dbias[j] = (float)sum;
  }
  return AM_OK;
}
