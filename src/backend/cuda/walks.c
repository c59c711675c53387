#include "backend/cuda/walks.h"

am_cuda_walk am_cuda_walk_of(am_shape s) {
  am_cuda_walk walk = {.ndim = s.ndim};
  int64_t stride = 1;
  for (int d = s.ndim - 1; d >= 0; d--) {
    walk.dim[d] = s.dim[d];
    walk.stride[d] = stride;
    stride *= s.dim[d];
  }
  return walk;
}

am_cuda_walk am_cuda_walk_broadcast(am_shape operand, am_shape result) {
  const am_cuda_walk own = am_cuda_walk_of(operand);
  am_cuda_walk walk = {.ndim = result.ndim};
  for (int d = 0; d < result.ndim; d++) {
    const int from = d - (result.ndim - operand.ndim);
    walk.dim[d] = result.dim[d];
    walk.stride[d] = from >= 0 && operand.dim[from] > 1 ? own.stride[from] : 0;
  }
  return walk;
}

am_cuda_walk am_cuda_walk_part(am_shape s, am_shape part, int axis, int64_t start) {
  am_cuda_walk walk = am_cuda_walk_of(s);
  walk.first = start * walk.stride[axis];
  for (int d = 0; d < s.ndim; d++) walk.dim[d] = part.dim[d];
  return walk;
}

am_cuda_walk am_cuda_walk_permuted(am_cuda_walk walk, const int perm[AM_MAX_DIM]) {
  am_cuda_walk out = {.ndim = walk.ndim, .first = walk.first};
  for (int d = 0; d < walk.ndim; d++) {
    out.dim[d] = walk.dim[perm[d]];
    out.stride[d] = walk.stride[perm[d]];
  }
  return out;
}

void am_cuda_walk_reduced(am_shape x, am_shape y, am_cuda_walk *base, am_cuda_walk *window) {
  *base = *window = am_cuda_walk_of(x);
  for (int d = 0; d < x.ndim; d++) {
    base->dim[d] = y.dim[d];
    window->dim[d] = y.dim[d] == x.dim[d] ? 1 : x.dim[d];
  }
}

am_cuda_walk am_cuda_walk_image(am_shape s, am_layout layout, int64_t split) {
  const int64_t n = s.dim[0], c = s.dim[1], h = s.dim[2], w = s.dim[3];
  const int64_t plain[] = {c * h * w, split * h * w, h * w, w, 1};
  const int64_t rows[] = {h * w * c, split, 1, w * c, c};
  const int64_t blocks[] = {c * h * w, h * w * split, 1, w * split, split};
  const int64_t *stride = layout == AM_LAYOUT_PLAIN ? plain : layout == AM_LAYOUT_NHWC ? rows : blocks;
  am_cuda_walk walk = {.ndim = 5, .dim = {n, c / split, split, h, w}};
  for (int d = 0; d < 5; d++) walk.stride[d] = stride[d];
  return walk;
}
