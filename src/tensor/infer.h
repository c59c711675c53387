// One function per op: checks the arguments and gives the outputs' types and shapes.
//
// in[] (and out[] of in-place ops) come with dtype, layout and shape but without data. A descriptor
// is the caller's copy: zeros that mean a default are filled in. Messages give the reason only;
// dispatch puts the op and its operands in front.
#ifndef AM_TENSOR_INFER_H
#define AM_TENSOR_INFER_H

#include "tensor/backend.h"

#define AM_INFER_FUNCTION(op, desc_type, inputs, outputs, in_place) \
  AM_MUST_USE am_err am_infer_##op(desc_type *desc, const am_view *in, am_view *out);
AM_OP_LIST(AM_INFER_FUNCTION)
#undef AM_INFER_FUNCTION

// Bounds sizes, strides and windows of images, so that arithmetic with them cannot overflow.
enum { AM_WINDOW_MAX = 1 << 20 };

// Zero means the default.
static inline void am_infer_default(int64_t *value, int64_t fallback) {
  if (*value == 0) *value = fallback;
}

// Shared checks: each of `count` views is floating point and all have one type.
AM_MUST_USE am_err am_infer_floats(const am_view *views, int count);
// The type of parameters beside images of this one: f32 beside bf16, else the same.
am_dtype am_infer_parameter_dtype(am_dtype image);
// A parameter beside images of this type has the right one; `what` names it.
AM_MUST_USE am_err am_infer_parameter(const am_view *v, am_dtype image, const char *what);
// x has this many dimensions; `what` names it in the message.
AM_MUST_USE am_err am_infer_ndim(const am_view *x, int ndim, const char *what);
// v has exactly this shape.
AM_MUST_USE am_err am_infer_shape(const am_view *v, am_shape shape, const char *what);
// v holds i32.
AM_MUST_USE am_err am_infer_index(const am_view *v);

#endif
