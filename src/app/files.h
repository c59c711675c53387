// Files that commands read and folders that they write.
#ifndef AM_APP_FILES_H
#define AM_APP_FILES_H

#include <stdbool.h>
#include <stdint.h>

#include "app/command.h"
#include "base/err.h"
#include "data/manifest.h"

// The images that a command works on: those below a folder (.jpg .jpeg .png, any case), as paths below it in
// byte order, or those of a data set in the order of its listing.
typedef struct {
  char **path;  // owned
  int64_t count, capacity;
  char *dir;              // owned: the folder
  am_manifest *manifest;  // owned: the data set, or NULL
  am_file_list list;      // owned: its images
} am_image_files;
// Warns of pictures in forms that are not read here. Errors: AM_ERR_IO the folder cannot be read; AM_ERR_DATA no image
// in it.
AM_MUST_USE am_err am_image_files_find(const char *dir, am_image_files *out);
// What --images or --manifest and --split say; exactly one of the first two. Errors: AM_ERR_CONFIG; as
// am_image_files_find and am_manifest_list.
typedef struct {
  const char *dir, *manifest, *split;
} am_image_choice;
#define AM_IMAGE_OPTIONS(c)                                                                                \
  {"--images", AM_OPTION_TEXT, &(c)->dir, "DIR", "the images (with everything below)"},                    \
      {"--manifest", AM_OPTION_TEXT, &(c)->manifest, "NAME", "or those of a data set, in DATA/<name>/"}, { \
    "--split", AM_OPTION_TEXT, &(c)->split, "NAME", "only this split of the data set"                      \
  }
AM_MUST_USE am_err am_image_files_choose(const am_app *app, const am_image_choice *choice,
                                         am_image_files *out);
void am_image_files_fini(am_image_files *files);
// Image i, RGB. Errors: AM_ERR_DATA naming the file.
AM_MUST_USE am_err am_image_files_read(const am_image_files *files, int64_t i, am_image *out);

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
