// Reductions and log softmax: walks to launches.
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"

static am_cuda_reduction reduction_of(const am_view *x, const am_view *y) {
  am_cuda_reduction r = {.outputs = am_cuda_count(y)};
  r.length = am_cuda_count(x) / r.outputs;
  am_cuda_walk_reduced(am_cuda_walk_lying(x), x->shape, y->shape, &r.base, &r.window);
  am_cuda_walk_fold(&r.base, NULL);
  am_cuda_walk_fold(&r.window, NULL);
  const bool together = r.base.stride[r.base.ndim - 1] < r.window.stride[r.window.ndim - 1];
  r.team = am_cuda_team_for(r.outputs, r.length, r.outputs > 1 && together);
  r.parts = am_cuda_parts(r.team, r.outputs, r.length);
  r.last = am_cuda_team_for(r.outputs, r.parts, false);
  return r;
}

static am_err sum(am_cuda *g, const am_view *x, am_view *y) {
  const am_cuda_reduction r = reduction_of(x, y);
  double *partial = NULL;
  AM_TRY(am_temps_take(am_cuda_temps(g), (size_t)(r.outputs * r.parts) * sizeof *partial, &partial));
  const cudaError_t status = am_cuda_launch_sum(am_cuda_stream(g), r, x->dtype, x->data, partial, y->data);
  am_temps_end(am_cuda_temps(g));
  AM_TRY_CUDA(status);
  return AM_OK;
}

static am_err maximum(am_cuda *g, const am_view *x, void *y, int32_t *place, const am_view *shape) {
  const am_cuda_reduction r = reduction_of(x, shape);
  am_cuda_best *partial = NULL;
  AM_TRY(am_temps_take(am_cuda_temps(g), (size_t)(r.outputs * r.parts) * sizeof *partial, &partial));
  const cudaError_t status = am_cuda_launch_max(am_cuda_stream(g), r, x->dtype, x->data, partial, y, place);
  am_temps_end(am_cuda_temps(g));
  AM_TRY_CUDA(status);
  return AM_OK;
}

am_err am_cuda_reduce(void *ctx, const am_reduce_desc *desc, const am_view *in, am_view *out) {
  switch (desc->kind) {
    case AM_RED_MAX: return maximum(ctx, &in[0], out[0].data, NULL, &out[0]);
    case AM_RED_ARGMAX: return maximum(ctx, &in[0], NULL, out[0].data, &out[0]);
    default: return sum(ctx, &in[0], &out[0]);
  }
}

am_err am_cuda_log_softmax(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  const int64_t rows = in[0].shape.dim[0], width = in[0].shape.dim[1];
  AM_TRY_CUDA(am_cuda_launch_log_softmax(am_cuda_stream(ctx), am_cuda_team_for(rows, width, false), in[0].dtype, in[0].data,
                                         rows, width, out[0].data));
  return AM_OK;
}
