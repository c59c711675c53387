// Who may use which bytes of the pinned memory that copies pass through: ranges are taken one after the other around a ring
// and come back in the same order, when the card has done with them. Host logic, without a call of CUDA.
#ifndef AM_BACKEND_CUDA_RING_H
#define AM_BACKEND_CUDA_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { AM_RING_RANGES = 64, AM_RING_ALIGN = 256 };
typedef struct {
  size_t bytes;          // of the ring, a multiple of AM_RING_ALIGN
  int64_t taken, given;  // ranges so far; range i has the slot i % AM_RING_RANGES
  struct { size_t begin, end; } range[AM_RING_RANGES];
} am_ring;

// Takes `bytes` (1 .. r->bytes / 2) in one piece: *offset says where, *slot which one it is. False: there is no room until
// older ranges are given back.
bool am_ring_take(am_ring *r, size_t bytes, size_t *offset, int *slot);
// The slot of the oldest range that is out, -1 when none is.
int am_ring_oldest(const am_ring *r);
// The oldest range is free again.
void am_ring_give(am_ring *r);

#endif
