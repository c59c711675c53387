// The result table as Markdown, one table for each split and model.
#include <string.h>

#include "report/table.h"

// Text that Markdown takes as it stands, inside a table cell, too.
static am_err put_escaped(am_str *out, const char *text) {
  for (const char *p = text; *p; p++) {
    if (strchr("\\`*_{}[]<>#|", *p)) AM_TRY(am_str_append(out, "\\", 1));
    AM_TRY(am_str_append(out, *p == '\n' ? " " : p, 1));
  }
  return AM_OK;
}

static am_err put_cell(am_str *out, const char *text) {
  AM_TRY(am_str_printf(out, " "));
  AM_TRY(put_escaped(out, text));
  return am_str_printf(out, " |");
}

static am_err put_list(am_str *out, const char *head, const am_text_list *list) {
  if (list->count) AM_TRY(am_str_printf(out, "\n%s\n\n", head));
  for (int64_t i = 0; i < list->count; i++) {
    AM_TRY(am_str_printf(out, "- "));
    AM_TRY(put_escaped(out, list->text[i]));
    AM_TRY(am_str_printf(out, "\n"));
  }
  return AM_OK;
}

static am_err put_block(am_str *out, const am_table *t, const am_table_block *b) {
  AM_TRY(am_str_printf(out, "\n### "));
  AM_TRY(put_escaped(out, b->split));
  if (*b->model) AM_TRY(am_str_printf(out, ", "));
  AM_TRY(put_escaped(out, b->model));
  AM_TRY(am_str_printf(out, "\n\n| arm | metric | published |"));
  AM_TRY(put_cell(out, t->ours_head));
  if (t->has_versus) AM_TRY(put_cell(out, t->versus_head));
  AM_TRY(am_str_printf(out, " verdict |\n|---|---|---:|---:|%s---|\n", t->has_versus ? "---:|" : ""));
  for (int64_t i = 0; i < b->count; i++) {
    const am_table_line *l = &b->line[i];
    AM_TRY(am_str_printf(out, "|"));
    AM_TRY(put_cell(out, l->arm));
    AM_TRY(put_cell(out, l->metric));
    AM_TRY(put_cell(out, l->published));
    AM_TRY(put_cell(out, l->ours));
    if (t->has_versus) AM_TRY(put_cell(out, l->versus));
    AM_TRY(put_cell(out, l->verdict));
    AM_TRY(am_str_printf(out, "\n"));
  }
  return AM_OK;
}

static am_err put_spent(am_str *out, const am_table *t) {
  if (t->spent_count == 0) return AM_OK;
  AM_TRY(am_str_printf(out, "\n### spent by each training (means; device-hours)\n\n| arm | model |"));
  for (int c = 0; c < t->spent_columns; c++) AM_TRY(put_cell(out, am_spent_head[c]));
  AM_TRY(am_str_printf(out, "\n|---|---|"));
  for (int c = 0; c < t->spent_columns; c++) AM_TRY(am_str_printf(out, "---:|"));
  for (int64_t i = 0; i < t->spent_count; i++) {
    AM_TRY(am_str_printf(out, "\n|"));
    AM_TRY(put_cell(out, t->spent[i].arm));
    AM_TRY(put_cell(out, t->spent[i].model));
    for (int c = 0; c < t->spent_columns; c++) AM_TRY(put_cell(out, t->spent[i].cell[c]));
  }
  return am_str_printf(out, "\n");
}

am_err am_table_to_markdown(const am_table *t, am_str *out) {
  AM_TRY(am_str_printf(out, "## "));
  AM_TRY(put_escaped(out, t->title));
  AM_TRY(am_str_printf(out, "\n\n"));
  AM_TRY(put_escaped(out, t->question));
  AM_TRY(am_str_printf(out, "%s", *t->question ? "\n" : ""));
  AM_TRY(put_list(out, "Design:", &t->facts));
  for (int64_t b = 0; b < t->block_count; b++) AM_TRY(put_block(out, t, &t->block[b]));
  if (t->block_count == 0) AM_TRY(am_str_printf(out, "\nNothing has been measured yet.\n"));
  AM_TRY(put_spent(out, t));
  AM_TRY(put_list(out, "Cells that are not done:", &t->trouble));
  return put_list(out, "Notes:", &t->notes);
}
