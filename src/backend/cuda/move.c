// Ops that move elements: walks to launches.
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"

static am_err copy(const am_cuda *g, const am_view *x, am_cuda_walk from, am_view *y, am_cuda_walk to, int64_t count) {
  am_cuda_walk_fold(&from, &to);
  const size_t size = am_cuda_walk_widen(&from, x->data, &to, y->data, am_dtype_size(x->dtype), &count);
  AM_TRY_CUDA(am_cuda_launch_copy(am_cuda_stream(g), size, x->data, from, y->data, to, count));
  return AM_OK;
}

am_err am_cuda_broadcast_to(void *ctx, const am_shape_desc *desc, const am_view *in, am_view *out) {
  const am_view whole = {.shape = out[0].shape};
  return copy(ctx, &in[0], am_cuda_walk_beside(&in[0], &out[0]), &out[0], am_cuda_walk_beside(&whole, &out[0]),
              am_cuda_count(&out[0]));
}

am_err am_cuda_permute(void *ctx, const am_permute_desc *desc, const am_view *in, am_view *out) {
  return copy(ctx, &in[0], am_cuda_walk_permuted(am_cuda_walk_of(in[0].shape), desc->perm), &out[0],
              am_cuda_walk_of(out[0].shape), am_cuda_count(&out[0]));
}

am_err am_cuda_slice(void *ctx, const am_slice_desc *desc, const am_view *in, am_view *out) {
  return copy(ctx, &in[0], am_cuda_walk_part(in[0].shape, out[0].shape, desc->axis, desc->start), &out[0],
              am_cuda_walk_of(out[0].shape), am_cuda_count(&out[0]));
}

// x into y from `start` along the axis on.
static am_err put(const am_cuda *g, const am_view *x, am_view *y, int axis, int64_t start) {
  return copy(g, x, am_cuda_walk_of(x->shape), y, am_cuda_walk_part(y->shape, x->shape, axis, start), am_cuda_count(x));
}

am_err am_cuda_pad(void *ctx, const am_pad_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_fill(am_cuda_stream(ctx), 0, out[0].data, out[0].dtype, am_cuda_count(&out[0])));
  return put(ctx, &in[0], &out[0], desc->axis, desc->before);
}

am_err am_cuda_concat(void *ctx, const am_axis_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(put(ctx, &in[0], &out[0], desc->axis, 0));
  return put(ctx, &in[1], &out[0], desc->axis, in[0].shape.dim[desc->axis]);
}

// Between plain and channels last an image is a matrix of channels and places, transposed.
static am_err turn(const am_cuda *g, const am_view *x, am_view *y) {
  const int64_t c = x->shape.dim[1], places = am_cuda_inner(x);
  const bool plain = x->layout == AM_LAYOUT_PLAIN;
  AM_TRY_CUDA(am_cuda_launch_transpose(am_cuda_stream(g), am_dtype_size(x->dtype), x->data, x->shape.dim[0],
                                       plain ? c : places, plain ? places : c, y->data));
  return AM_OK;
}

am_err am_cuda_reorder(void *ctx, const am_layout_desc *desc, const am_view *in, am_view *out) {
  const am_layout from = in[0].layout, to = out[0].layout;
  const int64_t split = from == AM_LAYOUT_C16 || to == AM_LAYOUT_C16 ? 16 : 1;
  if (from == to)
    return copy(ctx, &in[0], am_cuda_walk_of(in[0].shape), &out[0], am_cuda_walk_of(in[0].shape), am_cuda_count(&in[0]));
  if (split == 1) return turn(ctx, &in[0], &out[0]);
  return copy(ctx, &in[0], am_cuda_walk_image(in[0].shape, from, split), &out[0],
              am_cuda_walk_image(in[0].shape, to, split), am_cuda_count(&in[0]));
}

am_err am_cuda_gather_rows(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  const int64_t rows = out[0].shape.dim[0];
  AM_TRY_CUDA(am_cuda_launch_gather_rows(am_cuda_stream(ctx), in[0].dtype, in[0].data, in[0].shape.dim[0], in[1].data,
                                         out[0].data, rows, am_cuda_count(&out[0]) / rows));
  return AM_OK;
}

am_err am_cuda_scatter_rows(void *ctx, const am_rows_desc *desc, const am_view *in, am_view *out) {
  const int64_t rows = in[0].shape.dim[0];
  int64_t *links = NULL;
  AM_TRY(am_temps_take(am_cuda_temps(ctx), (size_t)rows * 2 * sizeof *links, &links));
  const cudaError_t status = am_cuda_launch_scatter_rows(am_cuda_stream(ctx), in[0].dtype, in[0].data, in[1].data, rows, links,
                                                         out[0].data, desc->rows, am_cuda_count(&in[0]) / rows);
  am_temps_end(am_cuda_temps(ctx));
  AM_TRY_CUDA(status);
  return AM_OK;
}
