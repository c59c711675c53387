// Online transforms of the training loop, with torchvision's sampling rules on Philox streams.
//
// A pipeline is a list of ops, each {name, schema, apply} on a float image; the ops run in the
// order given and the last step normalises. The 8-bit input is first converted to [0, 1].
#ifndef AM_AUGMENT_AUGMENT_H
#define AM_AUGMENT_AUGMENT_H

#include "base/rng.h"
#include "config/bind.h"
#include "data/loader.h"

// One channel-planar f32 image in [0, 1]: (c, h, w).
typedef struct {
  int64_t channels, height, width;
  float *pixel;     // borrowed scratch; ops may grow it through am_planar_resize
  int64_t capacity; // floats
} am_planar;
AM_MUST_USE am_err am_planar_resize(am_planar *p, int64_t channels, int64_t height, int64_t width);

typedef struct am_augment_op {
  const char *name;          // "horizontal_flip", "random_crop", "rotation", "color_jitter",
                             // "gaussian_blur", "normalize"
  const char *doc;
  const am_schema *schema;
  AM_MUST_USE am_err (*apply)(const void *cfg, am_planar *image, am_planar *scratch, am_rng *rng);
} am_augment_op;
const am_augment_op *const *am_augment_all(void);
const am_augment_op *am_augment_find(const char *name);

typedef struct am_pipeline am_pipeline;
// list: [color_jitter, gaussian_blur, {rotation: {degrees: 15}}, ...] as in an experiment's `augment:`
// (NULL: none). mean/sd per channel are applied last: (x - mean)/sd.
AM_MUST_USE am_err am_pipeline_new(const am_node *list, int64_t channels, int64_t height, int64_t width,
                                   const float *mean, const float *sd, am_pipeline **out);
void am_pipeline_free(am_pipeline *p);
// For am_loader: pure function of (image, seed, stream).
am_transform am_pipeline_transform(const am_pipeline *p);
// Canonical node of the pipeline: every op with every field.
AM_MUST_USE am_err am_pipeline_to_node(const am_node *list, am_node **out);
// One image through the pipeline without normalisation, back to 8 bit (round to nearest): previews.
AM_MUST_USE am_err am_pipeline_preview(const am_pipeline *p, const am_image *in, uint64_t seed, uint64_t stream, am_image *out);

#endif
