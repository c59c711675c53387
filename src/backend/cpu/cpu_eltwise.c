// Elementwise ops: unary, binary with broadcasting, axpby, running statistics.
#include <math.h>

#include "backend/cpu/cpu_bf16.h"
#include "backend/cpu/cpu_nest.h"

// ---- unary ----

typedef struct {
  const float *x;
  float *y;
  float a, b;
} unary_args;

#define UNARY_LOOP(name, expr)                                                     \
  AM_CPU_KERNEL static void name(const void *arg, int64_t begin, int64_t end) {    \
    const unary_args *k = arg;                                                     \
    const float *restrict x = k->x;                                                \
    float *restrict y = k->y;                                                      \
    const float a = k->a, b = k->b;                                                \
    (void)a, (void)b;                                                              \
    for (int64_t i = begin; i < end; i++) {                                        \
      const float v = x[i];                                                        \
      y[i] = (expr);                                                               \
    }                                                                              \
  }
UNARY_LOOP(unary_affine, a * v + b)
UNARY_LOOP(unary_exp, expf(v))
UNARY_LOOP(unary_log, logf(v))
UNARY_LOOP(unary_sqrt, sqrtf(v))
UNARY_LOOP(unary_rsqrt, 1.0f / sqrtf(v))
UNARY_LOOP(unary_recip, 1.0f / v)
UNARY_LOOP(unary_square, v *v)
UNARY_LOOP(unary_abs, fabsf(v))
UNARY_LOOP(unary_sign, v > 0 ? 1.0f : v < 0 ? -1.0f : v)
UNARY_LOOP(unary_tanh, tanhf(v))
UNARY_LOOP(unary_sigmoid, v >= 0 ? 1.0f / (1.0f + expf(-v)) : expf(v) / (1.0f + expf(v)))
UNARY_LOOP(unary_softplus, (v > 0 ? v : 0.0f) + log1pf(expf(-fabsf(v))))
UNARY_LOOP(unary_leaky_relu, v > 0 ? v : a * v)
UNARY_LOOP(unary_clamp, (v < a ? a : v) > b ? b : (v < a ? a : v))
UNARY_LOOP(unary_step, v > a ? 1.0f : 0.0f)

static const am_cpu_range_fn unary_loop[] = {
    [AM_UN_AFFINE] = unary_affine,     [AM_UN_EXP] = unary_exp,
    [AM_UN_LOG] = unary_log,           [AM_UN_SQRT] = unary_sqrt,
    [AM_UN_RSQRT] = unary_rsqrt,       [AM_UN_RECIP] = unary_recip,
    [AM_UN_SQUARE] = unary_square,     [AM_UN_ABS] = unary_abs,
    [AM_UN_SIGN] = unary_sign,         [AM_UN_TANH] = unary_tanh,
    [AM_UN_SIGMOID] = unary_sigmoid,   [AM_UN_SOFTPLUS] = unary_softplus,
    [AM_UN_LEAKY_RELU] = unary_leaky_relu, [AM_UN_CLAMP] = unary_clamp,
    [AM_UN_STEP] = unary_step,
};

am_err am_cpu_unary(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_unary_bf16(ctx, desc, in, out);
  const unary_args args = {in[0].data, out[0].data, (float)desc->a, (float)desc->b};
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN, unary_loop[desc->kind], &args);
  return AM_OK;
}

// ---- binary ----

// Rows of `cols` elements: operands advance by 0 or 1 along a row.
typedef struct {
  const float *p, *q;
  float *y;
  int64_t rows, cols, p_row, q_row, y_row;
  bool p_moves, q_moves;
  float a;
} binary_rows;
typedef void (*binary_fn)(const binary_rows *k);

#define BINARY_LOOP(name, expr)                                       \
  AM_CPU_KERNEL static void name(const binary_rows *k) {              \
    const float a = k->a;                                             \
    const int64_t cols = k->cols;                                     \
    (void)a;                                                          \
    for (int64_t r = 0; r < k->rows; r++) {                           \
      const float *restrict ps = k->p + r * k->p_row;                 \
      const float *restrict qs = k->q + r * k->q_row;                 \
      float *restrict ys = k->y + r * k->y_row;                       \
      if (k->p_moves && k->q_moves) {                                 \
        for (int64_t i = 0; i < cols; i++) {                          \
          const float p = ps[i], q = qs[i];                           \
          ys[i] = (expr);                                             \
        }                                                             \
      } else if (k->p_moves) {                                        \
        const float q = qs[0];                                        \
        for (int64_t i = 0; i < cols; i++) {                          \
          const float p = ps[i];                                      \
          ys[i] = (expr);                                             \
        }                                                             \
      } else {                                                        \
        const float p = ps[0];                                        \
        for (int64_t i = 0; i < cols; i++) {                          \
          const float q = qs[k->q_moves ? i : 0];                     \
          ys[i] = (expr);                                             \
        }                                                             \
      }                                                               \
    }                                                                 \
  }
BINARY_LOOP(binary_add, p + q)
BINARY_LOOP(binary_sub, p - q)
BINARY_LOOP(binary_mul, p *q)
BINARY_LOOP(binary_div, p / q)
BINARY_LOOP(binary_max, p > q || p != p ? p : q)
BINARY_LOOP(binary_min, p < q || p != p ? p : q)
BINARY_LOOP(binary_leaky_grad, q > 0 ? p : a * p)
BINARY_LOOP(binary_tanh_grad, p *(1.0f - q * q))
BINARY_LOOP(binary_sigmoid_grad, p *q *(1.0f - q))

static const binary_fn binary_loop[] = {
    [AM_BIN_ADD] = binary_add,   [AM_BIN_SUB] = binary_sub,
    [AM_BIN_MUL] = binary_mul,   [AM_BIN_DIV] = binary_div,
    [AM_BIN_MAX] = binary_max,   [AM_BIN_MIN] = binary_min,
    [AM_BIN_LEAKY_GRAD] = binary_leaky_grad,
    [AM_BIN_TANH_GRAD] = binary_tanh_grad,
    [AM_BIN_SIGMOID_GRAD] = binary_sigmoid_grad,
};

typedef struct {
  am_cpu_nest nest;  // operand 0: y, 1: p, 2: q
  const float *p, *q;
  float *y, a;
  binary_fn fn;
} binary_args;

// Ranges of one long row.
static void binary_flat(const void *arg, int64_t begin, int64_t end) {
  const binary_args *k = arg;
  const int64_t *stride = k->nest.stride[k->nest.ndim - 1];
  const binary_rows rows = {.p = k->p + begin * stride[1], .q = k->q + begin * stride[2],
                            .y = k->y + begin, .rows = 1, .cols = end - begin, .p_moves = stride[1],
                            .q_moves = stride[2], .a = k->a};
  k->fn(&rows);
}

// Ranges of rows, taken in runs along the last but one dimension.
static void binary_nest(const void *arg, int64_t begin, int64_t end) {
  const binary_args *k = arg;
  const am_cpu_nest *nest = &k->nest;
  const int64_t *col = nest->stride[nest->ndim - 1], *row = nest->stride[nest->ndim - 2];
  for (int64_t at = begin; at < end;) {
    int64_t offset[AM_CPU_NEST_OPERANDS];
    const int64_t run = am_cpu_nest_rows(nest, at, end, offset);
    const binary_rows rows = {.p = k->p + offset[1], .q = k->q + offset[2], .y = k->y + offset[0],
                              .rows = run, .cols = nest->dim[nest->ndim - 1],
                              .p_row = row[1], .q_row = row[2], .y_row = row[0],
                              .p_moves = col[1], .q_moves = col[2], .a = k->a};
    k->fn(&rows);
    at += run;
  }
}

am_err am_cpu_binary(void *ctx, const am_binary_desc *desc, const am_view *in, am_view *out) {
  if (in->dtype == AM_BF16) return am_cpu_binary_bf16(ctx, desc, in, out);
  binary_args args = {.p = in[0].data, .q = in[1].data, .y = out[0].data,
                      .a = (float)desc->a, .fn = binary_loop[desc->kind]};
  args.nest = am_cpu_nest_broadcast(&out[0], in, 2);
  const int64_t count = am_cpu_count(&out[0]);
  if (count == 0) return AM_OK;
  if (args.nest.ndim == 1) {
    am_cpu_for(ctx, count, AM_CPU_GRAIN, binary_flat, &args);
    return AM_OK;
  }
  const int64_t cols = args.nest.dim[args.nest.ndim - 1];
  am_cpu_for(ctx, count / cols, am_cpu_grain(cols), binary_nest, &args);
  return AM_OK;
}

// ---- axpby ----

typedef struct {
  const float *x;
  float *y;
  float a, b;
} axpby_args;

AM_CPU_KERNEL static void axpby_range(const void *arg, int64_t begin, int64_t end) {
  const axpby_args *k = arg;
  const float *restrict x = k->x;
  float *restrict y = k->y;
  const float a = k->a, b = k->b;
  if (b == 0) {
    for (int64_t i = begin; i < end; i++) y[i] = a * x[i];
  } else {
    for (int64_t i = begin; i < end; i++) y[i] = a * x[i] + b * y[i];
  }
}

am_err am_cpu_axpby(void *ctx, const am_axpby_desc *desc, const am_view *in, am_view *out) {
  const axpby_args args = {in[0].data, out[0].data, (float)desc->a, (float)desc->b};
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN, axpby_range, &args);
  return AM_OK;
}

// ---- running statistics ----

am_err am_cpu_running_stats(void *ctx, const am_running_desc *desc, const am_view *in, am_view *out) {
  const float take = (float)desc->momentum, keep = (float)(1 - desc->momentum);
  const float unbias = (float)desc->unbias, less = (float)(-desc->unbias * desc->eps);
  const float *mean = in[0].data, *inv_std = in[1].data;
  float *running_mean = out[0].data, *running_var = out[1].data;
  const int64_t count = am_cpu_count(&in[0]);
  for (int64_t i = 0; i < count; i++) {
    const float var = unbias * (1 / (inv_std[i] * inv_std[i])) + less;
    running_mean[i] = take * mean[i] + (keep == 0 ? 0 : keep * running_mean[i]);
    running_var[i] = take * var + (keep == 0 ? 0 : keep * running_var[i]);
  }
  return AM_OK;
}
