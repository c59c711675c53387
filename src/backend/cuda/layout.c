// Which layout the operands of an op have: a fixed rule of shape, type, and whether f32 may be multiplied as TF32.
//
// Images lie channels last around convolutions on tensor cores, and stay so through what keeps a layout. For all other ops
// they are plain.
#include "backend/cuda/conv_rules.h"
#include "backend/cuda/cuda_internal.h"

static void set_channels_last(am_view *v, bool on) {
  const bool one_place =
      v->shape.dim[2] * v->shape.dim[3] == 1;  // the same bytes in either layout: called plain
  v->layout = on && !one_place ? AM_LAYOUT_NHWC : AM_LAYOUT_PLAIN;
}

static void layout_conv(am_op op, const am_conv2d_desc *desc, bool tf32, am_view *in, am_view *out) {
  // Which operand plays which part of the forward convolution.
  am_view *x = op == AM_OP_conv2d_grad_input ? &out[0] : op == AM_OP_conv2d_grad_weight ? &in[1] : &in[0];
  am_view *w = op == AM_OP_conv2d_grad_weight ? &out[0] : &in[1];
  am_view *y = op == AM_OP_conv2d_grad_input || op == AM_OP_conv2d_grad_weight ? &in[0] : &out[0];
  const am_cuda_conv k =
      am_cuda_conv_of(op, desc, (am_activation){0}, x->dtype, tf32, x->shape, w->shape, y->shape);
  set_channels_last(x, k.channels_last);
  set_channels_last(y, k.channels_last);
  w->layout = AM_LAYOUT_PLAIN;
}

// Kernels that go through p and q side by side see no layout; those that broadcast see plain arrays.
static void layout_binary(am_view *in, am_view *out) {
  const bool side_by_side = am_shape_equal(in[0].shape, in[1].shape);
  const bool scalar = am_shape_count(in[1].shape) == 1 && am_shape_equal(in[0].shape, out[0].shape);
  if (side_by_side || scalar) {
    am_layout_default(AM_OP_binary, in, out);
    return;
  }
  in[0].layout = in[1].layout = out[0].layout = AM_LAYOUT_PLAIN;
}

void am_cuda_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out) {
  switch (op) {
    // ops that read and write NHWC
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
    case AM_OP_binary:
      layout_binary(in, out);
      return;
    default:
      am_layout_default(op, in, out);  // unary and cast keep a layout, everything else is plain
      return;
  }
}
