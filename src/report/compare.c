#include "report/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "report/compare_internal.h"
#include "report/results_internal.h"

const char *const am_budget_names[] = {"epochs", "steps", "device-hours", NULL};
static const char *const units[] = {"epochs", "optimiser steps", "device-hours"};
// Ends that differ by rounding alone are one budget.
static const double ROUNDING = 1e-9;

// A cell of the comparison and where it stands at the budget. Costs are in units of the budget.
typedef struct {
  int64_t experiment, row;  // in /cells of the experiment
  int64_t place;            // its row in /cells of the table
  bool trained, cut;
  int64_t epochs;
  double before, per_epoch, end;  // of the generators; of each epoch; when trained
  int64_t last;                   // cut: the last epoch within the budget
  int64_t at;                     // cut: the epoch that `accuracy` and `loss` are of; 0: none
  double accuracy, loss;          // watched
} entry;

typedef struct {
  am_comparing with;
  am_budget budget;
  double least;    // the budget
  entry *item;     // owned
  int64_t count;
  int64_t *first;  // owned: where the cells of each experiment begin, and the end
  am_results *out;
} comparison;

static const am_frame *cells_of(const comparison *c, int64_t experiment) {
  return am_results_frame(c->with.item[experiment].from, "cells");
}

static bool same_text(const am_frame *a, int64_t i, const am_frame *b, int64_t k, const char *column) {
  return !strcmp(am_frame_text(a, i, column), am_frame_text(b, k, column));
}

// ---- what was spent ----

// Mean device-hours of the trained cells of an arm and model: times vary from cell to cell, the recipe does not.
static void price_in_hours(const comparison *c, entry *e) {
  const am_frame *cells = cells_of(c, e->experiment);
  double before = 0, training = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < am_frame_rows(cells); i++) {
    if (!same_text(cells, i, cells, e->row, "arm") || !same_text(cells, i, cells, e->row, "model")) continue;
    if (!am_cell_is_trained(cells, i)) continue;
    before += am_frame_f64(cells, i, "fit_device_seconds") + am_frame_f64(cells, i, "generate_device_seconds");
    training += am_frame_f64(cells, i, "device_seconds");
    count++;
  }
  e->before = before / (double)count / 3600;
  e->per_epoch = e->epochs ? training / (double)count / 3600 / (double)e->epochs : 0;
}

static void price(const comparison *c, entry *e) {
  const am_frame *cells = cells_of(c, e->experiment);
  e->trained = am_cell_is_trained(cells, e->row);
  if (!e->trained) return;
  e->epochs = am_frame_i64(cells, e->row, "epochs");
  switch (c->budget) {
    case AM_BUDGET_EPOCHS:
      e->per_epoch = 1;
      break;
    case AM_BUDGET_STEPS:
      e->per_epoch = e->epochs ? (double)am_frame_i64(cells, e->row, "steps") / (double)e->epochs : 0;
      break;
    case AM_BUDGET_DEVICE_HOURS:
      price_in_hours(c, e);
      break;
  }
  e->end = e->before + e->per_epoch * (double)e->epochs;
}

static am_err gather(comparison *c) {
  AM_TRY(AM_NEW_ARRAY(&c->first, c->with.count + 1));
  for (int64_t x = 0; x < c->with.count; x++) c->first[x + 1] = c->first[x] + am_frame_rows(cells_of(c, x));
  AM_TRY(AM_NEW_ARRAY(&c->item, c->first[c->with.count]));
  for (int64_t x = 0; x < c->with.count; x++) {
    for (int64_t row = 0; row < am_frame_rows(cells_of(c, x)); row++) {
      c->item[c->count] = (entry){.experiment = x, .row = row, .accuracy = NAN, .loss = NAN};
      price(c, &c->item[c->count++]);
    }
  }
  return AM_OK;
}

static am_err find_budget(comparison *c) {
  c->least = INFINITY;
  for (int64_t i = 0; i < c->count; i++) {
    entry *e = &c->item[i];
    if (!e->trained) continue;
    AM_CHECK(e->end > 0, AM_ERR_CONFIG, "%s: %s spent no %s: there is no budget to compare at",
             c->with.item[e->experiment].name, am_frame_text(cells_of(c, e->experiment), e->row, "arm"),
             units[c->budget]);
    c->least = fmin(c->least, e->end);
  }
  for (int64_t i = 0; i < c->count; i++) {
    entry *e = &c->item[i];
    e->cut = e->trained && e->end > c->least * (1 + ROUNDING);
    if (e->cut) e->last = e->before > c->least ? 0 : (int64_t)floor((c->least - e->before) / e->per_epoch + ROUNDING);
  }
  return AM_OK;
}

// What the cut cells of an experiment showed at the last epoch within the budget.
static void read_history(comparison *c, int64_t experiment) {
  const am_frame *history = am_results_frame(c->with.item[experiment].from, "history");
  for (int64_t i = 0; i < am_frame_rows(history); i++) {
    entry *e = &c->item[c->first[experiment] + am_frame_i64(history, i, "cell")];
    int64_t epoch = am_frame_i64(history, i, "epoch");
    if (!e->cut || epoch != e->last) continue;
    const char *column = am_frame_text(history, i, "column");
    double value = am_frame_f64(history, i, "value");
    if (!strcmp(column, "watch_accuracy")) e->accuracy = value;
    if (!strcmp(column, "watch_loss")) e->loss = value;
    if (isfinite(e->accuracy) || isfinite(e->loss)) e->at = epoch;
  }
}

// ---- the table ----

static am_err copy_row(const am_frame *from, int64_t row, am_frame *to, int64_t *out) {
  AM_TRY(am_frame_add(to, out));
  for (int k = 0; k < am_frame_columns(to); k++) {
    const char *name = am_frame_column_name(to, k);
    switch (am_frame_column_type(to, k)) {
      case AM_COLUMN_TEXT:
        AM_TRY(am_frame_set_text(to, *out, name, am_frame_text(from, row, name)));
        break;
      case AM_COLUMN_I64:
        am_frame_set_i64(to, *out, name, am_frame_i64(from, row, name));
        break;
      case AM_COLUMN_F64:
        am_frame_set_f64(to, *out, name, am_frame_f64(from, row, name));
        break;
    }
  }
  return AM_OK;
}

static am_err put_cell(comparison *c, entry *e) {
  am_err err = AM_OK;
  const am_frame *from = cells_of(c, e->experiment);
  am_frame *to = am_results_frame(c->out, "cells");
  char *arm = NULL, *model = NULL;
  AM_GO(done, am_compare_arm_name(&c->with, e->experiment, am_frame_text(from, e->row, "arm"), &arm));
  AM_GO(done, am_compare_model_name(&c->with, e->experiment, am_frame_text(from, e->row, "model"), &model));
  AM_GO(done, copy_row(from, e->row, to, &e->place));
  AM_GO(done, am_frame_set_text(to, e->place, "arm", arm));
  AM_GO(done, am_frame_set_text(to, e->place, "model", model));
  if (e->cut) AM_GO(done, am_frame_set_text(to, e->place, "status", AM_CELL_CUT));
done:
  free(arm);
  free(model);
  return err;
}

// The value of a metric at the budget; NaN: not known there.
static double value_at_budget(const comparison *c, const entry *e, const char *split, const char *metric) {
  const am_compared *x = &c->with.item[e->experiment];
  if (strcmp(split, x->watch) != 0) return NAN;
  if (!strcmp(metric, "accuracy")) return e->accuracy;
  return !strcmp(metric, am_frame_text(cells_of(c, e->experiment), e->row, "loss")) ? e->loss : NAN;
}

static am_err put_metrics(comparison *c, int64_t experiment) {
  const am_frame *from = am_results_frame(c->with.item[experiment].from, "metrics");
  am_frame *to = am_results_frame(c->out, "metrics");
  for (int64_t i = 0; i < am_frame_rows(from); i++) {
    const entry *e = &c->item[c->first[experiment] + am_frame_i64(from, i, "cell")];
    const char *split = am_frame_text(from, i, "split"), *metric = am_frame_text(from, i, "metric");
    // The best epoch of one budget is not that of another.
    if (!am_compare_shares_split(&c->with, split) || !strcmp(metric, "best_epoch_accuracy")) continue;
    double value = e->cut ? value_at_budget(c, e, split, metric) : am_frame_f64(from, i, "value");
    if (e->cut && isnan(value)) continue;
    int64_t row;
    AM_TRY(copy_row(from, i, to, &row));
    am_frame_set_i64(to, row, "cell", e->place);
    am_frame_set_f64(to, row, "value", value);
  }
  return AM_OK;
}

static am_err put_attributes(comparison *c) {
  am_err err = AM_OK;
  am_str text = {0};
  AM_GO(done, am_results_set_attr(c->out, "tiny", am_results_attr(c->with.item[0].from, "tiny")));
  for (int64_t x = 0; x < c->with.count; x++)
    AM_GO(done, am_str_printf(&text, "%s%s", x ? ", " : "", c->with.item[x].name));
  AM_GO(done, am_str_printf(&text, " at equal %s", am_budget_names[c->budget]));
  AM_GO(done, am_results_set_attr(c->out, "name", am_str_get(&text)));
  am_str_clear(&text);
  bool cut = false;
  for (int64_t i = 0; i < c->count; i++) cut |= c->item[i].cut;
  if (isfinite(c->least))
    AM_GO(done, am_str_printf(&text, "equal budget in %s: %.6g, the most that every training spent",
                              units[c->budget], c->least));
  if (cut)
    AM_GO(done, am_str_printf(&text, "; values of those that spent more are what they showed at the last epoch "
                                     "within it, under a schedule made for all of their epochs"));
  AM_GO(done, am_results_set_attr(c->out, "budget", am_str_get(&text)));
  AM_GO(done, am_results_set_attr(c->out, "notes", am_str_get(&c->with.notes)));
done:
  am_str_fini(&text);
  return err;
}

// ---- what is not comparable, and why ----

static am_err explain(const comparison *c, const entry *e, const char *split, const char *metric, am_str *why) {
  const am_compared *x = &c->with.item[e->experiment];
  const char *unit = units[c->budget];
  if (e->before > c->least)
    return am_str_printf(why, "its generators alone spent %.4g %s of %.4g", e->before, unit, c->least);
  if (e->last == 0) return am_str_printf(why, "its first epoch is longer than %.6g %s", c->least, unit);
  if (strcmp(x->watch, split) != 0)
    return am_str_printf(why, "it spent %.6g %s, and what `%s` showed at %.6g was not recorded: run it with `watch: %s`",
                         e->end, unit, split, c->least, split);
  if (e->at == 0) return am_str_printf(why, "its history does not hold epoch %lld", (long long)e->last);
  return am_str_printf(why, "it spent %.6g %s, and %s before the end was not recorded: accuracy and loss are", e->end,
                       unit, metric);
}

static am_err mark_row(const comparison *c, int64_t row) {
  am_err err = AM_OK;
  const am_frame *cells = am_results_frame(c->out, "cells");
  am_frame *rows = am_results_frame(c->out, "rows");
  const char *split = am_frame_text(rows, row, "split"), *metric = am_frame_text(rows, row, "metric");
  am_str note = {0};
  for (int64_t i = 0; i < c->count; i++) {
    const entry *e = &c->item[i];
    if (!e->cut || !same_text(cells, e->place, rows, row, "arm") || !same_text(cells, e->place, rows, row, "model"))
      continue;
    if (!isnan(value_at_budget(c, e, split, metric))) continue;
    if (am_frame_i64(rows, row, "n_seeds") == 0) AM_GO(done, am_frame_set_text(rows, row, "verdict", "not comparable"));
    AM_GO(done, am_str_printf(&note, "%s%s", am_frame_text(rows, row, "note"), *am_frame_text(rows, row, "note") ? "; " : ""));
    AM_GO(done, explain(c, e, split, metric, &note));
    AM_GO(done, am_frame_set_text(rows, row, "note", am_str_get(&note)));
    break;  // one reason is enough
  }
done:
  am_str_fini(&note);
  return err;
}

// Where the values of an arm's cut cells come from: their mean.
static void mark_spent(const comparison *c, int64_t row) {
  const am_frame *cells = am_results_frame(c->out, "cells");
  am_frame *spent = am_results_frame(c->out, "spent");
  double sum = 0;
  int64_t count = 0;
  for (int64_t i = 0; i < c->count; i++) {
    const entry *e = &c->item[i];
    if (!e->at || !same_text(cells, e->place, spent, row, "arm") || !same_text(cells, e->place, spent, row, "model"))
      continue;
    sum += e->before + e->per_epoch * (double)e->at;
    count++;
  }
  if (count) am_frame_set_f64(spent, row, "taken_at", sum / (double)count);
}

static am_err fill(comparison *c) {
  am_err err = AM_OK;
  char *reference = NULL;
  for (int64_t i = 0; i < c->count; i++) AM_GO(done, put_cell(c, &c->item[i]));
  for (int64_t x = 0; x < c->with.count; x++) AM_GO(done, put_metrics(c, x));
  AM_GO(done, put_attributes(c));
  AM_GO(done, am_compare_arm_name(&c->with, 0, am_results_attr(c->with.item[0].from, "reference"), &reference));
  AM_GO(done, am_results_compute_rows(c->out, c->count ? reference : ""));
  for (int64_t i = 0; i < am_frame_rows(am_results_frame(c->out, "rows")); i++) AM_GO(done, mark_row(c, i));
  for (int64_t i = 0; i < am_frame_rows(am_results_frame(c->out, "spent")); i++) mark_spent(c, i);
done:
  free(reference);
  return err;
}

am_err am_results_compare(am_results *const *in, int64_t count, am_budget budget, am_results **out) {
  am_err err = AM_OK;
  comparison c = {.budget = budget};
  AM_GO(done, am_comparing_begin(in, count, &c.with));
  AM_GO(done, am_compare_note_differences(&c.with, budget));
  AM_GO(done, gather(&c));
  AM_GO(done, find_budget(&c));
  for (int64_t x = 0; x < count; x++) read_history(&c, x);
  AM_GO(done, am_results_new(&c.out));
  AM_GO(done, fill(&c));
  *out = c.out;
  c.out = NULL;
done:
  am_results_free(c.out);
  free(c.item);
  free(c.first);
  am_comparing_end(&c.with);
  return err;
}
