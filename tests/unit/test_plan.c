// Addresses: the same for the same meaning, another for any other.
#include "am_test.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/plan.h"

static const char BASE[] =
    "name: test\n"
    "data:\n"
    "  train: {manifest: signs, split: train, size: 32}\n"
    "  test: {split: test}\n"
    "generators:\n"
    "  gan: {model: {kind: dcgan, width: 8}, fit: {epochs: 2, runs: 2}}\n"
    "pools:\n"
    "  gan: {from: gan, per_class: 20, block: 6}\n"
    "arms:\n"
    "  real: {train: [real]}\n"
    "  gan5: {train: [real, {pool: gan, per_class: 5}]}\n"
    "  gan20: {train: [real, {pool: gan}]}\n"
    "models: {net: {kind: resnet18_cifar, width: 8}}\n"
    "train: {epochs: 3, batch_size: 16}\n"
    "seeds: 2\n"
    "evaluate: [accuracy]\n"
    "tiny: {seeds: 2}\n";

// Two splits of 3 classes; `salt` stands for other bytes in the files.
static am_source *sources(const am_experiment *e, char salt) {
  int64_t count = e->draw_count * e->draw[0].split_count;
  am_source *s = NULL;
  am_ok(AM_NEW_ARRAY(&s, count));
  for (int64_t i = 0; i < count; i++) {
    memset(s[i].address, 'a' + (int)(i % e->draw[0].split_count), AM_SHA256_HEX - 1);
    s[i].address[0] = salt;
    s[i].class_count = 3;
    s[i].images = 30;
    am_ok(AM_NEW_ARRAY(&s[i].per_class, 3));
    am_ok(AM_NEW_ARRAY(&s[i].class_name, 3));
    for (int k = 0; k < 3; k++) {
      s[i].per_class[k] = 10;
      snprintf(s[i].class_name[k], AM_CLASS_NAME, "class%d", k);
    }
  }
  return s;
}

// The weights that models name, by what they would hash to.
static am_given *given(const am_experiment *e, char salt) {
  am_given *g = NULL;
  am_ok(AM_NEW_ARRAY(&g, e->model_count));
  for (int64_t i = 0; i < e->model_count; i++) {
    if (!*e->model[i].finetune.cfg.weights) continue;
    am_ok(am_mem_strdup(e->model[i].finetune.cfg.weights, &g[i].path));
    memset(g[i].sha256, salt, AM_SHA256_HEX - 1);
  }
  return g;
}

typedef struct {
  am_experiment *e;
  am_plan *p;
} planned;

static planned plan_of(const char *text, const char *set, bool tiny, char salt) {
  planned made = {0};
  char *path = NULL;
  am_ok(am_path_join(am_test_dir(), "plan.yaml", &path));
  am_ok(am_file_write(path, text, strlen(text)));
  am_ok(am_experiment_load(
      path, &(am_experiment_overrides){.tiny = tiny, .set = &set, .set_count = set ? 1 : 0}, &made.e));
  am_ok(am_plan_new(made.e, sources(made.e, salt), given(made.e, salt), &made.p));
  free(path);
  return made;
}

static void planned_fini(planned *made) {
  am_plan_free(made->p);
  am_experiment_free(made->e);
}

static int64_t count_kind(const am_plan *p, am_stage_kind kind) {
  int64_t n = 0;
  for (int64_t i = 0; i < p->count; i++) n += p->stage[i].kind == kind;
  return n;
}

// A thousand cells: the work of planning and of looking is counted, not timed.
static void plans_and_looks_in_proportion(void **state) {
  am_store *store = NULL;
  am_store_view view;
  planned a = plan_of(BASE, "seeds=334", false, '0');
  assert_int_equal(a.p->cell_count, 3 * 334);
  assert_true(a.p->index_probes < 2 * a.p->count);
  for (int64_t i = 0; i < a.p->count; i++) assert_int_equal(am_plan_find(a.p, a.p->stage[i].address), i);
  assert_int_equal(am_plan_find(a.p, "00000000000000000000000000000000"), -1);
  am_ok(am_store_open(am_test_dir(), true, &store));
  am_store_view_init(&view, store);
  am_ok(am_plan_look_at(a.p, &view));
  am_ok(am_plan_look_at(a.p, &view));  // another plan would read nothing again
  assert_true(view.listings <= AM_STORE_FOLDERS);
  assert_int_equal(a.p->stage[0].state, AM_STATE_MISSING);
  assert_int_equal(a.p->stage[a.p->count - 1].state, AM_STATE_WAITING);
  am_store_view_fini(&view);
  am_store_close(store);
  planned_fini(&a);
}

static void counts_the_stages(void **state) {
  planned a = plan_of(BASE, NULL, false, '0');
  assert_int_equal(count_kind(a.p, AM_STAGE_PREPARE), 2);
  assert_int_equal(count_kind(a.p, AM_STAGE_FIT), 3 * 2);
  assert_int_equal(count_kind(a.p, AM_STAGE_GENERATE), 3 * 2 * 2);  // 10 images a run in blocks of 6 and 4
  assert_int_equal(count_kind(a.p, AM_STAGE_TRAIN), 3 * 2);
  assert_int_equal(count_kind(a.p, AM_STAGE_EVALUATE), 3 * 2);
  assert_int_equal(a.p->cell_count, 6);
  for (int64_t i = 0; i < a.p->count; i++) {
    const am_stage *st = &a.p->stage[i];
    char hex[AM_SHA256_HEX];
    am_ok(am_sha256_bytes(st->text, strlen(st->text), hex));
    assert_string_equal(hex, st->address);
    for (int64_t k = 0; k < st->input_count; k++) assert_true(a.p->stage[st->input[k]].level < st->level);
  }
  // The first 5 images of a class are 3 of run 0 and 2 of run 1: the first block of each is enough.
  const am_stage *gan5 = &a.p->stage[a.p->cell[2].train];
  assert_int_equal(a.p->cell[2].arm, 1);
  assert_int_equal(gan5->input_count, 1 + 3 * 2);
  assert_int_equal(a.p->cell[2].train_images, 30 + 15);
  assert_int_equal(a.p->stage[a.p->cell[4].train].input_count, 1 + 3 * 2 * 2);
  planned_fini(&a);
}

static void pools_are_dealt_to_runs(void **state) {
  assert_int_equal(am_pool_part(5, 2, 0), 3);
  assert_int_equal(am_pool_part(5, 2, 1), 2);
  assert_int_equal(am_pool_part(1, 4, 3), 0);
  for (int64_t n = 0; n < 40; n++) {
    int64_t sum = 0;
    for (int64_t run = 0; run < 7; run++) sum += am_pool_part(n, 7, run);
    assert_int_equal(sum, n);
  }
}

static bool has_address(const am_plan *p, const char *address) {
  for (int64_t i = 0; i < p->count; i++)
    if (strcmp(p->stage[i].address, address) == 0) return true;
  return false;
}

// How many stages of a are in b.
static int64_t shared(const am_plan *a, const am_plan *b) {
  int64_t n = 0;
  for (int64_t i = 0; i < a->count; i++) n += has_address(b, a->stage[i].address);
  return n;
}

static void names_and_notation_change_no_address(void **state) {
  static const char same[] =
      "# other order, other notation, other names\n"
      "evaluate: [accuracy, loss]\n"
      "train: {batch_size: 16, epochs: 3.0e0, checkpoint_sec: 7}\n"
      "models: {other name: {width: 8, kind: resnet18_cifar}}\n"
      "seeds: 2\n"
      "arms:\n"
      "  everything: {train: [real, {pool: pool2, per_class: 20}]}\n"
      "  plain: {train: [real], override: {loss: cross_entropy}}\n"
      "  a few: {train: [real, {per_class: 5, pool: pool2}]}\n"
      "pools: {pool2: {block: 6, per_class: 20, from: generator2}}\n"
      "generators: {generator2: {fit: {runs: 2, epochs: 2}, model: {width: 8, kind: dcgan_p4, latent: 10}}}\n"
      "data: {test: {split: test}, train: {size: 32, split: train, manifest: signs}}\n"
      "name: renamed\n";
  planned a = plan_of(BASE, NULL, false, '0'), b = plan_of(same, NULL, false, '0');
  assert_int_equal(a.p->count, b.p->count);
  assert_int_equal(shared(a.p, b.p), a.p->count);
  planned_fini(&a);
  planned_fini(&b);
}

// Each override, and which kinds of stages must all have other addresses.
static void any_other_value_changes_the_address(void **state) {
  static const struct {
    const char *set;
    bool prepare, fit, generate, train;
  } rows[] = {
      {"data.train.size=16", true, true, true, true},
      {"data.train.resize=box", true, true, true, true},
      {"seed=1", false, true, true, true},
      {"threads=2", false, true, true, true},
      {"generators.gan.fit.epochs=3", false, true, true, false},
      {"generators.gan.fit.optimizer={lr: 1.0e-5}", false, true, true, false},
      {"generators.gan.model.latent=11", false, true, true, false},
      {"generators.gan.model.slope=0.2", false, true, true, false},
      {"pools.gan.batch_statistics=false", false, false, true, false},
      {"pools.gan.batch_size=2", false, false, true, false},
      {"train.epochs=4", false, false, false, true},
      {"train.slices=2", false, false, false, true},
      {"train.optimizer={kind: sgd}", false, false, false, true},
      {"train.reduce=ordered", false, false, false, true},
      {"train.reduce=fast", false, false, false, false},
      {"generators.gan.fit.reduce=ordered", false, true, true, false},
      {"generators.gan.fit.reduce=fast", false, false, false, false},
      {"data.normalize={mean: 0.4}", false, false, false, true},
      {"data.normalize={sd: [0.5, 0.5, 0.4]}", false, false, false, true},
      {"data.normalize={mean: [0.5, 0.5, 0.5]}", false, false, false, false},
      {"models.net.width=16", false, false, false, true},
      {"models.net.zero_init_residual=true", false, false, false, true},
      {"models.net.weights=w.safetensors", false, false, false, true},
      {"models.net.frozen=[conv1]", false, false, false, true},
      {"models.net.lr={fc: 2}", false, false, false, true},
      {"watch=test", false, false, false, true},
  };
  planned a = plan_of(BASE, NULL, false, '0');
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    planned b = plan_of(BASE, rows[i].set, false, '0');
    const bool changes[] = {[AM_STAGE_PREPARE] = rows[i].prepare,
                            [AM_STAGE_FIT] = rows[i].fit,
                            [AM_STAGE_GENERATE] = rows[i].generate,
                            [AM_STAGE_TRAIN] = rows[i].train};
    for (int64_t k = 0; k < b.p->count; k++) {
      const am_stage *st = &b.p->stage[k];
      // Cells without a pool do not depend on generators.
      bool real_only = st->kind == AM_STAGE_TRAIN && st->input_count == 1;
      if (st->kind == AM_STAGE_EVALUATE ||
          (st->kind == AM_STAGE_TRAIN && !changes[AM_STAGE_TRAIN] && !real_only))
        continue;
      if (has_address(a.p, st->address) == changes[st->kind]) fail_msg("%s: %s", rows[i].set, st->id);
    }
    planned_fini(&b);
  }
  planned_fini(&a);
}

// Fine-tuning counts by what the weights are, not where; the order of factors is part of it.
static void fine_tunings_have_addresses(void **state) {
  static const struct {
    const char *a, *b;
    char other;  // salt of b's weights; a's is '0'
    bool same;
  } rows[] = {
      {"weights: a.safetensors", "weights: b.safetensors", '0', true},
      {"weights: a.safetensors", "weights: a.safetensors", '1', false},
      {"weights: a.safetensors", "head: replaced, weights: a.safetensors", '0', false},
      {"frozen: conv1", "frozen: [conv1]", '0', true},
      {"frozen: [conv1]", "frozen: [bn1]", '0', false},
      {"frozen: [bn1]", "frozen: [bn1], freeze_bn: true", '0', false},
      {"lr: {fc: 2}", "lr: {fc: 2.0e0}", '0', true},
      {"lr: {fc: 2}", "lr: {fc: 3}", '0', false},
      {"lr: {\"*\": 2, fc: 3}", "lr: {fc: 3, \"*\": 2}", '0', false},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    char set[2][200];
    snprintf(set[0], sizeof set[0], "models.net={kind: resnet18_cifar, %s}", rows[i].a);
    snprintf(set[1], sizeof set[1], "models.net={kind: resnet18_cifar, %s}", rows[i].b);
    planned a = plan_of(BASE, set[0], false, '0'), b = plan_of(BASE, set[1], false, '0');
    if (rows[i].other != '0') {
      am_plan *again = NULL;
      am_ok(am_plan_new(b.e, sources(b.e, '0'), given(b.e, rows[i].other), &again));
      am_plan_free(b.p);
      b.p = again;
    }
    for (int64_t k = 0; k < a.p->count; k++) {
      bool trains = a.p->stage[k].kind == AM_STAGE_TRAIN || a.p->stage[k].kind == AM_STAGE_EVALUATE;
      if (has_address(b.p, a.p->stage[k].address) != (rows[i].same || !trains))
        fail_msg("%s and %s: %s", rows[i].a, rows[i].b, a.p->stage[k].id);
    }
    planned_fini(&a);
    planned_fini(&b);
  }
}

static void tiny_and_other_bytes_share_nothing(void **state) {
  planned a = plan_of(BASE, NULL, false, '0'), b = plan_of(BASE, NULL, true, '0'),
          c = plan_of(BASE, NULL, false, '1');
  assert_int_equal(shared(a.p, b.p), 0);
  assert_int_equal(shared(a.p, c.p), 0);
  planned_fini(&a);
  planned_fini(&b);
  planned_fini(&c);
}

static void a_larger_pool_keeps_whole_blocks(void **state) {
  planned a = plan_of(BASE, NULL, false, '0'), b = plan_of(BASE, "pools.gan.per_class=24", false, '0');
  int64_t kept = 0;
  for (int64_t i = 0; i < b.p->count; i++)
    kept += b.p->stage[i].kind == AM_STAGE_GENERATE && has_address(a.p, b.p->stage[i].address);
  assert_int_equal(kept, 3 * 2);
  planned_fini(&a);
  planned_fini(&b);
}

static void equal_steps_shrink_epochs(void **state) {
  planned a = plan_of(BASE, "train.epochs=30", false, '0'), b = plan_of(BASE, "budget=steps", false, '0');
  planned c = plan_of(BASE, "budget=epochs", false, '0');
  assert_int_equal(shared(a.p, b.p), 2 + 6 + 12);
  // gan20 has 90 images to 30, so a third of the epochs.
  assert_non_null(strstr(b.p->stage[b.p->cell[4].train].text, "\"epochs\":1,"));
  assert_non_null(strstr(c.p->stage[c.p->cell[4].train].text, "\"epochs\":3,"));
  planned_fini(&a);
  planned_fini(&b);
  planned_fini(&c);
}

static void equal_draws_are_done_once(void **state) {
  planned a = plan_of(BASE, "data.draws=[{name: x}, {name: y}]", false, '0');
  assert_int_equal(count_kind(a.p, AM_STAGE_PREPARE), 2);
  assert_int_equal(a.p->cell_count, 12);
  // Generators have seeds of their own in each draw, classifiers the same ones.
  assert_int_equal(count_kind(a.p, AM_STAGE_FIT), 12);
  assert_int_equal(count_kind(a.p, AM_STAGE_TRAIN), 2 + 2 * 4);
  planned_fini(&a);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_the_stages),
      cmocka_unit_test(plans_and_looks_in_proportion),
      cmocka_unit_test(pools_are_dealt_to_runs),
      cmocka_unit_test(names_and_notation_change_no_address),
      cmocka_unit_test(any_other_value_changes_the_address),
      cmocka_unit_test(fine_tunings_have_addresses),
      cmocka_unit_test(tiny_and_other_bytes_share_nothing),
      cmocka_unit_test(a_larger_pool_keeps_whole_blocks),
      cmocka_unit_test(equal_steps_shrink_epochs),
      cmocka_unit_test(equal_draws_are_done_once),
  };
  return cmocka_run_group_tests_name("plan", tests, NULL, NULL);
}
