// The flat gradients of a network as a few contiguous buckets, last layers first: what backward completes first is summed
// first. Pure bookkeeping.
#ifndef AM_TRAIN_BUCKETS_H
#define AM_TRAIN_BUCKETS_H

#include <stdint.h>

#include "base/err.h"

typedef struct {
  int64_t first, count;  // elements of the flat gradients
  int leaves, missing;   // gradients in it, and those not final yet in this update
} am_bucket;

typedef struct {
  am_bucket *item;  // owned
  int64_t count, capacity;
  int *of;        // owned: the bucket of each leaf
  int64_t ready;  // buckets 0 .. ready-1 are complete
} am_buckets;

// Leaves lie in flat storage in their order, elements[j] each. A bucket is closed once it has `least` elements.
AM_MUST_USE am_err am_buckets_init(am_buckets *b, const int64_t *elements, int leaves, int64_t least);
void am_buckets_fini(am_buckets *b);
// The gradient of this leaf is final. Afterwards b->ready counts the complete buckets with nothing incomplete before them.
void am_buckets_mark(am_buckets *b, int leaf);
void am_buckets_reset(am_buckets *b);  // for the next update

#endif
