#include <math.h>

#include "backend/ref/ref.h"
#include "base/num.h"

// The part of an input plane under one window: rows [h0, h1), columns [w0, w1). Never empty, since
// a pad is at most half a window.
typedef struct {
  int64_t h0, h1, w0, w1;
} window;

static window window_at(const am_pool2d_desc *d, int64_t p, int64_t q, int64_t h, int64_t w) {
  int64_t top = p * d->stride_h - d->pad_h, left = q * d->stride_w - d->pad_w;
  return (window){.h0 = am_max_i64(top, 0), .h1 = am_min_i64(top + d->kernel_h, h),
                  .w0 = am_max_i64(left, 0), .w1 = am_min_i64(left + d->kernel_w, w)};
}

// Place in the plane of the first maximum in row-major order; NaN is the maximum, as in PyTorch.
static int64_t place_of_max(const am_view *x, int64_t plane, window v) {
  int64_t width = x->shape.dim[3], best = v.h0 * width + v.w0;
  double max = am_ref_get(x, plane + best);
  for (int64_t row = v.h0; row < v.h1; row++) {
    for (int64_t col = v.w0; col < v.w1; col++) {
      double value = am_ref_get(x, plane + row * width + col);
      if (value > max || isnan(value)) {
        max = value;
        best = row * width + col;
      }
    }
  }
  return best;
}

// chosen: NULL where nobody asks for it.
static void max_pool(const am_pool2d_desc *desc, const am_view *in, am_view *out, int32_t *chosen) {
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    int64_t plane = am_ref_at(in, at[0], at[1], 0, 0);
    window v = window_at(desc, at[2], at[3], in->shape.dim[2], in->shape.dim[3]);
    int64_t place = place_of_max(in, plane, v);
    am_ref_put(&out[0], i, am_ref_get(in, plane + place));
    if (chosen) chosen[i] = (int32_t)place;
  }
}

am_err am_ref_max_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  max_pool(desc, in, &out[0], out[1].data);
  return AM_OK;
}

am_err am_ref_max_pool2d_values(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  max_pool(desc, in, &out[0], NULL);
  return AM_OK;
}

// Place i of `index` refers to, in a plane of `plane` elements.
static am_err place_in_plane(const am_view *index, int64_t i, int64_t plane, int64_t *place) {
  *place = ((const int32_t *)index->data)[i];
  AM_CHECK(*place >= 0 && *place < plane, AM_ERR_ARG, "index %lld is %lld, a plane has %lld elements",
           (long long)i, (long long)*place, (long long)plane);
  return AM_OK;
}

am_err am_ref_pool_scatter(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  int64_t plane = desc->in_h * desc->in_w, place;
  int64_t window_count = in->shape.dim[2] * in->shape.dim[3];
  int64_t count = am_shape_count(in->shape), out_count = am_shape_count(out->shape);
  for (int64_t i = 0; i < out_count; i++) am_ref_put(out, i, 0);
  for (int64_t i = 0; i < count; i++) {
    AM_TRY(place_in_plane(&in[1], i, plane, &place));
    int64_t to = i / window_count * plane + place;
    am_ref_put(out, to, am_ref_get(out, to) + am_ref_get(in, i));
  }
  return AM_OK;
}

am_err am_ref_pool_gather(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  int64_t plane = in->shape.dim[2] * in->shape.dim[3], place;
  int64_t window_count = out->shape.dim[2] * out->shape.dim[3];
  int64_t count = am_shape_count(out->shape);
  for (int64_t i = 0; i < count; i++) {
    AM_TRY(place_in_plane(&in[1], i, plane, &place));
    am_ref_put(out, i, am_ref_get(in, i / window_count * plane + place));
  }
  return AM_OK;
}

static double divisor(const am_pool2d_desc *d, window v) {
  return d->include_pad ? (double)(d->kernel_h * d->kernel_w) : (double)((v.h1 - v.h0) * (v.w1 - v.w0));
}

am_err am_ref_avg_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    window v = window_at(desc, at[2], at[3], in->shape.dim[2], in->shape.dim[3]);
    double sum = 0;
    for (int64_t row = v.h0; row < v.h1; row++) {
      for (int64_t col = v.w0; col < v.w1; col++) {
        sum += am_ref_get(in, am_ref_at(in, at[0], at[1], row, col));
      }
    }
    am_ref_put(out, i, sum / divisor(desc, v));
  }
  return AM_OK;
}

// dx of one element: the share of every window that covers it.
static double covered(const am_pool2d_desc *d, const am_view *dy, const int64_t at[AM_MAX_DIM], am_shape x) {
  double sum = 0;
  for (int64_t p = 0; p < dy->shape.dim[2]; p++) {
    for (int64_t q = 0; q < dy->shape.dim[3]; q++) {
      window v = window_at(d, p, q, x.dim[2], x.dim[3]);
      bool covers = at[2] >= v.h0 && at[2] < v.h1 && at[3] >= v.w0 && at[3] < v.w1;
      if (covers) sum += am_ref_get(dy, am_ref_at(dy, at[0], at[1], p, q)) / divisor(d, v);
    }
  }
  return sum;
}

am_err am_ref_avg_pool2d_grad(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    am_ref_put(out, i, covered(desc, in, at, out->shape));
  }
  return AM_OK;
}
