// Walks through arrays: what broadcasting, permuting, slicing and reducing come to; and how sums are shared by threads.
#ifndef AM_BACKEND_CUDA_WALKS_H
#define AM_BACKEND_CUDA_WALKS_H

#include "backend/cuda/kernels/kernels.h"

// A plain array from front to back.
am_cuda_walk am_cuda_walk_of(am_shape s);
// The same of an array that is plain or channels last, as it lies.
am_cuda_walk am_cuda_walk_lying(const am_view *v);
// `operand` read as if it had the shape `result`: numpy's rule, fewer dimensions start at the last axes.
am_cuda_walk am_cuda_walk_broadcast(am_shape operand, am_shape result);
// The part of an array of shape s that has shape `part` and begins at `start` along `axis`.
am_cuda_walk am_cuda_walk_part(am_shape s, am_shape part, int axis, int64_t start);
// The same walk with its axes in another order: axis d is perm[d] of before.
am_cuda_walk am_cuda_walk_permuted(am_cuda_walk walk, const int perm[AM_MAX_DIM]);
// An image (n, c, h, w) as it lies in a layout, place by place of (n, c / split, split, h, w); split: 16, or 1 without C16.
am_cuda_walk am_cuda_walk_image(am_shape s, am_layout layout, int64_t split);
// An operand of any layout, place by place of y as y lies in memory: of y's shape and layout, or plain and broadcast to it.
am_cuda_walk am_cuda_walk_beside(const am_view *operand, const am_view *y);
// A reduction of an array of shape x, walked by `walk`, to shape y: the places of y in x, and what is reduced at each of them.
void am_cuda_walk_reduced(am_cuda_walk walk, am_shape x, am_shape y, am_cuda_walk *base, am_cuda_walk *window);
// The same places with fewer axes: those of length 1 go, and neighbours that both walks cross without a gap become one. b may
// be NULL. There is at least one axis left.
void am_cuda_walk_fold(am_cuda_walk *a, am_cuda_walk *b);
// Two folded walks over elements of `size` bytes at x and y, as walks over larger ones, up to 16 bytes, where both memory and
// strides allow. Returns the new size; *count becomes the number of those.
size_t am_cuda_walk_widen(am_cuda_walk *a, const void *x, am_cuda_walk *b, const void *y, size_t size, int64_t *count);

// Lanes for sums of `length` elements each. together: neighbouring outputs lie side by side in memory, so neighbouring threads
// take those; else neighbouring lanes.
am_cuda_team am_cuda_team_for(int64_t outputs, int64_t length, bool together);
// Pieces of each output's sum: enough to fill a card, not so many that a piece is short.
int64_t am_cuda_parts(am_cuda_team team, int64_t outputs, int64_t length);

#endif
