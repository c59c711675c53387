// What a library prepared for a shape, kept for the next op of that shape. Host logic, without a call of CUDA.
//
//   am_plan_cache c = {.release = my_plan_free};
//   my_plan *p = am_plan_cache_find(&c, &key, sizeof key);
//   if (!p) { AM_TRY(my_plan_new(&p)); AM_TRY(am_plan_cache_add(&c, &key, sizeof key, p)); }
#ifndef AM_BACKEND_CUDA_PLAN_CACHE_H
#define AM_BACKEND_CUDA_PLAN_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { AM_PLAN_SLOTS = 256, AM_PLAN_LIMIT = 2048 };
typedef struct am_plan_entry am_plan_entry;
typedef struct {
  void (*release)(void *plan);          // called once for each plan that was added
  am_plan_entry *slot[AM_PLAN_SLOTS];   // owned
  int64_t count;
  bool keep;  // recordings may use the plans: none is released
} am_plan_cache;

// The plan of a key whose bytes are all equal (so padding must be zeroed), or NULL.
void *am_plan_cache_find(const am_plan_cache *c, const void *key, size_t bytes);
// Takes plan over, also on failure. At AM_PLAN_LIMIT plans all others are released first, unless `keep`: a program that keeps
// meeting new shapes starts over rather than keep them all. The key must not be there yet. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_plan_cache_add(am_plan_cache *c, const void *key, size_t bytes, void *plan);
bool am_plan_cache_is_full(const am_plan_cache *c);  // the next plan will release the others
void am_plan_cache_clear(am_plan_cache *c);

#endif
