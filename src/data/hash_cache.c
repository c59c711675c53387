#include "data/hash_cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"

static const char magic[16] = "augmint hashes";
static const size_t LIMIT_BYTES = (size_t)1 << 34;
static const int64_t NS = 1000000000;
enum { SETTLE_SEC = 3, BUCKETS = 1 << 16 };

typedef struct {
  char magic[16];
  uint32_t byte_order, version, crc32c, row_bytes;
  int64_t count;
  char unused[24];
} header;
_Static_assert(sizeof(header) == 64 && sizeof(am_hash_row) == 64, "rows lie on disk as they are");
enum { BYTE_ORDER_MARK = 0x01020304, VERSION = 2 };

struct am_hash_cache {
  char *data;              // owned: the file
  const am_hash_row *row;  // in data, sorted by key
  int64_t count;
  uint32_t *start;  // owned (BUCKETS + 1): first row whose key begins with these two bytes, or comes behind
};

static int compare_rows(const void *a, const void *b) {
  return memcmp(((const am_hash_row *)a)->key, ((const am_hash_row *)b)->key, sizeof((am_hash_row *)0)->key);
}

// ---- loading ----

static bool is_whole(const char *data, size_t bytes) {
  header h;
  if (bytes < sizeof h) return false;
  memcpy(&h, data, sizeof h);
  size_t rows = bytes - sizeof h;
  return memcmp(h.magic, magic, sizeof magic) == 0 && h.byte_order == BYTE_ORDER_MARK &&
         h.version == VERSION && h.row_bytes == sizeof(am_hash_row) && h.count >= 0 && h.count < UINT32_MAX &&
         (size_t)h.count == rows / sizeof(am_hash_row) && rows % sizeof(am_hash_row) == 0 &&
         am_crc32c(0, data + sizeof h, rows) == h.crc32c;
}

static int bucket_of(const am_hash_row *r) { return r->key[0] << 8 | r->key[1]; }

// Whatever the rows say, start[] ascends from 0 to count: a file in another order is only of no use.
static am_err sort_into_buckets(am_hash_cache *c) {
  AM_TRY(AM_NEW_ARRAY(&c->start, BUCKETS + 1));
  int next = 0;
  for (int64_t i = 0; i < c->count; i++) {
    while (next <= bucket_of(&c->row[i])) c->start[next++] = (uint32_t)i;
  }
  while (next <= BUCKETS) c->start[next++] = (uint32_t)c->count;
  return AM_OK;
}

am_err am_hash_cache_load(const char *path, am_hash_cache **out) {
  am_err err = AM_OK;
  am_hash_cache *c = NULL;
  size_t bytes = 0;
  AM_TRY(AM_NEW(&c));
  if (am_path_exists(path)) {
    err = am_file_read(path, LIMIT_BYTES, &c->data, &bytes);
    if (err == AM_ERR_NOMEM) goto done;
    if (err) AM_DEBUG("the cache of file hashes is not used: %s", am_err_last()->message);
    err = AM_OK;
  }
  if (c->data && is_whole(c->data, bytes)) {
    c->row = (const am_hash_row *)(const void *)(c->data + sizeof(header));
    c->count = (int64_t)((bytes - sizeof(header)) / sizeof(am_hash_row));
  }
  AM_GO(done, sort_into_buckets(c));
  *out = c;
  c = NULL;
done:
  am_hash_cache_free(c);
  return err;
}

void am_hash_cache_free(am_hash_cache *c) {
  if (!c) return;
  free(c->data);
  free(c->start);
  free(c);
}

// ---- looking ----

am_err am_hash_row_look(const char *name, const char *full, am_hash_row *out) {
  struct stat st;
  char hex[AM_SHA256_HEX];
  uint8_t digest[AM_SHA256_BYTES];
  AM_CHECK(stat(full, &st) == 0, AM_ERR_IO, "cannot stat %s: %s", full, strerror(errno));
  AM_TRY(am_sha256_bytes(name, strlen(name), hex));
  am_sha256_from_hex(hex, digest);
  *out = (am_hash_row){.bytes = st.st_size, .changed_ns = st.st_mtim.tv_sec * NS + st.st_mtim.tv_nsec};
  memcpy(out->key, digest, sizeof out->key);
  return AM_OK;
}

static const am_hash_row *find_key(const am_hash_cache *c, const am_hash_row *key) {
  const uint32_t *start = &c->start[bucket_of(key)];
  size_t count = start[1] - start[0];
  return count ? bsearch(key, &c->row[start[0]], count, sizeof *key, compare_rows) : NULL;
}

bool am_hash_cache_find(const am_hash_cache *c, am_hash_row *row) {
  const am_hash_row *old = c ? find_key(c, row) : NULL;
  if (!old || old->bytes != row->bytes || old->changed_ns != row->changed_ns) return false;
  memcpy(row->sha256, old->sha256, sizeof row->sha256);
  return true;
}

// ---- saving ----

static int64_t drop_warm(am_hash_row *row, int64_t count) {
  int64_t kept = 0, warm = (time(NULL) - SETTLE_SEC) * NS;
  for (int64_t i = 0; i < count; i++) {
    if (row[i].changed_ns < warm) row[kept++] = row[i];
  }
  return kept;
}

// The rows of both by key; of two with one key the fresh one. Returns how many.
static int64_t merge(const am_hash_cache *c, const am_hash_row *fresh, int64_t count, am_hash_row *out) {
  int64_t old = 0, old_count = c ? c->count : 0, n = 0;
  for (int64_t i = 0; i < count; i++) {
    while (old < old_count && compare_rows(&c->row[old], &fresh[i]) < 0) out[n++] = c->row[old++];
    while (old < old_count && compare_rows(&c->row[old], &fresh[i]) == 0) old++;
    out[n++] = fresh[i];
  }
  while (old < old_count) out[n++] = c->row[old++];
  return n;
}

am_err am_hash_cache_save(const am_hash_cache *c, const char *path, am_hash_row *fresh, int64_t count) {
  am_err err = AM_OK;
  am_hash_row *merged = NULL;
  count = drop_warm(fresh, count);
  if (count == 0) return AM_OK;
  qsort(fresh, (size_t)count, sizeof *fresh, compare_rows);
  if (c && c->count) {
    AM_TRY(AM_NEW_ARRAY(&merged, c->count + count));
    count = merge(c, fresh, count, merged);
  }
  size_t bytes = (size_t)count * sizeof *fresh;
  const am_hash_row *row = merged ? merged : fresh;
  header h = {.byte_order = BYTE_ORDER_MARK,
              .version = VERSION,
              .crc32c = am_crc32c(0, row, bytes),
              .row_bytes = sizeof *row,
              .count = count};
  memcpy(h.magic, magic, sizeof magic);
  err = am_file_write_pieces(path, (am_piece[]){{&h, sizeof h}, {row, bytes}}, 2);
  free(merged);
  return err;
}
