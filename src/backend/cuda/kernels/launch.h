// For the .cu files: one loop over elements, and a launch that fits it.
//
// Kernels are written in what C and CUDA have in common, as loops that any number of threads may share, without shared
// memory or barriers inside a kernel: with AM_CUDA_ON_HOST a C compiler makes plain loops of them, so that their arithmetic
// is tested where there is no card (tests/ops/test_cuda_on_host.c).
#ifndef AM_BACKEND_CUDA_LAUNCH_H
#define AM_BACKEND_CUDA_LAUNCH_H

#include <math.h>

#include "backend/cuda/kernels/kernels.h"

#ifdef AM_CUDA_ON_HOST

#define AM_KERNEL static void
#define AM_ON_CARD static inline
#define AM_CUDA_FOR(i, count) for (int64_t i = 0; i < (count); i++)
#define AM_CUDA_LAUNCH(kernel, stream, count, ...) \
  ((void)(stream), (count) > 0 ? (kernel(__VA_ARGS__), cudaSuccess) : cudaSuccess)

#else

#define AM_KERNEL static __global__ void
#define AM_ON_CARD static __device__ inline

// Threads of a block; enough blocks to fill the largest card several times over, each thread then takes several elements.
enum { AM_CUDA_THREADS = 256, AM_CUDA_MOST_BLOCKS = 4096 };

#define AM_CUDA_FOR(i, count)                                                   \
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < (count); \
       i += gridDim.x * (int64_t)blockDim.x)

static inline unsigned am_cuda_blocks(int64_t count) {
  const int64_t blocks = (count + AM_CUDA_THREADS - 1) / AM_CUDA_THREADS, most = AM_CUDA_MOST_BLOCKS;
  return (unsigned)(blocks < most ? blocks : most);
}

// The launch's own status; nothing is launched for no elements.
#define AM_CUDA_LAUNCH(kernel, stream, count, ...)                                                                       \
  ((count) > 0 ? (kernel<<<am_cuda_blocks(count), AM_CUDA_THREADS, 0, (stream)>>>(__VA_ARGS__), cudaGetLastError()) \
               : cudaSuccess)

#endif

#endif
