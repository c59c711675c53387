// Batch norm, its gradients, and the gradient of bias and activation: shapes to launches.
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"

static am_cuda_norm norm_of(const am_view *x, am_activation act, double eps) {
  const int vector = 16 / (int)am_dtype_size(x->dtype);
  am_cuda_norm k = {.type = x->dtype, .n = x->shape.dim[0], .c = x->shape.dim[1], .inner = am_cuda_inner(x), .pack = 1,
                    .eps = eps, .slope = am_cuda_slope(act)};
  const int64_t length = k.n * k.inner;
  k.channels_last = x->layout == AM_LAYOUT_NHWC || k.inner == 1;  // of one place an image lies both ways
  if (k.channels_last && k.c % vector == 0) k.pack = vector;
  k.team = am_cuda_team_for(k.c / k.pack, length, k.channels_last);
  k.parts = am_cuda_parts(k.team, k.c / k.pack, length);
  k.last = am_cuda_team_for(k.c, k.parts, false);
  return k;
}

static am_err take_temp(am_cuda *g, am_cuda_norm k, am_cuda_norm_temp *temp) {
  const size_t pairs = (size_t)(k.c * k.parts);
  const size_t bytes = pairs * 2 * sizeof *temp->piece + (size_t)k.c * 2 * sizeof *temp->coefficient;
  AM_TRY(am_temps_take(am_cuda_temps(g), bytes, &temp->piece));
  temp->coefficient = (float *)(temp->piece + pairs * 2);
  return AM_OK;
}

static am_err batch_norm(am_cuda *g, const am_norm_desc *desc, const am_view *in, const void *residual, am_view *out) {
  const am_cuda_norm k = norm_of(&in[0], desc->act, desc->eps);
  am_cuda_norm_temp temp;
  AM_TRY(take_temp(g, k, &temp));
  const cudaError_t status = am_cuda_launch_batch_norm(am_cuda_stream(g), k, in[0].data, in[1].data, in[2].data, residual,
                                                       temp, out[0].data, out[1].data, out[2].data);
  am_temps_end(am_cuda_temps(g));
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
  am_cuda_norm_temp temp;
  AM_TRY(take_temp(g, k, &temp));
  const cudaError_t status = am_cuda_launch_batch_norm_grad(am_cuda_stream(g), k, of, temp);
  am_temps_end(am_cuda_temps(g));
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
  am_cuda_norm_temp temp;
  AM_TRY(take_temp(ctx, k, &temp));
  const cudaError_t status = am_cuda_launch_bias_act_grad(am_cuda_stream(ctx), k, in[0].data, in[1].data, temp, out[0].data,
                                                          out[1].data);
  am_temps_end(am_cuda_temps(ctx));
  AM_TRY_CUDA(status);
  return AM_OK;
}
