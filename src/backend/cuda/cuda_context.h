// The context itself, for the files that call CUDA's libraries.
#ifndef AM_BACKEND_CUDA_CONTEXT_H
#define AM_BACKEND_CUDA_CONTEXT_H

#include <cublasLt.h>
#include <cudnn.h>

#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/upload.h"

typedef struct am_cuda_fetch am_cuda_fetch;  // copy.c
typedef struct am_cuda_group am_cuda_group;  // nccl.c

struct am_cuda {
  int index;                // of the card, among those that this process sees
  int major, minor;         // compute capability
  cudaStream_t stream;      // owned
  cudaEvent_t began, ended; // owned: of a profiled op
  cudaMemPool_t pool;       // owned: stream-ordered memory, never trimmed by itself
  cublasLtHandle_t lt;      // owned
  cudnnHandle_t dnn;        // owned
  bool tf32;                // products of f32 may be TF32's
  bool measured;            // convolutions take the engine that was fastest (conv_measure.c)
  am_plan_cache products;   // of matmul.c
  am_plan_cache convolutions;  // of conv.c
  void *workspace;          // owned: of library calls
  am_cuda_uploads uploads;
  am_temps temps;
  struct {                  // record.c
    bool under_way, draws;  // a step is being recorded; it has ops that draw
    int64_t count;          // of recordings that there are
    uint64_t *moved;        // owned, on the card
  } record;
  am_cuda_fetch *free_fetch;  // owned: copies whose memory waits for the next one
  am_cuda_group *groups;    // borrowed: those that are open
};
enum { AM_CUDA_WORKSPACE_BYTES = 64 << 20 };

#define AM_TRY_LT(call)                                                                              \
  do {                                                                                               \
    cublasStatus_t am_lt_status_ = (call);                                                           \
    AM_CHECK(am_lt_status_ == CUBLAS_STATUS_SUCCESS, AM_ERR_DEVICE, "cuBLASLt: %s gave %s", #call,   \
             cublasLtGetStatusString(am_lt_status_));                                                \
  } while (0)

// C = op(A) op(B), row-major matrices, `batch` of each one after the other; op(A) is m x k (matmul.c). Sums are f32.
typedef struct {
  int64_t batch, m, n, k;
  bool transpose_a, transpose_b;
  am_dtype type, result;  // of A and B; of C
} am_cuda_product;
AM_MUST_USE am_err am_cuda_multiply(am_cuda *g, const am_cuda_product *p, const void *a, const void *b, void *c);
void am_cuda_matmul_plan_free(void *plan);
void am_cuda_conv_release(void *plan);

// Copies (copy.c): the slots of the op table, and what they need.
AM_MUST_USE am_err am_cuda_open_copies(am_cuda *g);
void am_cuda_close_copies(am_cuda *g);
AM_MUST_USE am_err am_cuda_to_host(void *ctx, void *host, const void *device, size_t bytes);
AM_MUST_USE am_err am_cuda_from_host(void *ctx, void *device, const void *host, size_t bytes);
AM_MUST_USE am_err am_cuda_fetch_begin(void *ctx, const void *device, size_t bytes, void **copy);
AM_MUST_USE am_err am_cuda_fetched(void *ctx, void *copy, bool wait, const void **host);
void am_cuda_fetch_end(void *ctx, void *copy);

// record.c.
AM_MUST_USE am_err am_cuda_open_recorder(am_cuda *g);
void am_cuda_close_recorder(am_cuda *g);
extern const am_backend_recorder am_cuda_recorder;

// nccl.c. Before the host waits for the stream: waits for the sums that the stream waits for, which a lost card may never give.
AM_MUST_USE am_err am_cuda_wait_for_sums(const am_cuda *g);
extern const am_backend_collective am_cuda_collective;

#endif
