// The runner: what is wanted, what there is time for, what has failed too often.
#include "am_test.h"
#include "base/clock.h"
#include "base/path.h"
#include "sweep/runner.h"

static const char BASE[] =
    "name: runner\n"
    "data:\n"
    "  train: {manifest: signs, classes: [stop, yield], split: train, size: 16, per_class: 3}\n"
    "  test: {split: test, per_class: 2}\n"
    "arms:\n"
    "  real: {train: [real]}\n"
    "  flipped: {train: [real], augment: [horizontal_flip]}\n"
    "models: {net: {kind: p3_cnn}}\n"
    "train: {epochs: 1, batch_size: 4}\n"
    "seeds: 1\n"
    "evaluate: [accuracy]\n";

typedef struct {
  am_comm *world;
  am_experiment *e;
  am_runner r;
} bench;

// A store of its own for each name; the experiment may be changed by `set`.
static void begin(bench *b, am_comm *world, const char *name, const char *set) {
  char *path = NULL, *results = NULL;
  am_source *source = NULL;
  am_given *given = NULL;
  *b = (bench){.world = world, .r = {.world = world, .dirs = {.manifest_dir = "data/manifests"}}};
  am_ok(am_path_join(am_test_dir(), "runner.yaml", &path));
  am_ok(am_file_write(path, BASE, strlen(BASE)));
  am_ok(am_experiment_load(path, &(am_experiment_overrides){.set = &set, .set_count = set ? 1 : 0}, &b->e));
  am_ok(am_sources_look(b->e, &b->r.dirs, NULL, &source));
  am_ok(am_given_look(b->e, source, &b->r.dirs, NULL, &given));
  am_ok(am_plan_new(b->e, source, given, &b->r.plan));
  am_ok(am_path_join(am_test_dir(), name, &results));
  am_ok(am_store_open(results, true, &b->r.store));
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu", .threads = 1}, &b->r.device));
  free(path);
  free(results);
}

static void end(bench *b) {
  am_device_close(b->r.device);
  am_store_close(b->r.store);
  am_plan_free(b->r.plan);
  am_experiment_free(b->e);
}

static int64_t count_state(const bench *b, am_stage_state state) {
  int64_t n = 0;
  for (int64_t i = 0; i < b->r.plan->count; i++) n += b->r.plan->stage[i].state == state;
  return n;
}

static int64_t find(const bench *b, am_stage_kind kind, int64_t arm) {
  for (int64_t i = 0; i < b->r.plan->count; i++)
    if (b->r.plan->stage[i].kind == kind && b->r.plan->stage[i].arm == arm) return i;
  fail();
  return -1;
}

static void makes_what_is_wanted_and_no_more(void **state) {
  bench b;
  bool wanted[16] = {false};
  am_run_summary sum;
  begin(&b, *state, "wanted", NULL);
  b.r.wanted = wanted;
  wanted[find(&b, AM_STAGE_TRAIN, 0)] = true;
  am_ok(am_run_local(&b.r, &sum));  // its input is not there, and nobody is making it
  assert_int_equal(sum.made, 0);
  assert_int_equal(sum.blocked, 1);
  wanted[find(&b, AM_STAGE_PREPARE, -1)] = true;
  am_ok(am_run_local(&b.r, &sum));
  assert_int_equal(sum.made, 2);
  assert_int_equal(sum.blocked, 0);
  assert_int_equal(count_state(&b, AM_STATE_DONE), 2);
  assert_int_equal(b.r.plan->stage[find(&b, AM_STAGE_TRAIN, 1)].state, AM_STATE_MISSING);
  b.r.wanted = NULL;
  am_ok(am_run_local(&b.r, &sum));
  assert_int_equal(count_state(&b, AM_STATE_DONE), b.r.plan->count);
  end(&b);
}

static void starts_nothing_that_does_not_fit(void **state) {
  bench b;
  am_run_summary sum;
  begin(&b, *state, "late", NULL);
  int64_t slow = find(&b, AM_STAGE_TRAIN, 0);
  b.r.plan->stage[slow].expected_sec = 7200;
  b.r.start_sec = am_clock_sec() - 6000;
  b.r.end_sec = am_clock_sec() + 3600;  // less than half is left
  am_fails(am_run_local(&b.r, &sum), AM_ERR_STOPPED, "1 stage does not fit");
  assert_int_equal(b.r.plan->stage[slow].state, AM_STATE_LATE);
  assert_int_equal(count_state(&b, AM_STATE_DONE), 4);  // two splits, the other arm and its evaluation
  b.r.start_sec = am_clock_sec();                       // a fresh job begins with the slow one
  am_ok(am_run_local(&b.r, &sum));
  assert_int_equal(count_state(&b, AM_STATE_DONE), b.r.plan->count);
  end(&b);
}

static void parks_what_fails_again_and_again(void **state) {
  bench b;
  am_run_summary sum;
  begin(&b, *state, "parked", "arms.flipped.override={optimizer: {kind: sgd, lr: 100, momentum: 0.9}, epochs: 40}");
  int64_t bad = find(&b, AM_STAGE_TRAIN, 1);
  for (int i = 1; i < AM_PARKED; i++) {
    am_ok(am_run_local(&b.r, &sum));
    assert_int_equal(b.r.plan->stage[bad].state, AM_STATE_FAILED);
    assert_int_equal(sum.failed, 1);
    assert_int_equal(sum.blocked, 1);
  }
  am_ok(am_run_local(&b.r, &sum));
  assert_int_equal(b.r.plan->stage[bad].state, AM_STATE_PARKED);
  am_ok(am_run_local(&b.r, &sum));  // left alone
  assert_int_equal(sum.parked, 1);
  assert_int_equal(b.r.plan->stage[bad].failures, AM_PARKED);
  assert_int_equal(count_state(&b, AM_STATE_DONE), 4);
  am_ok(am_store_forgive(b.r.store, b.r.plan->stage[bad].address));
  am_ok(am_run_local(&b.r, &sum));
  assert_int_equal(sum.failed, 1);
  end(&b);
}

int main(int argc, char **argv) {
  am_comm *world = NULL;
  am_ok(am_comm_init(&argc, &argv, false, &world));
  const struct CMUnitTest tests[] = {
      cmocka_unit_test_prestate(makes_what_is_wanted_and_no_more, world),
      cmocka_unit_test_prestate(starts_nothing_that_does_not_fit, world),
      cmocka_unit_test_prestate(parks_what_fails_again_and_again, world),
  };
  int failed = cmocka_run_group_tests_name("runner", tests, NULL, NULL);
  am_ok(am_comm_finish(world));
  return failed;
}
