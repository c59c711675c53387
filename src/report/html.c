// report.html: one self-contained page made only from results.
#include <string.h>

#include "base/num.h"
#include "base/version.h"
#include "report/html_internal.h"
#include "report/svg.h"

static am_err put_escaped(am_str *out, const char *before, const char *text, const char *after) {
  AM_TRY(am_str_printf(out, "%s", before));
  AM_TRY(am_html_escape(text, out));
  return am_str_printf(out, "%s", after);
}

// "not reproducible" is a class name, too.
static am_err put_badge(am_str *out, const char *verdict) {
  if (!*verdict) return AM_OK;
  AM_TRY(am_str_printf(out, "<span class=\"badge "));
  for (const char *p = verdict; *p; p++) AM_TRY(am_str_printf(out, "%c", *p == ' ' ? '-' : *p));
  return put_escaped(out, "\">", verdict, "</span>");
}

// How many rows got which verdict, in the order in which a reader wants them.
static am_err put_tally(am_str *out, const am_frame *rows) {
  static const char *const verdicts[] = {"reproduced", "differs", "not reproducible", "not run", "not comparable",
                                        "tiny"};
  bool open = false;
  for (int64_t v = 0; v < AM_COUNT_OF(verdicts); v++) {
    int64_t count = 0;
    for (int64_t i = 0; i < am_frame_rows(rows); i++)
      count += !strcmp(am_frame_text(rows, i, "verdict"), verdicts[v]);
    if (!count) continue;
    AM_TRY(am_str_printf(out, "%s<li><b>%lld</b>", open ? "" : "<ul class=\"tally\">", (long long)count));
    AM_TRY(put_badge(out, verdicts[v]));
    AM_TRY(am_str_printf(out, "</li>"));
    open = true;
  }
  return am_str_printf(out, "%s", open ? "</ul>\n" : "");
}

static am_err put_head(am_str *out, const am_results *r, const am_table *t) {
  AM_TRY(put_escaped(out,
                     "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">"
                     "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>",
                     t->title, "</title>\n<style>\n"));
  AM_TRY(am_str_printf(out, "%s</style></head>\n<body><main>\n", am_html_style));
  const char *name = am_results_attr(r, "name"), *id = am_results_attr(r, "paper_id");
  AM_TRY(put_escaped(out, "<h1>", *name ? name : "results", "</h1>\n"));
  if (*t->question) AM_TRY(put_escaped(out, "<p class=\"question\">", t->question, "</p>\n"));
  if (*id) {
    AM_TRY(put_escaped(out, "<p class=\"muted\">Reproduces ", id, ""));
    AM_TRY(put_escaped(out, *am_results_attr(r, "paper_where") ? ", " : "", am_results_attr(r, "paper_where"),
                       "</p>\n"));
  }
  if (t->tiny) AM_TRY(am_str_printf(out, "<p class=\"banner\">%s</p>\n", AM_TINY_WARNING));
  for (int64_t i = 0; i < t->facts.count; i++) {
    bool alarm = am_str_starts(t->facts.text[i], "INCOMPLETE");
    AM_TRY(
        put_escaped(out, alarm ? "<p class=\"banner\">" : "<p class=\"muted\">", t->facts.text[i], "</p>\n"));
  }
  return AM_OK;
}

static am_err put_line(am_str *out, const am_table *t, const am_table_line *l) {
  AM_TRY(am_str_printf(out, "<tr%s>", l->new_arm ? " class=\"arm\"" : ""));
  AM_TRY(put_escaped(out, "<td class=\"name\">", l->new_arm ? l->arm : "", "</td>"));
  AM_TRY(put_escaped(out, "<td>", l->metric, "</td>"));
  AM_TRY(put_escaped(out, "<td class=\"num\">", l->published, "</td>"));
  AM_TRY(put_escaped(out, "<td class=\"num\">", l->ours, "</td>"));
  if (t->has_versus) AM_TRY(put_escaped(out, "<td class=\"num\">", l->versus, "</td>"));
  AM_TRY(am_str_printf(out, "<td>"));
  AM_TRY(put_badge(out, l->verdict));
  return am_str_printf(out, "</td></tr>\n");
}

static am_err put_table(am_str *out, am_results *r, const am_table *t) {
  AM_TRY(am_str_printf(out, "<h2>Published and ours</h2>\n"));
  if (t->block_count == 0) AM_TRY(am_str_printf(out, "<p>Nothing has been measured yet.</p>\n"));
  AM_TRY(put_tally(out, am_results_frame(r, "rows")));
  for (int64_t b = 0; b < t->block_count; b++) {
    const am_table_block *block = &t->block[b];
    AM_TRY(put_escaped(out, "<h3>", block->split, ""));
    AM_TRY(put_escaped(out, *block->model ? ", " : "", block->model, "</h3>\n"));
    AM_TRY(put_escaped(out,
                       "<div class=\"scroll\"><table><tr><th>arm</th><th>metric</th>"
                       "<th class=\"num\">published</th><th class=\"num\">",
                       t->ours_head, "</th>"));
    if (t->has_versus) AM_TRY(put_escaped(out, "<th class=\"num\">", t->versus_head, "</th>"));
    AM_TRY(am_str_printf(out, "<th>verdict</th></tr>\n"));
    for (int64_t i = 0; i < block->count; i++) AM_TRY(put_line(out, t, &block->line[i]));
    AM_TRY(am_str_printf(out, "</table></div>\n"));
  }
  return AM_OK;
}

static am_err put_spent(am_str *out, const am_table *t) {
  if (t->spent_count == 0) return AM_OK;
  AM_TRY(am_str_printf(out, "<h2>Spent by each training</h2>\n<p class=\"muted\">Means over the trained cells of an arm, in "
                            "device-hours; "
                            "fits and generation count whole for each.</p>\n<div class=\"scroll\"><table><tr>"
                            "<th>arm</th><th>model</th>"));
  for (int c = 0; c < t->spent_columns; c++) AM_TRY(put_escaped(out, "<th class=\"num\">", am_spent_head[c], "</th>"));
  for (int64_t i = 0; i < t->spent_count; i++) {
    AM_TRY(put_escaped(out, "</tr>\n<tr><td class=\"name\">", t->spent[i].arm, "</td>"));
    AM_TRY(put_escaped(out, "<td>", t->spent[i].model, "</td>"));
    for (int c = 0; c < t->spent_columns; c++)
      AM_TRY(put_escaped(out, "<td class=\"num\">", t->spent[i].cell[c], "</td>"));
  }
  return am_str_printf(out, "</tr>\n</table></div>\n");
}

static am_err put_list(am_str *out, const char *head, const am_text_list *list) {
  if (list->count == 0) return AM_OK;
  AM_TRY(am_str_printf(out, "<h2>%s</h2>\n<ul>\n", head));
  for (int64_t i = 0; i < list->count; i++) AM_TRY(put_escaped(out, "<li>", list->text[i], "</li>\n"));
  return am_str_printf(out, "</ul>\n");
}

am_err am_results_to_html(am_results *r, const am_table *t, am_str *out) {
  AM_TRY(put_head(out, r, t));
  AM_TRY(put_table(out, r, t));
  AM_TRY(put_spent(out, t));
  AM_TRY(put_list(out, "Cells that are not done", &t->trouble));
  AM_TRY(put_list(out, "Notes", &t->notes));
  AM_TRY(am_html_overview(r, out));
  AM_TRY(am_html_samples(r, out));
  AM_TRY(am_html_curves(r, out));
  AM_TRY(am_html_confusion(r, out));
  AM_TRY(am_html_cost(r, out));
  AM_TRY(am_html_provenance(r, out));
  return am_str_printf(out,
                       "<footer>Made from results.h5 by augmint %s. Every number is in that file; "
                       "table.csv beside it has the table.</footer>\n</main></body></html>\n",
                       AM_VERSION);
}
