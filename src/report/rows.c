// From cells and their metrics to the rows of the result table: means and spreads, the paired
// difference to the reference arm, the verdict beside a published number.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "metrics/metrics.h"
#include "report/results_internal.h"

// A difference that misses its tolerance by rounding alone is inside.
static const double ROUNDING = 1e-12;
// Where a published number states no tolerance.
static const double DEFAULT_TOLERANCE = 0.05;

typedef struct {
  const char *arm, *model;  // borrowed from the frames
} line;
typedef struct {
  const char *split, *metric;
} measure;

// Of a line and a measure.
typedef struct {
  am_sample *item;  // owned
  int64_t count, capacity;
} samples;

typedef struct {
  am_frame *cells, *metrics, *published, *rows;
  line *line;
  int64_t line_count, line_capacity;
  measure *measure;
  int64_t measure_count, measure_capacity;
  const char **draw;
  int64_t draw_count, draw_capacity;
  int64_t *line_of_cell, *draw_of_cell;  // owned
  int64_t *measure_of_metric;            // owned
  am_pairing pairing;                    // owned
  const char *reference;                 // borrowed
  bool tiny;
} pivot;

// ---- what there is ----

static am_err find_line(pivot *p, const char *arm, const char *model, int64_t *out) {
  for (*out = 0; *out < p->line_count; ++*out) {
    if (!strcmp(p->line[*out].arm, arm) && !strcmp(p->line[*out].model, model)) return AM_OK;
  }
  AM_TRY(AM_GROW(&p->line, &p->line_capacity, p->line_count + 1));
  p->line[p->line_count++] = (line){arm, model};
  return AM_OK;
}

static am_err find_measure(pivot *p, const char *split, const char *metric, int64_t *out) {
  for (*out = 0; *out < p->measure_count; ++*out) {
    if (!strcmp(p->measure[*out].split, split) && !strcmp(p->measure[*out].metric, metric)) return AM_OK;
  }
  AM_TRY(AM_GROW(&p->measure, &p->measure_capacity, p->measure_count + 1));
  p->measure[p->measure_count++] = (measure){split, metric};
  return AM_OK;
}

static am_err find_draw(pivot *p, const char *draw, int64_t *out) {
  for (*out = 0; *out < p->draw_count; ++*out) {
    if (!strcmp(p->draw[*out], draw)) return AM_OK;
  }
  AM_TRY(AM_GROW(&p->draw, &p->draw_capacity, p->draw_count + 1));
  p->draw[p->draw_count++] = draw;
  return AM_OK;
}

// The name as the frames hold it, NULL when there is no such arm.
static const char *find_arm(const pivot *p, const char *arm) {
  for (int64_t i = 0; i < p->line_count; i++) {
    if (!strcmp(p->line[i].arm, arm)) return p->line[i].arm;
  }
  return NULL;
}

// Lines, measures and draws in order of appearance; what is only published comes last.
static am_err survey(pivot *p) {
  int64_t ignored, cell_count = am_frame_rows(p->cells), metric_count = am_frame_rows(p->metrics);
  AM_TRY(AM_NEW_ARRAY(&p->line_of_cell, cell_count));
  AM_TRY(AM_NEW_ARRAY(&p->draw_of_cell, cell_count));
  AM_TRY(AM_NEW_ARRAY(&p->measure_of_metric, metric_count));
  for (int64_t i = 0; i < cell_count; i++) {
    AM_TRY(find_line(p, am_frame_text(p->cells, i, "arm"), am_frame_text(p->cells, i, "model"),
                     &p->line_of_cell[i]));
    AM_TRY(find_draw(p, am_frame_text(p->cells, i, "draw"), &p->draw_of_cell[i]));
  }
  for (int64_t i = 0; i < metric_count; i++) {
    AM_TRY(find_measure(p, am_frame_text(p->metrics, i, "split"), am_frame_text(p->metrics, i, "metric"),
                        &p->measure_of_metric[i]));
  }
  for (int64_t i = 0; i < am_frame_rows(p->published); i++) {
    const char *arm = am_frame_text(p->published, i, "arm");
    if (!find_arm(p, arm)) AM_TRY(find_line(p, arm, "", &ignored));
    AM_TRY(find_measure(p, am_frame_text(p->published, i, "split"), am_frame_text(p->published, i, "metric"),
                        &ignored));
  }
  return AM_OK;
}

static int by_draw_and_seed(const void *a, const void *b) {
  const am_sample *x = a, *y = b;
  if (x->draw != y->draw) return x->draw < y->draw ? -1 : 1;
  return x->seed < y->seed ? -1 : x->seed > y->seed;
}

static am_err collect(const pivot *p, int64_t l, int64_t m, samples *out) {
  out->count = 0;
  for (int64_t i = 0; i < am_frame_rows(p->metrics); i++) {
    if (p->measure_of_metric[i] != m) continue;
    int64_t cell = am_frame_i64(p->metrics, i, "cell");
    if (p->line_of_cell[cell] != l) continue;
    AM_TRY(AM_GROW(&out->item, &out->capacity, out->count + 1));
    out->item[out->count++] = (am_sample){p->draw_of_cell[cell], am_frame_i64(p->cells, cell, "seed"),
                                       am_frame_f64(p->metrics, i, "value")};
  }
  if (out->count) qsort(out->item, (size_t)out->count, sizeof *out->item, by_draw_and_seed);
  return AM_OK;
}

// ---- numbers ----

// a[i] - b[i] where both have the draw and the seed.
static am_err subtract(const samples *a, const samples *b, samples *out) {
  out->count = 0;
  for (int64_t i = 0, j = 0; i < a->count && j < b->count;) {
    int order = by_draw_and_seed(&a->item[i], &b->item[j]);
    if (order == 0) {
      AM_TRY(AM_GROW(&out->item, &out->capacity, out->count + 1));
      out->item[out->count] = a->item[i];
      out->item[out->count++].value -= b->item[j].value;
    }
    i += order <= 0;
    j += order >= 0;
  }
  return AM_OK;
}

// ---- one row ----

static int64_t find_published(const pivot *p, const line *l, const measure *m) {
  for (int64_t i = 0; i < am_frame_rows(p->published); i++) {
    if (!strcmp(am_frame_text(p->published, i, "arm"), l->arm) &&
        !strcmp(am_frame_text(p->published, i, "split"), m->split) &&
        !strcmp(am_frame_text(p->published, i, "metric"), m->metric)) {
      return i;
    }
  }
  return -1;
}

static const char *verdict_of(const pivot *p, int64_t published, double difference, int64_t value_count) {
  if (published < 0) return "";
  if (value_count == 0) return "not run";
  if (p->tiny) return "tiny";
  if (*am_frame_text(p->published, published, "reason")) return "not reproducible";
  double tolerance = am_frame_f64(p->published, published, "tolerance");
  if (isnan(tolerance)) tolerance = DEFAULT_TOLERANCE;
  return fabs(difference) <= tolerance + ROUNDING ? "reproduced" : "differs";
}

static am_err add_note(am_str *note, const char *text) {
  return *text ? am_str_printf(note, "%s%s", note->length ? "; " : "", text) : AM_OK;
}

static am_err set_note(const pivot *p, int64_t row, int64_t l, int64_t published, const am_spread *ours) {
  am_err err = AM_OK;
  am_str note = {0};
  if (p->tiny) AM_GO(done, add_note(&note, "tiny run"));
  for (int64_t i = 0; i < am_frame_rows(p->cells); i++) {
    if (p->line_of_cell[i] != l) continue;
    AM_GO(done, add_note(&note, am_frame_text(p->cells, i, "stand_in")));
    break;
  }
  if (published >= 0) AM_GO(done, add_note(&note, am_frame_text(p->published, published, "reason")));
  if (ours->draws && isnan(ours->mean)) AM_GO(done, add_note(&note, "some values are not numbers"));
  AM_GO(done, am_frame_set_text(p->rows, row, "note", am_str_get(&note)));
done:
  am_str_fini(&note);
  return err;
}

// The unit as the cells wrote it; for what was never run, as the metric says.
static const char *unit_of(const pivot *p, int64_t m) {
  for (int64_t i = 0; i < am_frame_rows(p->metrics); i++) {
    if (p->measure_of_metric[i] == m) return am_frame_text(p->metrics, i, "unit");
  }
  const am_metric *metric = am_metric_find(p->measure[m].metric);
  return metric ? metric->unit : "";
}

static void set_ours(am_frame *rows, int64_t row, const am_spread *s) {
  am_frame_set_i64(rows, row, "n_seeds", s->trainings);
  am_frame_set_i64(rows, row, "n_draws", s->draws);
  am_frame_set_f64(rows, row, "ours_mean", s->mean);
  am_frame_set_f64(rows, row, "ours_sd", s->sd_training);
  am_frame_set_f64(rows, row, "sd_draws", s->sd_draw);
}

static am_err set_versus(pivot *p, int64_t row, const samples *pairs) {
  am_spread s = am_summarise_draws(pairs->item, pairs->count);
  am_comparison c;
  AM_TRY(am_compare_pairs(&p->pairing, pairs->item, pairs->count, &c));
  am_frame_set_i64(p->rows, row, "n_pairs", c.pairs);
  am_frame_set_f64(p->rows, row, "vs_reference", s.mean);
  am_frame_set_f64(p->rows, row, "ci_lo", c.lo);
  am_frame_set_f64(p->rows, row, "ci_hi", c.hi);
  am_frame_set_f64(p->rows, row, "t_lo", s.t_lo);
  am_frame_set_f64(p->rows, row, "t_hi", s.t_hi);
  am_frame_set_f64(p->rows, row, "p", c.p);
  am_frame_set_f64(p->rows, row, "p_min", c.p_min);
  AM_TRY(am_frame_set_text(p->rows, row, "p_method", c.exact ? "exact" : "random"));
  return am_frame_set_text(p->rows, row, "reference", p->reference);
}

static am_err add_row(pivot *p, int64_t l, int64_t m, const samples *ours, const samples *pairs) {
  const line *on = &p->line[l];
  const measure *of = &p->measure[m];
  int64_t row, published = find_published(p, on, of);
  am_spread s = am_summarise_draws(ours->item, ours->count);
  AM_TRY(am_frame_add(p->rows, &row));
  AM_TRY(am_frame_set_text(p->rows, row, "arm", on->arm));
  AM_TRY(am_frame_set_text(p->rows, row, "model", on->model));
  AM_TRY(am_frame_set_text(p->rows, row, "split", of->split));
  AM_TRY(am_frame_set_text(p->rows, row, "metric", of->metric));
  AM_TRY(am_frame_set_text(p->rows, row, "unit", unit_of(p, m)));
  set_ours(p->rows, row, &s);
  double difference = NAN;
  if (published >= 0) {
    double value = am_frame_f64(p->published, published, "value");
    difference = s.mean - value;
    am_frame_set_f64(p->rows, row, "published", value);
    am_frame_set_f64(p->rows, row, "difference", difference);
  }
  AM_TRY(am_frame_set_text(p->rows, row, "verdict", verdict_of(p, published, difference, ours->count)));
  if (pairs->count > 0) AM_TRY(set_versus(p, row, pairs));
  return set_note(p, row, l, published, &s);
}

static bool is_incomplete(const pivot *p, int64_t l) {
  for (int64_t i = 0; i < am_frame_rows(p->cells); i++) {
    if (p->line_of_cell[i] == l && strcmp(am_frame_text(p->cells, i, "status"), "done")) return true;
  }
  return false;
}

static int64_t reference_line(const pivot *p, int64_t l) {
  for (int64_t i = 0; i < p->line_count; i++) {
    if (!strcmp(p->line[i].arm, p->reference) && !strcmp(p->line[i].model, p->line[l].model)) return i;
  }
  return -1;
}

static am_err add_all_rows(pivot *p) {
  am_err err = AM_OK;
  samples ours = {0}, theirs = {0}, pairs = {0};
  for (int64_t l = 0; l < p->line_count; l++) {
    int64_t reference = reference_line(p, l);
    bool incomplete = is_incomplete(p, l);
    for (int64_t m = 0; m < p->measure_count; m++) {
      AM_GO(done, collect(p, l, m, &ours));
      // Nothing measured: worth a row where a number was published or cells are still missing.
      bool wanted = ours.count > 0 || find_published(p, &p->line[l], &p->measure[m]) >= 0;
      if (!wanted && !(incomplete && p->line[l].model[0])) continue;
      pairs.count = 0;
      if (reference >= 0 && reference != l) {
        AM_GO(done, collect(p, reference, m, &theirs));
        AM_GO(done, subtract(&ours, &theirs, &pairs));
      }
      AM_GO(done, add_row(p, l, m, &ours, &pairs));
    }
  }
done:
  free(ours.item);
  free(theirs.item);
  free(pairs.item);
  return err;
}

am_err am_results_compute_rows(am_results *r, const char *reference_arm) {
  am_err err = AM_OK;
  pivot p = {.cells = am_results_frame(r, "cells"),
             .metrics = am_results_frame(r, "metrics"),
             .published = am_results_frame(r, "published"),
             .tiny = !strcmp(am_results_attr(r, "tiny"), "1")};
  AM_GO(done, am_results_check(r, "results"));
  AM_GO(done, am_results_clear_frame(r, "rows"));
  p.rows = am_results_frame(r, "rows");
  AM_GO(done, survey(&p));
  p.reference = p.line_count ? p.line[0].arm : "";
  if (reference_arm && *reference_arm) p.reference = find_arm(&p, reference_arm);
  AM_CHECK_GO(done, p.reference, AM_ERR_CONFIG, "the reference arm `%s` is not an arm", reference_arm);
  AM_GO(done, am_results_set_attr(r, "reference", p.reference));
  AM_GO(done, add_all_rows(&p));
  AM_GO(done, am_results_compute_spent(r));
done:
  free(p.line);
  free(p.measure);
  free(p.draw);
  free(p.line_of_cell);
  free(p.draw_of_cell);
  free(p.measure_of_metric);
  am_pairing_fini(&p.pairing);
  return err;
}
