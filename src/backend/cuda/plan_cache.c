#include "backend/cuda/plan_cache.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

struct am_plan_entry {
  am_plan_entry *next;  // owned
  void *plan;           // owned
  size_t bytes;
  unsigned char key[];
};

static uint32_t slot_of(const void *key, size_t bytes) { return am_crc32c(0, key, bytes) % AM_PLAN_SLOTS; }

void *am_plan_cache_find(const am_plan_cache *c, const void *key, size_t bytes) {
  const am_plan_entry *e = c->slot[slot_of(key, bytes)];
  while (e && (e->bytes != bytes || memcmp(e->key, key, bytes) != 0)) e = e->next;
  return e ? e->plan : NULL;
}

bool am_plan_cache_is_full(const am_plan_cache *c) { return c->count >= AM_PLAN_LIMIT && !c->keep; }

am_err am_plan_cache_add(am_plan_cache *c, const void *key, size_t bytes, void *plan) {
  am_plan_entry *e = NULL;
  if (am_plan_cache_is_full(c)) am_plan_cache_clear(c);
  const am_err err = am_mem_alloc(&e, 1, sizeof *e + bytes);
  if (err) {
    c->release(plan);
    return err;
  }
  am_plan_entry **slot = &c->slot[slot_of(key, bytes)];
  memcpy(e->key, key, bytes);
  e->bytes = bytes;
  e->plan = plan;
  e->next = *slot;
  *slot = e;
  c->count++;
  return AM_OK;
}

void am_plan_cache_clear(am_plan_cache *c) {
  for (int i = 0; i < AM_PLAN_SLOTS; i++) {
    while (c->slot[i]) {
      am_plan_entry *e = c->slot[i];
      c->slot[i] = e->next;
      c->release(e->plan);
      free(e);
    }
  }
  c->count = 0;
}
