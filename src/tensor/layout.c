// Which bytes go where: the rules that every backend shares.
#include "tensor/backend.h"

bool am_layout_same_bytes(am_shape shape, am_layout a, am_layout b) {
  if (a == b) return true;
  if (shape.ndim != 4) return false;
  return shape.dim[2] * shape.dim[3] == 1;  // nothing but n and c: both in order in every layout
}

bool am_shape_is_per_channel(am_shape p, am_shape q) {
  return p.ndim == 4 && q.ndim == 4 && q.dim[1] == p.dim[1] && (q.dim[0] == 1 || q.dim[0] == p.dim[0]) &&
         q.dim[2] == 1 && q.dim[3] == 1;
}

static void binary_layout(am_view *in, am_view *out) {
  am_view *p = &in[0], *q = &in[1];
  am_layout wanted = AM_LAYOUT_PLAIN;
  if (am_shape_equal(p->shape, q->shape)) {
    wanted = p->layout != AM_LAYOUT_PLAIN ? p->layout : q->layout;
    q->layout = wanted;
  } else if (am_shape_count(q->shape) == 1 || am_shape_is_per_channel(p->shape, q->shape)) {
    if (am_shape_equal(out->shape, p->shape)) wanted = p->layout;
    q->layout = AM_LAYOUT_PLAIN;
  } else {
    q->layout = AM_LAYOUT_PLAIN;
  }
  p->layout = wanted;
  out->layout = wanted;
}

void am_layout_default(am_op op, am_view *in, am_view *out) {
  switch (op) {
    case AM_OP_unary:
    case AM_OP_cast:
    case AM_OP_dropout:
      out->layout = in->layout;
      break;
    case AM_OP_binary:
      binary_layout(in, out);
      break;
    default:
      for (int i = 0; i < am_op_inputs(op); i++) in[i].layout = AM_LAYOUT_PLAIN;
      for (int i = 0; i < am_op_outputs(op); i++) out[i].layout = AM_LAYOUT_PLAIN;
      break;
  }
}
