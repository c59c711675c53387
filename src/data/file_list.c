// Lists of files: building, sorting, content hashes with a cache, groups, address.
#define _XOPEN_SOURCE 700  // realpath
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "base/thread.h"
#include "data/hash_cache.h"
#include "data/manifest_internal.h"
#include "data/signs.h"

static void entry_fini(am_file_entry *e) {
  free(e->path);
  free(e->mask_path);
  free(e->object);
  free(e->split);
}

void am_file_list_fini(am_file_list *list) {
  for (int64_t i = 0; i < list->count; i++) entry_fini(&list->entry[i]);
  free(list->entry);
  for (int64_t k = 0; k < list->class_count; k++) free(list->class_name[k]);
  free(list->class_name);
  for (int64_t k = 0; k < list->packed_count; k++) am_packed_close(list->packed[k]);
  free(list->packed);
  free(list->root);
  *list = (am_file_list){0};
}

am_err am_file_list_append(am_file_list *list, int64_t *capacity, const am_file_entry *entry) {
  AM_TRY(AM_GROW(&list->entry, capacity, list->count + 1));
  am_file_entry *e = &list->entry[list->count++];
  *e = *entry;
  e->path = e->mask_path = e->object = e->split = NULL;
  AM_TRY(am_mem_strdup(entry->path, &e->path));
  AM_TRY(am_mem_strdup(entry->mask_path, &e->mask_path));
  AM_TRY(am_mem_strdup(entry->object, &e->object));
  return am_mem_strdup(entry->split, &e->split);
}

void am_file_list_keep(am_file_list *list, const bool *keep) {
  int64_t kept = 0;
  for (int64_t i = 0; i < list->count; i++) {
    if (keep[i]) {
      list->entry[kept++] = list->entry[i];
    } else {
      entry_fini(&list->entry[i]);
    }
  }
  list->count = kept;
}

static int compare_entries(const void *a, const void *b) {
  const am_file_entry *x = a, *y = b;
  if (x->label != y->label) return x->label < y->label ? -1 : 1;
  return strcmp(x->path, y->path);
}

void am_file_list_sort(am_file_list *list) {
  if (list->count) qsort(list->entry, (size_t)list->count, sizeof *list->entry, compare_entries);
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
  return strcmp(((const member *)a)->entry->sha256, ((const member *)b)->entry->sha256);
}

// Joins neighbours that compare equal after sorting.
static void join_equal(member *m, int64_t count, int (*compare)(const void *, const void *),
                       int64_t *parent) {
  if (count) qsort(m, (size_t)count, sizeof *m, compare);
  for (int64_t i = 1; i < count; i++) {
    if (compare(&m[i - 1], &m[i]) == 0) parent[find_root(parent, m[i].at)] = find_root(parent, m[i - 1].at);
  }
}

am_err am_file_list_group(am_file_list *list, bool by_object) {
  am_err err = AM_OK;
  int64_t *parent = NULL, *number = NULL, objects = 0, hashes = 0, groups = 0;
  member *m = NULL;
  AM_GO(done, AM_NEW_ARRAY(&parent, list->count));
  AM_GO(done, AM_NEW_ARRAY(&number, list->count));
  AM_GO(done, AM_NEW_ARRAY(&m, list->count));
  for (int64_t i = 0; i < list->count; i++) parent[i] = i;
  for (int64_t i = 0; i < list->count; i++) {
    if (by_object && list->entry[i].object) m[objects++] = (member){&list->entry[i], i};
  }
  join_equal(m, objects, compare_objects, parent);
  for (int64_t i = 0; i < list->count; i++) {
    if (list->entry[i].sha256[0]) m[hashes++] = (member){&list->entry[i], i};
  }
  join_equal(m, hashes, compare_hashes, parent);
  for (int64_t i = 0; i < list->count; i++) number[i] = -1;
  for (int64_t i = 0; i < list->count; i++) {  // numbered in the order in which they first occur
    int64_t root = find_root(parent, i);
    if (number[root] < 0) number[root] = groups++;
    list->entry[i].group = number[root];
  }
done:
  free(parent);
  free(number);
  free(m);
  return err;
}

// ---- hashes ----

typedef struct {
  am_file_list *list;
  const am_hash_cache *cache;
  char *root;  // owned: without links, so that a cache holds for any spelling
} hashing;

static am_err hash_drawn(am_file_entry *e) {
  char *text = NULL;
  AM_TRY(am_str_format(&text, "signs-%d/%s", AM_SIGNS_REVISION, e->path));
  am_err err = am_sha256_bytes(text, strlen(text), e->sha256);
  free(text);
  return err;
}

static am_err hash_one(void *user, int64_t i) {
  hashing *h = user;
  am_file_entry *e = &h->list->entry[i];
  if (e->sha256[0]) return AM_OK;
  if (!h->root) return hash_drawn(e);
  if (e->packed) return am_packed_hash(e->packed, e->number, e->sha256);
  char *path = NULL;
  AM_TRY(am_path_join(h->root, e->path, &path));
  am_err err = AM_OK;
  if (!am_hash_cache_find(h->cache, path, e->sha256)) err = am_sha256_file(path, e->sha256);
  free(path);
  return err;
}

// What was hashed goes back to the cache; a cache that cannot be written is only slow.
static void remember(const hashing *h, const char *cache_path, am_hash_cache *cache) {
  am_err err = AM_OK;
  for (int64_t i = 0; i < h->list->count && !err; i++) {
    char *path = NULL;
    if (h->list->entry[i].packed) continue;
    err = am_path_join(h->root, h->list->entry[i].path, &path);
    if (!err) err = am_hash_cache_put(cache, path, h->list->entry[i].sha256);
    free(path);
  }
  if (!err) err = am_hash_cache_save(cache, cache_path);
  if (err) AM_WARN("the cache of file hashes is not kept: %s", am_err_last()->message);
}

am_err am_file_list_hash(am_file_list *list, const char *cache_path) {
  enum { READERS = 4 };
  am_err err = AM_OK;
  am_hash_cache *cache = NULL;
  hashing h = {.list = list};
  bool drawn = list->count > 0 && strcmp(list->root, "(drawn)") == 0;
  if (!drawn) {
    h.root = realpath(list->root, NULL);
    AM_CHECK(h.root, AM_ERR_IO, "cannot resolve %s: %s", list->root, strerror(errno));
    if (cache_path) AM_GO(done, am_hash_cache_load(cache_path, &cache));
    h.cache = cache;
  }
  AM_GO(done, am_parallel_for(READERS, list->count, hash_one, &h));
  if (cache) remember(&h, cache_path, cache);
  AM_GO(done, am_file_list_group(list, true));
done:
  am_hash_cache_free(cache);
  free(h.root);
  return err;
}

am_err am_file_list_address(const am_file_list *list, char hex[65]) {
  am_err err = AM_OK;
  am_sha256 *h = NULL;
  am_str line = {0};
  AM_GO(done, am_sha256_new(&h));
  for (int64_t k = 0; k < list->class_count; k++)
    AM_GO(done, am_str_printf(&line, "class %s\n", list->class_name[k]));
  for (int64_t i = 0; i < list->count; i++) {
    const am_file_entry *e = &list->entry[i];
    AM_CHECK_GO(done, e->sha256[0], AM_ERR_INTERNAL, "%s has no hash yet", e->path);
    AM_GO(done, am_str_printf(&line, "%d %s\n", e->label, e->sha256));
  }
  AM_GO(done, am_sha256_update(h, am_str_get(&line), (size_t)line.length));
  AM_GO(done, am_sha256_finish(h, hex));
done:
  am_sha256_free(h);
  am_str_fini(&line);
  return err;
}
