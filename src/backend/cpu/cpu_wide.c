// Ops in bf16 that have no kernel of their own: their operands are widened, the f32 op runs, its
// results are rounded. The same numbers as a kernel would give, for more passes over memory.
#include "backend/cpu/cpu_bf16.h"

static am_err call(am_cpu *cpu, am_op op, const void *desc, const am_view *in, am_view *out) {
  switch (op) {
#define AM_CPU_CALL(op, desc_type, inputs, outputs, in_place) \
  case AM_OP_##op: return am_cpu_##op(cpu, (const desc_type *)desc, in, out);
    AM_OP_LIST(AM_CPU_CALL)
#undef AM_CPU_CALL
    case AM_OP_COUNT: break;
  }
  return AM_FAIL(AM_ERR_INTERNAL, "there is no op %d", (int)op);
}

// The f32 stand-in of operand number `which`; other types as they are.
static am_err wide_view(am_cpu *cpu, const am_view *v, int which, am_view *wide) {
  *wide = *v;
  if (v->dtype != AM_BF16) return AM_OK;
  wide->dtype = AM_F32;
  return am_cpu_scratch(cpu, (am_cpu_scratch_slot)(AM_CPU_SCRATCH_WIDE + which), am_cpu_count(v), sizeof(float),
                        &wide->data);
}

// The kernel of a convolution is f32 and counts rounded to bf16.
static bool is_kernel(am_op op, int input) {
  const bool has_kernel = op == AM_OP_conv2d || op == AM_OP_conv2d_grad_input || op == AM_OP_conv2d_affine ||
                          op == AM_OP_conv2d_affine_add;
  return has_kernel && input == 1;
}

static am_err widen_input(am_cpu *cpu, am_op op, const am_view *in, int i, am_view *wide) {
  const int64_t count = am_cpu_count(in);
  AM_TRY(wide_view(cpu, in, i, wide));
  if (in->dtype == AM_BF16) am_cpu_widen_all(cpu, in->data, wide->data, count);
  if (!is_kernel(op, i)) return AM_OK;
  am_bf16 *rounded = NULL;
  AM_TRY(am_cpu_scratch(cpu, (am_cpu_scratch_slot)(AM_CPU_SCRATCH_WIDE + i), count, sizeof(float), &wide->data));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, count, sizeof *rounded, &rounded));
  am_cpu_narrow_all(cpu, in->data, rounded, count);
  am_cpu_widen_all(cpu, rounded, wide->data, count);
  return AM_OK;
}

am_err am_cpu_run_wide(am_cpu *cpu, am_op op, const void *desc, const am_view *in, am_view *out) {
  am_view wide_in[AM_OP_MAX_INPUTS], wide_out[AM_OP_MAX_OUTPUTS];
  for (int i = 0; i < am_op_inputs(op); i++) AM_TRY(widen_input(cpu, op, &in[i], i, &wide_in[i]));
  for (int i = 0; i < am_op_outputs(op); i++) {
    AM_TRY(wide_view(cpu, &out[i], AM_OP_MAX_INPUTS + i, &wide_out[i]));
  }
  AM_TRY(call(cpu, op, desc, wide_in, wide_out));
  for (int i = 0; i < am_op_outputs(op); i++) {
    if (out[i].dtype == AM_BF16) am_cpu_narrow_all(cpu, wide_out[i].data, out[i].data, am_cpu_count(&out[i]));
  }
  return AM_OK;
}
