#include "backend/cuda/temps.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct am_temp_chunk {
  am_temp_chunk *next;
  char *memory;  // owned, by the backend
  size_t bytes;
};

static size_t round_up(size_t bytes, size_t to) { return (bytes + to - 1) / to * to; }

// With room for what the op has taken as well, so that it fits in one chunk next time; what it has stays where it is.
static am_err add_chunk(am_temps *t, size_t bytes) {
  am_temp_chunk *c = NULL;
  void *memory = NULL;
  AM_TRY(AM_NEW(&c));
  c->bytes = round_up(t->used + bytes, AM_TEMP_GRAIN);
  const am_err err = t->backend->alloc(t->ctx, c->bytes, &memory);
  if (err) {
    free(c);
    return err;
  }
  c->memory = memory;
  c->next = t->chunk;
  t->chunk = c;
  t->used = 0;
  return AM_OK;
}

static void release_from(am_temps *t, am_temp_chunk **first) {
  for (am_temp_chunk *c = *first, *next; c; c = next) {
    next = c->next;
    t->backend->release(t->ctx, c->memory, c->bytes);
    free(c);
  }
  *first = NULL;
}

am_err am_temps_take(am_temps *t, size_t bytes, void *pp) {
  bytes = round_up(bytes ? bytes : 1, AM_TEMP_ALIGN);
  if (!t->chunk || t->chunk->bytes - t->used < bytes) AM_TRY(add_chunk(t, bytes));
  void *memory = t->chunk->memory + t->used;
  t->used += bytes;
  memcpy(pp, &memory, sizeof memory);
  return AM_OK;
}

void am_temps_end(am_temps *t) {
  t->used = 0;
  if (!t->keep && t->chunk) release_from(t, &t->chunk->next);
}

void am_temps_fini(am_temps *t) { release_from(t, &t->chunk); }
