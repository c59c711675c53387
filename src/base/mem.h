// Heap memory with checked sizes and fault injection; growable arrays.
//
//   am_thing *t = NULL;
//   AM_GO(done, AM_NEW(&t));                 one zeroed object
//   AM_GO(done, AM_NEW_ARRAY(&names, n));    n zeroed objects (n may be 0)
//   AM_GO(done, AM_GROW(&items, &cap, count + 1));
//   ...
//   free(t);
#ifndef AM_BASE_MEM_H
#define AM_BASE_MEM_H

#include <stdint.h>
#include <stdlib.h>

#include "base/err.h"

// *pp (any pointer variable) = count * size zeroed bytes. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_mem_alloc(void *pp, int64_t count, size_t size);
// The same on a 64-byte boundary (vector loads, O_DIRECT); freed with free().
AM_MUST_USE am_err am_mem_alloc_aligned(void *pp, int64_t count, size_t size);
// Makes room for `need` objects, at least doubling, by half from 16 MiB on; new room is zeroed. Errors:
// AM_ERR_NOMEM.
AM_MUST_USE am_err am_mem_grow(void *pp, int64_t *capacity, int64_t need, size_t size);
// The same without zeroes: for bytes that are written next.
AM_MUST_USE am_err am_mem_grow_bytes(void *pp, int64_t *capacity, int64_t need);
// *out = heap copy of text (NULL stays NULL).
AM_MUST_USE am_err am_mem_strdup(const char *text, char **out);

// Memory that is kept from one use to the next and only grows; starts as {0}. Not zeroed.
typedef struct {
  void *data;  // owned; 64-byte boundary
  size_t bytes;
} am_scratch;
// *pp (any pointer variable) = at least `bytes` bytes, borrowed until the next call; what they held is
// lost. Errors: AM_ERR_NOMEM, the scratch is then empty.
AM_MUST_USE am_err am_scratch_get(am_scratch *s, size_t bytes, void *pp);
void am_scratch_fini(am_scratch *s);

#define AM_NEW(pp) am_mem_alloc((pp), 1, sizeof **(pp))
#define AM_NEW_ARRAY(pp, count) am_mem_alloc((pp), (count), sizeof **(pp))
#define AM_GROW(pp, capacity, need) am_mem_grow((pp), (capacity), (need), sizeof **(pp))

#endif
