// `augmint predict` of every ResNet against torchvision (make_predict.py): files decoded by Pillow, resized and
// cropped by torchvision, weights as a file that the command loads.
#include "projection.h"

#include "app/command.h"
#include "data/h5.h"

enum { PHOTOS = 4, CLASSES = 10 };
// The suite promises 1e-4; f32 sums in other orders are worth about 1e-6.
static const double TOLERANCE = 2e-5;

// The command as main.c calls it.
static void predict(const char *weights, const char *out, const char *const *more, int count) {
  const char *words[24] = {"--weights", weights, "--images", "tests/golden/photos", "--out", out};
  int words_count = 6;
  for (int i = 0; i < count; i++) words[words_count++] = more[i];
  FILE *nowhere = fopen("/dev/null", "w");
  assert_non_null(nowhere);
  am_app app = {.command = &am_cmd_predict,
                .device_kind = "cpu",
                .threads = 2,
                .out = nowhere,
                .argc = words_count,
                .argv = (char **)words};
  am_ok(am_cmd_predict.run(&app));
  fclose(nowhere);
}

static void read_logits(const char *path, double *out) {
  am_h5 *h = NULL;
  am_h5_info info;
  float *logits = NULL;
  am_ok(am_h5_open(path, &h));
  am_ok(am_h5_get(h, "logits", AM_H5_F32, 2, &info, &logits));
  assert_int_equal(info.dim[0], PHOTOS);
  assert_int_equal(info.dim[1], CLASSES);
  for (int i = 0; i < PHOTOS * CLASSES; i++) out[i] = logits[i];
  free(logits);
  am_h5_close(h);
}

static void save_weights(const char *name, const char *path) {
  am_device *dev = NULL;
  am_model *m = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  am_ok(am_model_declare(name, &(am_model_cfg){.classes = CLASSES}, &m));
  am_ok(am_params_allocate(m->params, dev, AM_F32));
  golden_fill(m->params);
  am_ok(am_params_save(m->params, path, NULL));
  am_model_free(m);
  am_device_close(dev);
}

// `way` is the name of the logits, `more` says it to the command.
static void agrees(const char *name, const char *way, const char *const *more, int count) {
  char weights[300], out[300], golden_name[64];
  am_safetensors *golden = NULL;
  double logits[PHOTOS * CLASSES];
  snprintf(weights, sizeof weights, "%s/w.safetensors", am_test_dir());
  snprintf(out, sizeof out, "%s/logits.h5", am_test_dir());
  snprintf(golden_name, sizeof golden_name, "%s.%s", name, way);
  save_weights(name, weights);
  predict(weights, out, more, count);
  read_logits(out, logits);
  am_ok(am_safetensors_open("tests/golden/predict.safetensors", &golden));
  golden_close(golden, golden_name, logits, TOLERANCE);
  am_safetensors_close(golden);
  assert_int_equal(unlink(weights), 0);
}

static void every_resnet(void **state) {
  static const char *const names[] = {"resnet18", "resnet34", "resnet50", "resnet101", "resnet152"};
  for (int i = 0; i < 5; i++)
    agrees(names[i], "imagenet", (const char *[]){"--model", names[i], "--batch", "4"}, 4);
}

static void other_recipes(void **state) {
  static const char *const v2[] = {"--model", "resnet18", "--preprocess", "short_side:232", "--batch", "3"};
  static const char *const bicubic[] = {
      "--model",    "resnet18", "--preprocess", "filter:bicubic,short_side:120,crop:96",
      "--decoders", "0",        "--batch",      "1"};
  agrees("resnet18", "v2", v2, 6);
  agrees("resnet18", "bicubic", bicubic, 8);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_resnet), cmocka_unit_test(other_recipes)};
  return cmocka_run_group_tests_name("golden predict", tests, NULL, NULL);
}
