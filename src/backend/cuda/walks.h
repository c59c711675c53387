// Walks through plain arrays: what broadcasting, permuting, slicing and reducing come to.
#ifndef AM_BACKEND_CUDA_WALKS_H
#define AM_BACKEND_CUDA_WALKS_H

#include "backend/cuda/kernels/kernels.h"

// A plain array from front to back.
am_cuda_walk am_cuda_walk_of(am_shape s);
// `operand` read as if it had the shape `result`: numpy's rule, fewer dimensions start at the last axes.
am_cuda_walk am_cuda_walk_broadcast(am_shape operand, am_shape result);
// The part of an array of shape s that has shape `part` and begins at `start` along `axis`.
am_cuda_walk am_cuda_walk_part(am_shape s, am_shape part, int axis, int64_t start);
// The same walk with its axes in another order: axis d is perm[d] of before.
am_cuda_walk am_cuda_walk_permuted(am_cuda_walk walk, const int perm[AM_MAX_DIM]);
// An image (n, c, h, w) as it lies in a layout, place by place of (n, c / split, split, h, w); split: 16, or 1 without C16.
am_cuda_walk am_cuda_walk_image(am_shape s, am_layout layout, int64_t split);
// A reduction of x to y: the places of y in x, and what is reduced at each of them.
void am_cuda_walk_reduced(am_shape x, am_shape y, am_cuda_walk *base, am_cuda_walk *window);

#endif
