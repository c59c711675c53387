// Manifests: layouts, selections, groups, divisions, and messages that help.
#include "am_test.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "data/manifest.h"

static const char *dir(void) {
  static char path[300];
  snprintf(path, sizeof path, "%s/data", am_test_dir());
  return path;
}

static const char *cache_dir(void) {
  static char path[300];
  snprintf(path, sizeof path, "%s/cache", am_test_dir());
  return path;
}

// Makes data/<path> with this content, and the folders on the way.
static void put(const char *path, const char *content) {
  char full[600], folder[600];
  snprintf(full, sizeof full, "%s/%s", dir(), path);
  snprintf(folder, sizeof folder, "%.*s", (int)(am_path_name(full) - full - 1), full);
  am_ok(am_path_mkdirs(folder));
  am_ok(am_file_write(full, content, strlen(content)));
}

static const char *manifest_path(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s.yaml", am_test_dir(), name);
  return path;
}
static am_manifest *load(const char *name, const char *yaml) {
  am_manifest *m = NULL;
  am_ok(am_file_write(manifest_path(name), yaml, strlen(yaml)));
  am_ok(am_manifest_load(manifest_path(name), NULL, &m));
  return m;
}
static void refuses(const char *yaml, const char *why) {
  am_manifest *m = NULL;
  am_ok(am_file_write(manifest_path("bad"), yaml, strlen(yaml)));
  am_fails(am_manifest_load(manifest_path("bad"), NULL, &m), AM_ERR_CONFIG, why);
}

// "label:path label:path ..." of a listing.
static const char *listed(am_manifest *m, const am_selection *what) {
  static char text[4096];
  am_file_list list = {0};
  size_t n = 0;
  am_ok(am_manifest_list(m, dir(), what, &list));
  text[0] = '\0';
  for (int64_t i = 0; i < list.count; i++) {
    assert_int_equal(list.entry[i].index, i);
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%d:%s", i ? " " : "", list.entry[i].label,
                          list.entry[i].path);
  }
  am_file_list_fini(&list);
  return text;
}

// ---- layouts ----

static void lists_class_folders(void **state) {
  put("birds/train/wren/b.JPG", "1");
  put("birds/train/wren/a.png", "2");
  put("birds/train/wren/.hidden.png", "3");
  put("birds/train/wren/notes.txt", "4");
  put("birds/train/robin/deep/er/c.jpeg", "5");
  put("birds/test/wren/d.png", "6");
  put("birds/test/robin/e.png", "7");
  am_manifest *m = load("birds", "layout: class_folders\nsplits: {train: train, test: test}\n");
  assert_string_equal(am_manifest_name(m), "birds");
  assert_int_equal(am_manifest_split_count(m), 2);
  assert_string_equal(listed(m, &(am_selection){.split = "train"}),
                      "0:train/robin/deep/er/c.jpeg 1:train/wren/a.png 1:train/wren/b.JPG");
  assert_string_equal(listed(m, &(am_selection){.split = "test"}), "0:test/robin/e.png 1:test/wren/d.png");
  assert_string_equal(listed(m, &(am_selection){0}),
                      "0:test/robin/e.png 0:train/robin/deep/er/c.jpeg 1:test/wren/d.png 1:train/wren/a.png "
                      "1:train/wren/b.JPG");
  const char *const order[] = {"wren", "robin"};
  assert_string_equal(listed(m, &(am_selection){.split = "test", .class_name = order, .class_count = 2}),
                      "0:test/wren/d.png 1:test/robin/e.png");
  am_manifest_free(m);
}

static const char toys_yaml[] =
    "layout: object_folders\nclasses: [cow, {name: pony, folder: horse}]\nmask_folder: maps\nmask_suffix: "
    "-map.png\n";

static void lists_objects_and_their_masks(void **state) {
  put("toys/cow/1/cow1-000.png", "1");
  put("toys/cow/1/maps/cow1-000-map.png", "m");
  put("toys/cow/2/cow2-000.png", "2");
  put("toys/cow/10/cow10-000.png", "3");
  put("toys/horse1/horse1-000.png", "4");  // the original layout: class and number in one folder
  put("toys/horse1/maps/horse1-000-map.png", "m");
  put("toys/horse2/horse2-000.png", "5");
  am_manifest *m = load("toys", toys_yaml);
  assert_string_equal(listed(m, &(am_selection){0}),
                      "0:cow/1/cow1-000.png 0:cow/10/cow10-000.png 0:cow/2/cow2-000.png "
                      "1:horse1/horse1-000.png 1:horse2/horse2-000.png");
  const char *const both[] = {"cow", "pony"}, *const objects[] = {"10, 2", "1"};
  am_selection what = {.class_name = both, .class_count = 2, .object = objects};
  assert_string_equal(listed(m, &what),
                      "0:cow/10/cow10-000.png 0:cow/2/cow2-000.png 1:horse1/horse1-000.png");
  am_file_list list = {0};
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &list));
  assert_string_equal(list.entry[0].mask_path, "cow/1/maps/cow1-000-map.png");
  assert_null(list.entry[1].mask_path);
  assert_string_equal(list.entry[1].object, "10");
  assert_string_equal(list.entry[3].mask_path, "horse1/maps/horse1-000-map.png");
  assert_string_equal(list.entry[3].object, "1");
  assert_string_equal(list.class_name[1], "pony");
  int64_t group[5];
  am_ok(am_file_list_group(&list, true, group));
  assert_int_not_equal(group[0], group[3]);  // object 1 of another class
  am_file_list_fini(&list);
  am_manifest_free(m);
}

static void lists_flat_folders_by_pattern(void **state) {
  put("flat/TEST/006_0001.png", "1");
  put("flat/TEST/012_0001_j.png", "2");
  put("flat/DATA/6/x.png", "3");
  put("flat/DATA/12/y.png", "4");
  am_manifest *m = load("flat",
                        "layout: class_folders\nclasses: ['12', '6']\nsplits:\n  train: DATA\n"
                        "  test: {folder: TEST, layout: flat, class_pattern: '^([0-9]{3})_'}\n");
  assert_string_equal(listed(m, &(am_selection){.split = "test"}),
                      "0:TEST/012_0001_j.png 1:TEST/006_0001.png");
  assert_string_equal(listed(m, &(am_selection){.split = "train"}), "0:DATA/12/y.png 1:DATA/6/x.png");
  am_file_list list = {0};
  put("flat/TEST/readme.png", "5");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "test"}, &list), AM_ERR_DATA,
           "TEST/readme.png does not fit the class_pattern");
  am_manifest_free(m);
  put("loose/a.png", "1");
  m = load("loose", "layout: flat\n");
  assert_string_equal(listed(m, &(am_selection){0}), "0:a.png");
  am_manifest_free(m);
  put("named/n12_great_owl.JPEG", "1");
  put("named/n13_eel.JPEG", "1");
  m = load("named", "layout: flat\nclass_pattern: '^n[0-9]+_(.*)\\.JPEG$'\n");
  const char *const owl[] = {"great_owl"};
  assert_string_equal(listed(m, &(am_selection){.class_name = owl, .class_count = 1}),
                      "0:n12_great_owl.JPEG");
  am_manifest_free(m);
}

// ---- groups, hashes, divisions ----

static void groups_identical_files_and_objects(void **state) {
  put("twins/a/1_x.png", "same");
  put("twins/a/1_y.png", "other");
  put("twins/a/2_x.png", "lone");
  put("twins/b/3_x.png", "same");
  am_manifest *m = load("twins", "layout: class_folders\nobject_pattern: '^([0-9]+)_'\n");
  am_file_list list = {0}, again = {0};
  char address[65];
  int64_t group[4];
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &list));
  am_fails(am_file_list_address(&list, address), AM_ERR_INTERNAL, "no hash yet");
  am_ok(am_file_list_group(&list, true, group));
  const int64_t objects[] = {0, 0, 1, 2};
  assert_memory_equal(group, objects, sizeof group);
  am_ok(am_file_list_hash(&list, cache_dir()));
  am_ok(am_file_list_group(&list, true, group));
  const int64_t all[] = {0, 0, 1, 0};  // the twin in class b joins the object
  assert_memory_equal(group, all, sizeof group);
  am_ok(am_file_list_group(&list, false, group));
  const int64_t content[] = {0, 1, 2, 0};
  assert_memory_equal(group, content, sizeof group);
  am_ok(am_file_list_address(&list, address));
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &again));
  am_ok(am_file_list_hash(&again, NULL));
  char second[65];
  am_ok(am_file_list_address(&again, second));
  assert_string_equal(address, second);
  am_file_list_fini(&list);
  am_file_list_fini(&again);
  am_manifest_free(m);
}

// ---- what is remembered ----

// Sets the time of a file or folder of the data folder back: a cache passes over what is still warm.
static void make_old(const char *path) {
  char command[700];
  snprintf(command, sizeof command, "touch -d '2 hours ago' %s/%s", dir(), path);
  assert_int_equal(system(command), 0);
}

// The only file of the cache whose name ends like this.
static const char *cache_file(const char *ending) {
  static char path[500];
  am_dir_list files = {0};
  path[0] = '\0';
  am_ok(am_dir_read(cache_dir(), &files));
  for (int64_t i = 0; i < files.count; i++) {
    if (!am_str_ends(files.name[i], ending)) continue;
    assert_string_equal(path, "");
    snprintf(path, sizeof path, "%s/%s", cache_dir(), files.name[i]);
  }
  am_dir_list_fini(&files);
  return path;
}

static void hash_of(am_manifest *m, uint8_t digest[32]) {
  am_file_list list = {0};
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &list));
  am_ok(am_file_list_hash(&list, cache_dir()));
  memcpy(digest, list.entry[0].sha256, 32);
  am_file_list_fini(&list);
}

// A cache that lies shows whether it is read.
static void remembers_hashes_of_unchanged_files(void **state) {
  enum { HEADER = 64, SHA = HEADER + 32, CRC = 24 };
  char *data = NULL;
  uint8_t digest[32], first[32], wrong[32];
  size_t bytes = 0;
  am_ok(am_path_remove_tree(cache_dir()));
  put("cached/c/1.png", "one");
  am_manifest *m = load("cached", "layout: class_folders\n");
  hash_of(m, first);
  assert_string_equal(cache_file(".hashes"), "");  // warm
  make_old("cached/c/1.png");
  hash_of(m, digest);
  assert_memory_equal(digest, first, 32);
  am_ok(am_file_read(cache_file(".hashes"), 1 << 20, &data, &bytes));
  assert_int_equal(bytes, HEADER + 64);
  assert_memory_equal(data + SHA, first, 32);
  memset(wrong, 0xff, sizeof wrong);
  memcpy(data + SHA, wrong, sizeof wrong);
  am_ok(am_file_write(cache_file(".hashes"), data, bytes));
  hash_of(m, digest);
  assert_memory_equal(digest, first, 32);  // its sum does not fit: not used, and written again
  uint32_t crc = am_crc32c(0, data + HEADER, bytes - HEADER);
  memcpy(data + CRC, &crc, sizeof crc);
  am_ok(am_file_write(cache_file(".hashes"), data, bytes));
  hash_of(m, digest);
  assert_memory_equal(digest, wrong, 32);
  put("cached/c/2.png", "two");  // another file beside it is hashed
  make_old("cached/c/2.png");
  hash_of(m, digest);
  assert_memory_equal(digest, wrong, 32);
  free(data);
  am_ok(am_file_read(cache_file(".hashes"), 1 << 20, &data, &bytes));
  assert_int_equal(bytes, HEADER + 2 * 64);
  put("cached/c/1.png", "eno");  // changed: the cache no longer counts
  hash_of(m, digest);
  assert_memory_not_equal(digest, wrong, 32);
  assert_memory_not_equal(digest, first, 32);
  for (size_t cut = 0; cut < bytes; cut += 7) {
    am_ok(am_file_write(cache_file(".hashes"), data, cut));
    hash_of(m, wrong);
    assert_memory_equal(wrong, digest, 32);
  }
  am_manifest_free(m);
  free(data);
}

static void sleep_until_cold(void) {
  am_ok(am_path_mkdirs(dir()));
  sleep(4);
}

// The same for what is in folders: the index is made to say another name.
static void remembers_folders_that_were_not_touched(void **state) {
  char *data = NULL;
  size_t bytes = 0;
  uint32_t crc;
  am_ok(am_path_remove_tree(cache_dir()));
  put("indexed/c/1.png", "one");
  put("indexed/d/1.png", "two");
  am_manifest *m = load("indexed", "layout: class_folders\n");
  am_manifest_set_cache(m, cache_dir());
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/1.png 1:d/1.png");
  assert_string_equal(cache_file(".folders"), "");  // warm
  sleep_until_cold();
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/1.png 1:d/1.png");
  am_ok(am_file_read(cache_file(".folders"), 1 << 20, &data, &bytes));
  for (size_t i = 0; i + 5 < bytes; i++) {
    if (memcmp(data + i, "1.png", 6) == 0) data[i] = '7';
  }
  am_ok(am_file_write(cache_file(".folders"), data, bytes));
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/1.png 1:d/1.png");  // its sum does not fit
  crc = am_crc32c(0, data, bytes - sizeof crc);
  memcpy(data + bytes - sizeof crc, &crc, sizeof crc);
  am_ok(am_file_write(cache_file(".folders"), data, bytes));
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/7.png 1:d/7.png");
  put("indexed/d/2.png", "three");  // this folder changed
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/7.png 1:d/1.png 1:d/2.png");
  put("indexed/e/3.png", "four");
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/7.png 1:d/1.png 1:d/2.png 2:e/3.png");
  make_old("indexed/c");  // somebody set its time back: it counts as touched
  assert_string_equal(listed(m, &(am_selection){0}), "0:c/1.png 1:d/1.png 1:d/2.png 2:e/3.png");
  for (size_t cut = 0; cut < bytes; cut += 5) {
    am_ok(am_file_write(cache_file(".folders"), data, cut));
    assert_string_equal(listed(m, &(am_selection){0}), "0:c/1.png 1:d/1.png 1:d/2.png 2:e/3.png");
  }
  am_manifest_free(m);
  free(data);
}

static void divides_by_group(void **state) {
  char path[64], content[64];
  for (int k = 0; k < 2; k++) {
    for (int i = 0; i < 100; i++) {
      snprintf(path, sizeof path, "many/%s/%02d_%d.png", k ? "b" : "a", i / 4, i % 4);  // objects of four
      snprintf(content, sizeof content, "%d", i % 90 + 1000 * k);  // the last ten are copies
      put(path, content);
    }
  }
  am_manifest *m = load("many",
                        "layout: class_folders\nobject_pattern: '^([0-9]+)_'\n"
                        "divide: {fractions: {train: 0.7, test: 0.3}}\n");
  am_file_list all = {0}, part = {0};
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &all));
  int64_t test = 0;
  for (int64_t i = 0; i < all.count; i++) {
    test += strcmp(all.entry[i].split, "test") == 0;
    for (int64_t j = 0; j < i; j++) {
      bool together =
          memcmp(all.entry[i].sha256, all.entry[j].sha256, 32) == 0 ||
          (all.entry[i].label == all.entry[j].label && strcmp(all.entry[i].object, all.entry[j].object) == 0);
      if (together) assert_string_equal(all.entry[i].split, all.entry[j].split);
    }
  }
  assert_in_range(test, 48, 72);
  const char *const only_b[] = {"b"};
  am_ok(am_manifest_list(m, dir(), &(am_selection){.split = "test", .class_name = only_b, .class_count = 1},
                         &part));
  for (int64_t i = 0; i < part.count; i++) {  // the division does not depend on the selection
    for (int64_t j = 0; j < all.count; j++) {
      if (strcmp(all.entry[j].path, part.entry[i].path) == 0) assert_string_equal(all.entry[j].split, "test");
    }
  }
  am_file_list_fini(&all);
  am_file_list_fini(&part);
  am_manifest_free(m);
}

// ---- messages ----

static void says_what_is_missing(void **state) {
  am_file_list list = {0};
  am_manifest *m = load(
      "gone",
      "layout: class_folders\ntitle: Gone With The Wind\nsource: https://example.org/gone\nlicence: free\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){0}, &list), AM_ERR_DATA,
           "/gone. Gone With The Wind can be had from https://example.org/gone (licence: free)");
  am_fails(am_manifest_list(m, NULL, &(am_selection){0}, &list), AM_ERR_CONFIG,
           "--data DIR or set AUGMINT_DATA");
  am_manifest_free(m);
  put("pets/cat/1.png", "1");
  put("pets/cat/2.gif", "2");
  put("pets/dog/1.gif", "3");
  m = load("pets",
           "layout: class_folders\nclasses: [cat, dog]\ndivide: {fractions: {train: 0.5, test: 0.5}}\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){0}, &list), AM_ERR_DATA, "class \"dog\" has no image");
  am_fails(am_manifest_list(m, dir(), &(am_selection){0}, &list), AM_ERR_DATA, "looked for .jpg .jpeg .png");
  const char *const typo[] = {"cat", "dgo"};
  am_fails(am_manifest_list(m, dir(), &(am_selection){.class_name = typo, .class_count = 2}, &list),
           AM_ERR_CONFIG, "has no class \"dgo\"; did you mean \"dog\"? There are: cat, dog");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "tset"}, &list), AM_ERR_CONFIG,
           "did you mean \"test\"?");
  am_manifest_free(m);
  m = load("pets", "layout: class_folders\nclasses: [cat, parrot]\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){0}, &list), AM_ERR_DATA,
           "the folders there are: cat, dog");
  am_manifest_free(m);
  m = load("toys", toys_yaml);
  const char *const both[] = {"cow", "pony"}, *const objects[] = {"1,3", NULL};
  am_fails(am_manifest_list(m, dir(),
                            &(am_selection){.class_name = both, .class_count = 2, .object = objects}, &list),
           AM_ERR_CONFIG, "has no object of class cow \"3\"");
  am_fails(am_manifest_list(m, dir(),
                            &(am_selection){.class_name = both, .class_count = 2, .object = objects}, &list),
           AM_ERR_CONFIG, "here are: 1, 2, 10");
  am_manifest_free(m);
}

static void refuses_manifests_that_cannot_be(void **state) {
  am_manifest *m = NULL;
  am_fails(am_manifest_load("eht80", "data/manifests", &m), AM_ERR_CONFIG, "did you mean \"eth80\"?");
  refuses("title: x\n", "layout");
  refuses("layout: heap\n", "heap");
  refuses("layout: flat\nclas_pattern: x\n", "class_pattern");
  refuses("layout: flat\nclass_pattern: '('\n", "not a regular expression");
  refuses("layout: flat\nclass_pattern: 'abc'\n", "no (group)");
  // What would keep regcomp busy, or fill memory.
  refuses("layout: flat\nclass_pattern: '^([0-9]**+)'\n", "it repeats a repetition");
  refuses("layout: flat\nclass_pattern: '((((a{9}){9}){9}){9})'\n", "more than 1024 copies");
  refuses("layout: flat\nclass_pattern: '(a{1,99999999999999999999})'\n", "more than 1024 copies");
  refuses("layout: flat\nclass_pattern: '(a)\\1'\n", "refers back to a group");
  refuses("layout: flat\nclass_pattern: '(a+b+a+b+a+b+a+b+a+b+a+b+a+b+a+b+a+)'\n", "more than 16 repetitions");
  refuses("layout: flat\nfolder: /etc\n", "absolute path");
  refuses("layout: flat\nname: a/b\n", "names a folder");
  refuses("layout: class_folders\nclasses: [a, b, a]\n", "listed twice");
  refuses("layout: class_folders\nclasses: {a: b}\n", "known: listed_in, words");
  refuses("layout: class_folders\nclasses: word\n",
          "expected a list of classes, or {listed_in: FILE, words: FILE}");
  refuses("layout: class_folders\nsplits: {train: {foldr: x}}\n", "folder");
  refuses("layout: class_folders\nsplits: {train: {layout: signs}}\n", "no layout of files");
  refuses("layout: class_folders\ndivide: {fractions: {train: 0.7, test: 0.2}}\n", "add up to 0.9");
  refuses("layout: class_folders\ndivide: {fractions: {train: -1, test: 2}}\n", "expected a fraction");
  refuses("layout: class_folders\ndivide: {by: object}\n", "expected fractions");
  refuses("layout: class_folders\nsplits: {train: a}\ndivide: {fractions: {train: 1}}\n",
          "splits of its own");
  refuses("layout: signs\nclasses: [a]\n", "the drawn set has its own classes");
}

static void knows_every_manifest_here(void **state) {
  am_dir_list files = {0};
  int64_t known = 0;
  am_ok(am_dir_read("data/manifests", &files));
  for (int64_t i = 0; i < files.count; i++) {
    am_manifest *m = NULL;
    if (!am_str_ends(files.name[i], ".yaml")) continue;
    files.name[i][strlen(files.name[i]) - strlen(".yaml")] = '\0';
    am_ok(am_manifest_load(files.name[i], "data/manifests", &m));
    const char *name = am_manifest_name(m);  // cifar100-coarse is of the files of cifar100
    assert_memory_equal(name, files.name[i], strlen(name));
    am_manifest_free(m);
    known++;
  }
  assert_int_equal(known, 22);
  am_dir_list_fini(&files);
}

// ---- the drawn set ----

static void lists_the_drawn_set_without_files(void **state) {
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_image image = {0}, mask = {0};
  am_ok(am_manifest_load("signs", "data/manifests", &m));
  assert_true(am_manifest_is_drawn(m));
  const char *const two[] = {"yield", "stop"};
  am_ok(am_manifest_list(m, NULL, &(am_selection){.split = "train", .class_name = two, .class_count = 2},
                         &list));
  assert_int_equal(list.count, 17 + 8);
  assert_string_equal(list.entry[0].path, "train/yield/000");
  am_ok(am_manifest_image(m, &list, 20, &image));
  am_ok(am_manifest_mask(m, &list, 20, &mask));
  assert_int_equal(image.width, 64);
  assert_int_equal(mask.channels, 1);
  am_ok(am_file_list_hash(&list, NULL));
  assert_memory_not_equal(list.entry[0].sha256, list.entry[1].sha256, 32);
  am_image_fini(&image);
  am_image_fini(&mask);
  am_file_list_fini(&list);
  am_manifest_free(m);
}

// ---- real sets ----

static int64_t count_images(const char *name, const am_selection *what, int64_t *groups) {
  const char *data = getenv("AUGMINT_TEST_DATA");
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_ok(am_manifest_load(name, "data/manifests", &m));
  am_ok(am_manifest_list(m, data, what, &list));
  am_ok(am_file_list_hash(&list, NULL));
  int64_t count = list.count, *group = NULL;
  am_ok(AM_NEW_ARRAY(&group, count));
  am_ok(am_file_list_group(&list, true, group));
  for (int64_t i = 0; groups && i < count; i++) *groups = group[i] + 1 > *groups ? group[i] + 1 : *groups;
  free(group);
  am_file_list_fini(&list);
  am_manifest_free(m);
  return count;
}

static void reads_real_sets(void **state) {
  if (!getenv("AUGMINT_TEST_DATA")) am_skip("AUGMINT_TEST_DATA is not set");
  const char *const animals[] = {"cow", "horse"}, *const ones[] = {"1", "1"};
  int64_t groups = 0;
  assert_int_equal(
      count_images("eth80", &(am_selection){.class_name = animals, .class_count = 2, .object = ones}, NULL),
      82);
  assert_int_equal(count_images("traffic-signs", &(am_selection){.split = "train"}, &groups), 520);
  assert_int_equal(groups, 205);  // distinct contents
  groups = 0;
  assert_int_equal(count_images("traffic-signs", &(am_selection){.split = "test"}, &groups), 340);
  assert_int_equal(groups, 145);
  assert_int_equal(count_images("flowers12", &(am_selection){.split = "train"}, NULL), 240);
  assert_int_equal(count_images("tiny-imagenet-animals", &(am_selection){.split = "val"}, NULL), 500);
  assert_int_equal(count_images("imagenette224", &(am_selection){.split = "val"}, NULL), 150);
  assert_int_equal(count_images("aga-classes", &(am_selection){0}, NULL), 10);
  assert_int_equal(count_images("ecssd", &(am_selection){0}, NULL), 60);
  assert_int_equal(count_images("cifar10-jpg", &(am_selection){.split = "test"}, NULL), 1500);
}

static void reads_real_images_and_masks(void **state) {
  const char *data = getenv("AUGMINT_TEST_DATA");
  if (!data) am_skip("AUGMINT_TEST_DATA is not set");
  const char *const cow[] = {"cow"};
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_image image = {0}, mask = {0};
  am_ok(am_manifest_load("eth80", "data/manifests", &m));
  am_ok(am_manifest_list(m, data, &(am_selection){.class_name = cow, .class_count = 1}, &list));
  for (int64_t i = 0; i < list.count; i += 40) {
    am_ok(am_manifest_image(m, &list, i, &image));
    am_ok(am_manifest_mask(m, &list, i, &mask));
    assert_int_equal(image.width, 256);
    assert_int_equal(mask.width, 256);
    assert_true(mask.pixel[128 * 256 + 128] > 127);  // the animal stands in the middle
    am_image_fini(&image);
    am_image_fini(&mask);
  }
  am_file_list_fini(&list);
  am_manifest_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lists_class_folders),
      cmocka_unit_test(lists_objects_and_their_masks),
      cmocka_unit_test(lists_flat_folders_by_pattern),
      cmocka_unit_test(groups_identical_files_and_objects),
      cmocka_unit_test(remembers_hashes_of_unchanged_files),
      cmocka_unit_test(remembers_folders_that_were_not_touched),
      cmocka_unit_test(divides_by_group),
      cmocka_unit_test(says_what_is_missing),
      cmocka_unit_test(refuses_manifests_that_cannot_be),
      cmocka_unit_test(knows_every_manifest_here),
      cmocka_unit_test(lists_the_drawn_set_without_files),
      cmocka_unit_test(reads_real_sets),
      cmocka_unit_test(reads_real_images_and_masks),
  };
  return cmocka_run_group_tests_name("manifest", tests, NULL, NULL);
}
