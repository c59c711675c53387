#include "data/fit.h"

#include "base/num.h"

static am_err fit_size(const am_image *in, const am_image_fit *fit, am_image *out) {
  if (fit->kind == AM_FIT_STRETCH) return am_image_resize(in, fit->size, fit->size, fit->filter, out);
  if (fit->kind == AM_FIT_PAD) {
    AM_CHECK(am_max_i64(in->width, in->height) <= fit->size, AM_ERR_DATA,
             "is %lldx%lld px, to be padded to %lld px it may not be larger", (long long)in->width,
             (long long)in->height, (long long)fit->size);
    return am_image_center_crop(in, fit->size, fit->size, out);
  }
  am_image fitted = {0};
  AM_TRY(am_image_resize_short(in, fit->short_side ? fit->short_side : fit->size, fit->filter, &fitted));
  am_err err = am_image_center_crop(&fitted, fit->size, fit->size, out);
  am_image_fini(&fitted);
  return err;
}

am_err am_fit_image(const am_image *in, const am_image_fit *fit, am_image *out) {
  if (fit->channels == in->channels) return fit_size(in, fit, out);
  AM_CHECK(fit->channels == 1, AM_ERR_ARG, "cannot make %lld channels of %lld", (long long)fit->channels,
           (long long)in->channels);
  am_image grey = {0};
  am_err err = am_image_to_grey(in, &grey);
  if (!err) err = fit_size(&grey, fit, out);
  am_image_fini(&grey);
  return err;
}
