// The parts of training that need no training: configuration, history, checkpoints.
#include "am_test.h"
#include "base/path.h"
#include "train/checkpoint.h"
#include "train/train.h"

// ---- optimizer: ----

static am_err bind(const char *yaml, am_optimizer_cfg *out) {
  am_node *tree = NULL;
  am_ok(am_yaml_parse("test", yaml, strlen(yaml), &tree));
  am_err err = am_optimizer_bind(tree, out);
  am_node_free(tree);
  return err;
}

static void reads_betas(void **state) {
  (void)state;
  am_optimizer_cfg cfg;
  am_ok(bind("{lr: 2.0e-4, betas: [0.5, 0.99]}", &cfg));
  assert_true(cfg.beta1 == 0.5 && cfg.beta2 == 0.99 && cfg.lr == 2e-4);
  am_ok(bind("{beta1: 0.25}", &cfg));
  assert_true(cfg.beta1 == 0.25 && cfg.beta2 == 0.999);
  am_optim_cfg optim = am_optimizer_to_optim(&cfg);
  assert_int_equal(optim.kind, AM_OPTIM_ADAM);
  assert_true(optim.beta1 == 0.25 && optim.lr == 1e-3);
  am_ok(am_optimizer_bind(NULL, &cfg));
  assert_string_equal(cfg.kind, "adam");
}

static void refuses_bad_betas(void **state) {
  (void)state;
  am_optimizer_cfg cfg;
  am_fails(bind("{betas: [0.5]}", &cfg), AM_ERR_CONFIG, "expected two numbers");
  am_fails(bind("{betas: 0.5}", &cfg), AM_ERR_CONFIG, "expected two numbers");
  am_fails(bind("{betas: [0.5, 1.5]}", &cfg), AM_ERR_CONFIG, "1.5");
  am_fails(bind("{betas: [0.5, .nan]}", &cfg), AM_ERR_CONFIG, "");
  am_fails(bind("{betas: [0.5, 0.9], beta1: 0.5}", &cfg), AM_ERR_CONFIG, "either betas or beta1");
  am_fails(bind("{beta_1: 0.5}", &cfg), AM_ERR_CONFIG, "beta1");
  am_fails(bind("{kind: adamm}", &cfg), AM_ERR_CONFIG, "adam");
}

// ---- history ----

static void keeps_rows_under_their_names(void **state) {
  (void)state;
  static const char *const column[] = {"epoch", "loss"};
  am_history *h = NULL;
  am_ok(am_history_new(column, 2, &h));
  for (int64_t r = 0; r < 100; r++) am_ok(am_history_add(h, (double[]){(double)r, (double)(r * r)}));
  assert_int_equal(am_history_rows(h), 100);
  assert_int_equal(am_history_columns(h), 2);
  assert_string_equal(am_history_name(h, 1), "loss");
  assert_true(am_history_at(h, 99, 1) == 9801);
  am_history_free(h);
}

// ---- checkpoints ----

static char *checkpoints(void) {
  static char dir[300];
  snprintf(dir, sizeof dir, "%s/checkpoints", am_test_dir());
  am_ok(am_path_remove_tree(dir));
  return dir;
}

static void write_one(const char *dir, int64_t step, const char *identity) {
  am_checkpoint *c = NULL;
  double value = (double)step;
  am_ok(am_checkpoint_new(&c));
  am_ok(am_checkpoint_put(c, "value", &value, sizeof value));
  am_ok(am_checkpoint_put(c, "empty", NULL, 0));
  am_ok(am_checkpoint_write(c, dir, identity, step));
  am_checkpoint_free(c);
}

static double read_one(const char *dir) {
  am_comm *world = NULL;
  am_checkpoint *c = NULL;
  double value = -1;
  size_t bytes = 1;
  am_ok(am_comm_init(NULL, NULL, false, &world));
  am_ok(am_checkpoint_read(world, dir, "test", &c));
  if (c) {
    am_ok(am_checkpoint_get(c, "value", &value, sizeof value));
    assert_non_null(am_checkpoint_find(c, "empty", &bytes));
    assert_int_equal(bytes, 0);
    am_fails(am_checkpoint_get(c, "value", &value, 4), AM_ERR_DATA, "has 8 bytes, expected 4");
    am_fails(am_checkpoint_get(c, "other", &value, 4), AM_ERR_DATA, "holds no other");
  }
  am_checkpoint_free(c);
  am_ok(am_comm_finish(world));
  return value;
}

static void keeps_two_generations(void **state) {
  (void)state;
  char *dir = checkpoints();
  assert_true(read_one(dir) == -1);  // there is no such folder
  am_dir_list list = {0};
  for (int64_t step = 9; step <= 12; step++) write_one(dir, step, "test");
  write_one(dir, 12, "test");  // the same step again
  assert_true(read_one(dir) == 12);
  am_ok(am_dir_read(dir, &list));
  assert_int_equal(list.count, 2);
  assert_string_equal(list.name[0], "step-000000000011");
  am_dir_list_fini(&list);
}

static void ignores_what_a_killed_writer_left(void **state) {
  (void)state;
  char *dir = checkpoints(), path[400];
  write_one(dir, 5, "test");
  snprintf(path, sizeof path, "%s/.new-step-000000000006", dir);
  am_ok(am_path_mkdirs(path));
  snprintf(path, sizeof path, "%s/step-other", dir);
  am_ok(am_path_mkdirs(path));
  assert_true(read_one(dir) == 5);
  write_one(dir, 6, "test");
  assert_true(read_one(dir) == 6);
}

// Each way in which a file can be cut or changed leads back to the checkpoint before.
static void takes_no_byte_on_trust(void **state) {
  (void)state;
  static const char *const file[] = {"index.txt", "state.bin"};
  char path[400], *data = NULL;
  for (int f = 0; f < 2; f++) {
    char *dir = checkpoints();
    write_one(dir, 1, "test");
    write_one(dir, 2, "test");
    size_t bytes = 0;
    snprintf(path, sizeof path, "%s/step-000000000002/%s", dir, file[f]);
    am_ok(am_file_read(path, 1 << 20, &data, &bytes));
    for (size_t i = 0; i < bytes; i++) {
      am_ok(am_file_write(path, data, i));  // cut
      assert_true(read_one(dir) == 1);
      data[i] ^= 0x10;  // changed
      am_ok(am_file_write(path, data, bytes));
      assert_true(read_one(dir) == 1);
      data[i] ^= 0x10;
    }
    am_ok(am_file_write(path, data, bytes));
    assert_true(read_one(dir) == 2);
    free(data);
  }
}

static void refuses_a_stranger(void **state) {
  (void)state;
  char *dir = checkpoints();
  am_comm *world = NULL;
  am_checkpoint *c = NULL;
  write_one(dir, 1, "other");
  am_ok(am_comm_init(NULL, NULL, false, &world));
  am_fails(am_checkpoint_read(world, dir, "test", &c), AM_ERR_DATA, "belongs to another training (other)");
  am_ok(am_comm_finish(world));
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_betas),
      cmocka_unit_test(refuses_bad_betas),
      cmocka_unit_test(keeps_rows_under_their_names),
      cmocka_unit_test(keeps_two_generations),
      cmocka_unit_test(ignores_what_a_killed_writer_left),
      cmocka_unit_test(takes_no_byte_on_trust),
      cmocka_unit_test(refuses_a_stranger),
  };
  return cmocka_run_group_tests_name("train", tests, NULL, NULL);
}
