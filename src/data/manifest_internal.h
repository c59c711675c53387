// Shared by manifest.c and manifest_parts.c (what a manifest says), select.c (which part of it), listing.c
// (files in folders), listing_packed.c (images in packed files), file_list.c (hashes, groups) and divide.c
// (seeded splits).
#ifndef AM_DATA_MANIFEST_INTERNAL_H
#define AM_DATA_MANIFEST_INTERNAL_H

#include <regex.h>

#include "data/folder_index.h"
#include "data/manifest.h"

typedef enum {
  AM_LAYOUT_CLASS_FOLDERS,
  AM_LAYOUT_OBJECT_FOLDERS,
  AM_LAYOUT_FLAT,
  AM_LAYOUT_IDX,
  AM_LAYOUT_RECORDS,
  AM_LAYOUT_SIGNS
} am_layout;

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
  const char **file, **label_file;  // owned arrays (file_count): packed files; label_file NULL: no such files
  int64_t file_count;
  const char *label_list;  // borrowed or NULL: flat: the file of the set that says what its files show
  bool unlabelled;         // packed, flat: has no labels
  int64_t images;          // how many it should have; 0: not stated
} am_part;

typedef struct {
  char *name;    // owned: what people call it
  char *folder;  // owned: what the files call it
} am_class_def;

typedef struct {
  const char *file, *kind, *hex;  // borrowed
} am_checksum_def;

struct am_manifest {
  am_node *tree;  // owned; everything borrowed is borrowed from it
  am_manifest_cfg cfg;
  char *name;     // owned
  am_part *part;  // owned
  int64_t part_count;
  am_class_def *class_def;  // owned
  int64_t class_count;      // 0: what class_file lists, or whatever folders there are
  const char *class_file,
      *word_file;          // borrowed or NULL: files of the set that list its classes and their words
  const char **extension;  // owned array; lower case, without the dot
  int64_t extension_count;
  am_packed_cfg packed;
  bool divided;
  am_divide_cfg divide;
  const char **split_name;  // owned array: of the parts, or of the division
  double *fraction;         // owned: of the division
  int64_t split_count;
  am_checksum_def *checksum;  // owned
  int64_t checksum_count;
  const char *cache_dir;  // borrowed; NULL: none
};

// The layout that one of the schema's words names.
am_layout am_layout_of(const char *word);
// Fills m->part, m->packed and, where there are splits, their names; the classes are known.
AM_MUST_USE am_err am_manifest_read_parts(am_manifest *m);
void am_manifest_free_parts(am_manifest *m);
AM_MUST_USE am_err am_manifest_read_checksums(am_manifest *m);  // m->checksum
// A folder or file is named inside the data set's own: where data lie is not a manifest's business.
AM_MUST_USE am_err am_manifest_check_inside(const am_node *node, const char *path);

// True when the pattern matches; the first group is then copied to *out (heap).
AM_MUST_USE am_err am_name_pattern_match(const am_name_pattern *p, const char *name, bool *matches,
                                         char **out);

#define AM_DRAWN_ROOT "(drawn)"  // the root of a list without files

// Room for one more entry, which is empty; valid until the next one is added.
AM_MUST_USE am_err am_file_list_add(am_file_list *list, am_file_entry **out);
// Sorts by label and path and numbers the entries.
void am_file_list_sort(am_file_list *list);
// *out = heap path of a file below cache_dir that remembers `what` of the folder `root`.
AM_MUST_USE am_err am_cache_path(const char *cache_dir, const char *root, const char *what, char **out);
// Every image of the manifest, listed and hashed, gets the split the division puts it in.
AM_MUST_USE am_err am_manifest_divide(const am_manifest *m, am_file_list *list);

// The classes of a manifest as a heap array: what it says, or what is there. Free with am_classes_free.
AM_MUST_USE am_err am_manifest_find_classes(const am_manifest *m, const char *root, am_folder_index *folders,
                                            am_class_def **out, int64_t *count);
void am_classes_free(am_class_def *c, int64_t count);
// Appends the files of one part. label[k] is the label of class k, or -1: its files are left out.
AM_MUST_USE am_err am_part_list(const am_manifest *m, const am_part *part, am_folder_index *folders,
                                const am_class_def *c, int64_t class_count, const int32_t *label,
                                am_file_list *list);
// The same for images in packed files.
AM_MUST_USE am_err am_part_list_packed(const am_manifest *m, const am_part *part, const int32_t *label,
                                       am_file_list *list);
static inline bool am_layout_is_packed(am_layout layout) {
  return layout == AM_LAYOUT_IDX || layout == AM_LAYOUT_RECORDS;
}
// AM_ERR_DATA: there is no WHAT ("file", "folder") MISSING; where the set can be had, and that its files
// belong into `folder`.
am_err am_manifest_fail_missing(const am_manifest *m, const char *what, const char *missing,
                                const char *folder);

#endif
