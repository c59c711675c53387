// Between layouts: plain (n, c, spatial), channels last (n, spatial, c), C16 (n, c/16, spatial, 16).
#include <string.h>

#include "backend/cpu/cpu_nest.h"

// Four bytes of any type: f32, or the i32 indices of max_pool2d.
typedef uint32_t word __attribute__((may_alias));
typedef uint32_t words __attribute__((vector_size(64), aligned(4), may_alias));  // one row of a tile
enum { TILE = AM_CPU_LANES };

// Interleaving row i with row i + 8, four times over, is the transposition of a 16 x 16 tile.
AM_CPU_KERNEL static void transpose_tile(const word *src, int64_t src_stride, word *dst, int64_t dst_stride) {
  words row[TILE], mixed[TILE];
  for (int i = 0; i < TILE; i++) row[i] = *(const words *)(src + i * src_stride);
  for (int pass = 0; pass < 4; pass++) {
    for (int i = 0; i < TILE / 2; i++) {
      mixed[2 * i] =
          __builtin_shufflevector(row[i], row[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      mixed[2 * i + 1] = __builtin_shufflevector(row[i], row[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                                 29, 14, 30, 15, 31);
    }
    memcpy(row, mixed, sizeof row);
  }
  for (int i = 0; i < TILE; i++) *(words *)(dst + i * dst_stride) = row[i];
}

void am_cpu_transpose(int64_t rows, int64_t cols, const void *from, int64_t src_stride, void *to,
                      int64_t dst_stride) {
  const word *src = from;
  word *dst = to;
  const int64_t whole_rows = rows - rows % TILE, whole_cols = cols - cols % TILE;
  for (int64_t r = 0; r < whole_rows; r += TILE) {
    for (int64_t c = 0; c < whole_cols; c += TILE) {
      transpose_tile(src + r * src_stride + c, src_stride, dst + c * dst_stride + r, dst_stride);
    }
  }
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t c = r < whole_rows ? whole_cols : 0; c < cols; c++)
      dst[c * dst_stride + r] = src[r * src_stride + c];
  }
}

// ---- C16: every block of 16 channels is the transposition of its plain rows ----

typedef struct {
  int64_t rows, cols, src_stride, dst_stride;
  const word *src;
  word *dst;
} transpose_args;

// Lines of the longer side, AM_CPU_LANES at a time.
static void transpose_range(const void *arg, int64_t begin, int64_t end) {
  const transpose_args *k = arg;
  const bool by_column = k->cols >= k->rows;
  const int64_t first = begin * AM_CPU_LANES, count = am_min_i64(end * AM_CPU_LANES, am_max_i64(k->rows, k->cols)) - first;
  if (by_column) am_cpu_transpose(k->rows, count, k->src + first, k->src_stride, k->dst + first * k->dst_stride, k->dst_stride);
  else am_cpu_transpose(count, k->cols, k->src + first * k->src_stride, k->src_stride, k->dst + first, k->dst_stride);
}

void am_cpu_transpose_all(const am_cpu *cpu, int64_t rows, int64_t cols, const void *src, int64_t src_stride, void *dst,
                          int64_t dst_stride) {
  const transpose_args k = {rows, cols, src_stride, dst_stride, src, dst};
  const int64_t lines = am_ceil_div(am_max_i64(rows, cols), AM_CPU_LANES);
  am_cpu_for(cpu, lines, am_cpu_grain(AM_CPU_LANES * am_min_i64(rows, cols)), transpose_range, &k);
}

typedef struct {
  int64_t spatial;
  const word *src;
  word *dst;
} block_args;

static void block_range(const void *arg, int64_t begin, int64_t end) {
  const block_args *k = arg;
  const int64_t spatial = k->spatial;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * AM_CPU_LANES * spatial;
    am_cpu_transpose(AM_CPU_LANES, spatial, k->src + first, spatial, k->dst + first, AM_CPU_LANES);
  }
}
static void unblock_range(const void *arg, int64_t begin, int64_t end) {
  const block_args *k = arg;
  const int64_t spatial = k->spatial;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * AM_CPU_LANES * spatial;
    am_cpu_transpose(spatial, AM_CPU_LANES, k->src + first, AM_CPU_LANES, k->dst + first, spatial);
  }
}

void am_cpu_block_c16(const am_cpu *cpu, am_cpu_image im, const void *plain, void *blocked) {
  const block_args args = {im.spatial, plain, blocked};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), block_range, &args);
}
void am_cpu_unblock_c16(const am_cpu *cpu, am_cpu_image im, const void *blocked, void *plain) {
  const block_args args = {im.spatial, blocked, plain};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), unblock_range, &args);
}

am_err am_cpu_reorder(void *ctx, const am_layout_desc *desc, const am_view *in, am_view *out) {
  const am_layout from = in[0].layout, to = out[0].layout;
  const size_t size = am_dtype_size(in[0].dtype);
  if (from == to) {
    memcpy(out[0].data, in[0].data, (size_t)am_cpu_count(&in[0]) * size);
  } else if (size == sizeof(word) && from == AM_LAYOUT_PLAIN && to == AM_LAYOUT_C16) {
    am_cpu_block_c16(ctx, am_cpu_image_of(&in[0]), in[0].data, out[0].data);
  } else if (size == sizeof(word) && from == AM_LAYOUT_C16 && to == AM_LAYOUT_PLAIN) {
    am_cpu_unblock_c16(ctx, am_cpu_image_of(&in[0]), in[0].data, out[0].data);
  } else {
    const am_cpu_nest nest = am_cpu_nest_reorder(&out[0], &in[0]);
    am_cpu_nest_copy(ctx, &nest, out[0].data, in[0].data, size);
  }
  return AM_OK;
}
