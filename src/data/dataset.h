// A data set: a fixed sequence of labelled images, ready for training. Whatever the source (packed shards,
// several of them, a subset), training sees this table. Its images have one size, which those that
// are stored as files of any size get when they are fetched.
#ifndef AM_DATA_DATASET_H
#define AM_DATA_DATASET_H

#include "data/fit.h"
#include "data/shard.h"

typedef struct am_dataset am_dataset;
void am_dataset_free(am_dataset *d);
int64_t am_dataset_count(const am_dataset *d);
int64_t am_dataset_classes(const am_dataset *d);
const char *am_dataset_class_name(const am_dataset *d, int64_t k);
int32_t am_dataset_label(const am_dataset *d, int64_t i);
// Height, width, channels of the images (all equal).
void am_dataset_image_shape(const am_dataset *d, int64_t *height, int64_t *width, int64_t *channels);
// Pixels of image i as u8 HWC into a caller's buffer of height*width*channels. Thread-safe.
AM_MUST_USE am_err am_dataset_pixels(am_dataset *d, int64_t i, uint8_t *out);

// An image where it lies: pixels, or a JPEG or PNG file that is still to be decoded.
typedef struct {
  const char *name;      // borrowed: what holds it, for messages
  const uint8_t *bytes;  // borrowed: u8 (height, width, channels), or the file
  size_t count;
  bool encoded;
  int64_t width, height;  // of pixels; 0 of a file
  int64_t channels;       // of pixels; of a file what is wanted of it: 3, or 1 for grey
} am_stored;
am_stored am_stored_pixels(const char *name, const am_image *image);  // borrows both
// Image i without a copy where it can be. as_stored: a file comes as it is; else as pixels of the data set's
// size. What *out borrows is valid until the data set is freed or `memory` ({0} at first) changes. Thread-safe.
AM_MUST_USE am_err am_dataset_fetch(am_dataset *d, int64_t i, bool as_stored, am_image *memory,
                                    am_stored *out);

// Sources. Each takes what it is given: the result owns it.
// fit: what files of any size become; may be NULL for shards whose images have one size.
AM_MUST_USE am_err am_dataset_from_shards(const char *path, const am_image_fit *fit, am_dataset **out);
// Items base[index[0]], base[index[1]], ... (indices may repeat: duplicates as a control).
AM_MUST_USE am_err am_dataset_subset(am_dataset *base_take, const int64_t *index, int64_t count,
                                     am_dataset **out);
// One after the other; classes and sizes must agree (AM_ERR_DATA names both).
AM_MUST_USE am_err am_dataset_concat(am_dataset *const *part_take, int64_t count, am_dataset **out);

#endif
