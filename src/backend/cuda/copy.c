// Copies between the host's memory and a card's.
//
// What goes to the card is first copied to pinned memory, piece by piece, so that the caller has its own memory back at once
// and neither waits for what is queued on the card: batches are on their way while the step before them runs. What comes
// back is waited for.
#include <string.h>

#include "backend/cuda/cuda_context.h"

enum { RING_BYTES = 64 << 20, PIECE_BYTES = 8 << 20 };

am_err am_cuda_open_upload(am_cuda *g) {
  g->upload.ring.bytes = RING_BYTES;
  AM_TRY_CUDA(cudaHostAlloc((void **)&g->upload.memory, RING_BYTES, cudaHostAllocDefault));
  for (int i = 0; i < AM_RING_RANGES; i++)
    AM_TRY_CUDA(cudaEventCreateWithFlags(&g->upload.done[i], cudaEventDisableTiming));
  return AM_OK;
}

void am_cuda_close_upload(am_cuda *g) {
  for (int i = 0; i < AM_RING_RANGES; i++) {
    if (g->upload.done[i]) (void)cudaEventDestroy(g->upload.done[i]);
  }
  if (g->upload.memory) (void)cudaFreeHost(g->upload.memory);
}

static am_err wait_for_oldest(am_cuda *g) {
  const int slot = am_ring_oldest(&g->upload.ring);
  AM_CHECK(slot >= 0, AM_ERR_INTERNAL, "the ring of %d bytes has no room although nothing is out",
           RING_BYTES);
  AM_TRY_CUDA(cudaEventSynchronize(g->upload.done[slot]));
  am_ring_give(&g->upload.ring);
  return AM_OK;
}

static am_err upload(am_cuda *g, char *device, const char *host, size_t bytes) {
  size_t offset;
  int slot;
  while (!am_ring_take(&g->upload.ring, bytes, &offset, &slot)) AM_TRY(wait_for_oldest(g));
  memcpy(g->upload.memory + offset, host, bytes);
  AM_TRY_CUDA(cudaMemcpyAsync(device, g->upload.memory + offset, bytes, cudaMemcpyHostToDevice, g->stream));
  AM_TRY_CUDA(cudaEventRecord(g->upload.done[slot], g->stream));
  return AM_OK;
}

am_err am_cuda_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  for (size_t at = 0; at < bytes; at += PIECE_BYTES) {
    const size_t here = bytes - at < PIECE_BYTES ? bytes - at : PIECE_BYTES;
    AM_TRY(upload(ctx, (char *)device + at, (const char *)host + at, here));
  }
  return AM_OK;
}

am_err am_cuda_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  const am_cuda *g = ctx;
  if (!bytes) return AM_OK;
  AM_TRY_CUDA(cudaMemcpyAsync(host, device, bytes, cudaMemcpyDeviceToHost, g->stream));
  AM_TRY_CUDA(cudaStreamSynchronize(g->stream));
  return AM_OK;
}
