// Ops that move, make or convert elements.
#include <math.h>
#include <string.h>

#include "backend/ref/ref.h"
#include "base/num.h"

am_err am_ref_broadcast_to(void *ctx, const am_shape_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape), at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, at);
    am_ref_put(out, i, am_ref_get(in, am_ref_ravel(in->shape, at + out->shape.ndim - in->shape.ndim)));
  }
  return AM_OK;
}

am_err am_ref_permute(void *ctx, const am_permute_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape), to[AM_MAX_DIM], from[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(out->shape, i, to);
    for (int d = 0; d < out->shape.ndim; d++) from[desc->perm[d]] = to[d];
    am_ref_put(out, i, am_ref_get(in, am_ref_ravel(in->shape, from)));
  }
  return AM_OK;
}

// Copies x into y, element (.., a, ..) along `axis` going to (.., a + shift, ..) where y has it.
static void copy_shifted(const am_view *x, const am_view *y, int axis, int64_t shift) {
  int64_t count = am_shape_count(x->shape), at[AM_MAX_DIM];
  for (int64_t i = 0; i < count; i++) {
    am_ref_unravel(x->shape, i, at);
    at[axis] += shift;
    bool lands = at[axis] >= 0 && at[axis] < y->shape.dim[axis];
    if (lands) am_ref_put(y, am_ref_ravel(y->shape, at), am_ref_get(x, i));
  }
}

static void put_all(const am_view *y, double value) {
  int64_t count = am_shape_count(y->shape);
  for (int64_t i = 0; i < count; i++) am_ref_put(y, i, value);
}

am_err am_ref_slice(void *ctx, const am_slice_desc *desc, const am_view *in, am_view *out) {
  copy_shifted(in, out, desc->axis, -desc->start);
  return AM_OK;
}

am_err am_ref_pad(void *ctx, const am_pad_desc *desc, const am_view *in, am_view *out) {
  put_all(out, 0);
  copy_shifted(in, out, desc->axis, desc->before);
  return AM_OK;
}

am_err am_ref_concat(void *ctx, const am_axis_desc *desc, const am_view *in, am_view *out) {
  copy_shifted(&in[0], out, desc->axis, 0);
  copy_shifted(&in[1], out, desc->axis, in[0].shape.dim[desc->axis]);
  return AM_OK;
}

static am_err row_of(const am_view *index, int64_t i, int64_t rows, int64_t *row) {
  *row = ((const int32_t *)index->data)[i];
  AM_CHECK(*row >= 0 && *row < rows, AM_ERR_ARG, "index %lld is %lld, there are %lld rows", (long long)i,
           (long long)*row, (long long)rows);
  return AM_OK;
}

am_err am_ref_gather_rows(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  int64_t rows = out->shape.dim[0], width = am_shape_count(out->shape) / rows, row;
  for (int64_t i = 0; i < rows; i++) {
    AM_TRY(row_of(&in[1], i, in->shape.dim[0], &row));
    for (int64_t j = 0; j < width; j++) am_ref_put(out, i * width + j, am_ref_get(in, row * width + j));
  }
  return AM_OK;
}

// Rows are added in the order of the index.
am_err am_ref_scatter_rows(void *ctx, const am_rows_desc *desc, const am_view *in, am_view *out) {
  int64_t rows = in->shape.dim[0], width = am_shape_count(in->shape) / rows, row;
  put_all(out, 0);
  for (int64_t i = 0; i < rows; i++) {
    AM_TRY(row_of(&in[1], i, desc->rows, &row));
    for (int64_t j = 0; j < width; j++) {
      int64_t to = row * width + j;
      am_ref_put(out, to, am_ref_get(out, to) + am_ref_get(in, i * width + j));
    }
  }
  return AM_OK;
}

// Place of the element with plain place i.
static int64_t place(am_layout layout, am_shape s, int64_t i) {
  int64_t at[AM_MAX_DIM];
  if (layout == AM_LAYOUT_PLAIN) return i;
  am_ref_unravel(s, i, at);
  int64_t n = at[0], c = at[1], h = at[2], w = at[3];
  if (layout == AM_LAYOUT_NHWC) return ((n * s.dim[2] + h) * s.dim[3] + w) * s.dim[1] + c;
  return (((n * (s.dim[1] / 16) + c / 16) * s.dim[2] + h) * s.dim[3] + w) * 16 + c % 16;
}

am_err am_ref_reorder(void *ctx, const am_layout_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  const size_t size = am_dtype_size(in->dtype);
  for (int64_t i = 0; i < count; i++) {
    int64_t to = place(out->layout, out->shape, i), from = place(in->layout, in->shape, i);
    memcpy((char *)out->data + (size_t)to * size, (const char *)in->data + (size_t)from * size, size);
  }
  return AM_OK;
}

// ---- conversion ----

static float bf16_to_float(uint16_t bits) {
  uint32_t wide = (uint32_t)bits << 16;
  float value;
  memcpy(&value, &wide, sizeof value);
  return value;
}

// Rounds once, from double: to f32 first with the dropped part kept sticky (round to odd), so that
// rounding to bf16 afterwards sees it, then to the nearest even.
static uint16_t double_to_bf16(double value) {
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
  if (!isinf(narrow) && (double)narrow != value) {
    if (fabs((double)narrow) > fabs(value)) bits--;
    bits |= 1;
  }
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static bool is_integer(am_dtype t) { return t == AM_I32 || t == AM_I64 || t == AM_U8; }

static int64_t get_integer(const am_view *v, int64_t i) {
  switch (v->dtype) {
    case AM_I32: return ((const int32_t *)v->data)[i];
    case AM_U8: return ((const uint8_t *)v->data)[i];
    default: return ((const int64_t *)v->data)[i];
  }
}

static void put_integer(const am_view *v, int64_t i, int64_t value) {
  switch (v->dtype) {
    case AM_I32: ((int32_t *)v->data)[i] = (int32_t)am_clamp_i64(value, INT32_MIN, INT32_MAX); break;
    case AM_U8: ((uint8_t *)v->data)[i] = (uint8_t)am_clamp_i64(value, 0, UINT8_MAX); break;
    default: ((int64_t *)v->data)[i] = value; break;
  }
}

static double get_any(const am_view *v, int64_t i) {
  if (is_integer(v->dtype)) return (double)get_integer(v, i);
  return v->dtype == AM_BF16 ? bf16_to_float(((const uint16_t *)v->data)[i]) : am_ref_get(v, i);
}

static int64_t saturate(double value) {
  if (isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

static void put_any(const am_view *v, int64_t i, double value) {
  if (is_integer(v->dtype)) {
    put_integer(v, i, saturate(value));
  } else if (v->dtype == AM_BF16) {
    ((uint16_t *)v->data)[i] = double_to_bf16(value);
  } else {
    am_ref_put(v, i, value);
  }
}

am_err am_ref_cast(void *ctx, const am_dtype_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  bool integers = is_integer(in->dtype) && is_integer(out->dtype);  // i64 does not pass through double
  for (int64_t i = 0; i < count; i++) {
    if (integers) {
      put_integer(out, i, get_integer(in, i));
    } else {
      put_any(out, i, get_any(in, i));
    }
  }
  return AM_OK;
}

am_err am_ref_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  for (int64_t i = 0; i < count; i++) put_any(out, i, desc->value);
  return AM_OK;
}
