// Experiment files: what is accepted, merged and expanded, and what is refused with which words.
#include "am_test.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/experiment.h"

static const char BASE[] =
    "name: test\n"
    "data:\n"
    "  train: {manifest: signs, split: train, size: 32}\n"
    "  test: {split: test}\n"
    "  shifted: {split: shifted}\n"
    "generators:\n"
    "  gan: {model: {kind: dcgan, width: 8}, fit: {epochs: 2, runs: 2, optimizer: {lr: 2.0e-4, betas: [0.5, "
    "0.999]}}}\n"
    "pools:\n"
    "  gan: {from: gan, per_class: 20}\n"
    "arms:\n"
    "  real: {train: [real]}\n"
    "  more: {train: [real, {pool: gan, per_class: 10}], augment: [horizontal_flip]}\n"
    "  soft: {train: [real, {pool: gan}], override: {loss: double_softmax}}\n"
    "models:\n"
    "  net: {kind: resnet18_cifar, width: 8}\n"
    "train: {epochs: 3, batch_size: 16}\n"
    "seeds: 2\n"
    "evaluate: [accuracy, loss]\n"
    "published:\n"
    "  - {arm: real, split: test, metric: accuracy, value: 0.5}\n"
    "tiny:\n"
    "  train: {epochs: 1}\n"
    "  pools: {gan: {per_class: 12}}\n";

// Writes a file of this test's folder and loads it.
static am_err load(const char *text, const am_experiment_overrides *over, am_experiment **out) {
  char *path = NULL;
  am_ok(am_path_join(am_test_dir(), "experiment.yaml", &path));
  am_ok(am_file_write(path, text, strlen(text)));
  am_err err = am_experiment_load(path, over, out);
  free(path);
  return err;
}

// BASE with `from` replaced by `to`; the caller frees it.
static char *changed(const char *from, const char *to) {
  char *text = NULL;
  const char *at = strstr(BASE, from);
  assert_non_null(at);
  am_ok(am_str_format(&text, "%.*s%s%s", (int)(at - BASE), BASE, to, at + strlen(from)));
  return text;
}

static void reads_every_section(void **state) {
  am_experiment *e = NULL;
  am_ok(load(BASE, &(am_experiment_overrides){0}, &e));
  assert_string_equal(e->folder, "test");
  assert_int_equal(e->draw_count, 1);
  assert_string_equal(e->draw[0].name, "all");
  assert_int_equal(e->draw[0].split_count, 3);
  assert_string_equal(e->draw[0].split[0].name, "train");
  assert_string_equal(e->draw[0].split[2].cfg.manifest, "signs");
  assert_int_equal(e->draw[0].split[2].cfg.size, 32);
  assert_int_equal(e->evaluated_count, 2);
  assert_string_equal(e->generator[0].generator->name, "dcgan_p4_g");
  assert_int_equal(e->generator[0].fit.runs, 2);
  assert_true(e->generator[0].optimizer.beta1 == 0.5);
  assert_int_equal(e->pool[0].cfg.batch_size, e->generator[0].fit.batch_size);
  assert_int_equal(e->arm_count, 3);
  assert_int_equal(e->arm[1].part[1].per_class, 10);
  assert_int_equal(e->arm[2].part[1].per_class, 20);
  assert_string_equal(e->arm[0].train.loss, "cross_entropy");
  assert_string_equal(e->arm[2].train.loss, "double_softmax");
  assert_int_equal(e->arm[2].train.epochs, 3);
  assert_int_equal(e->published_count, 1);
  am_experiment_free(e);
}

static void applies_tiny_and_overrides(void **state) {
  am_experiment *e = NULL;
  const char *set[] = {"seeds=5", "pools.gan.per_class=11"};
  am_ok(load(BASE, &(am_experiment_overrides){.tiny = true, .set = set, .set_count = 2, .threads = 3}, &e));
  assert_string_equal(e->folder, "test-tiny");
  assert_int_equal(e->arm[0].train.epochs, 1);
  assert_int_equal(e->cfg.seeds, 5);
  assert_int_equal(e->cfg.threads, 3);
  assert_int_equal(e->pool[0].cfg.per_class, 11);
  am_experiment_free(e);
}

static void adds_controls_for_arms_with_pools(void **state) {
  am_experiment *e = NULL;
  const char *set[] = {"controls=true"};
  am_ok(load(BASE, &(am_experiment_overrides){.set = set, .set_count = 1}, &e));
  assert_int_equal(e->arm_count, 5);
  assert_string_equal(e->arm[3].name, "more (duplicates)");
  assert_string_equal(e->arm[3].control_of, "more");
  assert_int_equal(e->arm[3].part_count, 2);
  assert_int_equal(e->arm[3].part[0].kind, AM_PART_REAL);
  assert_int_equal(e->arm[3].part[1].kind, AM_PART_DUPLICATES);
  assert_int_equal(e->arm[3].part[1].per_class, 10);
  assert_ptr_equal(e->arm[3].augment, e->arm[1].augment);
  assert_string_equal(e->arm[4].train.loss, "double_softmax");
  am_experiment_free(e);
}

static void expands_matrix_and_zip(void **state) {
  static const char more[] =
      "matrix: {n: [5, 10], net: [a, b]}\n"
      "zip: {loss: [cross_entropy, double_softmax], tag: [\"\", \" x2\"]}\n"
      "exclude: [{n: 10, net: b}]\n"
      "include: [{n: 15, net: a, loss: cross_entropy, tag: \" extra\"}]\n"
      "arms:\n"
      "  real: {train: [real]}\n"
      "  gan ${n}${tag}: {train: [real, {pool: gan, per_class: \"${n}\"}], override: {loss: \"${loss}\"}}\n"
      "models:\n"
      "  net ${net}: {kind: resnet18_cifar, width: 8}\n";
  char *text = NULL;
  const char *arms = strstr(BASE, "arms:"), *train = strstr(BASE, "train: {epochs: 3");
  am_ok(am_str_format(&text, "%.*s%s%s", (int)(arms - BASE), BASE, more, train));
  am_experiment *e = NULL;
  am_ok(load(text, &(am_experiment_overrides){0}, &e));
  static const char *const names[] = {"real", "gan 5", "gan 5 x2", "gan 10", "gan 10 x2", "gan 15 extra"};
  assert_int_equal(e->arm_count, 6);
  for (int i = 0; i < 6; i++) assert_string_equal(e->arm[i].name, names[i]);
  assert_int_equal(e->arm[3].part[1].per_class, 10);
  assert_string_equal(e->arm[4].train.loss, "double_softmax");
  assert_int_equal(e->model_count, 2);
  assert_string_equal(e->model[1].name, "net b");
  am_experiment_free(e);
  free(text);
}

static void merges_defaults_and_draws(void **state) {
  static const char child[] =
      "defaults: base.yaml\n"
      "name: child\n"
      "data:\n"
      "  draws:\n"
      "    - {name: a, train: {per_class: 4}}\n"
      "    - {name: b, test: {split: val}}\n";
  char *base = NULL;
  am_ok(am_path_join(am_test_dir(), "base.yaml", &base));
  am_ok(am_file_write(base, BASE, strlen(BASE)));
  am_experiment *e = NULL;
  am_ok(load(child, &(am_experiment_overrides){0}, &e));
  assert_string_equal(e->cfg.name, "child");
  assert_int_equal(e->draw_count, 2);
  assert_int_equal(e->draw[0].split[0].cfg.per_class, 4);
  assert_int_equal(e->draw[1].split[0].cfg.per_class, 0);
  assert_string_equal(e->draw[1].split[1].cfg.split, "val");
  assert_string_equal(e->draw[0].split[1].cfg.split, "test");
  am_experiment_free(e);
  free(base);
}

// Each row: a change to BASE, and what the message must hold.
static void refuses_what_is_wrong(void **state) {
  static const struct {
    const char *from, *to, *message;
  } rows[] = {
      {"name: test", "nmae: test", "name"},
      {"name: test", "name: a/b", "part of a path"},
      {"name: test", "name: test\nname: twice", "twice"},
      {"seeds: 2", "seeds: two", "seeds"},
      {"seeds: 2", "seeds: 0", "seeds"},
      {"seeds: 2", "seed: -1\nseeds: 2", "seed"},
      {"  test: {split: test}\n  shifted: {split: shifted}\n", "", "no split to evaluate"},
      {"  train: {manifest: signs, split: train, size: 32}\n", "", "\"train\" is missing"},
      {"size: 32", "size: 32px", "size"},
      {"size: 32", "size: 32, sise: 3", "did you mean"},
      {"split: shifted", "split: shifted, size: 64", "size is 64, train has 32"},
      {"  test: {split: test}", "  test: {split: test}\n  normalize: {mean: [0.5, 0.5]}",
       "images have 3 channels"},
      {"  test: {split: test}", "  test: {split: test}\n  normalize: {sd: [0.5, 0, 0.5]}",
       "0, expected 1e-06 to 10"},
      {"  test: {split: test}", "  test: {split: test}\n  normalize: {means: 0.5}", "did you mean `mean`"},
      {"kind: dcgan,", "kind: dcgam,", "dcgan"},
      {"kind: dcgan,", "kind: resnet18,", "no generator"},
      {"kind: dcgan, width: 8", "kind: dcgan, width: 8, dropout: 2", "dropout"},
      {"runs: 2", "runs: 2, per_class: false", "without a label"},
      {"from: gan", "from: gun", "did you mean \"gan\""},
      {"{pool: gan, per_class: 10}", "{pool: gam, per_class: 10}", "did you mean \"gan\""},
      {"{pool: gan, per_class: 10}", "{pool: gan, per_class: 21}", "1 to 20, not 21"},
      {"{pool: gan, per_class: 10}", "{pol: gan}", "expected real"},
      {"{pool: gan, per_class: 10}", "real", "comes twice"},
      {"augment: [horizontal_flip]", "augment: [horizontal_flop]", "horizontal_flip"},
      {"{loss: double_softmax}", "{loss: double_softmix}", "double_softmax"},
      {"kind: resnet18_cifar", "kind: resnet19_cifar", "resnet18_cifar"},
      {"kind: resnet18_cifar", "kind: dcgan_p4_g", "no classifier"},
      {"resnet18_cifar, width: 8", "cow_horse_cnn, width: 8", "no setting \"width\""},
      {"evaluate: [accuracy, loss]", "evaluate: [acuracy]", "did you mean \"accuracy\""},
      {"evaluate: [accuracy, loss]", "evaluate: {metrics: [accuracy], splits: [tst]}",
       "did you mean \"test\""},
      {"evaluate: [accuracy, loss]", "evaluate: [loss]", "not in `evaluate`"},
      {"arm: real, split: test", "arm: reel, split: test", "did you mean \"real\""},
      {"arm: real, split: test", "arm: real, split: train", "not in `evaluate`"},
      {"metric: accuracy, value: 0.5", "metric: accuracy", "metric and value"},
      {"batch_size: 16", "batch_size: 16, slices: 17", "17 slices"},
      {"runs: 2", "runs: 2, slices: 2", "2 slices"},
      {"seeds: 2", "seeds: 2\nreference: rael", "there is no arm"},
      {"seeds: 2", "seeds: 2\nmatrix: {x: [1]}", "mentions ${x}"},
      {"seeds: 2", "seeds: 2\nwatch: train", "training set is in the curves"},
      {"real: {train: [real]}", "real ${x}: {train: [real]}", "no variable \"x\""},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    am_experiment *e = NULL;
    char *text = changed(rows[i].from, rows[i].to);
    am_fails(load(text, &(am_experiment_overrides){0}, &e), AM_ERR_CONFIG, rows[i].message);
    assert_non_null(strstr(am_err_last()->message, "experiment.yaml"));
    free(text);
  }
}

static void refuses_wrong_overrides(void **state) {
  am_experiment *e = NULL;
  const char *set[] = {"train.epoch=2"};
  am_fails(load(BASE, &(am_experiment_overrides){.set = set, .set_count = 1}, &e), AM_ERR_CONFIG, "epochs");
  char *text = changed("tiny:\n  train: {epochs: 1}\n  pools: {gan: {per_class: 12}}\n", "");
  am_fails(load(text, &(am_experiment_overrides){.tiny = true}, &e), AM_ERR_CONFIG, "--tiny");
  free(text);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_every_section),
      cmocka_unit_test(applies_tiny_and_overrides),
      cmocka_unit_test(adds_controls_for_arms_with_pools),
      cmocka_unit_test(expands_matrix_and_zip),
      cmocka_unit_test(merges_defaults_and_draws),
      cmocka_unit_test(refuses_what_is_wrong),
      cmocka_unit_test(refuses_wrong_overrides),
  };
  return cmocka_run_group_tests_name("experiment", tests, NULL, NULL);
}
