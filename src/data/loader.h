// The training loader: epoch order, prefetching workers, exact position for resume.
//
// Order of epoch e: the permutation of stream (seed, AM_RNG_ORDER, e), or weighted draws with
// replacement. Batches are consecutive; the last one may be short (or is dropped). A batch is
// delivered as f32 (n, c, h, w) host memory, transformed by `transform`, or as what the first half of it gives, from which
// a device makes the same floats (tensor/augment.h); and the same for any number of workers. The transform's stream is
// epoch * 2^32 + item; with weights, where an item may come twice in an epoch, it is epoch * 2^32 + place in the epoch.
#ifndef AM_DATA_LOADER_H
#define AM_DATA_LOADER_H

#include "data/dataset.h"

// Memory of one worker that is used for one image after the other; starts as {0}.
typedef struct {
  am_image fetched, image[2];
  am_scratch resize, floats;
} am_transform_work;
void am_transform_work_fini(am_transform_work *w);

// Turns one item into floats. Pure: may depend on (epoch, item) only through `stream`.
typedef struct {
  // -> f32 (c, out_h, out_w)
  AM_MUST_USE am_err (*apply)(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                              am_transform_work *work, float *out);
  const void *user;  // borrowed; thread-safe
  int64_t out_height, out_width;
  bool as_stored;  // takes files as they are; else `image` has the data set's size
  // The same as two halves. draw -> u8 (h, w, c), `bytes` of them, and `params` parameters; from these a device that runs
  // `program` (borrowed; tensor/augment.h) makes what apply gives. NULL: whole only, for the sake of the op host_only, if any.
  AM_MUST_USE am_err (*draw)(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                             am_transform_work *work, uint8_t *bytes, float *param);
  int64_t bytes, params;
  const struct am_augment_program *program;
  const char *host_only;
} am_transform;
// Item i of a data set through a transform.
AM_MUST_USE am_err am_transform_item(const am_transform *t, am_dataset *d, int64_t i, uint64_t seed,
                                     uint64_t stream, am_transform_work *work, float *out);

typedef struct {
  int64_t batch_size;
  bool shuffle, drop_last;
  uint64_t seed;
  int workers;           // 0: in the caller's thread
  const double *weight;  // borrowed, read by am_loader_new only: per item; NULL: every item once
  am_transform transform;
  bool for_device;  // only the first half of `transform`, which has one
  // Which rows of a batch of `count` this rank needs: [*first, *end) is preset to all. The pixels of
  // other rows are not loaded; their labels and items are there. NULL: all rows.
  void (*rows)(const void *user, int64_t count, int64_t *first, int64_t *end);
  const void *rows_user;  // borrowed
} am_loader_cfg;

typedef struct {
  // Borrowed until the next call.
  float *image;    // (count, c, h, w); NULL for_device
  uint8_t *bytes;  // for_device: (count, transform.bytes), else NULL
  float *param;    // for_device: (count, transform.params), else NULL
  int32_t *label;  // (count)
  int64_t *item;   // (count) indices into the data set
  int64_t count;
  int64_t epoch, step;  // step within the epoch
  bool last;            // of the epoch
} am_batch;

typedef struct am_loader am_loader;
AM_MUST_USE am_err am_loader_new(am_dataset *d /* borrowed */, const am_loader_cfg *cfg, am_loader **out);
void am_loader_free(am_loader *l);
int64_t am_loader_steps(const am_loader *l);  // batches per epoch
// Starts at (epoch, step): training calls it once, and again after a resume.
AM_MUST_USE am_err am_loader_seek(am_loader *l, int64_t epoch, int64_t step);
// The next batch, across epoch borders without end. An image that cannot be read fails the batch it
// is in, and asking again gives the same error.
AM_MUST_USE am_err am_loader_next(am_loader *l, am_batch *out);

#endif
