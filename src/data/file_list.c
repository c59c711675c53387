// Lists of images: building, sorting, content hashes with a cache, groups, address.
#define _XOPEN_SOURCE 700  // realpath
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "base/thread.h"
#include "data/hash_cache.h"
#include "data/manifest_internal.h"
#include "data/signs.h"

void am_file_list_fini(am_file_list *list) {
  for (int64_t k = 0; k < list->class_count; k++) free(list->class_name[k]);
  for (int64_t k = 0; k < list->packed_count; k++) am_packed_close(list->packed[k]);
  free(list->class_name);
  free(list->packed);
  free(list->entry);
  free(list->root);
  am_arena_fini(&list->text);
  *list = (am_file_list){0};
}

am_err am_file_list_add(am_file_list *list, am_file_entry **out) {
  AM_CHECK(list->count < INT32_MAX, AM_ERR_UNSUPPORTED, "more than %d images in one data set", INT32_MAX);
  AM_TRY(AM_GROW(&list->entry, &list->capacity, list->count + 1));
  *out = &list->entry[list->count++];
  **out = (am_file_entry){.path = ""};
  return AM_OK;
}

void am_file_list_keep(am_file_list *list, const bool *keep) {
  int64_t kept = 0;
  for (int64_t i = 0; i < list->count; i++) {
    if (keep[i]) list->entry[kept++] = list->entry[i];
  }
  list->count = kept;
}

static int compare_entries(const void *a, const void *b) {
  const am_file_entry *x = a, *y = b;
  if (x->label != y->label) return x->label < y->label ? -1 : 1;
  return strcmp(x->path, y->path);
}

// Folders are read in order, so a large list is mostly sorted already.
void am_file_list_sort(am_file_list *list) {
  int64_t sorted = 1;
  while (sorted < list->count && compare_entries(&list->entry[sorted - 1], &list->entry[sorted]) <= 0)
    sorted++;
  if (sorted < list->count) qsort(list->entry, (size_t)list->count, sizeof *list->entry, compare_entries);
  for (int64_t i = 0; i < list->count; i++) list->entry[i].index = i;
}

// ---- groups: connected by a common object or common bytes ----

static int64_t find_root(int64_t *parent, int64_t i) {
  while (parent[i] != i) i = parent[i] = parent[parent[i]];
  return i;
}

typedef struct {
  const am_file_entry *entry;
  int64_t at;
} member;

static int compare_objects(const void *a, const void *b) {
  const am_file_entry *x = ((const member *)a)->entry, *y = ((const member *)b)->entry;
  if (x->label != y->label) return x->label < y->label ? -1 : 1;
  return strcmp(x->object, y->object);
}
static int compare_hashes(const void *a, const void *b) {
  return memcmp(((const member *)a)->entry->sha256, ((const member *)b)->entry->sha256, AM_SHA256_BYTES);
}

// Joins neighbours that compare equal after sorting.
static void join_equal(member *m, int64_t count, int (*compare)(const void *, const void *),
                       int64_t *parent) {
  if (count) qsort(m, (size_t)count, sizeof *m, compare);
  for (int64_t i = 1; i < count; i++) {
    if (compare(&m[i - 1], &m[i]) == 0) parent[find_root(parent, m[i].at)] = find_root(parent, m[i - 1].at);
  }
}

am_err am_file_list_group(const am_file_list *list, bool by_object, int64_t *group) {
  am_err err = AM_OK;
  int64_t *parent = NULL, objects = 0, hashes = 0, groups = 0;
  member *m = NULL;
  AM_GO(done, AM_NEW_ARRAY(&parent, list->count));
  AM_GO(done, AM_NEW_ARRAY(&m, list->count));
  for (int64_t i = 0; i < list->count; i++) parent[i] = i;
  for (int64_t i = 0; i < list->count; i++) {
    if (by_object && list->entry[i].object) m[objects++] = (member){&list->entry[i], i};
  }
  join_equal(m, objects, compare_objects, parent);
  for (int64_t i = 0; i < list->count; i++) {
    if (list->entry[i].sha256) m[hashes++] = (member){&list->entry[i], i};
  }
  join_equal(m, hashes, compare_hashes, parent);
  for (int64_t i = 0; i < list->count; i++) group[i] = -1;
  for (int64_t i = 0; i < list->count; i++) {  // numbered in the order in which they first occur
    int64_t root = find_root(parent, i);
    if (group[root] < 0) group[root] = groups++;
    if (i != root) parent[i] = root;
  }
  // A root may come behind members of its group: only now every root has its number.
  for (int64_t i = 0; i < list->count; i++) group[i] = group[parent[i]];
done:
  free(parent);
  free(m);
  return err;
}

// ---- hashes ----

enum { BATCH = 256, READERS = 4 };

typedef struct {
  am_file_list *list;
  char *root;            // owned: without links, so that a cache holds for any spelling; NULL: drawn
  am_hash_cache *cache;  // owned or NULL
  uint8_t (*digest)[AM_SHA256_BYTES];  // in the list's memory: one for each entry
  am_hash_row *fresh;                  // owned: what was hashed and not remembered
  atomic_int_fast64_t fresh_count;
} hashing;

static void hashing_fini(hashing *h) {
  am_hash_cache_free(h->cache);
  free(h->root);
  free(h->fresh);
}

static am_err hash_drawn(const am_file_entry *e, char hex[AM_SHA256_HEX]) {
  char *text = NULL;
  AM_TRY(am_str_format(&text, "signs-%d/%s", AM_SIGNS_REVISION, e->path));
  am_err err = am_sha256_bytes(text, strlen(text), hex);
  free(text);
  return err;
}

// The file's hash as it was remembered, or read and put aside to be remembered.
static am_err hash_file(hashing *h, const am_file_entry *e, uint8_t digest[AM_SHA256_BYTES]) {
  am_err err = AM_OK;
  am_hash_row row;
  char *full = NULL, hex[AM_SHA256_HEX];
  AM_TRY(am_path_join(h->root, e->path, &full));
  AM_GO(done, am_hash_row_look(e->path, full, &row));
  if (!am_hash_cache_find(h->cache, &row)) {
    AM_GO(done, am_sha256_file(full, hex));
    am_sha256_from_hex(hex, row.sha256);
    if (h->fresh) h->fresh[atomic_fetch_add(&h->fresh_count, 1)] = row;
  }
  memcpy(digest, row.sha256, AM_SHA256_BYTES);
done:
  free(full);
  return err;
}

static am_err hash_entry(hashing *h, int64_t i) {
  am_file_entry *e = &h->list->entry[i];
  char hex[AM_SHA256_HEX];
  if (e->sha256) return AM_OK;
  if (h->root && !e->packed) {
    AM_TRY(hash_file(h, e, h->digest[i]));
  } else {
    AM_TRY(e->packed ? am_packed_hash(e->packed, e->number, hex) : hash_drawn(e, hex));
    am_sha256_from_hex(hex, h->digest[i]);
  }
  e->sha256 = h->digest[i];
  return AM_OK;
}

static am_err hash_batch(void *user, int64_t k) {
  hashing *h = user;
  for (int64_t i = k * BATCH; i < am_min_i64((k + 1) * BATCH, h->list->count); i++) AM_TRY(hash_entry(h, i));
  return AM_OK;
}

am_err am_cache_path(const char *cache_dir, const char *root, const char *what, char **out) {
  char hex[AM_SHA256_HEX], *real = realpath(root, NULL);
  AM_CHECK(real, AM_ERR_IO, "cannot resolve %s: %s", root, strerror(errno));
  am_err err = am_sha256_bytes(real, strlen(real), hex);
  free(real);
  AM_TRY(err);
  return am_str_format(out, "%s/%.16s.%s", cache_dir, hex, what);
}

// Hashes of a list that is not drawn, through the cache; a cache that cannot be written is only slow.
static am_err hash_with_cache(hashing *h, const char *cache_dir) {
  am_err err = AM_OK;
  char *path = NULL;
  AM_GO(done, am_cache_path(cache_dir, h->list->root, "hashes", &path));
  AM_GO(done, am_hash_cache_load(path, &h->cache));
  AM_GO(done, AM_NEW_ARRAY(&h->fresh, h->list->count));
  AM_GO(done, am_parallel_for(READERS, am_ceil_div(h->list->count, BATCH), hash_batch, h));
  am_err saved = am_path_mkdirs(cache_dir);
  if (!saved) saved = am_hash_cache_save(h->cache, path, h->fresh, h->fresh_count);
  if (saved) AM_WARN("hashes of files are not remembered: %s", am_err_last()->message);
done:
  free(path);
  return err;
}

am_err am_file_list_hash(am_file_list *list, const char *cache_dir) {
  am_err err = AM_OK;
  hashing h = {.list = list};
  int64_t known = 0;
  while (known < list->count && list->entry[known].sha256) known++;
  if (known == list->count) return AM_OK;
  bool drawn = strcmp(list->root, AM_DRAWN_ROOT) == 0, packed = list->packed_count > 0;
  AM_GO(done, am_arena_alloc(&list->text, (size_t)list->count * sizeof *h.digest, &h.digest));
  if (!drawn) {
    h.root = realpath(list->root, NULL);
    AM_CHECK_GO(done, h.root, AM_ERR_IO, "cannot resolve %s: %s", list->root, strerror(errno));
  }
  if (cache_dir && !drawn && !packed) {
    err = hash_with_cache(&h, cache_dir);
  } else {
    err = am_parallel_for(READERS, am_ceil_div(list->count, BATCH), hash_batch, &h);
  }
done:
  hashing_fini(&h);
  return err;
}

am_err am_file_list_address(const am_file_list *list, char hex[65]) {
  am_err err = AM_OK;
  am_sha256 *h = NULL;
  am_str line = {0};
  char content[AM_SHA256_HEX];
  AM_GO(done, am_sha256_new(&h));
  for (int64_t k = 0; k < list->class_count; k++)
    AM_GO(done, am_str_printf(&line, "class %s\n", list->class_name[k]));
  for (int64_t i = 0; i < list->count; i++) {
    const am_file_entry *e = &list->entry[i];
    AM_CHECK_GO(done, e->sha256, AM_ERR_INTERNAL, "%s has no hash yet", e->path);
    am_sha256_to_hex(e->sha256, content);
    AM_GO(done, am_str_printf(&line, "%d %s\n", e->label, content));
    if (line.length < 1 << 16) continue;
    AM_GO(done, am_sha256_update(h, line.text, (size_t)line.length));
    am_str_clear(&line);
  }
  AM_GO(done, am_sha256_update(h, am_str_get(&line), (size_t)line.length));
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  am_str_fini(&line);
  return err;
}
