// A convolution as an execution plan of cuDNN's graphs: descriptors, the choice of an engine, and its execution.
#ifndef AM_BACKEND_CUDA_CONV_GRAPH_H
#define AM_BACKEND_CUDA_CONV_GRAPH_H

#include <cudnn.h>

#include "backend/cuda/conv_rules.h"

// Where plans are for: a card, or the description of one that is not here (CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR), for which they
// can be made but not run.
typedef struct {
  cudnnHandle_t handle;
  cudnnBackendDescriptor_t described;
} am_cuda_planner;

typedef struct am_cuda_conv_plan am_cuda_conv_plan;

// The first engine, in the order of cuDNN's heuristics (mode A, then those of last resort), that fits the rules, needs at most
// AM_CUDA_CONV_MOST_BYTES of workspace and can be prepared. So much, because engines that pad three colours to whole vectors
// copy the batch. Those before place `from` in that order are passed over. *out = NULL: there is none. Errors: AM_ERR_DEVICE,
// AM_ERR_NOMEM.
enum { AM_CUDA_CONV_MOST_BYTES = 1 << 30 };
AM_MUST_USE am_err am_cuda_conv_plan_new(const am_cuda_planner *on, const am_cuda_conv *k,
                                         am_cuda_conv_way way, int64_t from, am_cuda_conv_plan **out);
void am_cuda_conv_plan_free(am_cuda_conv_plan *p);
size_t am_cuda_conv_plan_bytes(const am_cuda_conv_plan *p);   // of workspace
int64_t am_cuda_conv_plan_place(const am_cuda_conv_plan *p);  // in the order of the heuristics, from 0
// Memory on the card, all of it aligned to AM_CUDA_CONV_ALIGNMENT bytes, in the types and layouts of the way. What the op does
// not have is NULL; scale, shift and residual belong to a fused plan.
enum { AM_CUDA_CONV_ALIGNMENT = 16 };
typedef struct {
  void *x, *w, *y, *scale, *shift, *residual;
} am_cuda_conv_data;
AM_MUST_USE am_err am_cuda_conv_plan_run(cudnnHandle_t handle, const am_cuda_conv_plan *p,
                                         const am_cuda_conv_data *data, void *workspace);

// cuDNN's own words about a call that failed.
AM_MUST_USE am_err am_cuda_dnn_fail(const char *call, cudnnStatus_t status);
#define AM_TRY_DNN(call)                                                                        \
  do {                                                                                          \
    cudnnStatus_t am_dnn_status_ = (call);                                                      \
    if (am_dnn_status_ != CUDNN_STATUS_SUCCESS) return am_cuda_dnn_fail(#call, am_dnn_status_); \
  } while (0)

#endif
