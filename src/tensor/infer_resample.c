// Arguments of the ops that change the size of images.
#include <math.h>

#include "tensor/infer.h"

static am_err size_fits(int64_t h, int64_t w, const char *what) {
  AM_CHECK(h >= 1 && w >= 1 && h <= AM_WINDOW_MAX && w <= AM_WINDOW_MAX, AM_ERR_ARG,
           "%s would be %lld x %lld: sizes are 1 to %d", what, (long long)h, (long long)w,
           (int)AM_WINDOW_MAX);
  return AM_OK;
}

static am_err image(const am_view *v, const char *what) {
  AM_TRY(am_infer_floats(v, 1));
  AM_TRY(am_infer_ndim(v, 4, what));
  return size_fits(v->shape.dim[2], v->shape.dim[3], what);
}

// ---- upsample, filter, downsample ----

// The pads of gradients go beyond those of their op, by its filter and rates at most.
enum { PAD_MAX = 8 * AM_WINDOW_MAX };

static am_err upfirdn_desc(am_upfirdn2d_desc *d) {
  int64_t *rate[] = {&d->up_h, &d->up_w, &d->down_h, &d->down_w};
  const int64_t pad[] = {d->pad_top, d->pad_bottom, d->pad_left, d->pad_right};
  if (d->gain == 0) d->gain = 1;
  AM_CHECK(isfinite(d->gain), AM_ERR_ARG, "the gain is %g", d->gain);
  for (int i = 0; i < 4; i++) {
    am_infer_default(rate[i], 1);
    AM_CHECK(*rate[i] >= 1 && *rate[i] <= AM_WINDOW_MAX, AM_ERR_ARG, "a rate of %lld: expected 1 to %d",
             (long long)*rate[i], (int)AM_WINDOW_MAX);
    AM_CHECK(pad[i] >= -PAD_MAX && pad[i] <= PAD_MAX, AM_ERR_ARG, "a pad of %lld: expected %d to %d",
             (long long)pad[i], (int)-PAD_MAX, (int)PAD_MAX);
  }
  return AM_OK;
}

// Values that are kept along one axis, or 0 when the filter does not fit what is left of it.
static int64_t kept(int64_t length, int64_t taps, int64_t up, int64_t down, int64_t before, int64_t after) {
  const int64_t room = length * up + before + after - taps;
  return room < 0 ? 0 : room / down + 1;
}

am_err am_infer_upfirdn2d(am_upfirdn2d_desc *desc, const am_view *in, am_view *out) {
  const am_shape *x = &in[0].shape, *f = &in[1].shape;
  AM_TRY(image(&in[0], "x"));
  AM_TRY(am_infer_parameter(&in[1], in[0].dtype, "the filter"));
  AM_TRY(am_infer_ndim(&in[1], 2, "the filter"));
  AM_TRY(size_fits(f->dim[0], f->dim[1], "the filter"));
  AM_TRY(upfirdn_desc(desc));
  const int64_t ho = kept(x->dim[2], f->dim[0], desc->up_h, desc->down_h, desc->pad_top, desc->pad_bottom);
  const int64_t wo = kept(x->dim[3], f->dim[1], desc->up_w, desc->down_w, desc->pad_left, desc->pad_right);
  AM_CHECK(ho >= 1 && wo >= 1, AM_ERR_ARG,
           "a filter of %lld x %lld does not fit %lld x %lld padded by %lld and %lld, %lld and %lld",
           (long long)f->dim[0], (long long)f->dim[1], (long long)(x->dim[2] * desc->up_h),
           (long long)(x->dim[3] * desc->up_w), (long long)desc->pad_top, (long long)desc->pad_bottom,
           (long long)desc->pad_left, (long long)desc->pad_right);
  AM_TRY(size_fits(ho, wo, "the result"));
  out->dtype = in[0].dtype;
  out->shape = AM_SHAPE(x->dim[0], x->dim[1], ho, wo);
  return AM_OK;
}

// ---- interpolation ----

static am_err resampled(const am_resample2d_desc *d, const am_view *v, const char *what, int64_t h, int64_t w,
                        am_view *out) {
  AM_CHECK(d->kind == AM_RESAMPLE_NEAREST || d->kind == AM_RESAMPLE_BILINEAR, AM_ERR_ARG,
           "there is no resampling %d", (int)d->kind);
  AM_TRY(image(v, what));
  AM_TRY(size_fits(h, w, "the result"));
  out->dtype = v->dtype;
  out->shape = AM_SHAPE(v->shape.dim[0], v->shape.dim[1], h, w);
  return AM_OK;
}

am_err am_infer_resample2d(am_resample2d_desc *desc, const am_view *in, am_view *out) {
  return resampled(desc, in, "x", desc->out_h, desc->out_w, out);
}

am_err am_infer_resample2d_grad(am_resample2d_desc *desc, const am_view *in, am_view *out) {
  return resampled(desc, in, "the gradient", desc->in_h, desc->in_w, out);
}
