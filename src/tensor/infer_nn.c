// Arguments of convolution, pooling and normalisation.
#include "base/num.h"
#include "tensor/infer.h"

// Positions of a window along one axis (floor), or 0 when the window does not fit.
static int64_t positions(int64_t length, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  int64_t room = length + 2 * pad - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

// ---- convolution ----

static am_err conv_desc(am_conv2d_desc *d) {
  am_infer_default(&d->stride_h, 1);
  am_infer_default(&d->stride_w, 1);
  am_infer_default(&d->dilation_h, 1);
  am_infer_default(&d->dilation_w, 1);
  am_infer_default(&d->groups, 1);
  int64_t at_least_1[] = {d->stride_h, d->stride_w, d->dilation_h, d->dilation_w, d->groups};
  for (int i = 0; i < AM_COUNT_OF(at_least_1); i++) {
    AM_CHECK(at_least_1[i] >= 1 && at_least_1[i] <= AM_WINDOW_MAX, AM_ERR_ARG,
             "stride %lld x %lld, dilation %lld x %lld, %lld groups: out of range", (long long)d->stride_h,
             (long long)d->stride_w, (long long)d->dilation_h, (long long)d->dilation_w,
             (long long)d->groups);
  }
  bool pad_fits = d->pad_h >= 0 && d->pad_w >= 0 && d->pad_h <= AM_WINDOW_MAX && d->pad_w <= AM_WINDOW_MAX;
  AM_CHECK(pad_fits, AM_ERR_ARG, "pad %lld x %lld is out of range", (long long)d->pad_h, (long long)d->pad_w);
  return AM_OK;
}

static am_err conv_sizes(int64_t h, int64_t w, int64_t kernel_h, int64_t kernel_w) {
  int64_t size[] = {h, w, kernel_h, kernel_w};
  for (int i = 0; i < AM_COUNT_OF(size); i++) {
    AM_CHECK(size[i] >= 1 && size[i] <= AM_WINDOW_MAX, AM_ERR_ARG,
             "input %lld x %lld and kernel %lld x %lld: sizes are 1 to %d", (long long)h, (long long)w,
             (long long)kernel_h, (long long)kernel_w, (int)AM_WINDOW_MAX);
  }
  return AM_OK;
}

// The output of x (n, ci, h, w) through a kernel w (co, ci/groups, kh, kw).
static am_err conv_output(const am_conv2d_desc *d, am_shape x, am_shape w, am_shape *y) {
  AM_TRY(conv_sizes(x.dim[2], x.dim[3], w.dim[2], w.dim[3]));
  AM_CHECK(x.dim[1] == w.dim[1] * d->groups, AM_ERR_ARG,
           "%lld input channels, the kernel takes %lld in each of %lld groups", (long long)x.dim[1],
           (long long)w.dim[1], (long long)d->groups);
  AM_CHECK(w.dim[0] % d->groups == 0, AM_ERR_ARG, "%lld output channels do not divide into %lld groups",
           (long long)w.dim[0], (long long)d->groups);
  int64_t ho = positions(x.dim[2], w.dim[2], d->stride_h, d->pad_h, d->dilation_h);
  int64_t wo = positions(x.dim[3], w.dim[3], d->stride_w, d->pad_w, d->dilation_w);
  AM_CHECK(ho >= 1 && wo >= 1, AM_ERR_ARG,
           "a kernel of %lld x %lld (dilation %lld x %lld) does not fit %lld x %lld padded by %lld x %lld",
           (long long)w.dim[2], (long long)w.dim[3], (long long)d->dilation_h, (long long)d->dilation_w,
           (long long)x.dim[2], (long long)x.dim[3], (long long)d->pad_h, (long long)d->pad_w);
  *y = AM_SHAPE(x.dim[0], w.dim[0], ho, wo);
  return AM_OK;
}

static am_err conv_operands(am_conv2d_desc *d, const am_view *in, const char *first, const char *second) {
  AM_TRY(am_infer_ndim(&in[0], 4, first));
  AM_TRY(am_infer_ndim(&in[1], 4, second));
  return conv_desc(d);
}

// An image and the kernel.
static am_err image_and_kernel(am_conv2d_desc *d, const am_view *in, const char *image) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(am_infer_parameter(&in[1], in->dtype, "the kernel"));
  return conv_operands(d, in, image, "the kernel");
}

am_err am_infer_conv2d(am_conv2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(image_and_kernel(desc, in, "x"));
  out->dtype = in->dtype;
  return conv_output(desc, in[0].shape, in[1].shape, &out->shape);
}

am_err am_infer_conv2d_grad_input(am_conv2d_desc *desc, const am_view *in, am_view *out) {
  am_shape dy = in[0].shape, w = in[1].shape, y;
  AM_TRY(image_and_kernel(desc, in, "the gradient"));
  am_shape x = AM_SHAPE(dy.dim[0], w.dim[1] * desc->groups, desc->in_h, desc->in_w);
  AM_TRY(conv_output(desc, x, w, &y));
  AM_TRY(am_infer_shape(&in[0], y, "the gradient of the output"));
  out->dtype = in->dtype;
  out->shape = x;
  return AM_OK;
}

am_err am_infer_conv2d_grad_weight(am_conv2d_desc *desc, const am_view *in, am_view *out) {
  am_shape dy = in[0].shape, x = in[1].shape, y;
  AM_TRY(am_infer_floats(in, 2));
  AM_TRY(conv_operands(desc, in, "the gradient", "x"));
  AM_CHECK(x.dim[1] % desc->groups == 0, AM_ERR_ARG, "%lld input channels do not divide into %lld groups",
           (long long)x.dim[1], (long long)desc->groups);
  am_shape w = AM_SHAPE(dy.dim[1], x.dim[1] / desc->groups, desc->kernel_h, desc->kernel_w);
  AM_TRY(conv_output(desc, x, w, &y));
  AM_TRY(am_infer_shape(&in[0], y, "the gradient of the output"));
  out->dtype = am_infer_parameter_dtype(in->dtype);
  out->shape = w;
  return AM_OK;
}

// ---- pooling ----

static am_err pool_desc(am_pool2d_desc *d) {
  am_infer_default(&d->stride_h, d->kernel_h);
  am_infer_default(&d->stride_w, d->kernel_w);
  int64_t size[] = {d->kernel_h, d->kernel_w, d->stride_h, d->stride_w};
  for (int i = 0; i < AM_COUNT_OF(size); i++) {
    AM_CHECK(size[i] >= 1 && size[i] <= AM_WINDOW_MAX, AM_ERR_ARG,
             "window %lld x %lld, stride %lld x %lld: out of range", (long long)d->kernel_h,
             (long long)d->kernel_w, (long long)d->stride_h, (long long)d->stride_w);
  }
  AM_CHECK(d->pad_h >= 0 && d->pad_w >= 0 && 2 * d->pad_h <= d->kernel_h && 2 * d->pad_w <= d->kernel_w,
           AM_ERR_ARG,
           "pad %lld x %lld is not between 0 and half the window %lld x %lld", (long long)d->pad_h,
           (long long)d->pad_w, (long long)d->kernel_h, (long long)d->kernel_w);
  return AM_OK;
}

static am_err pool_output(const am_pool2d_desc *d, am_shape x, am_shape *y) {
  AM_TRY(conv_sizes(x.dim[2], x.dim[3], d->kernel_h, d->kernel_w));
  int64_t ho = positions(x.dim[2], d->kernel_h, d->stride_h, d->pad_h, 1);
  int64_t wo = positions(x.dim[3], d->kernel_w, d->stride_w, d->pad_w, 1);
  AM_CHECK(ho >= 1 && wo >= 1, AM_ERR_ARG,
           "a window of %lld x %lld does not fit %lld x %lld padded by %lld x %lld", (long long)d->kernel_h,
           (long long)d->kernel_w, (long long)x.dim[2], (long long)x.dim[3], (long long)d->pad_h,
           (long long)d->pad_w);
  *y = AM_SHAPE(x.dim[0], x.dim[1], ho, wo);
  return AM_OK;
}

// Pooling of x.
static am_err pool_forward(am_pool2d_desc *desc, const am_view *x, am_view *y) {
  AM_TRY(am_infer_floats(x, 1));
  AM_TRY(am_infer_ndim(x, 4, "x"));
  AM_TRY(pool_desc(desc));
  y->dtype = x->dtype;
  return pool_output(desc, x->shape, &y->shape);
}

// Pooling of something of size in_h x in_w gave the shape of dy.
static am_err pool_backward(am_pool2d_desc *desc, const am_view *dy, am_view *dx) {
  am_shape y;
  AM_TRY(am_infer_floats(dy, 1));
  AM_TRY(am_infer_ndim(dy, 4, "the gradient"));
  AM_TRY(pool_desc(desc));
  am_shape x = AM_SHAPE(dy->shape.dim[0], dy->shape.dim[1], desc->in_h, desc->in_w);
  AM_TRY(pool_output(desc, x, &y));
  AM_TRY(am_infer_shape(dy, y, "the gradient of the output"));
  dx->dtype = dy->dtype;
  dx->shape = x;
  return AM_OK;
}

am_err am_infer_max_pool2d(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(pool_forward(desc, in, &out[0]));
  out[1].dtype = AM_I32;
  out[1].shape = out[0].shape;
  return AM_OK;
}

am_err am_infer_max_pool2d_values(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  return pool_forward(desc, in, out);
}

am_err am_infer_pool_scatter(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_index(&in[1]));
  AM_TRY(am_infer_shape(&in[1], in[0].shape, "the index"));
  return pool_backward(desc, in, out);
}

am_err am_infer_pool_gather(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_index(&in[1]));
  AM_TRY(pool_forward(desc, in, out));
  return am_infer_shape(&in[1], out->shape, "the index");
}

am_err am_infer_avg_pool2d(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  return pool_forward(desc, in, out);
}

am_err am_infer_avg_pool2d_grad(am_pool2d_desc *desc, const am_view *in, am_view *out) {
  return pool_backward(desc, in, out);
}

// ---- normalisation ----

static am_err activation(const am_activation *act) {
  AM_CHECK(!act->on || act->slope >= 0, AM_ERR_ARG, "the slope of the activation is %g, it cannot be negative",
           act->slope);
  return AM_OK;
}

// The views have one value per channel of an image of this type and `channels`.
static am_err per_channel(am_dtype image, int64_t channels, const am_view *views, int count, const char *what) {
  for (int i = 0; i < count; i++) {
    AM_TRY(am_infer_parameter(&views[i], image, what));
    AM_TRY(am_infer_shape(&views[i], AM_SHAPE(channels), what));
  }
  return AM_OK;
}

// images: x and what lies beside it.
static am_err norm_operands(const am_norm_desc *desc, const am_view *images, int count) {
  AM_TRY(am_infer_floats(images, count));
  AM_CHECK(images->shape.ndim >= 2, AM_ERR_ARG, "x of %d dimensions has no channels", images->shape.ndim);
  for (int i = 1; i < count; i++) AM_TRY(am_infer_shape(&images[i], images->shape, "an image beside x"));
  return activation(&desc->act);
}

static void like_images(am_view *out, int count, const am_view *x) {
  for (int i = 0; i < count; i++) {
    out[i].dtype = x->dtype;
    out[i].shape = x->shape;
  }
}

// out[0..1] belong to the channels of x.
static void like_channels(am_view *out, const am_view *x) {
  for (int i = 0; i < 2; i++) {
    out[i].dtype = am_infer_parameter_dtype(x->dtype);
    out[i].shape = AM_SHAPE(x->shape.dim[1]);
  }
}

static am_err norm_forward(const am_norm_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->eps > 0, AM_ERR_ARG, "eps is %g, it must be positive", desc->eps);
  AM_TRY(per_channel(in->dtype, in->shape.dim[1], &in[1], 2, "gamma or beta"));
  like_images(out, 1, in);
  like_channels(&out[1], in);
  return AM_OK;
}

am_err am_infer_batch_norm(am_norm_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(desc, in, 1));
  return norm_forward(desc, in, out);
}

am_err am_infer_batch_norm_add(am_norm_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(desc, (const am_view[]){in[0], in[3]}, 2));
  return norm_forward(desc, in, out);
}

am_err am_infer_batch_norm_grad(am_norm_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(desc, (const am_view[]){in[1], in[0]}, 2));
  AM_TRY(per_channel(in->dtype, in->shape.dim[1], &in[2], 4, "gamma, beta, mean or inv_std"));
  like_images(out, 1, in);
  like_channels(&out[1], in);
  return AM_OK;
}

am_err am_infer_batch_norm_add_grad(am_norm_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(desc, (const am_view[]){in[1], in[0], in[2]}, 3));
  AM_TRY(per_channel(in->dtype, in->shape.dim[1], &in[3], 3, "gamma, mean or inv_std"));
  like_images(out, 2, in);
  like_channels(&out[2], in);
  return AM_OK;
}

am_err am_infer_scale_shift(am_no_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(&(am_norm_desc){0}, in, 1));
  AM_TRY(per_channel(in->dtype, in->shape.dim[1], &in[1], 2, "scale or shift"));
  like_images(out, 1, in);
  return AM_OK;
}

// ---- bias and activation ----

am_err am_infer_bias_act(am_activation *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(&(am_norm_desc){.act = *desc}, in, 1));
  AM_TRY(per_channel(in->dtype, in->shape.dim[1], &in[1], 1, "bias"));
  like_images(out, 1, in);
  return AM_OK;
}

am_err am_infer_bias_act_grad(am_activation *desc, const am_view *in, am_view *out) {
  AM_TRY(norm_operands(&(am_norm_desc){.act = *desc}, in, 2));
  am_view channel[2];
  like_images(out, 1, in);
  like_channels(channel, in);
  out[1].dtype = channel[0].dtype;
  out[1].shape = channel[0].shape;
  return AM_OK;
}

// ---- convolution, scale, shift and activation ----

am_err am_infer_conv2d_affine(am_conv2d_affine_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_conv2d(&desc->conv, in, out));
  AM_TRY(per_channel(in->dtype, out->shape.dim[1], &in[2], 2, "scale or shift"));
  return activation(&desc->act);
}

am_err am_infer_conv2d_affine_add(am_conv2d_affine_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_conv2d_affine(desc, in, out));
  AM_TRY(am_infer_floats((const am_view[]){in[0], in[4]}, 2));
  return am_infer_shape(&in[4], out->shape, "the residual");
}
