// Images for people: a few of each pool and split as arrays, and all shards of a pool in one folder.
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/path.h"
#include "report/collect_internal.h"
#include "sweep/stage_run.h"

// Images of each class that are shown.
enum { SHOWN = 8 };

// ---- samples ----

typedef struct {
  uint8_t *pixel;  // owned: (capacity, h, w, channels)
  int64_t *label;  // owned
  int64_t *have;   // owned: of each class
  int64_t count, height, width, channels;
} sample_sheet;

static void sheet_fini(sample_sheet *s) {
  free(s->pixel);
  free(s->label);
  free(s->have);
}

// The first images of each class that the sheet still has room for, in the order of the data set.
static am_err add_to_sheet(sample_sheet *s, am_dataset *d, int64_t classes) {
  if (!s->pixel) {
    am_dataset_image_shape(d, &s->height, &s->width, &s->channels);
    AM_TRY(AM_NEW_ARRAY(&s->pixel, classes * SHOWN * s->height * s->width * s->channels));
    AM_TRY(AM_NEW_ARRAY(&s->label, classes * SHOWN));
    AM_TRY(AM_NEW_ARRAY(&s->have, classes));
  }
  for (int64_t i = 0; i < am_dataset_count(d); i++) {
    int32_t label = am_dataset_label(d, i);
    if (label < 0 || label >= classes || s->have[label] == SHOWN) continue;
    AM_TRY(am_dataset_pixels(d, i, s->pixel + s->count * s->height * s->width * s->channels));
    s->have[label]++;
    s->label[s->count++] = label;
  }
  return AM_OK;
}

static am_err add_stage(am_collector *c, int64_t stage, sample_sheet *sheet) {
  am_dataset *d = NULL;
  if (c->plan->stage[stage].state != AM_STATE_DONE) return AM_OK;
  AM_TRY(am_plan_dataset(c->plan, c->store, stage, &d));
  am_err err = add_to_sheet(sheet, d, c->class_count);
  am_dataset_free(d);
  return err;
}

static am_err put_sheet(am_collector *c, const char *path, const sample_sheet *s) {
  if (s->count == 0) return AM_OK;
  AM_TRY(am_results_put_array(c->results, path, AM_ARRAY_U8, 4,
                              (int64_t[]){s->count, s->height, s->width, s->channels}, s->pixel));
  return am_results_label_array(c->results, path, s->label, s->count);
}

static am_err sample_pool(am_collector *c, int64_t pool, int64_t draw) {
  const am_plan *p = c->plan;
  am_err err = AM_OK;
  sample_sheet sheet = {0};
  char path[256];
  for (int64_t i = 0; i < p->block_count; i++)
    if (p->block[i].pool == pool && p->block[i].draw == draw && p->stage[p->block[i].stage].first == 0)
      AM_GO(done, add_stage(c, p->block[i].stage, &sheet));
  snprintf(path, sizeof path, "samples/%s:%s", p->e->pool[pool].name, p->e->draw[draw].name);
  AM_GO(done, put_sheet(c, path, &sheet));
done:
  sheet_fini(&sheet);
  return err;
}

static am_err sample_real(am_collector *c, int64_t stage) {
  am_err err = AM_OK;
  sample_sheet sheet = {0};
  char path[256];
  const am_stage *st = &c->plan->stage[stage];
  AM_GO(done, add_stage(c, stage, &sheet));
  snprintf(path, sizeof path, "real/%s", c->plan->e->draw[st->draw].split[st->split].name);
  AM_GO(done, put_sheet(c, path, &sheet));
done:
  sheet_fini(&sheet);
  return err;
}

am_err am_collect_samples(am_collector *c) {
  const am_plan *p = c->plan;
  for (int64_t pool = 0; pool < p->e->pool_count; pool++)
    for (int64_t draw = 0; draw < p->e->draw_count; draw++) AM_TRY(sample_pool(c, pool, draw));
  for (int64_t i = 0; i < p->count; i++)
    if (p->stage[i].kind == AM_STAGE_PREPARE && p->stage[i].draw == 0) AM_TRY(sample_real(c, i));
  return AM_OK;
}

// ---- links ----

// A class name as part of a file name.
static void file_word(const char *name, char *out, size_t bytes) {
  size_t n = 0;
  for (; name[n] && n + 1 < bytes; n++) out[n] = strchr("/\\ \t:", name[n]) ? '_' : name[n];
  out[n] = 0;
}

// results/NAME/pools/POOL/DRAW is four levels below the store's parent.
static am_err link_block(const am_plan *p, const am_block *b, const char *folder) {
  am_err err = AM_OK;
  const am_stage *st = &p->stage[b->stage];
  char *link = NULL, *target = NULL, word[AM_CLASS_NAME];
  int64_t index = am_pool_index(st->run, st->first);
  file_word(am_plan_source(p, b->draw, 0)->class_name[b->class_index], word, sizeof word);
  AM_GO(done, am_str_format(&link, "%s/%s-%08lld.h5", folder, word, (long long)index));
  AM_GO(done, am_str_format(&target, "../../../../store/%.2s/%s/block-%08lld.h5", st->address, st->address,
                            (long long)index));
  AM_CHECK_GO(done, symlink(target, link) == 0, AM_ERR_IO, "%s cannot be made: %s", link, strerror(errno));
done:
  free(link);
  free(target);
  return err;
}

am_err am_link_pools(const am_plan *p, const am_store *store, const char *dir) {
  am_err err = AM_OK;
  char *folder = NULL;
  AM_GO(done, am_str_format(&folder, "%s/pools", dir));
  AM_GO(done, am_path_remove_tree(folder));  // links of an earlier configuration
  free(folder);
  folder = NULL;
  for (int64_t i = 0; i < p->block_count; i++) {
    const am_block *b = &p->block[i];
    if (!am_store_has(store, p->stage[b->stage].address)) continue;
    AM_GO(done,
          am_str_format(&folder, "%s/pools/%s/%s", dir, p->e->pool[b->pool].name, p->e->draw[b->draw].name));
    AM_GO(done, am_path_mkdirs(folder));
    AM_GO(done, link_block(p, b, folder));
    free(folder);
    folder = NULL;
  }
done:
  free(folder);
  return err;
}
