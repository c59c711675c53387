// The result table as its readers see it: rows grouped by split and model, numbers as text, what is
// missing and why. Text, Markdown, LaTeX and HTML are renderings of this; CSV is /rows itself.
#ifndef AM_REPORT_TABLE_H
#define AM_REPORT_TABLE_H

#include <stdbool.h>

#include "base/str.h"
#include "report/results.h"

enum { AM_TABLE_CELL = 64 };
typedef struct {
  const char *arm, *metric, *verdict;  // borrowed from /rows
  bool new_arm;                        // first line of its arm in the block
  char published[AM_TABLE_CELL];       // "0.5"; "" when nothing was published
  char ours[AM_TABLE_CELL];            // "0.5241 ± 0.0312"
  char versus[AM_TABLE_CELL];          // "+0.041 [+0.002, +0.080]"
} am_table_line;

typedef struct {
  const char *split, *model;  // borrowed
  am_table_line *line;        // owned
  int64_t count, capacity;
} am_table_block;

// What an arm spent, a mean over its trained cells: epochs, steps, device-hours of training, of the
// generators it needs, of their pools; in a comparison where its values were taken ("" : at the end).
enum { AM_SPENT_EPOCHS, AM_SPENT_STEPS, AM_SPENT_TRAIN, AM_SPENT_FIT, AM_SPENT_GENERATE, AM_SPENT_TAKEN, AM_SPENT_COLUMNS };
extern const char *const am_spent_head[AM_SPENT_COLUMNS];
typedef struct {
  const char *arm, *model;  // borrowed
  char cell[AM_SPENT_COLUMNS][AM_TABLE_CELL];
} am_spent_line;

typedef struct {
  char **text;  // owned
  int64_t count, capacity;
} am_text_list;

typedef struct {
  bool tiny;
  char *title;            // owned: "cows-horses-table1 (P4, Table I)", with TINY RUN when it is one
  const char *question;   // borrowed
  bool has_versus;        // any line has a paired difference
  const char *ours_head;  // what stands behind the ± signs
  char *versus_head;      // owned: "vs original [95 %]"
  am_table_block *block;  // owned
  int64_t block_count, block_capacity;
  am_spent_line *spent;  // owned: arms with trained cells
  int64_t spent_count, spent_capacity;
  int spent_columns;     // AM_SPENT_COLUMNS, or one less where nothing was taken early
  am_text_list facts;    // seeds, draws, cells missing and failed
  am_text_list trouble;  // one line for each cell that is not done
  am_text_list notes;    // of the experiment, then of arms
} am_table;

AM_MUST_USE am_err am_table_new(am_results *r, am_table **out);
void am_table_free(am_table *t);

// What tiny means, said wherever a tiny table is shown.
#define AM_TINY_WARNING "TINY RUN: shows that it works, not what it shows"

AM_MUST_USE am_err am_table_to_text(const am_table *t, am_str *out);  // at most 110 columns
AM_MUST_USE am_err am_table_to_markdown(const am_table *t, am_str *out);
AM_MUST_USE am_err am_table_to_latex(const am_table *t, am_str *out);  // needs booktabs
AM_MUST_USE am_err am_rows_to_csv(const am_frame *rows, am_str *out);
// One self-contained page: the table, curves, confusion matrices, image sheets, cost, provenance.
AM_MUST_USE am_err am_results_to_html(am_results *r, const am_table *t, am_str *out);

#endif
