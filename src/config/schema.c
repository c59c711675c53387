// A schema as a table for people: what `augmint schema` prints.
#include <string.h>

#include "config/bind.h"

enum { KEY, TYPE, DEFAULT, RANGE, COLUMNS, CELL = 64, LINE = 110, GAP = 2 };

typedef struct {
  char cell[COLUMNS][CELL];
} table_row;

static table_row row_of(const am_field *f) {
  static const char *const type_name[] = {[AM_FIELD_I64] = "integer",
                                          [AM_FIELD_F64] = "number",
                                          [AM_FIELD_BOOL] = "true|false",
                                          [AM_FIELD_STR] = "text",
                                          [AM_FIELD_CHOICE] = "word"};
  table_row r = {0};
  char lo[AM_NUMBER_TEXT], hi[AM_NUMBER_TEXT];
  double x;
  const char *def = f->default_text;
  snprintf(r.cell[KEY], CELL, "%s", f->name);
  snprintf(r.cell[TYPE], CELL, "%s", type_name[f->type]);
  snprintf(r.cell[DEFAULT], CELL, "%s", !def ? "required" : *def ? def : "\"\"");
  bool is_number = f->type == AM_FIELD_I64 || f->type == AM_FIELD_F64;
  if (def && is_number && am_text_is_number(def, &x))
    snprintf(r.cell[DEFAULT], CELL, "%s", am_number_text(x, lo));
  if (is_number) {
    snprintf(r.cell[RANGE], CELL, "%s..%s%s%s", am_number_text(f->min, lo), am_number_text(f->max, hi),
             *f->unit ? " " : "", f->unit);
  }
  return r;
}

static void widen(int width[COLUMNS], const table_row *r) {
  for (int c = 0; c < COLUMNS; c++) {
    int n = (int)strlen(r->cell[c]);
    if (n > width[c]) width[c] = n;
  }
}

// Words of `text` from column `indent` on, broken before column LINE.
static am_err put_wrapped(const char *text, int indent, am_str *out) {
  int column = indent;
  while (*text) {
    int n = (int)strcspn(text, " ");
    if (column > indent && column + 1 + n > LINE) {
      AM_TRY(am_str_printf(out, "\n%*s", indent, ""));
      column = indent;
    }
    AM_TRY(am_str_printf(out, "%s%.*s", column > indent ? " " : "", n, text));
    column += n + (column > indent);
    text += n;
    while (*text == ' ') text++;
  }
  return am_str_printf(out, "\n");
}

static am_err put_row(const table_row *r, const int width[COLUMNS], const char *doc, am_str *out) {
  int indent = GAP;
  AM_TRY(am_str_printf(out, "%*s", GAP, ""));
  for (int c = 0; c < COLUMNS; c++) {
    AM_TRY(am_str_printf(out, "%-*s%*s", width[c], r->cell[c], GAP, ""));
    indent += width[c] + GAP;
  }
  return put_wrapped(doc, indent, out);
}

am_err am_schema_print(const am_schema *schema, am_str *out) {
  const table_row head = {{"key", "type", "default", "range"}};
  int width[COLUMNS] = {0};
  widen(width, &head);
  for (int i = 0; i < schema->field_count; i++) {
    table_row r = row_of(&schema->field[i]);
    widen(width, &r);
  }
  AM_TRY(am_str_printf(out, "%s: %s\n", schema->name, schema->doc));
  AM_TRY(put_row(&head, width, "meaning", out));
  for (int i = 0; i < schema->field_count; i++) {
    const am_field *f = &schema->field[i];
    table_row r = row_of(f);
    am_str doc = {0};
    am_err err = f->type == AM_FIELD_CHOICE ? am_str_printf(&doc, "%s: %s", f->choices, f->doc)
                                            : am_str_printf(&doc, "%s", f->doc);
    if (err == AM_OK) err = put_row(&r, width, am_str_get(&doc), out);
    am_str_fini(&doc);
    AM_TRY(err);
  }
  return AM_OK;
}
