// Shared by manifest.c (what a manifest says), listing.c (files in folders), file_list.c (hashes, groups)
// and divide.c (seeded splits).
#ifndef AM_DATA_MANIFEST_INTERNAL_H
#define AM_DATA_MANIFEST_INTERNAL_H

#include <regex.h>

#include "data/manifest.h"

typedef enum { AM_LAYOUT_CLASS_FOLDERS, AM_LAYOUT_OBJECT_FOLDERS, AM_LAYOUT_FLAT, AM_LAYOUT_SIGNS } am_layout;

// A regular expression with one group; `text` is empty when there is none.
typedef struct {
  const char *text;  // borrowed
  regex_t compiled;
  bool ready;
} am_name_pattern;

// Files that are arranged alike: the whole set, or one of its splits.
typedef struct {
  const char *split;   // borrowed; NULL: in no split
  const char *folder;  // borrowed
  am_layout layout;
  am_name_pattern class_of, object_of;
} am_part;

typedef struct {
  char *name;    // owned: what people call it
  char *folder;  // owned: what the files call it
} am_class_def;

struct am_manifest {
  am_node *tree;  // owned; everything borrowed is borrowed from it
  am_manifest_cfg cfg;
  char *name;     // owned
  am_part *part;  // owned
  int64_t part_count;
  am_class_def *class_def;  // owned
  int64_t class_count;      // 0: whatever folders there are
  const char **extension;   // owned array; lower case, without the dot
  int64_t extension_count;
  bool divided;
  am_divide_cfg divide;
  const char **split_name;  // owned array: of the parts, or of the division
  double *fraction;         // owned: of the division
  int64_t split_count;
  const char *hash_cache;  // borrowed
};

// True when the pattern matches; the first group is then copied to *out (heap).
AM_MUST_USE am_err am_name_pattern_match(const am_name_pattern *p, const char *name, bool *matches,
                                         char **out);

// An entry appended to a list that is being built; strings are copied.
AM_MUST_USE am_err am_file_list_append(am_file_list *list, int64_t *capacity, const am_file_entry *entry);
// Keeps the entries whose flag is set, in order.
void am_file_list_keep(am_file_list *list, const bool *keep);
// Sorts by label and path and numbers the entries.
void am_file_list_sort(am_file_list *list);
// Sets `group` from labels and objects and, where they are known, hashes.
AM_MUST_USE am_err am_file_list_group(am_file_list *list, bool by_object);
// Every file of the manifest, listed and hashed with groups, gets the split the division puts it in.
AM_MUST_USE am_err am_manifest_divide(const am_manifest *m, am_file_list *list);

// The classes of a manifest as a heap array: what it says, or what is there. Free with am_classes_free.
AM_MUST_USE am_err am_manifest_find_classes(const am_manifest *m, const char *root, am_class_def **out,
                                            int64_t *count);
void am_classes_free(am_class_def *c, int64_t count);
// Appends the files of one part. label[k] is the label of class k, or -1: its files are left out.
AM_MUST_USE am_err am_part_list(const am_manifest *m, const am_part *part, const char *root,
                                const am_class_def *c, int64_t class_count, const int32_t *label,
                                am_file_list *list, int64_t *capacity);

#endif
