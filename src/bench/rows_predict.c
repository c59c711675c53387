// Logits of a batch of images that are on the device, in eval mode.
#include "base/mem.h"
#include "base/rng.h"
#include "bench/rows.h"
#include "models/registry.h"

enum { SIZE = 224, TINY_SIZE = 32, CLASSES = 1000 };

typedef struct {
  am_graph *graph;  // owned, as all of it
  am_model *model;
  am_tensor *x;
  float *logits;
  int64_t batch;
  am_dtype compute;
} predict;

static void predict_close(void *self) {
  predict *p = self;
  am_graph_free(p->graph);
  am_tensor_release(p->x);
  am_model_free(p->model);
  free(p->logits);
  free(p);
}

static am_err draw_input(const am_bench *b, predict *p, int64_t size) {
  am_random_desc noise = {.kind = AM_RAND_NORMAL,
                          .dtype = AM_F32,
                          .shape = AM_SHAPE(p->batch, 3, size, size),
                          .seed = AM_BENCH_SEED,
                          .purpose = AM_RNG_NOISE};
  return am_dispatch(b->device, AM_OP_random, &noise, NULL, &p->x);
}

static am_err predict_open(const am_bench *b, const void *variant, am_bench_work *work, void **self) {
  am_err err = AM_OK;
  predict *p = NULL;
  const am_model_cfg cfg = {.classes = CLASSES, .width = b->tiny ? 8 : 0};
  AM_GO(done, AM_NEW(&p));
  p->batch = *(const int64_t *)variant;
  AM_GO(done, am_compute_use(b->device, b->precision, &p->compute));
  AM_GO(done, AM_NEW_ARRAY(&p->logits, p->batch * CLASSES));
  AM_GO(done, am_model_new("resnet50", &cfg, b->device, AM_BENCH_SEED, &p->model));
  AM_GO(done, draw_input(b, p, b->tiny ? TINY_SIZE : SIZE));
  AM_GO(done, am_graph_new(b->device, &p->graph));
  am_graph_record(p->graph, false);
  *work = (am_bench_work){.items = (double)p->batch};
  *self = p;
  p = NULL;
done:
  if (p) predict_close(p);
  return err;
}

static am_err predict_step(void *self) {
  predict *p = self;
  am_pass pass = {.graph = p->graph, .compute = p->compute};
  am_tensor *y = NULL;
  am_err err = am_model_forward(p->model, &pass, p->x, &y);
  if (!err) err = am_tensor_to_host(y, p->logits);
  am_graph_reset(p->graph);
  return err;
}

static am_err predict_check(void *self, double *value) {
  const predict *p = self;
  *value = 0;
  for (int64_t i = 0; i < p->batch * CLASSES; i++) *value += (double)((int)(i % 7) - 3) * p->logits[i];
  return AM_OK;
}

#define PREDICT_ROW(id, row_name, text, batch)                          \
  const am_bench_row id = {.name = row_name,                            \
                           .doc = text,                                 \
                           .unit = "images/s",                          \
                           .flags = AM_BENCH_DEVICE | AM_BENCH_NETWORK, \
                           .variant = &(const int64_t){batch},          \
                           .open = predict_open,                        \
                           .step = predict_step,                        \
                           .check = predict_check,                      \
                           .close = predict_close}

PREDICT_ROW(am_row_predict_16, "predict-16", "logits of ResNet-50, 224 px, batch 16", 16);
PREDICT_ROW(am_row_predict_1, "predict-1", "logits of ResNet-50, 224 px, one image", 1);
