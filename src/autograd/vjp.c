// Which op has which gradient rule.
#include "autograd/graph_internal.h"

const am_vjp_rule am_vjp_rules[AM_NODE_KINDS] = {
#define AM_VJP_ENTRY(op) [AM_OP_##op] = am_vjp_##op,
    AM_VJP_LIST(AM_VJP_ENTRY)
#undef AM_VJP_ENTRY
        [AM_NODE_RESHAPE] = am_vjp_reshape,
};

bool am_op_differentiable(am_op op) { return am_vjp_rules[op] != NULL; }

bool am_passes_gradient(int op, const void *desc) {
  switch (op) {
    case AM_OP_unary: {
      am_unary_kind kind = ((const am_unary_desc *)desc)->kind;
      return kind != AM_UN_SIGN && kind != AM_UN_STEP;
    }
    case AM_OP_reduce:
      return ((const am_reduce_desc *)desc)->kind != AM_RED_ARGMAX;
    case AM_OP_cast: {
      am_dtype to = ((const am_dtype_desc *)desc)->dtype;
      return to == AM_F32 || to == AM_F64 || to == AM_BF16;
    }
    // Fused ops without a rule are recorded all the same, so that asking for their gradient is an error
    // and not a silent zero.
    case AM_OP_batch_norm_grad:
    case AM_OP_batch_norm_add_grad:
    case AM_OP_bias_act_grad:
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add:
    case AM_OP_max_pool2d_values:
      return true;
    default:
      return am_vjp_rules[op] != NULL;
  }
}
