#include "generate/generate.h"

#include <math.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "dist/comm.h"

static am_err check_block(const am_sample_block *b) {
  const am_model *m = b->generator;
  AM_CHECK(m->def->role == AM_ROLE_GENERATOR, AM_ERR_ARG, "%s is not a generator", m->def->name);
  AM_CHECK(b->batch_size > 0 && b->first >= 0 && b->count >= 0, AM_ERR_ARG,
           "samples %lld + %lld in batches of %lld: expected no negative number and a batch",
           (long long)b->first, (long long)b->count, (long long)b->batch_size);
  return AM_OK;
}

// The images of samples group*batch_size .. +batch_size, whole, to host memory.
static am_err run_group(const am_sample_block *b, am_graph *g, int64_t group, float *host) {
  am_model *m = b->generator;
  uint64_t first = (uint64_t)(group * b->batch_size);
  am_random_desc latent = {.kind = AM_RAND_NORMAL,
                           .dtype = AM_F32,
                           .shape = AM_SHAPE(b->batch_size, m->cfg.latent),
                           .seed = b->seed,
                           .index = first,
                           .purpose = AM_RNG_LATENT};
  am_pass pass = {.graph = g, .train = b->batch_statistics, .seed = b->seed, .index = first};
  am_tensor *z = NULL, *y = NULL;
  am_err err = am_random(g, latent, &z);
  if (!err) err = am_model_forward(m, &pass, z, &y);
  if (!err) err = am_tensor_to_host(y, host);
  am_graph_reset(g);
  return err;
}

static int64_t image_floats(const am_sample_block *b) {
  const am_model_cfg *cfg = &b->generator->cfg;
  return cfg->channels * cfg->size * cfg->size;
}

// Groups are cut at multiples of batch_size whatever the block, so that a sample always has the
// same neighbours; what lies outside the block is computed and dropped.
am_err am_generate_images(const am_sample_block *b, float *out) {
  AM_TRY(check_block(b));
  am_err err = AM_OK;
  am_graph *g = NULL;
  float *group_image = NULL;
  int64_t floats = image_floats(b), end = b->first + b->count;
  AM_GO(done, am_graph_new(b->device, &g));
  am_graph_record(g, false);
  AM_GO(done, AM_NEW_ARRAY(&group_image, b->batch_size * floats));
  for (int64_t group = b->first / b->batch_size; group * b->batch_size < end; group++) {
    am_fault_point();
    AM_GO(done, am_peer_check());
    AM_GO(done, run_group(b, g, group, group_image));
    int64_t group_first = group * b->batch_size;
    int64_t from = am_max_i64(b->first, group_first), to = am_min_i64(end, group_first + b->batch_size);
    memcpy(out + (from - b->first) * floats, group_image + (from - group_first) * floats,
           (size_t)((to - from) * floats) * sizeof *out);
  }
done:
  am_graph_free(g);
  free(group_image);
  return err;
}

// f32 (c, h, w) in [-1, 1] to u8 (h, w, c). A value that is not a number is an error of the generator.
static am_err to_pixels(const float *x, const am_model_cfg *cfg, int64_t sample, uint8_t *pixel) {
  int64_t plane = cfg->size * cfg->size;
  for (int64_t i = 0; i < plane; i++) {
    for (int64_t c = 0; c < cfg->channels; c++) {
      double v = ((double)x[c * plane + i] + 1) / 2;
      AM_CHECK(isfinite(v), AM_ERR_NUMERIC, "generated image %lld holds %g", (long long)sample, v);
      pixel[i * cfg->channels + c] = (uint8_t)lrint(255 * fmin(fmax(v, 0), 1));
    }
  }
  return AM_OK;
}

enum { COLUMN_SEED, COLUMN_RUN, COLUMN_GENERATOR, COLUMNS };

am_err am_generate_block(const am_sample_block *b, const char *shard_path) {
  const am_model_cfg *cfg = &b->generator->cfg;
  am_shard_desc desc = {
      .encoding = AM_ENCODING_RAW,
      .height = cfg->size,
      .width = cfg->size,
      .channels = cfg->channels,
      .class_count = b->class_count,
      .class_name = b->class_name,
      .column_count = COLUMNS,
      .column_name = {[COLUMN_SEED] = "seed", [COLUMN_RUN] = "run", [COLUMN_GENERATOR] = "generator"}};
  int64_t column[COLUMNS] = {(int64_t)b->seed, b->run, b->generator_index}, floats = image_floats(b);
  am_err err = AM_OK;
  am_shard_writer *w = NULL;
  float *image = NULL;
  uint8_t *pixel = NULL;
  AM_GO(done, AM_NEW_ARRAY(&image, b->count * floats));
  AM_GO(done, AM_NEW_ARRAY(&pixel, floats));
  AM_GO(done, am_generate_images(b, image));
  AM_GO(done, am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < b->count; i++) {
    AM_GO(done, to_pixels(image + i * floats, cfg, b->first + i, pixel));
    AM_GO(done, am_shard_add(w, pixel, (size_t)floats, b->label, b->first + i, column));
  }
  AM_GO(done, am_shard_publish(w, shard_path));
done:
  am_shard_writer_free(w);
  free(image);
  free(pixel);
  return err;
}
