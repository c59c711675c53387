// The line that says what a network sees: read, written, done, and refused.
#include "am_test.h"

#include "data/preprocess.h"

static am_preprocess parsed(const char *text) {
  am_preprocess p = am_preprocess_none(3);
  am_ok(am_preprocess_parse(text, &p));
  return p;
}

static void expect_line(const char *text, const char *want) {
  am_preprocess p = parsed(text), again;
  am_str line = {0}, twice = {0};
  am_ok(am_preprocess_print(&p, &line));
  assert_string_equal(am_str_get(&line), want);
  again = parsed(am_str_get(&line));
  am_ok(am_preprocess_print(&again, &twice));
  assert_string_equal(am_str_get(&twice), want);
  assert_memory_equal(p.mean, again.mean, sizeof p.mean);
  assert_memory_equal(p.sd, again.sd, sizeof p.sd);
  am_str_fini(&line);
  am_str_fini(&twice);
}

static void lines_are_read_and_written(void **state) {
  expect_line("", "stretch:0,mean:0,sd:1");
  expect_line("none", "stretch:0,mean:0,sd:1");
  expect_line("half", "stretch:0,mean:0.5,sd:0.5");
  expect_line("imagenet",
              "crop:224,short_side:256,filter:bilinear,mean:0.485/0.456/0.406,sd:0.229/0.224/0.225");
  expect_line("imagenet,short_side:232,filter:bicubic",
              "crop:224,short_side:232,filter:bicubic,mean:0.485/0.456/0.406,sd:0.229/0.224/0.225");
  expect_line("imagenet,half,stretch:64", "stretch:64,filter:bilinear,mean:0.5,sd:0.5");
  expect_line("pad:32,mean:0.1307,sd:0.3081", "pad:32,mean:0.1307,sd:0.3081");
  expect_line("crop:48", "crop:48,filter:bilinear,mean:0,sd:1");
  expect_line("mean:0.1/0.2/1e-3", "stretch:0,mean:0.1/0.2/0.001,sd:1");
}

static void wrong_words_change_nothing(void **state) {
  static const struct {
    const char *text, *message;
  } rows[] = {
      {"imagenett", "\"imagenett\" is not known, expected imagenet, half"},
      {"stretch", "\"stretch\" is not known"},
      {"stretch:", "stretch:, expected 0 to"},
      {"stretch:-1", "stretch:-1, expected 0 to 65500 px"},
      {"crop:1e9", "crop:1e9, expected"},
      {"crop:70000", "expected 0 to 65500 px"},
      {"filter:gauss", "filter:gauss, expected nearest"},
      {"mean:", "mean: expected one number or one for each"},
      {"mean:a", "mean: expected"},
      {"mean:0.1/0.2", "mean: expected"},
      {"mean:0.1/0.2/0.3/0.4", "mean: expected"},
      {"sd:0", "sd: expected above 0"},
      {"sd:0.1/-0.2/0.3", "sd: expected above 0"},
      {"half,stretch:64,x", "\"x\" is not known"},
  };
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    am_preprocess p = parsed("pad:7"), before = p;
    am_fails(am_preprocess_parse(rows[i].text, &p), AM_ERR_CONFIG, rows[i].message);
    assert_memory_equal(&p, &before, sizeof p);
  }
}

static void images_become_floats(void **state) {
  am_image image = {0}, seen = {0};
  am_preprocess p = parsed("mean:0.5/0.25/0,sd:0.5/0.25/1");
  am_ok(am_image_new(2, 1, 3, &image));
  const float want[] = {-1, 1, -0.2f, -1, 1, 0.4f};
  const uint8_t pixel[] = {0, 51, 255, 255, 0, 102};
  memcpy(image.pixel, pixel, sizeof pixel);
  am_ok(am_preprocess_image(&p, &image, &seen));
  assert_int_equal(seen.width, 2);
  assert_memory_equal(seen.pixel, pixel, sizeof pixel);
  float value[6];
  am_preprocess_floats(&p, &seen, value);
  am_close_f32(value, want, 6, 1e-6, 1e-6);
  am_image_fini(&seen);

  p.fit.channels = 1;
  am_ok(am_preprocess_image(&p, &image, &seen));
  assert_int_equal(seen.channels, 1);
  am_image_fini(&seen);
  p = parsed("stretch:5");
  am_ok(am_preprocess_image(&p, &image, &seen));
  assert_int_equal(seen.height, 5);
  am_image_fini(&seen);
  am_image_fini(&image);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(lines_are_read_and_written),
      cmocka_unit_test(wrong_words_change_nothing),
      cmocka_unit_test(images_become_floats),
  };
  return cmocka_run_group_tests_name("preprocess", tests, NULL, NULL);
}
