// Bytes of the host's memory on their way to a card, beside what the card computes.
//
// Two hops. The target is memory of the pool, which what is queued may still be using for something else: it may only be
// written in the order of the ops. Were the copy queued there, though, it would begin when everything before it is done, and
// the ops behind it would wait for the bus. So the host copies into a pinned ring; a stream of its own carries a range to the
// same range of memory on the card that is nobody's, at once; and among the ops there is left a copy within the card.
#ifndef AM_BACKEND_CUDA_UPLOAD_H
#define AM_BACKEND_CUDA_UPLOAD_H

#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/ring.h"

typedef struct {
  am_ring ring;
  size_t most;                         // bytes up to which the ring grows
  char *pinned;                        // owned: the ring
  char *landing;                       // owned: the same ranges on the card
  cudaStream_t stream;                 // owned: of copies from one to the other
  cudaEvent_t landed[AM_RING_RANGES];  // owned: on that stream, the range is on the card
  cudaEvent_t done[AM_RING_RANGES];    // owned: on the stream of the ops, nothing reads the range any more
} am_cuda_uploads;

// bytes: of the ring, and of the memory on the card, both of which grow up to `most` when something larger than half of the ring
// is uploaded: the ops before it hold ranges until they are done, so a batch goes beside them where it fits twice. After a
// failure, too, closing is due.
AM_MUST_USE am_err am_cuda_uploads_open(am_cuda_uploads *u, size_t bytes, size_t most);
// Nothing that was queued on the stream of the ops may be left there.
void am_cuda_uploads_close(am_cuda_uploads *u);
// host[0..bytes) to device, in the order of the ops of g; `host` may be used again at once. The host waits for the oldest
// range when the ring is full, and for nothing else. After a failure the target holds anything, and later uploads are whole.
AM_MUST_USE am_err am_cuda_upload(am_cuda_uploads *u, const am_cuda *g, void *device, const void *host,
                                  size_t bytes);

#endif
