// Shared by listing.c (folders), listing_flat.c (one folder for all classes) and classes.c (which classes there are).
#ifndef AM_DATA_LISTING_INTERNAL_H
#define AM_DATA_LISTING_INTERNAL_H

#include "data/manifest_internal.h"

// Where the files of one class are collected, and what they have in common.
typedef struct {
  const am_manifest *m;
  const am_part *part;
  am_folder_index *folders;
  am_file_list *list;
  int32_t label;
  const char *split, *object;  // in the list's memory, or NULL
} am_collector;

bool am_is_hidden(const char *name);
bool am_is_image_name(const am_manifest *m, const char *name);
// root/path is a folder.
AM_MUST_USE am_err am_is_folder(const char *root, const char *path, bool *is);
// Appends dir/name with its mask and object.
AM_MUST_USE am_err am_collect_file(const am_collector *c, const char *dir, const char *name);

// "006" in a file name is class folder "6": numbers compare without leading zeros.
bool am_same_class_id(const char *a, const char *b);
// The class id a flat file's name carries by the part's pattern (heap); NULL when the part has none.
AM_MUST_USE am_err am_flat_class_id(const am_manifest *m, const am_part *part, const char *root,
                                    const char *name, char **id);
// Appends the images of a flat folder; label[k] as for am_part_list.
AM_MUST_USE am_err am_collect_flat(am_collector *c, const am_class_def *def, int64_t class_count,
                                   const int32_t *label);

#endif
