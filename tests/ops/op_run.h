// Runs one case of the table on a device and compares results.
#ifndef OP_RUN_H
#define OP_RUN_H

#include "op_cases.h"

// How operands lie in memory when the op sees them.
typedef enum {
  PLACE_PLAIN,
  PLACE_VIEW,  // inside a larger tensor, off every alignment but their type's; outputs too
  PLACE_NHWC,  // 4-D operands in this layout
  PLACE_C16,   // those of a multiple of 16 channels in this one
  PLACE_COUNT
} op_place;

// The kernels of the cuda backend as loops on this machine (tests/on_host), which lie beside the folder of this program.
AM_MUST_USE am_err op_open_kernels(am_device **out);
// Whether a library computes the op there, so that it is not among the kernels.
bool op_is_of_a_library(am_op op);
// Whether the case, `seen` of whose op came before it, is among those that are run: one of `every`. compiled: where an affine
// convolution is compiled for each of its activations, a geometry has one of them alone, and another one with a residual.
bool op_is_taken(am_op op, int64_t seen, int64_t every, bool compiled);

// False when the place makes no difference to the case: nothing to put there.
bool op_place_fits(const op_case *c, op_place place);

// Outputs as numbers in row-major order.
typedef struct {
  double *value[AM_OP_MAX_OUTPUTS];  // owned
  int64_t count[AM_OP_MAX_OUTPUTS];
  am_shape shape[AM_OP_MAX_OUTPUTS];
  am_dtype dtype[AM_OP_MAX_OUTPUTS];
} op_result;
AM_MUST_USE am_err op_run(am_device *dev, const op_case *c, op_place place, op_result *out);
void op_result_fini(op_result *r);

// True when every output agrees within the case's tolerance times AM_TOL_SCALE; otherwise prints
// the worst element of each output that does not.
bool op_agrees(const op_case *c, const op_result *got, const op_result *want, const char *where);
bool op_output_agrees(const op_case *c, const op_result *got, const op_result *want, int output,
                      const char *where);

// The elements of any tensor as doubles; *out is heap memory.
AM_MUST_USE am_err op_tensor_values(am_tensor *t, double **out);

#endif
