// The charts of report.html: every arm at a glance, and curves over epochs.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "report/html_internal.h"
#include "report/svg.h"

// More points than a chart has pixels to show them are averaged in runs.
enum { MOST_POINTS = 240 };

// ---- distinct names of a text column, in order of appearance ----

typedef struct {
  const char **name;  // owned array of borrowed names
  int64_t count, capacity;
} names;

static int64_t name_index(const names *n, const char *name) {
  for (int64_t i = 0; i < n->count; i++) {
    if (!strcmp(n->name[i], name)) return i;
  }
  return -1;
}

static am_err add_name(names *n, const char *name) {
  if (name_index(n, name) >= 0) return AM_OK;
  AM_TRY(AM_GROW(&n->name, &n->capacity, n->count + 1));
  n->name[n->count++] = name;
  return AM_OK;
}

static am_err add_column(names *n, const am_frame *f, const char *column) {
  for (int64_t i = 0; i < am_frame_rows(f); i++) AM_TRY(add_name(n, am_frame_text(f, i, column)));
  return AM_OK;
}

// ---- at a glance ----

// Accuracy where it was measured, else whatever comes first.
static const char *main_metric(const am_frame *rows) {
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    if (!strcmp(am_frame_text(rows, i, "metric"), "accuracy")) return "accuracy";
  }
  return am_frame_rows(rows) ? am_frame_text(rows, 0, "metric") : "";
}

// Values of one row of the table, seed by seed, appended to value.
static int64_t gather(am_results *r, int64_t row, double *value) {
  const am_frame *rows = am_results_frame(r, "rows"), *cells = am_results_frame(r, "cells"),
                 *metrics = am_results_frame(r, "metrics");
  int64_t count = 0;
  for (int64_t i = 0; i < am_frame_rows(metrics); i++) {
    int64_t cell = am_frame_i64(metrics, i, "cell");
    if (strcmp(am_frame_text(metrics, i, "metric"), am_frame_text(rows, row, "metric")) ||
        strcmp(am_frame_text(metrics, i, "split"), am_frame_text(rows, row, "split")) ||
        strcmp(am_frame_text(cells, cell, "arm"), am_frame_text(rows, row, "arm")) ||
        strcmp(am_frame_text(cells, cell, "model"), am_frame_text(rows, row, "model"))) {
      continue;
    }
    value[count++] = am_frame_f64(metrics, i, "value");
  }
  return count;
}

static am_err put_dots(am_results *r, const char *split, const char *model, const char *metric, am_str *out) {
  am_err err = AM_OK;
  const am_frame *rows = am_results_frame(r, "rows");
  am_svg_dots_row *dots = NULL;
  double *value = NULL;
  int64_t count = 0, used = 0;
  char title[256];
  AM_GO(done, AM_NEW_ARRAY(&dots, am_frame_rows(rows)));
  AM_GO(done, AM_NEW_ARRAY(&value, am_frame_rows(am_results_frame(r, "metrics"))));
  for (int64_t i = 0; i < am_frame_rows(rows); i++) {
    if (strcmp(am_frame_text(rows, i, "split"), split) || strcmp(am_frame_text(rows, i, "model"), model) ||
        strcmp(am_frame_text(rows, i, "metric"), metric)) {
      continue;
    }
    int64_t n = gather(r, i, value + used);
    double sd = am_frame_f64(rows, i, "ours_sd"), draws = am_frame_f64(rows, i, "sd_draws");
    dots[count++] = (am_svg_dots_row){.name = am_frame_text(rows, i, "arm"),
                                      .value = value + used,
                                      .count = n,
                                      .mean = am_frame_f64(rows, i, "ours_mean"),
                                      .sd = isnan(sd) ? draws : isnan(draws) ? sd : hypot(sd, draws),
                                      .published = am_frame_f64(rows, i, "published")};
    used += n;
  }
  snprintf(title, sizeof title, "%s on %s, %s", metric, split, model);
  if (count) AM_GO(done, am_str_printf(out, "<figure>"));
  if (count) AM_GO(done, am_svg_dots(title, dots, count, out));
  if (count) AM_GO(done, am_str_printf(out, "</figure>\n"));
done:
  free(dots);
  free(value);
  return err;
}

am_err am_html_overview(am_results *r, am_str *out) {
  am_err err = AM_OK;
  const am_frame *rows = am_results_frame(r, "rows");
  names splits = {0}, models = {0};
  const char *metric = main_metric(rows);
  if (!am_frame_rows(am_results_frame(r, "metrics"))) return AM_OK;
  AM_GO(done, add_column(&splits, rows, "split"));
  AM_GO(done, add_column(&models, am_results_frame(r, "cells"), "model"));
  AM_GO(done,
        am_str_printf(out,
                      "<h2>At a glance</h2>\n<p class=\"muted\">Large dots are means, small ones single "
                      "trainings, lines one standard deviation of these (between draws and on one), diamonds published values.</p>\n"
                      "<div class=\"charts\">\n"));
  for (int64_t s = 0; s < splits.count; s++) {
    for (int64_t m = 0; m < models.count; m++) {
      AM_GO(done, put_dots(r, splits.name[s], models.name[m], metric, out));
    }
  }
  AM_GO(done, am_str_printf(out, "</div>\n"));
done:
  free(splits.name);
  free(models.name);
  return err;
}

// ---- curves ----

// Sums over the members of one group (the seeds of an arm) at one place on the epoch axis.
typedef struct {
  double sum, lo, hi, epoch_sum;
  int64_t count;
} bucket;

typedef struct {
  const am_frame *history;   // epoch, column, value and a row number of `owner`
  const char *owner_column;  // "cell" or "fit"
  const int64_t *group;      // of each row of the owner; -1: not in these charts
  int64_t group_count;
  int64_t epochs;  // largest epoch + 1
} curves;

static void add_point(const curves *c, int64_t i, bucket *buckets, int64_t points) {
  int64_t owner = am_frame_i64(c->history, i, c->owner_column), epoch = am_frame_i64(c->history, i, "epoch");
  double value = am_frame_f64(c->history, i, "value");
  if (!isfinite(value) || c->group[owner] < 0) return;
  int64_t at = points >= c->epochs ? epoch : (int64_t)((double)epoch / (double)c->epochs * (double)points);
  bucket *b = &buckets[c->group[owner] * points + at];
  if (b->count == 0 || value < b->lo) b->lo = value;
  if (b->count == 0 || value > b->hi) b->hi = value;
  b->sum += value;
  b->epoch_sum += (double)epoch;
  b->count++;
}

// One chart: the means of column `column`, a line for each group, with their range as a band.
static am_err put_curve(const curves *c, const names *groups, const char *column, const char *title,
                        am_str *out) {
  am_err err = AM_OK;
  int64_t points = am_min_i64(c->epochs, MOST_POINTS);
  bucket *buckets = NULL;
  double *plot = NULL;  // x, y, lo, hi of every group
  am_svg_series *series = NULL;
  AM_GO(done, AM_NEW_ARRAY(&buckets, c->group_count * points));
  AM_GO(done, AM_NEW_ARRAY(&plot, 4 * c->group_count * points));
  AM_GO(done, AM_NEW_ARRAY(&series, c->group_count));
  for (int64_t i = 0; i < am_frame_rows(c->history); i++) {
    if (!strcmp(am_frame_text(c->history, i, "column"), column)) add_point(c, i, buckets, points);
  }
  for (int64_t g = 0; g < c->group_count; g++) {
    double *x = plot + 4 * g * points, *y = x + points, *lo = y + points, *hi = lo + points;
    int64_t n = 0;
    for (int64_t p = 0; p < points; p++) {
      const bucket *b = &buckets[g * points + p];
      if (!b->count) continue;
      x[n] = b->epoch_sum / (double)b->count;
      y[n] = b->sum / (double)b->count;
      lo[n] = b->lo;
      hi[n++] = b->hi;
    }
    series[g] = (am_svg_series){.name = groups->name[g], .x = x, .y = y, .lo = lo, .hi = hi, .count = n};
  }
  AM_GO(done, am_str_printf(out, "<figure>"));
  AM_GO(done, am_svg_lines(title, "epoch", series, c->group_count, out));
  AM_GO(done, am_str_printf(out, "</figure>\n"));
done:
  free(buckets);
  free(plot);
  free(series);
  return err;
}

static am_err put_legend(const names *groups, am_str *out) {
  AM_TRY(am_str_printf(out, "<ul class=\"legend\">"));
  for (int64_t g = 0; g < groups->count; g++) {
    AM_TRY(am_str_printf(out, "<li><i%s style=\"border-color:var(--s%d)\"></i>",
                         g < AM_SVG_COLORS ? "" : " class=\"dashed\"", (int)(g % AM_SVG_COLORS)));
    AM_TRY(am_html_escape(groups->name[g], out));
    AM_TRY(am_str_printf(out, "</li>"));
  }
  return am_str_printf(out, "</ul>\n");
}

// "train_loss" as "train loss, cnn".
static void chart_title(const char *column, const char *model, char *out, size_t bytes) {
  snprintf(out, bytes, "%s%s%s", column, *model ? ", " : "", model);
  for (size_t i = 0; column[i] && i < bytes; i++) {
    if (out[i] == '_') out[i] = ' ';
  }
}

// Charts for every column of a history. `c` says which rows of the owner belong to which group.
static am_err put_charts(const curves *c, const names *groups, const char *model, am_str *out) {
  am_err err = AM_OK;
  names columns = {0};
  char title[256];
  AM_GO(done, add_column(&columns, c->history, "column"));
  AM_GO(done, am_str_printf(out, "<div class=\"charts\">\n"));
  for (int64_t i = 0; i < columns.count; i++) {
    if (!strcmp(columns.name[i], "lr")) continue;
    chart_title(columns.name[i], model, title, sizeof title);
    AM_GO(done, put_curve(c, groups, columns.name[i], title, out));
  }
  AM_GO(done, am_str_printf(out, "</div>\n"));
done:
  free(columns.name);
  return err;
}

static int64_t epochs_of(const am_frame *history) {
  int64_t last = 0;
  for (int64_t i = 0; i < am_frame_rows(history); i++)
    last = am_max_i64(last, am_frame_i64(history, i, "epoch"));
  return last + 1;
}

// A line for each arm; models apart, because their losses do not compare.
static am_err put_trainings(am_results *r, am_str *out) {
  am_err err = AM_OK;
  const am_frame *cells = am_results_frame(r, "cells"), *history = am_results_frame(r, "history");
  names arms = {0}, models = {0};
  int64_t *group = NULL;
  AM_GO(done, add_column(&arms, cells, "arm"));
  AM_GO(done, add_column(&models, cells, "model"));
  AM_GO(done, AM_NEW_ARRAY(&group, am_frame_rows(cells)));
  AM_GO(done, am_str_printf(
                  out,
                  "<h2>Training</h2>\n<p class=\"muted\">Means over seeds and draws; bands reach from the "
                  "lowest to the highest. Test curves are shown for the reader only: nothing is chosen by "
                  "them.</p>\n"));
  AM_GO(done, put_legend(&arms, out));
  for (int64_t m = 0; m < models.count; m++) {
    for (int64_t i = 0; i < am_frame_rows(cells); i++) {
      bool here = !strcmp(am_frame_text(cells, i, "model"), models.name[m]);
      group[i] = here ? name_index(&arms, am_frame_text(cells, i, "arm")) : -1;
    }
    curves c = {.history = history,
                .owner_column = "cell",
                .group = group,
                .group_count = arms.count,
                .epochs = epochs_of(history)};
    AM_GO(done, put_charts(&c, &arms, models.count > 1 ? models.name[m] : "", out));
  }
done:
  free(arms.name);
  free(models.name);
  free(group);
  return err;
}

static am_err put_fits(am_results *r, am_str *out) {
  am_err err = AM_OK;
  const am_frame *fits = am_results_frame(r, "fits"), *history = am_results_frame(r, "fit_history");
  names generators = {0};
  int64_t *group = NULL;
  AM_GO(done, add_column(&generators, fits, "generator"));
  AM_GO(done, AM_NEW_ARRAY(&group, am_frame_rows(fits)));
  for (int64_t i = 0; i < am_frame_rows(fits); i++) {
    group[i] = name_index(&generators, am_frame_text(fits, i, "generator"));
  }
  AM_GO(done, am_str_printf(
                  out,
                  "<h2>Fitting the generators</h2>\n<p class=\"muted\">Means over classes, runs and draws; "
                  "bands reach from the lowest to the highest.</p>\n"));
  AM_GO(done, put_legend(&generators, out));
  curves c = {.history = history,
              .owner_column = "fit",
              .group = group,
              .group_count = generators.count,
              .epochs = epochs_of(history)};
  AM_GO(done, put_charts(&c, &generators, "", out));
done:
  free(generators.name);
  free(group);
  return err;
}

am_err am_html_curves(am_results *r, am_str *out) {
  if (am_frame_rows(am_results_frame(r, "history"))) AM_TRY(put_trainings(r, out));
  if (am_frame_rows(am_results_frame(r, "fit_history"))) AM_TRY(put_fits(r, out));
  return AM_OK;
}
