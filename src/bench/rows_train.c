// A training step of a classifier, by the trainer's own step: forward, loss, backward, SGD with momentum. The
// images are drawn once and stay in memory.
#include <string.h>

#include "augment/augment.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "base/str.h"
#include "bench/rows.h"
#include "train/objective.h"

typedef struct {
  const char *model;
  int64_t size, batch, classes;
} network;

typedef struct {
  const am_bench *bench;  // borrowed
  am_model *model;        // owned, as all that follows
  am_dataset *data;
  am_pipeline *pipeline;
  am_loader *loader;
  am_batch batch;         // borrowed from the loader
  am_classify_job job;
  am_training training;
  int64_t steps;
} train;

enum { SEED = 1 };

static void train_close(void *self) {
  train *t = self;
  am_training_end(&t->training);
  am_loader_free(t->loader);
  am_pipeline_free(t->pipeline);
  am_dataset_free(t->data);
  am_model_free(t->model);
  free(t);
}

static am_err open_network(train *t, const network *n) {
  const am_bench *b = t->bench;
  am_model_cfg cfg = {.classes = n->classes, .size = n->size, .width = b->tiny ? 8 : 0};
  AM_TRY(am_model_new(n->model, &cfg, b->device, SEED, &t->model));
  t->job = (am_classify_job){.comm = b->comm,
                             .device = b->device,
                             .model = t->model,
                             .data = t->data,
                             .transform = am_pipeline_transform(t->pipeline),
                             .cfg = {.epochs = 1000000,
                                     .batch_size = n->batch,
                                     .slices = am_comm_size(b->comm),
                                     .accumulate = 1,
                                     .loss = "cross_entropy",
                                     .schedule = "constant",
                                     .sampler = "shuffle",
                                     .precision = b->precision == AM_BF16 ? "bf16" : "fp32"},
                             .optimizer = {.kind = "sgd", .lr = 1e-3, .momentum = 0.9},
                             .seed = SEED,
                             .label = "bench"};
  return am_classifier_begin(&t->job, &t->training);
}

static am_err train_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  network n = *(const network *)variant;
  train *t = NULL;
  if (b->tiny) n = (network){.model = n.model, .size = 32, .batch = 4, .classes = 3};
  AM_GO(done, AM_NEW(&t));
  t->bench = b;
  AM_GO(done, am_bench_draw_dataset(b, n.batch, n.size, n.classes, &t->data));
  AM_GO(done, am_pipeline_new(NULL, 3, n.size, n.size, (float[]){0.5f, 0.5f, 0.5f}, (float[]){0.25f, 0.25f, 0.25f},
                              &t->pipeline));
  am_loader_cfg loader = {.batch_size = n.batch, .transform = am_pipeline_transform(t->pipeline)};
  AM_GO(done, am_loader_new(t->data, &loader, &t->loader));
  AM_GO(done, am_loader_next(t->loader, &t->batch));
  AM_GO(done, open_network(t, &n));
  *work = (am_bench_work){.items = (double)n.batch};
  *self = t;
  t = NULL;
done:
  if (t) train_close(t);
  return err;
}

static am_err train_step(void *self) {
  train *t = self;
  am_step at = {.step = 0,
                .batch_number = t->steps,
                .update = t->steps,
                .group_first = true,
                .group_last = true,
                .group_rows = t->batch.count};
  t->steps++;
  return t->training.objective->step(t->training.self, &at, &t->batch, AM_OK);
}

// The mean training loss since the last check.
static am_err train_check(void *self, double *value) {
  enum { COLUMNS_MAX = 16 };
  train *t = self;
  const am_objective *o = t->training.objective;
  double row[COLUMNS_MAX];
  AM_CHECK(o->column_count <= COLUMNS_MAX, AM_ERR_INTERNAL, "a history of %d columns", o->column_count);
  AM_TRY(o->end_epoch(t->training.self, 0, row));
  for (int i = 0; i < o->column_count; i++)
    if (strcmp(o->column[i], "train_loss") == 0) *value = row[i];
  return AM_OK;
}

#define TRAIN_ROW(id, row_name, text, ...)                              \
  const am_bench_row id = {.name = row_name,                            \
                           .doc = text,                                 \
                           .unit = "images/s",                          \
                           .flags = AM_BENCH_DEVICE | AM_BENCH_NETWORK, \
                           .variant = &(const network){__VA_ARGS__},    \
                           .open = train_open,                          \
                           .step = train_step,                          \
                           .check = train_check,                        \
                           .close = train_close}

TRAIN_ROW(am_row_resnet18_32, "resnet18-32", "training step, ResNet-18 with the CIFAR stem, 32 px, batch 128",
          "resnet18_cifar", 32, 128, 10);
TRAIN_ROW(am_row_resnet18_64, "resnet18-64", "training step, ResNet-18, 64 px, batch 128", "resnet18", 64, 128, 200);
TRAIN_ROW(am_row_resnet50_224, "resnet50-224", "training step, ResNet-50, 224 px, batch 16", "resnet50", 224, 16,
          1000);
