// Copies between the host's memory and a card's.
//
// What goes to the card is first copied to pinned memory, so that the caller has its own memory back at once and neither waits
// for what is queued on the card: batches are on their way while the step before them runs (upload.h). What comes back is
// waited for by am_cuda_to_host alone.
#include "backend/cuda/cuda_context.h"
#include "base/mem.h"
#include "base/num.h"

enum { RING_BYTES = 64 << 20, MOST_RING_BYTES = 1 << 30, FETCH_BYTES = 1 << 16 };

struct am_cuda_fetch {
  am_cuda_fetch *next;  // free ones
  void *memory;         // owned: pinned
  size_t bytes;
  cudaEvent_t done;  // owned
};

am_err am_cuda_open_copies(am_cuda *g) {
  return am_cuda_uploads_open(&g->uploads, RING_BYTES, MOST_RING_BYTES);
}

static void free_fetch(am_cuda_fetch *f) {
  if (!f) return;
  if (f->done) (void)cudaEventDestroy(f->done);
  if (f->memory) (void)cudaFreeHost(f->memory);
  free(f);
}

void am_cuda_close_copies(am_cuda *g) {
  am_cuda_uploads_close(&g->uploads);
  for (am_cuda_fetch *f = g->free_fetch, *next; f; f = next) {
    next = f->next;
    free_fetch(f);
  }
}

am_err am_cuda_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  am_cuda *g = ctx;
  return am_cuda_upload(&g->uploads, g, device, host, bytes);
}

// ---- to the host ----

am_err am_cuda_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  const am_cuda *g = ctx;
  if (!bytes) return AM_OK;
  AM_TRY(am_cuda_wait_for_sums(g));
  AM_TRY_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, g->stream));
  AM_TRY_CUDA(cudaStreamSynchronize(g->stream));
  return AM_OK;
}

static am_err new_fetch(size_t bytes, am_cuda_fetch **out) {
  am_err err = AM_OK;
  am_cuda_fetch *f = NULL;
  AM_GO(done, AM_NEW(&f));
  f->bytes = am_align_up(bytes, FETCH_BYTES);
  AM_GO_CUDA(done, cudaHostAlloc(&f->memory, f->bytes, cudaHostAllocDefault));
  AM_GO_CUDA(done, cudaEventCreateWithFlags(&f->done, cudaEventDisableTiming));
  *out = f;
  f = NULL;
done:
  free_fetch(f);
  return err;
}

static am_err take_fetch(am_cuda *g, size_t bytes, am_cuda_fetch **out) {
  for (am_cuda_fetch **at = &g->free_fetch; *at; at = &(*at)->next) {
    if ((*at)->bytes < bytes) continue;
    *out = *at;
    *at = (*at)->next;
    return AM_OK;
  }
  return new_fetch(bytes, out);
}

static am_err begin_fetch(const am_cuda *g, const void *device, size_t bytes, am_cuda_fetch *f) {
  AM_TRY_CUDA(cudaMemcpyAsync(f->memory, device, bytes, cudaMemcpyDeviceToHost, g->stream));
  AM_TRY_CUDA(cudaEventRecord(f->done, g->stream));
  return AM_OK;
}

am_err am_cuda_fetch_begin(void *ctx, const void *device, size_t bytes, void **copy) {
  am_cuda_fetch *f = NULL;
  AM_TRY(take_fetch(ctx, bytes, &f));
  const am_err err = begin_fetch(ctx, device, bytes, f);
  if (err)
    am_cuda_fetch_end(ctx, f);
  else
    *copy = f;
  return err;
}

am_err am_cuda_fetched(void *ctx, void *copy, bool wait, const void **host) {
  am_cuda_fetch *f = copy;
  if (wait) AM_TRY(am_cuda_wait_for(ctx, f->done));
  const cudaError_t status = cudaEventQuery(f->done);
  *host = status == cudaSuccess ? f->memory : NULL;
  if (status == cudaErrorNotReady) (void)cudaGetLastError();  // the next launch shall not report it
  return status == cudaSuccess || status == cudaErrorNotReady ? AM_OK
                                                              : am_cuda_fail("a copy to the host", status);
}

// Its memory is used again at once: the next copy is queued behind this one.
void am_cuda_fetch_end(void *ctx, void *copy) {
  am_cuda *g = ctx;
  am_cuda_fetch *f = copy;
  f->next = g->free_fetch;
  g->free_fetch = f;
}
