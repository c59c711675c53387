#include "backend/ref/ref.h"
#include "tensor/resample_rules.h"

// ---- upsample, filter, downsample ----

// Value `at` of a row or column with up - 1 zeros behind every pixel lies at this pixel; -1: it is one of the zeros, or outside.
static int64_t pixel_at(int64_t at, int64_t up, int64_t length) {
  return at >= 0 && at % up == 0 && at / up < length ? at / up : -1;
}

static double filtered(const am_upfirdn2d_desc *d, const am_view *x, const am_view *filter,
                       const int64_t at[AM_MAX_DIM]) {
  const int64_t kh = filter->shape.dim[0], kw = filter->shape.dim[1];
  double sum = 0;
  for (int64_t ky = 0; ky < kh; ky++) {
    for (int64_t kx = 0; kx < kw; kx++) {
      const int64_t row = pixel_at(at[2] * d->down_h + ky - d->pad_top, d->up_h, x->shape.dim[2]);
      const int64_t col = pixel_at(at[3] * d->down_w + kx - d->pad_left, d->up_w, x->shape.dim[3]);
      const int64_t tap = d->flip_filter ? ky * kw + kx : (kh - 1 - ky) * kw + kw - 1 - kx;
      if (row < 0 || col < 0) continue;
      sum += am_ref_get(filter, tap) * am_ref_get(x, am_ref_at(x, at[0], at[1], row, col));
    }
  }
  return sum * d->gain;
}

am_err am_ref_upfirdn2d(void *ctx, const am_upfirdn2d_desc *desc, const am_view *in, am_view *out) {
  const int64_t count = am_shape_count(out->shape);
  int64_t at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    am_ref_put(out, i, filtered(desc, &in[0], &in[1], at));
  }
  return AM_OK;
}

// ---- interpolation ----

typedef struct {
  am_resample_axis row, col;
} axes;

static axes axes_of(const am_resample2d_desc *d, const am_view *large, const am_view *result) {
  const int64_t *x = large->shape.dim, *y = result->shape.dim;
  return (axes){am_resample_axis_of(d->kind, x[2], y[2]), am_resample_axis_of(d->kind, x[3], y[3])};
}

am_err am_ref_resample2d(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  const axes a = axes_of(desc, in, out);
  const int64_t count = am_shape_count(out->shape);
  int64_t at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    const am_resample_place p = am_resample_at(&a.row, at[2]), q = am_resample_at(&a.col, at[3]);
    double sum = 0;
    for (int64_t row = p.first; row <= p.second; row++) {
      for (int64_t col = q.first; col <= q.second; col++) {
        sum += am_resample_weight(p, row) * am_resample_weight(q, col) *
               am_ref_get(in, am_ref_at(in, at[0], at[1], row, col));
      }
    }
    am_ref_put(out, i, sum);
  }
  return AM_OK;
}

// dx of one element: what every pixel of the result took of it.
static double taken(const axes *a, const am_view *dy, const int64_t at[AM_MAX_DIM]) {
  double sum = 0;
  for (int64_t row = 0; row < a->row.out; row++) {
    const double down = am_resample_weight(am_resample_at(&a->row, row), at[2]);
    for (int64_t col = 0; down != 0 && col < a->col.out; col++) {
      const double across = am_resample_weight(am_resample_at(&a->col, col), at[3]);
      if (across != 0) sum += down * across * am_ref_get(dy, am_ref_at(dy, at[0], at[1], row, col));
    }
  }
  return sum;
}

am_err am_ref_resample2d_grad(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  const axes a = axes_of(desc, out, in);
  const int64_t count = am_shape_count(out->shape);
  int64_t at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    am_ref_put(out, i, taken(&a, in, at));
  }
  return AM_OK;
}
