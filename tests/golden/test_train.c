// Whole trainings against PyTorch (make_train.py): order of the images, random streams, slices as
// DistributedDataParallel's ranks, accumulation, clipping, schedule, averaged weights, watched set;
// the GAN's order of updates, label noise and history.
#include "golden_nn.h"
#include "mpi/tiny_training.h"

typedef struct {
  golden file;
  am_comm *world;
  am_dataset *data;
} bench;

static bench begin(const char *kind) {
  bench b = {.file = {.kind = kind, .dtype = AM_F32, .path = "tests/golden/train.safetensors"}};
  golden_open(&b.file);
  am_ok(am_comm_init(NULL, NULL, false, &b.world));
  b.data = tiny_data(am_test_dir());
  return b;
}

static void end(bench *b) {
  am_dataset_free(b->data);
  am_ok(am_comm_finish(b->world));
  golden_close(&b->file);
}

// Every `stride`-th element, relative to the largest one.
static void close_to(const bench *b, const char *name, const double *got, int64_t count, int64_t stride,
                     double tolerance) {
  double *want = golden_values(&b->file, name), largest = 0;
  int64_t wanted = am_shape_count(golden_entry(&b->file, name)->shape);
  assert_int_equal(wanted, (count + stride - 1) / stride);
  for (int64_t i = 0; i < wanted; i++) largest = fmax(largest, fabs(want[i]));
  for (int64_t i = 0; i < wanted; i++) {
    double value = got[i * stride];
    if (!(fabs(value - want[i]) <= tolerance * largest)) {
      fail_msg("%s[%lld] is %.9g, PyTorch has %.9g (largest %.3g)", name, (long long)i, value, want[i],
               largest);
    }
  }
  free(want);
}

static void tensor_close(const bench *b, const char *name, am_tensor *t, int64_t stride, double tolerance) {
  int64_t count = am_tensor_count(t);
  float *single = malloc(sizeof *single * (size_t)count);
  double *host = malloc(sizeof *host * (size_t)count);
  assert_true(single && host);
  am_ok(am_tensor_to_host(t, single));
  for (int64_t i = 0; i < count; i++) host[i] = single[i];
  close_to(b, name, host, count, stride, tolerance);
  free(single);
  free(host);
}

// BatchNorm's buffers come layer by layer in PyTorch: mean and variance in turn, as declared here.
static void params_close(const bench *b, const char *prefix, am_params *ps, int64_t stride,
                         double tolerance) {
  char name[64];
  snprintf(name, sizeof name, "%s.values", prefix);
  tensor_close(b, name, am_params_values(ps), stride, tolerance);
  snprintf(name, sizeof name, "%s.buffers", prefix);
  tensor_close(b, name, am_params_buffers(ps), 1, tolerance);
}

static void history_close(const bench *b, const char *prefix, am_history *h, double tolerance) {
  char name[64];
  snprintf(name, sizeof name, "%s.history", prefix);
  double *want = golden_values(&b->file, name);
  am_shape shape = golden_entry(&b->file, name)->shape;
  assert_int_equal(shape.dim[0], am_history_rows(h));
  assert_int_equal(shape.dim[1], am_history_columns(h));
  for (int64_t r = 0; r < shape.dim[0]; r++) {
    for (int64_t k = 0; k < shape.dim[1]; k++) {
      double got = am_history_at(h, r, (int)k), expected = want[r * shape.dim[1] + k];
      if (!(fabs(got - expected) <= tolerance * fmax(1, fabs(expected)))) {
        fail_msg("%s row %lld, %s: %.9g, PyTorch has %.9g", prefix, (long long)r, am_history_name(h, (int)k),
                 got, expected);
      }
    }
  }
  free(want);
}

// ---- classifier ----

static void check_training(bench *b, const char *prefix, am_model *m, int64_t slices, const char *optimizer) {
  static const int plain = 1;
  m->cfg.dropout = 0;
  am_transform transform = {
      .apply = tiny_transform, .user = &plain, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  am_classify_job job = {.comm = b->world,
                         .device = b->file.device,
                         .model = m,
                         .data = b->data,
                         .transform = transform,
                         .eval_transform = transform,
                         .watch = b->data,
                         .seed = 11,
                         .label = "golden"};
  am_ok(am_bind(NULL, &am_train_schema, NULL, &job.cfg));
  am_ok(am_optimizer_bind(NULL, &job.optimizer));
  job.optimizer.kind = optimizer;
  job.optimizer.lr = 0.05;
  job.optimizer.momentum = 0.9;
  job.optimizer.nesterov = true;
  job.optimizer.weight_decay = 1e-3;
  job.cfg.epochs = 4;
  job.cfg.batch_size = 8;
  job.cfg.slices = slices;
  job.cfg.accumulate = 2;
  job.cfg.label_smoothing = 0.1;
  job.cfg.clip_norm = 0.5;
  job.cfg.schedule = "cosine";
  job.cfg.warmup_epochs = 1;
  job.cfg.min_lr = 0.005;
  job.cfg.ema = 0.9;
  am_history *h = NULL;
  am_ok(am_train_classifier(&job, &h));
  params_close(b, prefix, m->params, 1, 2e-5);
  history_close(b, prefix, h, 2e-5);
  am_history_free(h);
}

static void check_classifier(const char *kind, int64_t slices) {
  bench b = begin(kind);
  am_model *m = tiny_classifier(b.file.device);
  char prefix[32];
  snprintf(prefix, sizeof prefix, "classifier%lld", (long long)slices);
  check_training(&b, prefix, m, slices, "sgd");
  am_model_free(m);
  end(&b);
}

static void classifier_trains_as_in_pytorch(void **state) {
  (void)state;
  check_classifier("cpu", 1);
  check_classifier("ref", 1);
}

static void its_slices_are_ranks_of_ddp(void **state) {
  (void)state;
  check_classifier("cpu", 2);
  check_classifier("cpu", 3);
}

// ---- fine-tuning: parameter groups and requires_grad = False ----

// FINE_TUNINGS of make_train.py.
static const struct {
  const char *name;
  int64_t slices;
  const char *frozen[2];
  bool hold;
  struct {
    const char *pattern;
    double factor;
  } lr[2];
  const char *optimizer;
} fine_tunings[] = {
    {"finetune_stem", 1, {"conv"}, false, {{"bn", 0.5}, {"fc", 3}}, "sgd"},
    {"finetune_head", 2, {"conv", "bn"}, true, {{"fc", 0.25}}, "adam"},
    {"finetune_lr", 1, {NULL}, false, {{"conv", 0.1}, {"bn.*", 0.1}}, "adam"},
    {"finetune_statistics", 2, {"conv", "bn"}, false, {{NULL}}, "sgd"},
};

static void fine_tuning_is_pytorchs(void **state) {
  for (size_t i = 0; i < sizeof fine_tunings / sizeof *fine_tunings; i++) {
    bench b = begin("cpu");
    am_model *m = tiny_declared();
    for (int k = 0; k < 2 && fine_tunings[i].frozen[k]; k++)
      assert_true(am_params_freeze(m->params, fine_tunings[i].frozen[k], fine_tunings[i].hold) > 0);
    for (int k = 0; k < 2 && fine_tunings[i].lr[k].pattern; k++)
      assert_true(am_params_scale_lr(m->params, fine_tunings[i].lr[k].pattern, fine_tunings[i].lr[k].factor) >
                  0);
    am_ok(am_params_commit(m->params, b.file.device, AM_F32, 5));
    float before[162], after[162];
    am_param *conv = am_params_find(m->params, "conv.weight");
    am_ok(am_tensor_to_host(conv->value, before));
    check_training(&b, fine_tunings[i].name, m, fine_tunings[i].slices, fine_tunings[i].optimizer);
    am_ok(am_tensor_to_host(conv->value, after));
    bool frozen = fine_tunings[i].frozen[0] != NULL;
    assert_true(frozen == (memcmp(before, after, sizeof before) == 0));
    assert_true(frozen == (conv->grad == NULL));
    int64_t batches = am_params_find(m->params, "bn.num_batches_tracked")->counter;
    assert_int_equal(batches, fine_tunings[i].hold ? 0 : 12);
    am_model_free(m);
    end(&b);
  }
}

// ---- GAN ----

static void check_gan(const char *kind, int64_t slices) {
  bench b = begin(kind);
  am_model *g = NULL, *d = NULL;
  am_ok(am_model_new("dcgan_p4_g", &(am_model_cfg){.size = TINY_SIZE, .width = 4, .latent = 6}, b.file.device,
                     3, &g));
  am_ok(am_model_new("dcgan_p4_d", &(am_model_cfg){.size = TINY_SIZE, .width = 4}, b.file.device, 4, &d));
  am_gan_job job = {.comm = b.world,
                    .device = b.file.device,
                    .generator = g,
                    .discriminator = d,
                    .data = b.data,
                    .seed = 17,
                    .label = "golden"};
  am_ok(am_bind(NULL, &am_fit_schema, NULL, &job.cfg));
  job.optimizer = (am_optimizer_cfg){.kind = "sgd", .lr = 0.02, .momentum = 0.9};
  job.cfg.epochs = 3;
  job.cfg.batch_size = 8;
  job.cfg.slices = slices;
  job.cfg.real_label_min = 0.8;
  job.cfg.fake_label_max = 0.2;
  job.cfg.label_flip = 0.3;
  am_history *h = NULL;
  char prefix[32];
  am_ok(am_fit_gan(&job, &h));
  snprintf(prefix, sizeof prefix, "gan%lld", (long long)slices);
  history_close(&b, prefix, h, 1e-4);
  snprintf(prefix, sizeof prefix, "gan%lld.g", (long long)slices);
  params_close(&b, prefix, g->params, 5, 1e-4);
  snprintf(prefix, sizeof prefix, "gan%lld.d", (long long)slices);
  params_close(&b, prefix, d->params, 5, 1e-4);
  am_history_free(h);
  am_model_free(g);
  am_model_free(d);
  end(&b);
}

static void gan_fits_as_in_pytorch(void **state) {
  (void)state;
  check_gan("cpu", 1);
  check_gan("ref", 1);
}

static void its_slices_too(void **state) {
  (void)state;
  check_gan("cpu", 2);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classifier_trains_as_in_pytorch),
      cmocka_unit_test(its_slices_are_ranks_of_ddp),
      cmocka_unit_test(fine_tuning_is_pytorchs),
      cmocka_unit_test(gan_fits_as_in_pytorch),
      cmocka_unit_test(its_slices_too),
  };
  return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}
