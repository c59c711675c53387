#include "backend/cpu/cpu_nest.h"

#include <string.h>

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
    const int64_t own[5] = {s.dim[1] * spatial, AM_CPU_LANES * spatial, AM_CPU_LANES * s.dim[3], AM_CPU_LANES,
                            1};
    for (int i = 0; i < 5; i++) stride[i] = own[i];
    return;
  }
  int64_t plain[AM_MAX_DIM];
  plain_strides(s, operand->shape, plain);
  const int64_t own[5] = {plain[0], plain[1] * AM_CPU_LANES, plain[2], plain[3], plain[1]};
  for (int i = 0; i < 5; i++) stride[i] = own[i];
}

// The four axes of a channels-last array, (n, h, w, c), likewise.
static void channels_last_strides(const am_view *out, const am_view *operand, int64_t stride[4]) {
  static const int axis[4] = {0, 2, 3, 1};
  const am_shape s = out->shape;
  const int64_t own[4] = {s.dim[1] * s.dim[2] * s.dim[3], s.dim[3] * s.dim[1], s.dim[1], 1};
  int64_t plain[AM_MAX_DIM];
  plain_strides(s, operand->shape, plain);
  for (int i = 0; i < 4; i++) stride[i] = operand->layout == AM_LAYOUT_NHWC ? own[i] : plain[axis[i]];
}

// The axes of an array in memory order.
static int memory_axes(const am_view *v, int64_t dim[AM_MAX_DIM]) {
  const am_shape s = v->shape;
  const int64_t blocked[5] = {s.dim[0], s.dim[1] / AM_CPU_LANES, s.dim[2], s.dim[3], AM_CPU_LANES};
  const int64_t last[4] = {s.dim[0], s.dim[2], s.dim[3], s.dim[1]};
  const int ndim = am_cpu_is_c16(v) ? 5 : s.ndim;
  for (int i = 0; i < ndim; i++) {
    dim[i] = am_cpu_is_c16(v) ? blocked[i] : v->layout == AM_LAYOUT_NHWC ? last[i] : s.dim[i];
  }
  return ndim;
}

am_cpu_nest am_cpu_nest_broadcast(const am_view *out, const am_view *in, int inputs) {
  int64_t stride[AM_CPU_NEST_OPERANDS][AM_MAX_DIM] = {{0}}, dim[AM_MAX_DIM];
  const int ndim = memory_axes(out, dim);
  for (int k = 0; k <= inputs; k++) {
    const am_view *operand = k == 0 ? out : &in[k - 1];
    if (am_cpu_is_c16(out)) blocked_strides(out, operand, stride[k]);
    else if (out->layout == AM_LAYOUT_NHWC) channels_last_strides(out, operand, stride[k]);
    else plain_strides(out->shape, operand->shape, stride[k]);
  }
  am_cpu_nest nest = {0};
  for (int i = 0; i < ndim; i++) {
    const int64_t step[AM_CPU_NEST_OPERANDS] = {stride[0][i], stride[1][i], stride[2][i]};
    am_cpu_nest_push(&nest, dim[i], step);
  }
  am_cpu_nest_finish(&nest);
  return nest;
}

am_cpu_nest am_cpu_nest_reorder(const am_view *out, const am_view *in) {
  const am_shape s = in->shape;
  const int64_t c = s.dim[1], h = s.dim[2], w = s.dim[3];
  // Channels as (c / lanes, lanes): with 16 lanes wherever they divide.
  const int64_t lanes = c % AM_CPU_LANES == 0 ? AM_CPU_LANES : 1;
  const int64_t dim[5] = {s.dim[0], c / lanes, h, w, lanes};
  const int64_t plain[5] = {c * h * w, lanes * h * w, w, 1, h * w};
  const int64_t channels_last[5] = {c * h * w, lanes, w * c, c, 1};
  const int64_t c16[5] = {c * h * w, lanes * h * w, lanes * w, lanes, 1};
  const int64_t *stride[2];
  for (int k = 0; k < 2; k++) {
    const am_layout layout = k == 0 ? out->layout : in->layout;
    stride[k] = layout == AM_LAYOUT_PLAIN ? plain : layout == AM_LAYOUT_C16 ? c16 : channels_last;
  }
  am_cpu_nest nest = {0};
  for (int i = 0; i < 5; i++) {
    const int64_t step[AM_CPU_NEST_OPERANDS] = {stride[0][i], stride[1][i]};
    am_cpu_nest_push(&nest, dim[i], step);
  }
  am_cpu_nest_finish(&nest);
  return nest;
}

int64_t am_cpu_nest_rows(const am_cpu_nest *nest, int64_t at, int64_t end,
                         int64_t offset[AM_CPU_NEST_OPERANDS]) {
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

// ---- copies ----

typedef struct {
  am_cpu_nest nest;  // operand 0: destination, 1: source
  char *dst;
  const char *src;
  size_t size;
} copy_args;

#define COPY_ROW(type)                                                                              \
  do {                                                                                              \
    type *restrict d = (type *)dst;                                                                 \
    const type *restrict s = (const type *)src;                                                     \
    for (int64_t i = 0; i < count; i++) d[i * dst_step] = s[i * src_step];                          \
  } while (0)
static void copy_row(char *dst, const char *src, size_t size, int64_t count, int64_t dst_step,
                     int64_t src_step) {
  if (dst_step == 1 && src_step == 1) {
    memcpy(dst, src, (size_t)count * size);
    return;
  }
  switch (size) {
    case 1: COPY_ROW(uint8_t); break;
    case 2: COPY_ROW(uint16_t); break;
    case 4: COPY_ROW(uint32_t); break;
    default: COPY_ROW(uint64_t); break;
  }
}

// Rows of the nest; one long row is cut into ranges instead.
static void copy_range(const void *arg, int64_t begin, int64_t end) {
  const copy_args *k = arg;
  const am_cpu_nest *nest = &k->nest;
  const int64_t ds = nest->stride[nest->ndim - 1][0], ss = nest->stride[nest->ndim - 1][1];
  const int64_t size = (int64_t)k->size;
  if (nest->ndim == 1) {
    copy_row(k->dst + begin * ds * size, k->src + begin * ss * size, k->size, end - begin, ds, ss);
    return;
  }
  const int64_t *row = nest->stride[nest->ndim - 2];
  for (int64_t at = begin; at < end;) {
    int64_t offset[AM_CPU_NEST_OPERANDS];
    const int64_t run = am_cpu_nest_rows(nest, at, end, offset);
    for (int64_t r = 0; r < run; r++) {
      copy_row(k->dst + (offset[0] + r * row[0]) * size, k->src + (offset[1] + r * row[1]) * size, k->size,
               nest->dim[nest->ndim - 1], ds, ss);
    }
    at += run;
  }
}

void am_cpu_nest_copy(const am_cpu *cpu, const am_cpu_nest *nest, void *dst, const void *src, size_t size) {
  const copy_args args = {.nest = *nest, .dst = dst, .src = src, .size = size};
  int64_t rows = 1;
  for (int i = 0; i < nest->ndim - 1; i++) rows *= nest->dim[i];
  const int64_t cols = nest->dim[nest->ndim - 1];
  if (rows * cols == 0) return;
  if (nest->ndim == 1) am_cpu_for(cpu, cols, AM_CPU_GRAIN, copy_range, &args);
  else am_cpu_for(cpu, rows, am_cpu_grain(cols), copy_range, &args);
}
