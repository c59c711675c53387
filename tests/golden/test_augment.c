// Whole transforms against torchvision's classes on PIL images, drawing the same random numbers
// (make_augment.py): what is drawn, in which order, and the pixels it leads to.
#include "am_test.h"

#include "augment/augment.h"
#include "base/str.h"
#include "weights/safetensors.h"

enum { SEED = 7 };  // as make_augment.py

static const struct {
  const char *name, *list;
} cases[] = {
    {"resized", "[{random_resized_crop: {size: 24}}]"},
    {"resized_fallback",
     "[{random_resized_crop: {size: 16, scale_min: 0.9, ratio_min: 6, ratio_max: 7}}, normalize]"},
    {"resized_bicubic",
     "[{random_resized_crop: {size: 20, scale_min: 0.3, interpolation: bicubic}}, horizontal_flip, "
     "{vertical_flip: {p: 0.3}}]"},
    {"resize_center", "[{resize: {size: 32}}, {center_crop: {size: 28}}]"},
    {"resize_crop", "[{resize: {size: 30}}, {random_crop: {size: 26, padding: 2, fill: 0.2}}]"},
    {"center_pad", "[center_crop]"},
    {"erase", "[{resize: {size: 16}}, {center_crop: {size: 16}}, {random_erasing: {p: 0.7}}]"},
    {"erase_random",
     "[{resize: {size: 16}}, {center_crop: {size: 16}}, normalize, {random_erasing: {p: 1, scale_min: 0.1, "
     "scale_max: 0.4, ratio_min: 0.5, ratio_max: 2, fill: random}}]"},
};

static am_pipeline *make_pipeline(const char *list, bool normalized) {
  static const float mean[] = {0.485f, 0.456f, 0.406f}, sd[] = {0.229f, 0.224f, 0.225f};
  enum { DATA_SET_PX = 50 };
  am_node *node = NULL;
  am_pipeline *p = NULL;
  am_ok(am_yaml_parse("test.yaml", list, strlen(list), &node));
  am_ok(am_pipeline_new(node, 3, DATA_SET_PX, DATA_SET_PX, normalized ? mean : NULL, normalized ? sd : NULL,
                        &p));
  am_node_free(node);
  return p;
}

// 8-bit results come out as v/255, one rounding; normalised ones take two more, and noise comes through log and
// cos of f64, whose last bit may differ.
static void compare(const am_st_entry *want, const float *got) {
  int64_t h = want->shape.dim[0], w = want->shape.dim[1], values = am_shape_count(want->shape);
  if (want->dtype == AM_ST_F32) {
    float *expected = malloc((size_t)values * sizeof *expected);
    memcpy(expected, want->data, (size_t)values * sizeof *expected);
    am_close_f32(got, expected, values, 0, 1e-6);
    free(expected);
    return;
  }
  const uint8_t *pixel = want->data;
  int64_t different = 0;
  for (int64_t i = 0; i < values; i++) different += got[i % 3 * h * w + i / 3] != (float)pixel[i] / 255.0f;
  if (different) fprintf(stderr, "%s: %lld values differ\n", want->name, (long long)different);
  assert_int_equal(different, 0);
}

static void transforms_like_torchvision(void **state) {
  am_safetensors *st = NULL;
  int64_t compared = 0;
  am_transform_work work = {0};
  am_ok(am_safetensors_open("tests/golden/augment.safetensors", &st));
  for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
    am_pipeline *p = make_pipeline(cases[k].list, am_str_starts(cases[k].name, "erase"));
    am_transform t = am_pipeline_transform(p);
    assert_true(t.as_stored);
    float *got = malloc((size_t)(3 * t.out_height * t.out_width) * sizeof *got);
    for (int64_t i = 0; i < am_safetensors_count(st); i++) {
      const am_st_entry *want = am_safetensors_at(st, i);
      char file_name[64], stem[64];
      size_t head = strlen(cases[k].name) + 1;
      snprintf(stem, sizeof stem, "%s/", cases[k].name);
      if (!am_str_starts(want->name, stem)) continue;
      const char *number = strrchr(want->name, '/') + 1;
      snprintf(file_name, sizeof file_name, "file/%.*s", (int)(number - 1 - want->name - (long)head),
               want->name + head);
      const am_st_entry *file = am_safetensors_find(st, file_name);
      assert_non_null(file);
      am_stored stored = {
          .name = file_name, .bytes = file->data, .count = file->bytes, .encoded = true, .channels = 3};
      am_ok(t.apply(t.user, &stored, SEED, (uint64_t)atoll(number), &work, got));
      assert_int_equal(am_shape_count(want->shape), 3 * t.out_height * t.out_width);
      compare(want, got);
      compared++;
    }
    free(got);
    am_pipeline_free(p);
  }
  assert_int_equal(compared, 4 * (8 + 2 + 4 + 1 + 3 + 1 + 6 + 3));
  am_transform_work_fini(&work);
  am_safetensors_close(st);
}

int main(void) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(transforms_like_torchvision)};
  return cmocka_run_group_tests_name("golden augment", tests, NULL, NULL);
}
