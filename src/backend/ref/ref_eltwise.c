#include <math.h>

#include "backend/ref/ref.h"

static double unary(const am_unary_desc *d, double x) {
  switch (d->kind) {
    case AM_UN_AFFINE: return d->a * x + d->b;
    case AM_UN_EXP: return exp(x);
    case AM_UN_LOG: return log(x);
    case AM_UN_SQRT: return sqrt(x);
    case AM_UN_RSQRT: return 1 / sqrt(x);
    case AM_UN_RECIP: return 1 / x;
    case AM_UN_SQUARE: return x * x;
    case AM_UN_ABS: return fabs(x);
    case AM_UN_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;  // zeros and NaN stay
    case AM_UN_TANH: return tanh(x);
    case AM_UN_SIGMOID: return 1 / (1 + exp(-x));
    case AM_UN_SOFTPLUS: return (x > 0 ? x : 0) + log1p(exp(-fabs(x)));
    case AM_UN_LEAKY_RELU: return x > 0 ? x : d->a * x;
    case AM_UN_CLAMP: return x < d->a ? d->a : x > d->b ? d->b : x;  // NaN stays
    case AM_UN_STEP: return x > d->a ? 1 : 0;
  }
  return NAN;
}

static double binary(const am_binary_desc *d, double p, double q) {
  switch (d->kind) {
    case AM_BIN_ADD: return p + q;
    case AM_BIN_SUB: return p - q;
    case AM_BIN_MUL: return p * q;
    case AM_BIN_DIV: return p / q;
    case AM_BIN_MAX: return p > q || isnan(p) ? p : q;
    case AM_BIN_MIN: return p < q || isnan(p) ? p : q;
    case AM_BIN_LEAKY_GRAD: return q > 0 ? p : d->a * p;
    case AM_BIN_TANH_GRAD: return p * (1 - q * q);
    case AM_BIN_SIGMOID_GRAD: return p * q * (1 - q);
  }
  return NAN;
}

am_err am_ref_unary(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  for (int64_t i = 0; i < count; i++) am_ref_put(out, i, unary(desc, am_ref_get(in, i)));
  return AM_OK;
}

// Coordinates of an operand with fewer dimensions start at the last axes: numpy's rule.
am_err am_ref_binary(void *ctx, const am_binary_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  const am_view *p = &in[0], *q = &in[1];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    int64_t ip = am_ref_ravel(p->shape, at + out->shape.ndim - p->shape.ndim);
    int64_t iq = am_ref_ravel(q->shape, at + out->shape.ndim - q->shape.ndim);
    am_ref_put(out, i, binary(desc, am_ref_get(p, ip), am_ref_get(q, iq)));
  }
  return AM_OK;
}
