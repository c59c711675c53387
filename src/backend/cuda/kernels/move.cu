// Kernels that move elements: copies by walks, transpositions, rows by index.
#include "backend/cuda/kernels/walk.h"

#define COPY_KERNEL(bits, type)                                                                                  \
  AM_KERNEL copy_##bits(const type *x, am_cuda_walk from, type *y, am_cuda_walk to, int64_t count) {             \
    AM_CUDA_FOR(i, count) y[am_cuda_place(&to, i)] = x[am_cuda_place(&from, i)];                                 \
  }
COPY_KERNEL(8, uint8_t)
COPY_KERNEL(16, uint16_t)
COPY_KERNEL(32, uint32_t)
COPY_KERNEL(64, uint64_t)
AM_KERNEL copy_128(const char *x, am_cuda_walk from, char *y, am_cuda_walk to, int64_t count) {
  AM_CUDA_FOR(i, count) am_chunk_store(y + 16 * am_cuda_place(&to, i), am_chunk_load(x + 16 * am_cuda_place(&from, i)));
}

// A team reads a tile row by row and writes it column by column, both side by side in memory. The odd width of the tile
// keeps a column's elements in different banks.
enum { TILE = 32 };
#define TRANSPOSE_KERNEL(bits, type)                                                                             \
  AM_KERNEL transpose_##bits(const type *x, int64_t images, int64_t rows, int64_t columns, type *y) {            \
    AM_TEAM_SHARED type tile[TILE][TILE + 1];                                                                    \
    const int64_t down = (rows + TILE - 1) / TILE, across = (columns + TILE - 1) / TILE;                         \
    AM_TEAM_FOR(g, images * down * across) {                                                                     \
      const int64_t top = g / across % down * TILE, left = g % across * TILE;                                    \
      const int64_t image = g / (across * down) * rows * columns;                                                \
      AM_MEMBER_FOR(t) {                                                                                         \
        for (int r = t / TILE; r < TILE; r += AM_CUDA_THREADS / TILE) {                                          \
          const int64_t row = top + r, column = left + t % TILE;                                                 \
          if (row < rows && column < columns) tile[r][t % TILE] = x[image + row * columns + column];             \
        }                                                                                                        \
      }                                                                                                          \
      AM_TEAM_WAIT();                                                                                            \
      AM_MEMBER_FOR(t) {                                                                                         \
        for (int r = t / TILE; r < TILE; r += AM_CUDA_THREADS / TILE) {                                          \
          const int64_t row = top + t % TILE, column = left + r;                                                 \
          if (row < rows && column < columns) y[image + column * rows + row] = tile[t % TILE][r];                \
        }                                                                                                        \
      }                                                                                                          \
      AM_TEAM_WAIT();                                                                                            \
    }                                                                                                            \
  }
TRANSPOSE_KERNEL(8, uint8_t)
TRANSPOSE_KERNEL(16, uint16_t)
TRANSPOSE_KERNEL(32, uint32_t)
TRANSPOSE_KERNEL(64, uint64_t)

// Between a few planes and the pixels that they make, tiles would be all but empty: a thread takes a pixel.
enum { FEW = 4 };
#define THIN_KERNEL(bits, type)                                                                                  \
  AM_KERNEL thin_##bits(const type *x, int64_t images, int64_t few, int64_t many, bool to_pixels, type *y) {     \
    AM_CUDA_FOR(i, images * many) {                                                                              \
      const int64_t image = i / many * few * many, pixel = i % many;                                             \
      for (int64_t plane = 0; plane < few; plane++) {                                                            \
        const int64_t apart = image + plane * many + pixel, together = image + pixel * few + plane;              \
        if (to_pixels) y[together] = x[apart];                                                                   \
        else y[apart] = x[together];                                                                             \
      }                                                                                                          \
    }                                                                                                            \
  }
THIN_KERNEL(8, uint8_t)
THIN_KERNEL(16, uint16_t)
THIN_KERNEL(32, uint32_t)
THIN_KERNEL(64, uint64_t)

// ---- rows by index ----

typedef struct {
  const void *x;
  const int32_t *index;
  const int64_t *links;
  void *y;
  int64_t table_rows, rows, width;  // table_rows: of the side that the index points into
  bool wide;
} rows_args;

// Packs of a row, so that none is of two rows.
AM_ON_CARD void gather_kernel(const rows_args *a, am_dtype t) {
  const int64_t packs = AM_PACKS(t, a->width);
  AM_CUDA_FOR(i, a->rows * packs) {
    const int64_t r = i / packs, row = a->index[r], at = i % packs * AM_PACK_WIDTH(t);
    const int n = am_pack_left(t, i % packs, a->width);
    am_pack p = {{0}};
    if (row >= 0 && row < a->table_rows) {
      p = am_pack_load(a->x, t, row * a->width + at, n, a->wide);
    } else {
      for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = NAN;
    }
    am_pack_store(a->y, t, r * a->width + at, n, a->wide, p);
  }
}
AM_TYPED_KERNEL(gather_kernel, rows_args)

// For each row of x whether it is the first that goes to its row of y, and which one follows it there, -1 where none does:
// in order, without a counter that threads would share. Reads at most rows * rows indices; batches are short.
AM_KERNEL link_kernel(const int32_t *index, int64_t rows, int64_t *links) {
  AM_CUDA_FOR(r, rows) {
    const int32_t row = index[r];
    int64_t before = r - 1, after = r + 1;
    while (before >= 0 && index[before] != row) before--;
    while (after < rows && index[after] != row) after++;
    links[2 * r] = before < 0;
    links[2 * r + 1] = after < rows ? after : -1;
  }
}
AM_ON_CARD void scatter_kernel(const rows_args *a, am_dtype t) {
  const int64_t packs = AM_PACKS(t, a->width);
  AM_CUDA_FOR(i, a->rows * packs) {
    const int64_t first = i / packs, row = a->index[first], at = i % packs * AM_PACK_WIDTH(t);
    const int n = am_pack_left(t, i % packs, a->width);
    if (!a->links[2 * first] || row < 0 || row >= a->table_rows) continue;
    am_pack sum = am_pack_load(a->x, t, first * a->width + at, n, a->wide);
    for (int64_t r = a->links[2 * first + 1]; r >= 0; r = a->links[2 * r + 1]) {
      const am_pack p = am_pack_load(a->x, t, r * a->width + at, n, a->wide);
      for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum.v[l] += p.v[l];
    }
    am_pack_store(a->y, t, row * a->width + at, n, a->wide, sum);
  }
}
AM_TYPED_KERNEL(scatter_kernel, rows_args)

// ---- launches ----

#define COPY(bits, type) \
  AM_CUDA_LAUNCH(copy_##bits, stream, count, (const type *)x, from, (type *)y, to, count)
cudaError_t am_cuda_launch_copy(cudaStream_t stream, size_t size, const void *x, am_cuda_walk from, void *y, am_cuda_walk to,
                                int64_t count) {
  switch (size) {
    case 1: return COPY(8, uint8_t);
    case 2: return COPY(16, uint16_t);
    case 4: return COPY(32, uint32_t);
    case 8: return COPY(64, uint64_t);
    default: return COPY(128, char);
  }
}

#define THIN(bits, type) \
  AM_CUDA_LAUNCH(thin_##bits, stream, images * many, (const type *)x, images, few, many, few == rows, (type *)y)
static cudaError_t launch_thin(cudaStream_t stream, size_t size, const void *x, int64_t images, int64_t rows, int64_t columns,
                               void *y) {
  const int64_t few = rows < columns ? rows : columns, many = rows < columns ? columns : rows;
  switch (size) {
    case 1: return THIN(8, uint8_t);
    case 2: return THIN(16, uint16_t);
    case 4: return THIN(32, uint32_t);
    default: return THIN(64, uint64_t);
  }
}

#define TRANSPOSE(bits, type) \
  AM_TEAM_LAUNCH(transpose_##bits, stream, tiles, (const type *)x, images, rows, columns, (type *)y)
cudaError_t am_cuda_launch_transpose(cudaStream_t stream, size_t size, const void *x, int64_t images, int64_t rows,
                                     int64_t columns, void *y) {
  const int64_t tiles = images * ((rows + TILE - 1) / TILE) * ((columns + TILE - 1) / TILE);
  if (rows <= FEW || columns <= FEW) return launch_thin(stream, size, x, images, rows, columns, y);
  switch (size) {
    case 1: return TRANSPOSE(8, uint8_t);
    case 2: return TRANSPOSE(16, uint16_t);
    case 4: return TRANSPOSE(32, uint32_t);
    default: return TRANSPOSE(64, uint64_t);
  }
}

cudaError_t am_cuda_launch_gather_rows(cudaStream_t stream, am_dtype type, const void *x, int64_t x_rows, const int32_t *index,
                                       void *y, int64_t rows, int64_t width) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(y) && width % AM_PACK_WIDTH(type) == 0;
  const rows_args a = {x, index, NULL, y, x_rows, rows, width, wide};
  return AM_TYPED_LAUNCH(gather_kernel, type, stream, rows * AM_PACKS(type, width), a);
}

cudaError_t am_cuda_launch_scatter_rows(cudaStream_t stream, am_dtype type, const void *x, const int32_t *index, int64_t rows,
                                        int64_t *links, void *y, int64_t y_rows, int64_t width) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(y) && width % AM_PACK_WIDTH(type) == 0;
  const rows_args a = {x, index, links, y, y_rows, rows, width, wide};
  cudaError_t status = am_cuda_launch_fill(stream, 0, y, type, y_rows * width);
  if (status == cudaSuccess) status = AM_CUDA_LAUNCH(link_kernel, stream, rows, index, rows, links);
  if (status == cudaSuccess)
    status = AM_TYPED_LAUNCH(scatter_kernel, type, stream, rows * AM_PACKS(type, width), a);
  return status;
}
