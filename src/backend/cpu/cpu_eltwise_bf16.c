// Elementwise ops on bf16 that training uses on whole activations: one pass, no copy in f32.
#include "backend/cpu/cpu_bf16.h"

typedef struct {
  const am_bf16 *p, *q;
  am_bf16 *y;
  float a, b;
} eltwise_args;

// Sixteen at a time. Ops of one operand are given it twice.
#define BF16_LOOP(name, expr)                                                       \
  AM_CPU_BF16_TARGET static void name(const void *arg, int64_t begin, int64_t end) { \
    const eltwise_args *k = arg;                                                    \
    const float a = k->a, b = k->b;                                                 \
    (void)a, (void)b;                                                               \
    for (int64_t i = begin; i < end; i += AM_CPU_LANES) {                           \
      const am_cpu_lanes p = am_cpu_widen_part(k->p + i, end - i);                  \
      const am_cpu_lanes q = am_cpu_widen_part(k->q + i, end - i);                  \
      (void)q;                                                                      \
      am_cpu_narrow_part((expr), k->y + i, end - i);                                \
    }                                                                               \
  }
BF16_LOOP(affine_loop, p *a + b)
BF16_LOOP(leaky_relu_loop, am_cpu_positive(p, p, p *a))
BF16_LOOP(add_loop, p + q)
BF16_LOOP(leaky_grad_loop, am_cpu_positive(q, p, p *a))

static am_err run(am_cpu *cpu, am_cpu_range_fn loop, const am_view *p, const am_view *q, double a, double b,
                  am_view *y) {
  const eltwise_args k = {p->data, q->data, y->data, (float)a, (float)b};
  am_cpu_for(cpu, am_cpu_count(y), AM_CPU_GRAIN, loop, &k);
  return AM_OK;
}

am_err am_cpu_unary_bf16(am_cpu *cpu, const am_unary_desc *desc, const am_view *in, am_view *out) {
  switch (desc->kind) {
    case AM_UN_AFFINE: return run(cpu, affine_loop, &in[0], &in[0], desc->a, desc->b, &out[0]);
    case AM_UN_LEAKY_RELU: return run(cpu, leaky_relu_loop, &in[0], &in[0], desc->a, 0, &out[0]);
    default: return am_cpu_run_wide(cpu, AM_OP_unary, desc, in, out);
  }
}

am_err am_cpu_binary_bf16(am_cpu *cpu, const am_binary_desc *desc, const am_view *in, am_view *out) {
  const bool alike = am_shape_equal(in[0].shape, in[1].shape);
  if (alike && desc->kind == AM_BIN_ADD) return run(cpu, add_loop, &in[0], &in[1], 0, 0, &out[0]);
  if (alike && desc->kind == AM_BIN_LEAKY_GRAD) {
    return run(cpu, leaky_grad_loop, &in[0], &in[1], desc->a, 0, &out[0]);
  }
  return am_cpu_run_wide(cpu, AM_OP_binary, desc, in, out);
}
