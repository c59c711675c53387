// The rows there are, for the table in bench.c.
#ifndef AM_BENCH_ROWS_H
#define AM_BENCH_ROWS_H

#include "augment/augment.h"
#include "bench/bench.h"

// rows_train.c: a training step on images in memory, by the trainer's own step
extern const am_bench_row am_row_resnet18_32, am_row_resnet18_64, am_row_resnet50_224, am_row_resnet18_32_ranks;
extern const am_bench_row am_row_dcgan_1, am_row_dcgan_64;
extern const am_bench_row am_row_resnet18_32_512, am_row_resnet50_224_256, am_row_dcgan_128, am_row_dcgan_p2;  // for a card
// rows_predict.c: logits of images in memory
extern const am_bench_row am_row_predict_16, am_row_predict_1;
// rows_data.c: photographs, shards, the loader
extern const am_bench_row am_row_decode, am_row_shard_read, am_row_shard_write, am_row_loader, am_row_loader_photos;
// rows_memory.c: passes over flat storage, and between ranks
extern const am_bench_row am_row_sgd, am_row_adam, am_row_allreduce;

// ---- what rows share (drawn.c) ----
enum { AM_BENCH_SEED = 1 };
// Pixels of noise, the same for the same index.
void am_bench_draw_noise(uint64_t index, uint8_t *pixel, int64_t bytes);
// A shard of `count` raw images, size x size x 3, of noise; labels go round the classes.
AM_MUST_USE am_err am_bench_draw_shard(const char *path, int64_t count, int64_t size, int64_t classes);
// A JPEG that looks like a photograph to a decoder: smooth shapes, edges, some noise.
AM_MUST_USE am_err am_bench_draw_jpeg(const char *path, uint64_t index, int64_t width, int64_t height);

// A shard of files as they are.
AM_MUST_USE am_err am_bench_pack_files(const char *path, char *const *file, int64_t count);

// Images through a loader: `count` of noise, or `file` over and over, as a data set in the row's scratch folder.
typedef struct {
  am_dataset *data;  // owned, as all of it
  am_node *augment;
  am_pipeline *pipeline;
  am_loader *loader;
  am_batch batch;  // the first one, borrowed from the loader
} am_bench_images;
typedef struct {
  int64_t count, size, classes, batch;
  char *const *file;  // borrowed: `count` photographs (one class); NULL: noise
  int workers;
  const char *augment;  // YAML of an experiment's `augment:`; NULL: none
  bool for_device;      // as training loads them: where b's device augments, its half is left to it
} am_bench_images_cfg;
AM_MUST_USE am_err am_bench_images_open(const am_bench *b, const am_bench_images_cfg *cfg, am_bench_images *out);
void am_bench_images_close(am_bench_images *m);

#endif
