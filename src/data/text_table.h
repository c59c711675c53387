// Text files that come with image sets: the classes of a set, and which class each file of a flat folder shows.
//
// Foreign bytes: at most AM_TEXT_TABLE_BYTES, lines that end with or without a carriage return, empty lines
// passed over, no zero bytes. Nothing is copied: rows point into the text, which is cut up in place.
#ifndef AM_DATA_TEXT_TABLE_H
#define AM_DATA_TEXT_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { AM_TEXT_TABLE_BYTES = 1 << 28 };

typedef struct {
  const char *key;    // in the table's text
  const char *value;  // likewise, NULL: the line has one column
  int64_t line;       // from 1
} am_text_row;

typedef struct {
  char *text;        // owned
  am_text_row *row;  // owned
  int64_t count, capacity;
} am_text_table;
void am_text_table_fini(am_text_table *t);

// A line of a list of classes: FOLDER, or FOLDER and its words: "n01440764<tab or blank>tench, Tinca tinca". The
// value is the words as they stand. (Tiny ImageNet's wnids.txt and words.txt, Kaggle's LOC_synset_mapping.txt.)
AM_MUST_USE am_err am_class_table_parse(const char *name, const char *text, size_t bytes, am_text_table *out);

// A line of a list of labels: FILE and CLASS, cut at tabs, else at commas, else at blanks; further columns are
// passed over. FILE's folders are passed over too. A list with one column gives the classes of all files, in the
// byte order of their names: every value is then NULL and every key a class. Rows are sorted by file.
// (Tiny ImageNet's val_annotations.txt, Kaggle's LOC_val_solution.csv, Caffe's val.txt.)
// Errors: AM_ERR_DATA one and two columns mixed, a file with two classes (names both lines).
AM_MUST_USE am_err am_label_table_parse(const char *name, const char *text, size_t bytes, am_text_table *out);
// The class of a file, with or without the ending of its name in the table; NULL: it is not listed.
const char *am_label_table_find(const am_text_table *t, const char *file);

#endif
