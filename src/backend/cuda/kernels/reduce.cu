// Sums and maxima over axes, and log softmax.
#include "backend/cuda/kernels/walk.h"

// Piece `part` of an output's sum; the pieces are added up in order by the next kernel.
AM_KERNEL partial_sums(const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window, int64_t length, int64_t parts,
                       double *partial) {
  AM_CUDA_FOR(i, outputs * parts) {
    const int64_t part = i % parts;
    const float *from = x + am_cuda_place(base, i / parts);
    double sum = 0;
    for (int64_t s = length * part / parts; s < length * (part + 1) / parts; s++) sum += from[am_cuda_place(window, s)];
    partial[i] = sum;
  }
}
AM_KERNEL whole_sums(const double *partial, int64_t outputs, int64_t parts, float *y) {
  AM_CUDA_FOR(i, outputs) {
    double sum = 0;
    for (int64_t part = 0; part < parts; part++) sum += partial[i * parts + part];
    y[i] = (float)sum;
  }
}

// The first maximum; a NaN counts as larger than everything, as in PyTorch.
AM_KERNEL max_kernel(const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window, int64_t length, float *y,
                     int32_t *place) {
  AM_CUDA_FOR(i, outputs) {
    const float *from = x + am_cuda_place(base, i);
    float max = from[am_cuda_place(window, 0)];
    int64_t best = 0;
    for (int64_t s = 1; s < length && max == max; s++) {
      const float value = from[am_cuda_place(window, s)];
      if (value > max || value != value) {
        max = value;
        best = s;
      }
    }
    if (y) y[i] = max;
    else place[i] = (int32_t)best;
  }
}

// x - max - log(sum exp(x - max)): no term overflows.
AM_KERNEL log_softmax_kernel(const float *x, int64_t rows, int64_t width, float *y) {
  AM_CUDA_FOR(r, rows) {
    const float *from = x + r * width;
    float max = from[0];
    double sum = 0;
    for (int64_t j = 1; j < width; j++) max = fmaxf(max, from[j]);
    for (int64_t j = 0; j < width; j++) sum += (double)expf(from[j] - max);
    for (int64_t j = 0; j < width; j++) y[r * width + j] = from[j] - max - (float)log(sum);
  }
}

cudaError_t am_cuda_launch_sum(cudaStream_t stream, const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window,
                               int64_t length, int64_t parts, double *partial, float *y) {
  const cudaError_t status =
      AM_CUDA_LAUNCH(partial_sums, stream, outputs * parts, x, base, outputs, window, length, parts, partial);
  return status != cudaSuccess ? status : AM_CUDA_LAUNCH(whole_sums, stream, outputs, partial, outputs, parts, y);
}

cudaError_t am_cuda_launch_max(cudaStream_t stream, const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window,
                               int64_t length, float *y, int32_t *place) {
  return AM_CUDA_LAUNCH(max_kernel, stream, outputs, x, base, outputs, window, length, y, place);
}

cudaError_t am_cuda_launch_log_softmax(cudaStream_t stream, const float *x, int64_t rows, int64_t width, float *y) {
  return AM_CUDA_LAUNCH(log_softmax_kernel, stream, rows, x, rows, width, y);
}
