// Pooling: shapes to launches.
#include "backend/cuda/cuda_internal.h"

static am_cuda_pool pool_of(const am_pool2d_desc *desc, const am_view *large, const am_view *small) {
  return (am_cuda_pool){.desc = *desc, .type = large->dtype, .channels_last = large->layout == AM_LAYOUT_NHWC,
                        .n = large->shape.dim[0], .c = large->shape.dim[1], .h = large->shape.dim[2],
                        .w = large->shape.dim[3], .ho = small->shape.dim[2], .wo = small->shape.dim[3]};
}

static am_err max_pool(const am_cuda *g, const am_pool2d_desc *desc, const am_view *x, am_view *y, int32_t *chosen) {
  AM_TRY_CUDA(am_cuda_launch_max_pool(am_cuda_stream(g), pool_of(desc, x, y), x->data, y->data, chosen));
  return AM_OK;
}

am_err am_cuda_max_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  return max_pool(ctx, desc, &in[0], &out[0], out[1].data);
}

am_err am_cuda_max_pool2d_values(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  return max_pool(ctx, desc, &in[0], &out[0], NULL);
}

am_err am_cuda_pool_gather(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_pool_gather(am_cuda_stream(ctx), pool_of(desc, &in[0], &out[0]), in[0].data, in[1].data,
                                         out[0].data));
  return AM_OK;
}

am_err am_cuda_pool_scatter(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_pool_scatter(am_cuda_stream(ctx), pool_of(desc, &out[0], &in[0]), in[0].data, in[1].data,
                                          out[0].data));
  return AM_OK;
}

am_err am_cuda_avg_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_avg_pool(am_cuda_stream(ctx), pool_of(desc, &in[0], &out[0]), in[0].data, out[0].data));
  return AM_OK;
}

am_err am_cuda_avg_pool2d_grad(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_avg_pool_grad(am_cuda_stream(ctx), pool_of(desc, &out[0], &in[0]), in[0].data, out[0].data));
  return AM_OK;
}
