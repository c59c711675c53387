// Data sets and the loader: the same batches for any number of workers, exact seek, weighted draws.
#include "am_test.h"

#include "base/hash.h"
#include "base/rng.h"
#include "data/loader.h"

enum { SIDE = 2, BYTES = SIDE * SIDE * 3, ITEMS = 23 };
static const char *const class_name[] = {"a", "b", "c"};

static const char *in_dir(const char *name) {
  static char path[512];
  snprintf(path, sizeof path, "%s/%s", am_test_dir(), name);
  return path;
}

// Image i holds the byte first + i everywhere; its label is i mod 3.
static am_dataset *make_dataset(const char *name, int64_t first, int64_t count) {
  am_shard_desc desc = {
      .height = SIDE, .width = SIDE, .channels = 3, .class_count = 3, .class_name = class_name};
  am_shard_writer *w = NULL;
  am_dataset *d = NULL;
  am_ok(am_shard_writer_new(&desc, &w));
  for (int64_t i = 0; i < count; i++) {
    uint8_t pixel[BYTES];
    memset(pixel, (int)(first + i), sizeof pixel);
    am_ok(am_shard_add(w, pixel, sizeof pixel, (int32_t)(i % 3), i, NULL));
  }
  am_ok(am_shard_publish(w, in_dir(name)));
  am_shard_writer_free(w);
  am_ok(am_dataset_from_shards(in_dir(name), NULL, &d));
  return d;
}

// (c, h, w) floats: the pixel, plus a fraction that depends on seed and stream.
static am_err spread(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                     am_transform_work *work, float *out) {
  if (user && image->bytes[0] == *(const uint8_t *)user)
    return AM_FAIL(AM_ERR_DATA, "image %d is bad", image->bytes[0]);
  am_rng rng = am_rng_at(seed, AM_RNG_TEST, stream);
  for (int i = 0; i < BYTES; i++) out[i] = (float)image->bytes[i] + (float)am_rng_uniform(&rng);
  return AM_OK;
}

static am_loader_cfg shuffled(int workers) {
  return (am_loader_cfg){.batch_size = 5,
                         .shuffle = true,
                         .seed = 9,
                         .workers = workers,
                         .transform = {.apply = spread, .out_height = SIDE, .out_width = SIDE}};
}

// A fingerprint of everything in the next `batches` batches.
static uint32_t fingerprint(am_loader *l, int batches) {
  uint32_t crc = 0;
  for (int k = 0; k < batches; k++) {
    am_batch b;
    am_ok(am_loader_next(l, &b));
    crc = am_crc32c(crc, b.image, (size_t)b.count * BYTES * sizeof(float));
    crc = am_crc32c(crc, b.label, (size_t)b.count * sizeof *b.label);
    crc = am_crc32c(crc, b.item, (size_t)b.count * sizeof *b.item);
    crc = am_crc32c(crc, (int64_t[]){b.epoch, b.step, b.last}, 3 * sizeof(int64_t));
  }
  return crc;
}

static void visits_every_item_once_an_epoch(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  am_loader_cfg cfg = shuffled(2);
  am_loader *l = NULL;
  am_ok(am_loader_new(d, &cfg, &l));
  assert_int_equal(am_loader_steps(l), 5);
  int64_t order[2][ITEMS];
  for (int64_t epoch = 0; epoch < 2; epoch++) {
    int64_t n = 0;
    bool seen[ITEMS] = {false};
    for (int64_t step = 0; step < 5; step++) {
      am_batch b;
      am_ok(am_loader_next(l, &b));
      assert_int_equal(b.epoch, epoch);
      assert_int_equal(b.step, step);
      assert_int_equal(b.last, step == 4);
      assert_int_equal(b.count, step == 4 ? 3 : 5);
      for (int64_t r = 0; r < b.count; r++) {
        assert_int_equal((int)b.image[r * BYTES], b.item[r]);
        assert_int_equal(b.label[r], b.item[r] % 3);
        assert_false(seen[b.item[r]]);
        seen[b.item[r]] = true;
        order[epoch][n++] = b.item[r];
      }
    }
    assert_int_equal(n, ITEMS);
  }
  assert_memory_not_equal(order[0], order[1], sizeof order[0]);
  am_loader_free(l);
  am_dataset_free(d);
}

static void gives_the_same_batches_for_any_number_of_workers(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  uint32_t want = 0;
  for (int workers = 0; workers < 6; workers++) {
    am_loader_cfg cfg = shuffled(workers);
    am_loader *l = NULL;
    am_ok(am_loader_new(d, &cfg, &l));
    uint32_t got = fingerprint(l, 40);
    if (workers == 0) want = got;
    assert_int_equal(got, want);
    am_loader_free(l);
  }
  am_dataset_free(d);
}

static void resumes_at_any_batch(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  for (int workers = 0; workers < 4; workers += 3) {
    am_loader_cfg cfg = shuffled(workers);
    am_loader *l = NULL;
    am_ok(am_loader_new(d, &cfg, &l));
    for (int64_t at = 0; at < 12; at++) {
      am_ok(am_loader_seek(l, 0, 0));
      if (at) fingerprint(l, (int)at);
      uint32_t want = fingerprint(l, 7);
      am_ok(am_loader_seek(l, at / 5, at % 5));
      assert_int_equal(fingerprint(l, 7), want);
    }
    am_ok(am_loader_seek(l, 0, 5));  // the end of an epoch is the start of the next
    am_batch b;
    am_ok(am_loader_next(l, &b));
    assert_int_equal(b.epoch, 1);
    assert_int_equal(b.step, 0);
    am_fails(am_loader_seek(l, 0, 6), AM_ERR_ARG, "step 6 of 5");
    am_loader_free(l);
  }
  am_dataset_free(d);
}

static void drops_the_short_batch_when_asked(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  am_loader_cfg cfg = shuffled(1);
  cfg.drop_last = true;
  am_loader *l = NULL;
  am_ok(am_loader_new(d, &cfg, &l));
  assert_int_equal(am_loader_steps(l), 4);
  for (int k = 0; k < 9; k++) {
    am_batch b;
    am_ok(am_loader_next(l, &b));
    assert_int_equal(b.count, 5);
  }
  am_loader_free(l);
  cfg.batch_size = ITEMS + 1;
  am_fails(am_loader_new(d, &cfg, &l), AM_ERR_ARG, "drop_last");
  am_dataset_free(d);
}

static void draws_by_weight_with_replacement(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  double weight[ITEMS] = {0};
  weight[3] = 1;
  weight[20] = 3;
  am_loader_cfg cfg = shuffled(2);
  cfg.weight = weight;
  am_loader *l = NULL;
  am_ok(am_loader_new(d, &cfg, &l));
  int64_t times[ITEMS] = {0}, total = 0;
  float first[2] = {0};
  for (int k = 0; k < 500; k++) {
    am_batch b;
    am_ok(am_loader_next(l, &b));
    for (int64_t r = 0; r < b.count; r++) {
      if (b.item[r] == 3 && times[3] < 2) first[times[3]] = b.image[r * BYTES];
      times[b.item[r]]++;
      total++;
    }
  }
  assert_int_equal(total, 100 * ITEMS);
  assert_int_equal(times[3] + times[20], total);
  // 2300 draws at 1/4: four standard deviations are 83
  assert_in_range(times[3], total / 4 - 83, total / 4 + 83);
  assert_true(first[0] != first[1]);  // two draws of one item are augmented differently
  am_loader_free(l);
  weight[5] = -1;
  am_fails(am_loader_new(d, &cfg, &l), AM_ERR_ARG, "item 5 has the weight -1");
  memset(weight, 0, sizeof weight);
  am_fails(am_loader_new(d, &cfg, &l), AM_ERR_ARG, "add up to 0");
  am_dataset_free(d);
}

static void names_the_first_bad_image_of_a_batch(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  const uint8_t bad = 7;
  for (int workers = 0; workers < 4; workers += 3) {
    am_loader_cfg cfg = shuffled(workers);
    cfg.shuffle = false;
    cfg.transform.user = &bad;
    am_loader *l = NULL;
    am_batch b;
    am_ok(am_loader_new(d, &cfg, &l));
    am_ok(am_loader_next(l, &b));
    am_fails(am_loader_next(l, &b), AM_ERR_DATA, "image 7 is bad");
    am_fails(am_loader_next(l, &b), AM_ERR_DATA, "image 7 is bad");
    am_ok(am_loader_seek(l, 0, 2));
    am_ok(am_loader_next(l, &b));
    assert_int_equal(b.item[0], 10);
    am_loader_free(l);
  }
  am_dataset_free(d);
}

static void second_half(const void *user, int64_t count, int64_t *first, int64_t *end) { *first = count / 2; }
static void nothing(const void *user, int64_t count, int64_t *first, int64_t *end) { *end = *first; }

// The first batch in order, for a rank that needs the second half of it.
static am_loader *load_second_half(am_dataset *d, am_loader_cfg cfg, am_batch *b) {
  am_loader *l = NULL;
  cfg.shuffle = false;
  cfg.rows = second_half;
  am_ok(am_loader_new(d, &cfg, &l));
  am_ok(am_loader_next(l, b));
  return l;
}

static void loads_only_the_rows_a_rank_needs(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  for (int workers = 0; workers < 3; workers += 2) {
    am_loader_cfg cfg = shuffled(workers);
    am_batch b;
    am_loader *l = load_second_half(d, cfg, &b);
    assert_int_equal(b.count, 5);
    assert_int_equal((int)b.image[2 * BYTES], 2);
    assert_int_equal((int)b.image[0], 0);
    assert_true(b.image[0] == 0);  // not loaded: the transform would have added a fraction
    assert_int_equal(b.label[1], 1);
    am_loader_free(l);
    cfg.shuffle = false;
    cfg.rows = nothing;
    am_ok(am_loader_new(d, &cfg, &l));
    for (int k = 0; k < 12; k++) am_ok(am_loader_next(l, &b));
    am_loader_free(l);
  }
  am_dataset_free(d);
}

// ---- the first half of a transform ----

enum { PARAMS = 2 };

// The bytes, and two numbers that depend on seed and stream.
static am_err draw(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                   am_transform_work *work, uint8_t *bytes, float *param) {
  am_rng rng = am_rng_at(seed, AM_RNG_TEST, stream);
  memcpy(bytes, image->bytes, BYTES);
  for (int k = 0; k < PARAMS; k++) param[k] = (float)am_rng_uniform(&rng) + 1;
  return AM_OK;
}

static am_loader_cfg halved(int workers) {
  am_loader_cfg cfg = shuffled(workers);
  cfg.transform.draw = draw;
  cfg.transform.bytes = BYTES;
  cfg.transform.params = PARAMS;
  cfg.for_device = true;
  return cfg;
}

static void gives_bytes_and_parameters_for_a_device(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  am_loader_cfg plain = shuffled(0);
  am_loader *whole = NULL;
  am_ok(am_loader_new(d, &plain, &whole));
  for (int workers = 0; workers < 6; workers++) {
    am_loader_cfg cfg = halved(workers);
    am_loader *l = NULL;
    am_ok(am_loader_new(d, &cfg, &l));
    am_ok(am_loader_seek(whole, 0, 0));
    for (int step = 0; step < 12; step++) {
      am_batch b, want;
      am_ok(am_loader_next(l, &b));
      am_ok(am_loader_next(whole, &want));
      assert_null(b.image);
      assert_null(want.bytes);
      assert_null(want.param);
      assert_int_equal(b.count, want.count);
      assert_memory_equal(b.item, want.item, (size_t)b.count * sizeof *b.item);
      for (int64_t r = 0; r < b.count; r++) {
        // Both halves draw from the stream that the whole does: its first number is what was added to the pixels.
        const float *param = b.param + r * PARAMS;
        assert_int_equal(b.bytes[r * BYTES], b.item[r]);
        assert_int_equal(b.bytes[r * BYTES + BYTES - 1], b.item[r]);
        assert_true(fabsf(want.image[r * BYTES] - (float)b.item[r] - (param[0] - 1)) < 1e-5f);
        assert_true(param[1] >= 1 && param[1] != param[0]);
      }
    }
    am_loader_free(l);
  }
  am_loader_free(whole);
  am_dataset_free(d);
}

static void draws_only_for_the_rows_a_rank_needs(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  for (int workers = 0; workers < 3; workers += 2) {
    am_batch b;
    am_loader *l = load_second_half(d, halved(workers), &b);
    assert_int_equal(b.bytes[2 * BYTES], 2);
    assert_int_equal(b.bytes[1 * BYTES], 0);
    assert_true(b.param[2 * PARAMS] >= 1 && b.param[1 * PARAMS] == 0);  // nothing was drawn for row 1
    assert_int_equal(b.label[1], 1);
    am_loader_free(l);
  }
  am_dataset_free(d);
}

static void a_whole_transform_is_not_halved(void **state) {
  am_dataset *d = make_dataset("d.h5", 0, ITEMS);
  am_loader_cfg cfg = shuffled(1);
  am_loader *l = NULL;
  cfg.for_device = true;
  am_fails(am_loader_new(d, &cfg, &l), AM_ERR_ARG, "only the host does");
  am_dataset_free(d);
}

static void views_repeat_and_join(void **state) {
  am_dataset *a = make_dataset("a.h5", 0, 6), *b = make_dataset("b.h5", 100, 4), *subset = NULL,
             *joined = NULL;
  uint8_t pixel[BYTES];
  const int64_t index[] = {5, 1, 1, 1};
  am_ok(am_dataset_subset(a, index, 4, &subset));
  am_ok(am_dataset_concat((am_dataset *[]){subset, b}, 2, &joined));
  const int want[] = {5, 1, 1, 1, 100, 101, 102, 103}, label[] = {2, 1, 1, 1, 0, 1, 2, 0};
  assert_int_equal(am_dataset_count(joined), 8);
  assert_int_equal(am_dataset_classes(joined), 3);
  assert_string_equal(am_dataset_class_name(joined, 2), "c");
  for (int i = 0; i < 8; i++) {
    am_ok(am_dataset_pixels(joined, i, pixel));
    assert_int_equal(pixel[BYTES - 1], want[i]);
    assert_int_equal(am_dataset_label(joined, i), label[i]);
  }
  am_fails(am_dataset_pixels(joined, 8, pixel), AM_ERR_ARG, "item 8");
  am_dataset_free(joined);
  const int64_t outside[] = {6};
  a = make_dataset("a.h5", 0, 6);
  am_fails(am_dataset_subset(a, outside, 1, &subset), AM_ERR_ARG, "item 6 of a data set of 6");
}

static void refuses_to_join_what_differs(void **state) {
  static const char *const other_name[] = {"a", "b", "d"};
  am_shard_desc desc = {
      .height = SIDE, .width = SIDE, .channels = 3, .class_count = 3, .class_name = other_name};
  am_shard_writer *w = NULL;
  am_dataset *a = make_dataset("a.h5", 0, 6), *b = NULL, *joined = NULL;
  am_ok(am_shard_writer_new(&desc, &w));
  am_ok(am_shard_publish(w, in_dir("other.h5")));
  am_shard_writer_free(w);
  am_ok(am_dataset_from_shards(in_dir("other.h5"), NULL, &b));
  am_fails(am_dataset_concat((am_dataset *[]){a, b}, 2, &joined), AM_ERR_DATA, "class 2 is \"c\" and \"d\"");
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(visits_every_item_once_an_epoch),
      cmocka_unit_test(gives_the_same_batches_for_any_number_of_workers),
      cmocka_unit_test(resumes_at_any_batch),
      cmocka_unit_test(drops_the_short_batch_when_asked),
      cmocka_unit_test(draws_by_weight_with_replacement),
      cmocka_unit_test(names_the_first_bad_image_of_a_batch),
      cmocka_unit_test(loads_only_the_rows_a_rank_needs),
      cmocka_unit_test(gives_bytes_and_parameters_for_a_device),
      cmocka_unit_test(draws_only_for_the_rows_a_rank_needs),
      cmocka_unit_test(a_whole_transform_is_not_halved),
      cmocka_unit_test(views_repeat_and_join),
      cmocka_unit_test(refuses_to_join_what_differs),
  };
  return cmocka_run_group_tests_name("loader", tests, NULL, NULL);
}
