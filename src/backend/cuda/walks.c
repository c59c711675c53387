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

am_cuda_walk am_cuda_walk_lying(const am_view *v) {
  am_cuda_walk walk = am_cuda_walk_of(v->shape);
  if (v->layout != AM_LAYOUT_NHWC) return walk;
  const int64_t c = v->shape.dim[1], w = v->shape.dim[3];
  walk.stride[1] = 1;
  walk.stride[2] = w * c;
  walk.stride[3] = c;
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

am_cuda_walk am_cuda_walk_beside(const am_view *operand, const am_view *y) {
  static const int channels_last[AM_MAX_DIM] = {0, 2, 3, 1};
  const bool same = am_shape_equal(operand->shape, y->shape);
  const am_cuda_walk walk = same ? am_cuda_walk_lying(y) : am_cuda_walk_broadcast(operand->shape, y->shape);
  return y->layout == AM_LAYOUT_NHWC ? am_cuda_walk_permuted(walk, channels_last) : walk;
}

void am_cuda_walk_reduced(am_cuda_walk walk, am_shape x, am_shape y, am_cuda_walk *base, am_cuda_walk *window) {
  *base = *window = walk;
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

// Axis d joins axis `before` when the step from one row to the next is the row's own length.
static bool joins(const am_cuda_walk *walk, int before, int d) {
  return walk->stride[before] == walk->stride[d] * walk->dim[d];
}
static void keep_axis(am_cuda_walk *walk, int d, int to, bool join) {
  walk->dim[to] = walk->dim[d] * (join ? walk->dim[to] : 1);
  walk->stride[to] = walk->stride[d];
}

void am_cuda_walk_fold(am_cuda_walk *a, am_cuda_walk *b) {
  int kept = 0;
  for (int d = 0; d < a->ndim; d++) {
    if (a->dim[d] == 1) continue;
    const bool join = kept > 0 && joins(a, kept - 1, d) && (!b || joins(b, kept - 1, d));
    const int to = join ? kept - 1 : kept;
    keep_axis(a, d, to, join);
    if (b) keep_axis(b, d, to, join);
    kept += !join;
  }
  if (kept == 0) {
    a->dim[0] = a->stride[0] = 1;
    if (b) b->dim[0] = b->stride[0] = 1;
    kept = 1;
  }
  a->ndim = kept;
  if (b) b->ndim = kept;
}

// Whether elements can be taken two by two.
static bool pairs(const am_cuda_walk *walk, const void *data, size_t size) {
  const int last = walk->ndim - 1;
  bool even = (uintptr_t)data % (2 * size) == 0 && walk->stride[last] == 1 && walk->dim[last] % 2 == 0 && walk->first % 2 == 0;
  for (int d = 0; d < last; d++) even = even && walk->stride[d] % 2 == 0;
  return even;
}
static void halve(am_cuda_walk *walk) {
  const int last = walk->ndim - 1;
  walk->dim[last] /= 2;
  walk->first /= 2;
  for (int d = 0; d < last; d++) walk->stride[d] /= 2;
}

size_t am_cuda_walk_widen(am_cuda_walk *a, const void *x, am_cuda_walk *b, const void *y, size_t size, int64_t *count) {
  while (size < 16 && pairs(a, x, size) && pairs(b, y, size)) {
    halve(a);
    halve(b);
    *count /= 2;
    size *= 2;
  }
  return size;
}

// ---- teams ----

// The least power of two that is not less, up to `most`, which is one.
static int power_of_two(int64_t least, int most) {
  int power = 1;
  while (power < least && power < most) power *= 2;
  return power;
}

am_cuda_team am_cuda_team_for(int64_t outputs, int64_t length, bool together) {
  enum { SIDE_BY_SIDE = 32, EACH = 4 };  // outputs of a warp; elements that a lane should at least have
  const int least = together ? power_of_two(outputs, SIDE_BY_SIDE) : 1;
  const int lanes = power_of_two((length + EACH - 1) / EACH, AM_CUDA_THREADS / least);
  if (together) return (am_cuda_team){.lanes = lanes, .lane_stride = AM_CUDA_THREADS / lanes, .output_stride = 1};
  return (am_cuda_team){.lanes = lanes, .lane_stride = 1, .output_stride = lanes};
}

int64_t am_cuda_parts(am_cuda_team team, int64_t outputs, int64_t length) {
  enum { ENOUGH = 1024, LEAST = 16 };  // teams of a launch; elements of a lane
  const int64_t teams = (outputs * team.lanes + AM_CUDA_THREADS - 1) / AM_CUDA_THREADS;
  int64_t parts = ENOUGH / teams;
  if (parts > length / (team.lanes * LEAST)) parts = length / (team.lanes * LEAST);
  if (parts > AM_CUDA_MOST_PARTS) parts = AM_CUDA_MOST_PARTS;
  return parts > 1 ? parts : 1;
}
