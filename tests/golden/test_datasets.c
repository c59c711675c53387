// Packed data sets through their manifests, against torchvision.datasets (make_datasets.py).
#include "am_test.h"

#include "base/hash.h"
#include "base/path.h"
#include "base/str.h"
#include "data/manifest.h"
#include "weights/safetensors.h"

static am_safetensors *golden;

static const char *data_dir(void) {
  static char path[300];
  snprintf(path, sizeof path, "%s/data", am_test_dir());
  return path;
}

// Puts the files of every data set where its manifest looks for them.
static int unpack(void **state) {
  am_ok(am_safetensors_open("tests/golden/datasets.safetensors", &golden));
  for (int64_t i = 0; i < am_safetensors_count(golden); i++) {
    const am_st_entry *e = am_safetensors_at(golden, i);
    char path[600];
    if (!am_str_starts(e->name, "file/")) continue;
    snprintf(path, sizeof path, "%s/%s", data_dir(), e->name + strlen("file/"));
    *strrchr(path, '/') = '\0';
    am_ok(am_path_mkdirs(path));
    path[strlen(path)] = '/';
    am_ok(am_file_write(path, e->data, e->bytes));
  }
  return 0;
}

static int close_golden(void **state) {
  am_safetensors_close(golden);
  return 0;
}

typedef struct {
  const int64_t *label;
  const uint8_t *sha256;
  int64_t count;
} reading;

static reading read_golden(const char *manifest, const char *split) {
  char name[128];
  snprintf(name, sizeof name, "label/%s/%s", manifest, split);
  const am_st_entry *labels = am_safetensors_find(golden, name);
  snprintf(name, sizeof name, "sha256/%s/%s", manifest, split);
  const am_st_entry *hashes = am_safetensors_find(golden, name);
  assert_non_null(labels);
  assert_non_null(hashes);
  return (reading){labels->data, hashes->data, labels->shape.dim[0]};
}

static const char *hex_of(const uint8_t *digest) {
  static char hex[65];
  for (int i = 0; i < 32; i++) snprintf(hex + 2 * i, 3, "%02x", digest[i]);
  return hex;
}

// The listing is torchvision's order sorted by class: image after image the same label and pixels. The few
// images show some of the classes only, so just these are selected.
static void compare_split(const char *manifest, const char *split) {
  enum { MOST = 128 };
  reading want = read_golden(manifest, split);
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_node *yaml = NULL;
  const char *name[MOST];
  char path[128];
  int64_t classes = 0, at = 0;
  snprintf(path, sizeof path, "data/manifests/%s.yaml", manifest);
  am_ok(am_yaml_read(path, &yaml));
  const am_node *known = am_node_get(yaml, "classes");
  am_ok(am_manifest_load(manifest, "data/manifests", &m));
  for (int64_t k = 0; k < known->count; k++) {
    bool used = false;
    for (int64_t i = 0; i < want.count; i++) used |= want.label[i] == k;
    if (used) name[classes++] = known->item[k]->text;
  }
  am_ok(am_manifest_list(m, data_dir(),
                         &(am_selection){.split = split, .class_name = name, .class_count = classes}, &list));
  am_ok(am_file_list_hash(&list, NULL));
  assert_int_equal(list.count, want.count);
  for (int64_t k = -1; k < known->count; k++) {
    for (int64_t i = 0; i < want.count; i++) {
      if (want.label[i] != k) continue;
      if (k >= 0) assert_string_equal(list.class_name[list.entry[at].label], known->item[k]->text);
      assert_memory_equal(list.entry[at++].sha256, want.sha256 + 32 * i, 32);
    }
  }
  am_file_list_fini(&list);
  am_manifest_free(m);
  am_node_free(yaml);
}

static void compare(const char *manifest) {
  compare_split(manifest, "train");
  compare_split(manifest, "test");
}

static void reads_mnist_and_its_kin(void **state) {
  compare("mnist");
  compare("fashion-mnist");
  compare("kmnist");
}
static void turns_emnist(void **state) { compare("emnist-letters"); }
static void reads_cifar10(void **state) { compare("cifar10"); }
static void reads_both_labels_of_cifar100(void **state) {
  compare("cifar100");
  compare("cifar100-coarse");
}
static void reads_stl10(void **state) {
  compare("stl10");
  compare_split("stl10", "unlabeled");
}

// The text that a tensor of bytes holds (heap).
static char *text_of(const char *name) {
  const am_st_entry *e = am_safetensors_find(golden, name);
  char *text = calloc(1, e->bytes + 1);
  memcpy(text, e->data, e->bytes);
  return text;
}

static void make_file(const char *path) {
  char full[600], folder[600];
  snprintf(full, sizeof full, "%s/tree/%s", data_dir(), path);
  snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(full, '/') - full), full);
  am_ok(am_path_mkdirs(folder));
  am_ok(am_file_write(full, "", 0));
}

// Class folders in torchvision's order.
static void lists_as_image_folder(void **state) {
  static const char yaml[] = "layout: class_folders\nsplits: {train: train}\n";
  char *paths = text_of("folder/paths"), *samples = text_of("folder/samples"), *rest = NULL;
  am_manifest *m = NULL;
  am_file_list list = {0};
  am_str got = {0};
  for (char *path = strtok_r(paths, "\n", &rest); path; path = strtok_r(NULL, "\n", &rest)) make_file(path);
  am_ok(am_manifest_parse("tree.yaml", yaml, strlen(yaml), &m));
  am_ok(am_manifest_list(m, data_dir(), &(am_selection){.split = "train"}, &list));
  for (int64_t i = 0; i < list.count; i++)
    am_ok(am_str_printf(&got, "%d %s\n", list.entry[i].label, list.entry[i].path));
  assert_string_equal(am_str_get(&got), samples);
  am_str_fini(&got);
  am_file_list_fini(&list);
  am_manifest_free(m);
  free(paths);
  free(samples);
}

// Every pixel and label of the real one.
static void reads_all_of_mnist(void **state) {
  static const char *const split[] = {"train", "test"};
  const char *data = getenv("AUGMINT_TEST_DATA");
  if (!data) am_skip("AUGMINT_TEST_DATA is not set");
  am_manifest *m = NULL;
  am_ok(am_manifest_load("mnist", "data/manifests", &m));
  for (int s = 0; s < 2; s++) {
    am_file_list list = {0};
    am_sha256 *h = NULL;
    char hex[65], name[64];
    am_ok(am_manifest_list(m, data, &(am_selection){.split = split[s]}, &list));
    am_ok(am_sha256_new(&h));
    for (int64_t i = 0; i < list.count; i++) {
      am_image rgb = {0}, grey = {0};
      uint8_t label = (uint8_t)list.entry[i].label;
      am_ok(am_manifest_image(m, &list, i, &rgb));
      am_ok(am_image_to_grey(&rgb, &grey));
      am_ok(am_sha256_update(h, &label, 1));
      am_ok(am_sha256_update(h, grey.pixel, 28 * 28));
      am_image_fini(&rgb);
      am_image_fini(&grey);
    }
    am_ok(am_sha256_finish(h, hex));
    snprintf(name, sizeof name, "real/mnist/%s", split[s]);
    assert_string_equal(hex, hex_of(am_safetensors_find(golden, name)->data));
    am_sha256_free(h);
    am_file_list_fini(&list);
  }
  am_manifest_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_mnist_and_its_kin),
      cmocka_unit_test(turns_emnist),
      cmocka_unit_test(reads_cifar10),
      cmocka_unit_test(reads_both_labels_of_cifar100),
      cmocka_unit_test(reads_stl10),
      cmocka_unit_test(lists_as_image_folder),
      cmocka_unit_test(reads_all_of_mnist),
  };
  return cmocka_run_group_tests_name("golden datasets", tests, unpack, close_golden);
}
