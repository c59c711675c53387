// Shared by the files of the cuda backend: its context, error macros, who computes what.
//
// One context is one card and one stream; every op is queued on it, so memory that the pool in tensor/ hands out again is
// in order, and nothing waits but to_host, sync, and from_host when much is on its way already.
#ifndef AM_BACKEND_CUDA_INTERNAL_H
#define AM_BACKEND_CUDA_INTERNAL_H

#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/plan_cache.h"

typedef struct am_cuda am_cuda;  // context.c; on the host tests/ops/cuda_on_host.c
cudaStream_t am_cuda_stream(const am_cuda *g);
bool am_cuda_tf32(const am_cuda *g);  // whether products of f32 may be TF32's
// *pp = memory for what an op writes on its way, until am_cuda_give_temp: in the order of the stream, so it may be given
// back as soon as the last launch that uses it is queued.
AM_MUST_USE am_err am_cuda_take_temp(am_cuda *g, size_t bytes, void *pp);
void am_cuda_give_temp(am_cuda *g, void *memory);

// A failed call of the runtime: AM_ERR_NOMEM where memory ran out, else AM_ERR_DEVICE with CUDA's own words.
AM_MUST_USE am_err am_cuda_fail(const char *call, cudaError_t status);
#define AM_TRY_CUDA(call)                                                            \
  do {                                                                               \
    cudaError_t am_cuda_status_ = (call);                                            \
    if (am_cuda_status_ != cudaSuccess) return am_cuda_fail(#call, am_cuda_status_); \
  } while (0)
#define AM_GO_CUDA(label, call)                     \
  do {                                              \
    cudaError_t am_cuda_status_ = (call);           \
    if (am_cuda_status_ != cudaSuccess) {           \
      err = am_cuda_fail(#call, am_cuda_status_);   \
      goto label;                                   \
    }                                               \
  } while (0)

// ---- the ops that there are, one function each ----
//   X(op, descriptor)
// Own kernels, which are tested on the host as well.
#define AM_CUDA_KERNEL_OPS(X)                                                                                            \
  X(unary, am_unary_desc) X(binary, am_binary_desc) X(axpby, am_axpby_desc) X(sgd_step, am_sgd_desc)      /* eltwise.c */ \
  X(adam_step, am_adam_desc) X(bias_act, am_activation) X(scale_shift, am_no_desc)                                       \
  X(broadcast_to, am_shape_desc) X(permute, am_permute_desc) X(slice, am_slice_desc) X(pad, am_pad_desc)     /* move.c */ \
  X(concat, am_axis_desc) X(gather_rows, am_no_desc) X(scatter_rows, am_rows_desc) X(reorder, am_layout_desc)            \
  X(cast, am_dtype_desc) X(fill, am_fill_desc) X(random, am_random_desc)                                  /* convert.c */ \
  X(reduce, am_reduce_desc) X(log_softmax, am_no_desc)                                                     /* reduce.c */ \
  X(max_pool2d, am_pool2d_desc) X(max_pool2d_values, am_pool2d_desc) X(pool_scatter, am_pool2d_desc)         /* pool.c */ \
  X(pool_gather, am_pool2d_desc) X(avg_pool2d, am_pool2d_desc) X(avg_pool2d_grad, am_pool2d_desc)                        \
  X(batch_norm, am_norm_desc) X(batch_norm_grad, am_norm_desc) X(batch_norm_add, am_norm_desc)               /* norm.c */ \
  X(batch_norm_add_grad, am_norm_desc) X(bias_act_grad, am_activation)
// What a library computes.
#define AM_CUDA_LIBRARY_OPS(X)                                                                                             \
  X(matmul, am_matmul_desc)                                                                                /* matmul.c */ \
  X(conv2d, am_conv2d_desc) X(conv2d_grad_input, am_conv2d_desc) X(conv2d_grad_weight, am_conv2d_desc)       /* conv.c */ \
  X(conv2d_affine, am_conv2d_affine_desc) X(conv2d_affine_add, am_conv2d_affine_desc)
#define AM_CUDA_DECLARE(op, desc_type) \
  am_err am_cuda_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out);
AM_CUDA_KERNEL_OPS(AM_CUDA_DECLARE)
AM_CUDA_LIBRARY_OPS(AM_CUDA_DECLARE)
#undef AM_CUDA_DECLARE

void am_cuda_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out);  // layout.c

static inline int64_t am_cuda_count(const am_view *v) { return am_shape_count(v->shape); }
// leaky_relu; without activation a slope of 1, which changes nothing.
static inline float am_cuda_slope(am_activation act) { return act.on ? (float)act.slope : 1; }
// (n, c, ...): what lies behind a channel.
static inline int64_t am_cuda_inner(const am_view *x) {
  return am_shape_count(x->shape) / (x->shape.dim[0] * x->shape.dim[1]);
}
// Threads that share `count` outputs' sums of `length` elements each: enough to fill a card, not so many that a piece is short.
static inline int64_t am_cuda_parts(int64_t outputs, int64_t length) {
  enum { ENOUGH = 1 << 17, LEAST = 64 };
  int64_t parts = ENOUGH / outputs;
  if (parts > length / LEAST) parts = length / LEAST;
  if (parts > AM_CUDA_MOST_PARTS) parts = AM_CUDA_MOST_PARTS;
  return parts > 1 ? parts : 1;
}

#endif
