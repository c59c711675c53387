// The store: what is published is whole, what is held is busy, what was changed is found.
#include <signal.h>
#include <sys/wait.h>

#include "am_test.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/store.h"

static const char STAGE[] = "{\"config\":{},\"inputs\":{},\"revision\":1,\"stage\":\"test\"}";

static void address_of(const char *text, char hex[AM_SHA256_HEX]) {
  am_ok(am_sha256_bytes(text, strlen(text), hex));
}

static void write_text(const char *dir, const char *name, const char *text) {
  char *path = NULL;
  am_ok(am_path_join(dir, name, &path));
  am_ok(am_file_write(path, text, strlen(text)));
  free(path);
}

static am_store *open_store(const char *name) {
  char *dir = NULL;
  am_store *s = NULL;
  am_ok(am_path_join(am_test_dir(), name, &dir));
  am_ok(am_store_open(dir, true, &s));
  free(dir);
  return s;
}

static void make(am_store *s, const char *text) {
  am_artefact *a = NULL;
  char hex[AM_SHA256_HEX];
  address_of(text, hex);
  bool published = false;
  am_ok(am_artefact_begin(s, hex, 1, &a, NULL));
  write_text(am_artefact_dir(a), "numbers.txt", "1 2 3\n");
  write_text(am_artefact_checkpoint(a), "state", "half-way");
  am_ok(am_artefact_commit(a, text, "{\"seconds\":2.5,\"device\":\"none\"}", &published));
  assert_true(published);
}

static void publishes_whole_artefacts(void **state) {
  am_store *s = open_store("whole");
  char hex[AM_SHA256_HEX], *path = NULL, *device = NULL;
  address_of(STAGE, hex);
  assert_false(am_store_has(s, hex));
  make(s, STAGE);
  assert_true(am_store_has(s, hex));
  am_ok(am_store_verify(s, hex));
  assert_true(am_store_number(s, hex, "seconds") == 2.5);
  assert_true(isnan(am_store_number(s, hex, "minutes")));
  device = am_store_text(s, hex, "device");
  assert_string_equal(device, "none");
  free(device);
  am_dir_list left = {0};
  am_ok(am_str_format(&path, "%s/whole/store/%.2s", am_test_dir(), hex));
  am_ok(am_dir_read(path, &left));
  assert_int_equal(left.count, 1);  // the artefact alone
  am_dir_list_fini(&left);
  free(path);
  char(*all)[AM_SHA256_HEX] = NULL;
  int64_t count = 0;
  am_ok(am_store_list(s, &all, &count));
  assert_int_equal(count, 1);
  assert_string_equal(all[0], hex);
  free(all);
  am_store_close(s);
}

static void keeps_checkpoints_of_what_was_given_up(void **state) {
  am_store *s = open_store("checkpoints");
  am_artefact *a = NULL;
  char hex[AM_SHA256_HEX], *path = NULL;
  address_of(STAGE, hex);
  am_ok(am_artefact_begin(s, hex, 4, &a, NULL));
  write_text(am_artefact_dir(a), "half", "half");
  write_text(am_artefact_checkpoint(a), "state", "epoch 3");
  assert_true(am_artefact_spent(a) == 0);
  am_clock_sleep(0.05);
  am_artefact_abandon(a);
  assert_false(am_store_has(s, hex));
  am_ok(am_artefact_begin(s, hex, 1, &a, NULL));
  assert_true(am_artefact_spent(a) >= 4 * 0.05);  // 4 ranks
  am_ok(am_path_join(am_artefact_checkpoint(a), "state", &path));
  assert_true(am_path_exists(path));
  free(path);
  am_ok(am_path_join(am_artefact_dir(a), "half", &path));
  assert_false(am_path_exists(path));
  free(path);
  am_artefact_abandon(a);
  am_store_close(s);
}

// A child that takes the artefact, writes a checkpoint and waits for its end.
static pid_t start_holder(am_store *s, const char *hex, const char *checkpoint) {
  int ready[2];
  char byte = 0;
  assert_int_equal(pipe(ready), 0);
  pid_t child = fork();
  if (child == 0) {
    am_artefact *mine = NULL;
    byte = am_artefact_begin(s, hex, 3, &mine, NULL) == AM_OK && mine ? 'y' : 'n';
    if (mine) write_text(am_artefact_checkpoint(mine), checkpoint, "half-way");
    if (write(ready[1], &byte, 1) != 1) _exit(1);
    for (;;) pause();
  }
  assert_int_equal(read(ready[0], &byte, 1), 1);
  assert_int_equal(byte, 'y');
  close(ready[0]);
  close(ready[1]);
  return child;
}

// What a dead process held is free at once, and its checkpoint is its successor's.
static void leaves_what_another_process_holds(void **state) {
  am_store *s = open_store("busy");
  am_artefact *a = NULL;
  am_lease_holder holder;
  char hex[AM_SHA256_HEX], *path = NULL;
  bool held = false;
  address_of(STAGE, hex);
  pid_t child = start_holder(s, hex, "step-3");
  am_ok(am_artefact_begin(s, hex, 1, &a, &holder));
  assert_null(a);
  assert_int_equal(holder.pid, child);
  assert_int_equal(holder.ranks, 3);
  am_ok(am_store_holder(s, hex, &holder, &held));
  assert_true(held);
  kill(child, SIGKILL);
  waitpid(child, NULL, 0);
  am_ok(am_store_holder(s, hex, &holder, &held));
  assert_false(held);
  am_ok(am_artefact_begin(s, hex, 1, &a, NULL));
  assert_non_null(a);
  am_ok(am_path_join(am_artefact_checkpoint(a), "step-3", &path));
  assert_true(am_path_exists(path));
  free(path);
  am_artefact_abandon(a);
  am_store_close(s);
}

// A stopped process is overtaken; awake again, it finds that it may not publish, and harms nothing.
static void overtakes_what_is_silent(void **state) {
  am_store *s = open_store("silent");
  am_artefact *stopped = NULL, *a = NULL;
  char hex[AM_SHA256_HEX];
  bool published = true;
  address_of(STAGE, hex);
  am_store_set_expiry(s, 1e6);  // one beat in days: as good as stopped
  am_ok(am_artefact_begin(s, hex, 1, &stopped, NULL));
  write_text(am_artefact_dir(stopped), "numbers.txt", "1 2 3\n");
  write_text(am_artefact_checkpoint(stopped), "step-2", "half-way");
  am_lease_watch seen;
  am_lease_holder holder;
  bool held = false;
  am_ok(am_store_observe(s, hex, &holder, &held, &seen));
  assert_true(held);
  seen.since_sec = 2e6;
  am_ok(am_store_set_watch(s, hex, &seen));
  am_ok(am_store_observe(s, hex, &holder, &held, &seen));
  assert_false(held);
  am_ok(am_artefact_begin(s, hex, 1, &a, NULL));
  assert_non_null(a);
  assert_false(am_artefact_held(stopped));
  assert_true(am_artefact_held(a));
  am_ok(am_artefact_commit(stopped, STAGE, "{}", &published));
  assert_false(published);
  assert_false(am_store_has(s, hex));
  char *path = NULL;
  am_ok(am_path_join(am_artefact_checkpoint(a), "step-2", &path));
  assert_true(am_path_exists(path));
  free(path);
  write_text(am_artefact_dir(a), "numbers.txt", "1 2 3\n");
  am_ok(am_artefact_commit(a, STAGE, "{}", &published));
  assert_true(published);
  am_ok(am_store_verify(s, hex));
  am_store_close(s);
}

static void finds_what_was_changed(void **state) {
  am_store *s = open_store("changed");
  char hex[AM_SHA256_HEX], *dir = NULL;
  address_of(STAGE, hex);
  make(s, STAGE);
  am_ok(am_store_path(s, hex, NULL, &dir));
  write_text(dir, "numbers.txt", "1 2 4\n");
  am_fails(am_store_verify(s, hex), AM_ERR_DATA, "numbers.txt");
  write_text(dir, "numbers.txt", "1 2 3\n");
  am_ok(am_store_verify(s, hex));
  write_text(dir, "extra.txt", "new");
  am_fails(am_store_verify(s, hex), AM_ERR_DATA, "extra.txt");
  free(dir);
  char *path = NULL;
  am_ok(am_store_path(s, hex, "extra.txt", &path));
  assert_int_equal(unlink(path), 0);
  free(path);
  am_ok(am_store_path(s, hex, NULL, &dir));
  write_text(dir, "stage.json", "{}");
  am_fails(am_store_verify(s, hex), AM_ERR_DATA, "stage.json");
  free(dir);
  am_store_close(s);
}

static void remembers_failures_until_success(void **state) {
  am_store *s = open_store("failures");
  char hex[AM_SHA256_HEX], *why = NULL;
  am_artefact *a = NULL;
  address_of(STAGE, hex);
  am_ok(am_artefact_begin(s, hex, 1, &a, NULL));
  am_artefact_abandon(a);
  int64_t count = 0;
  am_ok(am_store_failure(s, hex, &count, &why));
  assert_null(why);
  for (int i = 0; i < 2; i++) am_ok(am_store_add_failure(s, hex, "it diverged"));
  am_ok(am_store_failure(s, hex, &count, &why));
  assert_string_equal(why, "it diverged");
  assert_int_equal(count, 2);
  free(why);
  am_ok(am_store_add_failure(s, hex, "it broke"));  // another way: counted anew
  am_ok(am_store_failure(s, hex, &count, &why));
  assert_string_equal(why, "it broke");
  assert_int_equal(count, 1);
  free(why);
  am_ok(am_store_forgive(s, hex));
  am_ok(am_store_failure(s, hex, &count, &why));
  assert_null(why);
  am_ok(am_store_add_failure(s, hex, "once more"));
  make(s, STAGE);
  am_ok(am_store_failure(s, hex, &count, &why));
  assert_null(why);
  am_store_close(s);
}

static void refuses_an_unwritable_folder(void **state) {
  am_store *s = NULL;
  am_fails(am_store_open("/proc/am-no-such-place", true, &s), AM_ERR_IO, "/proc");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(publishes_whole_artefacts),
      cmocka_unit_test(keeps_checkpoints_of_what_was_given_up),
      cmocka_unit_test(leaves_what_another_process_holds),
      cmocka_unit_test(overtakes_what_is_silent),
      cmocka_unit_test(finds_what_was_changed),
      cmocka_unit_test(remembers_failures_until_success),
      cmocka_unit_test(refuses_an_unwritable_folder),
  };
  return cmocka_run_group_tests_name("store", tests, NULL, NULL);
}
