#include "base/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

enum { BLOCK = 1 << 18 };

struct am_arena_block {
  am_arena_block *before;
  size_t used, room;
  alignas(max_align_t) char data[];
};

static am_err add_block(am_arena *a, size_t room) {
  am_arena_block *block = NULL;
  AM_TRY(am_mem_alloc(&block, 1, sizeof *block + room));
  block->room = room;
  block->before = a->newest;
  a->newest = block;
  return AM_OK;
}

// Text is packed without gaps: `align` is 1 for it.
static am_err cut(am_arena *a, size_t bytes, size_t align, char **out) {
  AM_CHECK(bytes <= PTRDIFF_MAX - BLOCK, AM_ERR_NOMEM, "cannot allocate %zu bytes", bytes);
  size_t at = a->newest ? am_align_up(a->newest->used, align) : 0;
  if (!a->newest || at > a->newest->room || bytes > a->newest->room - at) {
    AM_TRY(add_block(a, bytes > BLOCK ? bytes : BLOCK));
    at = 0;
  }
  a->newest->used = at + bytes;
  *out = a->newest->data + at;
  return AM_OK;
}

am_err am_arena_alloc(am_arena *a, size_t bytes, void *pp) {
  char *p = NULL;
  AM_TRY(cut(a, bytes, alignof(max_align_t), &p));
  memcpy(pp, &p, sizeof p);
  return AM_OK;
}

am_err am_arena_bytes(am_arena *a, const char *bytes, size_t count, const char **out) {
  char *p = NULL;
  AM_TRY(cut(a, count + 1, 1, &p));
  if (count) memcpy(p, bytes, count);
  *out = p;
  return AM_OK;
}

am_err am_arena_text(am_arena *a, const char *text, const char **out) {
  if (text) return am_arena_bytes(a, text, strlen(text), out);
  *out = NULL;
  return AM_OK;
}

am_err am_arena_join(am_arena *a, const char *dir, const char *name, const char **out) {
  size_t n = strlen(dir), m = strlen(name);
  char *p = NULL;
  if (n == 0) return am_arena_text(a, name, out);
  AM_TRY(cut(a, n + 1 + m + 1, 1, &p));
  memcpy(p, dir, n);
  p[n] = '/';
  memcpy(p + n + 1, name, m);
  *out = p;
  return AM_OK;
}

void am_arena_fini(am_arena *a) {
  for (am_arena_block *block = a->newest, *before; block; block = before) {
    before = block->before;
    free(block);
  }
  *a = (am_arena){0};
}
