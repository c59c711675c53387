// Walks on the card.
#ifndef AM_BACKEND_CUDA_WALK_H
#define AM_BACKEND_CUDA_WALK_H

#include "backend/cuda/kernels/launch.h"

// Where place i of a walk lies. The loop's bounds are constant, so that the walk stays where a kernel's arguments are.
AM_ON_CARD int64_t am_cuda_place(const am_cuda_walk *walk, int64_t i) {
  int64_t at = walk->first;
  for (int d = AM_MAX_DIM - 1; d >= 1; d--) {
    if (d >= walk->ndim) continue;
    at += i % walk->dim[d] * walk->stride[d];
    i /= walk->dim[d];
  }
  return walk->ndim > 0 ? at + i * walk->stride[0] : at;
}

#endif
