// Files that commands read and folders that they write.
#ifndef AM_APP_FILES_H
#define AM_APP_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "data/image.h"

// The images below a folder (.jpg .jpeg .png, any case), as paths below it in byte order.
typedef struct {
  char **path;  // owned
  int64_t count, capacity;
} am_image_files;
// Errors: AM_ERR_IO the folder cannot be read; AM_ERR_DATA no image in it.
AM_MUST_USE am_err am_image_files_find(const char *dir, am_image_files *out);
void am_image_files_fini(am_image_files *files);
// Image i, RGB. Errors: AM_ERR_DATA naming the file.
AM_MUST_USE am_err am_image_files_read(const am_image_files *files, const char *dir, int64_t i,
                                       am_image *out);

// A folder that appears whole or not at all: it is filled beside its place and then renamed.
// A folder with something in it is never overwritten; with force it is set aside as PATH.old.
typedef struct {
  char *path;  // owned: where it will be
  char *work;  // owned: where it is filled
} am_output;
// Errors: AM_ERR_IO unwritable, or there is something already.
AM_MUST_USE am_err am_output_begin(const char *path, bool force, am_output *out);
AM_MUST_USE am_err am_output_commit(am_output *out);
// Puts only `name` of what was filled into the place; the rest goes away with am_output_fini.
AM_MUST_USE am_err am_output_commit_child(am_output *out, const char *name);
void am_output_fini(am_output *out);  // removes what was not committed

// Writes "cow/7.png" below the folder, making the folders on the way. Errors: AM_ERR_IO; AM_ERR_DATA
// the name is taken.
AM_MUST_USE am_err am_output_png(const am_output *out, const char *name, const am_image *image);

// A sheet of images of any sizes: each is fitted into a square of `side` px, `columns` in a row.
typedef struct {
  am_image *tile;  // owned
  int64_t count, capacity;
} am_sheet;
AM_MUST_USE am_err am_sheet_add(am_sheet *sheet, const am_image *image, int64_t side);
AM_MUST_USE am_err am_sheet_add_blank(am_sheet *sheet, int64_t side);
// The sheet as one image.
AM_MUST_USE am_err am_sheet_draw(const am_sheet *sheet, int64_t columns, am_image *out);
void am_sheet_fini(am_sheet *sheet);

#endif
