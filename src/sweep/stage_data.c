// Images: from files to shards, and from shards to the training set of an arm.
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/prepare.h"
#include "sweep/stage_internal.h"

// Images in one shard of a prepared split.
static const int64_t PREPARE_BLOCK = 1024;

// ---- prepare ----

static am_fit_kind fit_kind(const char *word) {
  if (strcmp(word, "crop") == 0) return AM_FIT_CROP;
  return strcmp(word, "pad") == 0 ? AM_FIT_PAD : AM_FIT_STRETCH;
}

am_image_fit am_split_fit(const am_split_cfg *cfg) {
  am_image_fit fit = {.size = cfg->size,
                      .short_side = cfg->short_side,
                      .channels = cfg->channels,
                      .kind = fit_kind(cfg->shape)};
  am_resize_kind_find(cfg->resize, &fit.filter);  // the schema lets only its words through
  return fit;
}

static am_err stay_in_touch(void *user) {
  (void)user;
  return am_peer_check();
}

am_err am_prepare_run(const am_stage_env *env, const am_stage *st, const char *out_dir) {
  am_err err = AM_OK;
  am_manifest *manifest = NULL;
  am_file_list list = {0};
  am_corrupt_list unreadable = {0};
  int64_t dropped = 0;
  char address[AM_SHA256_HEX];
  const am_split_cfg *cfg = &env->plan->e->draw[st->draw].split[st->split].cfg;
  AM_TRY(am_source_files(env->plan->e, st->draw, st->split, &env->dirs, &manifest, &list, &dropped));
  AM_GO(done, am_file_list_address(&list, address));
  AM_CHECK_GO(done, strcmp(address, am_plan_source(env->plan, st->draw, st->split)->address) == 0,
              AM_ERR_DATA, "%s: the files of data set %s changed while this run was being planned: run again",
              st->id, cfg->manifest);
  am_prepare_cfg how = {.fit = am_split_fit(cfg),
                        .keep_files = strcmp(cfg->store, "files") == 0,
                        .corrupt_limit = cfg->unreadable,
                        .block = PREPARE_BLOCK,
                        .watch = stay_in_touch};
  AM_GO(done, am_prepare_shards(manifest, &list, &how, out_dir, &unreadable));
  for (int64_t i = 0; i < unreadable.count; i++) AM_WARN("%s: left out: %s", st->id, unreadable.text[i]);
done:
  am_corrupt_list_fini(&unreadable);
  am_file_list_fini(&list);
  am_manifest_free(manifest);
  return err;
}

// ---- data sets ----

am_err am_plan_dataset(const am_plan *plan, const am_store *store, int64_t stage, am_dataset **out) {
  const am_stage *st = &plan->stage[stage];
  am_image_fit fit = {0};
  char *path = NULL;
  if (st->kind == AM_STAGE_PREPARE) fit = am_split_fit(&plan->e->draw[st->draw].split[st->split].cfg);
  AM_TRY(am_store_path(store, st->address, NULL, &path));
  am_err err = am_dataset_from_shards(path, &fit, out);
  free(path);
  return err;
}

am_err am_stage_dataset(const am_stage_env *env, int64_t stage, am_dataset **out) {
  return am_plan_dataset(env->plan, env->store, stage, out);
}

// The items of one class, in order; *count of them.
static am_err class_items(const am_dataset *d, int64_t class_index, int64_t **item, int64_t *count) {
  AM_TRY(AM_NEW_ARRAY(item, am_dataset_count(d)));
  *count = 0;
  for (int64_t i = 0; i < am_dataset_count(d); i++)
    if (am_dataset_label(d, i) == class_index) (*item)[(*count)++] = i;
  return AM_OK;
}

am_err am_class_dataset(const am_stage_env *env, int64_t stage, int64_t class_index, am_dataset **out) {
  am_err err = AM_OK;
  am_dataset *all = NULL;
  int64_t *item = NULL, count = 0;
  AM_GO(done, am_stage_dataset(env, stage, &all));
  AM_GO(done, class_items(all, class_index, &item, &count));
  am_dataset *base = all;
  all = NULL;
  AM_GO(done, am_dataset_subset(base, item, count, out));
done:
  free(item);
  am_dataset_free(all);
  return err;
}

// per_class images of each class, the real ones over and over in their order.
static am_err duplicates(const am_stage_env *env, int64_t real, int64_t per_class, am_dataset **out) {
  am_err err = AM_OK;
  am_dataset *all = NULL;
  int64_t *index = NULL, *item = NULL, at = 0;
  AM_GO(done, am_stage_dataset(env, real, &all));
  int64_t classes = am_dataset_classes(all);
  AM_GO(done, AM_NEW_ARRAY(&index, classes * per_class));
  for (int64_t k = 0; k < classes; k++) {
    int64_t count = 0;
    AM_GO(done, class_items(all, k, &item, &count));
    for (int64_t i = 0; i < per_class; i++) index[at++] = item[i % count];
    free(item);
    item = NULL;
  }
  am_dataset *base = all;
  all = NULL;
  AM_GO(done, am_dataset_subset(base, index, at, out));
done:
  free(index);
  free(item);
  am_dataset_free(all);
  return err;
}

// The blocks of one pool among the inputs of a train stage, one after the other.
static am_err pool_blocks(const am_stage_env *env, const am_stage *st, int64_t pool, am_dataset **out,
                          int64_t *start) {
  am_err err = AM_OK;
  const am_plan *p = env->plan;
  int64_t runs = p->e->generator[p->e->pool[pool].generator].fit.runs, count = 0, images = 0,
          slot_before = -1;
  am_dataset **part = NULL;
  AM_TRY(AM_NEW_ARRAY(&part, p->block_count));
  for (int64_t i = 0; i < p->block_count; i++) {
    const am_block *b = &p->block[i];
    bool wanted = false;
    for (int64_t k = 0; k < st->input_count; k++) wanted = wanted || st->input[k] == b->stage;
    if (!wanted || b->pool != pool || b->draw != st->draw) continue;
    int64_t slot = b->class_index * runs + b->run;
    if (slot != slot_before) start[slot] = images;
    slot_before = slot;
    images += p->stage[b->stage].count;
    AM_GO(done, am_stage_dataset(env, b->stage, &part[count]));
    count++;
  }
  int64_t all = count;
  count = 0;  // the concatenation takes them, also when it fails
  AM_GO(done, am_dataset_concat(part, all, out));
done:
  for (int64_t i = 0; i < count; i++) am_dataset_free(part[i]);
  free(part);
  return err;
}

// The first per_class images of each class, the runs taking turns.
static am_err pool_part(const am_stage_env *env, const am_stage *st, const am_arm_part *part,
                        am_dataset **out) {
  am_err err = AM_OK;
  am_dataset *all = NULL;
  const am_plan *p = env->plan;
  int64_t runs = p->e->generator[p->e->pool[part->pool].generator].fit.runs;
  int64_t classes = am_plan_source(p, st->draw, 0)->class_count, *start = NULL, *index = NULL, at = 0;
  AM_GO(done, AM_NEW_ARRAY(&start, classes * runs));
  AM_GO(done, AM_NEW_ARRAY(&index, classes * part->per_class));
  AM_GO(done, pool_blocks(env, st, part->pool, &all, start));
  for (int64_t k = 0; k < classes; k++)
    for (int64_t i = 0; i < part->per_class; i++) index[at++] = start[k * runs + i % runs] + i / runs;
  am_dataset *base = all;
  all = NULL;
  AM_GO(done, am_dataset_subset(base, index, at, out));
done:
  free(start);
  free(index);
  am_dataset_free(all);
  return err;
}

am_err am_training_dataset(const am_stage_env *env, const am_stage *st, am_dataset **out) {
  am_err err = AM_OK;
  const am_arm_def *arm = &env->plan->e->arm[st->arm];
  am_dataset **part = NULL;
  int64_t count = 0;
  AM_TRY(AM_NEW_ARRAY(&part, arm->part_count));
  for (int64_t i = 0; i < arm->part_count; i++) {
    const am_arm_part *what = &arm->part[i];
    switch (what->kind) {
      case AM_PART_REAL:
        AM_GO(done, am_stage_dataset(env, st->input[0], &part[i]));
        break;
      case AM_PART_DUPLICATES:
        AM_GO(done, duplicates(env, st->input[0], what->per_class, &part[i]));
        break;
      case AM_PART_POOL:
        AM_GO(done, pool_part(env, st, what, &part[i]));
        break;
    }
    count = i + 1;
  }
  count = 0;
  AM_GO(done, am_dataset_concat(part, arm->part_count, out));
done:
  for (int64_t i = 0; i < count; i++) am_dataset_free(part[i]);
  free(part);
  return err;
}
