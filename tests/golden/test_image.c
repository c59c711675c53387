// Decoding and resizing against Pillow and torchvision (make_images.py, make_resize.py), bit for bit.
#include "am_test.h"

#include <math.h>

#include "base/path.h"
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

static am_resize_kind kind_of(const char *word) {
  return strcmp(word, "bilinear") == 0  ? AM_RESIZE_BILINEAR
         : strcmp(word, "bicubic") == 0 ? AM_RESIZE_BICUBIC
                                        : AM_RESIZE_NEAREST;
}

// Boxes that end within pixels, and cuts: outside of a box pixels count, outside of a cut there are none.
static void resizes_parts_as_pillow(void **state) {
  static const struct {
    const char *name;
    am_image_box box;
  } boxes[] = {
      {"middle", {3.25, 10.5, 30.75, 41}}, {"corner", {0, 0, 17, 13.375}}, {"edge", {20.5, 2.25, 37, 53}}};
  static const int64_t cuts[][4] = {{3, 10, 31, 41}, {0, 0, 17, 13}, {20, 2, 37, 53}};  // to even
  static const char *const words[] = {"bilinear", "bicubic", "nearest"};
  am_safetensors *st = NULL;
  am_scratch work = {0};
  am_image got = {0};
  am_ok(am_safetensors_open("tests/golden/resize.safetensors", &st));
  am_image picture = as_image(am_safetensors_find(st, "picture"));
  am_image_part whole = am_image_whole(&picture), part;
  for (int b = 0; b < 3; b++) {
    for (int k = 0; k < 3; k++) {
      char name[64];
      snprintf(name, sizeof name, "part/%s/%s", boxes[b].name, words[k]);
      am_image want = as_image(am_safetensors_find(st, name));
      am_ok(am_image_resize_part(&whole, &boxes[b].box, 17, 13, kind_of(words[k]), &work, &got));
      assert_same(name, &got, &want);
      snprintf(name, sizeof name, "cut/%s/%s", boxes[b].name, words[k]);
      want = as_image(am_safetensors_find(st, name));
      const int64_t *c = cuts[b];
      am_ok(am_image_part_of(&whole, c[0], c[1], c[2] - c[0], c[3] - c[1], &part));
      am_ok(am_image_resize_part(&part, NULL, 17, 13, kind_of(words[k]), &work, &got));
      assert_same(name, &got, &want);
    }
  }
  am_fails(am_image_resize_part(&whole, &(am_image_box){0, 0, 38, 2}, 4, 4, AM_RESIZE_BOX, &work, &got),
           AM_ERR_ARG, "not inside an image of 37 x 53 px");
  am_image_fini(&got);
  am_scratch_fini(&work);
  am_safetensors_close(st);
}

// ---- windows: only what is wanted of a file is decoded ----

static int64_t draw(uint64_t *seed, int64_t below) {
  *seed = *seed * 6364136223846793005u + 1442695040888963407u;
  return (int64_t)(*seed >> 33) % below;
}

static void same_window(const char *name, const am_image *all, const am_image_window *w,
                        const am_image_cut *got) {
  assert_int_equal(got->reduced, 1);
  assert_int_equal(got->part.width, w->width);
  assert_int_equal(got->part.height, w->height);
  assert_true(got->box.left == 0 && got->box.top == 0 && got->box.right == (double)w->width &&
              got->box.bottom == (double)w->height);
  for (int64_t y = 0; y < w->height; y++) {
    const uint8_t *want = all->pixel + ((w->top + y) * all->width + w->left) * 3;
    if (memcmp(got->part.pixel + y * got->part.stride, want, (size_t)w->width * 3) == 0) continue;
    fail_msg("%s: line %lld of the window %lldx%lld+%lld+%lld differs", name, (long long)y,
             (long long)w->width, (long long)w->height, (long long)w->left, (long long)w->top);
  }
}

static void check_windows(const char *name, const void *bytes, size_t count, int times) {
  am_image all = {0}, memory = {0};
  am_image_cut cut;
  uint64_t seed = 1;
  int64_t width = 0, height = 0;
  am_ok(am_image_decode(name, bytes, count, &all));
  am_ok(am_image_size(name, bytes, count, &width, &height));
  assert_int_equal(width, all.width);
  assert_int_equal(height, all.height);
  for (int i = 0; i < times; i++) {
    am_image_window w = {.width = 1 + draw(&seed, i % 3 ? width : 1),
                         .height = 1 + draw(&seed, i % 4 ? height : 1)};
    w.left = draw(&seed, width - w.width + 1);
    w.top = draw(&seed, height - w.height + 1);
    am_ok(am_image_decode_window(name, bytes, count, &w, &memory, &cut));
    same_window(name, &all, &w, &cut);
  }
  am_image_window outside = {.left = 1, .width = width, .height = height};
  am_fails(am_image_decode_window(name, bytes, count, &outside, &memory, &cut), AM_ERR_ARG, "an image of");
  am_image_fini(&all);
  am_image_fini(&memory);
}

static void decodes_windows_to_the_same_pixels(void **state) {
  am_safetensors *st = NULL;
  am_ok(am_safetensors_open("tests/golden/images.safetensors", &st));
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *file = am_safetensors_at(st, i);
    if (am_str_starts(file->name, "file/")) check_windows(file->name, file->data, file->bytes, 100);
  }
  am_safetensors_close(st);
}

typedef void (*visit)(const char *path, const void *bytes, size_t count, void *user);

static void each_photograph(visit f, void *user) {
  const char *data = getenv("AUGMINT_TEST_DATA");
  if (!data) am_skip("AUGMINT_TEST_DATA is not set");
  char dir[500], path[800];
  am_dir_list list = {0};
  snprintf(dir, sizeof dir, "%s/aga-classes", data);
  am_ok(am_dir_read(dir, &list));
  assert_true(list.count >= 10);
  for (int64_t i = 0; i < list.count; i++) {
    char *bytes = NULL;
    size_t count = 0;
    snprintf(path, sizeof path, "%s/%s", dir, list.name[i]);
    am_ok(am_file_read(path, AM_IMAGE_FILE_BYTES, &bytes, &count));
    f(list.name[i], bytes, count, user);
    free(bytes);
  }
  am_dir_list_fini(&list);
}

static void photograph_windows(const char *name, const void *bytes, size_t count, void *user) {
  check_windows(name, bytes, count, 12);
}
static void decodes_windows_of_photographs(void **state) { each_photograph(photograph_windows, NULL); }

// ---- reduced decoding: the tolerance that image.h states ----

enum { LEVELS = 256 };
typedef struct {
  int64_t count[LEVELS];  // of values by how far they are off
} differences;

static void add_reduced(const char *name, const void *bytes, size_t count, void *user) {
  differences *d = user;
  int64_t width = 0, height = 0;
  am_image memory = {0}, reduced = {0}, plain = {0};
  am_image_cut cut;
  am_scratch work = {0};
  am_ok(am_image_size(name, bytes, count, &width, &height));
  for (int by = 2; by <= 8; by *= 2) {
    am_image_window w = {
        .left = width / 10, .top = height / 10, .width = width * 4 / 5, .height = height * 4 / 5};
    int64_t out_w = w.width / (by * AM_IMAGE_SPARE), out_h = w.height / (by * AM_IMAGE_SPARE);
    am_ok(am_image_decode_window(name, bytes, count, &w, &memory, &cut));
    am_ok(am_image_resize_part(&cut.part, &cut.box, out_w, out_h, AM_RESIZE_BILINEAR, &work, &plain));
    w.out_width = out_w;
    w.out_height = out_h;
    am_ok(am_image_decode_window(name, bytes, count, &w, &memory, &cut));
    assert_int_equal(cut.reduced, by);
    am_ok(am_image_resize_part(&cut.part, &cut.box, out_w, out_h, AM_RESIZE_BILINEAR, &work, &reduced));
    for (int64_t i = 0; i < out_w * out_h * 3; i++) d->count[abs(reduced.pixel[i] - plain.pixel[i])]++;
    w.out_width++;  // a little larger: one step less
    am_ok(am_image_decode_window(name, bytes, count, &w, &memory, &cut));
    assert_int_equal(cut.reduced, by / 2);
  }
  am_image_fini(&memory);
  am_image_fini(&reduced);
  am_image_fini(&plain);
  am_scratch_fini(&work);
}

static void check_tolerance(const differences *d) {
  int64_t values = 0, sum = 0, far = 0, farther = 0;
  for (int k = 0; k < LEVELS; k++) {
    values += d->count[k];
    sum += k * d->count[k];
    far += k > 4 ? d->count[k] : 0;
    farther += k > 9 ? d->count[k] : 0;
  }
  print_message(
      "# off by %.3f levels in the mean, %.3f %% of %lld values by more than 4, %.3f %% by more than 9\n",
      (double)sum / (double)values, 100.0 * (double)far / (double)values, (long long)values,
      100.0 * (double)farther / (double)values);
  assert_true(values > 0);
  assert_true(sum <= values);
  assert_true(far <= values / 100);
  assert_true(farther <= values / 1000);
}

// Waves of all lengths down to two pixels, and an edge.
static void reduces_a_drawing_within_the_tolerance(void **state) {
  am_image image = {0};
  uint8_t *bytes = NULL;
  size_t count = 0;
  differences d = {{0}};
  am_ok(am_image_new(640, 480, 3, &image));
  for (int64_t y = 0; y < 480; y++) {
    for (int64_t x = 0; x < 640; x++) {
      uint8_t *p = image.pixel + (y * 640 + x) * 3;
      double r = (double)(x * x + y * y) / 900.0;
      p[0] = (uint8_t)(128 + 60 * sin(r));
      p[1] = (uint8_t)(128 + 50 * sin((double)x / 11) * cos((double)y / 17));
      p[2] = x > y ? 200 : 40;
    }
  }
  am_ok(am_image_encode_jpeg(&image, 90, &bytes, &count));
  add_reduced("drawing", bytes, count, &d);
  check_tolerance(&d);
  free(bytes);
  am_image_fini(&image);
}

static void reduces_photographs_within_the_tolerance(void **state) {
  differences d = {{0}};
  each_photograph(add_reduced, &d);
  check_tolerance(&d);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(decodes_as_pillow),
      cmocka_unit_test(refuses_truncated_files),
      cmocka_unit_test(resizes_as_pillow),
      cmocka_unit_test(resizes_parts_as_pillow),
      cmocka_unit_test(decodes_windows_to_the_same_pixels),
      cmocka_unit_test(decodes_windows_of_photographs),
      cmocka_unit_test(reduces_a_drawing_within_the_tolerance),
      cmocka_unit_test(reduces_photographs_within_the_tolerance),
  };
  return cmocka_run_group_tests_name("golden image", tests, NULL, NULL);
}
