// Reductions and log softmax: walks to launches.
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"

static am_err sum(am_cuda *g, const am_view *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window, int64_t length,
                  am_view *y) {
  const int64_t parts = am_cuda_parts(outputs, length);
  double *partial = NULL;
  AM_TRY(am_cuda_take_temp(g, (size_t)(outputs * parts) * sizeof *partial, &partial));
  const cudaError_t status =
      am_cuda_launch_sum(am_cuda_stream(g), x->data, base, outputs, window, length, parts, partial, y->data);
  am_cuda_give_temp(g, partial);
  AM_TRY_CUDA(status);
  return AM_OK;
}

am_err am_cuda_reduce(void *ctx, const am_reduce_desc *desc, const am_view *in, am_view *out) {
  const int64_t outputs = am_cuda_count(&out[0]), length = am_cuda_count(&in[0]) / outputs;
  am_cuda_walk base, window;
  am_cuda_walk_reduced(in[0].shape, out[0].shape, &base, &window);
  if (desc->kind == AM_RED_SUM) return sum(ctx, &in[0], base, outputs, window, length, &out[0]);
  const bool places = desc->kind == AM_RED_ARGMAX;
  AM_TRY_CUDA(am_cuda_launch_max(am_cuda_stream(ctx), in[0].data, base, outputs, window, length,
                                 places ? NULL : out[0].data, places ? out[0].data : NULL));
  return AM_OK;
}

am_err am_cuda_log_softmax(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_log_softmax(am_cuda_stream(ctx), in[0].data, in[0].shape.dim[0], in[0].shape.dim[1],
                                         out[0].data));
  return AM_OK;
}
