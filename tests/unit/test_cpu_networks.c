// Whole networks on the cpu device: no convolution of a training step falls to a reference loop, at any
// usual batch, in any type, and none takes the general path where oneDNN has a fast one.
#include "am_test.h"
#include "backend/cpu/cpu.h"
#include "base/num.h"
#include "models/registry.h"
#include "nn/loss.h"
#include "tensor/device_internal.h"

enum { BATCH = 2, MANY = 1024, COMPLAINT = 256 };

typedef struct {
  am_device *dev;
  am_graph *graph;
} bench;

static bench open_bench(int threads) {
  bench b = {0};
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu", .threads = threads}, &b.dev));
  am_ok(am_graph_new(b.dev, &b.graph));
  return b;
}
static void close_bench(bench *b) {
  am_graph_free(b->graph);
  am_device_close(b->dev);
}

// ---- one step of a network ----

static am_tensor *drawn(bench *b, am_shape shape) {
  am_random_desc d = {.kind = AM_RAND_NORMAL, .dtype = AM_F32, .shape = shape, .seed = 1, .purpose = 1};
  am_tensor *t = NULL;
  am_ok(am_random(b->graph, d, &t));
  return t;
}

static void backward(am_graph *g, am_params *ps, am_tensor *loss) {
  int count = 0;
  am_grad_desc d = {.y = &loss, .y_count = 1, .x = am_params_leaves(ps, &count),
                    .sink = am_params_grad_views(ps, &count)};
  d.x_count = count;
  am_ok(am_grad(g, &d, NULL));
}

static void train_classifier(bench *b, const am_model_def *def) {
  am_model *m = NULL;
  am_tensor *logits = NULL, *target = NULL, *loss = NULL;
  am_pass pass = {.graph = b->graph, .train = true};
  am_ok(am_model_new(def->name, NULL, b->dev, 1, &m));
  am_tensor *x = drawn(b, AM_SHAPE(BATCH, m->cfg.channels, m->cfg.size, m->cfg.size));
  am_ok(am_model_forward(m, &pass, x, &logits));
  am_ok(am_fill(b->graph, AM_F32, AM_SHAPE(BATCH, m->cfg.classes), 1.0 / (double)m->cfg.classes, &target));
  am_ok(am_loss_cross_entropy(b->graph, logits, target, &loss));
  backward(b->graph, m->params, loss);
  am_graph_reset(b->graph);
  am_model_free(m);
}

// The generator through the discriminator, and the discriminator's own weights.
static void train_gan(bench *b, const char *generator, const char *discriminator) {
  am_model *g = NULL, *d = NULL;
  am_tensor *fake = NULL, *logits = NULL, *target = NULL, *loss = NULL;
  am_pass pass = {.graph = b->graph, .train = true};
  am_ok(am_model_new(generator, NULL, b->dev, 1, &g));
  am_ok(am_model_new(discriminator, NULL, b->dev, 2, &d));
  for (int half = 0; half < 2; half++) {
    am_ok(am_model_forward(g, &pass, drawn(b, AM_SHAPE(BATCH, g->cfg.latent)), &fake));
    am_ok(am_model_forward(d, &pass, fake, &logits));
    am_ok(am_fill(b->graph, AM_F32, AM_SHAPE(BATCH), 1, &target));
    am_ok(am_loss_bce_logits(b->graph, logits, target, &loss));
    backward(b->graph, half ? d->params : g->params, loss);
    am_graph_reset(b->graph);
  }
  am_model_free(g);
  am_model_free(d);
}

// ---- what is wrong with a convolution ----

// From here on the weights are a small part of the work: no reason is left to keep images plain.
enum { LARGE_BATCH_PLACES = 2048 };

static bool is_generic_without_need(const am_cpu_conv_use *u) {
  const bool sixteens = u->x.dim[1] % 16 == 0 && u->w.dim[0] % 16 == 0;
  const int64_t places = u->y.dim[0] * u->y.dim[2] * u->y.dim[3];
  return strcmp(u->impl, "gemm") == 0 && u->desc.groups == 1 && sixteens && places >= LARGE_BATCH_PLACES;
}

// Puts what is wrong into text; false when nothing is. Without AVX-512 the general path is the only one
// in f32.
static bool complains(const am_cpu_conv_use *u, bool avx512, char text[COMPLAINT]) {
  char x[AM_SHAPE_TEXT], w[AM_SHAPE_TEXT];
  const char *what = u->fell_back ? "is offered no more than" : "goes without need through";
  if (!u->fell_back && !(avx512 && is_generic_without_need(u))) return false;
  snprintf(text, COMPLAINT, "%s of %s, kernel %s, in %s %s %s", am_op_name(u->op), am_shape_text(u->x, x),
           am_shape_text(u->w, w), am_dtype_name(u->image), what, u->impl);
  return true;
}

static void check_uses(const bench *b, const char *network) {
  static am_cpu_conv_use use[MANY];
  const bool avx512 = strstr(am_device_describe(b->dev), "AVX-512") != NULL;
  char text[COMPLAINT];
  const int64_t count = am_cpu_conv_uses(b->dev->ctx, use, MANY);
  assert_true(count <= MANY);
  for (int64_t i = 0; i < count; i++) {
    if (complains(&use[i], avx512, text)) fail_msg("%s: %s", network, text);
  }
}

// The convolutions of the step that ran, at several batches.
static void check_others(const am_cpu_conv_use *ran, int64_t count, int threads, am_dtype image,
                         const char *network) {
  static const int64_t batch[] = {1, 16, 128};
  bench b = open_bench(threads);
  const char *name = NULL;
  assert_true(count * AM_COUNT_OF(batch) <= MANY);
  for (int64_t i = 0; i < count; i++) {
    for (int k = 0; k < AM_COUNT_OF(batch); k++) {
      am_shape x = ran[i].x;
      x.dim[0] = batch[k];
      am_ok(am_cpu_conv_impl(b.dev->ctx, ran[i].op, &ran[i].desc, image, x, ran[i].w, &name));
    }
  }
  check_uses(&b, network);
  close_bench(&b);
}

static void check_network(bench *b, const char *network) {
  static am_cpu_conv_use ran[MANY];
  const int64_t count = am_cpu_conv_uses(b->dev->ctx, ran, MANY);
  assert_true(count >= 5);
  check_uses(b, network);
  for (int threads = 1; threads <= 2; threads++) check_others(ran, count, threads, AM_F32, network);
  if (am_device_check_type(b->dev, AM_OP_conv2d, AM_BF16) == AM_OK) check_others(ran, count, 1, AM_BF16, network);
}

// ---- the tests ----

// ResNet-34 repeats the blocks of ResNet-18, -101 and -152 those of -50.
static void classifiers_train_without_fallback(void **state) {
  static const char *const names[] = {"resnet18", "resnet50", "resnet18_cifar", "resnet50_cifar",
                                      "preact_resnet18", "preact_resnet18_64", "cow_horse_cnn", "p2_cnn",
                                      "p3_cnn"};
  for (int i = 0; i < AM_COUNT_OF(names); i++) {
    bench b = open_bench(1);
    train_classifier(&b, am_model_find(names[i]));
    check_network(&b, names[i]);
    close_bench(&b);
  }
}

static void gans_train_without_fallback(void **state) {
  static const char *const names[][2] = {{"dcgan_p4_g", "dcgan_p4_d"}, {"dcgan_p2_g", "dcgan_p2_d"}};
  for (int i = 0; i < AM_COUNT_OF(names); i++) {
    bench b = open_bench(1);
    train_gan(&b, names[i][0], names[i][1]);
    check_network(&b, names[i][0]);
    close_bench(&b);
  }
}

static void bad_choices_are_noticed(void **state) {
  char text[COMPLAINT];
  am_cpu_conv_use u = {.op = AM_OP_conv2d, .desc = {.groups = 1}, .x = AM_SHAPE(16, 64, 56, 56),
                       .w = AM_SHAPE(64, 64, 3, 3), .y = AM_SHAPE(16, 64, 56, 56), .impl = "jit:avx512_core"};
  assert_false(complains(&u, true, text));
  u.impl = "gemm";
  assert_true(complains(&u, true, text));
  assert_false(complains(&u, false, text));
  u.y = u.x = AM_SHAPE(1, 64, 4, 4);
  assert_false(complains(&u, true, text));
  u.impl = "ref:any";
  u.fell_back = true;
  assert_true(complains(&u, false, text));
  assert_string_equal(text, "conv2d of (1, 64, 4, 4), kernel (64, 64, 3, 3), in f32 is offered no more than ref:any");
}

// Padding beyond the kernel: the rule gives it to oneDNN, which has no kernel for it.
static void fallbacks_are_reported(void **state) {
  bench b = open_bench(1);
  if (!strstr(am_device_describe(b.dev), "AVX-512")) {
    close_bench(&b);
    am_skip("without AVX-512 no convolution in f32 is oneDNN's");
  }
  const am_conv2d_desc d = {.pad_h = 5, .pad_w = 5, .in_h = 64, .in_w = 64, .kernel_h = 1, .kernel_w = 1};
  am_cpu_conv_use use = {0};
  const char *name = NULL;
  char text[COMPLAINT];
  am_ok(am_cpu_conv_impl(b.dev->ctx, AM_OP_conv2d, &d, AM_F32, AM_SHAPE(4, 16, 64, 64), AM_SHAPE(16, 16, 1, 1),
                         &name));
  assert_string_equal(name, "gemm");
  assert_int_equal(am_cpu_conv_uses(b.dev->ctx, &use, 1), 1);
  assert_true(complains(&use, true, text));
  close_bench(&b);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(classifiers_train_without_fallback), cmocka_unit_test(gans_train_without_fallback),
      cmocka_unit_test(bad_choices_are_noticed), cmocka_unit_test(fallbacks_are_reported),
  };
  return cmocka_run_group_tests_name("cpu_networks", tests, NULL, NULL);
}
