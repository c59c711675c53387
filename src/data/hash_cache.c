#include "data/hash_cache.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

static const char first_line[] = "augmint file hashes 1\n";
enum { LIMIT_BYTES = 1 << 30, SETTLE_SEC = 3 };

typedef struct {
  char *path;  // owned
  char hex[65];
  long long bytes, sec, nsec;
} row;

struct am_hash_cache {
  row *row;  // owned, the first `sorted` sorted by path
  int64_t count, sorted, capacity;
  bool changed;
};

static int compare_rows(const void *a, const void *b) {
  return strcmp(((const row *)a)->path, ((const row *)b)->path);
}

static am_err add_row(am_hash_cache *c, const row *r, const char *path) {
  AM_TRY(AM_GROW(&c->row, &c->capacity, c->count + 1));
  c->row[c->count] = *r;
  AM_TRY(am_mem_strdup(path, &c->row[c->count].path));
  c->count++;
  return AM_OK;
}

// "HASH BYTES SECONDS NANOSECONDS PATH"; anything else is passed over.
static am_err read_line(am_hash_cache *c, const char *line) {
  row r = {0};
  int at = 0;
  if (sscanf(line, "%64[0-9a-f] %lld %lld %lld %n", r.hex, &r.bytes, &r.sec, &r.nsec, &at) != 4) return AM_OK;
  if (strlen(r.hex) != 64 || at == 0 || !line[at]) return AM_OK;
  return add_row(c, &r, line + at);
}

static am_err read_lines(am_hash_cache *c, char *text) {
  char *rest = NULL;
  if (!am_str_starts(text, first_line)) return AM_OK;
  for (char *line = strtok_r(text + strlen(first_line), "\n", &rest); line;
       line = strtok_r(NULL, "\n", &rest)) {
    AM_TRY(read_line(c, line));
  }
  return AM_OK;
}

am_err am_hash_cache_load(const char *path, am_hash_cache **out) {
  am_err err = AM_OK;
  am_hash_cache *c = NULL;
  char *text = NULL;
  size_t bytes = 0;
  AM_TRY(AM_NEW(&c));
  if (am_path_exists(path)) {
    err = am_file_read(path, LIMIT_BYTES, &text, &bytes);
    if (err == AM_ERR_NOMEM) goto done;
    if (err) AM_DEBUG("the cache of file hashes is not used: %s", am_err_last()->message);
    err = AM_OK;
    if (text) AM_GO(done, read_lines(c, text));
  }
  if (c->count) qsort(c->row, (size_t)c->count, sizeof *c->row, compare_rows);
  c->sorted = c->count;
  *out = c;
  c = NULL;
done:
  free(text);
  am_hash_cache_free(c);
  return err;
}

void am_hash_cache_free(am_hash_cache *c) {
  if (!c) return;
  for (int64_t i = 0; i < c->count; i++) free(c->row[i].path);
  free(c->row);
  free(c);
}

static row *find_row(const am_hash_cache *c, const char *path) {
  row key = {.path = (char *)path};
  return c->sorted ? bsearch(&key, c->row, (size_t)c->sorted, sizeof *c->row, compare_rows) : NULL;
}

static bool is_same_file(const row *r, const struct stat *st) {
  return r->bytes == st->st_size && r->sec == st->st_mtim.tv_sec && r->nsec == st->st_mtim.tv_nsec;
}

bool am_hash_cache_find(const am_hash_cache *c, const char *path, char hex[65]) {
  struct stat st;
  const row *r = c ? find_row(c, path) : NULL;
  if (!r || stat(path, &st) != 0 || !is_same_file(r, &st)) return false;
  memcpy(hex, r->hex, 65);
  return true;
}

am_err am_hash_cache_put(am_hash_cache *c, const char *path, const char hex[65]) {
  struct stat st;
  if (strchr(path, '\n') || stat(path, &st) != 0 || time(NULL) - st.st_mtim.tv_sec < SETTLE_SEC) return AM_OK;
  row *old = find_row(c, path);
  if (old && is_same_file(old, &st) && strcmp(old->hex, hex) == 0) return AM_OK;
  row r = {.bytes = st.st_size, .sec = st.st_mtim.tv_sec, .nsec = st.st_mtim.tv_nsec};
  memcpy(r.hex, hex, 65);
  c->changed = true;
  if (!old) return add_row(c, &r, path);
  r.path = old->path;
  *old = r;
  return AM_OK;
}

am_err am_hash_cache_save(am_hash_cache *c, const char *path) {
  am_str text = {0};
  if (!c->changed) return AM_OK;
  am_err err = am_str_printf(&text, "%s", first_line);
  for (int64_t i = 0; i < c->count && !err; i++) {
    const row *r = &c->row[i];
    err = am_str_printf(&text, "%s %lld %lld %lld %s\n", r->hex, r->bytes, r->sec, r->nsec, r->path);
  }
  if (!err) err = am_file_write(path, am_str_get(&text), (size_t)text.length);
  am_str_fini(&text);
  return err;
}
