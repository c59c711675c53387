#include "sweep/source.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"

// ---- choosing files ----

// At most `most` of each class: the first of a seeded permutation, in the order of the listing.
static am_err choose_subset(am_file_list *list, int64_t most, uint64_t seed) {
  am_err err = AM_OK;
  bool *keep = NULL;
  int64_t *order = NULL;
  AM_GO(done, AM_NEW_ARRAY(&keep, list->count));
  AM_GO(done, AM_NEW_ARRAY(&order, list->count));
  for (int64_t first = 0, end; first < list->count; first = end) {  // a class; the list is sorted by them
    int32_t k = list->entry[first].label;
    for (end = first; end < list->count && list->entry[end].label == k;) end++;
    am_rng rng = am_rng_at(seed, AM_RNG_SPLIT, (uint64_t)k);
    am_rng_permutation(&rng, order, end - first);
    for (int64_t i = 0; i < am_min_i64(end - first, most); i++) keep[first + order[i]] = true;
  }
  am_file_list_keep(list, keep);
done:
  free(keep);
  free(order);
  return err;
}

static int by_hash(const void *a, const void *b) {
  return memcmp(*(const uint8_t *const *)a, *(const uint8_t *const *)b, AM_SHA256_BYTES);
}

// Takes out of `list` what has the same bytes as a file of `train`: a test image must be unseen.
static am_err drop_seen(am_file_list *list, const am_file_list *train, int64_t *dropped) {
  am_err err = AM_OK;
  const uint8_t **hash = NULL;
  bool *keep = NULL;
  AM_GO(done, AM_NEW_ARRAY(&hash, train->count));
  AM_GO(done, AM_NEW_ARRAY(&keep, list->count));
  for (int64_t i = 0; i < train->count; i++) hash[i] = train->entry[i].sha256;
  qsort(hash, (size_t)train->count, sizeof *hash, by_hash);
  int64_t before = list->count;
  for (int64_t i = 0; i < list->count; i++) {
    const uint8_t *mine = list->entry[i].sha256;
    keep[i] = !bsearch(&mine, hash, (size_t)train->count, sizeof *hash, by_hash);
  }
  am_file_list_keep(list, keep);
  *dropped = before - list->count;
done:
  free(hash);
  free(keep);
  return err;
}

static am_err list_split(const am_experiment *e, int64_t draw, int64_t split, const am_source_dirs *dirs,
                         am_manifest **manifest, am_file_list *list) {
  const am_draw_def *d = &e->draw[draw];
  const am_split_def *s = &d->split[split];
  am_selection what = {
      .split = *s->cfg.split ? s->cfg.split : NULL,
      .class_name = s->class_name,
      .class_count = s->class_count,
      .object = s->object,
  };
  AM_TRY(am_manifest_load(s->cfg.manifest, dirs->manifest_dir, manifest));
  am_manifest_set_cache(*manifest, dirs->cache_dir);
  AM_TRY(am_manifest_list(*manifest, dirs->data_dir, &what, list));
  if (s->cfg.per_class > 0) {
    char word[256];
    snprintf(word, sizeof word, "subset/%s/%s", d->name, s->name);
    AM_TRY(choose_subset(list, s->cfg.per_class, am_seed_derive((uint64_t)e->cfg.seed, word)));
  }
  return am_file_list_hash(list, dirs->cache_dir);
}

am_err am_source_files(const am_experiment *e, int64_t draw, int64_t split, const am_source_dirs *dirs,
                       am_manifest **manifest, am_file_list *list, int64_t *dropped) {
  am_err err = AM_OK;
  am_manifest *train_manifest = NULL;
  am_file_list train = {0};
  *manifest = NULL;
  *list = (am_file_list){0};
  *dropped = 0;
  AM_GO(failed, list_split(e, draw, split, dirs, manifest, list));
  if (split != 0) {
    AM_GO(failed, list_split(e, draw, 0, dirs, &train_manifest, &train));
    AM_GO(failed, drop_seen(list, &train, dropped));
  }
  am_manifest_free(train_manifest);
  am_file_list_fini(&train);
  return AM_OK;
failed:
  am_manifest_free(train_manifest);
  am_file_list_fini(&train);
  am_manifest_free(*manifest);
  am_file_list_fini(list);
  *manifest = NULL;
  return err;
}

// ---- looking ----

static am_err source_of(const am_file_list *list, am_source *s) {
  s->images = list->count;
  s->class_count = list->class_count;
  AM_TRY(AM_NEW_ARRAY(&s->per_class, s->class_count));
  AM_TRY(AM_NEW_ARRAY(&s->class_name, s->class_count));
  for (int64_t k = 0; k < s->class_count; k++)
    snprintf(s->class_name[k], AM_CLASS_NAME, "%.*s", AM_CLASS_NAME - 1, list->class_name[k]);
  for (int64_t i = 0; i < list->count; i++) s->per_class[list->entry[i].label]++;
  return am_file_list_address(list, s->address);
}

static am_err look_at(const am_experiment *e, int64_t draw, int64_t split, const am_source_dirs *dirs,
                      am_source *s) {
  am_manifest *manifest = NULL;
  am_file_list list = {0};
  AM_TRY(am_source_files(e, draw, split, dirs, &manifest, &list, &s->dropped));
  am_err err = source_of(&list, s);
  const char *draw_name = e->draw[draw].name, *name = e->draw[draw].split[split].name;
  if (!err && s->dropped)
    AM_WARN("%s/%s: %lld images are byte for byte in train as well and are left out", draw_name, name,
            (long long)s->dropped);
  for (int64_t k = 0; k < s->class_count && !err; k++)
    if (s->per_class[k] == 0)
      err = AM_FAIL(AM_ERR_DATA, "%s/%s: class \"%s\" has no image", draw_name, name, s->class_name[k]);
  am_file_list_fini(&list);
  am_manifest_free(manifest);
  return err;
}

static am_err look_everywhere(const am_experiment *e, const am_source_dirs *dirs, am_source *source) {
  int64_t splits = e->draw[0].split_count;
  for (int64_t d = 0; d < e->draw_count; d++) {
    am_source *train = &source[d * splits];
    for (int64_t s = 0; s < splits; s++) {
      AM_TRY(look_at(e, d, s, dirs, &source[d * splits + s]));
      const am_source *mine = &source[d * splits + s], *first = &source[0];
      bool same = mine->class_count == first->class_count;
      for (int64_t k = 0; k < mine->class_count && same; k++)
        same = strcmp(mine->class_name[k], first->class_name[k]) == 0;
      AM_CHECK(same, AM_ERR_CONFIG, "%s: %s/%s has other classes than %s/train", e->file, e->draw[d].name,
               e->draw[d].split[s].name, e->draw[0].name);
    }
    AM_CHECK(train->class_count >= 2, AM_ERR_CONFIG, "%s: a classifier needs at least two classes", e->file);
  }
  return AM_OK;
}

// ---- telling ----

typedef struct {
  char address[AM_SHA256_HEX];
  int64_t images, class_count, dropped;
} source_head;

static am_err share(am_source *s, am_comm *comm) {
  source_head head = {.images = s->images, .class_count = s->class_count, .dropped = s->dropped};
  memcpy(head.address, s->address, sizeof head.address);
  AM_TRY(am_comm_bcast(comm, &head, sizeof head, 0));
  if (am_comm_rank(comm) != 0) {
    s->images = head.images;
    s->class_count = head.class_count;
    s->dropped = head.dropped;
    memcpy(s->address, head.address, sizeof s->address);
    AM_TRY(AM_NEW_ARRAY(&s->per_class, s->class_count));
    AM_TRY(AM_NEW_ARRAY(&s->class_name, s->class_count));
  }
  AM_TRY(am_comm_bcast(comm, s->per_class, (size_t)s->class_count * sizeof *s->per_class, 0));
  return am_comm_bcast(comm, s->class_name, (size_t)s->class_count * sizeof *s->class_name, 0);
}

am_err am_sources_look(const am_experiment *e, const am_source_dirs *dirs, am_comm *comm, am_source **out) {
  am_err err = AM_OK;
  am_source *source = NULL;
  int64_t count = e->draw_count * e->draw[0].split_count;
  AM_TRY(AM_NEW_ARRAY(&source, count));
  err = !comm || am_comm_rank(comm) == 0 ? look_everywhere(e, dirs, source) : AM_OK;
  if (comm) err = am_agree(comm, err);
  AM_GO(failed, err);
  for (int64_t i = 0; i < count && comm; i++) AM_GO(failed, share(&source[i], comm));
  *out = source;
  return AM_OK;
failed:
  am_sources_free(source, count);
  return err;
}

void am_sources_free(am_source *s, int64_t count) {
  if (!s) return;
  for (int64_t i = 0; i < count; i++) {
    free(s[i].per_class);
    free(s[i].class_name);
  }
  free(s);
}
