// What gc takes for waste, and what it does when something changes between its look and its hand.
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "am_test.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/gc.h"

static const char STAGE[] = "{\"config\":{},\"inputs\":{},\"revision\":1,\"stage\":\"test\"}";
static const char LOST[] =
    "augmint-lease 1\ntoken 00000000000000aa\nbeat 0000000007\nexpiry_sec 90.000\nmachine elsewhere\n"
    "pid 12 34\nhost node9\nuser alice\njob -\nranks 1\nsince 1000000000\n";
enum { DAY = 86400 };

typedef struct {
  char *dir;
  am_store *store;
  am_references references;
  char address[AM_SHA256_HEX];
} scene;

static void write_below(const scene *s, const char *name, const char *text) {
  char *path = NULL, *slash = NULL;
  am_ok(am_path_join(s->dir, name, &path));
  slash = strrchr(path, '/');
  *slash = 0;
  am_ok(am_path_mkdirs(path));
  *slash = '/';
  am_ok(am_file_write(path, text, strlen(text)));
  free(path);
}

static void age(const scene *s, const char *name, long sec) {
  char *path = NULL;
  struct timespec now, then[2];
  clock_gettime(CLOCK_REALTIME, &now);
  then[0] = then[1] = (struct timespec){.tv_sec = now.tv_sec - sec};
  am_ok(am_path_join(s->dir, name, &path));
  assert_int_equal(utimensat(AT_FDCWD, path, then, 0), 0);
  free(path);
}

// Name of something that belongs to the address: "store/<aa>/<address><suffix>". Freed by the caller.
static char *name_of(const scene *s, const char *suffix) {
  char *name = NULL;
  am_ok(am_str_format(&name, "store/%.2s/%s%s", s->address, s->address, suffix));
  return name;
}

static bool is_there(const scene *s, const char *suffix) {
  char *name = name_of(s, suffix), *path = NULL;
  am_ok(am_path_join(s->dir, name, &path));
  bool there = am_path_exists(path);
  free(name);
  free(path);
  return there;
}

// A store with one artefact, and notes of another experiment.
static scene scene_new(const char *name) {
  scene s = {0};
  am_artefact *a = NULL;
  bool published = false;
  am_ok(am_path_join(am_test_dir(), name, &s.dir));
  am_ok(am_store_open(s.dir, true, &s.store));
  am_ok(am_sha256_bytes(STAGE, strlen(STAGE), s.address));
  am_ok(am_artefact_begin(s.store, s.address, 1, &a, NULL));
  am_ok(am_artefact_commit(a, STAGE, "{\"stage\":\"the test\"}", &published));
  write_below(&s, "other/stages.txt",
              "0000000000000000000000000000000000000000000000000000000000000000  train other seed 0\n");
  am_ok(am_references_read(s.dir, NULL, 0, &s.references));
  return s;
}

static void scene_end(scene *s) {
  am_references_fini(&s->references);
  am_store_close(s->store);
  free(s->dir);
}

static am_waste remove_it(scene *s, double min_age_sec) {
  am_gc gc = {.store = s->store, .results_dir = s->dir, .min_age_sec = min_age_sec, .references = &s->references};
  am_waste gone;
  am_ok(am_gc_remove(&gc, s->address, &gone));
  free(gone.id);
  return gone;
}

static void removes_what_nobody_refers_to(void **state) {
  scene s = scene_new("waste");
  am_wastes found;
  am_ok(am_gc_find(s.store, &s.references, DAY, &found));
  assert_int_equal(found.count, 0);
  assert_int_equal(found.young, 1);
  am_wastes_fini(&found);
  assert_int_equal(remove_it(&s, DAY).number[AM_WASTE_ARTEFACT], 0);
  am_ok(am_gc_find(s.store, &s.references, 0, &found));
  assert_int_equal(found.count, 1);
  assert_string_equal(found.item[0].id, "the test");
  assert_true(found.item[0].bytes > (int64_t)strlen(STAGE));
  am_wastes_fini(&found);
  assert_int_equal(remove_it(&s, 0).number[AM_WASTE_ARTEFACT], 1);
  assert_false(is_there(&s, ""));
  assert_false(is_there(&s, ".lease"));
  scene_end(&s);
}

static void keeps_what_a_note_came_for(void **state) {
  scene s = scene_new("meanwhile");
  char *note = NULL;
  bool changed = true;
  am_ok(am_references_changed(&s.references, s.dir, &changed));
  assert_false(changed);
  am_ok(am_str_format(&note, "%s  the test\n", s.address));
  write_below(&s, "mine/stages.txt", note);
  am_ok(am_references_changed(&s.references, s.dir, &changed));
  assert_true(changed);
  assert_int_equal(remove_it(&s, 0).number[AM_WASTE_ARTEFACT], 0);
  assert_true(am_store_has(s.store, s.address));
  assert_true(am_references_has(&s.references, s.address));
  free(note);
  scene_end(&s);
}

// A holder on another machine: nobody can know that it is gone, but silence for long enough says so.
static void takes_over_from_a_lost_machine(void **state) {
  scene s = scene_new("lost");
  char *lease = name_of(&s, ".lease");
  am_wastes found;
  write_below(&s, lease, LOST);
  am_ok(am_gc_find(s.store, &s.references, 0, &found));
  assert_int_equal(found.busy, 1);
  assert_int_equal(found.strange, 1);
  assert_int_equal(found.count, 0);
  am_wastes_fini(&found);
  assert_int_equal(remove_it(&s, 0).number[AM_WASTE_ARTEFACT], 0);
  assert_true(am_store_has(s.store, s.address));
  age(&s, lease, 2 * DAY);
  am_ok(am_gc_find(s.store, &s.references, 0, &found));
  assert_int_equal(found.busy, 0);
  assert_int_equal(found.item[0].number[AM_WASTE_LEASE], 1);
  am_wastes_fini(&found);
  am_waste gone = remove_it(&s, 0);
  assert_int_equal(gone.number[AM_WASTE_ARTEFACT], 1);
  assert_int_equal(gone.number[AM_WASTE_LEASE], 1);
  assert_false(is_there(&s, ""));
  assert_false(is_there(&s, ".lease"));
  assert_false(is_there(&s, ".lease.00000000000000aa"));
  free(lease);
  scene_end(&s);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(removes_what_nobody_refers_to),
      cmocka_unit_test(keeps_what_a_note_came_for),
      cmocka_unit_test(takes_over_from_a_lost_machine),
  };
  return cmocka_run_group_tests_name("gc", tests, NULL, NULL);
}
