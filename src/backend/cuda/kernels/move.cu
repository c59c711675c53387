// Kernels that move elements: copies by walks, fills, rows by index.
#include "backend/cuda/kernels/walk.h"

#define COPY_KERNEL(bits)                                                                                      \
  AM_KERNEL copy_##bits(const uint##bits##_t *x, am_cuda_walk from, uint##bits##_t *y, am_cuda_walk to,       \
                        int64_t count) {                                                                       \
    AM_CUDA_FOR(i, count) y[am_cuda_place(to, i)] = x[am_cuda_place(from, i)];                                 \
  }
COPY_KERNEL(8)
COPY_KERNEL(16)
COPY_KERNEL(32)
COPY_KERNEL(64)

AM_KERNEL zero_kernel(float *y, int64_t count) { AM_CUDA_FOR(i, count) y[i] = 0; }

AM_KERNEL gather_kernel(const float *x, int64_t x_rows, const int32_t *index, float *y, int64_t rows, int64_t width) {
  AM_CUDA_FOR(i, rows * width) {
    const int64_t row = index[i / width];
    y[i] = row >= 0 && row < x_rows ? x[row * width + i % width] : NAN;
  }
}

// One thread for each number of the result, so that no two add to the same one: the order is that of the index.
AM_KERNEL scatter_kernel(const float *x, const int32_t *index, int64_t rows, float *y, int64_t y_rows,
                         int64_t width) {
  AM_CUDA_FOR(i, y_rows * width) {
    float sum = 0;
    for (int64_t r = 0; r < rows; r++) {
      if (index[r] == i / width) sum += x[r * width + i % width];
    }
    y[i] = sum;
  }
}

#define COPY(bits) \
  AM_CUDA_LAUNCH(copy_##bits, stream, count, (const uint##bits##_t *)x, from, (uint##bits##_t *)y, to, count)
cudaError_t am_cuda_launch_copy(cudaStream_t stream, size_t size, const void *x, am_cuda_walk from, void *y, am_cuda_walk to,
                                int64_t count) {
  switch (size) {
    case 1: return COPY(8);
    case 2: return COPY(16);
    case 4: return COPY(32);
    default: return COPY(64);
  }
}

cudaError_t am_cuda_launch_zero(cudaStream_t stream, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(zero_kernel, stream, count, y, count);
}

cudaError_t am_cuda_launch_gather_rows(cudaStream_t stream, const float *x, int64_t x_rows, const int32_t *index, float *y,
                                       int64_t rows, int64_t width) {
  return AM_CUDA_LAUNCH(gather_kernel, stream, rows * width, x, x_rows, index, y, rows, width);
}

cudaError_t am_cuda_launch_scatter_rows(cudaStream_t stream, const float *x, const int32_t *index, int64_t rows, float *y,
                                        int64_t y_rows, int64_t width) {
  return AM_CUDA_LAUNCH(scatter_kernel, stream, y_rows * width, x, index, rows, y, y_rows, width);
}
