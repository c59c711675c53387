#include "backend/cpu/cpu_nest.h"

#include "backend/cpu/cpu_internal.h"

void am_cpu_nest_push(am_cpu_nest *nest, int64_t dim, const int64_t stride[AM_CPU_NEST_OPERANDS]) {
  if (dim == 1) return;
  bool merges = nest->ndim > 0;
  for (int k = 0; merges && k < AM_CPU_NEST_OPERANDS; k++) {
    merges = nest->stride[nest->ndim - 1][k] == stride[k] * dim;
  }
  if (merges) {
    nest->dim[nest->ndim - 1] *= dim;
  } else {
    nest->dim[nest->ndim++] = dim;
  }
  for (int k = 0; k < AM_CPU_NEST_OPERANDS; k++) nest->stride[nest->ndim - 1][k] = stride[k];
}

void am_cpu_nest_finish(am_cpu_nest *nest) {
  if (nest->ndim > 0) return;
  nest->ndim = 1;
  nest->dim[0] = 1;
  for (int k = 0; k < AM_CPU_NEST_OPERANDS; k++) nest->stride[0][k] = 1;
}

// Strides of a plain operand along the axes of `shape`, 0 where it is broadcast.
static void plain_strides(am_shape shape, am_shape operand, int64_t stride[AM_MAX_DIM]) {
  int64_t step = 1;
  for (int i = shape.ndim - 1; i >= 0; i--) {
    const int own = i - (shape.ndim - operand.ndim);
    const int64_t dim = own >= 0 ? operand.dim[own] : 1;
    stride[i] = dim == 1 ? 0 : step;
    step *= dim;
  }
}

// The five axes of a C16 array, (n, c/16, h, w, 16), for an operand of any allowed kind.
static void blocked_strides(const am_view *out, const am_view *operand, int64_t stride[5]) {
  const am_shape s = out->shape;
  if (am_cpu_is_c16(operand)) {
    const int64_t spatial = s.dim[2] * s.dim[3];
    const int64_t own[5] = {s.dim[1] * spatial, AM_CPU_LANES * spatial, AM_CPU_LANES * s.dim[3], AM_CPU_LANES, 1};
    for (int i = 0; i < 5; i++) stride[i] = own[i];
    return;
  }
  int64_t plain[AM_MAX_DIM];
  plain_strides(s, operand->shape, plain);
  const int64_t own[5] = {plain[0], plain[1] * AM_CPU_LANES, plain[2], plain[3], plain[1]};
  for (int i = 0; i < 5; i++) stride[i] = own[i];
}

am_cpu_nest am_cpu_nest_broadcast(const am_view *out, const am_view *in, int inputs) {
  const bool blocked = am_cpu_is_c16(out);
  const am_shape s = out->shape;
  int64_t stride[AM_CPU_NEST_OPERANDS][AM_MAX_DIM] = {{0}};
  int64_t dim[AM_MAX_DIM] = {s.dim[0], s.dim[1] / AM_CPU_LANES, s.dim[2], s.dim[3], AM_CPU_LANES};
  const int ndim = blocked ? 5 : s.ndim;
  for (int i = 0; !blocked && i < ndim; i++) dim[i] = s.dim[i];
  for (int k = 0; k <= inputs; k++) {
    const am_view *operand = k == 0 ? out : &in[k - 1];
    if (blocked) blocked_strides(out, operand, stride[k]);
    else plain_strides(s, operand->shape, stride[k]);
  }
  am_cpu_nest nest = {0};
  for (int i = 0; i < ndim; i++) {
    const int64_t step[AM_CPU_NEST_OPERANDS] = {stride[0][i], stride[1][i], stride[2][i]};
    am_cpu_nest_push(&nest, dim[i], step);
  }
  am_cpu_nest_finish(&nest);
  return nest;
}

int64_t am_cpu_nest_rows(const am_cpu_nest *nest, int64_t at, int64_t end, int64_t offset[AM_CPU_NEST_OPERANDS]) {
  const int last = nest->ndim - 2;  // rows are counted along this dimension first
  for (int k = 0; k < AM_CPU_NEST_OPERANDS; k++) offset[k] = 0;
  int64_t rest = at;
  for (int i = last; i >= 0; i--) {
    const int64_t index = rest % nest->dim[i];
    rest /= nest->dim[i];
    for (int k = 0; k < AM_CPU_NEST_OPERANDS; k++) offset[k] += index * nest->stride[i][k];
  }
  return am_min_i64(nest->dim[last] - at % nest->dim[last], end - at);
}
