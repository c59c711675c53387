// Remembers SHA-256 of the files below one folder by name, size and modification time, so that a large data
// set is read once and not at every start.
//
// On disk: a header of 64 bytes, then rows of 64 bytes sorted by key, in the machine's byte order, with a sum
// over all of them. A file that is not of the form is an empty cache; a row of a file that changed counts
// for nothing.
#ifndef AM_DATA_HASH_CACHE_H
#define AM_DATA_HASH_CACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  uint8_t key[16];  // SHA-256 of the file's name below the folder, its first half
  int64_t bytes, changed_ns;
  uint8_t sha256[32];
} am_hash_row;

typedef struct am_hash_cache am_hash_cache;
AM_MUST_USE am_err am_hash_cache_load(const char *path, am_hash_cache **out);
void am_hash_cache_free(am_hash_cache *c);
// A row for the file `full`, called `name` below the folder, as it is now; without its hash. Errors:
// AM_ERR_IO it is not there.
AM_MUST_USE am_err am_hash_row_look(const char *name, const char *full, am_hash_row *out);
// True, and row->sha256 set, when the file is as it was; c may be NULL. Thread-safe.
bool am_hash_cache_find(const am_hash_cache *c, am_hash_row *row);
// Writes what was remembered with `fresh` rows instead of or beside it, which are sorted in place. Files that
// changed within the last seconds are left out: they may change again within the clock's step. Atomic; does
// nothing without a row to add. c may be NULL.
AM_MUST_USE am_err am_hash_cache_save(const am_hash_cache *c, const char *path, am_hash_row *fresh,
                                      int64_t count);

#endif
