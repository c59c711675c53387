// Casts, fills and random numbers: descriptors to launches.
#include "backend/cuda/cuda_internal.h"
#include "tensor/element.h"

am_err am_cuda_cast(void *ctx, const am_dtype_desc *desc, const am_view *in, am_view *out) {
  const bool integers = am_dtype_is_integer(in[0].dtype) && am_dtype_is_integer(out[0].dtype);
  AM_TRY_CUDA(am_cuda_launch_cast(am_cuda_stream(ctx), in[0].data, in[0].dtype, out[0].data, out[0].dtype, integers,
                                  am_cuda_count(&out[0])));
  return AM_OK;
}

am_err am_cuda_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_fill(am_cuda_stream(ctx), desc->value, out[0].data, out[0].dtype, am_cuda_count(&out[0])));
  return AM_OK;
}

am_err am_cuda_random(void *ctx, const am_random_desc *desc, const am_view *in, am_view *out) {
  const int64_t count = am_cuda_count(&out[0]), rows = desc->shape.ndim > 0 ? desc->shape.dim[0] : 1;
  AM_TRY_CUDA(am_cuda_launch_random(am_cuda_stream(ctx), *desc, am_cuda_moved(ctx), count / rows, out[0].data, count));
  return AM_OK;
}
