// Ops that move, make or convert elements.
#include <string.h>

#include "backend/ref/ref.h"
#include "tensor/element.h"

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

am_err am_ref_cast(void *ctx, const am_dtype_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  bool integers = am_dtype_is_integer(in->dtype) && am_dtype_is_integer(out->dtype);
  for (int64_t i = 0; i < count; i++) {
    if (integers) {
      am_element_put_integer(out, i, am_element_get_integer(in, i));
    } else {
      am_element_put(out, i, am_element_get(in, i));
    }
  }
  return AM_OK;
}

am_err am_ref_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  for (int64_t i = 0; i < count; i++) am_element_put(out, i, desc->value);
  return AM_OK;
}
