// A classifier and a GAN so small that a training takes a fraction of a second, on images drawn
// from a seed. Shared by the tests of training.
#ifndef AM_TESTS_TINY_TRAINING_H
#define AM_TESTS_TINY_TRAINING_H

#include "am_test.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "data/shard.h"
#include "train/train.h"

enum { TINY_SIZE = 16, TINY_IMAGES = 22, TINY_PIXELS = TINY_SIZE * TINY_SIZE * 3 };

// ---- data ----

// Class 1 is brighter at the top, class 0 at the bottom; the rest is noise.
static inline void tiny_image(int64_t i, int32_t label, uint8_t *pixel) {
  am_rng rng = am_rng_at(99, AM_RNG_TEST, (uint64_t)i);
  for (int64_t p = 0; p < TINY_PIXELS; p++) {
    bool top = p < TINY_PIXELS / 2;
    pixel[p] = (uint8_t)(am_rng_below(&rng, 156) + (top == (label == 1) ? 100 : 0));
  }
}

static inline am_dataset *tiny_data(const char *dir) {
  static const char *const classes[] = {"bottom", "top"};
  am_shard_desc desc = {.encoding = AM_ENCODING_RAW,
                        .height = TINY_SIZE,
                        .width = TINY_SIZE,
                        .channels = 3,
                        .class_count = 2,
                        .class_name = classes};
  am_shard_writer *w = NULL;
  am_dataset *data = NULL;
  char *path = NULL;
  uint8_t pixel[TINY_PIXELS];
  am_ok(am_str_format(&path, "%s/tiny-%ld.h5", dir, (long)getpid()));
  am_ok(am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < TINY_IMAGES; i++) {
    tiny_image(i, i % 3 == 0, pixel);
    am_ok(am_shard_add(w, pixel, sizeof pixel, i % 3 == 0, i, NULL));
  }
  am_ok(am_shard_publish(w, path));
  am_shard_writer_free(w);
  am_ok(am_dataset_from_shards(path, NULL, &data));
  free(path);
  return data;
}

// To about -1 .. 1, with noise from the stream, so that a wrong stream shows in the weights.
static inline am_err tiny_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                                    am_transform_work *work, float *out) {
  am_rng rng = am_rng_at(seed, AM_RNG_AUGMENT, stream);
  double noise = user ? 0 : 0.1 * am_rng_normal(&rng);  // `user`: any address, for plain pixels
  for (int64_t p = 0; p < TINY_SIZE * TINY_SIZE; p++) {
    for (int c = 0; c < 3; c++)
      out[c * TINY_SIZE * TINY_SIZE + p] = (float)(image->bytes[3 * p + c] / 128.0 - 1 + noise);
  }
  return AM_OK;
}

// ---- a classifier with everything that depends on the batch: BatchNorm and dropout ----

typedef struct {
  am_model base;
  am_conv conv;
  am_batch_norm_layer bn;
  am_linear fc;
} tiny_net;

static inline am_err tiny_build(am_model *m) {
  tiny_net *n = (tiny_net *)m;
  AM_TRY(am_conv_init(&n->conv, m->params, "conv",
                      (am_conv_cfg){.in = 3, .out = 6, .kernel = 3, .stride = 2, .pad = 1}));
  AM_TRY(am_batch_norm_init(&n->bn, m->params, "bn", (am_batch_norm_cfg){.channels = 6}));
  return am_linear_init(&n->fc, m->params, "fc", (am_linear_cfg){.in = 6 * 64, .out = 2});
}

static inline am_err tiny_forward(am_model *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  tiny_net *n = (tiny_net *)m;
  AM_TRY(am_conv_forward(&n->conv, pass, x, &x));
  AM_TRY(am_batch_norm_forward(&n->bn, pass, x, &x));
  AM_TRY(am_relu(pass->graph, x, &x));
  AM_TRY(am_reshape(pass->graph, x, AM_SHAPE(x->shape.dim[0], 6 * 64), &x));
  AM_TRY(am_dropout(pass, x, m->cfg.dropout, &x));
  return am_linear_forward(&n->fc, pass, x, y);
}

static const am_model_def tiny_def = {.name = "tiny",
                                      .role = AM_ROLE_CLASSIFIER,
                                      .struct_bytes = sizeof(tiny_net),
                                      .build = tiny_build,
                                      .forward = tiny_forward};

// Its parameters named, not yet allocated.
static inline am_model *tiny_declared(void) {
  am_model *m = NULL;
  am_ok(am_mem_alloc(&m, 1, sizeof(tiny_net)));
  m->def = &tiny_def;
  m->cfg = (am_model_cfg){.classes = 2, .channels = 3, .size = TINY_SIZE, .dropout = 0.2};
  am_ok(am_params_new(&m->params));
  am_ok(tiny_build(m));
  return m;
}

static inline am_model *tiny_classifier(am_device *dev) {
  am_model *m = tiny_declared();
  am_ok(am_params_commit(m->params, dev, AM_F32, 5));
  return m;
}

// ---- trainings ----

static am_device_cfg tiny_device;  // what they run on; {0}: the cpu

typedef struct {
  int64_t slices, epochs;
  const char *reduce;  // NULL: the default
  const char *checkpoint_dir;
  bool extras;             // accumulation, clipping, EMA, smoothing, balanced sampling, a watched set
  bool unclipped;          // the extras without clipping
  bool fine_tuned;         // a frozen convolution, and a learning rate of its own for the last layer
  bool bf16;
  am_transform transform;  // {0}: tiny_transform
  am_model **seen;         // receives the network while it is trained; may be NULL
} tiny_options;

static inline am_classify_job tiny_classify_job(am_comm *comm, am_device *dev, am_model *m, am_dataset *data,
                                                tiny_options o) {
  static const int plain = 1;
  am_transform transform = {.apply = tiny_transform, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  am_classify_job job = {.comm = comm,
                         .device = dev,
                         .model = m,
                         .data = data,
                         .transform = o.transform.apply ? o.transform : transform,
                         .eval_transform = transform,
                         .seed = 11,
                         .checkpoint_dir = o.checkpoint_dir,
                         .label = "train tiny"};
  job.eval_transform.user = &plain;
  am_ok(am_bind(NULL, &am_train_schema, NULL, &job.cfg));
  am_ok(am_optimizer_bind(NULL, &job.optimizer));
  job.cfg.epochs = o.epochs;
  job.cfg.batch_size = 8;
  job.cfg.slices = o.slices;
  job.cfg.checkpoint_sec = 0;  // after every step
  if (o.bf16) job.cfg.precision = "bf16";
  if (o.reduce) job.cfg.reduce = o.reduce;
  if (!o.extras) return job;
  job.cfg.accumulate = 2;
  job.cfg.clip_norm = o.unclipped ? 0 : 0.5;
  job.cfg.ema = 0.9;
  job.cfg.label_smoothing = 0.1;
  job.cfg.schedule = "cosine";
  job.cfg.warmup_epochs = 1;
  job.cfg.sampler = "balanced";
  job.watch = data;
  job.loader_workers = 1;
  return job;
}

// Whether this machine trains in bf16; am_err_last says why not.
static inline bool has_bf16(void) {
  am_device *dev = NULL;
  am_dtype compute;
  am_ok(am_device_open(&tiny_device, &dev));
  am_err err = am_compute_type(dev, "bf16", &compute);
  am_device_close(dev);
  return err == AM_OK;
}

static inline am_err tiny_train(am_comm *comm, am_dataset *data, tiny_options o, char hash[65],
                                am_history **history) {
  am_device *dev = NULL;
  am_ok(am_device_open(&tiny_device, &dev));
  am_model *m = tiny_declared();
  if (o.fine_tuned) assert_int_equal(am_params_freeze(m->params, "conv", false), 1);
  if (o.fine_tuned) assert_int_equal(am_params_scale_lr(m->params, "fc", 4), 2);
  am_ok(am_params_commit(m->params, dev, AM_F32, 5));
  if (o.seen) *o.seen = m;
  am_classify_job job = tiny_classify_job(comm, dev, m, data, o);
  am_err err = am_train_classifier(&job, history);
  if (!err) am_ok(am_params_hash(m->params, hash));
  am_model_free(m);
  am_device_close(dev);
  return err;
}

static inline void tiny_gan(am_device *dev, am_model **g, am_model **d) {
  am_ok(am_model_new("dcgan_p2_g", &(am_model_cfg){.size = TINY_SIZE, .width = 8, .latent = 6}, dev, 3, g));
  am_ok(
      am_model_new("dcgan_p2_d", &(am_model_cfg){.size = TINY_SIZE, .width = 8, .dropout = 0.2}, dev, 4, d));
}

static inline am_gan_job tiny_gan_job(am_comm *comm, am_device *dev, am_model *g, am_model *d,
                                      am_dataset *data, tiny_options o) {
  am_gan_job job = {.comm = comm,
                    .device = dev,
                    .generator = g,
                    .discriminator = d,
                    .data = data,
                    .seed = 17,
                    .checkpoint_dir = o.checkpoint_dir,
                    .label = "fit tiny"};
  am_ok(am_bind(NULL, &am_fit_schema, NULL, &job.cfg));
  am_ok(am_optimizer_bind(NULL, &job.optimizer));
  job.cfg.epochs = o.epochs;
  job.cfg.batch_size = 8;
  job.cfg.slices = o.slices;
  job.cfg.checkpoint_sec = 0;
  job.cfg.real_label_min = 0.8;
  job.cfg.fake_label_max = 0.2;
  job.cfg.label_flip = 0.05;
  if (o.bf16) job.cfg.precision = "bf16";
  if (o.reduce) job.cfg.reduce = o.reduce;
  return job;
}

static inline am_err tiny_fit(am_comm *comm, am_dataset *data, tiny_options o, char hash[2][65],
                              am_history **history) {
  am_device *dev = NULL;
  am_model *g = NULL, *d = NULL;
  am_ok(am_device_open(&tiny_device, &dev));
  tiny_gan(dev, &g, &d);
  am_gan_job job = tiny_gan_job(comm, dev, g, d, data, o);
  am_err err = am_fit_gan(&job, history);
  if (!err) am_ok(am_params_hash(g->params, hash[0]));
  if (!err) am_ok(am_params_hash(d->params, hash[1]));
  am_model_free(g);
  am_model_free(d);
  am_device_close(dev);
  return err;
}

#endif
