// Convolution by its definition (Dumoulin and Visin, "A guide to convolution arithmetic", 2016):
//   y[n, o, p, q] = sum_{i, r, s} x[n, i, p*stride + r*dilation - pad, ...] * w[o, i, r, s]
// with i over the input channels of o's group. Both gradients visit the same products.
#include "backend/ref/ref.h"

// The geometry of one convolution, whichever of x, w and y is the result.
typedef struct {
  const am_conv2d_desc *d;
  int64_t batch, groups, ci, co;        // ci, co: channels of one group
  int64_t h, w, kernel_h, kernel_w, ho, wo;
} conv;

static conv conv_of(const am_conv2d_desc *d, am_shape x, am_shape w, am_shape y) {
  return (conv){.d = d, .batch = x.dim[0], .groups = d->groups, .ci = w.dim[1], .co = w.dim[0] / d->groups,
                .h = x.dim[2], .w = x.dim[3], .kernel_h = w.dim[2], .kernel_w = w.dim[3], .ho = y.dim[2],
                .wo = y.dim[3]};
}

// Input row (or column) under tap r of output row p; outside [0, length) it is padding.
static int64_t tap_h(const conv *c, int64_t p, int64_t r) {
  return p * c->d->stride_h + r * c->d->dilation_h - c->d->pad_h;
}
static int64_t tap_w(const conv *c, int64_t q, int64_t s) {
  return q * c->d->stride_w + s * c->d->dilation_w - c->d->pad_w;
}
static bool inside(int64_t i, int64_t length) { return i >= 0 && i < length; }

// One element of y.
static double convolved(const conv *c, const am_view *x, const am_view *w, const int64_t at[AM_MAX_DIM]) {
  int64_t group = at[1] / c->co;
  double sum = 0;
  for (int64_t i = 0; i < c->ci; i++) {
    for (int64_t r = 0; r < c->kernel_h; r++) {
      for (int64_t s = 0; s < c->kernel_w; s++) {
        int64_t row = tap_h(c, at[2], r), col = tap_w(c, at[3], s);
        if (!inside(row, c->h) || !inside(col, c->w)) continue;
        sum += am_ref_get(x, am_ref_at(x, at[0], group * c->ci + i, row, col)) *
               am_ref_get(w, am_ref_at(w, at[1], i, r, s));
      }
    }
  }
  return sum;
}

am_err am_ref_conv2d(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  conv c = conv_of(desc, in[0].shape, in[1].shape, out->shape);
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t e = 0; e < count; e++) {
    am_ref_unravel(out->shape, e, at);
    am_ref_put(out, e, convolved(&c, &in[0], &in[1], at));
  }
  return AM_OK;
}

static void conv2d_affine(const am_conv2d_affine_desc *desc, const am_view *in, const am_view *residual,
                          am_view *out) {
  conv c = conv_of(&desc->conv, in[0].shape, in[1].shape, out->shape);
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t e = 0; e < count; e++) {
    am_ref_unravel(out->shape, e, at);
    double v = convolved(&c, &in[0], &in[1], at) * am_ref_get(&in[2], at[1]) + am_ref_get(&in[3], at[1]);
    if (residual) v += am_ref_get(residual, e);
    am_ref_put(out, e, desc->act.on && !(v > 0) ? v * desc->act.slope : v);
  }
}

am_err am_ref_conv2d_affine(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in, am_view *out) {
  conv2d_affine(desc, in, NULL, out);
  return AM_OK;
}

am_err am_ref_conv2d_affine_add(void *ctx, const am_conv2d_affine_desc *desc, const am_view *in,
                                am_view *out) {
  conv2d_affine(desc, in, &in[4], out);
  return AM_OK;
}

// The output position whose tap r falls on input position i, or -1 when there is none.
static int64_t source(int64_t i, int64_t r, int64_t stride, int64_t dilation, int64_t pad, int64_t length) {
  int64_t shifted = i + pad - r * dilation;
  if (shifted < 0 || shifted % stride != 0 || shifted / stride >= length) return -1;
  return shifted / stride;
}

am_err am_ref_conv2d_grad_input(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_view *dy = &in[0], *w = &in[1];
  conv c = conv_of(desc, out->shape, w->shape, dy->shape);
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t e = 0; e < count; e++) {
    am_ref_unravel(out->shape, e, at);
    int64_t group = at[1] / c.ci, i = at[1] % c.ci;
    double sum = 0;
    for (int64_t o = group * c.co; o < (group + 1) * c.co; o++) {
      for (int64_t r = 0; r < c.kernel_h; r++) {
        for (int64_t s = 0; s < c.kernel_w; s++) {
          int64_t p = source(at[2], r, desc->stride_h, desc->dilation_h, desc->pad_h, c.ho);
          int64_t q = source(at[3], s, desc->stride_w, desc->dilation_w, desc->pad_w, c.wo);
          if (p < 0 || q < 0) continue;
          sum += am_ref_get(dy, am_ref_at(dy, at[0], o, p, q)) * am_ref_get(w, am_ref_at(w, o, i, r, s));
        }
      }
    }
    am_ref_put(out, e, sum);
  }
  return AM_OK;
}

am_err am_ref_conv2d_grad_weight(void *ctx, const am_conv2d_desc *desc, const am_view *in, am_view *out) {
  const am_view *dy = &in[0], *x = &in[1];
  conv c = conv_of(desc, x->shape, out->shape, dy->shape);
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t e = 0; e < count; e++) {
    am_ref_unravel(out->shape, e, at);
    int64_t channel = at[0] / c.co * c.ci + at[1];
    double sum = 0;
    for (int64_t n = 0; n < c.batch; n++) {
      for (int64_t p = 0; p < c.ho; p++) {
        for (int64_t q = 0; q < c.wo; q++) {
          int64_t row = tap_h(&c, p, at[2]), col = tap_w(&c, q, at[3]);
          if (!inside(row, c.h) || !inside(col, c.w)) continue;
          sum += am_ref_get(dy, am_ref_at(dy, n, at[0], p, q)) *
                 am_ref_get(x, am_ref_at(x, n, channel, row, col));
        }
      }
    }
    am_ref_put(out, e, sum);
  }
  return AM_OK;
}
