#include "backend/cpu/cpu_thin.h"

#include "backend/cpu/cpu_norm.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#define THIN_TARGET __attribute__((target("avx512f")))
#define FUSED(a, b, c) ((am_cpu_lanes)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define ALL(v) ((am_cpu_lanes)_mm512_set1_ps(v))
#else
#define THIN_TARGET
#define FUSED(a, b, c) ((a) * (b) + (c))
#define ALL(v) ((am_cpu_lanes){0} + (v))
#endif
#define THIN_INLINE THIN_TARGET __attribute__((always_inline)) static inline
#define LANES AM_CPU_LANES
#define STORE(p) (*(am_cpu_lanes *)(p))

enum { LARGE = 1 << 20, CHUNK = 2048, AHEAD = 64, W_ROWS = 8, COUNT_STEP = 8 };

static bool fits(const am_cpu *cpu, int64_t rows, int64_t depth) {
  return cpu->avx512 && depth % LANES == 0 && rows * depth >= LARGE;
}
bool am_cpu_thin_forward_fits(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count) {
  return fits(cpu, rows, depth) && (count == LANES || count == 2 * LANES);
}
bool am_cpu_thin_backward_fits(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count) {
  return fits(cpu, rows, depth) && count == LANES;
}

typedef struct {
  int64_t rows, depth, count, y_stride;
  const float *w, *col, *y;  // what is read
  float *out;
} thin_args;

// ---- y = w col ----

// `rows` rows of y of `vectors` times 16 columns: w is read along so many rows at once.
THIN_INLINE void forward_block(const thin_args *k, int64_t first, int rows, int vectors) {
  am_cpu_lanes sum[16];
  const float *w = k->w + first * k->depth;
#pragma GCC unroll 16
  for (int i = 0; i < rows * vectors; i++) sum[i] = (am_cpu_lanes){0};
  for (int64_t from = 0; from < k->depth; from += LANES) {
#pragma GCC unroll 16
    for (int r = 0; r < rows; r++) __builtin_prefetch(w + r * k->depth + from + AHEAD);
    for (int64_t d = from; d < from + LANES; d++) {
#pragma GCC unroll 16
      for (int r = 0; r < rows; r++) {
        const am_cpu_lanes weight = ALL(w[r * k->depth + d]);
#pragma GCC unroll 2
        for (int v = 0; v < vectors; v++) {
          const am_cpu_lanes col = AM_CPU_LOAD(k->col + (d * vectors + v) * LANES);
          sum[r * vectors + v] = FUSED(weight, col, sum[r * vectors + v]);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < rows * vectors; i++) {
    STORE(k->out + (first + i / vectors) * k->y_stride + i % vectors * LANES) = sum[i];
  }
}

#define FORWARD(name, block, vectors)                                                   \
  THIN_TARGET static void name(const void *arg, int64_t begin, int64_t end) {           \
    int64_t r = begin;                                                                  \
    for (; r + (block) <= end; r += (block)) forward_block(arg, r, (block), (vectors)); \
    for (; r < end; r++) forward_block(arg, r, 1, (vectors));                           \
  }
FORWARD(forward_16, 12, 1)
FORWARD(forward_32, 8, 2)

void am_cpu_thin_forward(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count, const float *w,
                         const float *col, float *y, int64_t y_stride) {
  const thin_args k = {rows, depth, count, y_stride, .w = w, .col = col, .out = y};
  am_cpu_for(cpu, rows, am_cpu_grain(depth * count), count == LANES ? forward_16 : forward_32, &k);
}

// ---- col_rows = y^T w ----

// Adds `rows` rows of w, weighted, to 16 columns of every row of the result, and asks for the rows after
// them.
THIN_INLINE void backward_block(const thin_args *k, int64_t first, int64_t j, int rows) {
  am_cpu_lanes w[W_ROWS];
#pragma GCC unroll 8
  for (int r = 0; r < rows; r++) {
    const float *row = k->w + (first + r) * k->depth + j;
    w[r] = AM_CPU_LOAD(row);
    __builtin_prefetch(row + rows * k->depth);
  }
  for (int64_t p = 0; p < k->count; p += COUNT_STEP) {
    am_cpu_lanes sum[COUNT_STEP];
#pragma GCC unroll 8
    for (int i = 0; i < COUNT_STEP; i++) {
      sum[i] = first ? AM_CPU_LOAD(k->out + (p + i) * k->depth + j) : (am_cpu_lanes){0};
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++) {
#pragma GCC unroll 8
      for (int i = 0; i < COUNT_STEP; i++) {
        sum[i] = FUSED(w[r], ALL(k->y[(first + r) * k->y_stride + p + i]), sum[i]);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < COUNT_STEP; i++) STORE(k->out + (p + i) * k->depth + j) = sum[i];
  }
}

// A chunk of the columns of w at a time, so that the part of the result that grows stays in cache.
THIN_TARGET static void backward_range(const void *arg, int64_t begin, int64_t end) {
  const thin_args *k = arg;
  for (int64_t from = begin * LANES; from < end * LANES; from += CHUNK) {
    const int64_t stop = am_min_i64(from + CHUNK, end * LANES);
    int64_t r = 0;
    for (; r + W_ROWS <= k->rows; r += W_ROWS) {
      for (int64_t j = from; j < stop; j += LANES) backward_block(k, r, j, W_ROWS);
    }
    for (; r < k->rows; r++) {
      for (int64_t j = from; j < stop; j += LANES) backward_block(k, r, j, 1);
    }
  }
}

void am_cpu_thin_backward(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count, const float *w,
                          const float *y, int64_t y_stride, float *col_rows) {
  const thin_args k = {rows, depth, count, y_stride, .w = w, .y = y, .out = col_rows};
  am_cpu_for(cpu, depth / LANES, am_cpu_grain(rows * count * LANES), backward_range, &k);
}
