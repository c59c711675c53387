// ranks: 1 2 3
// The pillars: a training of S slices ends in the same bits on any number of ranks, metrics and
// generated shards do not depend on it either. Each rank also computes the result alone.
#include "base/hash.h"
#include "dist/collective.h"
#include "generate/generate.h"
#include "mpi_test.h"
#include "tiny_training.h"
#include "train/eval.h"

static am_comm *alone(void) {
  am_comm *self = NULL;
  am_ok(am_comm_split(world, am_comm_rank(world), &self));
  assert_int_equal(am_comm_size(self), 1);
  return self;
}

static void equal_histories(am_history *a, am_history *b) {
  assert_int_equal(am_history_rows(a), am_history_rows(b));
  for (int64_t r = 0; r < am_history_rows(a); r++) {
    for (int k = 0; k < am_history_columns(a); k++) {
      double x = am_history_at(a, r, k), y = am_history_at(b, r, k);
      if (!(x == y || (isnan(x) && isnan(y)))) {
        fail_msg("row %lld, %s: %.17g and %.17g", (long long)r, am_history_name(a, k), x, y);
      }
    }
  }
}

static void check_classifier(tiny_options o) {
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_history *shared = NULL, *single = NULL;
  char with_ranks[65], without[65];
  am_ok(tiny_train(world, data, o, with_ranks, &shared));
  am_ok(tiny_train(self, data, o, without, &single));
  assert_string_equal(with_ranks, without);
  equal_histories(shared, single);
  assert_int_equal(am_history_rows(single), o.epochs);
  am_history_free(shared);
  am_history_free(single);
  am_dataset_free(data);
  am_comm_free(self);
}

AM_MPI_TEST(classifier_has_the_same_bits_on_any_ranks) {
  check_classifier((tiny_options){.slices = 1, .epochs = 2});
  check_classifier((tiny_options){.slices = 3, .epochs = 2});
  check_classifier((tiny_options){.slices = 4, .epochs = 2});
}

AM_MPI_TEST(so_it_has_with_every_option) {
  check_classifier((tiny_options){.slices = 1, .epochs = 3, .extras = true});
  check_classifier((tiny_options){.slices = 4, .epochs = 3, .extras = true});
  check_classifier((tiny_options){.slices = 4, .epochs = 3, .extras = true, .fine_tuned = true});
}

AM_MPI_TEST(so_it_has_in_bf16) {
  if (!has_bf16()) am_mpi_skip("%s", am_err_last()->message);
  check_classifier((tiny_options){.slices = 1, .epochs = 2, .bf16 = true});
  check_classifier((tiny_options){.slices = 4, .epochs = 3, .extras = true, .bf16 = true});
}

static void check_gan(tiny_options o) {
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_history *shared = NULL, *single = NULL;
  char with_ranks[2][65], without[2][65];
  am_ok(tiny_fit(world, data, o, with_ranks, &shared));
  am_ok(tiny_fit(self, data, o, without, &single));
  assert_string_equal(with_ranks[0], without[0]);
  assert_string_equal(with_ranks[1], without[1]);
  equal_histories(shared, single);
  am_history_free(shared);
  am_history_free(single);
  am_dataset_free(data);
  am_comm_free(self);
}

AM_MPI_TEST(gan_has_the_same_bits_on_any_ranks) {
  check_gan((tiny_options){.slices = 1, .epochs = 2});
  check_gan((tiny_options){.slices = 3, .epochs = 2});
  check_gan((tiny_options){.slices = 4, .epochs = 2});
}

AM_MPI_TEST(so_has_the_gan_in_bf16) {
  if (!has_bf16()) am_mpi_skip("%s", am_err_last()->message);
  check_gan((tiny_options){.slices = 1, .epochs = 2, .bf16 = true});
  check_gan((tiny_options){.slices = 3, .epochs = 2, .bf16 = true});
}

static void check_differ(tiny_options a, tiny_options b) {
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  char one[65], two[65];
  am_ok(tiny_train(self, data, a, one, &h));
  am_history_free(h);
  am_ok(tiny_train(self, data, b, two, &h));
  am_history_free(h);
  assert_string_not_equal(one, two);
  am_dataset_free(data);
  am_comm_free(self);
}

// Slices are part of the meaning: two of them do not give the bits of one.
AM_MPI_TEST(slices_matter) {
  check_differ((tiny_options){.slices = 1, .epochs = 1}, (tiny_options){.slices = 2, .epochs = 1});
}

// So is the type; a machine without bf16 says so at once.
AM_MPI_TEST(precision_matters) {
  tiny_options single = {.slices = 1, .epochs = 1}, half = {.slices = 1, .epochs = 1, .bf16 = true};
  if (has_bf16()) {
    check_differ(single, half);
    return;
  }
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  char hash[65];
  am_fails(tiny_train(world, data, half, hash, &h), AM_ERR_UNSUPPORTED, "has no bf16 instructions");
  am_dataset_free(data);
}

static void check_learns(bool bf16) {
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  char hash[65];
  am_ok(tiny_train(world, data, (tiny_options){.slices = 2, .epochs = 30, .bf16 = bf16}, hash, &h));
  assert_true(am_history_at(h, 29, 2) < 0.5 * am_history_at(h, 0, 2));
  assert_true(am_history_at(h, 29, 3) > 0.9);
  am_history_free(h);
  am_dataset_free(data);
}

AM_MPI_TEST(learns) { check_learns(false); }

AM_MPI_TEST(learns_in_bf16) {
  if (!has_bf16()) am_mpi_skip("%s", am_err_last()->message);
  check_learns(true);
}

// ---- a rank whose weights went wrong ----

static am_model *flipped_model;
static int64_t images_until_flip;

// Changes one weight of this rank, as a fault of its memory would.
static am_err flipping_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                                 am_transform_work *work, float *out) {
  if (images_until_flip-- == 0) {
    am_tensor *weight = NULL;
    float value = 0;
    AM_TRY(am_tensor_view(am_params_values(flipped_model->params), 3, AM_SHAPE(1), &weight));
    am_err err = am_tensor_copy_from_host(weight, &value);
    am_tensor_release(weight);
    AM_TRY(err);
  }
  return tiny_transform(user, image, seed, stream, work, out);
}

AM_MPI_TEST(notices_weights_that_differ) {
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  char hash[65];
  int last = am_comm_size(world) - 1;
  tiny_options o = {.slices = 3, .epochs = 2, .seen = &flipped_model};
  o.transform = (am_transform){.apply = flipping_transform, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  images_until_flip = last > 0 && am_comm_rank(world) == last ? 4 : -1;
  am_err err = tiny_train(world, data, o, hash, &h);
  if (last == 0) am_ok(err);
  if (last > 0) am_fails(err, AM_ERR_DEVICE, "differ from those of rank 0");
  am_history_free(h);
  am_dataset_free(data);
}

AM_MPI_TEST(evaluation_does_not_depend_on_ranks) {
  static const char *const name[] = {"loss", "accuracy"};
  static const int plain = 1;
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_device *dev = NULL;
  am_ok(am_device_open(NULL, &dev));
  am_model *m = tiny_classifier(dev);
  am_transform transform = {
      .apply = tiny_transform, .user = &plain, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  am_evaluator *e = NULL;
  double shared[2], single[2];
  am_ok(am_evaluator_new(m, data, transform, AM_F32, 4, &e));
  am_ok(am_evaluator_means(e, world, name, 2, shared));
  am_ok(am_evaluator_means(e, self, name, 2, single));
  assert_memory_equal(shared, single, sizeof shared);
  // The whole set at once says the same.
  float logits[TINY_IMAGES * 2];
  double loss = 0;
  am_ok(am_classifier_logits(m, data, transform, AM_F32, 5, logits));
  for (int64_t i = 0; i < TINY_IMAGES; i++) {
    double a = logits[2 * i], b = logits[2 * i + 1], mine = am_dataset_label(data, i) ? b : a;
    loss += log(exp(a) + exp(b)) - mine;
  }
  loss /= TINY_IMAGES;
  am_close(&loss, single, 1, 1e-5, 0);
  am_evaluator_free(e);
  am_model_free(m);
  am_device_close(dev);
  am_dataset_free(data);
  am_comm_free(self);
}

// ---- pools ----

static void block_file(am_model *g, am_device *dev, int64_t first, int64_t count, bool batch_statistics,
                       const char *path) {
  static const char *const classes[] = {"cow"};
  am_sample_block b = {.generator = g,
                       .device = dev,
                       .batch_statistics = batch_statistics,
                       .batch_size = 4,
                       .seed = 8,
                       .first = first,
                       .count = count,
                       .run = 2,
                       .class_name = classes,
                       .class_count = 1};
  am_ok(am_generate_block(&b, path));
}

// Blocks made by different ranks are byte for byte what one rank makes; a sample does not depend on
// the block it is in.
static void check_pool(bool batch_statistics) {
  enum { BLOCK = 6, BLOCKS = 3 };
  am_device *dev = NULL;
  am_model *g = NULL;
  am_ok(am_device_open(NULL, &dev));
  am_ok(am_model_new("dcgan_p4_g", &(am_model_cfg){.size = TINY_SIZE, .width = 8, .latent = 6}, dev, 3, &g));
  for (int64_t block = 0; block < BLOCKS; block++) {
    char mine[512], hex[65], theirs[65];
    snprintf(mine, sizeof mine, "%s/block.h5", am_test_dir());
    block_file(g, dev, block * BLOCK, BLOCK, batch_statistics, mine);
    am_ok(am_sha256_file(mine, hex));
    memcpy(theirs, hex, sizeof theirs);
    am_ok(am_comm_bcast(world, theirs, sizeof theirs,
                        (int)(am_partition_owner(BLOCKS, am_comm_size(world), block))));
    assert_string_equal(hex, theirs);
  }
  float cut[2 * TINY_PIXELS], whole[7 * TINY_PIXELS];
  am_sample_block b = {.generator = g,
                       .device = dev,
                       .batch_statistics = batch_statistics,
                       .batch_size = 4,
                       .seed = 8,
                       .first = 3,
                       .count = 2};
  am_ok(am_generate_images(&b, cut));
  b.first = 0;
  b.count = 7;
  am_ok(am_generate_images(&b, whole));
  assert_memory_equal(cut, whole + 3 * TINY_PIXELS, sizeof cut);
  am_model_free(g);
  am_device_close(dev);
}

AM_MPI_TEST(pools_are_the_same_bytes_on_any_ranks) {
  check_pool(false);
  check_pool(true);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      am_mpi_test(classifier_has_the_same_bits_on_any_ranks),
      am_mpi_test(so_it_has_with_every_option),
      am_mpi_test(gan_has_the_same_bits_on_any_ranks),
      am_mpi_test(so_has_the_gan_in_bf16),
      am_mpi_test(slices_matter),
      am_mpi_test(precision_matters),
      am_mpi_test(so_it_has_in_bf16),
      am_mpi_test(learns_in_bf16),
      am_mpi_test(learns),
      am_mpi_test(notices_weights_that_differ),
      am_mpi_test(evaluation_does_not_depend_on_ranks),
      am_mpi_test(pools_are_the_same_bytes_on_any_ranks),
  };
  return am_mpi_test_main(&argc, &argv, "train", tests);
}
