#include "train/trainer.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"

// What the ranks decide together after each step.
enum { FLAG_STOP = 1, FLAG_CHECKPOINT = 2 };

typedef struct {
  const am_trainer_cfg *cfg;  // borrowed
  am_loader *loader;          // owned
  am_history *history;        // owned
  int64_t steps;              // batches per epoch
  int64_t updates;            // updates per epoch
  int64_t epoch, step;        // the next batch
  double saved_sec;           // time of the last checkpoint
  am_progress progress;
  double shown_sec;  // the last progress line
  int64_t shown_images, images;
} trainer;

// ---- position ----

static int64_t global_step(const trainer *t) { return t->epoch * t->steps + t->step; }

static am_step step_now(const trainer *t) {
  const am_trainer_cfg *cfg = t->cfg;
  int64_t group = t->step / cfg->accumulate, first = group * cfg->accumulate;
  int64_t end = am_min_i64(first + cfg->accumulate, t->steps);
  int64_t rows = (end - first) * cfg->loader.batch_size;
  if (end == t->steps && !cfg->loader.drop_last) {
    rows -= t->steps * cfg->loader.batch_size - am_dataset_count(cfg->data);
  }
  return (am_step){.epoch = t->epoch,
                   .step = t->step,
                   .batch_number = global_step(t),
                   .update = t->epoch * t->updates + group,
                   .group_first = t->step == first,
                   .group_last = t->step == end - 1,
                   .group_rows = rows};
}

// ---- checkpoints ----

typedef struct {
  int64_t epoch, step;
} position;

static am_err put_history(const am_history *h, am_checkpoint *c) {
  am_err err = AM_OK;
  double *value = NULL;
  int64_t rows = am_history_rows(h), columns = am_history_columns(h);
  AM_TRY(AM_NEW_ARRAY(&value, rows * columns));
  for (int64_t r = 0; r < rows; r++) {
    for (int64_t k = 0; k < columns; k++) value[r * columns + k] = am_history_at(h, r, (int)k);
  }
  err = am_checkpoint_put(c, "history", value, (size_t)(rows * columns) * sizeof *value);
  free(value);
  return err;
}

static am_err get_history(am_history *h, const am_checkpoint *c) {
  size_t bytes = 0, row_bytes = (size_t)am_history_columns(h) * sizeof(double);
  const double *value = am_checkpoint_find(c, "history", &bytes);
  AM_CHECK(value && bytes % row_bytes == 0, AM_ERR_DATA,
           "the history of the checkpoint has %zu bytes, expected rows of %zu", bytes, row_bytes);
  for (size_t r = 0; r < bytes / row_bytes; r++)
    AM_TRY(am_history_add(h, value + r * row_bytes / sizeof *value));
  return AM_OK;
}

static am_err fill_checkpoint(trainer *t, am_checkpoint *c) {
  position at = {t->epoch, t->step};
  AM_TRY(t->cfg->objective->save(t->cfg->self, c));
  AM_TRY(am_checkpoint_put(c, "position", &at, sizeof at));
  return put_history(t->history, c);
}

// Collective; rank 0 writes.
static am_err save_checkpoint(trainer *t) {
  const am_trainer_cfg *cfg = t->cfg;
  if (!cfg->checkpoint_dir) return AM_OK;
  am_checkpoint *c = NULL;
  AM_TRY(am_agree(cfg->comm, am_checkpoint_new(&c)));
  am_err err = fill_checkpoint(t, c);
  if (!err && am_comm_rank(cfg->comm) == 0) {
    double start = am_clock_sec();
    err = am_checkpoint_write(c, cfg->checkpoint_dir, cfg->identity, global_step(t));
    AM_DEBUG("%s: checkpoint at step %" PRId64 " in %.2f s", cfg->label, global_step(t),
             am_clock_sec() - start);
  }
  am_checkpoint_free(c);
  t->saved_sec = am_clock_sec();
  return am_agree(cfg->comm, err);
}

static am_err restore(trainer *t, const am_checkpoint *c) {
  position at = {0};
  AM_TRY(am_checkpoint_get(c, "position", &at, sizeof at));
  AM_CHECK(at.epoch >= 0 && at.step >= 0 && at.step < am_max_i64(t->steps, 1), AM_ERR_DATA,
           "the checkpoint stands at epoch %" PRId64 " step %" PRId64 ", an epoch has %" PRId64 " steps",
           at.epoch, at.step, t->steps);
  AM_TRY(t->cfg->objective->restore(t->cfg->self, c));
  AM_TRY(get_history(t->history, c));
  t->epoch = at.epoch;
  t->step = at.step;
  AM_INFO("%s: continues at epoch %" PRId64 "/%" PRId64 " step %" PRId64 "/%" PRId64, t->cfg->label,
          t->epoch + 1, t->cfg->epochs, t->step, t->steps);
  return AM_OK;
}

static am_err resume(trainer *t) {
  const am_trainer_cfg *cfg = t->cfg;
  if (!cfg->checkpoint_dir) return AM_OK;
  am_checkpoint *c = NULL;
  AM_TRY(am_checkpoint_read(cfg->comm, cfg->checkpoint_dir, cfg->identity, &c));
  if (!c) return AM_OK;
  am_err err = am_agree(cfg->comm, restore(t, c));
  am_checkpoint_free(c);
  return err;
}

// ---- progress ----

static am_err show_progress(trainer *t) {
  const am_trainer_cfg *cfg = t->cfg;
  if (am_comm_rank(cfg->comm) != 0 || !am_log_wants(AM_LOG_INFO) || !am_progress_due(&t->progress))
    return AM_OK;
  am_err err = AM_OK;
  am_str text = {0};
  char left[32] = "-";
  double now = am_clock_sec();
  double rate = (double)(t->images - t->shown_images) / fmax(now - t->shown_sec, 1e-9);
  double images_left = (double)(cfg->epochs * t->steps - global_step(t)) * (double)cfg->loader.batch_size;
  if (rate > 0) am_clock_span(images_left / rate, left);
  AM_GO(done, cfg->objective->describe(cfg->self, &text));
  AM_INFO("%s: epoch %" PRId64 "/%" PRId64 " step %" PRId64 "/%" PRId64 " %s %.0f img/s eta %s", cfg->label,
          am_min_i64(t->epoch + 1, cfg->epochs), cfg->epochs, t->step, t->steps, am_str_get(&text), rate,
          left);
  t->shown_sec = now;
  t->shown_images = t->images;
done:
  am_str_fini(&text);
  return err;
}

// ---- the loop ----

static am_err end_epoch(trainer *t) {
  const am_objective *o = t->cfg->objective;
  double row[16];
  AM_ASSERT(o->column_count <= 16);
  am_err err = o->end_epoch(t->cfg->self, t->epoch, row);
  if (!err) err = am_history_add(t->history, row);
  AM_TRY(am_agree(t->cfg->comm, err));
  t->epoch++;
  t->step = 0;
  return AM_OK;
}

static am_err one_step(trainer *t, am_step *at) {
  const am_trainer_cfg *cfg = t->cfg;
  am_batch batch = {0};
  *at = step_now(t);
  am_fault_point();
  am_err err = am_loader_next(t->loader, &batch);
  err = cfg->objective->step(cfg->self, at, err ? NULL : &batch, err);
  t->images += batch.count;
  return err;
}

// Errors, signals and checkpoints are settled here, with one message between the ranks.
static am_err boundary(trainer *t, const am_step *at, am_err err) {
  const am_trainer_cfg *cfg = t->cfg;
  unsigned mine = am_signal_seen() ? FLAG_STOP : 0, any = 0;
  bool due = cfg->checkpoint_dir && am_clock_sec() - t->saved_sec >= (double)cfg->checkpoint_sec;
  if (due && am_comm_rank(cfg->comm) == 0) mine |= FLAG_CHECKPOINT;
  AM_TRY(am_agree_flags(cfg->comm, err, mine, &any));
  t->step = at->step + 1;
  AM_TRY(show_progress(t));           // before an epoch's end clears its means
  if (!at->group_last) return AM_OK;  // gradients of half a group are in no checkpoint
  if (t->step == t->steps) AM_TRY(end_epoch(t));
  bool over = t->epoch == cfg->epochs;
  if (any && !over) AM_TRY(save_checkpoint(t));
  AM_CHECK(!(any & FLAG_STOP) || over, AM_ERR_STOPPED,
           "%s: stopped by a signal at epoch %" PRId64 " step %" PRId64 "%s", cfg->label, t->epoch + 1,
           t->step, cfg->checkpoint_dir ? ", a checkpoint is saved: the same command goes on from it" : "");
  return AM_OK;
}

static am_err train(trainer *t) {
  AM_TRY(resume(t));
  AM_TRY(am_agree(t->cfg->comm, am_loader_seek(t->loader, t->epoch, t->step)));
  t->saved_sec = t->shown_sec = am_clock_sec();
  am_progress_due(&t->progress);
  while (t->epoch < t->cfg->epochs) {
    am_step at;
    am_err err = one_step(t, &at);
    AM_TRY(boundary(t, &at, err));
  }
  return am_agree(t->cfg->comm, t->cfg->objective->finish(t->cfg->self));
}

am_err am_trainer_run(const am_trainer_cfg *cfg, am_history **history) {
  trainer t = {.cfg = cfg};
  am_err err = am_history_new(cfg->objective->column, cfg->objective->column_count, &t.history);
  if (!err) err = am_loader_new(cfg->data, &cfg->loader, &t.loader);
  AM_GO(done, am_agree(cfg->comm, err));
  t.steps = am_loader_steps(t.loader);
  t.updates = am_ceil_div(t.steps, cfg->accumulate);
  AM_GO(done, train(&t));
  *history = t.history;
  t.history = NULL;
done:
  am_loader_free(t.loader);
  am_history_free(t.history);
  return err;
}
