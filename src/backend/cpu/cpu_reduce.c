// Sums, maxima and argmax over axes, and log_softmax.
//
// Sums run in double over the elements in memory order, 16 at a time for a contiguous run: the
// result depends on the shape alone, not on threads or instruction set.
#include <float.h>
#include <math.h>

#include "backend/cpu/cpu_nest.h"

// ---- sum and max ----

// The kept axes (operand 0: output, 1: input) and the reduced axes (operand 1: input).
typedef struct {
  am_cpu_nest kept, reduced;
  int64_t reduced_count;
  const float *x;
  float *y;
} reduce_args;

enum { COLUMNS = 256 };  // outputs that are reduced side by side

static int64_t nest_offset(const am_cpu_nest *nest, int last, int64_t index, int operand) {
  int64_t offset = 0;
  for (int i = last; i >= 0; i--) {
    offset += index % nest->dim[i] * nest->stride[i][operand];
    index /= nest->dim[i];
  }
  return offset;
}

AM_CPU_KERNEL static double sum_run(const float *restrict x, int64_t n) {
  double lane[AM_CPU_LANES] = {0};
  int64_t i = 0;
  for (; i + AM_CPU_LANES <= n; i += AM_CPU_LANES) {
    for (int j = 0; j < AM_CPU_LANES; j++) lane[j] += x[i + j];
  }
  for (int j = 0; i + j < n; j++) lane[j] += x[i + j];
  for (int width = AM_CPU_LANES / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; j++) lane[j] += lane[j + width];
  }
  return lane[0];
}

static float larger(float a, float b) { return a > b || a != a ? a : b; }

static float max_run(const float *x, int64_t n) {
  float best = x[0];
  for (int64_t i = 1; i < n; i++) best = larger(best, x[i]);
  return best;
}

AM_CPU_KERNEL static void add_columns(double *restrict sum, const float *restrict x, int64_t n) {
  for (int64_t j = 0; j < n; j++) sum[j] += x[j];
}

// Outputs one by one; the innermost reduced axis is contiguous.
static void sum_by_runs(const void *arg, int64_t begin, int64_t end) {
  const reduce_args *k = arg;
  const int last = k->reduced.ndim - 1;
  const int64_t run = k->reduced.dim[last];
  for (int64_t o = begin; o < end; o++) {
    const float *x = k->x + nest_offset(&k->kept, k->kept.ndim - 1, o, 1);
    double sum = 0;
    for (int64_t r = 0; r < k->reduced_count / run; r++)
      sum += sum_run(x + nest_offset(&k->reduced, last - 1, r, 1), run);
    k->y[o] = (float)sum;
  }
}
static void max_by_runs(const void *arg, int64_t begin, int64_t end) {
  const reduce_args *k = arg;
  const int last = k->reduced.ndim - 1;
  const int64_t run = k->reduced.dim[last];
  for (int64_t o = begin; o < end; o++) {
    const float *x = k->x + nest_offset(&k->kept, k->kept.ndim - 1, o, 1);
    float best = x[0];
    for (int64_t r = 0; r < k->reduced_count / run; r++) {
      best = larger(best, max_run(x + nest_offset(&k->reduced, last - 1, r, 1), run));
    }
    k->y[o] = best;
  }
}

// The length of the piece of neighbouring outputs that starts at `at`.
static int64_t columns_at(const am_cpu_nest *kept, int64_t at, int64_t end) {
  const int64_t dim = kept->dim[kept->ndim - 1];
  return am_min_i64(am_min_i64(dim - at % dim, end - at), COLUMNS);
}

// Outputs side by side; the innermost kept axis is contiguous.
static void sum_by_columns(const void *arg, int64_t begin, int64_t end) {
  const reduce_args *k = arg;
  for (int64_t o = begin; o < end;) {
    const int64_t n = columns_at(&k->kept, o, end);
    const float *x = k->x + nest_offset(&k->kept, k->kept.ndim - 1, o, 1);
    double sum[COLUMNS] = {0};
    for (int64_t r = 0; r < k->reduced_count; r++) {
      add_columns(sum, x + nest_offset(&k->reduced, k->reduced.ndim - 1, r, 1), n);
    }
    for (int64_t j = 0; j < n; j++) k->y[o + j] = (float)sum[j];
    o += n;
  }
}
static void max_by_columns(const void *arg, int64_t begin, int64_t end) {
  const reduce_args *k = arg;
  for (int64_t o = begin; o < end;) {
    const int64_t n = columns_at(&k->kept, o, end);
    const float *x = k->x + nest_offset(&k->kept, k->kept.ndim - 1, o, 1);
    for (int64_t j = 0; j < n; j++) k->y[o + j] = x[j];
    for (int64_t r = 1; r < k->reduced_count; r++) {
      const float *row = x + nest_offset(&k->reduced, k->reduced.ndim - 1, r, 1);
      for (int64_t j = 0; j < n; j++) k->y[o + j] = larger(k->y[o + j], row[j]);
    }
    o += n;
  }
}

static void push_axis(reduce_args *k, bool reduced, int64_t dim, int64_t stride) {
  const int64_t step[AM_CPU_NEST_OPERANDS] = {0, stride};
  am_cpu_nest_push(reduced ? &k->reduced : &k->kept, dim, step);
}

// The axes of x in memory order. Unless x is plain the reduced axes include h and w (cpu_layout.c), so
// that the outputs come in plain order all the same.
static void split_axes(reduce_args *k, const am_view *x, unsigned axes) {
  const am_shape s = x->shape;
  if (am_cpu_is_c16(x)) {
    const int64_t spatial = s.dim[2] * s.dim[3];
    push_axis(k, axes & 1u, s.dim[0], s.dim[1] * spatial);
    push_axis(k, axes & 2u, s.dim[1] / AM_CPU_LANES, spatial * AM_CPU_LANES);
    push_axis(k, true, spatial, AM_CPU_LANES);
    push_axis(k, axes & 2u, AM_CPU_LANES, 1);
    return;
  }
  if (x->layout == AM_LAYOUT_NHWC) {
    const int64_t spatial = s.dim[2] * s.dim[3];
    push_axis(k, axes & 1u, s.dim[0], spatial * s.dim[1]);
    push_axis(k, true, spatial, s.dim[1]);
    push_axis(k, axes & 2u, s.dim[1], 1);
    return;
  }
  int64_t stride[AM_MAX_DIM], step = 1;
  for (int i = s.ndim - 1; i >= 0; i--) {
    stride[i] = step;
    step *= s.dim[i];
  }
  for (int i = 0; i < s.ndim; i++) push_axis(k, axes >> i & 1u, s.dim[i], stride[i]);
}

static am_err argmax(const am_cpu *cpu, unsigned axes, const am_view *x, am_view *y);

am_err am_cpu_reduce(void *ctx, const am_reduce_desc *desc, const am_view *in, am_view *out) {
  if (desc->kind == AM_RED_ARGMAX) return argmax(ctx, desc->axes, &in[0], &out[0]);
  const int64_t outputs = am_cpu_count(&out[0]);
  reduce_args k = {.x = in[0].data, .y = out[0].data};
  if (outputs == 0) return AM_OK;
  k.reduced_count = am_cpu_count(&in[0]) / outputs;
  split_axes(&k, &in[0], desc->axes);
  const bool columns = k.kept.ndim > 0 && k.kept.stride[k.kept.ndim - 1][1] == 1;
  am_cpu_nest_finish(&k.kept);
  am_cpu_nest_finish(&k.reduced);
  const bool sum = desc->kind == AM_RED_SUM;
  const am_cpu_range_fn fn =
      columns ? (sum ? sum_by_columns : max_by_columns) : (sum ? sum_by_runs : max_by_runs);
  am_cpu_for(ctx, outputs, am_cpu_grain(k.reduced_count), fn, &k);
  return AM_OK;
}

// ---- argmax ----

typedef struct {
  const float *x;
  int32_t *y;
  int64_t length, inner;  // of the reduced axis, and elements of one step along it
} argmax_args;

static void argmax_range(const void *arg, int64_t begin, int64_t end) {
  const argmax_args *k = arg;
  for (int64_t o = begin; o < end; o++) {
    const float *x = k->x + o / k->inner * k->length * k->inner + o % k->inner;
    int32_t at = 0;
    for (int64_t i = 1; i < k->length; i++) {
      const float v = x[i * k->inner], best = x[at * k->inner];
      if (v > best || (v != v && best == best)) at = (int32_t)i;
    }
    k->y[o] = at;
  }
}

static am_err argmax(const am_cpu *cpu, unsigned axes, const am_view *x, am_view *y) {
  const int axis = __builtin_ctz(axes);
  argmax_args k = {.x = x->data, .y = y->data, .length = x->shape.dim[axis], .inner = 1};
  for (int i = axis + 1; i < x->shape.ndim; i++) k.inner *= x->shape.dim[i];
  am_cpu_for(cpu, am_cpu_count(y), am_cpu_grain(k.length), argmax_range, &k);
  return AM_OK;
}

// ---- log_softmax ----

typedef struct {
  const float *x;
  float *y;
  int64_t length;
} softmax_args;

static void log_softmax_rows(const void *arg, int64_t begin, int64_t end) {
  const softmax_args *k = arg;
  for (int64_t r = begin; r < end; r++) {
    const float *x = k->x + r * k->length;
    float *y = k->y + r * k->length;
    const float top = max_run(x, k->length);
    double sum = 0;
    for (int64_t i = 0; i < k->length; i++) sum += expf(x[i] - top);
    const float shift = (float)log(sum);
    for (int64_t i = 0; i < k->length; i++) y[i] = (x[i] - top) - shift;
  }
}

am_err am_cpu_log_softmax(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  const am_shape s = in[0].shape;
  const softmax_args k = {in[0].data, out[0].data, s.dim[s.ndim - 1]};
  const int64_t count = am_cpu_count(&in[0]);
  if (count > 0) am_cpu_for(ctx, count / k.length, am_cpu_grain(k.length * 8), log_softmax_rows, &k);
  return AM_OK;
}
