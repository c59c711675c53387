// From fitted generators to pools: blocks of sample indices, each written whole as one shard.
#ifndef AM_GENERATE_GENERATE_H
#define AM_GENERATE_GENERATE_H

#include "data/shard.h"
#include "models/registry.h"

typedef struct {
  am_model *generator;        // borrowed
  am_device *device;          // borrowed
  bool batch_statistics;      // BatchNorm in training mode at batch_size, as the model was fitted
  int64_t batch_size;         // programs run at this fixed shape; the last batch is padded
  uint64_t seed;              // latent of sample i: stream (seed, AM_RNG_LATENT, i)
  int32_t label;
  int64_t first, count;       // sample indices of this block
  int64_t run;                // provenance: which fit
  int64_t generator_index;    // provenance: which generator of the experiment
  const char *const *class_name;
  int64_t class_count;
} am_sample_block;
// One shard: u8 = round(255 * clamp((x + 1)/2)), columns seed, run, generator. Local. With batch
// statistics the batch is the group of batch_size consecutive sample indices, whatever the block, so an
// image never depends on ranks. Errors: AM_ERR_NUMERIC an image with a value that is not a number;
// AM_ERR_IO; AM_ERR_PEER another rank failed meanwhile.
AM_MUST_USE am_err am_generate_block(const am_sample_block *block, const char *shard_path);
// The images alone: f32 (count, c, h, w) in [-1, 1] to host memory.
AM_MUST_USE am_err am_generate_images(const am_sample_block *block, float *out);

#endif
