// Leases: one claimant at a time, whatever happens to the one before.
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "am_test.h"
#include "base/clock.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/lease.h"

static char *path_of(const char *name) {
  char *path = NULL;
  am_ok(am_path_join(am_test_dir(), name, &path));
  return path;
}

static am_lease *take(const char *path, am_lease_watch *watch) {
  am_lease *l = NULL;
  am_lease_holder holder;
  am_ok(am_lease_take(path, AM_LEASE_EXPIRY_SEC, 2, watch, &l, &holder));
  return l;
}

static void is_held_by_one_until_released(void **state) {
  char *path = path_of("one"), text[AM_LEASE_TEXT], pid[32];
  am_lease_watch watch = {0};
  am_lease_holder holder;
  bool there = false;
  am_ok(am_lease_look(path, NULL, &holder, &there));
  assert_false(there);
  am_lease *l = take(path, &watch);
  assert_non_null(l);
  assert_true(am_lease_held(l));
  assert_null(take(path, &watch));
  am_ok(am_lease_look(path, NULL, &holder, &there));
  assert_true(there);
  assert_int_equal(holder.ranks, 2);
  snprintf(pid, sizeof pid, "pid %ld", (long)getpid());
  assert_non_null(strstr(am_lease_describe(&holder, text), pid));
  am_lease_release(l);
  assert_false(am_path_exists(path));
  l = take(path, &watch);
  assert_non_null(l);
  am_lease_release(l);
  free(path);
}

// Beats arrive, so a holder that lives is never taken for silent, whatever the wait.
static void a_beating_lease_is_not_silent(void **state) {
  char *path = path_of("beats");
  am_lease *l = NULL;
  am_lease_holder holder;
  am_lease_watch watch = {0};
  int64_t first = -1;
  bool there = false;
  am_ok(am_lease_take(path, 0.6, 1, &watch, &l, &holder));
  am_ok(am_lease_look(path, NULL, &holder, &there));
  first = holder.beat;
  for (int i = 0; i < 6000 && holder.beat < first + 3; i++) {
    am_clock_sleep(0.01);
    am_ok(am_lease_look(path, NULL, &holder, &there));
  }
  assert_true(holder.beat >= first + 3);
  am_lease_release(l);
  free(path);
}

// A claimant that died while it wrote its lease: nothing is known of it, so it has to expire.
static void an_unreadable_lease_expires(void **state) {
  char *path = path_of("torn");
  am_lease_watch watch = {0};
  am_ok(am_file_write(path, "augmint-le", 10));
  assert_null(take(path, &watch));
  watch.since_sec -= 2 * AM_LEASE_EXPIRY_SEC;
  am_lease *l = take(path, &watch);
  assert_non_null(l);
  am_lease_release(l);
  assert_false(am_path_exists(path));
  free(path);
}

// Dead holders in a row: the chain is followed to its end and goes away with the last.
static void a_chain_of_dead_holders_is_followed(void **state) {
  char *path = path_of("chain");
  am_lease_watch watch = {0};
  for (int i = 0; i < 5; i++) {
    pid_t child = fork();
    if (child == 0) {
      am_lease *mine = take(path, &watch);
      _exit(mine ? 0 : 1);  // without a release
    }
    int status = 0;
    waitpid(child, &status, 0);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  }
  am_lease *l = take(path, &watch);
  assert_non_null(l);
  assert_null(take(path, &watch));
  am_lease_release(l);
  am_dir_list list = {0};
  am_ok(am_dir_read(am_test_dir(), &list));
  for (int64_t i = 0; i < list.count; i++) assert_false(am_str_starts(list.name[i], "chain"));
  am_dir_list_fini(&list);
  free(path);
}

// Many processes claim one lease over and over, some die with it: a counter that only the holder
// increments, without any other lock, never misses one.
static void keeps_many_claimants_apart(void **state) {
  enum { CLAIMANTS = 6, ROUNDS = 15 };
  char *path = path_of("many"), *counter = path_of("counter"), text[16] = "0";
  am_ok(am_file_write(counter, "0", 1));
  pid_t child[CLAIMANTS];
  for (int i = 0; i < CLAIMANTS; i++) {
    child[i] = fork();
    if (child[i] != 0) continue;
    am_lease_watch watch = {0};
    for (int round = 0; round < ROUNDS;) {
      am_lease *l = take(path, &watch);
      if (!l) {
        am_clock_sleep(0.0005);
        continue;
      }
      round++;
      char before[16] = "";
      int fd = open(counter, O_RDWR);
      if (fd < 0 || read(fd, before, sizeof before - 1) < 1) _exit(1);
      am_clock_sleep(0.001);
      int length = snprintf(before, sizeof before, "%d", atoi(before) + 1);
      if (pwrite(fd, before, (size_t)length, 0) != length) _exit(1);
      close(fd);
      if (i == 0 && round == ROUNDS) kill(getpid(), SIGKILL);  // with the lease in its hand
      am_lease_release(l);
    }
    _exit(0);
  }
  for (int i = 0; i < CLAIMANTS; i++) waitpid(child[i], NULL, 0);
  int fd = open(counter, O_RDONLY);
  assert_true(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  assert_int_equal(atoi(text), CLAIMANTS * ROUNDS);
  free(path);
  free(counter);
}

static void a_folder_without_permission_says_whose_it_is(void **state) {
  if (geteuid() != 0) am_skip("needs root to become somebody else");
  pid_t child = fork();
  if (child == 0) {
    am_lease *l = NULL;
    am_lease_holder holder;
    am_lease_watch watch = {0};
    char *path = path_of("theirs/x");
    if (setuid(65534) != 0) _exit(2);
    am_err err = am_lease_take(path, 1, 1, &watch, &l, &holder);
    _exit(err == AM_ERR_IO && strstr(am_err_last()->message, "belongs to root") ? 0 : 1);
  }
  char *dir = path_of("theirs");
  am_ok(am_path_mkdirs(dir));
  free(dir);
  int status = 0;
  waitpid(child, &status, 0);
  assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(is_held_by_one_until_released),
      cmocka_unit_test(a_beating_lease_is_not_silent),
      cmocka_unit_test(an_unreadable_lease_expires),
      cmocka_unit_test(a_chain_of_dead_holders_is_followed),
      cmocka_unit_test(keeps_many_claimants_apart),
      cmocka_unit_test(a_folder_without_permission_says_whose_it_is),
  };
  return cmocka_run_group_tests_name("lease", tests, NULL, NULL);
}
