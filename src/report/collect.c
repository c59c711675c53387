#include "report/collect.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/version.h"
#include "data/h5.h"
#include "data/shard.h"
#include "metrics/metrics.h"
#include "report/collect_internal.h"
#include "sweep/references.h"
#include "sweep/stage_history.h"

// ---- words ----

static const char *state_word(am_stage_state state) {
  if (state == AM_STATE_FAILED || state == AM_STATE_PARKED) return "failed";
  return state == AM_STATE_DONE ? "done" : "missing";
}

// A cell is done when its training and all its evaluations are.
static am_stage_state cell_state(const am_plan *p, const am_cell *cell) {
  am_stage_state state = p->stage[cell->train].state;
  for (int64_t i = 0; i < p->e->evaluated_count && state == AM_STATE_DONE; i++)
    state = p->stage[cell->evaluate[i]].state;
  return state;
}

// The message of the cell's own stage that failed, or of the nearest one that it needs.
static const char *first_error(const am_plan *p, int64_t stage) {
  const am_stage *st = &p->stage[stage];
  if (st->state != AM_STATE_DONE && st->error) return st->error;
  for (int64_t i = 0; i < st->input_count && st->state != AM_STATE_DONE; i++) {
    const char *why = first_error(p, st->input[i]);
    if (*why) return why;
  }
  return "";
}

static const char *cell_error(const am_plan *p, const am_cell *cell) {
  const char *why = first_error(p, cell->train);
  for (int64_t i = 0; i < p->e->evaluated_count && !*why; i++) why = first_error(p, cell->evaluate[i]);
  return why;
}

// ---- histories ----

// The history of a stage in long form; `owner` is the column that names its row ("cell", "fit").
static am_err add_history(am_collector *c, int64_t stage, const char *frame_name, const char *owner,
                          int64_t row) {
  am_err err = AM_OK;
  am_history *h = NULL;
  char *path = NULL;
  am_frame *f = am_results_frame(c->results, frame_name);
  AM_GO(done, am_store_path(c->store, c->plan->stage[stage].address, "history.h5", &path));
  AM_GO(done, am_history_load(path, &h));
  int epoch = -1;
  for (int k = 0; k < am_history_columns(h); k++)
    if (strcmp(am_history_name(h, k), "epoch") == 0) epoch = k;
  for (int64_t r = 0; r < am_history_rows(h); r++) {
    for (int k = 0; k < am_history_columns(h); k++) {
      if (k == epoch) continue;
      int64_t at = 0;
      AM_GO(done, am_frame_add(f, &at));
      am_frame_set_i64(f, at, owner, row);
      am_frame_set_i64(f, at, "epoch", epoch >= 0 ? (int64_t)am_history_at(h, r, epoch) : r + 1);
      AM_GO(done, am_frame_set_text(f, at, "column", am_history_name(h, k)));
      am_frame_set_f64(f, at, "value", am_history_at(h, r, k));
    }
  }
done:
  am_history_free(h);
  free(path);
  return err;
}

// ---- evaluations ----

static am_err add_metrics(am_collector *c, int64_t cell, const char *split, const am_predictions *p) {
  const am_experiment *e = c->plan->e;
  am_frame *f = am_results_frame(c->results, "metrics");
  for (int64_t i = 0; i < e->metric_count; i++) {
    const am_metric *m = e->metric[i];
    double value = NAN;
    int64_t at = 0;
    AM_TRY(m->compute(p, &value));
    AM_TRY(am_frame_add(f, &at));
    am_frame_set_i64(f, at, "cell", cell);
    AM_TRY(am_frame_set_text(f, at, "split", split));
    AM_TRY(am_frame_set_text(f, at, "metric", m->name));
    AM_TRY(am_frame_set_text(f, at, "unit", m->unit));
    AM_TRY(am_frame_set_text(f, at, "better", m->better == AM_HIGHER_IS_BETTER ? "higher" : "lower"));
    am_frame_set_f64(f, at, "value", value);
    am_frame_set_i64(f, at, "n", p->n);
  }
  return AM_OK;
}

static am_err add_arrays(am_collector *c, int64_t cell, const char *split, const am_predictions *p) {
  am_err err = AM_OK;
  char path[256];
  int64_t *counts = NULL;
  snprintf(path, sizeof path, "predictions/%lld/%s/logits", (long long)cell, split);
  AM_GO(done, am_results_put_array(c->results, path, AM_ARRAY_F32, 2, (int64_t[]){p->n, p->k}, p->logits));
  snprintf(path, sizeof path, "predictions/%lld/%s/label", (long long)cell, split);
  AM_GO(done, am_results_put_array(c->results, path, AM_ARRAY_I32, 1, &p->n, p->label));
  snprintf(path, sizeof path, "confusion/%lld/%s", (long long)cell, split);
  AM_GO(done, AM_NEW_ARRAY(&counts, p->k * p->k));
  AM_GO(done, am_confusion(p, counts));
  AM_GO(done, am_results_put_array(c->results, path, AM_ARRAY_I64, 2, (int64_t[]){p->k, p->k}, counts));
  AM_GO(done, am_results_name_classes(c->results, path, c->class_name, c->class_count));
done:
  free(counts);
  return err;
}

static am_err check_labels(const char *path, const int32_t *label, int64_t n, int64_t k) {
  for (int64_t i = 0; i < n; i++)
    AM_CHECK(label[i] >= 0 && label[i] < k, AM_ERR_DATA, "%s: label %d of item %lld is not below %lld", path,
             (int)label[i], (long long)i, (long long)k);
  return AM_OK;
}

static am_err add_evaluation(am_collector *c, int64_t cell, const am_cell *what, int64_t which) {
  am_err err = AM_OK;
  am_h5 *file = NULL;
  char *path = NULL;
  float *logits = NULL;
  int32_t *label = NULL;
  am_h5_info shape, length;
  const am_stage *st = &c->plan->stage[what->evaluate[which]];
  const char *split = c->plan->e->draw[0].split[c->plan->e->evaluated[which]].name;
  if (st->state != AM_STATE_DONE) return AM_OK;
  AM_GO(done, am_store_path(c->store, st->address, "predictions.h5", &path));
  AM_GO(done, am_h5_open(path, &file));
  AM_GO(done, am_h5_get(file, "logits", AM_H5_F32, 2, &shape, &logits));
  AM_GO(done, am_h5_get(file, "label", AM_H5_I32, 1, &length, &label));
  AM_CHECK_GO(done, shape.dim[0] == length.dim[0] && shape.dim[1] == c->class_count, AM_ERR_DATA,
              "%s holds logits of %lld x %lld and %lld labels; expected %lld classes", path,
              (long long)shape.dim[0], (long long)shape.dim[1], (long long)length.dim[0],
              (long long)c->class_count);
  AM_GO(done, check_labels(path, label, length.dim[0], c->class_count));
  am_predictions p = {.logits = logits, .label = label, .n = shape.dim[0], .k = shape.dim[1]};
  AM_GO(done, add_metrics(c, cell, split, &p));
  AM_GO(done, add_arrays(c, cell, split, &p));
done:
  am_h5_close(file);
  free(path);
  free(logits);
  free(label);
  return err;
}

// What the best epoch would have shown, for cells that watched a split: the epoch is chosen on that split itself,
// so this is an extra under a name of its own, never the result.
// The rows of the cell are those from history_first and metric_first on.
static am_err add_best_epoch(am_collector *c, int64_t cell, int64_t history_first, int64_t metric_first) {
  const am_experiment *e = c->plan->e;
  am_frame *history = am_results_frame(c->results, "history"), *f = am_results_frame(c->results, "metrics");
  double best = NAN;
  int64_t at = 0, n = 0;
  for (int64_t r = history_first; r < am_frame_rows(history); r++)
    if (strcmp(am_frame_text(history, r, "column"), "watch_accuracy") == 0)
      best = fmax(best, am_frame_f64(history, r, "value"));
  if (isnan(best)) return AM_OK;
  for (int64_t r = metric_first; r < am_frame_rows(f); r++)
    if (strcmp(am_frame_text(f, r, "split"), e->cfg.watch) == 0)
      n = am_frame_i64(f, r, "n");
  AM_TRY(am_frame_add(f, &at));
  am_frame_set_i64(f, at, "cell", cell);
  AM_TRY(am_frame_set_text(f, at, "split", e->cfg.watch));
  AM_TRY(am_frame_set_text(f, at, "metric", "best_epoch_accuracy"));
  AM_TRY(am_frame_set_text(f, at, "unit", "1"));
  AM_TRY(am_frame_set_text(f, at, "better", "higher"));
  am_frame_set_f64(f, at, "value", best);
  am_frame_set_i64(f, at, "n", n);
  return AM_OK;
}

// ---- cells ----

static am_err add_cell(am_collector *c, const am_cell *cell) {
  const am_plan *p = c->plan;
  const am_experiment *e = p->e;
  const am_stage *st = &p->stage[cell->train];
  am_frame *f = am_results_frame(c->results, "cells");
  int64_t row = 0;
  char id[512];
  snprintf(id, sizeof id, "%s/%s/%s/%lld", e->arm[cell->arm].name, e->model[cell->model].name,
           e->draw[cell->draw].name, (long long)cell->seed_index);
  AM_TRY(am_frame_add(f, &row));
  AM_TRY(am_frame_set_text(f, row, "id", id));
  AM_TRY(am_frame_set_text(f, row, "arm", e->arm[cell->arm].name));
  AM_TRY(am_frame_set_text(f, row, "model", e->model[cell->model].name));
  AM_TRY(am_frame_set_text(f, row, "draw", e->draw[cell->draw].name));
  am_frame_set_i64(f, row, "seed", cell->seed_index);
  AM_TRY(am_frame_set_text(f, row, "address", st->address));
  AM_TRY(am_frame_set_text(f, row, "status", state_word(cell_state(p, cell))));
  AM_TRY(am_frame_set_text(f, row, "error", cell_error(p, cell)));
  AM_TRY(am_frame_set_text(f, row, "stand_in", e->arm[cell->arm].stand_in));
  AM_TRY(am_frame_set_text(f, row, "loss", strcmp(e->arm[cell->arm].train.loss, "double_softmax") == 0
                                               ? "double_softmax_loss"
                                               : "loss"));
  am_frame_set_i64(f, row, "train_images", cell->train_images);
  if (st->state != AM_STATE_DONE) return AM_OK;
  AM_TRY(am_collect_cell_cost(c, cell, row));
  int64_t history_first = am_frame_rows(am_results_frame(c->results, "history"));
  int64_t metric_first = am_frame_rows(am_results_frame(c->results, "metrics"));
  AM_TRY(add_history(c, cell->train, "history", "cell", row));
  for (int64_t i = 0; i < e->evaluated_count; i++) AM_TRY(add_evaluation(c, row, cell, i));
  return add_best_epoch(c, row, history_first, metric_first);
}

// ---- generators and pools ----

static am_err add_fit(am_collector *c, const am_fit *fit) {
  const am_plan *p = c->plan;
  const am_stage *st = &p->stage[fit->stage];
  am_frame *f = am_results_frame(c->results, "fits");
  int64_t row = 0;
  AM_TRY(am_frame_add(f, &row));
  AM_TRY(am_frame_set_text(f, row, "id", st->id + strlen("fit ")));
  AM_TRY(am_frame_set_text(f, row, "generator", p->e->generator[fit->generator].name));
  AM_TRY(am_frame_set_text(f, row, "class_name", c->class_name[fit->class_index]));
  AM_TRY(am_frame_set_text(f, row, "draw", p->e->draw[fit->draw].name));
  AM_TRY(am_frame_set_text(f, row, "address", st->address));
  AM_TRY(am_frame_set_text(f, row, "status", state_word(st->state)));
  AM_TRY(am_frame_set_text(f, row, "error", first_error(p, fit->stage)));
  am_frame_set_i64(f, row, "run", fit->run);
  am_frame_set_i64(f, row, "seed", p->e->cfg.seed);
  am_frame_set_i64(f, row, "images", am_plan_source(p, fit->draw, 0)->per_class[fit->class_index]);
  if (st->state != AM_STATE_DONE) return AM_OK;
  am_frame_set_f64(f, row, "seconds", am_store_number(c->store, st->address, "seconds"));
  am_frame_set_f64(f, row, "device_seconds", am_collect_device_seconds(c, fit->stage));
  return add_history(c, fit->stage, "fit_history", "fit", row);
}

static am_err add_pool(am_collector *c, int64_t pool, int64_t draw) {
  const am_plan *p = c->plan;
  am_frame *f = am_results_frame(c->results, "pools");
  int64_t row = 0, images = 0;
  double seconds = 0, device_seconds = 0;
  am_stage_state state = AM_STATE_DONE;
  am_str addresses = {0};
  char id[256], address[AM_SHA256_HEX];
  am_err err = AM_OK;
  for (int64_t i = 0; i < p->block_count; i++) {
    const am_block *b = &p->block[i];
    const am_stage *st = &p->stage[b->stage];
    if (b->pool != pool || b->draw != draw) continue;
    AM_GO(done, am_str_printf(&addresses, "%s\n", st->address));
    if (st->state != AM_STATE_DONE) {
      if (state == AM_STATE_DONE || st->state > state) state = st->state;
      continue;
    }
    images += st->count;
    seconds += am_store_number(c->store, st->address, "seconds");
    device_seconds += am_collect_device_seconds(c, b->stage);
  }
  snprintf(id, sizeof id, "%s/%s", p->e->pool[pool].name, p->e->draw[draw].name);
  AM_GO(done, am_sha256_bytes(am_str_get(&addresses), (size_t)addresses.length, address));
  AM_GO(done, am_frame_add(f, &row));
  AM_GO(done, am_frame_set_text(f, row, "id", id));
  AM_GO(done, am_frame_set_text(f, row, "generator", p->e->generator[p->e->pool[pool].generator].name));
  AM_GO(done, am_frame_set_text(f, row, "draw", p->e->draw[draw].name));
  AM_GO(done, am_frame_set_text(f, row, "address", address));
  AM_GO(done, am_frame_set_text(f, row, "status", state_word(state)));
  am_frame_set_i64(f, row, "seed", p->e->cfg.seed);
  am_frame_set_i64(f, row, "images", images);
  am_frame_set_f64(f, row, "seconds", seconds);
  am_frame_set_f64(f, row, "device_seconds", device_seconds);
done:
  am_str_fini(&addresses);
  return err;
}

// ---- the file's own words ----

static am_err add_published(am_collector *c) {
  const am_experiment *e = c->plan->e;
  am_frame *f = am_results_frame(c->results, "published");
  for (int64_t i = 0; i < e->published_count; i++) {
    const am_published_def *d = &e->published[i];
    int64_t row = 0;
    AM_TRY(am_frame_add(f, &row));
    AM_TRY(am_frame_set_text(f, row, "arm", d->arm));
    AM_TRY(am_frame_set_text(f, row, "split", d->split));
    AM_TRY(am_frame_set_text(f, row, "metric", d->metric));
    AM_TRY(am_frame_set_text(f, row, "reason", d->reason));
    am_frame_set_f64(f, row, "value", d->value);
    am_frame_set_f64(f, row, "tolerance", d->tolerance);
  }
  return AM_OK;
}

// Which images each evaluated split is in each draw, by the address of their stage. Not the training split, which is
// another for each arm.
static am_err add_splits(am_collector *c) {
  const am_plan *p = c->plan;
  am_frame *f = am_results_frame(c->results, "splits");
  for (int64_t i = 0; i < p->cell_count; i++) {
    const am_cell *cell = &p->cell[i];
    if (i > 0 && cell->draw == p->cell[i - 1].draw) continue;  // cells stand draw by draw
    for (int64_t k = 0; k < p->e->evaluated_count; k++) {
      int64_t split = p->e->evaluated[k], row = 0;
      if (split == 0) continue;
      const am_stage *prepared = &p->stage[p->stage[cell->evaluate[k]].input[1]];
      AM_TRY(am_frame_add(f, &row));
      AM_TRY(am_frame_set_text(f, row, "draw", p->e->draw[cell->draw].name));
      AM_TRY(am_frame_set_text(f, row, "split", p->e->draw[cell->draw].split[split].name));
      AM_TRY(am_frame_set_text(f, row, "address", prepared->address));
      am_frame_set_i64(f, row, "images", am_plan_source(p, cell->draw, split)->images);
    }
  }
  return AM_OK;
}

// The devices that finished stages name, each once.
static am_err describe_devices(const am_collector *c, am_str *out) {
  for (int64_t i = 0; i < c->plan->count; i++) {
    const am_stage *st = &c->plan->stage[i];
    if (st->state != AM_STATE_DONE || st->kind != AM_STAGE_TRAIN) continue;
    char *device = am_store_text(c->store, st->address, "device");
    am_err err = AM_OK;
    if (device && !strstr(am_str_get(out), device))
      err = am_str_printf(out, "%s%s", out->length ? "; " : "", device);
    free(device);
    AM_TRY(err);
  }
  return AM_OK;
}

static am_err add_attributes(am_collector *c) {
  const am_experiment *e = c->plan->e;
  am_err err = AM_OK;
  am_str text = {0};
  AM_GO(done, am_results_set_attr(c->results, "name", e->cfg.name));
  AM_GO(done, am_results_set_attr(c->results, "question", e->cfg.question));
  AM_GO(done, am_results_set_attr(c->results, "paper_id", e->paper.id));
  AM_GO(done, am_results_set_attr(c->results, "paper_where", e->paper.where));
  AM_GO(done, am_results_set_attr(c->results, "watch", e->cfg.watch));
  AM_GO(done, am_results_set_attr(c->results, "tiny", e->tiny ? "1" : "0"));
  AM_GO(done, am_node_canonical(e->tree, &text));
  AM_GO(done, am_results_set_attr(c->results, "config", am_str_get(&text)));
  am_str_clear(&text);
  for (int64_t i = 0; i < e->note_count; i++)
    AM_GO(done, am_str_printf(&text, "%s%s", i ? "\n" : "", e->note[i]));
  AM_GO(done, am_results_set_attr(c->results, "notes", am_str_get(&text)));
  am_str_clear(&text);
  AM_GO(done, describe_devices(c, &text));
  AM_GO(done, am_results_set_attr(c->results, "devices", am_str_get(&text)));
  am_str_clear(&text);
  AM_GO(done, am_str_printf(&text, "{\"commit\":\"%s\",\"compiler\":\"%s\",\"plan\":\"%s\",\"program\":\"augmint %s\"}",
                            am_commit, __VERSION__, c->plan->address, AM_VERSION));
  AM_GO(done, am_results_set_attr(c->results, "provenance", am_str_get(&text)));
done:
  am_str_fini(&text);
  return err;
}

// ---- the whole ----

static am_err class_names(am_collector *c) {
  const am_source *source = am_plan_source(c->plan, 0, 0);
  c->class_count = source->class_count;
  AM_TRY(AM_NEW_ARRAY(&c->class_name, source->class_count));
  for (int64_t k = 0; k < source->class_count; k++) c->class_name[k] = source->class_name[k];
  return AM_OK;
}

static am_err forget_times(am_collector *c) {
  AM_TRY(AM_NEW_ARRAY(&c->device_seconds, c->plan->count));
  for (int64_t i = 0; i < c->plan->count; i++) c->device_seconds[i] = -1;
  return AM_OK;
}

am_err am_collect(const am_plan *plan, const am_store *store, am_results **out) {
  am_err err = AM_OK;
  am_collector c = {.plan = plan, .store = store};
  AM_GO(done, am_results_new(&c.results));
  AM_GO(done, class_names(&c));
  AM_GO(done, forget_times(&c));
  AM_GO(done, add_attributes(&c));
  for (int64_t i = 0; i < plan->cell_count; i++) AM_GO(done, add_cell(&c, &plan->cell[i]));
  for (int64_t i = 0; i < plan->fit_count; i++) AM_GO(done, add_fit(&c, &plan->fit[i]));
  for (int64_t pool = 0; pool < plan->e->pool_count; pool++)
    for (int64_t draw = 0; draw < plan->e->draw_count; draw++) AM_GO(done, add_pool(&c, pool, draw));
  AM_GO(done, add_splits(&c));
  AM_GO(done, add_published(&c));
  AM_GO(done, am_collect_samples(&c));
  *out = c.results;
  c.results = NULL;
done:
  am_results_free(c.results);
  free(c.class_name);
  free(c.device_seconds);
  return err;
}

am_err am_collect_and_write(const am_plan *plan, const am_store *store, const char *results_dir,
                            am_str *text) {
  am_err err = AM_OK;
  am_results *r = NULL;
  char *dir = NULL, *path = NULL;
  AM_GO(done, am_path_join(results_dir, plan->e->folder, &dir));
  AM_GO(done, am_references_note(dir, &plan, 1));
  AM_GO(done, am_collect(plan, store, &r));
  AM_GO(done, am_results_compute_rows(r, plan->e->arm[plan->e->reference].name));
  AM_GO(done, am_path_join(dir, "results.h5", &path));
  AM_GO(done, am_results_write(r, path));
  AM_GO(done, am_report_write(r, dir));
  AM_GO(done, am_link_pools(plan, store, dir));
  if (text) AM_GO(done, am_report_text(r, text));
done:
  am_results_free(r);
  free(dir);
  free(path);
  return err;
}
