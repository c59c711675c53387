// Shared by the files of the cuda backend: its context, error macros, who computes what.
//
// One context is one card and one stream; every op is queued on it, so memory that the pool in tensor/ hands out again is
// in order, and nothing waits but to_host, sync, and from_host when much is on its way already. What comes from the host
// crosses the bus on a stream of its own (upload.h).
#ifndef AM_BACKEND_CUDA_INTERNAL_H
#define AM_BACKEND_CUDA_INTERNAL_H

#include "backend/cuda/kernels/kernels.h"
#include "backend/cuda/plan_cache.h"
#include "backend/cuda/temps.h"

typedef struct am_cuda am_cuda;  // context.c; on the host tests/on_host/cuda_on_host.c
cudaStream_t am_cuda_stream(const am_cuda *g);
bool am_cuda_tf32(const am_cuda *g);  // whether products of f32 may be TF32's
// While a step is recorded: by how much its random indices have moved when it is launched, on the card. Else NULL.
const uint64_t *am_cuda_moved(am_cuda *g);
am_temps *am_cuda_temps(am_cuda *g);
// The host waits for an event of the stream and no longer, and meanwhile for the sums over cards that may stand before it
// (nccl.c).
AM_MUST_USE am_err am_cuda_wait_for(const am_cuda *g, cudaEvent_t event);

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
//   X(op, descriptor, types it computes in)
#define AM_CUDA_F32 (1u << AM_F32)                // what updates parameters
#define AM_CUDA_BOTH (AM_CUDA_F32 | 1u << AM_BF16)
// Own kernels, which are tested on the host as well.
#define AM_CUDA_KERNEL_OPS(X)                                                                                  \
  X(unary, am_unary_desc, AM_CUDA_BOTH) X(binary, am_binary_desc, AM_CUDA_BOTH)                 /* eltwise.c */ \
  X(axpby, am_axpby_desc, AM_CUDA_F32) X(sgd_step, am_sgd_desc, AM_CUDA_F32)                                   \
  X(adam_step, am_adam_desc, AM_CUDA_F32) X(running_stats, am_running_desc, AM_CUDA_F32)                       \
  X(bias_act, am_activation, AM_CUDA_BOTH)                                                                     \
  X(scale_shift, am_no_desc, AM_CUDA_BOTH)                                                                     \
  X(broadcast_to, am_shape_desc, AM_CUDA_BOTH) X(permute, am_permute_desc, AM_CUDA_BOTH)           /* move.c */ \
  X(slice, am_slice_desc, AM_CUDA_BOTH) X(pad, am_pad_desc, AM_CUDA_BOTH)                                      \
  X(concat, am_axis_desc, AM_CUDA_BOTH) X(gather_rows, am_no_desc, AM_CUDA_BOTH)                               \
  X(scatter_rows, am_rows_desc, AM_CUDA_BOTH) X(reorder, am_layout_desc, AM_CUDA_BOTH)                         \
  X(cast, am_dtype_desc, AM_CUDA_BOTH) X(fill, am_fill_desc, AM_CUDA_BOTH)                      /* convert.c */ \
  X(random, am_random_desc, AM_CUDA_BOTH) X(dropout, am_dropout_desc, AM_CUDA_BOTH)                            \
  X(reduce, am_reduce_desc, AM_CUDA_BOTH) X(log_softmax, am_no_desc, AM_CUDA_BOTH)               /* reduce.c */ \
  X(max_pool2d, am_pool2d_desc, AM_CUDA_BOTH) X(max_pool2d_values, am_pool2d_desc, AM_CUDA_BOTH)   /* pool.c */ \
  X(pool_scatter, am_pool2d_desc, AM_CUDA_BOTH) X(pool_gather, am_pool2d_desc, AM_CUDA_BOTH)                   \
  X(avg_pool2d, am_pool2d_desc, AM_CUDA_BOTH) X(avg_pool2d_grad, am_pool2d_desc, AM_CUDA_BOTH)                 \
  X(upfirdn2d, am_upfirdn2d_desc, AM_CUDA_BOTH)                                                /* resample.c */ \
  X(resample2d, am_resample2d_desc, AM_CUDA_BOTH) X(resample2d_grad, am_resample2d_desc, AM_CUDA_BOTH)         \
  X(batch_norm, am_norm_desc, AM_CUDA_BOTH) X(batch_norm_grad, am_norm_desc, AM_CUDA_BOTH)         /* norm.c */ \
  X(batch_norm_add, am_norm_desc, AM_CUDA_BOTH) X(batch_norm_add_grad, am_norm_desc, AM_CUDA_BOTH)             \
  X(bias_act_grad, am_activation, AM_CUDA_BOTH)
// What a library computes.
#define AM_CUDA_LIBRARY_OPS(X)                                                                                 \
  X(matmul, am_matmul_desc, AM_CUDA_BOTH)                                                        /* matmul.c */ \
  X(conv2d, am_conv2d_desc, AM_CUDA_BOTH) X(conv2d_grad_input, am_conv2d_desc, AM_CUDA_BOTH)       /* conv.c */ \
  X(conv2d_grad_weight, am_conv2d_desc, AM_CUDA_BOTH) X(conv2d_affine, am_conv2d_affine_desc, AM_CUDA_BOTH)    \
  X(conv2d_affine_add, am_conv2d_affine_desc, AM_CUDA_BOTH)
#define AM_CUDA_DECLARE(op, desc_type, types) \
  am_err am_cuda_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out);
AM_CUDA_KERNEL_OPS(AM_CUDA_DECLARE)
AM_CUDA_LIBRARY_OPS(AM_CUDA_DECLARE)
#undef AM_CUDA_DECLARE

// augment.c: of the table.
am_err am_cuda_augment(void *ctx, const am_augment_program *p, const uint8_t *bytes, const float *params, int64_t count,
                       float *out);

// What stands against a type in an op that computes in these, or NULL.
static inline const char *am_cuda_lacks_type(unsigned types, am_dtype dtype) {
  if (types >> dtype & 1u) return NULL;
  return dtype == AM_BF16 ? "parameters are kept and updated in f32" : "it computes in f32 and bf16";
}

// layout.c: of the table.
void am_cuda_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out);

static inline int64_t am_cuda_count(const am_view *v) { return am_shape_count(v->shape); }
// leaky_relu; without activation a slope of 1, which changes nothing.
static inline float am_cuda_slope(am_activation act) { return act.on ? (float)act.slope : 1; }
// (n, c, ...): what lies behind a channel.
static inline int64_t am_cuda_inner(const am_view *x) {
  return am_shape_count(x->shape) / (x->shape.dim[0] * x->shape.dim[1]);
}

#endif
