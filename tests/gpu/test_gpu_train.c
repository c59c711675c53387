// A hundred training steps on a card beside the processor's, from the same weights and batches: the losses must stay
// together for as long as rounding lets them. And steps that are launched from recordings beside steps op by op, to the bit.
//   test_gpu_train --device KIND [--type fp32|tf32|bf16] [--steps N] [--width W]
#include "am_test.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/rng.h"
#include "bench/rows.h"
#include "train/objective.h"

enum { SIZE = 32, CLASSES = 10, BATCH = 16, GAN_BATCH = 8, MOST_STEPS = 1000, COLUMNS = 16 };

static struct {
  const char *kind, *type;
  int64_t steps, width;  // width 0: the network's own
} asked = {.type = "fp32", .steps = 100};

// ---- how far apart losses may be ----

// What rounding leaves after one step grows from update to update until two trainings go their own ways, and how fast depends
// on the network. So a third training shows it: the processor's own, from weights that are off by a unit of the last place of
// the card's type. At each step the card may be FACTOR times as far off as that one has been until half as many steps later:
// when exactly two trainings part is chance. A wrong kernel is off by more from the start.
enum { FACTOR = 20 };
static const struct {
  const char *name;
  double unit, first;  // first: allowed where the nudged training has not moved yet
} types[] = {{"fp32", 0x1p-22, 1e-4}, {"tf32", 0x1p-11, 1e-3}, {"bf16", 0x1p-8, 1e-2}};

static int type_index(void) {
  for (int i = 0; i < AM_COUNT_OF(types); i++)
    if (strcmp(asked.type, types[i].name) == 0) return i;
  fail_msg("--type is fp32, tf32 or bf16, not %s", asked.type);
  return 0;
}

// ---- batches ----

// Stripes whose direction and width are the class's, under noise: something to be learned.
static void draw_batch(int64_t step, int64_t rows, float *image, int32_t *label) {
  for (int64_t r = 0; r < rows; r++) {
    am_rng rng = am_rng_at(23, AM_RNG_TEST, (uint64_t)(step * rows + r));
    const int c = label[r] = (int32_t)am_rng_below(&rng, CLASSES);
    const double turn = 0.3 * c, width = 0.3 + 0.08 * c, shift = am_rng_range(&rng, 0, 6.28);
    for (int64_t e = 0; e < 3 * SIZE * SIZE; e++) {
      const double x = (double)(e % SIZE), y = (double)(e / SIZE % SIZE);
      const double wave = sin(width * (x * cos(turn) + y * sin(turn)) + shift);
      image[r * 3 * SIZE * SIZE + e] = (float)fmax(-1, fmin(1, 0.6 * wave + 0.3 * am_rng_normal(&rng)));
    }
  }
}

// ---- a training, step by step ----

typedef struct {
  am_device *device;
  am_model *model[2];
  am_training training;
  am_classify_job classify;
  am_gan_job gan;
} run;

static am_comm *world;
static am_dataset *data;  // of the right shape and classes; its images are not used

static int make_data(void **state) {
  char path[512];
  snprintf(path, sizeof path, "%s/noise.h5", am_test_dir());
  return am_bench_draw_shard(path, BATCH, SIZE, CLASSES) || am_dataset_from_shards(path, NULL, &data) ? -1
                                                                                                      : 0;
}
static int free_data(void **state) {
  am_dataset_free(data);
  return am_path_remove_tree(am_test_dir()) ? -1 : 0;
}

static am_err same_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                             am_transform_work *work, float *out) {
  return AM_FAIL(AM_ERR_INTERNAL, "batches are given here, nothing is loaded");
}

static void begin_classifier(run *r) {
  am_ok(am_model_new("resnet18_cifar",
                     &(am_model_cfg){.classes = CLASSES, .size = SIZE, .width = asked.width}, r->device, 1,
                     &r->model[0]));
  const am_transform transform = {.apply = same_transform, .out_height = SIZE, .out_width = SIZE};
  r->classify = (am_classify_job){.comm = world,
                                  .device = r->device,
                                  .model = r->model[0],
                                  .data = data,
                                  .transform = transform,
                                  .eval_transform = transform,
                                  .seed = 11,
                                  .label = "100 steps"};
  am_ok(am_bind(NULL, &am_train_schema, NULL, &r->classify.cfg));
  am_ok(am_optimizer_bind(NULL, &r->classify.optimizer));
  r->classify.cfg.batch_size = BATCH;
  r->classify.cfg.precision = asked.type;
  r->classify.optimizer.kind = "sgd";
  r->classify.optimizer.lr = 0.002;
}

static void begin_gan(run *r) {
  const am_model_cfg cfg = {.size = SIZE, .width = asked.width};
  am_ok(am_model_new("dcgan_p4_g", &cfg, r->device, 2, &r->model[0]));
  am_ok(am_model_new("dcgan_p4_d", &cfg, r->device, 3, &r->model[1]));
  r->gan = (am_gan_job){.comm = world,
                        .device = r->device,
                        .generator = r->model[0],
                        .discriminator = r->model[1],
                        .data = data,
                        .seed = 17,
                        .label = "100 steps"};
  am_ok(am_bind(NULL, &am_fit_schema, NULL, &r->gan.cfg));
  am_ok(am_optimizer_bind(NULL, &r->gan.optimizer));
  r->gan.cfg.batch_size = GAN_BATCH;
  r->gan.cfg.precision = asked.type;
  r->gan.optimizer.lr = 2e-4;
  r->gan.optimizer.beta1 = 0.5;
}

// Weights are drawn on each device: these are the processor's, to the bit, or nudged by at most `unit` of each.
static void copy_tensor(am_tensor *from, am_tensor *to, double unit) {
  const int64_t count = am_tensor_count(from);
  am_rng rng = am_rng_at(29, AM_RNG_TEST, 0);
  float *host = malloc(sizeof *host * (size_t)count);
  assert_non_null(host);
  am_ok(am_tensor_to_host(from, host));
  for (int64_t i = 0; unit > 0 && i < count; i++) host[i] *= (float)(1 + am_rng_range(&rng, -unit, unit));
  am_ok(am_tensor_copy_from_host(to, host));
  free(host);
}

static void open_run(run *r, am_device_cfg cfg, bool gan, const run *like, double unit) {
  *r = (run){0};
  am_ok(am_device_open(&cfg, &r->device));
  if (gan)
    begin_gan(r);
  else
    begin_classifier(r);
  for (int i = 0; like && i < 1 + gan; i++) {
    copy_tensor(am_params_values(like->model[i]->params), am_params_values(r->model[i]->params), unit);
    copy_tensor(am_params_buffers(like->model[i]->params), am_params_buffers(r->model[i]->params), 0);
  }
  am_ok(gan ? am_gan_begin(&r->gan, &r->training) : am_classifier_begin(&r->classify, &r->training));
}

static void close_run(run *r) {
  am_training_end(&r->training);
  for (int i = 0; i < 2; i++) am_model_free(r->model[i]);
  assert_int_equal(am_device_memory_now(r->device).live_bytes, 0);
  am_device_close(r->device);
}

// One step; row: the means of the history over this step alone.
static void step(run *r, int64_t number, const am_batch *batch, double row[COLUMNS]) {
  const am_step at = {.batch_number = number,
                      .update = number,
                      .group_first = true,
                      .group_last = true,
                      .group_rows = batch->count};
  const am_objective *o = r->training.objective;
  assert_true(o->column_count <= COLUMNS);
  am_ok(o->step(r->training.self, &at, batch, AM_OK));
  am_ok(o->end_epoch(r->training.self, number, row));
}

static bool is_loss(const char *column) {
  return strcmp(column, "train_loss") == 0 || strcmp(column, "d_loss") == 0 || strcmp(column, "g_loss") == 0;
}

// The largest distance between two rows' losses; *losses: how many there are.
static double apart(const am_objective *o, const double *got, const double *want, int *losses) {
  double most = 0;
  *losses = 0;
  for (int k = 0; k < o->column_count; k++) {
    if (!is_loss(o->column[k])) continue;
    const double here = fabs(got[k] - want[k]) / fmax(1, fabs(want[k]));
    most = here > most || isnan(here) ? here : most;
    ++*losses;
  }
  return most;
}

// What the processor computes, and how far off its nudged training is at each step.
typedef struct {
  double row[MOST_STEPS][COLUMNS], drift[MOST_STEPS];
} course;

static void take_course(run *cpu, run *nudged, am_batch *batch, course *c) {
  double off[COLUMNS];
  int losses;
  for (int64_t s = 0; s < asked.steps; s++) {
    draw_batch(s, batch->count, batch->image, batch->label);
    step(cpu, s, batch, c->row[s]);
    step(nudged, s, batch, off);
    c->drift[s] = apart(cpu->training.objective, off, c->row[s], &losses);
  }
}

static double drift_until(const course *c, int64_t end) {
  double most = 0;
  for (int64_t s = 0; s < am_min_i64(end, asked.steps); s++) most = fmax(most, c->drift[s]);
  return most;
}

static void follow_course(run *card, am_batch *batch, const course *c, bool gan) {
  double worst = 0, first = 0;
  int losses;
  for (int64_t s = 0; s < asked.steps; s++) {
    double got[COLUMNS];
    draw_batch(s, batch->count, batch->image, batch->label);
    step(card, s, batch, got);
    const double here = apart(card->training.objective, got, c->row[s], &losses);
    const double allowed = types[type_index()].first + FACTOR * drift_until(c, s + s / 2 + 2);
    assert_int_equal(losses, gan ? 2 : 1);
    if (!(here <= allowed))
      fail_msg("step %lld: a loss on %s is %.3g off the processor's, allowed %.3g", (long long)s + 1,
               asked.kind, here, allowed);
    worst = fmax(worst, here);
    if (s == 0) first = here;
  }
  printf(
      "# note: %s in %s: %lld steps, losses %.2g apart after the first, at most %.2g; from nudged weights "
      "%.2g\n",
      gan ? "DCGAN" : "ResNet-18", asked.type, (long long)asked.steps, first, worst,
      drift_until(c, asked.steps));
}

static am_batch new_batch(bool gan) {
  am_batch b = {.count = gan ? GAN_BATCH : BATCH};
  am_ok(AM_NEW_ARRAY(&b.image, b.count * 3 * SIZE * SIZE));
  am_ok(AM_NEW_ARRAY(&b.label, b.count));
  am_ok(AM_NEW_ARRAY(&b.item, b.count));
  return b;
}
static void free_batch(am_batch *b) {
  free(b->image);
  free(b->label);
  free(b->item);
}

static void stay_together(bool gan) {
  const char *type = asked.type;
  run cpu, nudged, card;
  static course c;
  am_batch batch = new_batch(gan);
  const double unit = types[type_index()].unit;
  asked.type = "fp32";  // the processor's trainings are the same whatever the card's precision
  // Against itself the processor takes half of its threads: the order of its sums differs.
  const int threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
  open_run(&cpu, (am_device_cfg){.kind = "cpu", .threads = threads}, gan, NULL, 0);
  open_run(&nudged, (am_device_cfg){.kind = "cpu", .threads = threads > 1 ? threads / 2 : 1}, gan, &cpu,
           unit);
  asked.type = type;
  open_run(&card, (am_device_cfg){.kind = asked.kind}, gan, &cpu, 0);
  take_course(&cpu, &nudged, &batch, &c);
  follow_course(&card, &batch, &c, gan);
  close_run(&card);
  close_run(&nudged);
  close_run(&cpu);
  free_batch(&batch);
}

static void stay_equal(bool gan) {
  enum { RECORDED_STEPS = 12, SHORT = 5 };  // every third batch is a short one: two kinds of steps
  run launched, eager;
  am_batch batch = new_batch(gan);
  const int64_t full = batch.count;
  const char *one_by_one =
      strcmp(asked.kind, "cuda") == 0 ? "cuda:eager" : asked.kind;  // others record nothing
  open_run(&eager, (am_device_cfg){.kind = one_by_one}, gan, NULL, 0);
  open_run(&launched, (am_device_cfg){.kind = asked.kind}, gan, &eager, 0);
  for (int64_t s = 0; s < RECORDED_STEPS; s++) {
    double got[COLUMNS], want[COLUMNS];
    batch.count = s % 3 == 2 ? SHORT : full;
    draw_batch(s, batch.count, batch.image, batch.label);
    step(&launched, s, &batch, got);
    step(&eager, s, &batch, want);
    for (int k = 0; k < launched.training.objective->column_count; k++)
      assert_true(got[k] == want[k] || (isnan(got[k]) && isnan(want[k])));
  }
  for (int i = 0; i < 1 + gan; i++) {
    char got[65], want[65];
    am_ok(am_params_hash(launched.model[i]->params, got));
    am_ok(am_params_hash(eager.model[i]->params, want));
    assert_string_equal(got, want);
  }
  close_run(&launched);
  close_run(&eager);
  free_batch(&batch);
}

static void classifier(void **state) { stay_together(false); }
static void gan(void **state) { stay_together(true); }
static void recorded_classifier(void **state) { stay_equal(false); }
static void recorded_gan(void **state) { stay_equal(true); }

static int64_t number_of(int argc, char **argv, const char *name, int64_t otherwise) {
  const char *text = am_test_option(argc, argv, name);
  return text ? strtoll(text, NULL, 10) : otherwise;
}

int main(int argc, char **argv) {
  const char *type = am_test_option(argc, argv, "--type");
  asked.kind = am_test_option(argc, argv, "--device");
  if (type) asked.type = type;
  asked.steps = number_of(argc, argv, "--steps", asked.steps);
  asked.width = number_of(argc, argv, "--width", 0);
  if (!asked.kind || asked.steps < 1 || asked.steps > MOST_STEPS) {
    fprintf(stderr,
            "usage: test_gpu_train --device KIND [--type fp32|tf32|bf16] [--steps 1 to %d] [--width W]\n",
            MOST_STEPS);
    return 2;
  }
  if (am_comm_init(&argc, &argv, false, &world) != AM_OK) return 1;
  const struct CMUnitTest tests[] = {cmocka_unit_test(classifier), cmocka_unit_test(gan),
                                     cmocka_unit_test(recorded_classifier), cmocka_unit_test(recorded_gan)};
  const int failed = cmocka_run_group_tests_name("train", tests, make_data, free_data);
  return am_comm_finish(world) == AM_OK ? failed : 1;
}
