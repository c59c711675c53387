// Which layout the operands of an op have: a fixed rule of shape, type, and whether f32 may be multiplied as TF32. Images lie
// plain, or channels last (NHWC) around convolutions on tensor cores; blocks of 16 channels are another device's.
#include "backend/cuda/conv_rules.h"
#include "backend/cuda/cuda_internal.h"

// The ops whose kernels take images either way: their images lie as the first of them does.
#define AM_CUDA_IMAGE_OPS(X)                                                                                 \
  X(max_pool2d) X(max_pool2d_values) X(pool_scatter) X(pool_gather) X(avg_pool2d) X(avg_pool2d_grad)         \
  X(upfirdn2d) X(resample2d) X(resample2d_grad)                                                              \
  X(batch_norm) X(batch_norm_add) X(batch_norm_grad) X(batch_norm_add_grad) X(scale_shift) X(bias_act)       \
  X(bias_act_grad)

// An image of one place has the same bytes either way: it is called plain, and says nothing about those beside it.
static bool is_one_place(const am_view *v) { return v->shape.ndim == 4 && v->shape.dim[2] * v->shape.dim[3] == 1; }

// Convolutions on tensor cores want their images channels last.
static am_layout free_choice(const am_cuda *g, am_dtype type) {
  return type == AM_BF16 || am_cuda_tf32(g) ? AM_LAYOUT_NHWC : AM_LAYOUT_PLAIN;
}

static void set_images(am_view *v, int count, am_layout layout) {
  for (int i = 0; i < count; i++) v[i].layout = v[i].shape.ndim == 4 && !is_one_place(&v[i]) ? layout : AM_LAYOUT_PLAIN;
}

static void keep_layout(const am_cuda *g, am_op op, am_view *in, am_view *out) {
  const am_layout layout = is_one_place(&in[0]) ? free_choice(g, in[0].dtype) : in[0].layout;
  set_images(in, am_op_inputs(op), layout);
  set_images(out, am_op_outputs(op), layout);
}

static void layout_conv(am_op op, const am_conv2d_desc *desc, bool tf32, am_view *in, am_view *out) {
  // Which operand plays which part of the forward convolution.
  am_view *x = op == AM_OP_conv2d_grad_input ? &out[0] : op == AM_OP_conv2d_grad_weight ? &in[1] : &in[0];
  am_view *w = op == AM_OP_conv2d_grad_weight ? &out[0] : &in[1];
  am_view *y = op == AM_OP_conv2d_grad_input || op == AM_OP_conv2d_grad_weight ? &in[0] : &out[0];
  const am_cuda_conv k =
      am_cuda_conv_of(op, desc, (am_activation){0}, x->dtype, tf32, x->shape, w->shape, y->shape);
  const am_layout layout = k.channels_last ? AM_LAYOUT_NHWC : AM_LAYOUT_PLAIN;
  set_images(x, 1, layout);
  set_images(y, 1, layout);
  w->layout = AM_LAYOUT_PLAIN;
}

// Sums and maxima over whole planes have one place left: the same bytes, whichever way x lies.
static bool whole_planes(const am_reduce_desc *d, const am_view *x) {
  return x->shape.ndim == 4 && (d->axes & 12u) == 12u && d->kind != AM_RED_ARGMAX;
}

void am_cuda_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out) {
  for (int i = 0; i < am_op_inputs(op); i++) {
    if (in[i].layout == AM_LAYOUT_C16) in[i].layout = AM_LAYOUT_PLAIN;
  }
  switch (op) {
#define KEEPS(op) case AM_OP_##op:
    AM_CUDA_IMAGE_OPS(KEEPS)
#undef KEEPS
    keep_layout(ctx, op, in, out);
    return;
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input:
    case AM_OP_conv2d_grad_weight:
      layout_conv(op, desc, am_cuda_tf32(ctx), in, out);
      return;
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add:
      layout_conv(op, &((const am_conv2d_affine_desc *)desc)->conv, am_cuda_tf32(ctx), in, out);
      in[2].layout = in[3].layout = AM_LAYOUT_PLAIN;
      if (op == AM_OP_conv2d_affine_add) in[4].layout = out[0].layout;
      return;
    case AM_OP_reduce:
      if (whole_planes(desc, in)) return;
      break;
    case AM_OP_broadcast_to:
      in[0].layout = AM_LAYOUT_PLAIN;
      if (am_shape_is_per_channel(out[0].shape, in[0].shape)) set_images(out, 1, free_choice(ctx, in[0].dtype));
      return;
    default: break;
  }
  am_layout_default(op, in, out);
}
