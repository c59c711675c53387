// Memory that goes away all at once: many small pieces cut from large blocks. Start from {0}; free with
// am_arena_fini. Pieces stay where they are until then.
#ifndef AM_BASE_ARENA_H
#define AM_BASE_ARENA_H

#include <stddef.h>

#include "base/err.h"

typedef struct am_arena_block am_arena_block;
typedef struct {
  am_arena_block *newest;  // owned, with all before it
} am_arena;

// *pp (any pointer variable) = that many zeroed bytes, aligned for any type. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_arena_alloc(am_arena *a, size_t bytes, void *pp);
// *out = a copy of the bytes with a zero behind them.
AM_MUST_USE am_err am_arena_bytes(am_arena *a, const char *bytes, size_t count, const char **out);
// *out = a copy of text (NULL stays NULL).
AM_MUST_USE am_err am_arena_text(am_arena *a, const char *text, const char **out);
// *out = "dir/name", or just the name where dir is empty.
AM_MUST_USE am_err am_arena_join(am_arena *a, const char *dir, const char *name, const char **out);
void am_arena_fini(am_arena *a);

#endif
