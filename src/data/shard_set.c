// Several shards as one sequence, ordered by sample index (then label).
#include "data/shard.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

typedef struct {
  int64_t index, row;
  int32_t label, shard;
} item;

struct am_shard_set {
  am_shard **shard;  // owned
  int64_t shard_count, shard_capacity;
  item *item;  // owned, ordered
  int64_t count;
};

static am_err open_one(am_shard_set *set, const char *path) {
  AM_TRY(AM_GROW(&set->shard, &set->shard_capacity, set->shard_count + 1));
  AM_TRY(am_shard_open(path, &set->shard[set->shard_count]));
  set->shard_count++;
  return AM_OK;
}

static am_err open_folder(am_shard_set *set, const char *path) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *file = NULL;
  AM_TRY(am_dir_read(path, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (!am_str_ends(list.name[i], ".h5")) continue;
    AM_GO(done, am_path_join(path, list.name[i], &file));
    AM_GO(done, open_one(set, file));
    free(file);
    file = NULL;
  }
  AM_CHECK_GO(done, set->shard_count > 0, AM_ERR_DATA, "%s: no shards (*.h5) in this folder", path);
done:
  free(file);
  am_dir_list_fini(&list);
  return err;
}

static am_err check_agreement(const am_shard *a, const am_shard *b) {
  const am_shard_desc *x = am_shard_describe(a), *y = am_shard_describe(b);
  AM_CHECK(x->height == y->height && x->width == y->width && x->channels == y->channels, AM_ERR_DATA,
           "shards disagree: %s holds images of %lld x %lld x %lld, %s of %lld x %lld x %lld",
           am_shard_path(a), (long long)x->height, (long long)x->width, (long long)x->channels,
           am_shard_path(b), (long long)y->height, (long long)y->width, (long long)y->channels);
  AM_CHECK(x->class_count == y->class_count, AM_ERR_DATA, "shards disagree: %s has %lld classes, %s has %lld",
           am_shard_path(a), (long long)x->class_count, am_shard_path(b), (long long)y->class_count);
  for (int64_t k = 0; k < x->class_count; k++) {
    AM_CHECK(strcmp(x->class_name[k], y->class_name[k]) == 0, AM_ERR_DATA,
             "shards disagree: class %lld is \"%s\" in %s, \"%s\" in %s", (long long)k, x->class_name[k],
             am_shard_path(a), y->class_name[k], am_shard_path(b));
  }
  return AM_OK;
}

static int compare_items(const void *a, const void *b) {
  const item *x = a, *y = b;
  if (x->index != y->index) return x->index < y->index ? -1 : 1;
  return x->label < y->label ? -1 : x->label > y->label;
}

static am_err order_items(am_shard_set *set) {
  int64_t n = 0;
  for (int64_t k = 0; k < set->shard_count; k++) set->count += am_shard_count(set->shard[k]);
  AM_TRY(AM_NEW_ARRAY(&set->item, set->count));
  for (int64_t k = 0; k < set->shard_count; k++) {
    for (int64_t row = 0; row < am_shard_count(set->shard[k]); row++) {
      set->item[n++] = (item){.index = am_shard_index(set->shard[k], row),
                              .row = row,
                              .label = am_shard_label(set->shard[k], row),
                              .shard = (int32_t)k};
    }
  }
  if (n) qsort(set->item, (size_t)n, sizeof *set->item, compare_items);
  for (int64_t i = 1; i < n; i++) {
    const item *x = &set->item[i - 1], *y = &set->item[i];
    AM_CHECK(compare_items(x, y) != 0, AM_ERR_DATA,
             "sample %lld of class %d is twice in the shards: in %s and %s", (long long)x->index, x->label,
             am_shard_path(set->shard[x->shard]), am_shard_path(set->shard[y->shard]));
  }
  return AM_OK;
}

am_err am_shard_set_open(const char *path, am_shard_set **out) {
  am_err err = AM_OK;
  am_shard_set *set = NULL;
  AM_TRY(AM_NEW(&set));
  AM_GO(done, am_path_is_dir(path) ? open_folder(set, path) : open_one(set, path));
  for (int64_t k = 1; k < set->shard_count; k++) AM_GO(done, check_agreement(set->shard[0], set->shard[k]));
  AM_GO(done, order_items(set));
  *out = set;
  set = NULL;
done:
  am_shard_set_close(set);
  return err;
}

void am_shard_set_close(am_shard_set *set) {
  if (!set) return;
  for (int64_t k = 0; k < set->shard_count; k++) am_shard_close(set->shard[k]);
  free(set->shard);
  free(set->item);
  free(set);
}

int64_t am_shard_set_count(const am_shard_set *set) { return set->count; }
const am_shard_desc *am_shard_set_describe(const am_shard_set *set) {
  return am_shard_describe(set->shard[0]);
}

am_shard *am_shard_set_at(am_shard_set *set, int64_t i, int64_t *row) {
  *row = set->item[i].row;
  return set->shard[set->item[i].shard];
}
