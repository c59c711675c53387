// A training step of a classifier or a GAN, by the trainer's own step: forward, loss, backward, update. The
// images stay in memory.
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "bench/rows.h"
#include "train/objective.h"

enum { TINY_WIDTH = 8, TINY_SIZE = 32, TINY_BATCH = 4, EPOCHS = 1000000 };

typedef struct {
  const am_bench *bench;  // borrowed
  am_bench_images images;
  am_model *model[2];  // owned: the classifier; or generator and discriminator
  am_classify_job classify;
  am_gan_job gan;
  am_training training;
  const char *loss;  // the column that is checked
  int64_t steps;
} train;

static void train_close(void *self) {
  train *t = self;
  am_training_end(&t->training);
  for (int i = 0; i < 2; i++) am_model_free(t->model[i]);
  am_bench_images_close(&t->images);
  free(t);
}

static am_err train_step(void *self) {
  train *t = self;
  am_step at = {.batch_number = t->steps,
                .update = t->steps,
                .group_first = true,
                .group_last = true,
                .group_rows = t->images.batch.count};
  t->steps++;
  return t->training.objective->step(t->training.self, &at, &t->images.batch, AM_OK);
}

// The mean loss of the steps since the last check.
static am_err train_check(void *self, double *value) {
  enum { COLUMNS_MAX = 16 };
  train *t = self;
  const am_objective *o = t->training.objective;
  double row[COLUMNS_MAX];
  AM_CHECK(o->column_count <= COLUMNS_MAX, AM_ERR_INTERNAL, "a history of %d columns", o->column_count);
  AM_TRY(o->end_epoch(t->training.self, 0, row));
  for (int i = 0; i < o->column_count; i++)
    if (strcmp(o->column[i], t->loss) == 0) *value = row[i];
  return AM_OK;
}

// ---- classifiers ----

typedef struct {
  const char *model;
  int64_t size, batch, classes;
} network;

static am_err begin_classifier(train *t, const network *n) {
  const am_bench *b = t->bench;
  am_model_cfg cfg = {.classes = n->classes, .size = n->size, .width = b->tiny ? TINY_WIDTH : 0};
  AM_TRY(am_model_new(n->model, &cfg, b->device, AM_BENCH_SEED, &t->model[0]));
  t->loss = "train_loss";
  t->classify = (am_classify_job){.comm = b->comm,
                                  .device = b->device,
                                  .model = t->model[0],
                                  .data = t->images.data,
                                  .transform = am_pipeline_transform(t->images.pipeline),
                                  .cfg = {.epochs = EPOCHS,
                                          .batch_size = n->batch,
                                          .slices = am_comm_size(b->comm),
                                          .accumulate = 1,
                                          .loss = "cross_entropy",
                                          .schedule = "constant",
                                          .sampler = "shuffle",
                                          .precision = b->precision, .reduce = AM_REDUCE_DEFAULT},
                                  .optimizer = {.kind = "sgd", .lr = 1e-3, .momentum = 0.9},
                                  .seed = AM_BENCH_SEED,
                                  .label = "bench"};
  return am_classifier_begin(&t->classify, &t->training);
}

static am_err classifier_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  network n = *(const network *)variant;
  train *t = NULL;
  if (b->tiny) n = (network){.model = n.model, .size = TINY_SIZE, .batch = TINY_BATCH, .classes = 3};
  AM_GO(done, AM_NEW(&t));
  t->bench = b;
  am_bench_images_cfg images = {
      .count = n.batch, .size = n.size, .classes = n.classes, .batch = n.batch, .for_device = true};
  AM_GO(done, am_bench_images_open(b, &images, &t->images));
  AM_GO(done, begin_classifier(t, &n));
  *work = (am_bench_work){.items = (double)n.batch};
  *self = t;
  t = NULL;
done:
  if (t) train_close(t);
  return err;
}

#define CLASSIFIER_ROW(id, row_name, more_flags, text, ...)                            \
  const am_bench_row id = {.name = row_name,                                           \
                           .doc = text,                                                \
                           .unit = "images/s",                                         \
                           .flags = AM_BENCH_DEVICE | AM_BENCH_NETWORK | (more_flags), \
                           .variant = &(const network){__VA_ARGS__},                   \
                           .open = classifier_open,                                    \
                           .step = train_step,                                         \
                           .check = train_check,                                       \
                           .close = train_close}

CLASSIFIER_ROW(am_row_resnet18_32, "resnet18-32", 0, "training step, ResNet-18 with the CIFAR stem, 32 px, batch 128",
               "resnet18_cifar", 32, 128, 10);
CLASSIFIER_ROW(am_row_resnet18_64, "resnet18-64", 0, "training step, ResNet-18, 64 px, batch 128", "resnet18", 64,
               128, 200);
CLASSIFIER_ROW(am_row_resnet50_224, "resnet50-224", 0, "training step, ResNet-50, 224 px, batch 16", "resnet50",
               224, 16, 1000);
CLASSIFIER_ROW(am_row_resnet18_32_512, "resnet18-32-512", AM_BENCH_CARD, "resnet18-32 with batch 512", "resnet18_cifar", 32,
               512, 10);
CLASSIFIER_ROW(am_row_resnet50_224_256, "resnet50-224-256", AM_BENCH_CARD, "resnet50-224 with batch 256", "resnet50", 224, 256,
               1000);
CLASSIFIER_ROW(am_row_resnet18_32_ranks, "resnet18-32-ranks", AM_BENCH_RANKS,
               "resnet18-32 with the batch shared by the ranks, one slice each", "resnet18_cifar", 32, 128, 10);

// ---- GANs ----

typedef struct {
  const char *model[2];  // generator, discriminator
  int64_t batch;
} pair;

static am_err begin_gan(train *t, const pair *p, int64_t size) {
  const am_bench *b = t->bench;
  am_model_cfg cfg = {.size = size, .width = b->tiny ? TINY_WIDTH : 0};
  for (int i = 0; i < 2; i++) AM_TRY(am_model_new(p->model[i], &cfg, b->device, AM_BENCH_SEED, &t->model[i]));
  t->loss = "g_loss";
  t->gan = (am_gan_job){
      .comm = b->comm,
      .device = b->device,
      .generator = t->model[0],
      .discriminator = t->model[1],
      .data = t->images.data,
      .cfg = {.epochs = EPOCHS, .batch_size = p->batch, .slices = 1, .real_label_min = 1, .real_label_max = 1,
              .precision = b->precision, .reduce = AM_REDUCE_DEFAULT},
      .optimizer = {.kind = "adam", .lr = 2e-4, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8},
      .seed = AM_BENCH_SEED,
      .label = "bench"};
  return am_gan_begin(&t->gan, &t->training);
}

static am_err gan_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  const pair *p = variant;
  const int64_t size = b->tiny ? TINY_SIZE : 64;
  train *t = NULL;
  AM_GO(done, AM_NEW(&t));
  t->bench = b;
  am_bench_images_cfg images = {.count = p->batch, .size = size, .classes = 1, .batch = p->batch};
  AM_GO(done, am_bench_images_open(b, &images, &t->images));
  AM_GO(done, begin_gan(t, p, size));
  *work = (am_bench_work){.items = (double)p->batch};
  *self = t;
  t = NULL;
done:
  if (t) train_close(t);
  return err;
}

#define GAN_ROW(id, row_name, more_flags, text, paper, rows)            \
  const am_bench_row id = {.name = row_name,                            \
                           .doc = text,                                 \
                           .unit = "images/s",                          \
                           .flags = AM_BENCH_DEVICE | AM_BENCH_NETWORK | (more_flags), \
                           .variant = &(const pair){{"dcgan_" paper "_g", "dcgan_" paper "_d"}, rows}, \
                           .open = gan_open,                            \
                           .step = train_step,                          \
                           .check = train_check,                        \
                           .close = train_close}

GAN_ROW(am_row_dcgan_1, "dcgan-1", 0, "training step, DCGAN (latent 10, width 64, 64 px), batch 1, Adam", "p4", 1);
GAN_ROW(am_row_dcgan_64, "dcgan-64", 0, "training step, DCGAN (latent 10, width 64, 64 px), batch 64, Adam", "p4", 64);
GAN_ROW(am_row_dcgan_128, "dcgan-128", AM_BENCH_CARD, "dcgan-64 with batch 128", "p4", 128);
GAN_ROW(am_row_dcgan_p2, "dcgan-p2-32", AM_BENCH_CARD, "training step, P2's DCGAN of a class (latent 256, dropout, 64 px), batch 32, Adam",
        "p2", 32);
