#include "tensor/profile.h"

#include "base/clock.h"
#include "tensor/device_internal.h"

const char *am_op_family_text(am_op_family family) {
  static const char *const text[AM_FAMILY_COUNT] = {
#define FAMILY_TEXT(name, text) text,
      AM_FAMILY_LIST(FAMILY_TEXT)
#undef FAMILY_TEXT
  };
  return text[family];
}

am_op_family am_op_family_of(am_op op) {
  switch (op) {
    case AM_OP_conv2d:
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add: return AM_FAMILY_CONV_FORWARD;
    case AM_OP_conv2d_grad_input: return AM_FAMILY_CONV_DATA;
    case AM_OP_conv2d_grad_weight: return AM_FAMILY_CONV_WEIGHT;
    case AM_OP_matmul: return AM_FAMILY_MATMUL;
    case AM_OP_batch_norm:
    case AM_OP_batch_norm_grad:
    case AM_OP_batch_norm_add:
    case AM_OP_batch_norm_add_grad:
    case AM_OP_running_stats:
    case AM_OP_scale_shift: return AM_FAMILY_NORM;
    case AM_OP_unary:
    case AM_OP_binary:
    case AM_OP_reduce:
    case AM_OP_broadcast_to:
    case AM_OP_log_softmax:
    case AM_OP_bias_act:
    case AM_OP_bias_act_grad:
    case AM_OP_dropout:
    case AM_OP_axpby: return AM_FAMILY_ELEMENTWISE;
    case AM_OP_max_pool2d:
    case AM_OP_max_pool2d_values:
    case AM_OP_pool_scatter:
    case AM_OP_pool_gather:
    case AM_OP_avg_pool2d:
    case AM_OP_avg_pool2d_grad: return AM_FAMILY_POOL;
    case AM_OP_upfirdn2d:
    case AM_OP_resample2d:
    case AM_OP_resample2d_grad: return AM_FAMILY_RESAMPLE;
    case AM_OP_reorder:
    case AM_OP_cast: return AM_FAMILY_REORDER;
    case AM_OP_sgd_step:
    case AM_OP_adam_step: return AM_FAMILY_UPDATE;
    case AM_OP_permute:
    case AM_OP_slice:
    case AM_OP_pad:
    case AM_OP_concat:
    case AM_OP_gather_rows:
    case AM_OP_scatter_rows:
    case AM_OP_fill:
    case AM_OP_random:
    case AM_OP_COUNT: break;
  }
  return AM_FAMILY_OTHER;
}

void am_device_profile(am_device *dev, am_profile *p) { dev->profile = p; }

am_tally am_profile_family(const am_profile *p, am_op_family family) {
  am_tally sum = {0};
  for (int op = 0; op < AM_OP_COUNT; op++) {
    if (am_op_family_of((am_op)op) != family) continue;
    const am_tally *t = &p->op[op];
    sum.calls += t->calls;
    sum.bytes += t->bytes;
    sum.flops += t->flops;
    sum.sec += t->sec;
    sum.floor_sec += t->floor_sec;
  }
  return sum;
}

// ---- counting one call ----

static int64_t bytes_of(const am_view *v) {
  return am_shape_count(v->shape) * (int64_t)am_dtype_size(v->dtype);
}

static int64_t count_bytes(am_op op, const void *desc, const am_view *in, const am_view *out) {
  int64_t read = 0, written = 0;
  for (int i = 0; i < am_op_inputs(op); i++) read += bytes_of(&in[i]);
  for (int i = 0; i < am_op_outputs(op); i++) written += bytes_of(&out[i]);
  if (op == AM_OP_slice) read = written;
  if (op == AM_OP_gather_rows) read = bytes_of(&in[1]) + written;
  bool overwrites = op == AM_OP_axpby && ((const am_axpby_desc *)desc)->b == 0;
  if (am_op_in_place(op) && !overwrites) read += written;
  return read + written;
}

// w: (co, ci/groups, kh, kw); y: the forward result or its gradient.
static int64_t conv_flops(const am_view *w, const am_view *y) {
  return 2 * am_shape_count(y->shape) * (am_shape_count(w->shape) / w->shape.dim[0]);
}

static int64_t count_flops(am_op op, const void *desc, const am_view *in, const am_view *out) {
  switch (op) {
    case AM_OP_conv2d:
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add: return conv_flops(&in[1], &out[0]);
    case AM_OP_conv2d_grad_input: return conv_flops(&in[1], &in[0]);
    case AM_OP_conv2d_grad_weight: return conv_flops(&out[0], &in[0]);
    case AM_OP_matmul: {
      const am_shape *a = &in[0].shape;
      bool transposed = ((const am_matmul_desc *)desc)->transpose_a;
      return 2 * am_shape_count(out[0].shape) * a->dim[a->ndim - (transposed ? 2 : 1)];
    }
    default: return 0;
  }
}

static double floor_of(const am_profile *p, am_dtype type, int64_t flops, int64_t bytes) {
  double compute = p->flops_per_sec[type] > 0 ? (double)flops / p->flops_per_sec[type] : 0;
  double memory = p->bytes_per_sec > 0 ? (double)bytes / p->bytes_per_sec : 0;
  return compute > memory ? compute : memory;
}

am_profile_span am_profile_enter(am_profile *p) {
  am_profile_span span = {.began_sec = am_clock_sec(), .outer_sec = p->inner_sec, .device_sec = -1};
  p->inner_sec = 0;
  return span;
}

void am_profile_leave(am_profile *p, am_profile_span span, am_op op, const void *desc, const am_view *in,
                      const am_view *out) {
  double whole = am_clock_sec() - span.began_sec, own = span.device_sec >= 0 ? span.device_sec : whole - p->inner_sec;
  am_tally *t = &p->op[op];
  t->sec += own;
  p->dispatch_sec += own;
  p->inner_sec = span.outer_sec + whole;
  if (!in) return;
  int64_t flops = count_flops(op, desc, in, out), bytes = count_bytes(op, desc, in, out);
  am_dtype type = am_op_inputs(op) > 0 ? in[0].dtype : out[0].dtype;
  t->calls++;
  t->flops += flops;
  t->bytes += bytes;
  t->floor_sec += floor_of(p, type, flops, bytes);
}
