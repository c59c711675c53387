// Ops that change the size of images: shapes to launches.
#include "backend/cuda/cuda_internal.h"

// An image of one place is called plain, whichever way the other one lies.
static bool channels_last(const am_view *x, const am_view *y) {
  return x->layout == AM_LAYOUT_NHWC || y->layout == AM_LAYOUT_NHWC;
}

am_err am_cuda_upfirdn2d(void *ctx, const am_upfirdn2d_desc *desc, const am_view *in, am_view *out) {
  const int64_t *x = in[0].shape.dim, *y = out[0].shape.dim, *f = in[1].shape.dim;
  const am_cuda_upfirdn p = {.desc = *desc,
                             .type = in[0].dtype,
                             .channels_last = channels_last(&in[0], &out[0]),
                             .n = x[0],
                             .c = x[1],
                             .h = x[2],
                             .w = x[3],
                             .ho = y[2],
                             .wo = y[3],
                             .kh = f[0],
                             .kw = f[1]};
  AM_TRY_CUDA(am_cuda_launch_upfirdn(am_cuda_stream(ctx), p, in[0].data, in[1].data, out[0].data));
  return AM_OK;
}

static am_cuda_resample resample_of(const am_resample2d_desc *desc, const am_view *image,
                                    const am_view *result) {
  const int64_t *x = image->shape.dim, *y = result->shape.dim;
  return (am_cuda_resample){.kind = desc->kind,
                            .type = image->dtype,
                            .channels_last = channels_last(image, result),
                            .n = x[0],
                            .c = x[1],
                            .h = x[2],
                            .w = x[3],
                            .ho = y[2],
                            .wo = y[3]};
}

am_err am_cuda_resample2d(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_resample p = resample_of(desc, &in[0], &out[0]);
  AM_TRY_CUDA(am_cuda_launch_resample(am_cuda_stream(ctx), p, in[0].data, out[0].data));
  return AM_OK;
}

am_err am_cuda_resample2d_grad(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  const am_cuda_resample p = resample_of(desc, &out[0], &in[0]);
  AM_TRY_CUDA(am_cuda_launch_resample_grad(am_cuda_stream(ctx), p, in[0].data, out[0].data));
  return AM_OK;
}
