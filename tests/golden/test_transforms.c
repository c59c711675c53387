// Each transform for given parameters against torchvision.transforms.functional on float tensors.
#include "am_test.h"

#include "augment/pixels.h"
#include "weights/safetensors.h"

enum { C = 3, H = 13, W = 16, N = C * H * W };

typedef struct {
  am_safetensors *st;
  float pixel[N], other[N];
} fixture;

static int open_golden(void **state) {
  fixture *f = calloc(1, sizeof *f);
  if (!f || am_safetensors_open("tests/golden/transforms.safetensors", &f->st) != AM_OK) return -1;
  *state = f;
  return 0;
}

static int close_golden(void **state) {
  fixture *f = *state;
  am_safetensors_close(f->st);
  free(f);
  return 0;
}

static const am_st_entry *entry(const fixture *f, const char *name, const char *part) {
  char full[64];
  snprintf(full, sizeof full, "%s%s", name, part);
  const am_st_entry *e = am_safetensors_find(f->st, full);
  assert_non_null(e);
  return e;
}

// A fresh copy of the image (its first `channels`).
static am_planar image_of(fixture *f, int64_t channels) {
  memcpy(f->pixel, entry(f, "image", "")->data, sizeof f->pixel);
  return (am_planar){channels, H, W, f->pixel};
}

typedef void (*adjust)(am_planar *image, am_planar *scratch, const double *arg);

// Runs every case of `name`; returns how many there were. Values within `tolerance`.
static int64_t check_case(fixture *f, const char *name, int64_t channels, adjust run, double tolerance) {
  const am_st_entry *args = entry(f, name, ".args"), *want = entry(f, name, ".out");
  int64_t cases = args->shape.dim[0], arg_count = args->shape.dim[1], values = channels * H * W;
  assert_int_equal(am_shape_count(want->shape), cases * values);
  for (int64_t i = 0; i < cases; i++) {
    double arg[8] = {0};
    float expected[N];
    memcpy(arg, (const char *)args->data + (size_t)(i * arg_count) * sizeof *arg,
           (size_t)arg_count * sizeof *arg);
    memcpy(expected, (const char *)want->data + (size_t)(i * values) * sizeof *expected,
           (size_t)values * sizeof *expected);
    am_planar image = image_of(f, channels), scratch = {channels, H, W, f->other};
    run(&image, &scratch, arg);
    assert_int_equal(image.height, H);
    assert_int_equal(image.width, W);
    am_close_f32(image.pixel, expected, values, 0, tolerance);
  }
  return cases;
}

static void brightness(am_planar *im, am_planar *s, const double *a) {
  am_adjust_brightness(im, (float)a[0]);
}
static void contrast(am_planar *im, am_planar *s, const double *a) { am_adjust_contrast(im, (float)a[0]); }
static void saturation(am_planar *im, am_planar *s, const double *a) {
  am_adjust_saturation(im, (float)a[0]);
}
static void hue(am_planar *im, am_planar *s, const double *a) { am_adjust_hue(im, (float)a[0]); }
static void blur(am_planar *im, am_planar *s, const double *a) {
  float weight[AM_BLUR_KERNEL];
  am_blur_weights((int64_t)a[0], a[1], weight);
  am_gaussian_blur(im, s, (int64_t)a[0], weight);
}
static void flip(am_planar *im, am_planar *s, const double *a) { am_flip_horizontal(im); }
static void rotate(am_planar *im, am_planar *s, double degrees, bool bilinear) {
  float matrix[4];
  am_rotation_matrix(degrees, im->height, im->width, matrix);
  am_rotate(im, s, matrix, bilinear, 0.25f);
}
static void rotate_nearest(am_planar *im, am_planar *s, const double *a) { rotate(im, s, a[0], false); }
static void rotate_bilinear(am_planar *im, am_planar *s, const double *a) { rotate(im, s, a[0], true); }
static void crop(am_planar *im, am_planar *s, const double *a) {
  int64_t padding = (int64_t)a[0];
  am_rect window = {.top = (int64_t)a[1] - padding, .left = (int64_t)a[2] - padding};
  window.height = (int64_t)a[3];
  window.width = (int64_t)a[4];
  am_crop(im, s, &window, 0.5f);
}

// A few f32 roundings on values up to 1.5: 1e-6 would be met by luck, 2e-6 by count.
static void colour_agrees(void **state) {
  assert_int_equal(check_case(*state, "brightness", 3, brightness, 2e-6), 3);
  assert_int_equal(check_case(*state, "contrast", 3, contrast, 2e-6), 3);
  assert_int_equal(check_case(*state, "contrast_grey", 1, contrast, 2e-6), 1);
  assert_int_equal(check_case(*state, "saturation", 3, saturation, 2e-6), 3);
}

// The hue divides by the chroma and multiplies by it again: errors stay near 6 roundings.
static void hue_agrees(void **state) { assert_int_equal(check_case(*state, "hue", 3, hue, 3e-6), 5); }

static void one_channel_has_no_hue_or_saturation(void **state) {
  fixture *f = *state;
  am_planar image = image_of(f, 1);
  float before[H * W];
  memcpy(before, image.pixel, sizeof before);
  am_adjust_hue(&image, 0.3f);
  am_adjust_saturation(&image, 0.1f);
  assert_memory_equal(image.pixel, before, sizeof before);
}

// Separable against torchvision's 2-D kernel: up to 81 products in another order.
static void blur_agrees(void **state) { assert_int_equal(check_case(*state, "blur", 3, blur, 3e-6), 4); }

// Copies of pixels: equal, or a wrong pixel was taken. (90 degrees on 13 x 16 px is nothing but ties.)
static void nearest_geometry_is_exact(void **state) {
  assert_int_equal(check_case(*state, "rotate_nearest", 3, rotate_nearest, 0), 6);
  assert_int_equal(check_case(*state, "flip", 3, flip, 0), 1);
  assert_int_equal(check_case(*state, "crop", 3, crop, 0), 3);
}

// Coordinates of about 10 in f32, rounded in another order, times differences of pixels up to 1.
static void bilinear_rotation_agrees(void **state) {
  assert_int_equal(check_case(*state, "rotate_bilinear", 3, rotate_bilinear, 2e-5), 2);
}

static void normalization_agrees(void **state) {
  fixture *f = *state;
  const am_st_entry *args = entry(f, "normalize", ".args"), *want = entry(f, "normalize", ".out");
  double arg[6];
  memcpy(arg, args->data, sizeof arg);
  float mean[3], sd[3], expected[N], got[N];
  for (int c = 0; c < 3; c++) {
    mean[c] = (float)arg[c];
    sd[c] = (float)arg[3 + c];
  }
  memcpy(expected, want->data, sizeof expected);

  am_image image = {0};
  am_ok(am_image_new(W, H, C, &image));
  am_planar planar = image_of(f, C);
  for (int i = 0; i < N; i++) {
    image.pixel[i % (H * W) * C + i / (H * W)] = (uint8_t)nearbyintf(planar.pixel[i] * 255.0f);
  }
  am_pipeline *p = NULL;
  am_ok(am_pipeline_new(NULL, C, H, W, mean, sd, &p));
  am_transform t = am_pipeline_transform(p);
  am_transform_work work = {0};
  am_stored stored = am_stored_pixels("test", &image);
  am_ok(t.apply(t.user, &stored, 1, 2, &work, got));
  am_transform_work_fini(&work);
  am_close_f32(got, expected, N, 0, 0);  // two roundings, in the same order
  am_pipeline_free(p);
  am_image_fini(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(colour_agrees),
      cmocka_unit_test(hue_agrees),
      cmocka_unit_test(one_channel_has_no_hue_or_saturation),
      cmocka_unit_test(blur_agrees),
      cmocka_unit_test(nearest_geometry_is_exact),
      cmocka_unit_test(bilinear_rotation_agrees),
      cmocka_unit_test(normalization_agrees),
  };
  return cmocka_run_group_tests_name("golden transforms", tests, open_golden, close_golden);
}
