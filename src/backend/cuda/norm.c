// Batch norm, its gradients, and the gradient of bias and activation: shapes to launches.
#include "backend/cuda/cuda_internal.h"

static am_cuda_norm norm_of(const am_view *x, am_activation act, double eps) {
  am_cuda_norm k = {.n = x->shape.dim[0], .c = x->shape.dim[1], .inner = am_cuda_inner(x), .eps = eps,
                    .slope = am_cuda_slope(act)};
  k.parts = am_cuda_parts(k.c, k.n * k.inner);
  return k;
}

static am_err take_partial(am_cuda *g, am_cuda_norm k, double **partial) {
  return am_cuda_take_temp(g, (size_t)(k.c * k.parts * 2) * sizeof **partial, partial);
}

static am_err batch_norm(am_cuda *g, const am_norm_desc *desc, const am_view *in, const float *residual, am_view *out) {
  const am_cuda_norm k = norm_of(&in[0], desc->act, desc->eps);
  double *partial = NULL;
  AM_TRY(take_partial(g, k, &partial));
  const cudaError_t status = am_cuda_launch_batch_norm(am_cuda_stream(g), k, in[0].data, in[1].data, in[2].data, residual,
                                                       partial, out[0].data, out[1].data, out[2].data);
  am_cuda_give_temp(g, partial);
  AM_TRY_CUDA(status);
  return AM_OK;
}

am_err am_cuda_batch_norm(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  return batch_norm(ctx, desc, in, NULL, out);
}

am_err am_cuda_batch_norm_add(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  return batch_norm(ctx, desc, in, in[3].data, out);
}

static am_err batch_norm_grad(am_cuda *g, const am_norm_desc *desc, const am_view *x, am_cuda_norm_grad of) {
  const am_cuda_norm k = norm_of(x, desc->act, desc->eps);
  double *partial = NULL;
  AM_TRY(take_partial(g, k, &partial));
  const cudaError_t status = am_cuda_launch_batch_norm_grad(am_cuda_stream(g), k, of, partial);
  am_cuda_give_temp(g, partial);
  AM_TRY_CUDA(status);
  return AM_OK;
}

am_err am_cuda_batch_norm_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_norm_grad of = {.dy = in[0].data, .x = in[1].data, .gamma = in[2].data, .beta = in[3].data,
                                .mean = in[4].data, .inv_std = in[5].data, .dx = out[0].data, .dgamma = out[1].data,
                                .dbeta = out[2].data};
  return batch_norm_grad(ctx, desc, &in[1], of);
}

am_err am_cuda_batch_norm_add_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_norm_grad of = {.dy = in[0].data, .x = in[1].data, .y = in[2].data, .gamma = in[3].data,
                                .mean = in[4].data, .inv_std = in[5].data, .dx = out[0].data, .dresidual = out[1].data,
                                .dgamma = out[2].data, .dbeta = out[3].data};
  return batch_norm_grad(ctx, desc, &in[1], of);
}

am_err am_cuda_bias_act_grad(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  const am_cuda_norm k = norm_of(&in[0], *desc, 0);
  double *partial = NULL;
  AM_TRY(take_partial(ctx, k, &partial));
  const cudaError_t status = am_cuda_launch_bias_act_grad(am_cuda_stream(ctx), k, in[0].data, in[1].data, partial,
                                                          out[0].data, out[1].data);
  am_cuda_give_temp(ctx, partial);
  AM_TRY_CUDA(status);
  return AM_OK;
}
