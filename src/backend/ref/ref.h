// The reference backend: every op as plain loops, f32 and f64, computed in double and rounded at
// the store. It is the oracle that other backends are tested against: it is read, never tuned.
#ifndef AM_BACKEND_REF_H
#define AM_BACKEND_REF_H

#include "tensor/backend.h"

extern const am_backend am_backend_ref;

#define AM_REF_FUNCTION(op, desc_type, inputs, outputs, in_place) \
  AM_MUST_USE am_err am_ref_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out);
AM_OP_LIST(AM_REF_FUNCTION)
#undef AM_REF_FUNCTION

// Element i in memory order of an f32 or f64 view.
static inline double am_ref_get(const am_view *v, int64_t i) {
  return v->dtype == AM_F32 ? (double)((const float *)v->data)[i] : ((const double *)v->data)[i];
}
static inline void am_ref_put(const am_view *v, int64_t i, double value) {
  if (v->dtype == AM_F32) {
    ((float *)v->data)[i] = (float)value;
  } else {
    ((double *)v->data)[i] = value;
  }
}

// Place of element (n, c, h, w) in a plain 4-D view.
static inline int64_t am_ref_at(const am_view *v, int64_t n, int64_t c, int64_t h, int64_t w) {
  const int64_t *dim = v->shape.dim;
  return ((n * dim[1] + c) * dim[2] + h) * dim[3] + w;
}

// Coordinates of the i-th element in row-major order, and back. On the way back an axis of length 1
// stands for every coordinate: broadcasting.
static inline void am_ref_unravel(am_shape s, int64_t i, int64_t at[AM_MAX_DIM]) {
  for (int d = s.ndim - 1; d >= 0; d--) {
    at[d] = i % s.dim[d];
    i /= s.dim[d];
  }
}
static inline int64_t am_ref_ravel(am_shape s, const int64_t *at) {
  int64_t i = 0;
  for (int d = 0; d < s.ndim; d++) i = i * s.dim[d] + (s.dim[d] == 1 ? 0 : at[d]);
  return i;
}

#endif
