// The n-th allocation and the n-th write, sync or rename of everything in data/ fails: one clear error,
// nothing leaked (sanitizer builds see to that), nothing half-written.
//
// Faults are counted from the start of a process, so each case runs in a child of its own.
#include "am_test.h"

#include <zlib.h>

#include <sys/wait.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/path.h"
#include "data/loader.h"
#include "data/manifest.h"
#include "data/prepare.h"

static const char *in_dir(const char *name) {
  static char path[3][400];
  static int turn;
  turn = (turn + 1) % 3;
  snprintf(path[turn], sizeof path[turn], "%s/%s", am_test_dir(), name);
  return path[turn];
}

enum { WORKED = 0, FAILED = 1, WRONG = 2 };

// Runs work() in a child with this fault armed: WORKED, or FAILED with the wanted code.
static int run_with_fault(const char *spec, am_err (*work)(void), am_err want) {
  fflush(NULL);
  pid_t child = fork();
  assert_true(child >= 0);
  if (child == 0) {
    am_log_init(0, AM_LOG_ERROR);
    if (am_fault_init(spec, 0)) exit(WRONG);
    am_err err = work();
    if (err && err != want) am_err_print(stderr, am_err_last(), true);
    exit(err == AM_OK ? WORKED : err == want ? FAILED : WRONG);
  }
  int status = 0;
  assert_int_equal(waitpid(child, &status, 0), child);
  if (!WIFEXITED(status) || WEXITSTATUS(status) > FAILED)
    fprintf(stderr, "with %s: status %d\n", spec, status);
  assert_true(WIFEXITED(status));
  assert_in_range(WEXITSTATUS(status), WORKED, FAILED);
  return WEXITSTATUS(status);
}

// Faults 1, 2, 3 ... until several in a row no longer reach the work; returns how many did.
static int run_all(const char *kind, am_err (*work)(void), am_err want, void (*check)(int outcome)) {
  enum { ENOUGH = 6 };
  int failures = 0;
  for (int n = 1, passed = 0; passed < ENOUGH; n++) {
    char spec[32];
    snprintf(spec, sizeof spec, "%s:%d", kind, n);
    int outcome = run_with_fault(spec, work, want);
    if (check) check(outcome);
    failures += outcome == FAILED;
    passed = outcome == WORKED ? passed + 1 : 0;
  }
  return failures;
}

// ---- shards ----

static am_err write_shard(const char *path, int value) {
  static const char *const class_name[] = {"a", "b"};
  am_shard_desc desc = {.height = 2,
                        .width = 2,
                        .channels = 3,
                        .class_count = 2,
                        .class_name = class_name,
                        .column_count = 1,
                        .column_name = {"source"}};
  am_err err = AM_OK;
  am_shard_writer *w = NULL;
  uint8_t pixel[12];
  memset(pixel, value, sizeof pixel);
  AM_GO(done, am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < 5; i++)
    AM_GO(done, am_shard_add(w, pixel, sizeof pixel, (int32_t)(i % 2), i, NULL));
  AM_GO(done, am_shard_publish(w, path));
done:
  am_shard_writer_free(w);
  return err;
}
static am_err publish_new(void) { return write_shard(in_dir("s/block.h5"), 2); }
static am_err open_shards(void) {
  am_shard_set *set = NULL;
  AM_TRY(am_shard_set_open(in_dir("s"), &set));
  am_shard_set_close(set);
  return AM_OK;
}

// The folder holds one whole shard: all old or all new, and nothing beside it.
static void check_target(int outcome) {
  am_shard *s = NULL;
  const uint8_t *bytes = NULL;
  size_t count = 0;
  am_dir_list names = {0};
  am_ok(am_dir_read(in_dir("s"), &names));
  assert_int_equal(names.count, 1);
  am_dir_list_fini(&names);
  am_ok(am_shard_open(in_dir("s/block.h5"), &s));
  am_ok(am_shard_verify(s));
  am_ok(am_shard_bytes(s, 4, &bytes, &count));
  assert_int_equal(bytes[0], outcome == WORKED ? 2 : 1);
  am_shard_close(s);
  am_ok(write_shard(in_dir("s/block.h5"), 1));
}

static void a_failed_write_leaves_the_old_shard(void **state) {
  am_ok(am_path_mkdirs(in_dir("s")));
  am_ok(write_shard(in_dir("s/block.h5"), 1));
  assert_int_equal(run_all("io", publish_new, AM_ERR_IO, check_target),
                   5);  // what lies before, in and after the images; fsync, rename
}
static void a_failed_allocation_leaves_the_old_shard(void **state) {
  am_ok(am_path_mkdirs(in_dir("s")));
  am_ok(write_shard(in_dir("s/block.h5"), 1));
  assert_true(run_all("alloc", publish_new, AM_ERR_NOMEM, check_target) > 10);
  assert_true(run_all("alloc", open_shards, AM_ERR_NOMEM, NULL) > 10);
}

// ---- manifests, preparing, loading ----

static am_err list_and_hash_set(const char *manifest) {
  am_err err = AM_OK;
  am_manifest *m = NULL;
  am_file_list list = {0};
  char address[65], cache[400];
  snprintf(cache, sizeof cache, "%s", in_dir("cache"));
  AM_GO(done, am_manifest_load(in_dir(manifest), NULL, &m));
  am_manifest_set_cache(m, cache);
  AM_GO(done, am_manifest_list(m, in_dir("data"), &(am_selection){.split = "train"}, &list));
  AM_GO(done, am_file_list_hash(&list, cache));
  AM_GO(done, am_file_list_address(&list, address));
done:
  am_file_list_fini(&list);
  am_manifest_free(m);
  return err;
}

static am_err list_and_hash(void) { return list_and_hash_set("set.yaml"); }
static am_err list_and_hash_packed(void) { return list_and_hash_set("packed.yaml"); }

static am_err prepare(void) {
  am_err err = AM_OK;
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_corrupt_list corrupt = {0};
  am_prepare_cfg cfg = {.fit = {.size = 4, .channels = 3, .filter = AM_RESIZE_BILINEAR, .kind = AM_FIT_CROP},
                        .block = 2,
                        .corrupt_limit = 0.5};
  AM_GO(done, am_manifest_load(in_dir("set.yaml"), NULL, &m));
  AM_GO(done, am_manifest_list(m, in_dir("data"), &(am_selection){0}, &list));
  AM_GO(done, am_prepare_shards(m, &list, &cfg, in_dir("out"), &corrupt));
done:
  am_corrupt_list_fini(&corrupt);
  am_file_list_fini(&list);
  am_manifest_free(m);
  return err;
}

static am_err to_float(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                       am_transform_work *work, float *out) {
  for (int64_t i = 0; i < 4 * 4 * 3; i++) out[i] = image->bytes[i];
  return AM_OK;
}
static am_err load_batches(void) {
  am_err err = AM_OK;
  am_dataset *d = NULL, *view = NULL, *both = NULL;
  am_loader *l = NULL;
  am_batch b;
  const int64_t index[] = {1, 0, 1};
  AM_GO(done, am_dataset_from_shards(in_dir("out"), NULL, &d));
  am_dataset *base = d;
  d = NULL;
  AM_GO(done, am_dataset_subset(base, index, 3, &view));
  AM_GO(done, am_dataset_from_shards(in_dir("out"), NULL, &d));
  am_dataset *part[] = {view, d};
  view = d = NULL;
  AM_GO(done, am_dataset_concat(part, 2, &both));
  am_loader_cfg cfg = {
      .batch_size = 2, .workers = 2, .transform = {.apply = to_float, .out_height = 4, .out_width = 4}};
  AM_GO(done, am_loader_new(both, &cfg, &l));
  for (int k = 0; k < 4; k++) AM_GO(done, am_loader_next(l, &b));
done:
  am_loader_free(l);
  am_dataset_free(both);
  am_dataset_free(view);
  am_dataset_free(d);
  return err;
}

static void allocations_may_fail_anywhere(void **state) {
  static const char yaml[] =
      "layout: class_folders\nobject_pattern: '^(.)'\ndivide: {fractions: {train: 0.5, test: 0.5}}\n";
  am_image image = {0};
  am_ok(am_path_mkdirs(in_dir("data/set/a")));
  am_ok(am_path_mkdirs(in_dir("out")));
  am_ok(am_image_new(6, 5, 3, &image));
  for (int i = 0; i < 3; i++) {
    char name[64];
    image.pixel[0] = (uint8_t)i;
    snprintf(name, sizeof name, "data/set/a/%d.png", i);
    am_ok(am_image_write_png(in_dir(name), &image));
  }
  am_image_fini(&image);
  am_ok(am_file_write(in_dir("data/set/a/3.png"), "bad", 3));
  am_ok(am_file_write(in_dir("set.yaml"), yaml, strlen(yaml)));
  assert_true(run_all("alloc", list_and_hash, AM_ERR_NOMEM, NULL) > 50);
  assert_true(run_all("alloc", prepare, AM_ERR_NOMEM, NULL) > 50);
  am_ok(prepare());
  assert_true(run_all("alloc", load_batches, AM_ERR_NOMEM, NULL) > 20);
}

static void allocations_may_fail_in_packed_files(void **state) {
  static const char yaml[] =
      "layout: idx\nclasses: [a, b]\nchecksums: {x: md5:25f9e794323b453885f5181f1b624d0b}\n"
      "splits: {train: {files: images, labels: labels}}\n";
  static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 1, 7, 8},
                       labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 0, 1};
  am_ok(am_path_mkdirs(in_dir("data/packed")));
  am_ok(am_file_write(in_dir("data/packed/labels"), labels, sizeof labels));
  gzFile f = gzopen(in_dir("data/packed/images.gz"), "wb");
  assert_int_equal(gzwrite(f, images, sizeof images), sizeof images);
  gzclose(f);
  am_ok(am_file_write(in_dir("packed.yaml"), yaml, strlen(yaml)));
  assert_true(run_all("alloc", list_and_hash_packed, AM_ERR_NOMEM, NULL) > 50);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(a_failed_write_leaves_the_old_shard),
      cmocka_unit_test(a_failed_allocation_leaves_the_old_shard),
      cmocka_unit_test(allocations_may_fail_anywhere),
      cmocka_unit_test(allocations_may_fail_in_packed_files),
  };
  return cmocka_run_group_tests_name("data faults", tests, NULL, NULL);
}
