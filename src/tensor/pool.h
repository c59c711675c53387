// Device memory from one backend, cached by size so that a training step that repeats its shapes
// asks the backend for nothing. Part of src/tensor; everybody else holds tensors.
#ifndef AM_TENSOR_POOL_H
#define AM_TENSOR_POOL_H

#include "tensor/backend.h"

// 64-byte steps up to 1 KiB, then 8 sizes per doubling: at most an eighth of a block is unused.
enum { AM_POOL_UNIT = 64, AM_POOL_FINE_CLASSES = 16, AM_POOL_CLASSES = 512 };

// What the pools of a device count together.
typedef struct {
  am_device_memory memory;
  uint64_t stamps;  // given so far
} am_pool_tally;

typedef struct am_pool am_pool;
struct am_pool {
  const am_backend *backend;  // borrowed
  void *ctx;                  // borrowed: the backend's
  am_pool_tally *tally;       // borrowed
  am_pool *neighbour;         // borrowed: gives its idle blocks back as well when memory runs out; NULL: none
  bool fixed;                 // blocks stay until am_pool_trim is called: somebody remembers their addresses
  int64_t live_bytes, cached_bytes;              // of this pool
  struct am_buffer *free_list[AM_POOL_CLASSES];  // owned; last in, first out
};

// A block of device memory with its references. Cached blocks keep their am_buffer.
struct am_buffer {
  am_pool *pool;  // borrowed
  void *data;     // owned device memory
  size_t bytes;   // of the block
  int size_class;
  int refs;
  uint64_t stamp;  // of the content (see am_view): new whenever the block is handed out or written to
  struct am_buffer *next;  // while cached
};

// A buffer of at least `bytes` with one reference. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_pool_take(am_pool *pool, size_t bytes, am_buffer **out);
am_buffer *am_buffer_retain(am_buffer *b);
void am_buffer_release(am_buffer *b);
// The content is about to change.
void am_buffer_renew(am_buffer *b);
// Gives every cached block back to the backend.
void am_pool_trim(am_pool *pool);

#endif
