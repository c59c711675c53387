// Online transforms of the training loop, with torchvision's sampling rules on Philox streams.
//
// A pipeline is a list of ops, each {name, schema, check, ...}, run in the order given. An image begins with 8
// bits, as a PIL image does in torchvision; ops that can work on these do (flips, crops, resizes: Pillow's to
// the bit). The first op that computes with colours turns it into floats in [0, 1]. After the last comes
// the normalisation, (x - mean)/sd, and after that the ops that belong on normalised images (random_erasing).
//
// Ops on floats are a step of a program (tensor/augment.h) and a draw of its parameters, so that the first half of a
// pipeline (bytes and draws) may be the host's and the second a device's, with the same bits as on the host alone.
// To add an op: its arithmetic in photometric.c, geometric.c or canvas.c, its settings and its table entry
// in ops_geometry.c or ops_colour.c, a line in ops.c. On floats also: an am_step_kind, its case in apply.c and in the
// kernels of devices, the arithmetic that they share in tensor/augment_rules.h, and pipelines with it in
// tests/ops/test_cuda_augment.c.
#ifndef AM_AUGMENT_AUGMENT_H
#define AM_AUGMENT_AUGMENT_H

#include "augment/canvas.h"
#include "base/rng.h"
#include "config/bind.h"
#include "data/loader.h"
#include "tensor/augment.h"

// One channel-planar f32 image: (c, h, w).
typedef struct {
  int64_t channels, height, width;
  float *pixel;  // borrowed: with room for the largest image of the pipeline
} am_planar;

// What is known about the size of the images between two ops.
typedef struct {
  int64_t height, width;            // of every image, or the least they can be
  bool fixed;                       // every image has this size
  int64_t data_height, data_width;  // the data set's: what size 0 of an op stands for
} am_augment_size;

typedef struct am_augment_op {
  const char *name;  // "horizontal_flip"
  const char *doc;
  const am_schema *schema;
  // Refuses settings that images of this size cannot have, changes the size to that of the result, and
  // may complete cfg. `where` is the op's place in the experiment. NULL: any size, unchanged.
  AM_MUST_USE am_err (*check)(void *cfg, const am_node *where, am_augment_size *size);
  // On 8-bit pixels; used as long as no op before it needed floats. NULL: works on floats only.
  AM_MUST_USE am_err (*apply_bytes)(const void *cfg, am_canvas *image, am_rng *rng);
  // On floats. step: what it computes; the sizes are there, kind, params, constants are to be set. draw: parameters for one
  // image. Both NULL: works on 8-bit pixels only. (apply_bytes NULL as well: `normalize`, which only marks the place.)
  void (*step)(const void *cfg, am_augment_step *step);
  void (*draw)(const void *cfg, const am_augment_step *step, am_rng *rng, float *param);
  bool frames;      // as the first op it takes images of any size, as they are stored
  bool normalized;  // works on normalised images, after all others
} am_augment_op;
const am_augment_op *const *am_augment_all(void);        // NULL-terminated
const am_augment_op *am_augment_find(const char *name);  // NULL when unknown

typedef struct am_pipeline am_pipeline;
// list: [color_jitter, gaussian_blur, {rotation: {degrees: 15}}, ...] as in an experiment's
// `augment:` (NULL: none); copied. height and width: the data set's. mean and sd (channels values; NULL: 0
// and 1) are applied last: (x - mean)/sd. `normalize` may stand in the list where that happens, as papers
// print it. Errors: AM_ERR_CONFIG with the place in the file.
AM_MUST_USE am_err am_pipeline_new(const am_node *list, int64_t channels, int64_t height, int64_t width,
                                   const float *mean, const float *sd, am_pipeline **out);
void am_pipeline_free(am_pipeline *p);
// For am_loader: pure function of (image, seed, stream), thread-safe. p stays alive as long as it.
// Errors of its apply: AM_ERR_ARG an image of another size than the pipeline's; AM_ERR_DATA a file that cannot
// be read.
// Its halves (draw, program) are there unless an op is in the list that no device does; host_only then says which.
am_transform am_pipeline_transform(const am_pipeline *p);
// Canonical node of the pipeline: every op with every field (`normalize`, being implied, left out).
AM_MUST_USE am_err am_pipeline_to_node(const am_node *list, am_node **out);
// One image through a pipeline made without mean and sd, back to 8 bit (round to nearest): previews.
AM_MUST_USE am_err am_pipeline_preview(const am_pipeline *p, const am_image *in, uint64_t seed,
                                       uint64_t stream, am_image *out);

#endif
