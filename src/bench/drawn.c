// Data that the rows work on, drawn from fixed streams.
#include <stdlib.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "bench/rows.h"

enum { SEED = 11 };

static void draw_noise(uint64_t stream, uint8_t *pixel, int64_t bytes) {
  am_rng rng = am_rng_at(SEED, AM_RNG_NOISE, stream);
  for (int64_t i = 0; i < bytes; i++) pixel[i] = (uint8_t)am_rng_below(&rng, 256);
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
    draw_noise((uint64_t)i, pixel, bytes);
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

am_err am_bench_draw_dataset(const am_bench *b, int64_t count, int64_t size, int64_t classes, am_dataset **out) {
  char *path = NULL;
  AM_TRY(am_str_format(&path, "%s/drawn.h5", b->scratch));
  am_err err = am_bench_draw_shard(path, count, size, classes);
  if (!err) err = am_dataset_from_shards(path, out);
  free(path);
  return err;
}
