// Launchers of the cuda backend's own kernels: plain C. Each queues its work on `stream`, reports what the launch itself
// says, and waits for nothing. Arrays of `void` hold elements of the type that is given, f32 or bf16; parameters and what
// belongs to a channel are f32. Arithmetic is f32; sums over axes and of channels are f64, those of a window f32; a
// result is rounded once.
// Counts are in elements.
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
#include "tensor/dropout_rule.h"

// Threads of a block.
enum { AM_CUDA_THREADS = 256 };

static inline bool am_cuda_aligned(const void *p) { return (uintptr_t)p % 16 == 0; }

// How an array is read place by place of another's shape: along an axis with stride 0 it stays where it is.
typedef struct {
  int ndim;
  int64_t dim[AM_MAX_DIM];
  int64_t stride[AM_MAX_DIM];
  int64_t first;  // where place 0 lies
} am_cuda_walk;

// How a block shares the sums of several outputs: `lanes` threads, a power of two, for each of them. Threads that are
// neighbours take neighbouring lanes or neighbouring outputs, whichever lies together in memory.
typedef struct {
  int lanes;
  int lane_stride, output_stride;  // between the numbers of threads
} am_cuda_team;

// Images by channel: the channel of element i is i / step % c. step: elements behind a channel, 1 with channels last.
typedef struct {
  int64_t c, step;
} am_cuda_channels;

// ---- eltwise.cu ----
cudaError_t am_cuda_launch_unary(cudaStream_t stream, am_unary_desc d, am_dtype type, const void *x, void *y, int64_t count);
// y has as many elements as both walks have places.
cudaError_t am_cuda_launch_binary(cudaStream_t stream, am_binary_desc d, am_dtype type, const void *p, am_cuda_walk walk_p,
                                  const void *q, am_cuda_walk walk_q, void *y, int64_t count);
// y = act(x * scale + shift) of each channel; scale may be NULL (1).
cudaError_t am_cuda_launch_channel(cudaStream_t stream, am_activation act, am_dtype type, const void *x, const float *scale,
                                   const float *shift, am_cuda_channels k, void *y, int64_t count);
cudaError_t am_cuda_launch_axpby(cudaStream_t stream, am_axpby_desc d, const float *x, float *y, int64_t count);
cudaError_t am_cuda_launch_running(cudaStream_t stream, am_running_desc d, const float *mean, const float *inv_std,
                                   float *running_mean, float *running_var, int64_t count);
cudaError_t am_cuda_launch_sgd(cudaStream_t stream, am_sgd_desc d, const float *grad, float *param, float *momentum,
                               int64_t count);
cudaError_t am_cuda_launch_adam(cudaStream_t stream, am_adam_desc d, const float *grad, float *param, float *m, float *v,
                                int64_t count);

// ---- move.cu ----
// y[place i of `to`] = x[place i of `from`]; both walks have `count` places. Elements of 1, 2, 4, 8 or 16 bytes.
cudaError_t am_cuda_launch_copy(cudaStream_t stream, size_t size, const void *x, am_cuda_walk from, void *y, am_cuda_walk to,
                                int64_t count);
// `images` matrices of rows x columns, one after the other, into as many of columns x rows. Elements of 1, 2, 4 or 8 bytes.
cudaError_t am_cuda_launch_transpose(cudaStream_t stream, size_t size, const void *x, int64_t images, int64_t rows,
                                     int64_t columns, void *y);
// y[r] = x[index[r]] for rows of `width`; y[index[r]] = the sum of x[r], in f32 and in the order of the index. Nothing outside
// is read or written: a row that an index does not find is NaN, one that it would be added to is not there. links: 2 * rows.
cudaError_t am_cuda_launch_gather_rows(cudaStream_t stream, am_dtype type, const void *x, int64_t x_rows, const int32_t *index,
                                       void *y, int64_t rows, int64_t width);
cudaError_t am_cuda_launch_scatter_rows(cudaStream_t stream, am_dtype type, const void *x, const int32_t *index, int64_t rows,
                                        int64_t *links, void *y, int64_t y_rows, int64_t width);

// ---- convert.cu ---- any types, by the rules of tensor/element.h
cudaError_t am_cuda_launch_cast(cudaStream_t stream, const void *x, am_dtype from, void *y, am_dtype to, bool integers,
                                int64_t count);
cudaError_t am_cuda_launch_fill(cudaStream_t stream, double value, void *y, am_dtype type, int64_t count);
// Rows of `width`: as base/rng.h draws them, but for the last bit of the card's logarithms and sines. moved (on the card):
// is added to d.index; NULL: nothing is.
cudaError_t am_cuda_launch_random(cudaStream_t stream, am_random_desc d, const uint64_t *moved, int64_t width, void *y,
                                  int64_t count);
// Rows of c x step elements, of f32 or bf16: (c, step) with channels last, else c is 1. moved: as above.
typedef struct {
  am_dropout_desc desc;
  am_dropout_rule rule;
  const uint64_t *moved;
  int64_t c, step;
} am_cuda_drop;
cudaError_t am_cuda_launch_dropout(cudaStream_t stream, am_cuda_drop d, am_dtype type, const void *x, void *y, int64_t count);

// ---- reduce.cu ----
// An output is the sum (maximum, place of the maximum) over `window` at its place of `base`, taken in `parts` pieces by teams.
enum { AM_CUDA_MOST_PARTS = 1024 };
typedef struct {
  am_cuda_walk base, window;
  int64_t outputs, length, parts;
  am_cuda_team team, last;  // of a piece; of the pieces of an output
} am_cuda_reduction;
// partial: (outputs, parts) doubles.
cudaError_t am_cuda_launch_sum(cudaStream_t stream, am_cuda_reduction r, am_dtype type, const void *x, double *partial, void *y);
// partial: (outputs, parts); one of y and place is NULL.
typedef struct {
  float value;
  int64_t place;  // in the window
} am_cuda_best;
cudaError_t am_cuda_launch_max(cudaStream_t stream, am_cuda_reduction r, am_dtype type, const void *x, am_cuda_best *partial,
                               void *y, int32_t *place);
// One team row of the team's lanes for each row.
cudaError_t am_cuda_launch_log_softmax(cudaStream_t stream, am_cuda_team team, am_dtype type, const void *x, int64_t rows,
                                       int64_t width, void *y);

// ---- pool.cu ---- images of h x w, and of ho x wo
typedef struct {
  am_pool2d_desc desc;
  am_dtype type;
  bool channels_last;  // else plane by plane
  int64_t n, c, h, w, ho, wo;
} am_cuda_pool;
cudaError_t am_cuda_launch_max_pool(cudaStream_t stream, am_cuda_pool p, const void *x, void *y, int32_t *chosen);  // or NULL
// Indices outside a plane: as for rows. pool_scatter looks for a pixel in the windows that hold it and nowhere else.
cudaError_t am_cuda_launch_pool_gather(cudaStream_t stream, am_cuda_pool p, const void *x, const int32_t *index, void *y);
cudaError_t am_cuda_launch_pool_scatter(cudaStream_t stream, am_cuda_pool p, const void *dy, const int32_t *index, void *dx);
cudaError_t am_cuda_launch_avg_pool(cudaStream_t stream, am_cuda_pool p, const void *x, void *y);
cudaError_t am_cuda_launch_avg_pool_grad(cudaStream_t stream, am_cuda_pool p, const void *dy, void *dx);

// ---- resample.cu ---- images of h x w, and of ho x wo
typedef struct {
  am_resample_kind kind;
  am_dtype type;
  bool channels_last;  // else plane by plane
  int64_t n, c, h, w, ho, wo;
} am_cuda_resample;
cudaError_t am_cuda_launch_resample(cudaStream_t stream, am_cuda_resample p, const void *x, void *y);
cudaError_t am_cuda_launch_resample_grad(cudaStream_t stream, am_cuda_resample p, const void *dy, void *dx);
typedef struct {
  am_upfirdn2d_desc desc;
  am_dtype type;
  bool channels_last;
  int64_t n, c, h, w, ho, wo;
  int64_t kh, kw;  // of the filter
} am_cuda_upfirdn;
cudaError_t am_cuda_launch_upfirdn(cudaStream_t stream, am_cuda_upfirdn p, const void *x, const float *filter, void *y);

// ---- norm.cu ---- x: (n, c, inner), or (n, inner, c) with channels last
typedef struct {
  am_dtype type;
  bool channels_last;
  int64_t n, c, inner;
  int pack;                 // channels that a thread adds up at a time: those of 16 bytes, of which c is a multiple; or 1
  int64_t parts;            // of a channel's elements
  am_cuda_team team, last;  // of a piece; of the pieces of a channel
  double eps;
  float slope;  // 1: no activation
} am_cuda_norm;
// What a channel needs on the way: a pair for each piece, then two numbers for the last pass.
typedef struct {
  double *piece;       // (c, parts, 2)
  float *coefficient;  // (2, c)
} am_cuda_norm_temp;
cudaError_t am_cuda_launch_batch_norm(cudaStream_t stream, am_cuda_norm k, const void *x, const float *gamma,
                                      const float *beta, const void *residual, am_cuda_norm_temp temp, void *y, float *mean,
                                      float *inv_std);
// y NULL: the sign of the activation's argument is found from x and beta. dresidual may be NULL.
typedef struct {
  const void *dy, *x, *y;
  const float *gamma, *beta, *mean, *inv_std;
  void *dx, *dresidual;
  float *dgamma, *dbeta;
} am_cuda_norm_grad;
cudaError_t am_cuda_launch_batch_norm_grad(cudaStream_t stream, am_cuda_norm k, am_cuda_norm_grad g, am_cuda_norm_temp temp);
// dx = dy where y is positive, else slope * dy; dbias its sums over all but the channels.
cudaError_t am_cuda_launch_bias_act_grad(cudaStream_t stream, am_cuda_norm k, const void *dy, const void *y,
                                         am_cuda_norm_temp temp, void *dx, float *dbias);

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

// ---- augment.cu ---- a program's steps for `count` images; see the slot `augment` of am_backend
// room: am_cuda_augment_room bytes that images lie in between the steps.
static inline size_t am_cuda_augment_room(const am_augment_program *p, int64_t count) {
  return p->steps == 0 ? 0 : (size_t)(2 * count * p->room) * sizeof(float);
}
cudaError_t am_cuda_launch_augment(cudaStream_t stream, const am_augment_program *p, const uint8_t *bytes, const float *params,
                                   int64_t count, float *room, float *out);

#ifdef __cplusplus
}
#endif

#endif
