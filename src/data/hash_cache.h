// Remembers SHA-256 of files by path, size and modification time, so that a large data set is read
// once and not at every start. Text, one line a file; foreign bytes: a line that is not of the
// form, or a file that changed, counts for nothing.
#ifndef AM_DATA_HASH_CACHE_H
#define AM_DATA_HASH_CACHE_H

#include <stdbool.h>

#include "base/err.h"

typedef struct am_hash_cache am_hash_cache;
// A missing or foreign file is an empty cache.
AM_MUST_USE am_err am_hash_cache_load(const char *path, am_hash_cache **out);
void am_hash_cache_free(am_hash_cache *c);
// True, and *hex set, when the file is as it was; c may be NULL. Thread-safe while nothing is put.
bool am_hash_cache_find(const am_hash_cache *c, const char *path, char hex[65]);
// Files changed within the last seconds are not taken: they may change again within the clock's step.
AM_MUST_USE am_err am_hash_cache_put(am_hash_cache *c, const char *path, const char hex[65]);
AM_MUST_USE am_err am_hash_cache_save(am_hash_cache *c,
                                      const char *path);  // atomic; does nothing if nothing is new

#endif
