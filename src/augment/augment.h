// Online transforms of the training loop, with torchvision's sampling rules on Philox streams.
//
// A pipeline is a list of ops, each {name, schema, check, apply} on a float image; the ops run in
// the order given and the last step normalises. The 8-bit input is first converted to [0, 1].
// To add an op: its arithmetic in photometric.c or geometric.c, its table entry in ops.c.
#ifndef AM_AUGMENT_AUGMENT_H
#define AM_AUGMENT_AUGMENT_H

#include "base/rng.h"
#include "config/bind.h"
#include "data/loader.h"

enum { AM_AUGMENT_CHANNELS = 3 };  // images have 1 or 3

// One channel-planar f32 image in [0, 1]: (c, h, w).
typedef struct {
  int64_t channels, height, width;
  float *pixel;  // borrowed: scratch with room for the largest image of the pipeline
} am_planar;

typedef struct am_augment_op {
  const char *name;          // "horizontal_flip", "random_crop", "rotation", "color_jitter",
                             // "gaussian_blur", "normalize"
  const char *doc;
  const am_schema *schema;
  // Refuses settings that an image of this size cannot have, and changes the size to that of the
  // result. `where` is the op's place in the experiment. NULL: any size, unchanged.
  AM_MUST_USE am_err (*check)(const void *cfg, const am_node *where, int64_t *height, int64_t *width);
  // Transforms image in place; may use scratch, and exchange its pixels for the image's. NULL: the
  // op is the pipeline's own last step. Cannot fail: what could was refused by check.
  void (*apply)(const void *cfg, am_planar *image, am_planar *scratch, am_rng *rng);
} am_augment_op;
const am_augment_op *const *am_augment_all(void);           // NULL-terminated
const am_augment_op *am_augment_find(const char *name);     // NULL when unknown

typedef struct am_pipeline am_pipeline;
// list: [color_jitter, gaussian_blur, {rotation: {degrees: 15}}, ...] as in an experiment's
// `augment:` (NULL: none); copied. mean and sd (channels values; NULL: 0 and 1) are applied last:
// (x - mean)/sd. `normalize` may stand at the end of the list, as papers print it; that step happens
// with or without it. Errors: AM_ERR_CONFIG with the place in the file.
AM_MUST_USE am_err am_pipeline_new(const am_node *list, int64_t channels, int64_t height, int64_t width,
                                   const float *mean, const float *sd, am_pipeline **out);
void am_pipeline_free(am_pipeline *p);
// For am_loader: pure function of (image, seed, stream), thread-safe. p stays alive as long as it.
// Errors of its apply: AM_ERR_ARG an image of another size than the pipeline's.
am_transform am_pipeline_transform(const am_pipeline *p);
// Canonical node of the pipeline: every op with every field (`normalize`, being implied, left out).
AM_MUST_USE am_err am_pipeline_to_node(const am_node *list, am_node **out);
// One image through the pipeline without normalisation, back to 8 bit (round to nearest): previews.
AM_MUST_USE am_err am_pipeline_preview(const am_pipeline *p, const am_image *in, uint64_t seed, uint64_t stream,
                                       am_image *out);

#endif
