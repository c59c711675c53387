#include "report/table.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "report/results_internal.h"

// Draws, or pairs on one draw, below which a table says what a bootstrap of them is worth.
enum { FEW_UNITS = 10 };

// ---- lists of text, each on one line ----

static am_err list_add(am_text_list *list, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static am_err list_add(am_text_list *list, const char *fmt, ...) {
  char text[1024];
  va_list args;
  va_start(args, fmt);
  vsnprintf(text, sizeof text, fmt, args);
  va_end(args);
  for (char *p = text; *p; p++) {
    if (*p == '\n' || *p == '\r') *p = ' ';
  }
  AM_TRY(AM_GROW(&list->text, &list->capacity, list->count + 1));
  AM_TRY(am_mem_strdup(text, &list->text[list->count]));
  list->count++;
  return AM_OK;
}

static bool list_has(const am_text_list *list, const char *text) {
  for (int64_t i = 0; i < list->count; i++) {
    if (!strcmp(list->text[i], text)) return true;
  }
  return false;
}

static void list_fini(am_text_list *list) {
  for (int64_t i = 0; i < list->count; i++) free(list->text[i]);
  free(list->text);
}

void am_table_free(am_table *t) {
  if (!t) return;
  for (int64_t b = 0; b < t->block_count; b++) free(t->block[b].line);
  free(t->block);
  free(t->spent);
  free(t->title);
  free(t->versus_head);
  list_fini(&t->facts);
  list_fini(&t->trouble);
  list_fini(&t->notes);
  free(t);
}

// ---- numbers as text ----

// Four decimals show one image in ten thousand; what would be lost by that keeps four digits instead.
static void put_value(double x, char out[AM_TABLE_CELL]) {
  double size = fabs(x);
  if (isnan(x)) {
    snprintf(out, AM_TABLE_CELL, "NaN");
  } else if (size == 0 || (size >= 5e-5 && size < 1e4)) {
    snprintf(out, AM_TABLE_CELL, "%.4f", x);
  } else {
    snprintf(out, AM_TABLE_CELL, "%.3e", x);
  }
}

static void put_spread(double x, char out[AM_TABLE_CELL]) {
  if (isnan(x)) {
    snprintf(out, AM_TABLE_CELL, "-");
  } else {
    put_value(x, out);
  }
}

typedef struct {
  int64_t most_seeds, most_draws, most_pairs;
  bool random;  // some test took random flips
} design;

static void put_ours(const am_frame *rows, int64_t i, design most, char out[AM_TABLE_CELL]) {
  char mean[AM_TABLE_CELL], sd[AM_TABLE_CELL], draws[AM_TABLE_CELL];
  int64_t n_seeds = am_frame_i64(rows, i, "n_seeds"), n_draws = am_frame_i64(rows, i, "n_draws");
  out[0] = '\0';
  if (n_seeds == 0) return;
  put_value(am_frame_f64(rows, i, "ours_mean"), mean);
  put_spread(am_frame_f64(rows, i, "ours_sd"), sd);
  put_spread(am_frame_f64(rows, i, "sd_draws"), draws);
  int used = most.most_draws > 1   ? snprintf(out, AM_TABLE_CELL, "%s ± %s | %s", mean, sd, draws)
             : most.most_seeds > 1 ? snprintf(out, AM_TABLE_CELL, "%s ± %s", mean, sd)
                                   : snprintf(out, AM_TABLE_CELL, "%s", mean);
  if (n_draws < most.most_draws) {
    snprintf(out + used, (size_t)(AM_TABLE_CELL - used), " (%lld draws)", (long long)n_draws);
  } else if (n_seeds < most.most_seeds) {
    snprintf(out + used, (size_t)(AM_TABLE_CELL - used), " (n=%lld)", (long long)n_seeds);
  }
}

static void put_versus(const am_frame *rows, int64_t i, char out[AM_TABLE_CELL]) {
  double mean = am_frame_f64(rows, i, "vs_reference"), lo = am_frame_f64(rows, i, "ci_lo"),
         hi = am_frame_f64(rows, i, "ci_hi"), p = am_frame_f64(rows, i, "p");
  out[0] = '\0';
  if (isnan(mean)) return;
  if (isnan(lo)) {  // one pair: nothing to judge it by
    snprintf(out, AM_TABLE_CELL, "%+.3f", mean);
  } else {
    snprintf(out, AM_TABLE_CELL, "%+.3f [%+.3f, %+.3f] p=%.3g", mean, lo, hi, p);
  }
}

// ---- blocks ----

static design largest_design(const am_frame *rows) {
  design most = {0};
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    int64_t seeds = am_frame_i64(rows, i, "n_seeds"), draws = am_frame_i64(rows, i, "n_draws");
    if (seeds > most.most_seeds) most.most_seeds = seeds;
    if (draws > most.most_draws) most.most_draws = draws;
    if (am_frame_i64(rows, i, "n_pairs") > most.most_pairs) most.most_pairs = am_frame_i64(rows, i, "n_pairs");
    most.random |= !strcmp(am_frame_text(rows, i, "p_method"), "random");
  }
  return most;
}

static bool belongs(const am_table_block *b, const am_frame *rows, int64_t i) {
  const char *model = am_frame_text(rows, i, "model");
  // What was only published has no model of ours: it is shown beside each.
  return !strcmp(b->split, am_frame_text(rows, i, "split")) && (!*model || !strcmp(b->model, model));
}

static bool has_block(const am_table *t, const am_frame *rows, int64_t i) {
  for (int64_t b = 0; b < t->block_count; b++) {
    if (belongs(&t->block[b], rows, i)) return true;
  }
  return false;
}

static am_err add_line(am_table_block *b, const am_frame *rows, int64_t i, design most) {
  AM_TRY(AM_GROW(&b->line, &b->capacity, b->count + 1));
  am_table_line *l = &b->line[b->count];
  l->arm = am_frame_text(rows, i, "arm");
  l->metric = am_frame_text(rows, i, "metric");
  l->verdict = am_frame_text(rows, i, "verdict");
  l->new_arm = b->count == 0 || strcmp(b->line[b->count - 1].arm, l->arm);
  double published = am_frame_f64(rows, i, "published");
  if (!isnan(published)) snprintf(l->published, AM_TABLE_CELL, "%.6g", published);
  put_ours(rows, i, most, l->ours);
  put_versus(rows, i, l->versus);
  b->count++;
  return AM_OK;
}

static am_err add_blocks(am_table *t, const am_frame *rows) {
  design most = largest_design(rows);
  t->ours_head = most.most_draws > 1 ? "ours ± trainings | draws" : most.most_seeds > 1 ? "ours ± sd" : "ours";
  // Rows with a model open the blocks; the others find one, or open one of their own at the end.
  for (int pass = 0; pass < 2; pass++) {
    for (int64_t i = 0; i < am_frame_rows(rows); i++) {
      bool has_model = *am_frame_text(rows, i, "model");
      if (has_model != (pass == 0) || has_block(t, rows, i)) continue;
      AM_TRY(AM_GROW(&t->block, &t->block_capacity, t->block_count + 1));
      t->block[t->block_count++] = (am_table_block){.split = am_frame_text(rows, i, "split"),
                                                    .model = am_frame_text(rows, i, "model")};
    }
  }
  for (int64_t b = 0; b < t->block_count; b++) {
    for (int64_t i = 0; i < am_frame_rows(rows); i++) {
      if (belongs(&t->block[b], rows, i)) AM_TRY(add_line(&t->block[b], rows, i, most));
    }
    for (int64_t i = 0; i < t->block[b].count; i++) t->has_versus |= t->block[b].line[i].versus[0] != '\0';
  }
  return AM_OK;
}

// ---- what was spent ----

const char *const am_spent_head[AM_SPENT_COLUMNS] = {
    "epochs", "steps", "training h", "fit h", "generation h", "taken at"};

static void put_price(double x, double unit, char out[AM_TABLE_CELL]) {
  out[0] = '\0';
  if (!isnan(x)) snprintf(out, AM_TABLE_CELL, unit > 1 ? "%.3g" : "%.6g", x / unit);
}

static am_err add_spent(am_table *t, const am_frame *spent) {
  static const struct {
    const char *column;
    double unit;
  } from[AM_SPENT_COLUMNS] = {{"epochs", 1},           {"steps", 1},
                              {"train_device_sec", 3600}, {"fit_device_sec", 3600},
                              {"generate_device_sec", 3600}, {"taken_at", 1}};
  t->spent_columns = AM_SPENT_TAKEN;
  for (int64_t i = 0; i < am_frame_rows(spent); i++) {
    if (am_frame_i64(spent, i, "cells") == 0) continue;
    AM_TRY(AM_GROW(&t->spent, &t->spent_capacity, t->spent_count + 1));
    am_spent_line *l = &t->spent[t->spent_count++];
    l->arm = am_frame_text(spent, i, "arm");
    l->model = am_frame_text(spent, i, "model");
    for (int c = 0; c < AM_SPENT_COLUMNS; c++) put_price(am_frame_f64(spent, i, from[c].column), from[c].unit, l->cell[c]);
    if (*l->cell[AM_SPENT_TAKEN]) t->spent_columns = AM_SPENT_COLUMNS;
  }
  return AM_OK;
}

// ---- what stands around them ----

static am_err add_title(am_table *t, const am_results *r) {
  const char *id = am_results_attr(r, "paper_id"), *where = am_results_attr(r, "paper_where");
  const char *name = am_results_attr(r, "name");
  am_str title = {0};
  am_err err = AM_OK;
  AM_GO(done, am_str_printf(&title, "%s", *name ? name : "results"));
  if (*id || *where) AM_GO(done, am_str_printf(&title, " (%s%s%s)", id, *id && *where ? ", " : "", where));
  if (t->tiny) AM_GO(done, am_str_printf(&title, " - %s", AM_TINY_WARNING));
  AM_GO(done, am_str_take(&title, &t->title));
done:
  am_str_fini(&title);
  return err;
}

static am_err add_trouble(am_table *t, am_results *r) {
  const am_frame *cells = am_results_frame(r, "cells");
  int64_t total = am_frame_rows(cells), failed = 0, missing = 0;
  for (int64_t i = 0; i < total; i++) {
    const char *status = am_frame_text(cells, i, "status"), *error = am_frame_text(cells, i, "error");
    if (am_cell_is_trained(cells, i)) continue;
    bool is_failed = !strcmp(status, "failed");
    failed += is_failed;
    missing += !is_failed;
    AM_TRY(list_add(&t->trouble, "%s: %s, %s, draw %s, seed %lld%s%s", is_failed ? "failed" : "missing",
                    am_frame_text(cells, i, "arm"), am_frame_text(cells, i, "model"),
                    am_frame_text(cells, i, "draw"), (long long)am_frame_i64(cells, i, "seed"),
                    *error ? ": " : "", error));
  }
  if (failed + missing == 0) return AM_OK;
  return list_add(&t->facts, "INCOMPLETE: of %lld cells %lld are missing and %lld failed", (long long)total,
                  (long long)missing, (long long)failed);
}

// What the numbers behind ± are of.
static const char *spread_words(design most) {
  if (most.most_draws > 1) {
    return most.most_seeds > 1 ? "± is the deviation between trainings on one draw | between draws (variance components)"
                               : "the deviation between draws holds that between trainings, which one seed cannot show";
  }
  return most.most_seeds > 1 ? "± is the deviation between trainings; what other draws would give is not in it"
                             : "one training says nothing about spread";
}

static am_err add_versus_facts(am_table *t, design most, const char *reference) {
  char many[64] = "";
  if (most.random) snprintf(many, sizeof many, "; %d random flips above %d pairs", AM_RANDOM_FLIPS, AM_EXACT_PAIRS);
  bool by_draw = most.most_draws > 1;
  AM_TRY(list_add(&t->facts,
                  "differences to the arm `%s` are paired on the same %s: 95 %% bootstrap intervals (percentile, %d "
                  "resamples%s), p of the sign-flip test (exact%s), which asks whether the arms are alike%s; not adjusted "
                  "for the number of arms",
                  reference, by_draw ? "draws and seeds" : "seeds", AM_RESAMPLES,
                  by_draw ? " of draws, then of seeds" : "", many, by_draw ? " on these draws" : ""));
  double least = ldexp(1, (int)(1 - most.most_pairs));
  if (least > 0.05)
    AM_TRY(list_add(&t->facts, "with %lld pair%s p cannot be below %.4g", (long long)most.most_pairs,
                    most.most_pairs == 1 ? "" : "s", least));
  int64_t units = by_draw ? most.most_draws : most.most_pairs;
  if (units < FEW_UNITS)
    AM_TRY(list_add(&t->facts, "with %lld %s%s bootstrap intervals are too narrow: Student's are in table.csv",
                    (long long)units, by_draw ? "draw" : "pair", units == 1 ? "" : "s"));
  return AM_OK;
}

static am_err add_facts(am_table *t, am_results *r) {
  design most = largest_design(am_results_frame(r, "rows"));
  const char *reference = am_results_attr(r, "reference"), *budget = am_results_attr(r, "budget");
  if (*budget) AM_TRY(list_add(&t->facts, "%s", budget));
  if (most.most_seeds > 0) {
    AM_TRY(list_add(&t->facts, "%lld seed%s, %lld draw%s of the data: %s", (long long)most.most_seeds,
                    most.most_seeds == 1 ? "" : "s", (long long)most.most_draws,
                    most.most_draws == 1 ? "" : "s", spread_words(most)));
  }
  if (t->has_versus) AM_TRY(add_versus_facts(t, most, reference));
  return am_str_format(&t->versus_head, "vs %s [95 %%]", reference);
}

// What a row's note says beyond "tiny run", which the title says already.
static const char *own_note(const am_frame *rows, int64_t i) {
  const char *note = am_frame_text(rows, i, "note"), *tiny = "tiny run";
  if (am_str_starts(note, tiny)) note += strlen(tiny);
  return am_str_starts(note, "; ") ? note + 2 : note;
}

// "gan1000, gan2000: note" for all arms whose rows say the same, at the first of them.
static am_err add_row_note(am_table *t, const am_frame *rows, int64_t first) {
  am_err err = AM_OK;
  am_text_list arms = {0};
  am_str line = {0};
  const char *note = own_note(rows, first);
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    if (strcmp(own_note(rows, i), note)) continue;
    if (i < first) goto done;  // said already
    const char *arm = am_frame_text(rows, i, "arm");
    if (list_has(&arms, arm)) continue;
    AM_GO(done, list_add(&arms, "%s", arm));
    AM_GO(done, am_str_printf(&line, "%s%s", line.length ? ", " : "", arm));
  }
  AM_GO(done, list_add(&t->notes, "%s: %s", am_str_get(&line), note));
done:
  list_fini(&arms);
  am_str_fini(&line);
  return err;
}

// The experiment's notes, a line each, then what rows say about their arms.
static am_err add_notes(am_table *t, am_results *r) {
  const am_frame *rows = am_results_frame(r, "rows");
  for (const char *p = am_results_attr(r, "notes"); *p;) {
    int n = (int)strcspn(p, "\n");
    if (n > 0) AM_TRY(list_add(&t->notes, "%.*s", n, p));
    p += n + (p[n] == '\n');
  }
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    if (*own_note(rows, i)) AM_TRY(add_row_note(t, rows, i));
  }
  return AM_OK;
}

am_err am_table_new(am_results *r, am_table **out) {
  am_err err = AM_OK;
  am_table *t = NULL;
  AM_GO(failed, AM_NEW(&t));
  t->tiny = !strcmp(am_results_attr(r, "tiny"), "1");
  t->question = am_results_attr(r, "question");
  AM_GO(failed, add_title(t, r));
  AM_GO(failed, add_blocks(t, am_results_frame(r, "rows")));
  AM_GO(failed, add_spent(t, am_results_frame(r, "spent")));
  AM_GO(failed, add_trouble(t, r));
  AM_GO(failed, add_facts(t, r));
  AM_GO(failed, add_notes(t, r));
  *out = t;
  return AM_OK;
failed:
  am_table_free(t);
  return err;
}
