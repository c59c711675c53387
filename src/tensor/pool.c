#include "tensor/pool.h"

#include "base/mem.h"
#include "base/num.h"

// Under AddressSanitizer cached blocks are poisoned, and so is the room above the bytes that were
// asked for: reading freed or neighbouring device memory on the CPU is then reported.
#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(data, bytes)   ((void)(data), (void)(bytes))
#define ASAN_UNPOISON_MEMORY_REGION(data, bytes) ((void)(data), (void)(bytes))
#endif

// The class of a request and the size of its blocks.
static int size_class_of(size_t bytes, size_t *block_bytes) {
  size_t units = bytes <= AM_POOL_UNIT ? 1 : (bytes + AM_POOL_UNIT - 1) / AM_POOL_UNIT;
  if (units <= AM_POOL_FINE_CLASSES) {
    *block_bytes = units * AM_POOL_UNIT;
    return (int)units - 1;
  }
  int exponent = 63 - __builtin_clzll(units - 1);  // 2^exponent <= units - 1, exponent >= 4
  size_t eighth = (units - 1) >> (exponent - 3);   // 8 .. 15
  *block_bytes = ((eighth + 1) << (exponent - 3)) * AM_POOL_UNIT;
  return AM_POOL_FINE_CLASSES + (exponent - 4) * 8 + (int)eighth - 8;
}

static void give_back(am_pool *pool, am_buffer *b) {
  ASAN_UNPOISON_MEMORY_REGION(b->data, b->bytes);
  pool->backend->release(pool->ctx, b->data, b->bytes);
  free(b);
}

static void count_cached(am_pool *pool, int64_t bytes) {
  pool->cached_bytes += bytes;
  pool->tally->memory.cached_bytes += bytes;
}

static void count_live(am_pool *pool, int64_t bytes) {
  am_device_memory *all = &pool->tally->memory;
  pool->live_bytes += bytes;
  all->live_bytes += bytes;
  all->peak_bytes = am_max_i64(all->peak_bytes, all->live_bytes);
}

void am_pool_trim(am_pool *pool) {
  for (int i = 0; i < AM_POOL_CLASSES; i++) {
    while (pool->free_list[i]) {
      am_buffer *b = pool->free_list[i];
      pool->free_list[i] = b->next;
      give_back(pool, b);
    }
  }
  count_cached(pool, -pool->cached_bytes);
}

// Returns whether anything went back.
static bool give_idle_back(am_pool *pool) {
  const int64_t before = pool->tally->memory.cached_bytes;
  if (!pool->fixed) am_pool_trim(pool);
  if (pool->neighbour) am_pool_trim(pool->neighbour);
  return pool->tally->memory.cached_bytes < before;
}

// A new block from the backend. Before the pool would hold more idle memory than was ever in use at
// once, and whenever memory runs out, the idle blocks go back first.
static am_err new_block(am_pool *pool, size_t bytes, am_buffer **out) {
  am_err err = AM_OK;
  am_buffer *b = NULL;
  AM_GO(done, AM_NEW(&b));
  if (!pool->fixed && pool->cached_bytes > pool->tally->memory.peak_bytes) am_pool_trim(pool);
  err = pool->backend->alloc(pool->ctx, bytes, &b->data);
  if (err == AM_ERR_NOMEM && give_idle_back(pool)) err = pool->backend->alloc(pool->ctx, bytes, &b->data);
  AM_GO(done, err);
  *out = b;
  b = NULL;
done:
  free(b);
  return err;
}

am_err am_pool_take(am_pool *pool, size_t bytes, am_buffer **out) {
  AM_CHECK(bytes <= PTRDIFF_MAX / 2, AM_ERR_NOMEM, "a tensor of %zu bytes is more than memory can hold",
           bytes);
  size_t block_bytes = bytes > 0 ? bytes : 1;
  int size_class = -1;
  if (!pool->backend->uncached) size_class = size_class_of(bytes, &block_bytes);
  am_buffer *b = size_class < 0 ? NULL : pool->free_list[size_class];
  if (b) {
    pool->free_list[size_class] = b->next;
    count_cached(pool, -(int64_t)b->bytes);
  } else {
    AM_TRY(new_block(pool, block_bytes, &b));
  }
  *b = (am_buffer){.pool = pool, .data = b->data, .bytes = block_bytes, .size_class = size_class, .refs = 1};
  am_buffer_renew(b);
  ASAN_POISON_MEMORY_REGION(b->data, b->bytes);
  ASAN_UNPOISON_MEMORY_REGION(b->data, bytes);
  pool->tally->memory.allocations++;
  count_live(pool, (int64_t)block_bytes);
  *out = b;
  return AM_OK;
}

void am_buffer_renew(am_buffer *b) { b->stamp = ++b->pool->tally->stamps; }

am_buffer *am_buffer_retain(am_buffer *b) {
  b->refs++;
  return b;
}

void am_buffer_release(am_buffer *b) {
  if (!b || --b->refs > 0) return;
  am_pool *pool = b->pool;
  count_live(pool, -(int64_t)b->bytes);
  if (b->size_class < 0) {
    give_back(pool, b);
    return;
  }
  ASAN_POISON_MEMORY_REGION(b->data, b->bytes);
  b->next = pool->free_list[b->size_class];
  pool->free_list[b->size_class] = b;
  count_cached(pool, (int64_t)b->bytes);
}
