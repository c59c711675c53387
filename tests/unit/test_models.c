// The registry: sizes, names, shapes, settings, initial values.
#include "am_test.h"

#include "models/registry.h"

static am_device *device(void) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  return dev;
}

// A network as it declares itself, without storage: what names and counts need.
static am_model *declared(const char *name) {
  const am_model_def *def = am_model_find(name);
  assert_non_null(def);
  am_model *m = calloc(1, def->struct_bytes);
  assert_non_null(m);
  m->def = def;
  m->cfg = def->defaults;
  am_ok(am_params_new(&m->params));
  am_ok(def->build(m));
  return m;
}

static int64_t trainable_elements(am_model *m) {
  int64_t sum = 0;
  for (int64_t i = 0; i < am_params_count(m->params); i++) {
    const am_param *p = am_params_at(m->params, i);
    if (p->kind == AM_PARAM_TRAINABLE) sum += am_shape_count(p->shape);
  }
  return sum;
}

static void parameter_counts(void **state) {
  static const struct {
    const char *name;
    int64_t count;
  } cases[] = {{"cow_horse_cnn", 102922},
               {"p3_cnn", 113738},
               {"p2_cnn", 2193226},
               {"dcgan_p4_g", 2839424},
               {"dcgan_p4_d", 2765568},
               {"dcgan_p2_g", 4854656},
               {"dcgan_p2_d", 2765568},
               {"resnet18", 11689512},
               {"resnet34", 21797672},
               {"resnet50", 25557032},
               {"resnet101", 44549160},
               {"resnet152", 60192808},
               {"resnet18_cifar", 11173962},
               {"resnet34_cifar", 21282122},
               {"resnet50_cifar", 23520842},
               {"resnet101_cifar", 42512970},
               {"resnet152_cifar", 58156618},
               {"preact_resnet18", 11171146},
               {"preact_resnet18_64", 11268616}};
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    am_model *m = declared(cases[i].name);
    int64_t count = trainable_elements(m);
    if (count != cases[i].count) {
      fail_msg("%s has %lld parameters, expected %lld", cases[i].name, (long long)count,
               (long long)cases[i].count);
    }
    am_model_free(m);
  }
  int listed = 0;
  while (am_model_all()[listed]) listed++;
  assert_int_equal(listed, sizeof cases / sizeof *cases);  // a new model needs its line above
}

// torchvision's and PyTorch's names, shapes and order, one "model name shape" a line.
static void state_dicts_are_pytorchs(void **state) {
  FILE *file = fopen("tests/golden/state_dicts.txt", "r");
  assert_non_null(file);
  am_model *m = NULL;
  char model[32], name[96], shape[64];
  int64_t next = 0, lines = 0;
  while (fscanf(file, "%31s %95s %63s", model, name, shape) == 3) {
    if (!m || strcmp(m->def->name, model) != 0) {
      if (m) assert_int_equal(next, am_params_count(m->params));
      am_model_free(m);
      m = declared(model);
      next = 0;
    }
    assert_true(next < am_params_count(m->params));
    const am_param *p = am_params_at(m->params, next++);
    char text[64] = "scalar";
    for (int d = 0, used = 0; d < p->shape.ndim; d++) {
      used += snprintf(text + used, sizeof text - (size_t)used, d ? "x%d" : "%d", (int)p->shape.dim[d]);
    }
    assert_string_equal(p->name, name);
    assert_string_equal(text, shape);
    lines++;
  }
  assert_int_equal(next, am_params_count(m->params));
  assert_true(lines > 500);
  am_model_free(m);
  fclose(file);
}

// Small forms of every network: images in, the right shape out, training and evaluating.
static void forward_shapes(void **state) {
  static const struct {
    const char *name;
    am_model_cfg cfg;
    int64_t batch;
    am_shape in, out;
  } cases[] = {
      {"resnet18", {.classes = 5, .width = 16}, 2, {4, {2, 3, 64, 64}}, {2, {2, 5}}},
      {"resnet50", {.classes = 5, .width = 16}, 2, {4, {2, 3, 64, 64}}, {2, {2, 5}}},
      {"resnet18_cifar", {.width = 16, .channels = 1}, 3, {4, {3, 1, 16, 16}}, {2, {3, 10}}},
      {"resnet34_cifar", {.width = 8}, 3, {4, {3, 3, 16, 16}}, {2, {3, 10}}},
      {"resnet50_cifar", {.width = 8}, 3, {4, {3, 3, 16, 16}}, {2, {3, 10}}},
      {"resnet101_cifar", {.width = 4}, 2, {4, {2, 3, 16, 16}}, {2, {2, 10}}},
      {"resnet152_cifar", {.width = 4}, 2, {4, {2, 3, 16, 16}}, {2, {2, 10}}},
      {"preact_resnet18", {.width = 16, .classes = 7}, 3, {4, {3, 3, 32, 32}}, {2, {3, 7}}},
      {"preact_resnet18_64", {.width = 16}, 3, {4, {3, 3, 64, 64}}, {2, {3, 200}}},
      {"cow_horse_cnn", {.size = 32}, 3, {4, {3, 3, 32, 32}}, {2, {3, 2}}},
      {"p2_cnn", {.size = 16}, 3, {4, {3, 3, 16, 16}}, {2, {3, 10}}},
      {"p3_cnn", {.classes = 4}, 3, {4, {3, 3, 32, 32}}, {2, {3, 4}}},
      {"dcgan_p4_g", {.width = 4}, 1, {2, {1, 10}}, {4, {1, 3, 64, 64}}},
      {"dcgan_p2_g", {.width = 4, .size = 16, .latent = 7}, 2, {2, {2, 7}}, {4, {2, 3, 16, 16}}},
      {"dcgan_p4_d", {.width = 4, .size = 32, .slope = 0.2}, 2, {4, {2, 3, 32, 32}}, {1, {2}}},
      {"dcgan_p2_d", {.width = 4, .size = 128}, 1, {4, {1, 3, 128, 128}}, {1, {1}}},
  };
  am_device *dev = device();
  am_graph *g = NULL;
  am_ok(am_graph_new(dev, &g));
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    am_model *m = NULL;
    am_ok(am_model_new(cases[i].name, &cases[i].cfg, dev, 3, &m));
    for (int train = 0; train < 2; train++) {
      am_tensor *x = NULL, *y = NULL;
      am_random_desc noise = {AM_RAND_NORMAL, AM_F32, cases[i].in, 5, 0, 12};
      am_pass pass = {.graph = g, .train = train, .update_stats = train, .seed = 9};
      am_ok(am_random(g, noise, &x));
      am_ok(am_model_forward(m, &pass, x, &y));
      char got[AM_SHAPE_TEXT], want[AM_SHAPE_TEXT];
      assert_string_equal(am_shape_text(y->shape, got), am_shape_text(cases[i].out, want));
      am_graph_reset(g);
    }
    am_model_free(m);
  }
  am_graph_free(g);
  am_device_close(dev);
}

static void refuses_what_a_model_cannot_have(void **state) {
  static const struct {
    const char *name;
    am_model_cfg cfg;
    const char *message;
  } cases[] = {
      {"resnet81", {0}, "did you mean \"resnet18\""},
      {"transformer", {0}, "there is no model \"transformer\""},
      {"resnet18", {.latent = 10}, "model resnet18 has no setting \"latent\""},
      {"p3_cnn", {.width = 32}, "no setting \"width\""},
      {"preact_resnet18", {.zero_init_residual = true}, "no setting \"zero_init_residual\""},
      {"dcgan_p4_g", {.slope = 0.2}, "no setting \"slope\""},
      {"dcgan_p4_g", {.size = 48}, "size is 48 px"},
      {"dcgan_p4_d", {.size = 512}, "size is 512 px"},
      {"dcgan_p4_d", {.slope = 1.5}, "slope is 1.5"},
      {"p2_cnn", {.dropout = -0.5}, "dropout is -0.5"},
      {"cow_horse_cnn", {.size = 8}, "images of 8 px are too small"},
      {"cow_horse_cnn", {.classes = -2}, "classes is -2"},
  };
  am_device *dev = device();
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    am_model *m = NULL;
    am_fails(am_model_new(cases[i].name, &cases[i].cfg, dev, 1, &m), AM_ERR_CONFIG, cases[i].message);
    assert_null(m);
  }
  am_device_close(dev);
}

static void generator_checks_its_latent(void **state) {
  am_device *dev = device();
  am_graph *g = NULL;
  am_model *m = NULL;
  am_tensor *z = NULL, *y = NULL;
  am_ok(am_graph_new(dev, &g));
  am_ok(am_model_new("dcgan_p4_g", &(am_model_cfg){.width = 4}, dev, 1, &m));
  am_ok(am_fill(g, AM_F32, AM_SHAPE(2, 11), 0, &z));
  am_pass pass = {.graph = g};
  am_fails(am_model_forward(m, &pass, z, &y), AM_ERR_ARG, "z has 11 numbers a row, expected 10");
  am_model_free(m);
  am_graph_free(g);
  am_device_close(dev);
}

// ---- initial values ----------------------------------------------------------------------------

static void moments(am_model *m, const char *name, double *mean, double *sd, double *largest) {
  am_param *p = am_params_find(m->params, name);
  assert_non_null(p);
  int64_t n = am_shape_count(p->shape);
  float *x = calloc((size_t)n, sizeof *x);
  assert_non_null(x);
  am_ok(am_tensor_to_host(p->value, x));
  double sum = 0, square = 0;
  *largest = 0;
  for (int64_t i = 0; i < n; i++) {
    sum += x[i];
    square += (double)x[i] * x[i];
    *largest = fmax(*largest, fabs(x[i]));
  }
  *mean = sum / (double)n;
  *sd = sqrt(square / (double)n - *mean * *mean);
  free(x);
}

static void expect_moments(am_model *m, const char *name, double mean, double sd, double limit) {
  double got_mean = 0, got_sd = 0, largest = 0;
  moments(m, name, &got_mean, &got_sd, &largest);
  double n = (double)am_shape_count(am_params_find(m->params, name)->shape);
  assert_true(fabs(got_mean - mean) <= 5 * sd / sqrt(n));
  assert_true(fabs(got_sd - sd) <= 5 * sd / sqrt(n));
  if (limit > 0) assert_true(largest <= limit && largest > 0.98 * limit);
}

static void starts_as_the_references_do(void **state) {
  am_device *dev = device();
  am_model *m = NULL;
  am_ok(am_model_new("resnet18", NULL, dev, 1, &m));
  expect_moments(m, "layer3.0.conv1.weight", 0, sqrt(2.0 / (256 * 9)), 0);  // kaiming normal, fan_out
  expect_moments(m, "conv1.weight", 0, sqrt(2.0 / (64 * 49)), 0);
  expect_moments(m, "fc.weight", 0, 1 / sqrt(512.0 * 3), 1 / sqrt(512.0));  // U(-b, b), b = 1/sqrt(fan_in)
  expect_moments(m, "bn1.weight", 1, 0, 0);
  expect_moments(m, "layer2.0.downsample.1.bias", 0, 0, 0);
  am_model_free(m);
  m = NULL;
  am_ok(am_model_new("preact_resnet18", NULL, dev, 1, &m));
  expect_moments(m, "layer2.0.conv1.weight", 0, 1 / sqrt(576.0 * 3), 1 / sqrt(576.0));
  expect_moments(m, "layer2.0.shortcut.0.weight", 0, 1 / sqrt(64.0 * 3), 1 / sqrt(64.0));
  am_model_free(m);
  m = NULL;
  am_ok(am_model_new("dcgan_p4_g", NULL, dev, 1, &m));
  expect_moments(m, "main.3.weight", 0, 0.02, 0);
  expect_moments(m, "main.4.weight", 1, 0.02, 0);
  expect_moments(m, "main.4.bias", 0, 0, 0);
  am_model_free(m);
  m = NULL;
  am_ok(am_model_new("cow_horse_cnn", NULL, dev, 1, &m));
  expect_moments(m, "fc1.weight", 0, 1 / sqrt(1568.0 * 3), 1 / sqrt(1568.0));
  expect_moments(m, "conv1.weight", 0, 1 / sqrt(75.0 * 3), 1 / sqrt(75.0));
  am_model_free(m);
  am_device_close(dev);
}

// torchvision's rule: bn2 of basic blocks and bn3 of bottlenecks, nothing else; the rest is drawn alike.
static void zero_init_residual_silences_the_last_batch_norm(void **state) {
  static const struct {
    const char *name, *last;
  } cases[] = {{"resnet18", ".bn2.weight"}, {"resnet50_cifar", ".bn3.weight"}};
  am_device *dev = device();
  for (int c = 0; c < 2; c++) {
    am_model *plain = NULL, *zero = NULL;
    am_ok(am_model_new(cases[c].name, &(am_model_cfg){.width = 8}, dev, 1, &plain));
    am_ok(
        am_model_new(cases[c].name, &(am_model_cfg){.width = 8, .zero_init_residual = true}, dev, 1, &zero));
    int silenced = 0;
    for (int64_t i = 0; i < am_params_count(plain->params); i++) {
      const am_param *p = am_params_at(plain->params, i), *z = am_params_at(zero->params, i);
      size_t bytes = (size_t)am_shape_count(p->shape) * sizeof(float), length = strlen(p->name);
      if (!p->value) continue;
      float *a = malloc(bytes), *b = malloc(bytes);
      assert_true(a && b);
      am_ok(am_tensor_to_host(p->value, a));
      am_ok(am_tensor_to_host(z->value, b));
      bool last = length > 11 && strcmp(p->name + length - 11, cases[c].last) == 0;
      for (size_t k = 0; last && k < bytes / sizeof(float); k++) assert_true(b[k] == 0 && a[k] == 1);
      if (!last) assert_memory_equal(a, b, bytes);
      silenced += last;
      free(a);
      free(b);
    }
    assert_int_equal(silenced, c ? 16 : 8);
    am_model_free(plain);
    am_model_free(zero);
  }
  am_device_close(dev);
}

// Bytes that a training pass holds when it is through, and its logits (2, 10).
static size_t training_pass(am_device *dev, am_model *m, bool train, float logits[20]) {
  am_graph *g = NULL;
  am_tensor *x = NULL, *y = NULL;
  am_random_desc noise = {AM_RAND_NORMAL, AM_F32, AM_SHAPE(2, 3, 32, 32), 5, 0, 12};
  am_ok(am_graph_new(dev, &g));
  am_graph_record(g, train);
  am_pass pass = {.graph = g, .train = train, .update_stats = train};
  size_t before = am_device_memory_now(dev).live_bytes;
  am_ok(am_random(g, noise, &x));
  am_ok(am_model_forward(m, &pass, x, &y));
  size_t held = am_device_memory_now(dev).live_bytes - before;
  am_ok(am_tensor_to_host(y, logits));
  am_graph_free(g);
  return held;
}

// What is frozen from the input on, BatchNorm included, is evaluated: the same bits, and no memory.
static void a_frozen_backbone_is_an_evaluation(void **state) {
  static const char *const names[] = {"resnet18_cifar", "resnet50_cifar", "preact_resnet18"};
  am_device *dev = device();
  for (int k = 0; k < 3; k++) {
    am_model *whole = NULL, *frozen = NULL;
    char head[AM_MODEL_HEAD];
    float logits[20], evaluated[20];
    am_model_cfg cfg = {.width = 8};
    am_ok(am_model_new(names[k], &cfg, dev, 1, &whole));
    am_ok(am_model_declare(names[k], &cfg, &frozen));
    assert_string_equal(am_model_head(frozen, head), k < 2 ? "fc" : "linear");
    am_params_freeze(frozen->params, "conv1", true);
    am_params_freeze(frozen->params, "bn1", true);
    am_params_freeze(frozen->params, "layer?", true);
    am_ok(am_params_commit(frozen->params, dev, AM_F32, 1));
    size_t all = training_pass(dev, whole, true, logits), last = training_pass(dev, frozen, true, logits);
    training_pass(dev, frozen, false, evaluated);
    assert_memory_equal(logits, evaluated, sizeof logits);
    if (last > all / 10) fail_msg("%s holds %zu bytes, %zu when all is trained", names[k], last, all);
    am_model_free(whole);
    am_model_free(frozen);
  }
  am_device_close(dev);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(parameter_counts),
      cmocka_unit_test(state_dicts_are_pytorchs),
      cmocka_unit_test(forward_shapes),
      cmocka_unit_test(refuses_what_a_model_cannot_have),
      cmocka_unit_test(generator_checks_its_latent),
      cmocka_unit_test(starts_as_the_references_do),
      cmocka_unit_test(a_frozen_backbone_is_an_evaluation),
      cmocka_unit_test(zero_init_residual_silences_the_last_batch_norm),
  };
  return cmocka_run_group_tests_name("models", tests, NULL, NULL);
}
