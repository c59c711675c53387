// Where a device's time goes: calls, seconds, bytes and operations of every op that dispatch runs.
//
//   am_profile p = {.flops_per_sec = {[AM_F32] = 3e11}, .bytes_per_sec = 2e10};
//   am_device_profile(dev, &p);     // from here on every am_dispatch on dev is counted
//   ...
//   am_device_profile(dev, NULL);   // detached: dispatch costs one comparison more than without
//
// Rules of counting, exact for every call:
//   sec     wall time of the op itself with checks, allocation and the wait for the device; what it sets off in
//           dispatch (a reorder of an operand) is counted there. The sum over all ops is dispatch_sec.
//           Of a device that keeps its own time (a card): that between its start on the op and its end, without the host's.
//   flops   2 * multiply-adds of convolutions (as a direct sum, padding included) and products; 0 for
//           everything else, which memory bounds.
//   bytes   what the op must move if nothing is in a cache: every input once, every output once, an
//           output that is updated in place twice. gather_rows and slice read only what they give.
//   floor_sec  max(flops / flops_per_sec[type of the first operand], bytes / bytes_per_sec).
#ifndef AM_TENSOR_PROFILE_H
#define AM_TENSOR_PROFILE_H

#include "tensor/backend.h"

//   X(name, text)
#define AM_FAMILY_LIST(X)                         \
  X(CONV_FORWARD, "convolution, forward")         \
  X(CONV_DATA, "convolution, data gradient")      \
  X(CONV_WEIGHT, "convolution, weight gradient")  \
  X(MATMUL, "matrix product")                     \
  X(NORM, "normalisation")                        \
  X(ELEMENTWISE, "elementwise")                   \
  X(POOL, "pooling")                              \
  X(RESAMPLE, "resampling")                       \
  X(REORDER, "layout and type")                   \
  X(UPDATE, "optimiser")                          \
  X(OTHER, "other ops")

typedef enum {
#define AM_FAMILY_ENUM(name, text) AM_FAMILY_##name,
  AM_FAMILY_LIST(AM_FAMILY_ENUM)
#undef AM_FAMILY_ENUM
      AM_FAMILY_COUNT
} am_op_family;

am_op_family am_op_family_of(am_op op);
const char *am_op_family_text(am_op_family family);

typedef struct {
  int64_t calls, bytes, flops;
  double sec, floor_sec;
} am_tally;

typedef struct {
  double flops_per_sec[AM_DTYPE_COUNT], bytes_per_sec;  // given: rates of the floors; 0: no floor of that kind
  am_tally op[AM_OP_COUNT];
  double dispatch_sec;
  double inner_sec;  // private: time of the calls inside the one that runs
} am_profile;

// Counts into p (borrowed) from now on; NULL ends it. Local.
void am_device_profile(am_device *dev, am_profile *p);
// Sums over the ops of a family.
am_tally am_profile_family(const am_profile *p, am_op_family family);

// ---- for dispatch ----
typedef struct {
  double began_sec, outer_sec;
  double device_sec;  // by the device's own clock; negative: it has none
} am_profile_span;
am_profile_span am_profile_enter(am_profile *p);
// in and out as the backend saw them; NULL: the call failed before, only its time counts.
void am_profile_leave(am_profile *p, am_profile_span span, am_op op, const void *desc, const am_view *in,
                      const am_view *out);

#endif
