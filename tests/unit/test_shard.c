// Shards: what is written comes back, equal content is equal bytes, foreign files are refused.
#include "am_test.h"

#include <hdf5.h>

#include "base/path.h"
#include "base/str.h"
#include "data/h5.h"
#include "data/shard.h"

enum { SIDE = 4, RAW_BYTES = SIDE * SIDE * 3 };
static const char *const class_name[] = {"cow", "horse"};
static const am_shard_desc raw_desc = {.height = SIDE,
                                       .width = SIDE,
                                       .channels = 3,
                                       .class_count = 2,
                                       .class_name = class_name,
                                       .column_count = 2,
                                       .column_name = {"source", "seed"}};

static const char *in_dir(const char *name) {
  static char path[2][512];
  static int turn;
  turn = !turn;
  snprintf(path[turn], sizeof path[turn], "%s/%s", am_test_dir(), name);
  return path[turn];
}

static void fill(uint8_t pixel[RAW_BYTES], int64_t index) {
  for (int i = 0; i < RAW_BYTES; i++) pixel[i] = (uint8_t)(7 * i + 31 * index);
}

static void write_raw(const char *path, int64_t first, int64_t count) {
  am_shard_writer *w = NULL;
  am_ok(am_shard_writer_new(&raw_desc, &w));
  for (int64_t i = first; i < first + count; i++) {
    uint8_t pixel[RAW_BYTES];
    fill(pixel, i);
    am_ok(am_shard_add(w, pixel, sizeof pixel, (int32_t)(i % 2), i, (int64_t[]){100 + i, -i}));
  }
  am_ok(am_shard_publish(w, path));
  am_shard_writer_free(w);
}

static void gives_back_what_was_written(void **state) {
  const char *path = in_dir("raw.h5");
  write_raw(path, 5, 3);
  am_shard *s = NULL;
  am_ok(am_shard_open(path, &s));
  assert_int_equal(am_shard_count(s), 3);
  const am_shard_desc *d = am_shard_describe(s);
  assert_int_equal(d->encoding, AM_ENCODING_RAW);
  assert_int_equal(d->height, SIDE);
  assert_int_equal(d->class_count, 2);
  assert_string_equal(d->class_name[1], "horse");
  assert_int_equal(d->column_count, 2);
  assert_null(am_shard_column(s, "mask"));
  for (int64_t i = 0; i < 3; i++) {
    uint8_t want[RAW_BYTES];
    const uint8_t *got = NULL;
    size_t count = 0;
    fill(want, 5 + i);
    am_ok(am_shard_bytes(s, i, &got, &count));
    assert_int_equal(count, RAW_BYTES);
    assert_memory_equal(got, want, RAW_BYTES);
    assert_int_equal(am_shard_label(s, i), (5 + i) % 2);
    assert_int_equal(am_shard_index(s, i), 5 + i);
    assert_int_equal(am_shard_column(s, "source")[i], 105 + i);
    assert_int_equal(am_shard_column(s, "seed")[i], -5 - i);
  }
  am_ok(am_shard_verify(s));
  am_shard_close(s);
}

static void equal_content_is_equal_bytes(void **state) {
  char *a = NULL, *b = NULL;
  size_t a_bytes = 0, b_bytes = 0;
  write_raw(in_dir("a.h5"), 0, 40);
  sleep(1);  // a time stamp would differ now
  write_raw(in_dir("b.h5"), 0, 40);
  am_ok(am_file_read(in_dir("a.h5"), 1 << 20, &a, &a_bytes));
  am_ok(am_file_read(in_dir("b.h5"), 1 << 20, &b, &b_bytes));
  assert_int_equal(a_bytes, b_bytes);
  assert_memory_equal(a, b, a_bytes);
  free(a);
  free(b);
}

static void holds_no_image_at_all(void **state) {
  write_raw(in_dir("none.h5"), 0, 0);
  am_shard *s = NULL;
  am_ok(am_shard_open(in_dir("none.h5"), &s));
  assert_int_equal(am_shard_count(s), 0);
  am_ok(am_shard_verify(s));
  am_shard_close(s);
}

static void stores_encoded_images_of_any_size(void **state) {
  const am_encoding kinds[] = {AM_ENCODING_PNG, AM_ENCODING_JPEG};
  for (int k = 0; k < 2; k++) {
    am_shard_desc desc = {.encoding = kinds[k], .class_count = 2, .class_name = class_name};
    am_shard_writer *w = NULL;
    am_shard *s = NULL;
    am_ok(am_shard_writer_new(&desc, &w));
    for (int64_t i = 1; i <= 3; i++) {
      am_image image = {0};
      am_ok(am_image_new(5 * i, 3, 3, &image));
      memset(image.pixel, (int)(60 * i), (size_t)(5 * i * 3 * 3));
      am_ok(am_shard_add_image(w, &image, -1, i, NULL));
      am_image_fini(&image);
    }
    am_ok(am_shard_publish(w, in_dir("encoded.h5")));
    am_shard_writer_free(w);
    am_ok(am_shard_open(in_dir("encoded.h5"), &s));
    for (int64_t i = 0; i < 3; i++) {
      am_image image = {0};
      am_ok(am_shard_image(s, i, &image));
      assert_int_equal(image.width, 5 * (i + 1));
      assert_in_range(image.pixel[7], 60 * (i + 1) - 1, 60 * (i + 1) + 1);
      am_image_fini(&image);
    }
    am_shard_close(s);
  }
}

static void refuses_wrong_items(void **state) {
  uint8_t pixel[RAW_BYTES] = {0};
  am_shard_writer *w = NULL;
  am_shard_desc desc = raw_desc;
  desc.channels = 0;
  am_fails(am_shard_writer_new(&desc, &w), AM_ERR_ARG, "all sizes or none");
  am_ok(am_shard_writer_new(&raw_desc, &w));
  am_fails(am_shard_add(w, pixel, 5, 0, 0, NULL), AM_ERR_ARG, "raw image of 5 bytes");
  am_fails(am_shard_add(w, pixel, RAW_BYTES, 2, 0, NULL), AM_ERR_ARG, "label 2");
  am_shard_writer_free(w);
}

// ---- foreign files ----

// Changes the last byte of image 2 of a shard of 3 images, found by its content.
static void flip_a_pixel(const char *path) {
  char *data = NULL;
  size_t bytes = 0;
  uint8_t pixel[RAW_BYTES];
  fill(pixel, 2);
  am_ok(am_file_read(path, 1 << 20, &data, &bytes));
  size_t at = 0;
  while (at + RAW_BYTES <= bytes && memcmp(data + at, pixel, RAW_BYTES) != 0) at++;
  assert_true(at + RAW_BYTES <= bytes);
  data[at + RAW_BYTES - 1] ^= 1;
  am_ok(am_file_write(path, data, bytes));
  free(data);
}

static void finds_a_changed_pixel(void **state) {
  write_raw(in_dir("flip.h5"), 0, 3);
  flip_a_pixel(in_dir("flip.h5"));
  am_shard *s = NULL;
  const uint8_t *bytes = NULL;
  size_t count = 0;
  am_ok(am_shard_open(in_dir("flip.h5"), &s));
  am_ok(am_shard_bytes(s, 1, &bytes, &count));
  am_fails(am_shard_bytes(s, 2, &bytes, &count), AM_ERR_DATA, "image 2 (sample 2) is corrupt: CRC-32C");
  am_fails(am_shard_verify(s), AM_ERR_DATA, "flip.h5");
  am_shard_close(s);
}

static void refuses_files_that_are_no_shards(void **state) {
  am_shard *s = NULL;
  am_fails(am_shard_open(in_dir("missing.h5"), &s), AM_ERR_IO, "missing.h5");
  am_ok(am_file_write(in_dir("empty.h5"), "", 0));
  am_fails(am_shard_open(in_dir("empty.h5"), &s), AM_ERR_DATA, "empty");
  am_ok(am_file_write(in_dir("text.h5"), "hello", 5));
  am_fails(am_shard_open(in_dir("text.h5"), &s), AM_ERR_DATA, "not a readable HDF5 file");
  am_h5 *f = NULL;
  am_ok(am_h5_create(&f));
  am_ok(am_h5_publish(f, in_dir("foreign.h5")));
  am_h5_close(f);
  am_fails(am_shard_open(in_dir("foreign.h5"), &s), AM_ERR_DATA, "not a shard");
}

static void refuses_every_truncation(void **state) {
  char *data = NULL;
  size_t bytes = 0;
  write_raw(in_dir("whole.h5"), 0, 3);
  am_ok(am_file_read(in_dir("whole.h5"), 1 << 20, &data, &bytes));
  for (size_t keep = 1; keep < bytes; keep += 97) {
    am_shard *s = NULL;
    am_ok(am_file_write(in_dir("cut.h5"), data, keep));
    am_err err = am_shard_open(in_dir("cut.h5"), &s);
    assert_int_equal(err, AM_ERR_DATA);
  }
  free(data);
}

// A shard by hand, with one part wrong.
typedef struct {
  int64_t height, classes;
  const char *encoding;
  uint64_t offset[3];
  int32_t label[2];
  am_h5_type label_type;
  int64_t label_count;
} foreign;

static void write_foreign(const foreign *p) {
  am_h5 *f = NULL;
  int64_t bytes = 2 * RAW_BYTES, offsets = 3, n = 2;
  uint8_t pixel[2 * RAW_BYTES] = {0};
  int64_t index[2] = {0, 1};
  uint32_t crc[2] = {0, 0};
  am_ok(am_h5_create(&f));
  am_ok(am_h5_put_attr_text(f, "", "format", "augmint-shard-1"));
  am_ok(am_h5_put_attr_text(f, "", "encoding", p->encoding));
  am_ok(am_h5_put_attr_i64(f, "", "height", p->height));
  am_ok(am_h5_put_attr_i64(f, "", "width", SIDE));
  am_ok(am_h5_put_attr_i64(f, "", "channels", 3));
  am_ok(am_h5_put_attr_i64(f, "", "classes", p->classes));
  am_ok(am_h5_put_attr_texts(f, "", "class_names", class_name, 2));
  am_ok(am_h5_put(f, "image_bytes", AM_H5_U8, 1, &bytes, pixel));
  am_ok(am_h5_put(f, "offset", AM_H5_U64, 1, &offsets, p->offset));
  am_ok(am_h5_put(f, "label", p->label_type, 1, &p->label_count, p->label));
  am_ok(am_h5_put(f, "index", AM_H5_I64, 1, &n, index));
  am_ok(am_h5_put(f, "crc32c", AM_H5_U32, 1, &n, crc));
  am_ok(am_h5_publish(f, in_dir("hand.h5")));
  am_h5_close(f);
}

static void refuses_shards_with_a_wrong_part(void **state) {
  const foreign good = {.height = SIDE,
                        .classes = 2,
                        .encoding = "raw",
                        .offset = {0, RAW_BYTES, 2 * RAW_BYTES},
                        .label_type = AM_H5_I32,
                        .label_count = 2};
  foreign bad[10];
  for (int k = 0; k < 10; k++) bad[k] = good;
  bad[0].height = -4;
  bad[1].height = INT64_MAX / 2;
  bad[2].classes = 3;
  bad[3].encoding = "webp";
  bad[4].offset[1] = 3 * RAW_BYTES;
  bad[5].offset[2] = UINT64_MAX;
  bad[6].offset[1] = RAW_BYTES - 1;
  bad[7].label[1] = 2;
  bad[8].label_type = AM_H5_F32;
  bad[9].label_count = 1;
  const char *const why[10] = {"cannot be",
                               "cannot be",
                               "3 classes but 2 class names",
                               "unknown encoding \"webp\"",
                               "has the offsets",
                               "offsets run from",
                               "has 47 bytes",
                               "label 2",
                               "of f32, expected",
                               "has 3 items"};
  am_shard *s = NULL;
  write_foreign(&good);
  am_ok(am_shard_open(in_dir("hand.h5"), &s));
  am_shard_close(s);
  for (int k = 0; k < 10; k++) {
    write_foreign(&bad[k]);
    am_fails(am_shard_open(in_dir("hand.h5"), &s), AM_ERR_DATA, why[k]);
  }
}

// A shard as a plain HDF5 user would write it: chunked and compressed image bytes.
static void reads_chunked_shards_through_hdf5(void **state) {
  const foreign good = {.height = SIDE,
                        .classes = 2,
                        .encoding = "raw",
                        .offset = {0, RAW_BYTES, 2 * RAW_BYTES},
                        .label_type = AM_H5_I32,
                        .label_count = 2};
  write_foreign(&good);
  hid_t file = H5Fopen(in_dir("hand.h5"), H5F_ACC_RDWR, H5P_DEFAULT);
  hsize_t bytes = 2 * RAW_BYTES, chunk = 16;
  uint8_t pixel[2 * RAW_BYTES] = {0};
  hid_t space = H5Screate_simple(1, &bytes, NULL), creation = H5Pcreate(H5P_DATASET_CREATE);
  H5Pset_chunk(creation, 1, &chunk);
  H5Pset_deflate(creation, 6);
  assert_true(H5Ldelete(file, "image_bytes", H5P_DEFAULT) >= 0);
  hid_t set = H5Dcreate2(file, "image_bytes", H5T_STD_U8LE, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  assert_true(H5Dwrite(set, H5T_NATIVE_UINT8, H5S_ALL, H5S_ALL, H5P_DEFAULT, pixel) >= 0);
  H5Dclose(set);
  H5Pclose(creation);
  H5Sclose(space);
  H5Fclose(file);
  am_shard *s = NULL;
  const uint8_t *got = NULL;
  size_t count = 0;
  am_ok(am_shard_open(in_dir("hand.h5"), &s));
  am_fails(am_shard_bytes(s, 0, &got, &count), AM_ERR_DATA,
           "expected 00000000");  // the hand-made CRC is not right
  am_shard_close(s);
}

// ---- sets ----

static void joins_the_blocks_of_a_folder_by_index(void **state) {
  am_ok(am_path_mkdirs(in_dir("pool")));
  write_raw(in_dir("pool/block-00000001.h5"), 0, 4);
  write_raw(in_dir("pool/block-00000000.h5"), 4, 3);
  am_ok(am_file_write(in_dir("pool/DONE"), "", 0));
  am_shard_set *set = NULL;
  am_ok(am_shard_set_open(in_dir("pool"), &set));
  assert_int_equal(am_shard_set_count(set), 7);
  for (int64_t i = 0; i < 7; i++) {
    int64_t row = 0;
    am_shard *s = am_shard_set_at(set, i, &row);
    assert_int_equal(am_shard_index(s, row), i);
  }
  am_shard_set_close(set);
  write_raw(in_dir("pool/block-00000002.h5"), 6, 2);
  am_fails(am_shard_set_open(in_dir("pool"), &set), AM_ERR_DATA, "sample 6 of class 0 is twice");
  am_ok(am_path_mkdirs(in_dir("bare")));
  am_fails(am_shard_set_open(in_dir("bare"), &set), AM_ERR_DATA, "no shards");
}

static void refuses_blocks_that_disagree(void **state) {
  am_shard_desc desc = raw_desc;
  const char *const other[] = {"cow", "dog"};
  desc.class_name = other;
  am_shard_writer *w = NULL;
  am_ok(am_path_mkdirs(in_dir("mixed")));
  write_raw(in_dir("mixed/a.h5"), 0, 1);
  am_ok(am_shard_writer_new(&desc, &w));
  am_ok(am_shard_publish(w, in_dir("mixed/b.h5")));
  am_shard_writer_free(w);
  am_shard_set *set = NULL;
  am_fails(am_shard_set_open(in_dir("mixed"), &set), AM_ERR_DATA, "class 1 is \"horse\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_back_what_was_written),
      cmocka_unit_test(equal_content_is_equal_bytes),
      cmocka_unit_test(holds_no_image_at_all),
      cmocka_unit_test(stores_encoded_images_of_any_size),
      cmocka_unit_test(refuses_wrong_items),
      cmocka_unit_test(finds_a_changed_pixel),
      cmocka_unit_test(refuses_files_that_are_no_shards),
      cmocka_unit_test(refuses_every_truncation),
      cmocka_unit_test(refuses_shards_with_a_wrong_part),
      cmocka_unit_test(reads_chunked_shards_through_hdf5),
      cmocka_unit_test(joins_the_blocks_of_a_folder_by_index),
      cmocka_unit_test(refuses_blocks_that_disagree),
  };
  return cmocka_run_group_tests_name("shard", tests, NULL, NULL);
}
