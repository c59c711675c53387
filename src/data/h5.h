// A thin layer over HDF5: small files built whole in memory and published atomically; foreign files
// read with every type and size checked. HDF5's errors become am_err, its plug-ins are switched off.
//
// What is written: contiguous, unfiltered, little-endian data sets, fixed-length UTF-8 text, no
// timestamps, so that equal calls give equal bytes and any HDF5 tool reads them (format of HDF5 1.8).
// What is read: data sets of the expected element type and rank reached through hard links only; no
// links to other files, no external or virtual storage, at most max(file size, 1 GiB) per array.
//
// Paths are relative to the root: "cells/id"; "" is the root. Thread-safe: HDF5 itself is not, so one
// lock guards every call.
#ifndef AM_DATA_H5_H
#define AM_DATA_H5_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { AM_H5_DIMS = 4 };
typedef enum {
  AM_H5_U8,
  AM_H5_I32,
  AM_H5_U32,
  AM_H5_I64,
  AM_H5_U64,
  AM_H5_F32,
  AM_H5_F64,
  AM_H5_TEXT
} am_h5_type;
const char *am_h5_type_name(am_h5_type type);  // "i64", "text"

typedef struct am_h5 am_h5;
AM_MUST_USE am_err am_h5_create(am_h5 **out);  // empty, in memory
// Errors: AM_ERR_IO missing or unreadable, AM_ERR_DATA not an HDF5 file, truncated.
AM_MUST_USE am_err am_h5_open(const char *path, am_h5 **out);  // to read
void am_h5_close(am_h5 *f);
// Writes the file beside its target, fsyncs, renames; after that f can only be closed (or published
// again, elsewhere). Errors: AM_ERR_IO; the target is then as before.
AM_MUST_USE am_err am_h5_publish(am_h5 *f, const char *path);

// ---- writing: groups on the way are made ----
AM_MUST_USE am_err am_h5_put_group(am_h5 *f, const char *path);
AM_MUST_USE am_err am_h5_put(am_h5 *f, const char *path, am_h5_type type, int ndim, const int64_t *dim,
                             const void *data);
// An array of one dimension that is too large to copy: `data` is borrowed until the file is published.
// One in a file.
AM_MUST_USE am_err am_h5_put_borrowed(am_h5 *f, const char *path, am_h5_type type, int64_t count,
                                      const void *data);
// A column of text, padded with zeros to the longest entry (at least one byte).
AM_MUST_USE am_err am_h5_put_text(am_h5 *f, const char *path, const char *const *text, int64_t count);
// Attributes of the object at `path`.
AM_MUST_USE am_err am_h5_put_attr_i64(am_h5 *f, const char *path, const char *name, int64_t value);
AM_MUST_USE am_err am_h5_put_attr_i64s(am_h5 *f, const char *path, const char *name, const int64_t *value,
                                       int64_t count);
AM_MUST_USE am_err am_h5_put_attr_text(am_h5 *f, const char *path, const char *name, const char *value);
AM_MUST_USE am_err am_h5_put_attr_texts(am_h5 *f, const char *path, const char *name, const char *const *text,
                                        int64_t count);

// ---- reading. Errors: AM_ERR_DATA with file, object and what was expected ----
typedef struct {
  am_h5_type type;
  int ndim;
  int64_t dim[AM_H5_DIMS];
  int64_t count;       // elements
  int64_t item_bytes;  // text: length of an entry
} am_h5_info;
bool am_h5_has(am_h5 *f, const char *path);
bool am_h5_has_attr(am_h5 *f, const char *path, const char *name);
// Type and shape of a data set; AM_ERR_DATA too for types this layer does not know.
AM_MUST_USE am_err am_h5_describe(am_h5 *f, const char *path, am_h5_info *out);
// Names in a group, in byte order; free with am_h5_free_texts.
AM_MUST_USE am_err am_h5_list(am_h5 *f, const char *path, char ***name, int64_t *count);
bool am_h5_is_group(am_h5 *f, const char *path);
// A whole array of this type and rank: *data is heap memory of the caller, info (may be NULL) its shape.
AM_MUST_USE am_err am_h5_get(am_h5 *f, const char *path, am_h5_type type, int ndim, am_h5_info *info,
                             void *data);
AM_MUST_USE am_err am_h5_get_text(am_h5 *f, const char *path, char ***text, int64_t *count);
AM_MUST_USE am_err am_h5_get_attr_i64(am_h5 *f, const char *path, const char *name, int64_t *value);
AM_MUST_USE am_err am_h5_get_attr_i64s(am_h5 *f, const char *path, const char *name, int64_t **value,
                                       int64_t *count);
AM_MUST_USE am_err am_h5_get_attr_text(am_h5 *f, const char *path, const char *name, char **value);
AM_MUST_USE am_err am_h5_get_attr_texts(am_h5 *f, const char *path, const char *name, char ***text,
                                        int64_t *count);
void am_h5_free_texts(char **text, int64_t count);
// Where in the file the bytes of a contiguous data set begin; -1 when they are not in one run.
AM_MUST_USE am_err am_h5_offset(am_h5 *f, const char *path, int64_t *offset);

#endif
