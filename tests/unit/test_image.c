// Images: encoding and back, crops, grids, and what is refused.
#include "am_test.h"

#include "base/path.h"
#include "data/dataset.h"
#include "data/image.h"
#include "data/prepare.h"

static am_image gradient(int64_t width, int64_t height, int64_t channels) {
  am_image image = {0};
  am_ok(am_image_new(width, height, channels, &image));
  for (int64_t i = 0; i < width * height * channels; i++) image.pixel[i] = (uint8_t)(i * 7 + i / 50);
  return image;
}

static void png_gives_back_every_pixel(void **state) {
  const int64_t channels[] = {1, 3}, sides[] = {1, 2, 17, 64};
  for (int c = 0; c < 2; c++) {
    for (int s = 0; s < 4; s++) {
      am_image image = gradient(sides[s], sides[3 - s], channels[c]), back = {0};
      uint8_t *bytes = NULL;
      size_t count = 0;
      am_ok(am_image_encode_png(&image, &bytes, &count));
      am_ok(am_image_decode("x.png", bytes, count, &back));
      assert_int_equal(back.channels, 3);
      for (int64_t i = 0; i < image.width * image.height; i++) {
        for (int64_t k = 0; k < 3; k++) {
          assert_int_equal(back.pixel[3 * i + k], image.pixel[channels[c] * i + k % channels[c]]);
        }
      }
      free(bytes);
      am_image_fini(&image);
      am_image_fini(&back);
    }
  }
}

static void jpeg_comes_close(void **state) {
  am_image image = {0}, back = {0};
  uint8_t *bytes = NULL;
  size_t count = 0;
  am_ok(am_image_new(40, 30, 3, &image));
  for (int64_t i = 0; i < 40 * 30 * 3; i++) image.pixel[i] = (uint8_t)(40 + 3 * (i / 3 % 40));
  am_ok(am_image_encode_jpeg(&image, 95, &bytes, &count));
  am_ok(am_image_decode("x.jpg", bytes, count, &back));
  for (int64_t i = 0; i < 40 * 30 * 3; i++)
    assert_in_range(back.pixel[i] + 4, image.pixel[i], image.pixel[i] + 8);
  am_fails(am_image_encode_jpeg(&image, 0, &bytes, &count), AM_ERR_ARG, "quality is 0");
  free(bytes);
  am_image_fini(&image);
  am_image_fini(&back);
}

static void refuse(const char *name, const void *bytes, size_t count, const char *why) {
  am_image image = {0};
  am_fails(am_image_decode(name, bytes, count, &image), AM_ERR_DATA, why);
  am_fails(am_image_decode(name, bytes, count, &image), AM_ERR_DATA, name);
}

static void says_what_a_file_is_instead(void **state) {
  refuse("empty.png", "", 0, "the file is empty");
  refuse("notes.png", "hello world\n", 12, "not a JPEG or PNG image: it is text");
  refuse("x.jpg", "GIF89a......", 12, "a GIF image");
  refuse("x.jpg", "RIFF\1\2\3\4WEBPVP8 ", 16, "a WebP image");
  refuse("x.jpg", "\x89HDF\r\n\x1a\n....", 12, "an HDF5 file");
  refuse("x.jpg", "\0\1\2\3\4\5\6\7\10\11\12\13", 12, "of an unknown kind");
  refuse("x.jpg", "\xff\xd8\xff\xe0", 4, "damaged JPEG");
  refuse("x.png", "\x89PNG\r\n\x1a\n", 8, "truncated");
}

// A header that claims an enormous picture must not make us allocate it.
static void refuses_enormous_claims(void **state) {
  am_image image = gradient(8, 8, 3);
  uint8_t *bytes = NULL;
  size_t count = 0;
  am_ok(am_image_encode_jpeg(&image, 90, &bytes, &count));
  size_t at = 2;  // walk the segments to the frame header
  while (bytes[at + 1] != 0xc0) at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
  memcpy(bytes + at + 5, "\xff\x00\xff\x00", 4);
  refuse("huge.jpg", bytes, count, "limits are");
  free(bytes);
  am_ok(am_image_encode_png(&image, &bytes, &count));
  memcpy(bytes + 16, "\x00\x01\x00\x00\x00\x01\x00\x00", 8);
  memcpy(bytes + 29, "\xe3\xe6\xa7\xb4", 4);  // CRC-32 of the changed header
  refuse("huge.png", bytes, count, "limit");
  free(bytes);
  am_image_fini(&image);
}

static void reads_masks_as_grey(void **state) {
  char path[300];
  am_image image = {0}, grey = {0};
  am_ok(am_image_new(2, 1, 3, &image));
  memcpy(image.pixel, (uint8_t[]){255, 0, 0, 10, 10, 10}, 6);
  snprintf(path, sizeof path, "%s/mask.png", am_test_dir());
  am_ok(am_image_write_png(path, &image));
  am_ok(am_image_read_grey(path, &grey));
  assert_int_equal(grey.channels, 1);
  assert_int_equal(grey.pixel[0], 76);  // 0.299 * 255
  assert_int_equal(grey.pixel[1], 10);
  am_image_fini(&image);
  am_image_fini(&grey);
  am_fails(am_image_read("/nowhere/x.png", &image), AM_ERR_IO, "/nowhere/x.png");
}

static void crops_only_inside(void **state) {
  am_image image = gradient(6, 5, 3), part = {0};
  am_ok(am_image_crop(&image, 2, 1, 3, 4, &part));
  assert_int_equal(part.pixel[0], image.pixel[(1 * 6 + 2) * 3]);
  assert_int_equal(part.pixel[(3 * 3 + 2) * 3 + 2], image.pixel[(4 * 6 + 4) * 3 + 2]);
  am_image_fini(&part);
  am_fails(am_image_crop(&image, 4, 0, 3, 1, &part), AM_ERR_ARG, "not inside");
  am_fails(am_image_crop(&image, -1, 0, 3, 1, &part), AM_ERR_ARG, "not inside");
  am_fails(am_image_resize(&image, 0, 4, AM_RESIZE_BOX, &part), AM_ERR_ARG, "cannot exist");
  am_image_fini(&image);
}

static void lays_out_a_grid(void **state) {
  am_image image[3], sheet = {0};
  for (int i = 0; i < 3; i++) image[i] = gradient(4, 3, 3);
  am_ok(am_image_grid(image, 3, 2, 1, &sheet));
  assert_int_equal(sheet.width, 9);
  assert_int_equal(sheet.height, 7);
  assert_int_equal(sheet.pixel[4 * 3], 255);                          // the gap
  assert_int_equal(sheet.pixel[(4 * 9 + 2) * 3], image[2].pixel[6]);  // third image, first row
  assert_int_equal(sheet.pixel[(4 * 9 + 7) * 3], 255);                // no fourth
  am_image_fini(&sheet);
  for (int i = 0; i < 3; i++) am_image_fini(&image[i]);
}

// ---- prepare: files to shards ----

static const char *in_dir(const char *name) {
  static char path[400];
  snprintf(path, sizeof path, "%s/%s", am_test_dir(), name);
  return path;
}

static am_manifest *make_set(int64_t images) {
  am_manifest *m = NULL;
  char name[64];
  am_ok(am_path_mkdirs(in_dir("data/set/a")));
  for (int64_t i = 0; i < images; i++) {
    am_image image = gradient(20 + i, 30, 3);
    snprintf(name, sizeof name, "data/set/a/%03lld.png", (long long)i);
    am_ok(am_image_write_png(in_dir(name), &image));
    am_image_fini(&image);
  }
  am_ok(am_file_write(in_dir("set.yaml"), "layout: class_folders\n", 22));
  am_ok(am_manifest_load(in_dir("set.yaml"), NULL, &m));
  return m;
}

static void prepares_grey_before_resizing(void **state) {
  am_image rgb = gradient(9, 6, 3), grey = {0}, want = {0}, got = {0};
  am_image_fit cfg = {.size = 4, .channels = 1};
  am_ok(am_image_to_grey(&rgb, &grey));
  am_ok(am_image_resize(&grey, 4, 4, AM_RESIZE_NEAREST, &want));
  am_ok(am_fit_image(&rgb, &cfg, &got));
  assert_int_equal(got.channels, 1);
  assert_memory_equal(got.pixel, want.pixel, 4 * 4);
  am_image_fini(&got);
  cfg.channels = 3;
  am_fails(am_fit_image(&grey, &cfg, &got), AM_ERR_ARG, "cannot make 3 channels of 1");
  am_image_fini(&rgb);
  am_image_fini(&grey);
  am_image_fini(&want);
}

static void pads_without_touching_a_pixel(void **state) {
  am_image small = gradient(3, 6, 3), padded = {0}, middle = {0};
  const am_image_fit cfg = {.size = 9, .channels = 3, .kind = AM_FIT_PAD};
  am_ok(am_fit_image(&small, &cfg, &padded));
  assert_int_equal(padded.width, 9);
  assert_int_equal(padded.height, 9);
  am_ok(am_image_crop(&padded, 3, 1, 3, 6, &middle));
  assert_memory_equal(middle.pixel, small.pixel, 3 * 6 * 3);
  int64_t sum_inside = 0, sum = 0;
  for (int64_t i = 0; i < 3 * 6 * 3; i++) sum_inside += small.pixel[i];
  for (int64_t i = 0; i < 9 * 9 * 3; i++) sum += padded.pixel[i];
  assert_int_equal(sum, sum_inside);  // everything else is black
  am_image_fini(&padded);
  assert_int_equal(
      am_fit_image(&small, &(am_image_fit){.size = 5, .channels = 3, .kind = AM_FIT_PAD}, &padded),
      AM_ERR_DATA);
  am_image_fini(&small);
  am_image_fini(&middle);
}

static void packs_a_set_into_shards(void **state) {
  am_manifest *m = make_set(10);
  am_file_list list = {0};
  am_corrupt_list corrupt = {0};
  am_prepare_cfg cfg = {.fit = {.size = 8, .channels = 3, .filter = AM_RESIZE_BILINEAR, .kind = AM_FIT_CROP},
                        .block = 4};
  am_shard_set *set = NULL;
  am_ok(am_manifest_list(m, in_dir("data"), &(am_selection){0}, &list));
  for (cfg.workers = 0; cfg.workers < 4; cfg.workers += 3) {
    am_ok(am_path_remove_tree(in_dir("out")));
    am_ok(am_path_mkdirs(in_dir("out")));
    am_ok(am_prepare_shards(m, &list, &cfg, in_dir("out"), &corrupt));
    assert_true(am_path_exists(in_dir("out/block-00000008.h5")));
    am_ok(am_shard_set_open(in_dir("out"), &set));
    assert_int_equal(am_shard_set_count(set), 10);
    for (int64_t i = 0; i < 10; i++) {
      int64_t row = 0;
      am_image raw = {0}, want = {0}, got = {0};
      am_shard *s = am_shard_set_at(set, i, &row);
      am_ok(am_manifest_image(m, &list, i, &raw));
      am_ok(am_fit_image(&raw, &cfg.fit, &want));
      am_ok(am_shard_image(s, row, &got));
      assert_int_equal(am_shard_column(s, "source")[row], i);
      assert_memory_equal(got.pixel, want.pixel, 8 * 8 * 3);
      am_image_fini(&raw);
      am_image_fini(&want);
      am_image_fini(&got);
    }
    am_shard_set_close(set);
  }
  assert_int_equal(corrupt.count, 0);
  am_file_list_fini(&list);
  am_manifest_free(m);
}

// Files kept as they are give the same pixels, and themselves to those who ask.
static void keeps_files_that_become_the_same_pixels(void **state) {
  enum { IMAGES = 10 };
  am_manifest *m = make_set(IMAGES);
  am_file_list list = {0};
  am_corrupt_list corrupt = {0};
  am_prepare_cfg cfg = {.fit = {.size = 8, .short_side = 11, .channels = 1, .kind = AM_FIT_CROP}, .block = 4};
  am_dataset *pixels = NULL, *files = NULL;
  am_ok(am_path_remove_tree(in_dir("pixels")));
  am_ok(am_path_remove_tree(in_dir("files")));
  am_ok(am_path_mkdirs(in_dir("pixels")));
  am_ok(am_path_mkdirs(in_dir("files")));
  am_ok(am_manifest_list(m, in_dir("data"), &(am_selection){0}, &list));
  am_ok(am_prepare_shards(m, &list, &cfg, in_dir("pixels"), &corrupt));
  cfg.keep_files = true;
  am_ok(am_prepare_shards(m, &list, &cfg, in_dir("files"), &corrupt));
  am_fails(am_dataset_from_shards(in_dir("files"), NULL, &files), AM_ERR_DATA, "differ in size");
  am_ok(am_dataset_from_shards(in_dir("files"), &cfg.fit, &files));
  am_ok(am_dataset_from_shards(in_dir("pixels"), NULL, &pixels));
  assert_int_equal(am_dataset_count(files), IMAGES);
  for (int64_t i = 0; i < IMAGES; i++) {
    uint8_t a[64], b[64];
    am_image memory = {0};
    am_stored stored;
    char path[300], *bytes = NULL;
    size_t count = 0;
    am_ok(am_dataset_pixels(pixels, i, a));
    am_ok(am_dataset_pixels(files, i, b));
    assert_memory_equal(a, b, sizeof a);
    am_ok(am_dataset_fetch(files, i, true, &memory, &stored));
    assert_true(stored.encoded);
    assert_int_equal(stored.channels, 1);
    snprintf(path, sizeof path, "%s/data/set/%s", am_test_dir(), list.entry[i].path);
    am_ok(am_file_read(path, AM_IMAGE_FILE_BYTES, &bytes, &count));
    assert_int_equal(stored.count, count);
    assert_memory_equal(stored.bytes, bytes, count);
    free(bytes);
    am_ok(am_dataset_fetch(pixels, i, true, &memory, &stored));
    assert_false(stored.encoded);
    assert_memory_equal(stored.bytes, a, sizeof a);
    assert_null(memory.pixel);  // lies in the shard
  }
  am_dataset_free(files);
  am_dataset_free(pixels);
  am_corrupt_list_fini(&corrupt);
  am_file_list_fini(&list);
  am_manifest_free(m);
}

static void leaves_out_some_corrupt_images_when_allowed(void **state) {
  am_manifest *m = make_set(10);
  am_file_list list = {0};
  am_corrupt_list corrupt = {0};
  am_prepare_cfg cfg = {
      .fit = {.size = 8, .channels = 3, .filter = AM_RESIZE_BILINEAR}, .block = 100, .workers = 2};
  am_ok(am_file_write(in_dir("data/set/a/003.png"), "", 0));
  am_ok(am_file_write(in_dir("data/set/a/007.png"), "text", 4));
  am_ok(am_manifest_list(m, in_dir("data"), &(am_selection){0}, &list));
  am_ok(am_path_mkdirs(in_dir("some")));
  am_fails(am_prepare_shards(m, &list, &cfg, in_dir("some"), &corrupt), AM_ERR_DATA,
           "2 of 10 images cannot be read, at most 0 %");
  am_corrupt_list_fini(&corrupt);
  assert_false(am_path_exists(in_dir("some/block-00000000.h5")));
  cfg.corrupt_limit = 0.2;
  am_ok(am_prepare_shards(m, &list, &cfg, in_dir("some"), &corrupt));
  assert_int_equal(corrupt.count, 2);
  assert_non_null(strstr(corrupt.text[0], "003.png: the file is empty"));
  assert_non_null(strstr(corrupt.text[1], "007.png: not a JPEG or PNG image: it is text"));
  am_corrupt_list_fini(&corrupt);
  am_shard_set *set = NULL;
  am_ok(am_shard_set_open(in_dir("some"), &set));
  assert_int_equal(am_shard_set_count(set), 8);
  am_shard_set_close(set);
  am_file_list_fini(&list);
  am_manifest_free(m);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(png_gives_back_every_pixel),
      cmocka_unit_test(jpeg_comes_close),
      cmocka_unit_test(says_what_a_file_is_instead),
      cmocka_unit_test(refuses_enormous_claims),
      cmocka_unit_test(reads_masks_as_grey),
      cmocka_unit_test(crops_only_inside),
      cmocka_unit_test(lays_out_a_grid),
      cmocka_unit_test(prepares_grey_before_resizing),
      cmocka_unit_test(pads_without_touching_a_pixel),
      cmocka_unit_test(packs_a_set_into_shards),
      cmocka_unit_test(keeps_files_that_become_the_same_pixels),
      cmocka_unit_test(leaves_out_some_corrupt_images_when_allowed),
  };
  return cmocka_run_group_tests_name("image", tests, NULL, NULL);
}
