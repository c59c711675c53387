#include "backend/cuda/upload.h"

#include <string.h>

#include "base/log.h"
#include "base/num.h"

// A piece is on the bus while the host copies the next one.
enum { PIECES = 8 };
// What is small stays on the stream of the ops: three calls more would cost the host about what they save the card. Reckoned,
// not measured.
enum { SMALL_BYTES = 4 << 10 };

am_err am_cuda_uploads_open(am_cuda_uploads *u, size_t bytes, size_t most) {
  u->ring.bytes = bytes;
  u->most = most;
  AM_TRY_CUDA(cudaStreamCreateWithFlags(&u->stream, cudaStreamNonBlocking));
  AM_TRY_CUDA(cudaHostAlloc((void **)&u->pinned, bytes, cudaHostAllocDefault));
  AM_TRY_CUDA(cudaMalloc((void **)&u->landing, bytes));
  for (int i = 0; i < AM_RING_RANGES; i++) {
    AM_TRY_CUDA(cudaEventCreateWithFlags(&u->landed[i], cudaEventDisableTiming));
    AM_TRY_CUDA(cudaEventCreateWithFlags(&u->done[i], cudaEventDisableTiming));
  }
  return AM_OK;
}

void am_cuda_uploads_close(am_cuda_uploads *u) {
  // The ops have waited for every copy but those whose upload failed half-way.
  if (u->stream) (void)cudaStreamSynchronize(u->stream);
  for (int i = 0; i < AM_RING_RANGES; i++) {
    if (u->landed[i]) (void)cudaEventDestroy(u->landed[i]);
    if (u->done[i]) (void)cudaEventDestroy(u->done[i]);
  }
  if (u->landing) (void)cudaFree(u->landing);
  if (u->pinned) (void)cudaFreeHost(u->pinned);
  if (u->stream) (void)cudaStreamDestroy(u->stream);
}

static am_err wait_for_oldest(am_cuda_uploads *u, const am_cuda *g) {
  const int slot = am_ring_oldest(&u->ring);
  AM_CHECK(slot >= 0, AM_ERR_INTERNAL, "the ring of %zu bytes has no room although nothing is out",
           u->ring.bytes);
  AM_TRY(am_cuda_wait_for(g, u->done[slot]));
  am_ring_give(&u->ring);
  return AM_OK;
}

// The first hop; ops that are queued from here on find the range on the card.
static am_err land(am_cuda_uploads *u, cudaStream_t ops, size_t offset, int slot, size_t bytes) {
  AM_TRY_CUDA(
      cudaMemcpyAsync(u->landing + offset, u->pinned + offset, bytes, cudaMemcpyHostToDevice, u->stream));
  AM_TRY_CUDA(cudaEventRecord(u->landed[slot], u->stream));
  AM_TRY_CUDA(cudaStreamWaitEvent(ops, u->landed[slot], 0));
  return AM_OK;
}

// The host has seen the last use of a range that it takes, so the first hop has nothing to wait for.
static am_err upload_piece(am_cuda_uploads *u, const am_cuda *g, char *device, const char *host, size_t bytes,
                           bool small) {
  const cudaStream_t ops = am_cuda_stream(g);
  size_t offset;
  int slot;
  while (!am_ring_take(&u->ring, bytes, &offset, &slot)) AM_TRY(wait_for_oldest(u, g));
  memcpy(u->pinned + offset, host, bytes);
  if (!small) AM_TRY(land(u, ops, offset, slot, bytes));
  const char *from = (small ? u->pinned : u->landing) + offset;
  AM_TRY_CUDA(
      cudaMemcpyAsync(device, from, bytes, small ? cudaMemcpyHostToDevice : cudaMemcpyDeviceToDevice, ops));
  AM_TRY_CUDA(cudaEventRecord(u->done[slot], ops));
  return AM_OK;
}

static am_err exchange(am_cuda_uploads *u, size_t bytes) {
  char *pinned = NULL;
  void *landing = NULL;
  AM_TRY_CUDA(cudaHostAlloc((void **)&pinned, bytes, cudaHostAllocDefault));
  const cudaError_t status = cudaMalloc(&landing, bytes);
  if (status != cudaSuccess) {
    (void)cudaFreeHost(pinned);
    return am_cuda_fail("cudaMalloc", status);
  }
  (void)cudaFree(u->landing);
  (void)cudaFreeHost(u->pinned);
  u->landing = landing;
  u->pinned = pinned;
  u->ring = (am_ring){.bytes = bytes};
  return AM_OK;
}

// Happens with the first batch. Without memory for it uploads go on in what there is, and wait more: that is said once.
static am_err make_room(am_cuda_uploads *u, const am_cuda *g, size_t bytes) {
  if (bytes <= u->ring.bytes / 2 || u->ring.bytes >= u->most) return AM_OK;
  const size_t twice = am_align_up(2 * bytes, AM_RING_ALIGN);
  while (am_ring_oldest(&u->ring) >= 0) AM_TRY(wait_for_oldest(u, g));
  AM_TRY_CUDA(cudaStreamSynchronize(am_cuda_stream(g)));
  AM_TRY_CUDA(cudaStreamSynchronize(u->stream));
  if (exchange(u, twice < u->most ? twice : u->most) != AM_OK) {
    AM_WARN("device cuda: batches of %zu MiB wait for the bus: %s", bytes >> 20, am_err_last()->message);
    am_err_clear();
    u->most = u->ring.bytes;
  }
  return AM_OK;
}

am_err am_cuda_upload(am_cuda_uploads *u, const am_cuda *g, void *device, const void *host, size_t bytes) {
  AM_TRY(make_room(u, g, bytes));
  const size_t most = u->ring.bytes / PIECES;
  for (size_t at = 0; at < bytes; at += most) {
    const size_t here = bytes - at < most ? bytes - at : most;
    AM_TRY(upload_piece(u, g, (char *)device + at, (const char *)host + at, here, bytes <= SMALL_BYTES));
  }
  return AM_OK;
}
