// Lists of classes and labels that come with image sets, and the manifests that use them.
#include "am_test.h"

#include "base/path.h"
#include "data/manifest.h"
#include "data/text_table.h"

static am_text_table classes(const char *text) {
  am_text_table t = {0};
  am_ok(am_class_table_parse("classes", text, strlen(text), &t));
  return t;
}
static am_text_table labels(const char *text) {
  am_text_table t = {0};
  am_ok(am_label_table_parse("labels", text, strlen(text), &t));
  return t;
}
static void label_of(const char *text, const char *file, const char *want) {
  am_text_table t = labels(text);
  const char *got = am_label_table_find(&t, file);
  if (want) assert_string_equal(got, want);
  if (!want) assert_null(got);
  am_text_table_fini(&t);
}
static void refuses_labels(const char *text, size_t bytes, const char *why) {
  am_text_table t = {0};
  am_fails(am_label_table_parse("labels", text, bytes, &t), AM_ERR_DATA, why);
}

static void reads_classes_with_and_without_words(void **state) {
  am_text_table t = classes("n02\r\n\nn01\tfish, of the sea\n n03  great white shark \n");
  assert_int_equal(t.count, 3);
  assert_string_equal(t.row[0].key, "n02");
  assert_null(t.row[0].value);
  assert_string_equal(t.row[1].value, "fish, of the sea");
  assert_string_equal(t.row[2].key, "n03");
  assert_string_equal(t.row[2].value, "great white shark");
  assert_int_equal(t.row[2].line, 4);
  am_text_table_fini(&t);
}

static void finds_labels_in_every_form(void **state) {
  label_of("val_1.JPEG\tn02\t0\t32\t44\t62\nval_0.JPEG\tn01\t1\t2\t3\t4\n", "val_0.JPEG", "n01");
  label_of("ImageId,PredictionString\nval_1,n02 85 1 499 272 \nval_0,n01 1 2 3 4\n", "val_1.JPEG",
           "n02 85 1 499 272");
  label_of("val/val_1.JPEG 65\nval/val_0.JPEG   970\n", "val_0.JPEG", "970");
  label_of("a.jpg,great white shark\n", "a.jpg", "great white shark");
  label_of("a.jpg 1\nab.jpg 2\nabc.jpg 3\n", "ab.jpg", "2");
  label_of("a.jpg 1\nab.jpg 2\nabc.jpg 3\n", "abcd.jpg", NULL);
  label_of("ab 2\na 1\n", "a.jpg", "1");
  am_text_table t = labels("n02\nn01\nn02\n");  // by place: not sorted
  assert_int_equal(t.count, 3);
  assert_null(t.row[0].value);
  assert_string_equal(t.row[1].key, "n01");
  am_text_table_fini(&t);
}

static void refuses_what_cannot_be_meant(void **state) {
  refuses_labels("a 1\nb\n", 6, "has one column");
  refuses_labels("b\na 1\n", 6, "has a second column");
  refuses_labels("a 1\nb 1\na 2\n", 12, "a is of the class \"1\" in line 1 and \"2\" in line 3");
  refuses_labels("a 1\0b", 5, "zero byte");
  refuses_labels("\n \r\n", 4, "is empty");
  label_of("a 1\na 1\n", "a", "1");  // the same twice is no harm
}

// ---- manifests ----

static const char *dir(void) {
  static char path[300];
  snprintf(path, sizeof path, "%s/data", am_test_dir());
  return path;
}
static void put(const char *path, const char *content) {
  char full[600], folder[600];
  snprintf(full, sizeof full, "%s/%s", dir(), path);
  snprintf(folder, sizeof folder, "%.*s", (int)(am_path_name(full) - full - 1), full);
  am_ok(am_path_mkdirs(folder));
  am_ok(am_file_write(full, content, strlen(content)));
}
static am_manifest *load(const char *name) {
  am_manifest *m = NULL;
  am_ok(am_manifest_load(name, "data/manifests", &m));
  return m;
}

// "class:path class:path ..."
static const char *listed(am_manifest *m, const char *split) {
  static char text[2048];
  am_file_list list = {0};
  size_t n = 0;
  am_ok(am_manifest_list(m, dir(), &(am_selection){.split = split}, &list));
  text[0] = '\0';
  for (int64_t i = 0; i < list.count; i++)
    n += (size_t)snprintf(text + n, sizeof text - n, "%s%s:%s", i ? " " : "",
                          list.class_name[list.entry[i].label], list.entry[i].path);
  am_file_list_fini(&list);
  return text;
}

static void lists_tiny_imagenet_as_it_unpacks(void **state) {
  put("tiny-imagenet/tiny-imagenet-200/wnids.txt", "n03\nn01\n");
  put("tiny-imagenet/tiny-imagenet-200/words.txt",
      "n01\tgoldfish, Carassius auratus\nn02\tbird\nn03\ttorch\n");
  put("tiny-imagenet/tiny-imagenet-200/train/n01/images/n01_0.JPEG", "1");
  put("tiny-imagenet/tiny-imagenet-200/train/n01/n01_boxes.txt", "n01_0.JPEG\t0\t0\t62\t63\n");
  put("tiny-imagenet/tiny-imagenet-200/train/n03/images/n03_0.JPEG", "2");
  put("tiny-imagenet/tiny-imagenet-200/val/images/val_0.JPEG", "3");
  put("tiny-imagenet/tiny-imagenet-200/val/images/val_1.JPEG", "4");
  put("tiny-imagenet/tiny-imagenet-200/val/val_annotations.txt",
      "val_0.JPEG\tn03\t0\t32\t44\t62\nval_1.JPEG\tn01\t52\t55\t57\t59\n");
  put("tiny-imagenet/tiny-imagenet-200/test/images/test_0.JPEG", "5");
  am_manifest *m = load("tiny-imagenet");
  assert_string_equal(listed(m, "train"),
                      "goldfish:train/n01/images/n01_0.JPEG torch:train/n03/images/n03_0.JPEG");
  assert_string_equal(listed(m, "val"), "goldfish:val/images/val_1.JPEG torch:val/images/val_0.JPEG");
  assert_string_equal(listed(m, "test"), "unlabelled:test/images/test_0.JPEG");
  am_file_list list = {0};
  am_ok(am_manifest_list(m, dir(), &(am_selection){0}, &list));
  assert_int_equal(list.count, 4);  // those with labels
  am_file_list_fini(&list);
  const char *const torch[] = {"torch"};
  am_ok(am_manifest_list(m, dir(), &(am_selection){.split = "val", .class_name = torch, .class_count = 1},
                         &list));
  assert_int_equal(list.count, 1);
  am_file_list_fini(&list);
  put("tiny-imagenet/tiny-imagenet-200/val/images/val_2.JPEG", "6");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "val"}, &list), AM_ERR_DATA,
           "has no line for ");
  put("tiny-imagenet/tiny-imagenet-200/val/val_annotations.txt",
      "val_0.JPEG\tn03\nval_1.JPEG\tn01\nval_2.JPEG\tn02\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "val"}, &list), AM_ERR_DATA,
           "val_2.JPEG is of the class \"n02\", which is no class of the set (folder, name, or number from 0 "
           "to 1)");
  put("tiny-imagenet/tiny-imagenet-200/wnids.txt", "n03\nn01\nn03\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "train"}, &list), AM_ERR_DATA,
           "lists the class n03 twice");
  am_manifest_free(m);
}

static void lists_imagenet_as_kaggle_packs_it(void **state) {
  put("imagenet/LOC_synset_mapping.txt", "n01 crane\nn02 crane, derrick\nn10 tench, Tinca tinca\n");
  put("imagenet/LOC_val_solution.csv",
      "ImageId,PredictionString\nILSVRC2012_val_00000002,n02 85 1 499 272 \n"
      "ILSVRC2012_val_00000001,n10 1 1 9 9 n10 2 2 9 9 \nILSVRC2012_val_00000003,n01 3 1 4 1 \n");
  put("imagenet/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG", "1");
  put("imagenet/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG", "2");
  put("imagenet/ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000003.JPEG", "3");
  am_manifest *m = load("imagenet-kaggle");
  assert_string_equal(listed(m, "val"),
                      "crane (n01):ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000003.JPEG "
                      "crane (n02):ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000002.JPEG "
                      "tench:ILSVRC/Data/CLS-LOC/val/ILSVRC2012_val_00000001.JPEG");
  am_manifest_free(m);
}

// torchvision's arrangement, with val in class folders; all thousand classes in the order of their folders.
static void lists_imagenet_in_class_folders(void **state) {
  am_manifest *m = load("imagenet");
  am_file_list list = {0};
  put("imagenet/val/n01440764/ILSVRC2012_val_00000293.JPEG", "1");
  put("imagenet/val/n15075141/ILSVRC2012_val_00000001.JPEG", "2");
  const char *const ends[] = {"tench", "toilet tissue"};
  am_ok(am_manifest_list(m, dir(), &(am_selection){.split = "val", .class_name = ends, .class_count = 2},
                         &list));
  assert_int_equal(list.count, 2);
  assert_string_equal(list.entry[1].path, "val/n15075141/ILSVRC2012_val_00000001.JPEG");
  am_file_list_fini(&list);
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "val"}, &list), AM_ERR_DATA,
           "class \"goldfish\" has no folder");
  am_manifest_free(m);
}

static void lists_flat_folders_with_lists(void **state) {
  static const char yaml[] =
      "layout: flat\nclasses: [dark, light]\nsplits: {a: {folder: a, labels: a.txt}, b: {folder: a, labels: "
      "b.txt}}\n";
  am_manifest *m = NULL;
  am_file_list list = {0};
  put("flat/a/x.png", "1");
  put("flat/a/y.png", "2");
  put("flat/a/notes.txt", "3");
  put("flat/a.txt", "1\n0\n");  // by place, by number
  put("flat/b.txt", "y.png dark\nx.png 0\n");
  am_ok(am_manifest_parse("flat.yaml", yaml, strlen(yaml), &m));
  assert_string_equal(listed(m, "a"), "dark:a/y.png light:a/x.png");
  put("flat/a.txt", "1\n0\n1\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "a"}, &list), AM_ERR_DATA,
           "lists 3 classes for 2 images");
  put("flat/a.txt", "1\n2\n");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "a"}, &list), AM_ERR_DATA,
           "y.png is of the class \"2\"");
  am_fails(am_manifest_list(m, dir(), &(am_selection){.split = "b"}, &list), AM_ERR_DATA,
           "class \"light\" has no image");
  am_manifest_free(m);
}

static void refuses(const char *yaml, const char *why) {
  am_manifest *m = NULL;
  am_fails(am_manifest_parse("bad.yaml", yaml, strlen(yaml), &m), AM_ERR_CONFIG, why);
}

static void refuses_manifests_that_cannot_be(void **state) {
  refuses("layout: class_folders\nclasses: {listd_in: x}\n", "listed_in");
  refuses("layout: class_folders\nclasses: {words: x}\n", "expected listed_in");
  refuses("layout: class_folders\nclasses: {listed_in: /etc/passwd}\n", "absolute path");
  refuses("layout: class_folders\nlabels: x\n", "only the layouts flat, idx and records");
  refuses("layout: flat\nclass_pattern: '^(.)'\nlabels: x\n", "give one of the two");
  refuses("layout: idx\nclasses: {listed_in: x}\nfiles: x\nlabels: y\n", "expected `classes`");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_classes_with_and_without_words),
      cmocka_unit_test(finds_labels_in_every_form),
      cmocka_unit_test(refuses_what_cannot_be_meant),
      cmocka_unit_test(lists_tiny_imagenet_as_it_unpacks),
      cmocka_unit_test(lists_imagenet_as_kaggle_packs_it),
      cmocka_unit_test(lists_imagenet_in_class_folders),
      cmocka_unit_test(lists_flat_folders_with_lists),
      cmocka_unit_test(refuses_manifests_that_cannot_be),
  };
  return cmocka_run_group_tests_name("text table", tests, NULL, NULL);
}
