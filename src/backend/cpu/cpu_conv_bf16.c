// Convolutions of bf16 images that lie channels last, with kernels that are plain f32 outside.
#include "backend/cpu/cpu_bf16.h"

// ---- where oneDNN has nothing but its reference loops: in f32, on plain copies ----

typedef struct {
  am_view rows, plain;  // in f32
} copies;

static am_err copies_of(am_cpu *cpu, am_shape shape, am_cpu_scratch_slot plain, int wide, copies *out) {
  *out = (copies){.rows = {.dtype = AM_F32, .layout = AM_LAYOUT_NHWC, .shape = shape},
                  .plain = {.dtype = AM_F32, .layout = AM_LAYOUT_PLAIN, .shape = shape}};
  const int64_t count = am_shape_count(shape);
  AM_TRY(am_cpu_scratch(cpu, plain, count, sizeof(float), &out->plain.data));
  return am_cpu_scratch(cpu, (am_cpu_scratch_slot)(AM_CPU_SCRATCH_WIDE + wide), count, sizeof(float),
                        &out->rows.data);
}

static am_err widen(am_cpu *cpu, const am_bf16 *from, copies *to) {
  am_cpu_widen_all(cpu, from, to->rows.data, am_cpu_count(&to->rows));
  return am_cpu_reorder(cpu, &(am_layout_desc){AM_LAYOUT_PLAIN}, &to->rows, &to->plain);
}

static am_err narrow(am_cpu *cpu, copies *from, am_bf16 *to) {
  AM_TRY(am_cpu_reorder(cpu, &(am_layout_desc){AM_LAYOUT_NHWC}, &from->plain, &from->rows));
  am_cpu_narrow_all(cpu, from->rows.data, to, am_cpu_count(&from->rows));
  return AM_OK;
}

// The kernel as it counts: rounded to bf16.
static am_err rounded_kernel(am_cpu *cpu, const am_cpu_conv *c, const float *w, float **out) {
  const int64_t count = c->co * c->ci * c->kh * c->kw;
  am_bf16 *half = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, count, sizeof *half, &half));
  AM_TRY(am_cpu_scratch(cpu, (am_cpu_scratch_slot)(AM_CPU_SCRATCH_WIDE + 2), count, sizeof(float), out));
  am_cpu_narrow_all(cpu, w, half, count);
  am_cpu_widen_all(cpu, half, *out, count);
  return AM_OK;
}

am_err am_cpu_conv_plain_bf16(am_cpu *cpu, am_op op, const am_cpu_conv *c, am_bf16 *x, float *w, am_bf16 *y) {
  copies px, py;
  float *pw = w;
  AM_TRY(copies_of(cpu, AM_SHAPE(c->n, c->ci, c->h, c->w), AM_CPU_SCRATCH_PLAIN_X, 0, &px));
  AM_TRY(copies_of(cpu, AM_SHAPE(c->n, c->co, c->ho, c->wo), AM_CPU_SCRATCH_PLAIN_Y, 1, &py));
  if (op != AM_OP_conv2d_grad_weight) AM_TRY(rounded_kernel(cpu, c, w, &pw));
  if (op != AM_OP_conv2d_grad_input) AM_TRY(widen(cpu, x, &px));
  if (op != AM_OP_conv2d) AM_TRY(widen(cpu, y, &py));
  AM_TRY(am_cpu_conv_gemm(cpu, op, c, px.plain.data, pw, py.plain.data));
  if (op == AM_OP_conv2d_grad_input) return narrow(cpu, &px, x);
  return op == AM_OP_conv2d ? narrow(cpu, &py, y) : AM_OK;
}
