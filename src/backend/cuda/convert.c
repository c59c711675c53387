// Casts, fills, random numbers and dropout: descriptors to launches.
#include "backend/cuda/cuda_internal.h"
#include "tensor/dropout_rule.h"
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

am_err am_cuda_dropout(void *ctx, const am_dropout_desc *desc, const am_view *in, am_view *out) {
  const bool channels_last = in[0].layout == AM_LAYOUT_NHWC;
  const int64_t count = am_cuda_count(&in[0]), rows = in[0].shape.ndim > 0 ? in[0].shape.dim[0] : 1;
  const int64_t c = channels_last ? in[0].shape.dim[1] : 1;
  const am_cuda_drop d = {.desc = *desc,
                          .rule = am_dropout_rule_of(desc->p, in[0].dtype),
                          .moved = am_cuda_moved(ctx),
                          .c = c,
                          .step = count / rows / c};
  AM_TRY_CUDA(am_cuda_launch_dropout(am_cuda_stream(ctx), d, in[0].dtype, in[0].data, out[0].data, count));
  return AM_OK;
}
