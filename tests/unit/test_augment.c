// Pipelines: reading them, drawing from the right distributions, purity.
#include "am_test.h"

#include <pthread.h>

#include "augment/pixels.h"
#include "augment/spread.h"
#include "base/hash.h"

enum { SIDE = 8, N = 3 * SIDE * SIDE, DRAWS = 4000 };

static am_node *parse(const char *text) {
  am_node *n = NULL;
  am_ok(am_yaml_parse("test.yaml", text, strlen(text), &n));
  return n;
}

static am_pipeline *pipeline(const char *text) {
  am_node *list = parse(text);
  am_pipeline *p = NULL;
  am_ok(am_pipeline_new(list, 3, SIDE, SIDE, NULL, NULL, &p));
  am_node_free(list);  // the pipeline keeps its own copy
  return p;
}

static am_image gradient(void) {
  am_image image = {0};
  am_ok(am_image_new(SIDE, SIDE, 3, &image));
  for (int i = 0; i < N; i++) image.pixel[i] = (uint8_t)(5 + 37 * i % 241);
  return image;
}

static am_err apply(const am_pipeline *p, const am_image *image, uint64_t stream, float *out) {
  am_transform t = am_pipeline_transform(p);
  am_transform_work work = {0};
  am_stored stored = am_stored_pixels("test", image);
  am_err err = t.apply(t.user, &stored, 7, stream, &work, out);
  am_transform_work_fini(&work);
  return err;
}

static void run(const am_pipeline *p, const am_image *image, uint64_t stream, float *out) {
  am_ok(apply(p, image, stream, out));
}

// ---- configuration -----------------------------------------------------------------------------

static void refuses(const char *text, const char *message) {
  am_node *list = parse(text);
  am_pipeline *p = NULL;
  am_fails(am_pipeline_new(list, 3, SIDE, SIDE, NULL, NULL, &p), AM_ERR_CONFIG, message);
  assert_non_null(strstr(am_err_last()->message, "test.yaml:"));
  assert_null(p);
  am_node_free(list);
}

static void refuses_wrong_lists(void **state) {
  refuses("rotation", "expected a list");
  refuses("{rotation: {degrees: 3}}", "expected a list");
  refuses("[rotaton]", "did you mean \"rotation\"");
  refuses("[{rotation: {degrees: 3}, gaussian_blur: {}}]", "one name with its settings");
  refuses("[[rotation]]", "one name with its settings");
  refuses("[{rotation: {degres: 3}}]", "degrees");
  refuses("[{rotation: {degrees: 1000}}]", "degrees");
  refuses("[{rotation: {interpolation: cubic}}]", "cubic");
  refuses("[{color_jitter: {hue: 0.6}}]", "hue");
  refuses("[{gaussian_blur: {kernel: 4}}]", "odd");
  refuses("[{gaussian_blur: {kernel: 17}}]", "too large for images of 8 x 8");
  refuses("[{gaussian_blur: {sigma_min: 3}}]", "above sigma_max");
  refuses("[{random_crop: {size: 17}}]", "does not fit");
  refuses("[{random_crop: {size: 2}}, gaussian_blur]", "too large for images of 2 x 2");
  refuses("[normalize, rotation]", "\"rotation\" must come before \"normalize\"");
  refuses("[random_erasing, horizontal_flip]", "\"horizontal_flip\" must come before \"random_erasing\"");
  refuses("[{normalize: {mean: 3}}]", "no settings");
  refuses("[rotation, resize]", "\"resize\" works on 8-bit pixels: it must come before \"rotation\"");
  refuses("[{resize: {size: 9}}]", "still differ in size");
  refuses("[resize, rotation]", "need one size");
  refuses("[{resize: {size: 9}}, {random_crop: {size: 18}}]", "images that may have 9 x 9 px");
  refuses("[{random_resized_crop: {scale_min: 0.5, scale_max: 0.4}}]", "above scale_max");
  refuses("[{random_erasing: {ratio_min: 5}}]", "above ratio_max");
}

static void canonical_form_states_everything(void **state) {
  static const struct {
    const char *list, *canonical;
  } cases[] = {
      {"[]", "[]"},
      {"[horizontal_flip, normalize]", "[{\"horizontal_flip\":{\"p\":0.5}}]"},
      {"[{rotation: {degrees: 180}}]",
       "[{\"rotation\":{\"degrees\":180,\"fill\":0,\"interpolation\":\"nearest\"}}]"},
      {"[{gaussian_blur: }]", "[{\"gaussian_blur\":{\"kernel\":5,\"sigma_max\":2,\"sigma_min\":0.1}}]"},
  };
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    am_node *list = parse(cases[i].list), *node = NULL;
    am_str text = {0};
    am_ok(am_pipeline_to_node(list, &node));
    am_ok(am_node_canonical(node, &text));
    assert_string_equal(am_str_get(&text), cases[i].canonical);
    am_str_fini(&text);
    am_node_free(node);
    am_node_free(list);
  }
  am_node *node = NULL;
  am_ok(am_pipeline_to_node(NULL, &node));
  assert_int_equal(node->count, 0);
  am_node_free(node);
}

// ---- sampling ----------------------------------------------------------------------------------

// Chi-square of counts against a uniform distribution.
static double chi_square(const int64_t *count, int64_t bins, int64_t total) {
  double sum = 0, expected = (double)total / (double)bins;
  for (int64_t i = 0; i < bins; i++)
    sum += ((double)count[i] - expected) * ((double)count[i] - expected) / expected;
  return sum;
}

static void flips_with_probability_p(void **state) {
  am_pipeline *p = pipeline("[{horizontal_flip: {p: 0.25}}]");
  am_image image = gradient();
  float out[N];
  int64_t flipped = 0;
  for (uint64_t s = 0; s < DRAWS; s++) {
    run(p, &image, s, out);
    float left = (float)image.pixel[0] / 255.0f, right = (float)image.pixel[(SIDE - 1) * 3] / 255.0f;
    assert_true(out[0] == left || out[0] == right);
    flipped += out[0] == right;
  }
  assert_true(fabs((double)flipped / DRAWS - 0.25) < 4 * sqrt(0.25 * 0.75 / DRAWS));
  am_image_fini(&image);
  am_pipeline_free(p);
}

// Every corner (top, left) of 0..4 x 0..4 equally often; the pixel at the corner tells which.
static void crops_everywhere_equally(void **state) {
  enum { PLACES = 5 };
  am_pipeline *p = pipeline("[{random_crop: {size: 4, padding: 0}}]");
  am_transform t = am_pipeline_transform(p);
  assert_int_equal(t.out_height, 4);
  assert_int_equal(t.out_width, 4);
  am_image image = {0};
  am_ok(am_image_new(SIDE, SIDE, 3, &image));
  for (int i = 0; i < SIDE * SIDE; i++) image.pixel[3 * i] = (uint8_t)i;
  int64_t count[PLACES * PLACES] = {0};
  float out[N];
  for (uint64_t s = 0; s < DRAWS; s++) {
    run(p, &image, s, out);
    int place = (int)lrintf(out[0] * 255.0f), top = place / SIDE, left = place % SIDE;
    assert_true(top < PLACES && left < PLACES);
    count[top * PLACES + left]++;
  }
  assert_true(chi_square(count, PLACES * PLACES, DRAWS) < 52.6);  // 24 degrees of freedom, 0.07 %
  am_image_fini(&image);
  am_pipeline_free(p);
}

static void jitter_factors_are_uniform(void **state) {
  enum { BINS = 10 };
  static const struct {
    const char *list;
    double lo, hi;
  } cases[] = {{"[{color_jitter: {brightness: 0.5, contrast: 0, saturation: 0}}]", 0.5, 1.5},
               {"[{color_jitter: {brightness: 2, contrast: 0, saturation: 0}}]", 0, 3}};
  am_image image = {0};
  am_ok(am_image_new(SIDE, SIDE, 3, &image));
  memset(image.pixel, 51, N);  // 0.2: no factor up to 3 saturates
  for (int k = 0; k < 2; k++) {
    am_pipeline *p = pipeline(cases[k].list);
    int64_t count[BINS] = {0};
    float out[N];
    for (uint64_t s = 0; s < DRAWS; s++) {
      run(p, &image, s, out);
      double u = (out[0] / 0.2 - cases[k].lo) / (cases[k].hi - cases[k].lo);
      assert_true(u > -1e-6 && u < 1 + 1e-6);
      count[(int)fmin(BINS - 1, fmax(0, u * BINS))]++;
    }
    assert_true(chi_square(count, BINS, DRAWS) < 29);  // 9 degrees of freedom, 0.07 %
    am_pipeline_free(p);
  }
  am_image_fini(&image);
}

// With clamping, brightness and contrast do not commute: the image tells which came first.
static void jitter_order_is_drawn_afresh(void **state) {
  am_pipeline *p = pipeline("[{color_jitter: {brightness: 0.9, contrast: 0.9, saturation: 0}}]");
  am_image image = gradient();
  am_planar scaled = {3, SIDE, SIDE, (float[N]){0}};
  for (int i = 0; i < N; i++)
    scaled.pixel[i] = (float)image.pixel[i % (SIDE * SIDE) * 3 + i / (SIDE * SIDE)] / 255.0f;
  int64_t told = 0, contrast_first = 0;
  for (uint64_t s = 0; s < DRAWS; s++) {
    float out[N], one[N], other[N];
    run(p, &image, s, out);
    am_rng rng = am_rng_at(7, AM_RNG_AUGMENT, s);  // the documented draws: permutation, then factors
    int64_t order[4];
    am_rng_permutation(&rng, order, 4);
    float brightness = (float)am_rng_range(&rng, 1.0 - 0.9, 1.9),
          contrast = (float)am_rng_range(&rng, 1.0 - 0.9, 1.9);

    am_planar a = {3, SIDE, SIDE, one}, b = {3, SIDE, SIDE, other};
    memcpy(one, scaled.pixel, sizeof one);
    memcpy(other, scaled.pixel, sizeof other);
    am_adjust_brightness(&a, brightness);
    am_adjust_contrast(&a, contrast);
    am_adjust_contrast(&b, contrast);
    am_adjust_brightness(&b, brightness);
    bool is_a = memcmp(out, one, sizeof out) == 0, is_b = memcmp(out, other, sizeof out) == 0;
    assert_true(is_a || is_b);
    if (is_a && is_b) continue;
    told++;
    contrast_first += is_b;
  }
  assert_true(told > DRAWS / 2);
  assert_true(fabs((double)contrast_first / (double)told - 0.5) < 4 * sqrt(0.25 / (double)told));
  am_image_fini(&image);
  am_pipeline_free(p);
}

// The variance of a blurred point falls with sigma: the extremes of sigma_min .. sigma_max are met.
static void blur_sigma_stays_in_its_range(void **state) {
  am_pipeline *p = pipeline("[{gaussian_blur: {kernel: 3, sigma_min: 0.5, sigma_max: 1}}]");
  am_image image = {0};
  am_ok(am_image_new(SIDE, SIDE, 3, &image));
  image.pixel[3 * (4 * SIDE + 4)] = 255;
  double least = 1, most = 0;
  for (uint64_t s = 0; s < DRAWS; s++) {
    float out[N];
    run(p, &image, s, out);
    // centre / neighbour = exp(1 / (2 sigma^2))
    double sigma = sqrt(0.5 / log(out[4 * SIDE + 4] / out[4 * SIDE + 5]));
    least = fmin(least, sigma);
    most = fmax(most, sigma);
  }
  assert_true(least >= 0.5 - 1e-4 && least < 0.501 && most <= 1 + 1e-4 && most > 0.999);
  am_image_fini(&image);
  am_pipeline_free(p);
}

// A bright pixel off the centre moves by the angle, counter-clockwise: all angles are met, none beyond.
static void rotation_angle_stays_in_its_range(void **state) {
  enum { PX = 33, AT = 16, RADIUS = 15 };
  const double degrees = 60, turn = 180 / acos(-1.0);
  am_node *list = parse("[{rotation: {degrees: 60}}]");
  am_pipeline *p = NULL;
  am_ok(am_pipeline_new(list, 1, PX, PX, NULL, NULL, &p));
  am_image image = {0};
  am_ok(am_image_new(PX, PX, 1, &image));
  for (int d = -1; d <= 1; d++) memset(image.pixel + (AT + d) * PX + AT + RADIUS - 1, 255, 2);  // "3 o'clock"
  double least = 180, most = -180, sum = 0;
  for (uint64_t s = 0; s < DRAWS; s++) {
    float out[PX * PX];
    run(p, &image, s, out);
    double x = 0, y = 0;
    for (int i = 0; i < PX * PX; i++) {
      x += out[i] * (i % PX - AT);
      y -= out[i] * (double)(i / PX - AT);
    }
    double angle = atan2(y, x) * turn;
    least = fmin(least, angle);
    most = fmax(most, angle);
    sum += angle;
  }
  const double blur = 4;  // degrees that a pixel covers at this radius
  assert_true(least > -degrees - blur && least < -degrees + blur && most < degrees + blur &&
              most > degrees - blur);
  assert_true(fabs(sum / DRAWS) < 4 * degrees / sqrt(3.0 * DRAWS) + 0.5);
  am_image_fini(&image);
  am_pipeline_free(p);
  am_node_free(list);
}

// ---- purity ------------------------------------------------------------------------------------

#define EVERYTHING \
  "[horizontal_flip, random_crop, rotation, {color_jitter: {hue: 0.1}}, gaussian_blur, normalize]"

typedef struct {
  const am_pipeline *p;
  const am_image *image;
  const float *want;  // DRAWS/16 results
  bool ok;
} worker;

static void *check_all(void *user) {
  worker *w = user;
  w->ok = true;
  for (int64_t s = DRAWS / 16 - 1; s >= 0; s--) {
    float out[N];
    if (apply(w->p, w->image, (uint64_t)s, out) != AM_OK) w->ok = false;
    if (memcmp(out, w->want + s * N, sizeof out) != 0) w->ok = false;
  }
  return NULL;
}

static void depends_on_image_seed_and_stream_alone(void **state) {
  enum { THREADS = 3 };
  am_pipeline *p = pipeline(EVERYTHING);
  am_image image = gradient();
  float *want = calloc(DRAWS / 16 * N, sizeof *want);
  assert_non_null(want);
  for (uint64_t s = 0; s < DRAWS / 16; s++) run(p, &image, s, want + s * N);
  assert_memory_not_equal(want, want + N, N * sizeof *want);

  pthread_t thread[THREADS];
  worker w[THREADS];
  for (int i = 0; i < THREADS; i++) {
    w[i] = (worker){p, &image, want, false};
    assert_int_equal(pthread_create(&thread[i], NULL, check_all, &w[i]), 0);
  }
  for (int i = 0; i < THREADS; i++) {
    pthread_join(thread[i], NULL);
    assert_true(w[i].ok);
  }
  free(want);
  am_image_fini(&image);
  am_pipeline_free(p);
}

// ---- files of any size -------------------------------------------------------------------------

enum { FILES = 7 };

// A shard of JPEG and PNG files, no two of one size; the last one is damaged where `damaged`.
static am_dataset *make_files(const char *path, bool damaged, int64_t channels) {
  static const char *const class_name[] = {"a", "b"};
  am_shard_desc desc = {.encoding = AM_ENCODING_FILES, .class_count = 2, .class_name = class_name};
  am_shard_writer *w = NULL;
  am_dataset *d = NULL;
  am_ok(am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < FILES; i++) {
    am_image image = {0};
    uint8_t *bytes = NULL;
    size_t count = 0;
    am_ok(am_image_new(20 + 9 * i, 50 - 3 * i, 3, &image));
    for (int64_t k = 0; k < image.width * image.height * 3; k++)
      image.pixel[k] = (uint8_t)(128 + 100 * sin((double)(k + i) / 50));
    am_ok(i % 2 ? am_image_encode_png(&image, &bytes, &count)
                : am_image_encode_jpeg(&image, 90, &bytes, &count));
    if (damaged && i == FILES - 1) count /= 4;
    am_ok(am_shard_add(w, bytes, count, (int32_t)(i % 2), i, NULL));
    free(bytes);
    am_image_fini(&image);
  }
  am_ok(am_shard_publish(w, path));
  am_shard_writer_free(w);
  am_ok(am_dataset_from_shards(path, &(am_image_fit){.size = SIDE, .channels = channels}, &d));
  return d;
}

static am_loader *files_loader(am_dataset *d, const am_pipeline *p, int workers) {
  am_loader_cfg cfg = {.batch_size = 3, .shuffle = true, .seed = 4, .workers = workers};
  am_loader *l = NULL;
  cfg.transform = am_pipeline_transform(p);
  am_ok(am_loader_new(d, &cfg, &l));
  return l;
}

static void trains_on_files_of_any_size(void **state) {
  char path[300];
  snprintf(path, sizeof path, "%s/files.h5", am_test_dir());
  for (int64_t channels = 1; channels <= 3; channels += 2) {
    am_dataset *d = make_files(path, false, channels);
    am_node *list = parse(
        "[random_resized_crop, {horizontal_flip: {p: 0.5}}, {color_jitter: {hue: 0.1}}, random_erasing]");
    am_pipeline *p = NULL;
    am_ok(am_pipeline_new(list, channels, SIDE, SIDE, NULL, NULL, &p));
    uint32_t want = 0;
    for (int workers = 0; workers < 4; workers++) {
      am_loader *l = files_loader(d, p, workers);
      uint32_t crc = 0;
      for (int step = 0; step < 12; step++) {
        am_batch b;
        am_ok(am_loader_next(l, &b));
        crc = am_crc32c(crc, b.image, (size_t)(b.count * channels * SIDE * SIDE) * sizeof(float));
      }
      if (workers == 0) want = crc;
      assert_int_equal(crc, want);
      am_loader_free(l);
    }
    am_pipeline_free(p);
    am_node_free(list);
    am_dataset_free(d);
  }
}

static void names_a_damaged_file(void **state) {
  char path[300];
  snprintf(path, sizeof path, "%s/damaged.h5", am_test_dir());
  am_dataset *d = make_files(path, true, 3);
  am_pipeline *p = pipeline("[{resize: {size: 12}}, {center_crop: {size: 8}}]");
  am_loader *l = files_loader(d, p, 2);
  am_err err = AM_OK;
  for (int step = 0; step < 3 && !err; step++) {
    am_batch b;
    err = am_loader_next(l, &b);
  }
  assert_int_equal(err, AM_ERR_DATA);
  assert_non_null(strstr(am_err_last()->message, "damaged.h5"));
  am_loader_free(l);
  am_pipeline_free(p);
  am_dataset_free(d);
}

// ---- normalising -------------------------------------------------------------------------------

// Both ways give what the formula gives, to the bit, for lines with and without gaps.
static void normalises_as_divisions_do(void **state) {
  enum { WIDTH = 150, HEIGHT = 5, STRIDE = 3 * 170 };
  static const float mean[] = {0, 0.485f, 0.5f, -0.3f}, sd[] = {1, 0.229f, 0.5f, 3.7f};
  uint8_t pixel[HEIGHT * STRIDE];
  float out[3 * WIDTH * HEIGHT];
  for (int i = 0; i < (int)sizeof pixel; i++) pixel[i] = (uint8_t)(i * 7);
  for (int k = 0; k < 4; k++) {
    am_spread channel[3];
    for (int c = 0; c < 3; c++) channel[c] = am_spread_for(mean[(k + c) % 4], sd[(k + c) % 4]);
    for (int width = 1; width <= WIDTH; width += 37) {
      for (int variant = 0; variant < 8; variant++) {
        am_image_part in = {pixel, variant & 1 ? STRIDE : 0, width, HEIGHT, variant & 2 ? 1 : 3};
        if (!in.stride) in.stride = in.width * in.channels;
        for (int c = 0; c < 3; c++) channel[c].exact = channel[c].exact && !(variant & 4);
        am_spread_image(&in, channel, out);
        for (int64_t i = 0; i < in.channels * HEIGHT * width; i++) {
          int64_t c = i / (HEIGHT * width), y = i / width % HEIGHT, x = i % width;
          float v = (float)pixel[y * in.stride + x * in.channels + c];
          assert_true(out[i] == (v / 255.0f - channel[c].mean) / channel[c].sd);
        }
      }
      for (int c = 0; c < 3; c++) channel[c] = am_spread_for(mean[(k + c) % 4], sd[(k + c) % 4]);
    }
  }
}

// ---- bytes and floats --------------------------------------------------------------------------

// Movements give the same picture before and after the image became floats.
static void moves_bytes_as_it_moves_floats(void **state) {
  static const char *const move[] = {"{horizontal_flip: {p: 1}}",  "{vertical_flip: {p: 1}}",
                                     "{random_crop: {fill: 0.4}}", "{random_crop: {size: 5, padding: 0}}",
                                     "{center_crop: {size: 5}}",   "{center_crop: {size: 11}}"};
  am_image image = gradient();
  for (size_t k = 0; k < sizeof move / sizeof *move; k++) {
    char on_bytes[120], on_floats[120];
    float a[3 * 11 * 11] = {0}, b[3 * 11 * 11] = {0};
    // A rotation by nothing takes one draw: so does a flip that never happens.
    snprintf(on_bytes, sizeof on_bytes, "[{horizontal_flip: {p: 0}}, %s]", move[k]);
    snprintf(on_floats, sizeof on_floats, "[{rotation: {degrees: 0}}, %s]", move[k]);
    am_pipeline *p = pipeline(on_bytes), *q = pipeline(on_floats);
    for (uint64_t s = 0; s < 20; s++) {
      run(p, &image, s, a);
      run(q, &image, s, b);
      assert_memory_equal(a, b, sizeof a);
    }
    am_pipeline_free(p);
    am_pipeline_free(q);
  }
  am_image_fini(&image);
}

static void wrong_image_size_is_an_error(void **state) {
  am_pipeline *p = pipeline(EVERYTHING);
  am_image image = {0};
  float out[N];
  am_ok(am_image_new(SIDE, SIDE + 1, 3, &image));
  am_fails(apply(p, &image, 1, out), AM_ERR_ARG, "8 x 9 px");
  am_image_fini(&image);
  am_pipeline_free(p);
}

static void preview_without_ops_gives_the_image(void **state) {
  am_pipeline *p = pipeline("[normalize]");
  am_image image = gradient(), out = {0};
  am_ok(am_pipeline_preview(p, &image, 1, 1, &out));
  assert_memory_equal(out.pixel, image.pixel, N);
  am_image_fini(&out);
  am_image_fini(&image);
  am_pipeline_free(p);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(refuses_wrong_lists),
      cmocka_unit_test(canonical_form_states_everything),
      cmocka_unit_test(flips_with_probability_p),
      cmocka_unit_test(crops_everywhere_equally),
      cmocka_unit_test(jitter_factors_are_uniform),
      cmocka_unit_test(jitter_order_is_drawn_afresh),
      cmocka_unit_test(blur_sigma_stays_in_its_range),
      cmocka_unit_test(rotation_angle_stays_in_its_range),
      cmocka_unit_test(depends_on_image_seed_and_stream_alone),
      cmocka_unit_test(trains_on_files_of_any_size),
      cmocka_unit_test(names_a_damaged_file),
      cmocka_unit_test(normalises_as_divisions_do),
      cmocka_unit_test(moves_bytes_as_it_moves_floats),
      cmocka_unit_test(wrong_image_size_is_an_error),
      cmocka_unit_test(preview_without_ops_gives_the_image),
  };
  return cmocka_run_group_tests_name("augment", tests, NULL, NULL);
}
