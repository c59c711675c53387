// Elementwise ops and updates: descriptors and shapes to launches.
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"

am_err am_cuda_unary(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_unary(am_cuda_stream(ctx), *desc, in[0].dtype, in[0].data, out[0].data, am_cuda_count(&out[0])));
  return AM_OK;
}

am_err am_cuda_binary(void *ctx, const am_binary_desc *desc, const am_view *in, am_view *out) {
  am_cuda_walk p = am_cuda_walk_beside(&in[0], &out[0]), q = am_cuda_walk_beside(&in[1], &out[0]);
  am_cuda_walk_fold(&p, &q);
  AM_TRY_CUDA(am_cuda_launch_binary(am_cuda_stream(ctx), *desc, in[0].dtype, in[0].data, p, in[1].data, q, out[0].data,
                                    am_cuda_count(&out[0])));
  return AM_OK;
}

static am_err by_channel(const am_cuda *g, am_activation act, const am_view *x, const float *scale, const float *shift,
                         am_view *y) {
  const am_cuda_channels k = {.c = x->shape.dim[1], .step = x->layout == AM_LAYOUT_NHWC ? 1 : am_cuda_inner(x)};
  AM_TRY_CUDA(am_cuda_launch_channel(am_cuda_stream(g), act, x->dtype, x->data, scale, shift, k, y->data, am_cuda_count(y)));
  return AM_OK;
}

am_err am_cuda_bias_act(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  return by_channel(ctx, *desc, &in[0], NULL, in[1].data, &out[0]);
}

am_err am_cuda_scale_shift(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  return by_channel(ctx, (am_activation){0}, &in[0], in[1].data, in[2].data, &out[0]);
}

am_err am_cuda_axpby(void *ctx, const am_axpby_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_axpby(am_cuda_stream(ctx), *desc, in[0].data, out[0].data, am_cuda_count(&out[0])));
  return AM_OK;
}

am_err am_cuda_running_stats(void *ctx, const am_running_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_running(am_cuda_stream(ctx), *desc, in[0].data, in[1].data, out[0].data, out[1].data,
                                     am_cuda_count(&in[0])));
  return AM_OK;
}

am_err am_cuda_sgd_step(void *ctx, const am_sgd_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_sgd(am_cuda_stream(ctx), *desc, in[0].data, out[0].data, out[1].data, am_cuda_count(&out[0])));
  return AM_OK;
}

am_err am_cuda_adam_step(void *ctx, const am_adam_desc *desc, const am_view *in, am_view *out) {
  AM_TRY_CUDA(am_cuda_launch_adam(am_cuda_stream(ctx), *desc, in[0].data, out[0].data, out[1].data, out[2].data,
                                  am_cuda_count(&out[0])));
  return AM_OK;
}
