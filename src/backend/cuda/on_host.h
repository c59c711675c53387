// What the kernels and their callers need of CUDA's headers when a C compiler makes plain loops of them, for tests without
// a card (AM_CUDA_ON_HOST).
#ifndef AM_BACKEND_CUDA_ON_HOST_H
#define AM_BACKEND_CUDA_ON_HOST_H

typedef enum { cudaSuccess } cudaError_t;
typedef void *cudaStream_t;

#endif
