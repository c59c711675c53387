// Shared by h5.c (files), h5_write.c and h5_read.c.
#ifndef AM_DATA_H5_INTERNAL_H
#define AM_DATA_H5_INTERNAL_H

#include <hdf5.h>

#include "data/h5.h"

// The bytes of a file that is built in memory; HDF5 leaves them to us when it closes the file. One array
// may lie elsewhere: its place in the image is a hole whose pages are never touched.
typedef struct {
  uint8_t *image;  // owned once the file is closed
  size_t bytes, room;
  const void *array;  // borrowed; NULL: none
  size_t array_at, array_bytes;
} am_h5_memory;

struct am_h5 {
  hid_t file;
  am_h5_memory memory;
  char *path;          // owned: for messages; "(memory)" while it is built
  int64_t file_bytes;  // of a file that is read
};

// One lock for the library, taken by every public function of the layer.
void am_h5_lock(void);
void am_h5_unlock(void);
// HDF5 forgets why a call failed at the next call: am_h5_noted keeps the reason when `good` is false
// (and returns good), am_h5_reason gives the newest one; borrowed, valid while the lock is held.
bool am_h5_noted(bool good);
const char *am_h5_reason(void);
// The type in the file and in memory (not for text).
hid_t am_h5_file_type(am_h5_type type);
hid_t am_h5_memory_type(am_h5_type type);
// "/" for "".
const char *am_h5_object_name(const char *path);

#endif
