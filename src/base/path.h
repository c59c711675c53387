// Files and folders: whole-file reads with a limit, atomic writes, sorted listings.
// Every message names the path. Local; not thread-safe only where a function says so.
#ifndef AM_BASE_PATH_H
#define AM_BASE_PATH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

// AM_ERR_IO "what path: reason" from errno; where permission is missing, who could give it.
am_err am_path_fail(const char *what, const char *path);
// *out = heap "a/b" (just b when a is NULL or empty, or b is absolute).
AM_MUST_USE am_err am_path_join(const char *a, const char *b, char **out);
// The part after the last slash; borrowed from path.
const char *am_path_name(const char *path);
bool am_path_exists(const char *path);
bool am_path_is_dir(const char *path);
// mkdir -p. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_path_mkdirs(const char *path);
// The whole file, with a terminating zero after the last byte; *bytes excludes it.
// Errors: AM_ERR_IO missing or unreadable; AM_ERR_DATA larger than limit_bytes.
AM_MUST_USE am_err am_file_read(const char *path, size_t limit_bytes, char **data, size_t *bytes);
// Writes beside the target, fsyncs, renames: the target holds the old or the new bytes, never half.
AM_MUST_USE am_err am_file_write(const char *path, const void *data, size_t bytes);
// The same of several pieces, one after the other.
typedef struct {
  const void *data;  // borrowed
  size_t bytes;
} am_piece;
AM_MUST_USE am_err am_file_write_pieces(const char *path, const am_piece *piece, int count);
AM_MUST_USE am_err am_path_rename(const char *from, const char *to);  // then syncs the folder of `to`
AM_MUST_USE am_err am_path_remove_tree(const char *path);  // missing is fine; links are not followed
// *bytes = sum of the sizes of all files below a folder (of the file itself); 0 when there is nothing.
AM_MUST_USE am_err am_path_tree_bytes(const char *path, int64_t *bytes);
// The same, and *newest_sec = when anything of it last changed, in seconds since 1970.
AM_MUST_USE am_err am_path_tree_facts(const char *path, int64_t *bytes, double *newest_sec);
AM_MUST_USE am_err am_file_size(const char *path, int64_t *bytes);
AM_MUST_USE am_err am_path_free_bytes(const char *dir, int64_t *bytes);  // of the file system of dir

typedef struct {
  char **name;  // owned; names only, in byte order, without "." and ".."
  int64_t count;
  int64_t capacity;
} am_dir_list;
AM_MUST_USE am_err am_dir_read(const char *path, am_dir_list *out);
void am_dir_list_fini(am_dir_list *list);

#endif
