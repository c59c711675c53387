// Walks on the card.
#ifndef AM_BACKEND_CUDA_WALK_H
#define AM_BACKEND_CUDA_WALK_H

#include "backend/cuda/kernels/launch.h"

// Where place i of a walk lies.
AM_ON_CARD int64_t am_cuda_place(am_cuda_walk walk, int64_t i) {
  int64_t at = walk.first;
  for (int d = walk.ndim - 1; d >= 0; d--) {
    at += i % walk.dim[d] * walk.stride[d];
    i /= walk.dim[d];
  }
  return at;
}

#endif
