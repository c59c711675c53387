// Memory for what an op writes on its way. All ops of a context are queued on one stream, so each may use the same memory
// after the one before it: a chunk that is as large as the largest op asked for. Host logic, without a call of CUDA.
#ifndef AM_BACKEND_CUDA_TEMPS_H
#define AM_BACKEND_CUDA_TEMPS_H

#include "tensor/backend.h"

enum { AM_TEMP_ALIGN = 256, AM_TEMP_GRAIN = 2 << 20 };  // bytes; the grain is what chunks are multiples of
typedef struct am_temp_chunk am_temp_chunk;
typedef struct {
  const am_backend *backend;  // borrowed: gives and takes chunks
  void *ctx;                  // borrowed
  am_temp_chunk *chunk;       // owned: the one that is used, then smaller ones
  size_t used;
  bool keep;  // recordings name the chunks: smaller ones stay
} am_temps;

// *pp (any pointer variable) = at least `bytes` bytes, until am_temps_end.
AM_MUST_USE am_err am_temps_take(am_temps *t, size_t bytes, void *pp);
// The op is queued, or it failed: what it took is free.
void am_temps_end(am_temps *t);
void am_temps_fini(am_temps *t);

#endif
