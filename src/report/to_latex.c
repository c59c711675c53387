// The result table as LaTeX (booktabs), one table for each split and model, ready to \input.
#include <string.h>

#include "report/table.h"

static am_err put_escaped(am_str *out, const char *text) {
  static const struct {
    const char *from, *to;
  } words[] = {{"\\", "\\textbackslash{}"},
               {"~", "\\textasciitilde{}"},
               {"^", "\\textasciicircum{}"},
               {"±", "$\\pm$"},
               {"|", "\\textbar{}"},
               {"<", "\\textless{}"},
               {">", "\\textgreater{}"},
               {"\"", "''"},
               {"\n", " "}};
  while (*text) {
    size_t used = 0;
    for (size_t w = 0; w < sizeof words / sizeof *words && !used; w++) {
      if (!am_str_starts(text, words[w].from)) continue;
      AM_TRY(am_str_printf(out, "%s", words[w].to));
      used = strlen(words[w].from);
    }
    if (!used) {
      if (strchr("&%$#_{}", *text)) AM_TRY(am_str_append(out, "\\", 1));
      AM_TRY(am_str_append(out, text, 1));
      used = 1;
    }
    text += used;
  }
  return AM_OK;
}

static am_err put_cell(am_str *out, const char *before, const char *text) {
  AM_TRY(am_str_printf(out, "%s", before));
  return put_escaped(out, text);
}

static am_err put_block(am_str *out, const am_table *t, const am_table_block *b) {
  AM_TRY(am_str_printf(out, "\\begin{table}\n\\centering\n\\caption{"));
  AM_TRY(put_escaped(out, t->title));
  AM_TRY(put_cell(out, ": ", b->split));
  if (*b->model) AM_TRY(put_cell(out, ", ", b->model));
  for (int64_t i = 0; i < t->facts.count; i++) AM_TRY(put_cell(out, i ? "; " : ". ", t->facts.text[i]));
  AM_TRY(am_str_printf(out, ".}\n\\begin{tabular}{llrr%sl}\n\\toprule\narm & metric & published",
                       t->has_versus ? "r" : ""));
  AM_TRY(put_cell(out, " & ", t->ours_head));
  if (t->has_versus) AM_TRY(put_cell(out, " & ", t->versus_head));
  AM_TRY(am_str_printf(out, " & verdict \\\\\n\\midrule\n"));
  for (int64_t i = 0; i < b->count; i++) {
    const am_table_line *l = &b->line[i];
    AM_TRY(put_cell(out, "", l->new_arm ? l->arm : ""));
    AM_TRY(put_cell(out, " & ", l->metric));
    AM_TRY(put_cell(out, " & ", l->published));
    AM_TRY(put_cell(out, " & ", l->ours));
    if (t->has_versus) AM_TRY(put_cell(out, " & ", l->versus));
    AM_TRY(put_cell(out, " & ", l->verdict));
    AM_TRY(am_str_printf(out, " \\\\\n"));
  }
  return am_str_printf(out, "\\bottomrule\n\\end{tabular}\n\\end{table}\n");
}

static am_err put_spent(am_str *out, const am_table *t) {
  if (t->spent_count == 0) return AM_OK;
  AM_TRY(am_str_printf(out, "\\begin{table}\n\\centering\n\\caption{"));
  AM_TRY(put_escaped(out, t->title));
  AM_TRY(am_str_printf(out, ": spent by each training (means; device-hours).}\n\\begin{tabular}{ll"));
  for (int c = 0; c < t->spent_columns; c++) AM_TRY(am_str_printf(out, "r"));
  AM_TRY(am_str_printf(out, "}\n\\toprule\narm & model"));
  for (int c = 0; c < t->spent_columns; c++) AM_TRY(put_cell(out, " & ", am_spent_head[c]));
  AM_TRY(am_str_printf(out, " \\\\\n\\midrule\n"));
  for (int64_t i = 0; i < t->spent_count; i++) {
    AM_TRY(put_cell(out, "", t->spent[i].arm));
    AM_TRY(put_cell(out, " & ", t->spent[i].model));
    for (int c = 0; c < t->spent_columns; c++) AM_TRY(put_cell(out, " & ", t->spent[i].cell[c]));
    AM_TRY(am_str_printf(out, " \\\\\n"));
  }
  return am_str_printf(out, "\\bottomrule\n\\end{tabular}\n\\end{table}\n");
}

am_err am_table_to_latex(const am_table *t, am_str *out) {
  AM_TRY(am_str_printf(out, "%% needs \\usepackage{booktabs}\n"));
  for (int64_t b = 0; b < t->block_count; b++) AM_TRY(put_block(out, t, &t->block[b]));
  AM_TRY(put_spent(out, t));
  for (int64_t i = 0; i < t->trouble.count; i++) AM_TRY(am_str_printf(out, "%% %s\n", t->trouble.text[i]));
  for (int64_t i = 0; i < t->notes.count; i++) AM_TRY(am_str_printf(out, "%% note: %s\n", t->notes.text[i]));
  return AM_OK;
}
