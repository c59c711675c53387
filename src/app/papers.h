// Which experiment reproduces which table or figure: experiments/papers.yaml lists what the papers have, and an
// experiment says in its `paper: {id, where}` what it is.
#ifndef AM_APP_PAPERS_H
#define AM_APP_PAPERS_H

#include <stdio.h>

#include "config/node.h"

// "Table I", "figure8a", "Tables 2, 12": Roman and Arabic numbers alike, spaces, "/", "-" and "_" alike.
typedef struct {
  bool figure;
  int number;
  char part;  // 'a' of "Figure 8a"; 0: the whole
} am_place;
enum { AM_PLACES_MAX = 32 };
typedef struct {
  am_place at[AM_PLACES_MAX];
  int count;
} am_places;
// False: text is no such list.
bool am_places_parse(const char *text, am_places *out);

// One line of the index: a table or figure, or a few that go together. Text is borrowed from the index.
typedef struct {
  const char *paper, *where, *what;
  const char *with;   // the one whose results hold it; "" when it has its own
  const char *shows;  // why there is nothing to run; "" when there is
  am_places places;
  char **file;  // owned: experiments that say so, from the current folder
  int64_t file_count, file_capacity;
} am_paper_item;

typedef struct {
  am_node *index;       // owned
  char *dir;            // owned: of the experiments
  am_paper_item *item;  // owned; papers in the order of the index
  int64_t count, capacity;
} am_papers;

// Errors: AM_ERR_CONFIG no index, or a mistake in it. An experiment that cannot be read is warned about.
AM_MUST_USE am_err am_papers_load(am_papers *out);
void am_papers_fini(am_papers *p);

// *file = the experiment for "P4/table1". *item: what was asked for. Errors: AM_ERR_CONFIG no such table, planned, or
// nothing to run: each says what there is.
AM_MUST_USE am_err am_papers_find(const am_papers *p, const char *text, const am_paper_item **item,
                                  const char **file);

// Every line, or those of one paper (paper NULL: all), for people; as the table of experiments/README.md.
AM_MUST_USE am_err am_papers_print(const am_papers *p, const char *paper, FILE *out);
void am_papers_print_markdown(const am_papers *p, FILE *out);

#endif
