#include "sweep/plan.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "sweep/stage_text.h"

// Runs own ranges of sample indices that can be told apart by eye in a shard.
static const int64_t RUN_STRIDE = 10000000;

int64_t am_pool_part(int64_t per_class, int64_t runs, int64_t run) {
  return per_class / runs + (run < per_class % runs ? 1 : 0);
}

int64_t am_pool_index(int64_t run, int64_t j) { return run * RUN_STRIDE + j; }

// ---- adding stages ----

static am_stage blank(am_stage_kind kind) {
  return (am_stage){.kind = kind,
                    .slices = 1,
                    .draw = -1,
                    .split = -1,
                    .generator = -1,
                    .class_index = -1,
                    .run = -1,
                    .pool = -1,
                    .arm = -1,
                    .model = -1};
}

static void stage_fini(am_stage *st) {
  free(st->text);
  free(st->id);
  free(st->input);
  free(st->error);
  free(st->holder);
}

static am_err add_input(am_stage *st, int64_t stage) {
  AM_TRY(AM_GROW(&st->input, &st->input_capacity, st->input_count + 1));
  st->input[st->input_count++] = stage;
  return AM_OK;
}

// ---- finding stages by address ----

// The slot of the address, or the empty one where it belongs.
static int64_t slot_of(am_plan *p, const char *address) {
  uint64_t hash = 0;
  for (int i = 0; i < 16; i++) hash = hash * 31 + (unsigned char)address[i];
  int64_t slot = (int64_t)(hash & (uint64_t)(p->index_capacity - 1));
  for (; p->index[slot] >= 0; slot = (slot + 1) & (p->index_capacity - 1)) {
    p->index_probes++;
    if (strcmp(p->stage[p->index[slot]].address, address) == 0) break;
  }
  return slot;
}

// Half of the table stays empty.
static am_err make_room(am_plan *p) {
  if (2 * (p->count + 1) <= p->index_capacity) return AM_OK;
  int64_t *grown = NULL, capacity = am_max_i64(64, 2 * p->index_capacity);
  AM_TRY(AM_NEW_ARRAY(&grown, capacity));
  free(p->index);
  p->index = grown;
  p->index_capacity = capacity;
  for (int64_t i = 0; i < capacity; i++) p->index[i] = -1;
  for (int64_t i = 0; i < p->count; i++) p->index[slot_of(p, p->stage[i].address)] = i;
  return AM_OK;
}

int64_t am_plan_find(am_plan *p, const char *address) {
  return p->index_capacity ? p->index[slot_of(p, address)] : -1;
}

// Describes the stage and adds it, unless the plan has one that means the same. Takes st.
static am_err add_stage(am_plan *p, am_stage *st, int64_t *out) {
  am_err err = AM_OK;
  for (int64_t i = 0; i < st->input_count; i++) {
    int below = p->stage[st->input[i]].level + 1;
    if (below > st->level) st->level = below;
  }
  AM_GO(failed, am_stage_describe(p, st));
  AM_GO(failed, make_room(p));
  int64_t slot = slot_of(p, st->address);
  if (p->index[slot] >= 0) {
    stage_fini(st);
    *out = p->index[slot];
    return AM_OK;
  }
  AM_GO(failed, AM_GROW(&p->stage, &p->capacity, p->count + 1));
  p->index[slot] = *out = p->count;
  p->stage[p->count++] = *st;
  return AM_OK;
failed:
  stage_fini(st);
  return err;
}

// " 1to2" where the experiment has several draws.
static const char *draw_suffix(const am_plan *p, int64_t draw, char text[128]) {
  snprintf(text, 128, "%s%s", p->e->draw_count > 1 ? " " : "",
           p->e->draw_count > 1 ? p->e->draw[draw].name : "");
  return text;
}

// ---- the levels ----

static am_err add_prepare(am_plan *p, int64_t draw, int64_t split, int64_t *out) {
  am_stage st = blank(AM_STAGE_PREPARE);
  char suffix[128];
  st.draw = draw;
  st.split = split;
  st.cost = 0.05 * (double)am_plan_source(p, draw, split)->images;
  AM_TRY(am_str_format(&st.id, "prepare %s%s", p->e->draw[draw].split[split].name,
                       draw_suffix(p, draw, suffix)));
  return add_stage(p, &st, out);
}

static am_err add_fit(am_plan *p, int64_t real, int64_t g, int64_t draw, int64_t k, int64_t run) {
  am_err err = AM_OK;
  am_stage st = blank(AM_STAGE_FIT);
  const am_generator_def *def = &p->e->generator[g];
  const am_source *source = am_plan_source(p, draw, 0);
  char suffix[128], word[384];
  st.draw = draw;
  st.generator = g;
  st.class_index = k;
  st.run = run;
  st.slices = def->fit.slices;
  st.cost = 10.0 * (double)source->per_class[k] * (double)def->fit.epochs;
  snprintf(word, sizeof word, "fit/%s/%s/run%lld", p->e->draw[draw].name, source->class_name[k],
           (long long)run);
  st.seed = am_seed_derive((uint64_t)p->e->cfg.seed, word);
  AM_GO(failed, am_str_format(&st.id, "fit %s/%s run %lld%s", def->name, source->class_name[k],
                              (long long)run, draw_suffix(p, draw, suffix)));
  AM_GO(failed, add_input(&st, real));
  int64_t at = 0;
  AM_TRY(add_stage(p, &st, &at));
  AM_TRY(AM_GROW(&p->fit, &p->fit_capacity, p->fit_count + 1));
  p->fit[p->fit_count++] = (am_fit){.generator = g, .class_index = k, .run = run, .draw = draw, .stage = at};
  return AM_OK;
failed:
  stage_fini(&st);
  return err;
}

static int64_t find_fit(const am_plan *p, int64_t g, int64_t draw, int64_t k, int64_t run) {
  for (int64_t i = 0; i < p->fit_count; i++) {
    const am_fit *f = &p->fit[i];
    if (f->generator == g && f->draw == draw && f->class_index == k && f->run == run) return f->stage;
  }
  return -1;
}

static am_err add_block(am_plan *p, int64_t pool, int64_t draw, int64_t k, int64_t run, int64_t first,
                        int64_t count) {
  am_err err = AM_OK;
  am_stage st = blank(AM_STAGE_GENERATE);
  const am_pool_def *def = &p->e->pool[pool];
  const am_source *source = am_plan_source(p, draw, 0);
  char suffix[128];
  int64_t fit = find_fit(p, def->generator, draw, k, run), at = 0;
  st.draw = draw;
  st.pool = pool;
  st.generator = def->generator;
  st.class_index = k;
  st.run = run;
  st.first = first;
  st.count = count;
  st.cost = (double)count;
  st.seed = am_seed_derive(p->stage[fit].seed, "sample");
  AM_GO(failed, am_str_format(&st.id, "generate %s/%s run %lld images %lld to %lld%s", def->name,
                              source->class_name[k], (long long)run, (long long)first,
                              (long long)(first + count - 1), draw_suffix(p, draw, suffix)));
  AM_GO(failed, add_input(&st, fit));
  AM_TRY(add_stage(p, &st, &at));
  AM_TRY(AM_GROW(&p->block, &p->block_capacity, p->block_count + 1));
  p->block[p->block_count++] =
      (am_block){.pool = pool, .draw = draw, .class_index = k, .run = run, .stage = at};
  return AM_OK;
failed:
  stage_fini(&st);
  return err;
}

static am_err add_pool(am_plan *p, int64_t pool, int64_t draw) {
  const am_pool_def *def = &p->e->pool[pool];
  int64_t runs = p->e->generator[def->generator].fit.runs;
  AM_CHECK(def->cfg.per_class / runs < RUN_STRIDE, AM_ERR_CONFIG,
           "%s: pools.%s: at most %lld images of each class and run", p->e->file, def->name,
           (long long)RUN_STRIDE);
  for (int64_t k = 0; k < am_plan_source(p, draw, 0)->class_count; k++) {
    for (int64_t run = 0; run < runs; run++) {
      int64_t part = am_pool_part(def->cfg.per_class, runs, run);
      for (int64_t first = 0; first < part; first += def->cfg.block)
        AM_TRY(add_block(p, pool, draw, k, run, first, am_min_i64(def->cfg.block, part - first)));
    }
  }
  return AM_OK;
}

// The blocks that hold the first per_class images of each class.
static am_err add_pool_inputs(const am_plan *p, const am_arm_part *part, int64_t draw, am_stage *st) {
  int64_t runs = p->e->generator[p->e->pool[part->pool].generator].fit.runs;
  for (int64_t i = 0; i < p->block_count; i++) {
    const am_block *b = &p->block[i];
    if (b->pool != part->pool || b->draw != draw) continue;
    if (p->stage[b->stage].first < am_pool_part(part->per_class, runs, b->run))
      AM_TRY(add_input(st, b->stage));
  }
  return AM_OK;
}

static am_err add_train(am_plan *p, const int64_t *prepared, am_cell *cell) {
  am_err err = AM_OK;
  am_stage st = blank(AM_STAGE_TRAIN);
  const am_arm_def *arm = &p->e->arm[cell->arm];
  char suffix[128], word[64];
  st.draw = cell->draw;
  st.arm = cell->arm;
  st.model = cell->model;
  st.slices = arm->train.slices;
  cell->train_images = am_arm_images(p, cell->arm, cell->draw);
  st.cost = (double)cell->train_images * (double)am_arm_epochs(p, cell->arm, cell->draw);
  snprintf(word, sizeof word, "train/%lld", (long long)cell->seed_index);  // every arm sees the same seeds
  st.seed = cell->seed = am_seed_derive((uint64_t)p->e->cfg.seed, word);
  AM_GO(failed, am_str_format(&st.id, "train %s, %s%s seed %lld", arm->name, p->e->model[cell->model].name,
                              draw_suffix(p, cell->draw, suffix), (long long)cell->seed_index));
  AM_GO(failed, add_input(&st, prepared[0]));
  for (int64_t i = 0; i < arm->part_count; i++)
    if (arm->part[i].kind == AM_PART_POOL) AM_GO(failed, add_pool_inputs(p, &arm->part[i], cell->draw, &st));
  if (p->e->watch > 0) AM_GO(failed, add_input(&st, prepared[p->e->watch]));
  return add_stage(p, &st, &cell->train);
failed:
  stage_fini(&st);
  return err;
}

static am_err add_evaluate(am_plan *p, const int64_t *prepared, const am_cell *cell, int64_t split,
                           int64_t *out) {
  am_err err = AM_OK;
  am_stage st = blank(AM_STAGE_EVALUATE);
  const am_stage *train = &p->stage[cell->train];
  st.draw = cell->draw;
  st.arm = cell->arm;
  st.model = cell->model;
  st.split = split;
  st.cost = 0.4 * (double)(split ? am_plan_source(p, cell->draw, split)->images : cell->train_images);
  AM_GO(failed, am_str_format(&st.id, "evaluate on %s: %s", p->e->draw[cell->draw].split[split].name,
                              train->id + strlen("train ")));
  AM_GO(failed, add_input(&st, cell->train));
  if (split) {
    AM_GO(failed, add_input(&st, prepared[split]));
  } else {
    // The training set is put together again from what it was made of.
    for (int64_t i = 0; i < train->input_count; i++) AM_GO(failed, add_input(&st, train->input[i]));
  }
  return add_stage(p, &st, out);
failed:
  stage_fini(&st);
  return err;
}

// ---- the whole ----

static am_err add_draw(am_plan *p, int64_t draw, int64_t *prepared) {
  const am_experiment *e = p->e;
  for (int64_t s = 0; s < p->split_count; s++) AM_TRY(add_prepare(p, draw, s, &prepared[s]));
  for (int64_t g = 0; g < e->generator_count; g++)
    for (int64_t k = 0; k < am_plan_source(p, draw, 0)->class_count; k++)
      for (int64_t run = 0; run < e->generator[g].fit.runs; run++)
        AM_TRY(add_fit(p, prepared[0], g, draw, k, run));
  for (int64_t pool = 0; pool < e->pool_count; pool++) AM_TRY(add_pool(p, pool, draw));
  for (int64_t arm = 0; arm < e->arm_count; arm++) {
    for (int64_t model = 0; model < e->model_count; model++) {
      for (int64_t seed = 0; seed < e->cfg.seeds; seed++) {
        am_cell *cell = &p->cell[p->cell_count++];
        *cell = (am_cell){.arm = arm, .model = model, .draw = draw, .seed_index = seed};
        AM_TRY(add_train(p, prepared, cell));
        AM_TRY(AM_NEW_ARRAY(&cell->evaluate, e->evaluated_count));
        for (int64_t i = 0; i < e->evaluated_count; i++)
          AM_TRY(add_evaluate(p, prepared, cell, e->evaluated[i], &cell->evaluate[i]));
      }
    }
  }
  return AM_OK;
}

// Everything that a table shows: the stages, and the words and numbers of the file.
static am_err address_of_all(am_plan *p) {
  am_err err = AM_OK;
  am_sha256 *h = NULL;
  am_str config = {0};
  AM_GO(done, am_sha256_new(&h));
  AM_GO(done, am_node_canonical(p->e->tree, &config));
  AM_GO(done, am_sha256_update(h, config.text, (size_t)config.length));
  for (int64_t i = 0; i < p->count; i++) AM_GO(done, am_sha256_update(h, p->stage[i].address, AM_SHA256_HEX));
  AM_GO(done, am_sha256_finish(h, p->address));
done:
  am_sha256_free(h);
  am_str_fini(&config);
  return err;
}

am_err am_plan_new(const am_experiment *e, am_source *source_take, am_given *given_take, am_plan **out) {
  am_err err = AM_OK;
  am_plan *p = NULL;
  int64_t *prepared = NULL, cells = 0;
  err = AM_NEW(&p);
  if (err) {
    am_sources_free(source_take, e->draw_count * e->draw[0].split_count);
    am_given_free(given_take, e->model_count);
    return err;
  }
  p->e = e;
  p->source = source_take;
  p->given = given_take;
  p->split_count = e->draw[0].split_count;
  bool fits = am_mul_i64(e->arm_count * e->model_count, e->draw_count, &cells) &&
              am_mul_i64(cells, e->cfg.seeds, &cells);
  AM_CHECK_GO(done, fits && cells <= 1000000, AM_ERR_CONFIG, "%s: more than 1000000 cells", e->file);
  AM_GO(done, AM_NEW_ARRAY(&p->cell, cells));
  AM_GO(done, AM_NEW_ARRAY(&prepared, p->split_count));
  for (int64_t draw = 0; draw < e->draw_count; draw++) AM_GO(done, add_draw(p, draw, prepared));
  AM_GO(done, address_of_all(p));
  *out = p;
  p = NULL;
done:
  free(prepared);
  am_plan_free(p);
  return err;
}

void am_plan_free(am_plan *p) {
  if (!p) return;
  for (int64_t i = 0; i < p->count; i++) stage_fini(&p->stage[i]);
  for (int64_t i = 0; i < p->cell_count; i++) free(p->cell[i].evaluate);
  am_sources_free(p->source, p->e->draw_count * p->split_count);
  am_given_free(p->given, p->e->model_count);
  free(p->stage);
  free(p->cell);
  free(p->fit);
  free(p->block);
  free(p->index);
  free(p);
}

const char *am_state_name(am_stage_state state) {
  static const char *const word[AM_STATES] = {
      [AM_STATE_MISSING] = "missing", [AM_STATE_WAITING] = "waiting", [AM_STATE_RUNNING] = "running",
      [AM_STATE_LATE] = "late",       [AM_STATE_FAILED] = "failed",   [AM_STATE_PARKED] = "parked",
      [AM_STATE_DONE] = "done"};
  return word[state];
}

// Inputs come first, so their states are known.
static am_stage_state state_of_missing(const am_plan *p, const am_stage *st) {
  for (int64_t k = 0; k < st->input_count; k++)
    if (p->stage[st->input[k]].state != AM_STATE_DONE) return AM_STATE_WAITING;
  return AM_STATE_MISSING;
}

static am_err look_at(const am_plan *p, am_stage *st, am_store_view *view) {
  am_store_sight sight;
  bool held = false;
  free(st->error);
  free(st->holder);
  st->error = NULL;
  st->holder = NULL;
  st->failures = 0;
  AM_TRY(am_store_view_find(view, st->address, &sight));
  st->state = sight.done ? AM_STATE_DONE : state_of_missing(p, st);
  if (sight.done) return AM_OK;
  if (sight.failed) AM_TRY(am_store_failure(view->store, st->address, &st->failures, &st->error));
  if (st->error) st->state = st->failures < AM_PARKED ? AM_STATE_FAILED : AM_STATE_PARKED;
  if (!sight.leased) return AM_OK;
  AM_TRY(AM_NEW(&st->holder));
  AM_TRY(am_store_holder(view->store, st->address, st->holder, &held));
  if (held) {
    st->state = AM_STATE_RUNNING;
  } else {
    free(st->holder);
    st->holder = NULL;
  }
  return AM_OK;
}

am_err am_plan_look_at(am_plan *p, am_store_view *view) {
  for (int64_t i = 0; i < p->count; i++) AM_TRY(look_at(p, &p->stage[i], view));
  return AM_OK;
}

am_err am_plan_look(am_plan *p, const am_store *store) {
  am_store_view view;
  am_store_view_init(&view, store);
  am_err err = am_plan_look_at(p, &view);
  am_store_view_fini(&view);
  return err;
}

int64_t am_stage_bytes(const am_plan *p, const am_stage *st) {
  const am_split_cfg *data = &p->e->draw[0].split[0].cfg;
  int64_t image_bytes = data->size * data->size * data->channels;
  if (st->kind == AM_STAGE_PREPARE) return am_plan_source(p, st->draw, st->split)->images * image_bytes;
  return st->kind == AM_STAGE_GENERATE ? st->count * image_bytes : 0;
}

int64_t am_plan_bytes(const am_plan *p) {
  int64_t bytes = 0;
  for (int64_t i = 0; i < p->count; i++)
    if (p->stage[i].state != AM_STATE_DONE) bytes += am_stage_bytes(p, &p->stage[i]);
  return bytes;
}
