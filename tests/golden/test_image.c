// Decoding and resizing against Pillow and torchvision (make_images.py, make_resize.py), bit for bit.
#include "am_test.h"

#include "base/str.h"
#include "data/image.h"
#include "weights/safetensors.h"

// The picture a tensor (height, width, 3) holds; borrowed.
static am_image as_image(const am_st_entry *e) {
  return (am_image){.width = e->shape.dim[1],
                    .height = e->shape.dim[0],
                    .channels = e->shape.dim[2],
                    .pixel = (uint8_t *)e->data};
}

static void assert_same(const char *name, const am_image *got, const am_image *want) {
  size_t bytes = (size_t)(want->width * want->height * want->channels);
  bool same = got->width == want->width && got->height == want->height && got->channels == want->channels &&
              memcmp(got->pixel, want->pixel, bytes) == 0;
  if (!same) fprintf(stderr, "%s differs\n", name);
  assert_true(same);
}

static void decodes_as_pillow(void **state) {
  am_safetensors *st = NULL;
  int64_t files = 0;
  am_ok(am_safetensors_open("tests/golden/images.safetensors", &st));
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *file = am_safetensors_at(st, i);
    char want_name[128];
    am_image got = {0};
    if (!am_str_starts(file->name, "file/")) continue;
    snprintf(want_name, sizeof want_name, "rgb/%s", file->name + strlen("file/"));
    am_image want = as_image(am_safetensors_find(st, want_name));
    am_ok(am_image_decode(file->name, file->data, file->bytes, &got));
    assert_same(file->name, &got, &want);
    am_image_fini(&got);
    files++;
  }
  assert_int_equal(files, 29);
  am_safetensors_close(st);
}

// Every prefix of every file is an error, and none is a crash.
static void refuses_truncated_files(void **state) {
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open("tests/golden/images.safetensors", &st));
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *file = am_safetensors_at(st, i);
    if (!am_str_starts(file->name, "file/")) continue;
    for (size_t keep = 0; keep < file->bytes; keep += 1 + file->bytes / 97) {
      am_image image = {0};
      uint8_t *copy = malloc(keep + 1);  // its own block, so that a sanitizer sees reads beyond it
      memcpy(copy, file->data, keep);
      am_err err = am_image_decode(file->name, copy, keep, &image);
      free(copy);
      if (err != AM_ERR_DATA)
        fprintf(stderr, "%s cut to %zu of %zu bytes is taken\n", file->name, keep, file->bytes);
      assert_int_equal(err, AM_ERR_DATA);
    }
  }
  am_safetensors_close(st);
}

static void resizes_as_pillow(void **state) {
  static const char *const filter[] = {"nearest", "bilinear", "bicubic", "lanczos", "box"};
  am_safetensors *st = NULL;
  int64_t compared = 0;
  am_ok(am_safetensors_open("tests/golden/resize.safetensors", &st));
  am_image picture = as_image(am_safetensors_find(st, "picture"));
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *e = am_safetensors_at(st, i);
    am_image want = as_image(e), got = {0};
    for (int k = 0; k < 5; k++) {
      if (am_str_starts(e->name, filter[k]))
        am_ok(am_image_resize(&picture, want.width, want.height, (am_resize_kind)k, &got));
    }
    if (am_str_starts(e->name, "short/"))
      am_ok(am_image_resize_short(&picture, atoll(e->name + 6), AM_RESIZE_BILINEAR, &got));
    if (am_str_starts(e->name, "center/"))
      am_ok(am_image_center_crop(&picture, want.width, want.height, &got));
    if (!got.pixel) continue;
    assert_same(e->name, &got, &want);
    am_image_fini(&got);
    compared++;
  }
  assert_int_equal(compared, 5 * 7 + 2 + 4);
  am_safetensors_close(st);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decodes_as_pillow),
      cmocka_unit_test(refuses_truncated_files),
      cmocka_unit_test(resizes_as_pillow),
  };
  return cmocka_run_group_tests_name("golden image", tests, NULL, NULL);
}
