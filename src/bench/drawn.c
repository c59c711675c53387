// Data that the rows work on, drawn from fixed streams.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/rng.h"
#include "base/str.h"
#include "bench/rows.h"

void am_bench_draw_noise(uint64_t index, uint8_t *pixel, int64_t bytes) {
  am_rng rng = am_rng_at(AM_BENCH_SEED, AM_RNG_NOISE, index);
  for (int64_t i = 0; i < bytes; i += 4) {
    uint32_t word = am_rng_u32(&rng);
    memcpy(pixel + i, &word, (size_t)am_min_i64(4, bytes - i));
  }
}

am_err am_bench_draw_shard(const char *path, int64_t count, int64_t size, int64_t classes) {
  am_err err = AM_OK;
  am_shard_writer *w = NULL;
  uint8_t *pixel = NULL;
  char **name = NULL;
  const int64_t bytes = 3 * size * size;
  AM_GO(done, AM_NEW_ARRAY(&pixel, bytes));
  AM_GO(done, AM_NEW_ARRAY(&name, classes));
  for (int64_t k = 0; k < classes; k++) AM_GO(done, am_str_format(&name[k], "class %lld", (long long)k));
  am_shard_desc desc = {.encoding = AM_ENCODING_RAW,
                        .height = size,
                        .width = size,
                        .channels = 3,
                        .class_count = classes,
                        .class_name = (const char *const *)name};
  AM_GO(done, am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < count; i++) {
    am_bench_draw_noise((uint64_t)i, pixel, bytes);
    AM_GO(done, am_shard_add(w, pixel, (size_t)bytes, (int32_t)(i % classes), i, NULL));
  }
  AM_GO(done, am_shard_publish(w, path));
done:
  am_shard_writer_free(w);
  for (int64_t k = 0; name && k < classes; k++) free(name[k]);
  free(name);
  free(pixel);
  return err;
}

am_err am_bench_pack_files(const char *path, char *const *file, int64_t count) {
  static const char *const class_name[] = {"photograph"};
  const am_shard_desc desc = {.encoding = AM_ENCODING_FILES, .class_count = 1, .class_name = class_name};
  am_err err = AM_OK;
  am_shard_writer *w = NULL;
  AM_GO(done, am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < count; i++) {
    char *bytes = NULL;
    size_t size = 0;
    AM_GO(done, am_file_read(file[i], AM_IMAGE_FILE_BYTES, &bytes, &size));
    err = am_shard_add(w, bytes, size, 0, i, NULL);
    free(bytes);
    if (err) goto done;
  }
  AM_GO(done, am_shard_publish(w, path));
done:
  am_shard_writer_free(w);
  return err;
}

// ---- photographs ----

typedef struct {
  double x, y, angle, wavelength, colour[3];
} ripple;

static void draw_picture(uint64_t index, am_image *image) {
  enum { RIPPLES = 12 };
  ripple r[RIPPLES];
  am_rng rng = am_rng_at(AM_BENCH_SEED, AM_RNG_NOISE, index);
  for (int i = 0; i < RIPPLES; i++) {
    r[i].x = am_rng_range(&rng, 0, (double)image->width);
    r[i].y = am_rng_range(&rng, 0, (double)image->height);
    r[i].angle = am_rng_range(&rng, 0, 3.14159);
    r[i].wavelength = 4.0 * pow(2, am_rng_range(&rng, 0, 6));
    for (int c = 0; c < 3; c++) r[i].colour[c] = am_rng_range(&rng, -30, 30);
  }
  for (int64_t p = 0; p < image->width * image->height; p++) {
    double x = (double)(p % image->width), y = (double)(p / image->width), value[3] = {128, 128, 128};
    double grain = am_rng_range(&rng, -6, 6);
    for (int i = 0; i < RIPPLES; i++) {
      double along = (x - r[i].x) * cos(r[i].angle) + (y - r[i].y) * sin(r[i].angle);
      double wave = sin(along / r[i].wavelength) > 0.3 ? 1 : sin(along / r[i].wavelength);  // one edge a wave
      for (int c = 0; c < 3; c++) value[c] += wave * r[i].colour[c];
    }
    for (int c = 0; c < 3; c++) image->pixel[3 * p + c] = (uint8_t)fmin(fmax(value[c] + grain, 0), 255);
  }
}

am_err am_bench_draw_jpeg(const char *path, uint64_t index, int64_t width, int64_t height) {
  enum { QUALITY = 90 };
  am_err err = AM_OK;
  am_image image = {0};
  uint8_t *bytes = NULL;
  size_t count = 0;
  AM_GO(done, am_image_new(width, height, 3, &image));
  draw_picture(index, &image);
  AM_GO(done, am_image_encode_jpeg(&image, QUALITY, &bytes, &count));
  AM_GO(done, am_file_write(path, bytes, count));
done:
  free(bytes);
  am_image_fini(&image);
  return err;
}

// ---- batches ----

static am_err open_data(const am_bench *b, const am_bench_images_cfg *cfg, am_dataset **out) {
  char *path = NULL;
  AM_TRY(am_str_format(&path, "%s/drawn.h5", b->scratch));
  am_image_fit fit = {.size = cfg->size, .channels = 3, .filter = AM_RESIZE_BILINEAR};
  am_err err = cfg->file ? am_bench_pack_files(path, cfg->file, cfg->count)
                         : am_bench_draw_shard(path, cfg->count, cfg->size, cfg->classes);
  if (!err) err = am_dataset_from_shards(path, &fit, out);
  free(path);
  return err;
}

am_err am_bench_images_open(const am_bench *b, const am_bench_images_cfg *cfg, am_bench_images *out) {
  static const float half[] = {0.5f, 0.5f, 0.5f};
  am_err err = AM_OK;
  am_bench_images m = {0};
  AM_GO(done, open_data(b, cfg, &m.data));
  if (cfg->augment) AM_GO(done, am_yaml_parse("bench", cfg->augment, strlen(cfg->augment), &m.augment));
  AM_GO(done, am_pipeline_new(m.augment, 3, cfg->size, cfg->size, half, half, &m.pipeline));
  am_loader_cfg loader = {.batch_size = cfg->batch,
                          .shuffle = true,
                          .seed = AM_BENCH_SEED,
                          .workers = cfg->workers,
                          .transform = am_pipeline_transform(m.pipeline)};
  loader.for_device = cfg->for_device && loader.transform.program && am_device_augments(b->device);
  AM_GO(done, am_loader_new(m.data, &loader, &m.loader));
  AM_GO(done, am_loader_next(m.loader, &m.batch));
  *out = m;
  m = (am_bench_images){0};
done:
  am_bench_images_close(&m);
  return err;
}

void am_bench_images_close(am_bench_images *m) {
  am_loader_free(m->loader);
  am_pipeline_free(m->pipeline);
  am_node_free(m->augment);
  am_dataset_free(m->data);
  *m = (am_bench_images){0};
}
