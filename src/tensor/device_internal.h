// What src/tensor knows of a device.
#ifndef AM_TENSOR_DEVICE_INTERNAL_H
#define AM_TENSOR_DEVICE_INTERNAL_H

#include "tensor/pool.h"
#include "tensor/profile.h"

enum { AM_DEVICE_KIND_TEXT = 32, AM_DEVICE_DESCRIPTION = 256 };

struct am_device {
  const am_backend *backend;  // borrowed: a constant table
  void *ctx;                  // owned: the backend's
  am_pool_tally tally;
  am_pool pool;
  am_pool *taking;  // borrowed: where new tensors get their memory; `pool`, or that of the step that is carried out
  char kind[AM_DEVICE_KIND_TEXT];
  char description[AM_DEVICE_DESCRIPTION];
  am_profile *profile;  // borrowed; NULL: nothing is counted
  const am_backend_recorder *recorder;  // borrowed; NULL: every op is carried out at once
  struct am_replay *recording;          // borrowed: whose step is being recorded; NULL: none
};

// While a step is recorded: b is written by it (replay.c).
AM_MUST_USE am_err am_replay_wrote(struct am_replay *r, am_buffer *b);
// Bytes cannot go between host and device while a step is recorded: they would go once, and not when it is launched.
AM_MUST_USE am_err am_device_check_open(const am_device *dev);

// A tensor on a part of `buffer`, whose reference it takes over, also on failure.
AM_MUST_USE am_err am_tensor_wrap(am_device *dev, am_dtype dtype, am_shape shape, am_layout layout,
                                  am_buffer *buffer, size_t offset_bytes, am_tensor **out);
// *out = a tensor of that layout with the elements of t: t itself (retained), another tensor on the
// same memory where the bytes agree, or a copy.
AM_MUST_USE am_err am_tensor_in_layout(am_tensor *t, am_layout layout, am_tensor **out);
// A tensor whose memory was discarded (am_tensor_discard) is no operand.
AM_MUST_USE am_err am_tensor_check_present(const am_tensor *t);

#endif
