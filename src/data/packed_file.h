// The bytes of a packed file, plain or gzip. Plain files stay where they are and are read in pieces;
// a compressed one is unpacked into memory once its size is known from its own header.
//
// Foreign bytes: nothing is allocated that the file is too small to fill (deflate packs at most 1032
// to one), a compressed file is at most 1 GiB and unpacks to at most 2 GiB, and what is left
// over at the end is an error.
#ifndef AM_DATA_PACKED_FILE_H
#define AM_DATA_PACKED_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct {
  char *name;     // owned: the path, for messages
  int fd;         // -1: in memory
  uint8_t *held;  // owned or NULL: the file as stored, later its content
  int64_t bytes;  // of the file as stored; once am_packed_file_expect has passed, of the content
  bool gzip;      // still compressed
} am_packed_file;

// *found = heap name of the file that is there: `path`, or else `path`.gz, or NULL.
AM_MUST_USE am_err am_packed_file_find(const char *path, char **found);
// With may_be_gzip the first two bytes decide whether it is compressed. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_packed_file_open(const char *path, bool may_be_gzip, am_packed_file *out);
// A copy of bytes in memory.
AM_MUST_USE am_err am_packed_file_copy(const char *name, const void *bytes, size_t count, bool may_be_gzip,
                                       am_packed_file *out);
void am_packed_file_fini(am_packed_file *f);

// The first `count` bytes of the content. Errors: AM_ERR_DATA there are fewer, or they do not unpack.
AM_MUST_USE am_err am_packed_file_head(const am_packed_file *f, size_t count, void *out);
// The content must be exactly so many bytes, for the reason `why` ("its header says 60000 x 28 x 28").
// A compressed file is unpacked here. Errors: AM_ERR_DATA with both sizes; AM_ERR_NOMEM.
AM_MUST_USE am_err am_packed_file_expect(am_packed_file *f, int64_t bytes, const char *why);
// Bytes at .. at + count of the content, which expect has measured. Thread-safe.
AM_MUST_USE am_err am_packed_file_read(const am_packed_file *f, int64_t at, size_t count, void *out);

#endif
