// A device: one backend's context with its memory pool and its threads. One rank opens one.
#ifndef AM_TENSOR_DEVICE_H
#define AM_TENSOR_DEVICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct am_device am_device;

typedef struct {
  // "cpu" | "ref" | "cuda" | "cuda:eager" | "guard" (= "guard:cpu") | "guard:ref"; NULL means "cpu". eager: ops are queued one by
  // one and steps are never recorded (tensor/replay.h); the same bits, slower.
  const char *kind;
  int threads;        // cpu: threads of every operation, part of a result's meaning; 0 means 1
  int index;          // cuda: which card of this host, counted round: a process's number on the host will do
  bool measured;      // cuda: convolutions take the engine that is fastest when it is first needed. For benchmarks alone: what
                      // a run keeps must not hang on a timing
} am_device_cfg;

// Errors: AM_ERR_CONFIG unknown or unbuilt kind (the message lists what there is and how to build
// it); AM_ERR_DEVICE the driver or library refuses; AM_ERR_UNSUPPORTED measured, and a device that measures nothing.
AM_MUST_USE am_err am_device_open(const am_device_cfg *cfg, am_device **out);
void am_device_close(am_device *dev);  // all its tensors must be gone
const char *am_device_kind(const am_device *dev);
// Whether products and convolutions of f32 read their operands as TF32 (10 bits of mantissa; storage and sums stay f32) from
// here on; they do not when a device is opened. A state of the device rather than of its opening: one process trains in
// several precisions, one after the other, and each piece of work says at its start which (nn/module.h, am_compute_use).
// Errors: AM_ERR_UNSUPPORTED on, and a device that has no TF32.
AM_MUST_USE am_err am_device_check_tf32(const am_device *dev);
AM_MUST_USE am_err am_device_set_tf32(am_device *dev, bool on);
// Waits for everything queued on the device. Errors: those of the queued work.
AM_MUST_USE am_err am_device_sync(am_device *dev);

// Whether the host may read and write tensors in place (am_tensor_as_view); else everything goes through am_tensor_to_host and
// am_tensor_copy_from_host.
bool am_device_host_memory(const am_device *dev);
// *pp (any pointer variable) = host memory for copies to and from dev, pinned where the backend can. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_device_alloc_host(am_device *dev, size_t bytes, void *pp);
void am_device_free_host(am_device *dev, void *memory);  // NULL is fine

typedef struct {
  int64_t live_bytes;    // in blocks that tensors hold, sizes rounded as the pool rounds them
  int64_t peak_bytes;    // the most live_bytes has been
  int64_t cached_bytes;  // kept for reuse; given back when memory runs out
  int64_t allocations;  // buffers handed out since opening
} am_device_memory;
am_device_memory am_device_memory_now(const am_device *dev);

// "cpu (oneDNN 2.6.3, AVX-512, 1 thread)": for provenance and doctor.
const char *am_device_describe(const am_device *dev);

#endif
