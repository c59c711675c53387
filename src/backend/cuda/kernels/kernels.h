// Launchers of the cuda backend's own kernels: plain C. Each queues its work on `stream`, reports what the launch itself
// says, and waits for nothing. Arrays are plain f32 on the card unless a comment says otherwise; counts are in elements.
#ifndef AM_BACKEND_CUDA_KERNELS_H
#define AM_BACKEND_CUDA_KERNELS_H

#include <stdint.h>

#ifdef AM_CUDA_ON_HOST
#include "backend/cuda/on_host.h"
#else
#include <cuda_runtime_api.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#include "tensor/backend.h"

// How an array is read place by place of another's shape: along an axis with stride 0 it stays where it is.
typedef struct {
  int ndim;
  int64_t dim[AM_MAX_DIM];
  int64_t stride[AM_MAX_DIM];
  int64_t first;  // where place 0 lies
} am_cuda_walk;

// ---- eltwise.cu ----
cudaError_t am_cuda_launch_unary(cudaStream_t stream, am_unary_desc d, const float *x, float *y, int64_t count);
// y has as many elements as both walks have places.
cudaError_t am_cuda_launch_binary(cudaStream_t stream, am_binary_desc d, const float *p, am_cuda_walk walk_p, const float *q,
                                  am_cuda_walk walk_q, float *y, int64_t count);
// y = act(x * scale + shift) of each channel; scale may be NULL (1). x: (n, channels, inner).
cudaError_t am_cuda_launch_channel(cudaStream_t stream, am_activation act, const float *x, const float *scale,
                                   const float *shift, int64_t channels, int64_t inner, float *y, int64_t count);
cudaError_t am_cuda_launch_axpby(cudaStream_t stream, am_axpby_desc d, const float *x, float *y, int64_t count);
cudaError_t am_cuda_launch_sgd(cudaStream_t stream, am_sgd_desc d, const float *grad, float *param, float *momentum,
                               int64_t count);
cudaError_t am_cuda_launch_adam(cudaStream_t stream, am_adam_desc d, const float *grad, float *param, float *m, float *v,
                                int64_t count);

// ---- move.cu ----
// y[place i of `to`] = x[place i of `from`]; both walks have `count` places. Elements of 1, 2, 4 or 8 bytes.
cudaError_t am_cuda_launch_copy(cudaStream_t stream, size_t size, const void *x, am_cuda_walk from, void *y, am_cuda_walk to,
                                int64_t count);
cudaError_t am_cuda_launch_zero(cudaStream_t stream, float *y, int64_t count);
// y[r] = x[index[r]] for rows of `width`; y[index[r]] = the sum of x[r], in the order of the index. Nothing outside is read or
// written: a row that an index does not find is NaN, one that it would be added to is not there.
cudaError_t am_cuda_launch_gather_rows(cudaStream_t stream, const float *x, int64_t x_rows, const int32_t *index, float *y,
                                       int64_t rows, int64_t width);
cudaError_t am_cuda_launch_scatter_rows(cudaStream_t stream, const float *x, const int32_t *index, int64_t rows, float *y,
                                        int64_t y_rows, int64_t width);

// ---- convert.cu ---- any types, by the rules of tensor/element.h
cudaError_t am_cuda_launch_cast(cudaStream_t stream, const void *x, am_dtype from, void *y, am_dtype to, bool integers,
                                int64_t count);
cudaError_t am_cuda_launch_fill(cudaStream_t stream, double value, void *y, am_dtype type, int64_t count);
// Rows of `width`: as base/rng.h draws them, but for the last bit of the card's logarithms and sines.
cudaError_t am_cuda_launch_random(cudaStream_t stream, am_random_desc d, int64_t width, float *y, int64_t count);

// ---- reduce.cu ----
// An output is the sum (maximum, place of the maximum) over `window` at its place of `base`. Sums are taken in `parts` pieces
// and in f64; partial: (outputs, parts) doubles.
enum { AM_CUDA_MOST_PARTS = 1024 };
cudaError_t am_cuda_launch_sum(cudaStream_t stream, const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window,
                               int64_t length, int64_t parts, double *partial, float *y);
cudaError_t am_cuda_launch_max(cudaStream_t stream, const float *x, am_cuda_walk base, int64_t outputs, am_cuda_walk window,
                               int64_t length, float *y, int32_t *place);  // one of y and place is NULL
cudaError_t am_cuda_launch_log_softmax(cudaStream_t stream, const float *x, int64_t rows, int64_t width, float *y);

// ---- pool.cu ---- planes of h x w, and of ho x wo
typedef struct {
  am_pool2d_desc desc;
  int64_t planes, h, w, ho, wo;
} am_cuda_pool;
cudaError_t am_cuda_launch_max_pool(cudaStream_t stream, am_cuda_pool p, const float *x, float *y, int32_t *chosen);  // or NULL
// Indices outside a plane: as for rows.
cudaError_t am_cuda_launch_pool_gather(cudaStream_t stream, am_cuda_pool p, const float *x, const int32_t *index, float *y);
cudaError_t am_cuda_launch_pool_scatter(cudaStream_t stream, am_cuda_pool p, const float *dy, const int32_t *index, float *dx);
cudaError_t am_cuda_launch_avg_pool(cudaStream_t stream, am_cuda_pool p, const float *x, float *y);
cudaError_t am_cuda_launch_avg_pool_grad(cudaStream_t stream, am_cuda_pool p, const float *dy, float *dx);

// ---- norm.cu ---- x: (n, c, inner); partial: (c, parts, 2) doubles
typedef struct {
  int64_t n, c, inner, parts;
  double eps;
  float slope;  // 1: no activation
} am_cuda_norm;
cudaError_t am_cuda_launch_batch_norm(cudaStream_t stream, am_cuda_norm k, const float *x, const float *gamma,
                                      const float *beta, const float *residual, double *partial, float *y, float *mean,
                                      float *inv_std);
// y NULL: the sign of the activation's argument is found from x and beta. dresidual may be NULL.
typedef struct {
  const float *dy, *x, *y, *gamma, *beta, *mean, *inv_std;
  float *dx, *dresidual, *dgamma, *dbeta;
} am_cuda_norm_grad;
cudaError_t am_cuda_launch_batch_norm_grad(cudaStream_t stream, am_cuda_norm k, am_cuda_norm_grad g, double *partial);
// dx = dy where y is positive, else slope * dy; dbias its sums over all but the channels.
cudaError_t am_cuda_launch_bias_act_grad(cudaStream_t stream, am_cuda_norm k, const float *dy, const float *y, double *partial,
                                         float *dx, float *dbias);

// ---- conv.cu ----
// y[i] = w[place i of `from`], rounded to the type `to`: f32 or bf16.
cudaError_t am_cuda_launch_pack(cudaStream_t stream, const float *w, am_cuda_walk from, void *y, am_dtype to, int64_t count);
// y = act(y * scale + shift [+ residual]) in place. The channel of element i is i / step % channels.
typedef struct {
  am_activation act;
  am_dtype type;  // of y and residual: f32 or bf16
  int64_t channels, step;
  const float *scale, *shift;
  const void *residual;  // may be NULL
  void *y;
} am_cuda_finish;
cudaError_t am_cuda_launch_finish(cudaStream_t stream, am_cuda_finish f, int64_t count);

#ifdef __cplusplus
}
#endif

#endif
