// The drawn signs: the same bits for ever, the promised numbers, masks that fit.
#include "am_test.h"

#include "base/hash.h"
#include "data/signs.h"

static void has_the_promised_images(void **state) {
  const int64_t train[] = {54, 20, 8, 17, 19, 17, 10, 23, 31, 78};
  int64_t total = 0;
  for (int k = 0; k < AM_SIGNS_CLASSES; k++) {
    assert_int_equal(am_signs_count(AM_SIGNS_TRAIN, k), train[k]);
    for (int s = 0; s < AM_SIGNS_SPLITS; s++) total += am_signs_count((am_signs_split)s, k);
    for (int j = 0; j < k; j++) assert_string_not_equal(am_signs_class_name(j), am_signs_class_name(k));
  }
  assert_int_equal(total, 1677);
  am_image image = {0};
  am_fails(am_signs_draw(AM_SIGNS_TRAIN, 2, 8, &image, NULL), AM_ERR_ARG, "no image 8 of class 2");
}

// Addresses of results stand on these bits: whoever changes a pixel raises AM_SIGNS_REVISION.
static void draws_the_same_bits_for_ever(void **state) {
  static const uint32_t want[AM_SIGNS_SPLITS] = {0x7b36cb8c, 0xd5b90733, 0xefba7faa, 0x2239eb21, 0x02546a0c};
  bool same = true;
  assert_int_equal(AM_SIGNS_REVISION, 1);
  for (int s = 0; s < AM_SIGNS_SPLITS; s++) {
    uint32_t crc = 0;
    for (int k = 0; k < AM_SIGNS_CLASSES; k++) {
      for (int64_t i = 0; i < 8; i++) {
        am_image image = {0};
        am_ok(am_signs_draw((am_signs_split)s, k, i, &image, NULL));
        crc = am_crc32c(crc, image.pixel, AM_SIGNS_SIZE * AM_SIGNS_SIZE * 3);
        am_image_fini(&image);
      }
    }
    if (crc != want[s]) fprintf(stderr, "split %s: 0x%08x\n", am_signs_split_name((am_signs_split)s), crc);
    same = same && crc == want[s];
  }
  assert_true(same);
}

static void no_two_images_are_alike(void **state) {
  enum { IMAGES = 1677 };
  uint32_t crc[IMAGES];
  int64_t n = 0;
  for (int s = 0; s < AM_SIGNS_SPLITS; s++) {
    for (int k = 0; k < AM_SIGNS_CLASSES; k++) {
      for (int64_t i = 0; i < am_signs_count((am_signs_split)s, k); i++) {
        am_image image = {0};
        am_ok(am_signs_draw((am_signs_split)s, k, i, &image, NULL));
        crc[n] = am_crc32c(0, image.pixel, AM_SIGNS_SIZE * AM_SIGNS_SIZE * 3);
        for (int64_t j = 0; j < n; j++) assert_int_not_equal(crc[j], crc[n]);
        n++;
        am_image_fini(&image);
      }
    }
  }
  assert_int_equal(n, IMAGES);
}

// On a sketch the sign is white paper like its surroundings, so photographs are what is compared: the
// masked region is of a sign's size, in the middle, and drawn with and without mask alike.
static void masks_cover_the_sign(void **state) {
  for (int s = 0; s < AM_SIGNS_SPLITS; s++) {
    for (int k = 0; k < AM_SIGNS_CLASSES; k++) {
      am_image image = {0}, plain = {0}, mask = {0};
      am_ok(am_signs_draw((am_signs_split)s, k, 3, &image, &mask));
      am_ok(am_signs_draw((am_signs_split)s, k, 3, &plain, NULL));
      assert_memory_equal(image.pixel, plain.pixel, AM_SIGNS_SIZE * AM_SIGNS_SIZE * 3);
      int64_t inside = 0;
      for (int64_t i = 0; i < AM_SIGNS_SIZE * AM_SIGNS_SIZE; i++) {
        assert_true(mask.pixel[i] == 0 || mask.pixel[i] == 255);
        inside += mask.pixel[i] == 255;
      }
      assert_in_range(inside, 350, 2900);
      assert_int_equal(mask.pixel[32 * AM_SIGNS_SIZE + 32], 255);
      assert_int_equal(mask.pixel[0], 0);
      am_image_fini(&image);
      am_image_fini(&plain);
      am_image_fini(&mask);
    }
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(has_the_promised_images),
      cmocka_unit_test(draws_the_same_bits_for_ever),
      cmocka_unit_test(no_two_images_are_alike),
      cmocka_unit_test(masks_cover_the_sign),
  };
  return cmocka_run_group_tests_name("signs", tests, NULL, NULL);
}
