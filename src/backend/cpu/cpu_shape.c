// Ops that move elements without computing: broadcast_to, permute, slice, pad, concat, rows, fill.
// They work on any element type by its size.
#include <string.h>

#include "backend/cpu/cpu_nest.h"

// Row-major strides of a plain array.
static void row_major(am_shape s, int64_t stride[AM_MAX_DIM]) {
  int64_t step = 1;
  for (int i = s.ndim - 1; i >= 0; i--) {
    stride[i] = step;
    step *= s.dim[i];
  }
}

static am_cpu_nest copy_nest_of(am_shape shape, const int64_t *dst_stride, const int64_t *src_stride) {
  am_cpu_nest nest = {0};
  for (int i = 0; i < shape.ndim; i++) {
    const int64_t step[AM_CPU_NEST_OPERANDS] = {dst_stride[i], src_stride[i]};
    am_cpu_nest_push(&nest, shape.dim[i], step);
  }
  am_cpu_nest_finish(&nest);
  return nest;
}

// A block of `shape`, inside the plain array `dst` from element dst_first and inside `src` likewise.
static void copy_block(const am_cpu *cpu, am_shape shape, const am_view *dst, int64_t dst_first,
                       const am_view *src, int64_t src_first) {
  int64_t dst_stride[AM_MAX_DIM], src_stride[AM_MAX_DIM];
  const size_t size = am_dtype_size(dst->dtype);
  row_major(dst->shape, dst_stride);
  row_major(src->shape, src_stride);
  const am_cpu_nest nest = copy_nest_of(shape, dst_stride, src_stride);
  am_cpu_nest_copy(cpu, &nest, (char *)dst->data + (size_t)dst_first * size,
            (const char *)src->data + (size_t)src_first * size, size);
}

// Elements of one step along an axis.
static int64_t axis_stride(am_shape s, int axis) {
  int64_t stride[AM_MAX_DIM];
  row_major(s, stride);
  return stride[axis];
}

// ---- the ops ----

am_err am_cpu_broadcast_to(void *ctx, const am_shape_desc *desc, const am_view *in, am_view *out) {
  const am_cpu_nest nest = am_cpu_nest_broadcast(&out[0], in, 1);
  am_cpu_nest_copy(ctx, &nest, out[0].data, in[0].data, am_dtype_size(out[0].dtype));
  return AM_OK;
}

am_err am_cpu_permute(void *ctx, const am_permute_desc *desc, const am_view *in, am_view *out) {
  int64_t dst_stride[AM_MAX_DIM], src_stride[AM_MAX_DIM], moved[AM_MAX_DIM];
  row_major(out[0].shape, dst_stride);
  row_major(in[0].shape, src_stride);
  for (int i = 0; i < out[0].shape.ndim; i++) moved[i] = src_stride[desc->perm[i]];
  const am_cpu_nest nest = copy_nest_of(out[0].shape, dst_stride, moved);
  am_cpu_nest_copy(ctx, &nest, out[0].data, in[0].data, am_dtype_size(out[0].dtype));
  return AM_OK;
}

am_err am_cpu_slice(void *ctx, const am_slice_desc *desc, const am_view *in, am_view *out) {
  copy_block(ctx, out[0].shape, &out[0], 0, &in[0], desc->start * axis_stride(in[0].shape, desc->axis));
  return AM_OK;
}

am_err am_cpu_pad(void *ctx, const am_pad_desc *desc, const am_view *in, am_view *out) {
  memset(out[0].data, 0, (size_t)am_cpu_count(&out[0]) * am_dtype_size(out[0].dtype));
  copy_block(ctx, in[0].shape, &out[0], desc->before * axis_stride(out[0].shape, desc->axis), &in[0], 0);
  return AM_OK;
}

am_err am_cpu_concat(void *ctx, const am_axis_desc *desc, const am_view *in, am_view *out) {
  const int64_t first = in[0].shape.dim[desc->axis] * axis_stride(out[0].shape, desc->axis);
  copy_block(ctx, in[0].shape, &out[0], 0, &in[0], 0);
  copy_block(ctx, in[1].shape, &out[0], first, &in[1], 0);
  return AM_OK;
}

// ---- rows by index ----

static int64_t row_length(am_shape s) {
  int64_t length = 1;
  for (int i = 1; i < s.ndim; i++) length *= s.dim[i];
  return length;
}

am_err am_cpu_gather_rows(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  const int32_t *index = in[1].data;
  const size_t bytes = (size_t)row_length(in[0].shape) * am_dtype_size(in[0].dtype);
  const int64_t rows = in[0].shape.dim[0];
  for (int64_t i = 0; i < am_cpu_count(&in[1]); i++) {
    AM_CHECK(index[i] >= 0 && index[i] < rows, AM_ERR_ARG,
             "gather_rows: index %d at %lld, but there are %lld rows", (int)index[i], (long long)i,
             (long long)rows);
    memcpy((char *)out[0].data + (size_t)i * bytes, (const char *)in[0].data + (size_t)index[i] * bytes,
           bytes);
  }
  return AM_OK;
}

AM_CPU_KERNEL static void add_row(float *restrict sum, const float *restrict row, int64_t n) {
  for (int64_t i = 0; i < n; i++) sum[i] += row[i];
}

am_err am_cpu_scatter_rows(void *ctx, const am_rows_desc *desc, const am_view *in, am_view *out) {
  const int32_t *index = in[1].data;
  const int64_t length = row_length(in[0].shape);
  memset(out[0].data, 0, (size_t)am_cpu_count(&out[0]) * sizeof(float));
  for (int64_t i = 0; i < am_cpu_count(&in[1]); i++) {
    AM_CHECK(index[i] >= 0 && index[i] < desc->rows, AM_ERR_ARG,
             "scatter_rows: index %d at %lld, but there are %lld rows", (int)index[i], (long long)i,
             (long long)desc->rows);
    add_row((float *)out[0].data + index[i] * length, (const float *)in[0].data + i * length, length);
  }
  return AM_OK;
}
