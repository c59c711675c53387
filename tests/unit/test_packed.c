// Packed files: what they must be, to the byte; what is in them; manifests over them.
#include "am_test.h"

#include <zlib.h>

#include "base/path.h"
#include "data/checksum.h"
#include "data/manifest.h"
#include "data/packed.h"

// Two grey images of 2 rows x 3 columns, and their labels.
static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 2, 0,  0,  0,  2,  0,  0,
                                 0, 3, 1, 2, 3, 4, 5, 6, 11, 12, 13, 14, 15, 16};
static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 0};
static const am_packed_desc idx = {.kind = AM_PACKED_IDX, .class_count = 2};

static am_err parse(const am_packed_desc *d, const void *a, size_t an, const void *b, size_t bn) {
  am_packed *p = NULL;
  am_err err = am_packed_parse(d, a, an, b, bn, &p);
  am_packed_close(p);
  return err;
}

// The first channel of image i.
static void assert_image(const am_packed *p, int64_t i, int64_t width, int64_t height, const uint8_t *want) {
  am_image image = {0};
  am_ok(am_packed_image(p, i, &image));
  assert_int_equal(image.width, width);
  assert_int_equal(image.height, height);
  assert_int_equal(image.channels, 3);
  for (int64_t k = 0; k < width * height; k++) assert_int_equal(image.pixel[3 * k], want[k]);
  am_image_fini(&image);
}

static size_t gzip(const void *in, size_t bytes, uint8_t *out, size_t room) {
  z_stream z = {.next_in = (Bytef *)in, .avail_in = (uInt)bytes, .next_out = out, .avail_out = (uInt)room};
  assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
  assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
  deflateEnd(&z);
  return room - z.avail_out;
}

static void reads_idx(void **state) {
  am_packed *p = NULL;
  am_ok(am_packed_parse(&idx, images, sizeof images, labels, sizeof labels, &p));
  assert_int_equal(am_packed_count(p), 2);
  assert_int_equal(am_packed_label(p, 0), 1);
  assert_int_equal(am_packed_label(p, 1), 0);
  assert_image(p, 1, 3, 2, images + 22);
  am_image image = {0};
  am_fails(am_packed_image(p, 2, &image), AM_ERR_ARG, "image 2 of 2");
  am_packed_close(p);
  am_packed_desc turned = idx;
  turned.transposed = true;
  am_ok(am_packed_parse(&turned, images, sizeof images, NULL, 0, &p));
  assert_int_equal(am_packed_label(p, 0), -1);
  assert_image(p, 0, 3, 2, (const uint8_t[]){1, 3, 5, 2, 4, 6});
  am_packed_close(p);
}

static void reads_gzip_in_one_or_more_members(void **state) {
  uint8_t packed[256];
  am_packed *p = NULL;
  size_t n = gzip(images, 20, packed, sizeof packed);
  n += gzip(images + 20, sizeof images - 20, packed + n, sizeof packed - n);
  am_ok(am_packed_parse(&idx, packed, n, labels, sizeof labels, &p));
  assert_image(p, 0, 3, 2, images + 16);
  am_packed_close(p);
  packed[n] = 'x';
  am_fails(parse(&idx, packed, n + 1, NULL, 0), AM_ERR_DATA, "1 bytes follow the end of the compressed data");
  for (size_t cut = 2; cut < n; cut++) assert_int_equal(parse(&idx, packed, cut, NULL, 0), AM_ERR_DATA);
  n = gzip(images, sizeof images - 1, packed, sizeof packed);
  am_fails(parse(&idx, packed, n, NULL, 0), AM_ERR_DATA,
           "2 x 2 x 3, which is 28 bytes, but it unpacks to 27");
  uint8_t more[64] = {0};
  memcpy(more, images, sizeof images);
  n = gzip(more, sizeof images + 7, packed, sizeof packed);
  am_fails(parse(&idx, packed, n, NULL, 0), AM_ERR_DATA, "which is 28 bytes, but it unpacks to at least 29");
  packed[n - 8] ^= 1;  // its checksum
  am_fails(parse(&idx, packed, n, NULL, 0), AM_ERR_DATA, "");
}

// A header may claim anything; nothing is allocated that the file cannot fill.
static void refuses_a_header_that_claims_too_much(void **state) {
  uint8_t claim[16] = {0, 0, 8, 3, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  uint8_t packed[256];
  am_fails(parse(&idx, claim, sizeof claim, NULL, 0), AM_ERR_DATA, "more than any file holds");
  memcpy(claim + 4, (uint8_t[]){0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0}, 12);  // 65536 x 256 x 256: 4 GiB
  am_fails(parse(&idx, claim, sizeof claim, NULL, 0), AM_ERR_DATA,
           "is 4294967312 bytes, but the file has 16");
  size_t n = gzip(claim, sizeof claim, packed, sizeof packed);
  am_fails(parse(&idx, packed, n, NULL, 0), AM_ERR_DATA, "unpack files of more than 2147483648 with gunzip");
  claim[5] = 0, claim[6] = 0x40;
  n = gzip(claim, sizeof claim, packed, sizeof packed);
  am_fails(parse(&idx, packed, n, NULL, 0), AM_ERR_DATA, "cannot unpack to so many");
}

static void refuses_what_is_not_idx(void **state) {
  uint8_t bad[sizeof images + 1] = {0};
  memcpy(bad, images, sizeof images);
  for (size_t cut = 0; cut < sizeof images; cut++)
    assert_int_equal(parse(&idx, images, cut, NULL, 0), AM_ERR_DATA);
  am_fails(parse(&idx, images, 9, NULL, 0), AM_ERR_DATA, "has 9 bytes, expected at least 16");
  am_fails(parse(&idx, bad, sizeof bad, NULL, 0), AM_ERR_DATA, "which is 28 bytes, but the file has 29");
  am_fails(parse(&idx, labels, sizeof labels, images, sizeof images), AM_ERR_DATA, "expected at least 16");
  am_fails(parse(&idx, images, sizeof images, images, sizeof images), AM_ERR_DATA,
           "begins with 00 00 08 03, expected 00 00 08 01");
  bad[2] = 9;
  am_fails(parse(&idx, bad, sizeof images, NULL, 0), AM_ERR_DATA,
           "begins with 00 00 09 03, expected 00 00 08 03");
  am_fails(parse(&idx, images, sizeof images, labels, sizeof labels - 1), AM_ERR_DATA,
           "labels: its header says 2");
  const uint8_t three[] = {0, 0, 8, 1, 0, 0, 0, 3, 1, 0, 1};
  am_fails(parse(&idx, images, sizeof images, three, sizeof three), AM_ERR_DATA,
           "labels holds 3 labels, but images 2 images");
  const uint8_t outside[] = {0, 0, 8, 1, 0, 0, 0, 2, 1, 2};
  am_fails(parse(&idx, images, sizeof images, outside, sizeof outside), AM_ERR_DATA,
           "labels: the label of image 1 is 2, expected 0 to 1");
  const uint8_t flat[] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 3};
  am_fails(parse(&idx, flat, sizeof flat, NULL, 0), AM_ERR_DATA, "the image is 3 x 0 px");
}

// ---- records ----

static void reads_records(void **state) {
  // Two images of 2 x 1 px, three planes, behind a coarse and a fine label.
  const uint8_t two[] = {0, 4, 10, 11, 20, 21, 30, 31, 1, 5, 12, 13, 22, 23, 32, 33};
  am_packed_desc d = {.kind = AM_PACKED_RECORDS,
                      .height = 1,
                      .width = 2,
                      .channels = 3,
                      .label_bytes = 2,
                      .label_at = 1,
                      .class_count = 6};
  am_packed *p = NULL;
  am_image image = {0};
  am_ok(am_packed_parse(&d, two, sizeof two, NULL, 0, &p));
  assert_int_equal(am_packed_count(p), 2);
  assert_int_equal(am_packed_label(p, 1), 5);
  am_ok(am_packed_image(p, 1, &image));
  assert_memory_equal(image.pixel, ((uint8_t[]){12, 22, 32, 13, 23, 33}), 6);
  am_image_fini(&image);
  am_packed_close(p);
  d.label_at = 0;
  am_ok(am_packed_parse(&d, two, sizeof two, NULL, 0, &p));
  assert_int_equal(am_packed_label(p, 1), 1);
  am_packed_close(p);
  d.class_count = 1;
  am_fails(parse(&d, two, sizeof two, NULL, 0), AM_ERR_DATA, "the label of image 1 is 1, expected 0 to 0");
  am_fails(parse(&d, two, sizeof two - 3, NULL, 0), AM_ERR_DATA,
           "13 bytes are not a whole number of records of 2 + 6 bytes: 5 are left over");
}

static void reads_records_with_labels_of_their_own(void **state) {
  const uint8_t grid[] = {1, 2, 3, 4, 5, 6, 7, 8};
  am_packed_desc d = {.kind = AM_PACKED_RECORDS,
                      .height = 2,
                      .width = 2,
                      .channels = 1,
                      .transposed = true,
                      .first_label = 1,
                      .class_count = 3};
  am_packed *p = NULL;
  am_ok(am_packed_parse(&d, grid, sizeof grid, (uint8_t[]){3, 1}, 2, &p));
  assert_int_equal(am_packed_label(p, 0), 2);
  assert_image(p, 1, 2, 2, (const uint8_t[]){5, 7, 6, 8});
  am_packed_close(p);
  am_fails(parse(&d, grid, sizeof grid, (uint8_t[]){3, 0}, 2), AM_ERR_DATA, "is 0, expected 1 to 3");
  am_fails(parse(&d, grid, sizeof grid, (uint8_t[]){3, 1, 1}, 3), AM_ERR_DATA, "holds 3 labels");
}

// Equal pixels have equal hashes, however they are stored.
static void hashes_what_is_seen(void **state) {
  am_packed_desc rgb = {.kind = AM_PACKED_RECORDS, .height = 2, .width = 3, .channels = 3};
  uint8_t planes[18];
  char a[65], b[65];
  am_packed *p = NULL, *q = NULL;
  for (int c = 0; c < 3; c++) memcpy(planes + 6 * c, images + 16, 6);
  am_ok(am_packed_parse(&rgb, planes, sizeof planes, NULL, 0, &p));
  am_ok(am_packed_parse(&idx, images, sizeof images, NULL, 0, &q));
  am_ok(am_packed_hash(p, 0, a));
  am_ok(am_packed_hash(q, 0, b));
  assert_string_equal(a, b);
  am_ok(am_packed_hash(q, 1, b));
  assert_string_not_equal(a, b);
  am_packed_close(p);
  rgb.height = 3;
  rgb.width = 2;
  am_ok(am_packed_parse(&rgb, planes, sizeof planes, NULL, 0, &p));
  am_ok(am_packed_hash(p, 0, b));
  assert_string_not_equal(a, b);
  am_packed_close(p);
  am_packed_close(q);
}

// ---- manifests ----

static void put(const char *path, const void *bytes, size_t count) {
  char full[600];
  snprintf(full, sizeof full, "%s/%s", am_test_dir(), path);
  am_ok(am_file_write(full, bytes, count));
}

static void make_set(const char *name) {
  char folder[400], path[500];
  uint8_t packed[256];
  snprintf(folder, sizeof folder, "%s/data/%s", am_test_dir(), name);
  am_ok(am_path_mkdirs(folder));
  snprintf(path, sizeof path, "data/%s/train-images", name);
  put(path, images, sizeof images);
  snprintf(path, sizeof path, "data/%s/train-labels.gz", name);
  put(path, packed, gzip(labels, sizeof labels, packed, sizeof packed));
  snprintf(path, sizeof path, "data/%s/more-images", name);
  put(path, images, sizeof images);
}

static am_manifest *load(const char *name, const char *yaml) {
  am_manifest *m = NULL;
  am_ok(am_manifest_parse(name, yaml, strlen(yaml), &m));
  return m;
}

static const char digits[] =
    "layout: idx\nclasses: [no, yes]\nsource: https://example.org\nsplits:\n"
    "  train: {files: train-images, labels: train-labels}\n  more: {files: more-images, labels: none}\n"
    "  gone: {files: gone-images, labels: none}\n";

static void lists_packed_images(void **state) {
  char data[400];
  am_file_list list = {0}, more = {0};
  am_image image = {0};
  make_set("digits");
  snprintf(data, sizeof data, "%s/data", am_test_dir());
  am_manifest *m = load("digits.yaml", digits);
  am_ok(am_manifest_list(m, data, &(am_selection){.split = "train"}, &list));
  assert_int_equal(list.count, 2);
  assert_string_equal(list.entry[0].path, "train-images#0000001");  // sorted by class
  assert_string_equal(list.entry[1].path, "train-images#0000000");
  assert_string_equal(list.class_name[list.entry[1].label], "yes");
  am_ok(am_manifest_image(m, &list, 1, &image));
  assert_int_equal(image.pixel[3], 2);
  am_image_fini(&image);
  am_fails(am_manifest_mask(m, &list, 1, &image), AM_ERR_DATA, "has no mask");
  am_ok(am_file_list_hash(&list, NULL));
  am_ok(am_manifest_list(m, data, &(am_selection){.split = "more"}, &more));
  assert_int_equal(more.count, 2);
  assert_int_equal(more.class_count, 1);
  assert_string_equal(more.class_name[0], "unlabelled");
  am_ok(am_file_list_hash(&more, NULL));
  assert_memory_equal(more.entry[0].sha256, list.entry[1].sha256, 32);
  am_file_list_fini(&more);
  am_file_list_fini(&list);
  const char *const yes[] = {"yes"};
  am_ok(am_manifest_list(m, data, &(am_selection){.class_name = yes, .class_count = 1}, &list));
  assert_int_equal(list.count, 1);  // without a split: what has labels
  assert_int_equal(list.entry[0].label, 0);
  am_file_list_fini(&list);
  am_fails(am_manifest_list(m, data, &(am_selection){.split = "gone"}, &list), AM_ERR_DATA,
           "data set digits: there is no file ");
  am_fails(am_manifest_list(m, data, &(am_selection){.split = "gone"}, &list), AM_ERR_DATA,
           "digits can be had from https://example.org; its files belong into");
  am_manifest_free(m);
}

static void finds_the_folder_of_the_archive(void **state) {
  char data[400];
  am_file_list list = {0};
  snprintf(data, sizeof data, "%s/data", am_test_dir());
  make_set("packed/as/it-comes");
  am_manifest *m = load("packed.yaml",
                        "layout: idx\nclasses: [no, yes]\narchive_folder: as/it-comes\n"
                        "files: train-images\nlabels: train-labels\n"
                        "divide: {fractions: {train: 0.5, test: 0.5}}\n");
  am_ok(am_manifest_list(m, data, &(am_selection){0}, &list));
  assert_int_equal(list.count, 2);
  assert_non_null(list.entry[0].split);
  am_file_list_fini(&list);
  am_manifest_free(m);
}

static void refuses(const char *yaml, const char *why) {
  am_manifest *m = NULL;
  am_fails(am_manifest_parse("bad.yaml", yaml, strlen(yaml), &m), AM_ERR_CONFIG, why);
}

static void refuses_manifests_that_cannot_be(void **state) {
  refuses("layout: idx\nclasses: [a]\n", "expected `files`");
  refuses("layout: idx\nclasses: [a]\nfiles: x\n", "`labels: none`");
  refuses("layout: idx\nfiles: x\nlabels: y\n", "expected `classes`");
  refuses("layout: idx\nclasses: [a]\nfiles: [x, y]\nlabels: z\n", "1 files of labels for 2 of images");
  refuses("layout: idx\nclasses: [a]\nfiles: /x\nlabels: z\n", "absolute path");
  refuses("layout: idx\nclasses: [a]\nsplits: {train: folder}\n", "expected `files`");
  refuses("layout: records\nclasses: [a]\nfiles: x\nlabels: y\n",
          "records need packed: {height: PX, width: PX}");
  refuses(
      "layout: records\nclasses: [a]\nfiles: x\nlabels: y\npacked: {height: 1, width: 1, label_bytes: 1}\n",
      "the records have label bytes");
  refuses(
      "layout: records\nclasses: [a]\nfiles: x\npacked: {height: 1, width: 1, label_bytes: 1, label_at: 1}\n",
      "expected one of the 1 label bytes");
  refuses("layout: records\nclasses: [a]\nfiles: x\npacked: {height: 1, width: 1, channels: 2}\n",
          "expected 1 or 3");
  refuses("layout: flat\npacked: {height: 1}\n", "only the layouts idx and records");
  refuses("layout: flat\nfiles: x\n", "only the layouts idx and records");
  refuses("layout: flat\narchive_folder: /x\n", "absolute path");
}

// ---- checksums ----

static void compares_published_checksums(void **state) {
  char data[400], packed[500];
  uint8_t bytes[256];
  am_checksum sum;
  make_set("sums/inner");
  snprintf(data, sizeof data, "%s/data", am_test_dir());
  put("data/sums/archive.bin", "123456789", 9);
  // As md5sum and sha256sum print them for "123456789" and for the labels.
  am_manifest *m = load("sums.yaml",
                        "layout: idx\nclasses: [a, b]\nfiles: train-images\nlabels: train-labels\n"
                        "archive_folder: inner\nchecksums:\n"
                        "  archive.bin: md5:25f9e794323b453885f5181f1b624d0b\n"
                        "  archive.bin.gz: md5:25f9e794323b453885f5181f1b624d0b\n"
                        "  train-labels: "
                        "sha256:5c66aba3a762e749fce01733b324ea216dc02bd55e9854993e97fdb137383831\n"
                        "  gone.bin: md5:25f9e794323b453885f5181f1b624d0b\n");
  assert_int_equal(am_checksum_count(m), 4);
  am_ok(am_checksum_look(m, data, 0, &sum));  // beside the folder of the archive
  assert_true(sum.there && sum.agrees);
  am_ok(am_checksum_look(m, data, 1, &sum));
  assert_false(sum.there);
  am_ok(am_checksum_look(m, data, 2, &sum));  // there as train-labels.gz: unpacked for it
  assert_true(sum.there && sum.agrees);
  am_ok(am_checksum_look(m, data, 3, &sum));
  assert_false(sum.there);
  put("data/sums/archive.bin.gz", bytes, gzip("123456789", 9, bytes, sizeof bytes));
  am_ok(am_checksum_look(m, data, 1, &sum));  // of the file as it is stored
  assert_true(sum.there && !sum.agrees);
  snprintf(packed, sizeof packed, "data/sums/archive.bin");
  put(packed, "12345678", 8);
  am_ok(am_checksum_look(m, data, 0, &sum));
  assert_true(sum.there && !sum.agrees);
  put("data/sums/gone.bin.gz", bytes, gzip("123456789", 9, bytes, sizeof bytes));
  am_ok(am_checksum_look(m, data, 3, &sum));
  assert_true(sum.there && sum.agrees);
  put("data/sums/gone.bin.gz", bytes, gzip("123456789", 9, bytes, sizeof bytes) - 3);
  am_fails(am_checksum_look(m, data, 3, &sum), AM_ERR_DATA, "gone.bin.gz");
  am_manifest_free(m);
  refuses("layout: flat\nchecksums: [a]\n", "expected a map");
  refuses("layout: flat\nchecksums: {a: md5:00}\n", "expected 32 lower-case hexadecimal digits");
  refuses("layout: flat\nchecksums: {a: crc:00}\n", "expected md5:DIGITS or sha256:DIGITS");
  refuses("layout: flat\nchecksums: {/a: md5:25f9e794323b453885f5181f1b624d0b}\n", "absolute path");
}

// ---- MNIST ----

static void reads_mnist(void **state) {
  const char *data = getenv("AUGMINT_TEST_DATA");
  if (!data) am_skip("AUGMINT_TEST_DATA is not set");
  // As published: images of each digit in the training and in the test set.
  const int64_t want[2][10] = {{5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949},
                               {980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009}};
  am_manifest *m = NULL;
  am_ok(am_manifest_load("mnist", "data/manifests", &m));
  for (int s = 0; s < 2; s++) {
    int64_t count[10] = {0};
    am_file_list list = {0};
    am_ok(am_manifest_list(m, data, &(am_selection){.split = s ? "test" : "train"}, &list));
    for (int64_t i = 0; i < list.count; i++) count[list.entry[i].label]++;
    assert_memory_equal(count, want[s], sizeof count);
    am_file_list_fini(&list);
  }
  am_manifest_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(reads_idx),
      cmocka_unit_test(reads_gzip_in_one_or_more_members),
      cmocka_unit_test(refuses_a_header_that_claims_too_much),
      cmocka_unit_test(refuses_what_is_not_idx),
      cmocka_unit_test(reads_records),
      cmocka_unit_test(reads_records_with_labels_of_their_own),
      cmocka_unit_test(hashes_what_is_seen),
      cmocka_unit_test(lists_packed_images),
      cmocka_unit_test(finds_the_folder_of_the_archive),
      cmocka_unit_test(refuses_manifests_that_cannot_be),
      cmocka_unit_test(compares_published_checksums),
      cmocka_unit_test(reads_mnist),
  };
  return cmocka_run_group_tests_name("packed", tests, NULL, NULL);
}
