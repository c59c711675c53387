// A data set: a fixed sequence of labelled images of one size, ready for training. Whatever the
// source (packed shards, several of them, a subset), training sees this table.
#ifndef AM_DATA_DATASET_H
#define AM_DATA_DATASET_H

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

// Sources. Each takes what it is given: the result owns it.
AM_MUST_USE am_err am_dataset_from_shards(const char *path, am_dataset **out);  // all images of one size
// Items base[index[0]], base[index[1]], ... (indices may repeat: duplicates as a control).
AM_MUST_USE am_err am_dataset_subset(am_dataset *base_take, const int64_t *index, int64_t count,
                                     am_dataset **out);
// One after the other; classes and sizes must agree (AM_ERR_DATA names both).
AM_MUST_USE am_err am_dataset_concat(am_dataset *const *part_take, int64_t count, am_dataset **out);

#endif
