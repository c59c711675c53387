// The result table for a terminal.
#include <string.h>

#include "base/num.h"
#include "report/table.h"

enum { ARM, METRIC, PUBLISHED, OURS, VERSUS, VERDICT, COLUMNS };
enum { LINE = 110, GAP = 2, MOST_TROUBLE = 20 };

// Columns of width 0 are left out. Stacked: arms stand on lines of their own, because the longest
// would not fit beside its numbers.
typedef struct {
  int width[COLUMNS];
  bool stacked;
} layout;

// Characters, not bytes: every byte but UTF-8's continuation bytes.
static int width_of(const char *text) {
  int n = 0;
  for (; *text; text++) n += ((unsigned char)*text & 0xc0) != 0x80;
  return n;
}

static am_err put_cell(am_str *out, const char *text, int width, bool right) {
  int pad = width - width_of(text);
  if (pad < 0) pad = 0;
  AM_TRY(am_str_printf(out, "%*s%s%*s", right ? pad : 0, "", text, right ? 0 : pad, ""));
  return AM_OK;
}

static void trim_right(am_str *out) {
  while (out->length > 0 && out->text[out->length - 1] == ' ') out->text[--out->length] = '\0';
}

static am_err put_row(am_str *out, const char *const cell[COLUMNS], const layout *l) {
  if (l->stacked && *cell[ARM]) AM_TRY(am_str_printf(out, "%*s%s\n", GAP, "", cell[ARM]));
  if (l->stacked) AM_TRY(am_str_printf(out, "%*s", GAP, ""));
  for (int c = l->stacked ? METRIC : ARM; c < COLUMNS; c++) {
    if (l->width[c] == 0) continue;
    AM_TRY(am_str_printf(out, "%*s", GAP, ""));
    AM_TRY(put_cell(out, cell[c], l->width[c], c == PUBLISHED));
  }
  trim_right(out);
  return am_str_printf(out, "\n");
}

static void cells_of(const am_table_line *l, const char *cell[COLUMNS]) {
  cell[ARM] = l->new_arm ? l->arm : "";
  cell[METRIC] = l->metric;
  cell[PUBLISHED] = l->published;
  cell[OURS] = l->ours;
  cell[VERSUS] = l->versus;
  cell[VERDICT] = l->verdict;
}

// Widths over all blocks, so that they line up; columns that hold nothing disappear.
static layout measure(const am_table *t, const char *const head[COLUMNS]) {
  layout l = {0};
  for (int64_t b = 0; b < t->block_count; b++) {
    for (int64_t i = 0; i < t->block[b].count; i++) {
      const char *cell[COLUMNS];
      cells_of(&t->block[b].line[i], cell);
      for (int c = 0; c < COLUMNS; c++) {
        int w = width_of(cell[c]);
        if (w > l.width[c]) l.width[c] = w;
      }
    }
  }
  int total = 0;
  for (int c = 0; c < COLUMNS; c++) {
    if (l.width[c] > 0 && width_of(head[c]) > l.width[c]) l.width[c] = width_of(head[c]);
    if (l.width[c] > 0) total += GAP + l.width[c];
  }
  l.stacked = total > LINE;
  return l;
}

// Words from column `indent` on, broken before column LINE.
static am_err put_paragraph(am_str *out, const char *mark, const char *text) {
  int indent = width_of(mark), column = indent;
  AM_TRY(am_str_printf(out, "%s", mark));
  while (*text) {
    int bytes = (int)strcspn(text, " "), shown = 0;
    for (int i = 0; i < bytes; i++) shown += ((unsigned char)text[i] & 0xc0) != 0x80;
    if (column > indent && column + 1 + shown > LINE) {
      AM_TRY(am_str_printf(out, "\n%*s", indent, ""));
      column = indent;
    }
    AM_TRY(am_str_printf(out, "%s%.*s", column > indent ? " " : "", bytes, text));
    column += shown + (column > indent);
    text += bytes;
    text += strspn(text, " ");
  }
  return am_str_printf(out, "\n");
}

static am_err put_block(am_str *out, const am_table_block *b, const char *const head[COLUMNS],
                        const layout *l) {
  AM_TRY(am_str_printf(out, "\n%s%s%s\n", b->split, *b->model ? ", " : "", b->model));
  AM_TRY(put_row(out, head, l));
  for (int64_t i = 0; i < b->count; i++) {
    const char *cell[COLUMNS];
    cells_of(&b->line[i], cell);
    AM_TRY(put_row(out, cell, l));
  }
  return AM_OK;
}

static int price_width(int column) { return (int)am_max_i64(7, width_of(am_spent_head[column])); }

// A line of the table of prices; its head where l is NULL. Arm and model stand above where they are too wide.
static am_err put_prices(am_str *out, const am_spent_line *l, int columns, int arm, int model) {
  int width = arm + model + 2 * GAP;
  for (int c = 0; c < columns; c++) width += GAP + price_width(c);
  AM_TRY(am_str_printf(out, "%*s", GAP, ""));
  AM_TRY(put_cell(out, l ? l->arm : "arm", arm, false));
  AM_TRY(am_str_printf(out, "%*s", GAP, ""));
  AM_TRY(put_cell(out, l ? l->model : "model", model, false));
  if (width > LINE) {
    trim_right(out);
    AM_TRY(am_str_printf(out, "\n%*s", GAP, ""));
  }
  for (int c = 0; c < columns; c++) {
    AM_TRY(am_str_printf(out, "%*s", GAP, ""));
    AM_TRY(put_cell(out, l ? l->cell[c] : am_spent_head[c], price_width(c), true));
  }
  trim_right(out);
  return am_str_printf(out, "\n");
}

static am_err put_spent(am_str *out, const am_table *t) {
  int64_t arm = 0, model = 0;
  if (t->spent_count == 0) return AM_OK;
  for (int64_t i = 0; i < t->spent_count; i++) {
    arm = am_max_i64(arm, width_of(t->spent[i].arm));
    model = am_max_i64(model, width_of(t->spent[i].model));
  }
  AM_TRY(am_str_printf(out, "\nspent by each training (means; device-hours)\n"));
  for (int64_t i = -1; i < t->spent_count; i++)
    AM_TRY(put_prices(out, i < 0 ? NULL : &t->spent[i], t->spent_columns, (int)arm, (int)model));
  return AM_OK;
}

am_err am_table_to_text(const am_table *t, am_str *out) {
  const char *head[COLUMNS] = {"arm", "metric", "published", t->ours_head, t->versus_head, "verdict"};
  layout l = measure(t, head);
  if (l.stacked) head[ARM] = "";
  AM_TRY(put_paragraph(out, "", t->title));
  if (*t->question) AM_TRY(put_paragraph(out, "", t->question));
  for (int64_t i = 0; i < t->facts.count; i++) AM_TRY(put_paragraph(out, "", t->facts.text[i]));
  for (int64_t b = 0; b < t->block_count; b++) AM_TRY(put_block(out, &t->block[b], head, &l));
  if (t->block_count == 0) AM_TRY(am_str_printf(out, "\nnothing has been measured yet\n"));
  AM_TRY(put_spent(out, t));
  if (t->trouble.count + t->notes.count) AM_TRY(am_str_printf(out, "\n"));
  for (int64_t i = 0; i < t->trouble.count && i < MOST_TROUBLE; i++) {
    AM_TRY(put_paragraph(out, "  ! ", t->trouble.text[i]));
  }
  if (t->trouble.count > MOST_TROUBLE) {
    AM_TRY(am_str_printf(out, "  ! and %lld more; report.html lists all\n",
                         (long long)(t->trouble.count - MOST_TROUBLE)));
  }
  for (int64_t i = 0; i < t->notes.count; i++) AM_TRY(put_paragraph(out, "  note: ", t->notes.text[i]));
  return AM_OK;
}
