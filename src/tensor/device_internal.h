// What src/tensor knows of a device.
#ifndef AM_TENSOR_DEVICE_INTERNAL_H
#define AM_TENSOR_DEVICE_INTERNAL_H

#include "tensor/pool.h"
#include "tensor/profile.h"

enum { AM_DEVICE_KIND_TEXT = 32, AM_DEVICE_DESCRIPTION = 256 };

struct am_device {
  const am_backend *backend;  // borrowed: a constant table
  void *ctx;                  // owned: the backend's
  am_pool pool;
  char kind[AM_DEVICE_KIND_TEXT];
  char description[AM_DEVICE_DESCRIPTION];
  am_profile *profile;  // borrowed; NULL: nothing is counted
};

// A tensor on a part of `buffer`, whose reference it takes over, also on failure.
AM_MUST_USE am_err am_tensor_wrap(am_device *dev, am_dtype dtype, am_shape shape, am_layout layout,
                                  am_buffer *buffer, size_t offset_bytes, am_tensor **out);
// *out = a tensor of that layout with the elements of t: t itself (retained), another tensor on the
// same memory where the bytes agree, or a copy.
AM_MUST_USE am_err am_tensor_in_layout(am_tensor *t, am_layout layout, am_tensor **out);
// A tensor whose memory was discarded (am_tensor_discard) is no operand.
AM_MUST_USE am_err am_tensor_check_present(const am_tensor *t);

#endif
