#include "base/mem.h"

#include <string.h>

#include "base/fault.h"
#include "base/num.h"

enum { LARGE_BYTES = 16 << 20 };

static am_err checked_bytes(int64_t count, size_t size, size_t *bytes) {
  AM_CHECK(count >= 0 && am_mul_size((size_t)count, size, bytes) && *bytes <= PTRDIFF_MAX, AM_ERR_NOMEM,
           "cannot allocate %lld items of %zu bytes: the size overflows", (long long)count, size);
  AM_CHECK(!am_fault_hit(AM_FAULT_ALLOC), AM_ERR_NOMEM, "out of memory (injected fault)");
  if (*bytes == 0) *bytes = 1;
  return AM_OK;
}

am_err am_mem_alloc(void *pp, int64_t count, size_t size) {
  size_t bytes = 0;
  AM_TRY(checked_bytes(count, size, &bytes));
  void *p = calloc(1, bytes);
  AM_CHECK(p, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
  memcpy(pp, &p, sizeof p);
  return AM_OK;
}

am_err am_mem_alloc_aligned(void *pp, int64_t count, size_t size) {
  size_t bytes = 0;
  AM_TRY(checked_bytes(count, size, &bytes));
  void *p = aligned_alloc(64, am_align_up(bytes, 64));
  AM_CHECK(p, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
  memset(p, 0, bytes);
  memcpy(pp, &p, sizeof p);
  return AM_OK;
}

// Room beyond the old capacity is left as it comes.
static am_err grow(void *pp, int64_t *capacity, int64_t need, size_t size) {
  void *old;
  memcpy(&old, pp, sizeof old);
  bool large = (size_t)*capacity >= LARGE_BYTES / size;
  int64_t more = large ? *capacity / 2 : *capacity, target = am_max_i64(need, 8);
  if (*capacity <= INT64_MAX - more) target = am_max_i64(target, *capacity + more);
  size_t bytes = 0;
  AM_TRY(checked_bytes(target, size, &bytes));
  char *p = realloc(old, bytes);
  AM_CHECK(p, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
  memcpy(pp, &p, sizeof p);
  *capacity = target;
  return AM_OK;
}

am_err am_mem_grow(void *pp, int64_t *capacity, int64_t need, size_t size) {
  if (need <= *capacity) return AM_OK;
  int64_t before = *capacity;
  AM_TRY(grow(pp, capacity, need, size));
  char *p;
  memcpy(&p, pp, sizeof p);
  memset(p + (size_t)before * size, 0, (size_t)(*capacity - before) * size);
  return AM_OK;
}

am_err am_mem_grow_bytes(void *pp, int64_t *capacity, int64_t need) {
  return need <= *capacity ? AM_OK : grow(pp, capacity, need, 1);
}

am_err am_scratch_get(am_scratch *s, size_t bytes, void *pp) {
  if (!s->data || s->bytes < bytes) {
    size_t checked = 0;
    am_scratch_fini(s);
    AM_TRY(checked_bytes((int64_t)bytes, 1, &checked));
    checked = am_align_up(checked, 64);
    s->data = aligned_alloc(64, checked);
    AM_CHECK(s->data, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
    s->bytes = checked;
  }
  memcpy(pp, &s->data, sizeof s->data);
  return AM_OK;
}

void am_scratch_fini(am_scratch *s) {
  free(s->data);
  *s = (am_scratch){0};
}

am_err am_mem_strdup(const char *text, char **out) {
  if (!text) {
    *out = NULL;
    return AM_OK;
  }
  char *copy = NULL;
  AM_TRY(AM_NEW_ARRAY(&copy, (int64_t)strlen(text) + 1));
  memcpy(copy, text, strlen(text) + 1);
  *out = copy;
  return AM_OK;
}
