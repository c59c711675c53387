// Which layout the operands of an op have: fixed rules of shape and instruction set.
//
// f32: C16 starts at a convolution that oneDNN carries out and stays from there on: elementwise ops,
// normalisation, pooling and resampling take what they are given. Everything else is plain, as dispatch sets it.
// An image of one place (h = w = 1) has the same bytes in either layout and is always called plain.
// bf16: images lie channels last wherever an op looks at them as images.
#include "backend/cpu/cpu_internal.h"

// Below this many places in a batch, weights outweigh activations: reordering them costs more than
// the convolution, which runs as im2col + sgemm on plain memory. Measured on Zen 5, one thread,
// GFLOP/s of sgemm against oneDNN with its reorders, forward: 512 channels, 4x4 kernel on 16 places
// 158 : 56, on 64 167 : 90, on 256 104 : 124; 3x3, 512 channels on 64 165 : 145, on 256 167 : 188;
// 128 channels on 256 166 : 221, on 1024 190 : 377 (Winograd). A single image wins less than the
// reorders between its layers cost, unless it is large.
enum { C16_MIN_PLACES = 256, C16_MIN_PLACES_SINGLE = 2048 };

static bool enough_places(int64_t n, int64_t h, int64_t w) {
  return n * h * w >= (n == 1 ? C16_MIN_PLACES_SINGLE : C16_MIN_PLACES);
}

static bool is_one_place(am_shape s) { return s.ndim == 4 && s.dim[2] * s.dim[3] == 1; }

bool am_cpu_prefers_c16(const am_cpu *cpu, am_shape s) {
  return cpu->avx512 && s.ndim == 4 && s.dim[1] % AM_CPU_LANES == 0 && !is_one_place(s) &&
         enough_places(s.dim[0], s.dim[2], s.dim[3]);
}

// Images of a few channels stay plain. oneDNN reads them so, but has only its reference loops to
// write their gradient.
bool am_cpu_conv_is_blocked(const am_cpu *cpu, am_op op, const am_cpu_conv *c) {
  const bool few = c->ci <= 4 && op != AM_OP_conv2d_grad_input;
  const bool channels = c->co % AM_CPU_LANES == 0 && (c->ci % AM_CPU_LANES == 0 || few);
  return cpu->avx512 && c->groups == 1 && channels && enough_places(c->n, c->ho, c->wo);
}

static void set_c16(am_view *v) { v->layout = is_one_place(v->shape) ? AM_LAYOUT_PLAIN : AM_LAYOUT_C16; }
static void set_c16_if(bool blocked, am_view *v) {
  if (blocked) set_c16(v);
  else v->layout = AM_LAYOUT_PLAIN;
}

// Images lie alike: blocked when one of them is.
static void layout_alike(am_view *const *image, int count) {
  bool blocked = false;
  for (int i = 0; i < count; i++) blocked |= am_cpu_is_c16(image[i]);
  for (int i = 0; i < count; i++) set_c16_if(blocked, image[i]);
}

static void layout_conv(const am_cpu *cpu, am_op op, const am_conv2d_desc *desc, am_view *in, am_view *out) {
  // Which operand plays which part of the forward convolution.
  am_view *x = op == AM_OP_conv2d ? &in[0] : op == AM_OP_conv2d_grad_input ? &out[0] : &in[1];
  am_view *w = op == AM_OP_conv2d_grad_weight ? &out[0] : &in[1];
  am_view *y = op == AM_OP_conv2d ? &out[0] : &in[0];
  const am_cpu_conv c = am_cpu_conv_of(desc, x->shape, w->shape, y->shape, AM_F32);
  const bool blocked = am_cpu_conv_is_blocked(cpu, op, &c);
  set_c16_if(blocked && c.ci % AM_CPU_LANES == 0, x);
  set_c16_if(blocked, y);
  w->layout = AM_LAYOUT_PLAIN;
}

// Ops that make images of another size: blocked when what they read is. One place a
// channel says nothing, there the rule for free choices decides.
static void layout_unpool(const am_cpu *cpu, am_view *in, int inputs, am_view *out) {
  bool blocked = is_one_place(in[0].shape) && am_cpu_prefers_c16(cpu, out[0].shape);
  for (int i = 0; i < inputs; i++) blocked |= am_cpu_is_c16(&in[i]);
  for (int i = 0; i < inputs; i++) set_c16_if(blocked, &in[i]);
  set_c16_if(blocked, &out[0]);
}

// ---- bf16: channels last ----
// oneDNN's fast convolutions in bf16 (AMX) read and write channels last, and those without AMX are as
// fast there as on blocks.

static void set_nhwc(am_view *v) {
  const bool image = v->shape.ndim == 4 && !is_one_place(v->shape);
  v->layout = image ? AM_LAYOUT_NHWC : AM_LAYOUT_PLAIN;
}

// The operands that are images lie channels last; kernels and what belongs to a channel are plain.
static void images_nhwc(am_op op, am_view *in, am_view *out) {
  const am_dtype image = in[0].dtype;
  for (int i = 0; i < am_op_inputs(op); i++) {
    if (in[i].dtype == image || in[i].dtype == AM_I32) set_nhwc(&in[i]);
    else in[i].layout = AM_LAYOUT_PLAIN;
  }
  for (int i = 0; i < am_op_outputs(op); i++) {
    if (out[i].dtype == image || out[i].dtype == AM_I32) set_nhwc(&out[i]);
    else out[i].layout = AM_LAYOUT_PLAIN;
  }
}

// False: the op runs in f32 on widened operands, which lie as those of f32.
static bool choose_bf16(am_op op, const void *desc, am_view *in, am_view *out) {
  switch (op) {
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input:
    case AM_OP_conv2d_grad_weight:
      if (((const am_conv2d_desc *)desc)->groups > 1) return false;
      images_nhwc(op, in, out);
      return true;
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add:
      if (((const am_conv2d_affine_desc *)desc)->conv.groups > 1) return false;
      images_nhwc(op, in, out);
      return true;
    case AM_OP_max_pool2d:
    case AM_OP_max_pool2d_values:
    case AM_OP_pool_scatter:
    case AM_OP_pool_gather:
    case AM_OP_avg_pool2d:
    case AM_OP_avg_pool2d_grad:
    case AM_OP_upfirdn2d:
    case AM_OP_resample2d:
    case AM_OP_resample2d_grad:
    case AM_OP_batch_norm:
    case AM_OP_batch_norm_grad:
    case AM_OP_batch_norm_add:
    case AM_OP_batch_norm_add_grad:
    case AM_OP_scale_shift:
    case AM_OP_bias_act:
    case AM_OP_bias_act_grad:
      images_nhwc(op, in, out);
      return true;
    case AM_OP_reduce: {
      const am_reduce_desc *reduce = desc;
      const bool whole_planes = (reduce->axes & 12u) == 12u && reduce->kind != AM_RED_ARGMAX;
      if (!whole_planes || in[0].shape.ndim != 4) return false;
      set_nhwc(&in[0]);
      return true;
    }
    case AM_OP_unary:
    case AM_OP_binary:
    case AM_OP_dropout:
      for (int i = 0; i < am_op_inputs(op); i++) {
        if (am_cpu_is_c16(&in[i])) set_nhwc(&in[i]);
      }
      am_layout_default(op, in, out);
      return true;
    default: return false;
  }
}

// A cast to bf16 makes an image lie channels last on the way; one from bf16 leaves it as it lies.
static void choose_cast(const am_dtype_desc *desc, am_view *in, am_view *out) {
  if (desc->dtype == AM_BF16 && in->dtype == AM_F32) {
    in->layout = AM_LAYOUT_PLAIN;
    set_nhwc(out);
  } else {
    out->layout = in->layout;
  }
}

void am_cpu_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out) {
  const am_cpu *cpu = ctx;
  if (op == AM_OP_cast) {
    choose_cast(desc, in, out);
    return;
  }
  if (am_op_inputs(op) > 0 && in[0].dtype == AM_BF16 && choose_bf16(op, desc, in, out)) return;
  for (int i = 0; i < am_op_inputs(op); i++) set_c16_if(am_cpu_is_c16(&in[i]), &in[i]);  // no channels last
  const bool first_c16 = am_op_inputs(op) > 0 && am_cpu_is_c16(&in[0]);
  switch (op) {
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input:
    case AM_OP_conv2d_grad_weight:
      layout_conv(cpu, op, desc, in, out);
      return;
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add:
      layout_conv(cpu, AM_OP_conv2d, &((const am_conv2d_affine_desc *)desc)->conv, in, out);
      if (op == AM_OP_conv2d_affine_add) in[4].layout = out[0].layout;
      return;
    case AM_OP_reduce: {
      const am_reduce_desc *reduce = desc;
      const bool whole_planes = (reduce->axes & 12u) == 12u && reduce->kind != AM_RED_ARGMAX;
      set_c16_if(first_c16 && whole_planes, &in[0]);
      return;
    }
    case AM_OP_broadcast_to:
      in[0].layout = AM_LAYOUT_PLAIN;
      set_c16_if(am_shape_is_per_channel(out[0].shape, in[0].shape) && am_cpu_prefers_c16(cpu, out[0].shape),
                 &out[0]);
      return;
    case AM_OP_max_pool2d:
      for (int i = 0; i < 2; i++) set_c16_if(first_c16, &out[i]);
      return;
    case AM_OP_pool_scatter:
      layout_unpool(cpu, in, 2, out);
      return;
    case AM_OP_avg_pool2d_grad:
    case AM_OP_upfirdn2d:
    case AM_OP_resample2d:
    case AM_OP_resample2d_grad:
      layout_unpool(cpu, in, 1, out);
      return;
    case AM_OP_pool_gather:
      layout_alike((am_view *[]){&in[0], &in[1], &out[0]}, 3);
      return;
    case AM_OP_bias_act_grad:
      layout_alike((am_view *[]){&in[0], &in[1], &out[0]}, 3);
      return;
    case AM_OP_max_pool2d_values:
    case AM_OP_avg_pool2d:
    case AM_OP_bias_act:
    case AM_OP_batch_norm:
    case AM_OP_scale_shift:
      set_c16_if(first_c16, &out[0]);
      return;
    case AM_OP_batch_norm_add:
      layout_alike((am_view *[]){&in[0], &in[3], &out[0]}, 3);
      return;
    case AM_OP_batch_norm_grad:
      layout_alike((am_view *[]){&in[0], &in[1], &out[0]}, 3);
      return;
    case AM_OP_batch_norm_add_grad:
      layout_alike((am_view *[]){&in[0], &in[1], &in[2], &out[0], &out[1]}, 5);
      return;
    default:
      am_layout_default(op, in, out);
      return;
  }
}
