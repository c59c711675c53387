// Data parallelism for one network: the gradients of the slices of this rank, their sum over all
// slices, and state that lives on rank 0.
//
// Each local slice has gradients of its own. They are cut into a few contiguous buckets, last layers
// first (buckets.h); a bucket whose gradients are final in every local slice is summed in the background
// while backward goes on, in the way that suits the device (gradient_sum.h). Buckets start in a fixed
// order, which all ranks share.
#ifndef AM_TRAIN_DDP_H
#define AM_TRAIN_DDP_H

#include "dist/comm.h"
#include "nn/params.h"

typedef struct am_ddp am_ddp;

// c, ps and reduce ("ordered" | "fast", see gradient_sum.h) are borrowed. Local: the ranks meet in their first update.
// Errors: AM_ERR_UNSUPPORTED gradients that are not f32.
AM_MUST_USE am_err am_ddp_new(am_comm *c, am_params *ps, int64_t slices, const char *reduce, am_ddp **out);
void am_ddp_free(am_ddp *d);
// The slices of this rank: *first .. *first + *count (count may be 0).
void am_ddp_slices(const am_ddp *d, int64_t *first, int64_t *count);
// The rows of local slice k in a batch of `rows`: *first .. *first + *count (count may be 0).
void am_ddp_slice_rows(const am_ddp *d, int64_t rows, int64_t k, int64_t *first, int64_t *count);
// The rows of all slices of this rank, in the form of am_loader_cfg.rows; `ddp` is the am_ddp.
void am_ddp_rows(const void *ddp, int64_t rows, int64_t *first, int64_t *end);
// Where am_grad shall put the gradients of local slice k, one for each leaf of ps.
am_tensor *const *am_ddp_sinks(const am_ddp *d, int64_t k);
// am_grad's on_ready in the backward pass that completes the gradients of the last local slice;
// `ddp` is the am_ddp. Starts sums; errors are kept for am_ddp_join.
void am_ddp_ready(void *ddp, int leaf);
// Collective: on return am_params_grads holds the sum over all slices on every rank. Every rank
// calls it once per update with what became of its backward pass: a rank that failed must join, too,
// since the others wait for it. Returns `mine`, or the error of a sum, which the other ranks are told of.
AM_MUST_USE am_err am_ddp_join(am_ddp *d, am_err mine);
// Collective: buffers and counters (running statistics, kept by slice 0) of rank 0 to all.
AM_MUST_USE am_err am_ddp_share_buffers(am_ddp *d);
// Collective: the weights of all ranks must be bit for bit the same; before anything is kept of them.
// Errors: AM_ERR_DEVICE names the first rank that differs from rank 0.
AM_MUST_USE am_err am_ddp_check_equal(am_ddp *d);

#endif
