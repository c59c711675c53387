// Transforms in two halves, bytes and draws on the host and the rest by a device's program, give the bits of transforms that
// the host does alone: with the cuda backend's kernels as loops on this machine, or on the card of --device.
#include "am_test.h"
#include "augment/augment.h"
#include "base/num.h"
#include "base/rng.h"
#include "op_run.h"

// A device that is tested (am_test_option); kind NULL: the kernels as loops.
static struct {
  const char *kind;
  int64_t every;  // of the pipelines, so many are run: 1 of `every`
} asked = {.every = 1};

static am_device *open_device(void) {
  am_device *dev = NULL;
  am_ok(asked.kind ? am_device_open(&(am_device_cfg){.kind = asked.kind}, &dev) : op_open_kernels(&dev));
  return dev;
}

static am_pipeline *pipeline(const char *text, int64_t channels, int64_t height, int64_t width) {
  static const float mean[] = {0.485f, 0.456f, 0.406f}, sd[] = {0.229f, 0.224f, 0.225f};
  am_node *list = NULL;
  am_pipeline *p = NULL;
  am_ok(am_yaml_parse("test.yaml", text, strlen(text), &list));
  am_ok(am_pipeline_new(list, channels, height, width, mean, sd, &p));
  am_node_free(list);
  return p;
}

// Noise, with runs of black, white and grey pixels: where clamping and the hue have their edges.
static void draw_image(int64_t i, am_image *image) {
  am_rng rng = am_rng_at(3, AM_RNG_TEST, (uint64_t)i);
  const int64_t pixels = image->width * image->height;
  for (int64_t p = 0; p < pixels; p++) {
    uint8_t *v = image->pixel + p * image->channels;
    const int64_t run = p / 3 % 8;
    for (int64_t c = 0; c < image->channels; c++) v[c] = (uint8_t)am_rng_below(&rng, 256);
    if (run == 5 || run == 6) memset(v, run == 5 ? 0 : 255, (size_t)image->channels);
    if (run == 7) memset(v, v[0], (size_t)image->channels);
  }
}

// ---- cases ----

static const char *const lists[] = {
    "[]",
    "[horizontal_flip, random_crop]",
    "[{color_jitter: {brightness: 0.9, contrast: 0, saturation: 0}}]",
    "[{color_jitter: {brightness: 0, contrast: 0.9, saturation: 0}}]",
    "[{color_jitter: {brightness: 0, contrast: 0, saturation: 0.9}}]",
    "[{color_jitter: {brightness: 0, contrast: 0, saturation: 0, hue: 0.5}}]",
    "[{color_jitter: {brightness: 0.6, contrast: 0.6, saturation: 0.6, hue: 0.2}}]",
    "[gaussian_blur]",
    "[{gaussian_blur: {kernel: 1}}, {gaussian_blur: {kernel: 17, sigma_min: 3, sigma_max: 5}}]",
    "[{rotation: {degrees: 180, fill: 0.3}}]",
    "[{rotation: {degrees: 180, fill: 0.3, interpolation: bilinear}}]",
    "[{rotation: {degrees: 0}}, horizontal_flip]",
    "[{rotation: {degrees: 0}}, vertical_flip]",
    "[{rotation: {degrees: 0}}, {random_crop: {fill: 0.4}}]",
    "[{rotation: {degrees: 0}}, {random_crop: {size: 8, padding: 0}}]",
    "[{rotation: {degrees: 0}}, {center_crop: {size: 8}}, {center_crop: {size: 21}}]",
    "[{random_erasing: {p: 1, value: 0.7}}]",
    "[{random_erasing: {p: 0.5}}, {random_erasing: {p: 0.5, value: -2}}]",
    "[random_resized_crop, horizontal_flip, color_jitter]",
    "[{color_jitter: {hue: 0.1}}, gaussian_blur, rotation, random_erasing]",
    "[vertical_flip, {color_jitter: {hue: 0.3}}, horizontal_flip, {random_crop: {fill: 1}}, gaussian_blur, "
    "{center_crop: {size: 12}}, "
    "vertical_flip, {rotation: {interpolation: bilinear}}, {color_jitter: {hue: 0.5}}, {random_erasing: {p: "
    "0.8}}]",
};

typedef struct {
  int64_t height, width, images;
} size;
// Less than a block of grey pixels, blocks with and without an end that does not fill the lanes, and more lanes than threads.
static const size sizes[] = {{9, 11, 9}, {16, 16, 5}, {17, 13, 5}, {32, 32, 3}, {40, 64, 3}, {181, 190, 1}};

// All images through both ways.
static void compare(am_device *dev, const char *list, size s, int64_t channels) {
  am_pipeline *p = pipeline(list, channels, s.height, s.width);
  const am_transform t = am_pipeline_transform(p);
  const int64_t floats = channels * t.out_height * t.out_width, all = s.images * floats;
  float *want = calloc((size_t)all, sizeof *want), *got = calloc((size_t)all, sizeof *got);
  float *param = calloc((size_t)(s.images * t.params + 1), sizeof *param);
  uint8_t *bytes = calloc((size_t)s.images, (size_t)t.bytes);
  am_transform_work work = {0};
  am_tensor *out = NULL;
  assert_true(want && got && param && bytes && t.program && !t.host_only);
  for (int64_t i = 0; i < s.images; i++) {
    am_image image = {0};
    am_ok(am_image_new(s.width, s.height, channels, &image));
    draw_image(i, &image);
    const am_stored stored = am_stored_pixels("test", &image);
    am_ok(t.apply(t.user, &stored, 7, (uint64_t)i, &work, want + i * floats));
    am_ok(t.draw(t.user, &stored, 7, (uint64_t)i, &work, bytes + i * t.bytes, param + i * t.params));
    am_image_fini(&image);
  }
  am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(s.images, channels, t.out_height, t.out_width), &out));
  am_ok(am_device_augment(t.program, bytes, param, out));
  am_ok(am_tensor_to_host(out, got));
  for (int64_t i = 0; i < all; i++) {
    if (memcmp(got + i, want + i, sizeof *got) == 0) continue;
    fail_msg("%s, %lld x %lld px, %lld channels: value %lld of image %lld is %.9g, expected %.9g", list,
             (long long)s.width, (long long)s.height, (long long)channels, (long long)(i % floats),
             (long long)(i / floats), (double)got[i], (double)want[i]);
  }
  am_tensor_release(out);
  am_transform_work_fini(&work);
  free(want);
  free(got);
  free(param);
  free(bytes);
  am_pipeline_free(p);
}

static void gives_the_bits_of_the_host(void **state) {
  am_device *dev = open_device();
  assert_true(am_device_augments(dev));
  for (int64_t k = AM_COUNT_OF(lists) - 1; k >= 0; k -= asked.every) {
    for (int s = 0; s < AM_COUNT_OF(sizes); s++) {
      compare(dev, lists[k], sizes[s], 1);
      compare(dev, lists[k], sizes[s], 3);
    }
  }
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
  am_device_close(dev);
}

static void every_step_has_a_case(void **state) {
  bool seen[AM_STEP_NOISE] = {false};
  for (int k = 0; k < AM_COUNT_OF(lists); k++) {
    am_pipeline *p = pipeline(lists[k], 3, 32, 32);
    const am_augment_program *g = am_pipeline_transform(p).program;
    for (int64_t i = 0; i < g->steps; i++) seen[g->step[i].kind] = true;
    am_pipeline_free(p);
  }
  for (int kind = 0; kind < AM_STEP_NOISE; kind++) assert_true(seen[kind]);
}

// ---- what stays with the host ----

static void says_what_no_device_does(void **state) {
  am_pipeline *p = pipeline("[color_jitter, {random_erasing: {fill: random}}]", 3, 16, 16);
  const am_transform t = am_pipeline_transform(p);
  assert_null(t.program);
  assert_null(t.draw);
  assert_string_equal(t.host_only, "random_erasing");
  am_pipeline_free(p);

  char many[512] = "[color_jitter";
  for (int i = 0; i < AM_AUGMENT_STEPS; i++) strcat(many, ", horizontal_flip");
  strcat(many, "]");
  p = pipeline(many, 3, 16, 16);
  assert_null(am_pipeline_transform(p).program);
  assert_string_equal(am_pipeline_transform(p).host_only, "horizontal_flip");
  am_pipeline_free(p);
}

static void a_device_of_the_host_runs_no_program(void **state) {
  am_device *dev = NULL;
  am_tensor *out = NULL;
  am_pipeline *p = pipeline("[]", 1, 4, 4);
  const uint8_t bytes[16] = {0};
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  assert_false(am_device_augments(dev));
  am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(1, 1, 4, 4), &out));
  am_fails(am_device_augment(am_pipeline_transform(p).program, bytes, NULL, out), AM_ERR_UNSUPPORTED,
           "device cpu runs no transforms");
  am_tensor_release(out);
  am_device_close(dev);
  am_pipeline_free(p);
}

int main(int argc, char **argv) {
  const char *every = am_test_option(argc, argv, "--every");
  asked.kind = am_test_option(argc, argv, "--device");
  if (every) asked.every = strtoll(every, NULL, 10);
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(gives_the_bits_of_the_host),
      cmocka_unit_test(every_step_has_a_case),
      cmocka_unit_test(says_what_no_device_does),
      cmocka_unit_test(a_device_of_the_host_runs_no_program),
  };
  return cmocka_run_group_tests_name("cuda augment", tests, NULL, NULL);
}
