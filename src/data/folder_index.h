// Remembers what the folders of a tree hold, so that a large one is read once: a folder that was not touched
// since is not read again. A folder's inode, modification and change time say whether it was.
//
// On disk: a line, then for each folder a record of fixed size, its path below the root and the names in it,
// sorted, each ended by a zero; in the machine's byte order; a sum over all at the end. A file that is not of the
// form is an empty index.
#ifndef AM_DATA_FOLDER_INDEX_H
#define AM_DATA_FOLDER_INDEX_H

#include "base/path.h"

typedef struct am_folder_index am_folder_index;
// path NULL: starts empty. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_folder_index_load(const char *path, am_folder_index **out);
void am_folder_index_free(am_folder_index *x);
// The names in root/folder as am_dir_read gives them. Folders that changed within the last seconds are not
// remembered: they may change again within the clock's step. Errors: those of am_dir_read.
AM_MUST_USE am_err am_folder_index_read(am_folder_index *x, const char *root, const char *folder,
                                        am_dir_list *out);
// Atomic; does nothing when nothing is new.
AM_MUST_USE am_err am_folder_index_save(am_folder_index *x, const char *path);

#endif
