// ranks: 1 2 3
// The pillars on a device whose memory the host cannot touch (tests/on_host/sealed.c): whichever way gradients are summed,
// training on it gives the bits of one rank on the cpu, where the order of additions is the tree's.
#include <dlfcn.h>

#include "augment/augment.h"
#include "dist/collective.h"
#include "mpi_test.h"
#include "tiny_training.h"
#include "train/ddp.h"

static int64_t *sums_on_cards, *launches, *augmented_on_cards;  // so far, of this rank

// Sealed devices on cards of their own, or all on one.
static void use_cards(bool shared) {
  tiny_device = (am_device_cfg){.kind = "cuda", .index = shared ? 0 : am_comm_local_rank(world)};
  if (sums_on_cards) return;
  char path[4096];
  am_device *dev = NULL;
  am_test_plugins("on_host/sealed", path);
  am_ok(am_device_open(&tiny_device, &dev));
  assert_false(am_device_host_memory(dev));
  am_device_close(dev);
  snprintf(strrchr(path, '\0'), 16, "/cuda.so");
  void *plugin = dlopen(path, RTLD_NOW);
  sums_on_cards = dlsym(plugin, "sealed_sums");
  launches = dlsym(plugin, "sealed_launches");
  augmented_on_cards = dlsym(plugin, "sealed_augmented");
  assert_true(sums_on_cards && launches && augmented_on_cards);
}

static am_comm *alone(void) {
  am_comm *self = NULL;
  am_ok(am_comm_split(world, am_comm_rank(world), &self));
  return self;
}

// Trains on the cards of all ranks; *on_cards = sums that the cards took among themselves.
static void train_on_cards(tiny_options o, bool shared, char hash[65], int64_t *on_cards) {
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  use_cards(shared);
  int64_t before = *sums_on_cards;
  am_ok(tiny_train(world, data, o, hash, &h));
  *on_cards = *sums_on_cards - before;
  am_history_free(h);
  am_dataset_free(data);
}

// On this rank's device; {0}: the cpu.
static void train_alone(am_device_cfg device, tiny_options o, char hash[65]) {
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  tiny_device = device;
  am_ok(tiny_train(self, data, o, hash, &h));
  am_history_free(h);
  am_dataset_free(data);
  am_comm_free(self);
}

static void check_classifier(tiny_options o, bool shared, bool among_cards) {
  char cards[65], cpu[65];
  int64_t on_cards = 0;
  train_on_cards(o, shared, cards, &on_cards);
  train_alone((am_device_cfg){0}, o, cpu);
  assert_string_equal(cards, cpu);
  assert_int_equal(on_cards > 0, among_cards && am_comm_size(world) > 1);
}

AM_MPI_TEST(ordered_sums_have_the_bits_of_the_cpu) {
  check_classifier((tiny_options){.slices = 1, .epochs = 2, .reduce = "ordered"}, false, false);
  check_classifier((tiny_options){.slices = 3, .epochs = 2, .reduce = "ordered"}, false, false);
  tiny_options o = {.slices = 4, .epochs = 3, .reduce = "ordered", .extras = true, .unclipped = true};
  check_classifier(o, false, false);
  o.fine_tuned = true;
  check_classifier(o, false, false);
}

// With as many slices as ranks the order of ranks is the tree's; so it is with one slice, and two slices on each of two ranks.
AM_MPI_TEST(cards_sum_among_themselves) {
  check_classifier((tiny_options){.slices = 1, .epochs = 2}, false, true);
  check_classifier(
      (tiny_options){.slices = am_comm_size(world), .epochs = 3, .extras = true, .unclipped = true}, false,
      true);
  if (am_comm_size(world) == 2) check_classifier((tiny_options){.slices = 4, .epochs = 2}, false, true);
}

// Another order of additions: nearly the same, and the same on every rank, as trainings check for themselves.
AM_MPI_TEST(cards_may_sum_in_another_order) {
  tiny_options o = {.slices = 5, .epochs = 2};
  char hash[65], first[65];
  int64_t on_cards = 0;
  train_on_cards(o, false, hash, &on_cards);
  memcpy(first, hash, sizeof first);
  am_ok(am_comm_bcast(world, first, sizeof first, 0));
  assert_string_equal(hash, first);
}

AM_MPI_TEST(ranks_that_share_a_card_sum_on_the_host) {
  check_classifier((tiny_options){.slices = 4, .epochs = 2}, true, false);
}

// Its sums are not the cpu's, where the host adds squares in f64, but they are the same on any number of ranks.
AM_MPI_TEST(clipping_does_not_depend_on_ranks) {
  tiny_options o = {.slices = 4, .epochs = 3, .reduce = "ordered", .extras = true};
  char together[65], by_one[65], unclipped[65];
  int64_t on_cards = 0;
  train_on_cards(o, false, together, &on_cards);
  train_alone(tiny_device, o, by_one);
  assert_string_equal(together, by_one);
  o.unclipped = true;
  train_on_cards(o, false, unclipped, &on_cards);
  assert_string_not_equal(together, unclipped);
}

static void check_gan(const char *reduce, int64_t slices) {
  am_comm *self = alone();
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  tiny_options o = {.slices = slices, .epochs = 2, .reduce = reduce};
  char cards[2][65], cpu[2][65];
  use_cards(false);
  am_ok(tiny_fit(world, data, o, cards, &h));
  am_history_free(h);
  tiny_device = (am_device_cfg){0};
  am_ok(tiny_fit(self, data, o, cpu, &h));
  am_history_free(h);
  assert_string_equal(cards[0], cpu[0]);
  assert_string_equal(cards[1], cpu[1]);
  am_dataset_free(data);
  am_comm_free(self);
}

AM_MPI_TEST(so_it_is_with_a_gan) {
  check_gan("ordered", 4);
  check_gan("fast", am_comm_size(world));
}

// Steps are recorded where no other rank takes part, whatever they consist of: dropout, averages, frozen layers,
// groups of batches, short last ones.
AM_MPI_TEST(steps_of_a_rank_alone_are_recorded) {
  const bool alone_here = am_comm_size(world) == 1;
  const tiny_options kinds[] = {
      {.slices = 1, .epochs = 4, .reduce = "ordered"},
      {.slices = 3, .epochs = 6, .reduce = "ordered", .extras = true, .unclipped = true},
      {.slices = 3, .epochs = 6, .reduce = "ordered", .extras = true, .unclipped = true, .fine_tuned = true}};
  use_cards(false);
  for (int i = 0; i < AM_COUNT_OF(kinds); i++) {
    const int64_t before = *launches;
    check_classifier(kinds[i], false, false);
    assert_int_equal(*launches > before, alone_here);
  }
  const int64_t before = *launches;
  check_gan("ordered", 1);
  check_gan("ordered", 2);
  assert_int_equal(*launches > before, alone_here);
}

// A checkpoint of one way of memory is one of the other.
AM_MPI_TEST(goes_on_from_a_checkpoint) {
  char dir[512], through[65], resumed[65];
  int64_t on_cards = 0;
  snprintf(dir, sizeof dir, "%s/checkpoint", am_test_dir());
  am_ok(am_comm_bcast(world, dir, sizeof dir, 0));
  tiny_options o = {.slices = 3, .epochs = 2, .reduce = "ordered", .extras = true, .checkpoint_dir = dir};
  train_on_cards(o, false, through, &on_cards);
  train_on_cards(o, false, resumed, &on_cards);  // only what came after its last checkpoint
  assert_string_equal(through, resumed);
}

// ---- transforms ----

static const char *const transforms =
    "[horizontal_flip, random_crop, {color_jitter: {hue: 0.1}}, gaussian_blur, rotation, random_erasing]";

static am_pipeline *tiny_pipeline(const char *text) {
  static const float mean[] = {0.5f, 0.4f, 0.3f}, sd[] = {0.2f, 0.3f, 0.25f};
  am_node *list = NULL;
  am_pipeline *p = NULL;
  am_ok(am_yaml_parse("test.yaml", text, strlen(text), &list));
  am_ok(am_pipeline_new(list, 3, TINY_SIZE, TINY_SIZE, mean, sd, &p));
  am_node_free(list);
  return p;
}

// The second half of a transform is the card's where it has one, and nothing shows it but who did it.
AM_MPI_TEST(cards_augment_with_the_bits_of_the_cpu) {
  am_pipeline *halves = tiny_pipeline(transforms),
              *whole = tiny_pipeline("[rotation, {random_erasing: {fill: random}}]");
  tiny_options o = {
      .slices = 4, .epochs = 2, .reduce = "ordered", .transform = am_pipeline_transform(halves)};
  use_cards(false);
  int64_t before = *augmented_on_cards;
  check_classifier(o, false, false);
  assert_true(*augmented_on_cards > before);
  o.extras = o.unclipped = true;  // with workers
  check_classifier(o, false, false);
  before = *augmented_on_cards;
  o.transform = am_pipeline_transform(whole);
  check_classifier(o, false, false);
  assert_int_equal(*augmented_on_cards, before);
  am_pipeline_free(halves);
  am_pipeline_free(whole);
}

static int64_t images_until_failure;

static am_err failing_transform(const void *user, const am_stored *image, uint64_t seed, uint64_t stream,
                                am_transform_work *work, float *out) {
  AM_CHECK(images_until_failure-- != 0, AM_ERR_DATA, "a torn image");
  return tiny_transform(user, image, seed, stream, work, out);
}

// ---- several buckets, by hand ----

enum { LEAVES = 5 };
static const int64_t leaf_elements[LEAVES] = {600000, 500000, 10, 1100000,
                                              3};  // buckets of leaves {4, 3}, {2, 1, 0}

// Element i of leaf j in slice s, in update u.
static float gradient(int64_t s, int j, int64_t i, int u) {
  return (float)(1.0 / (double)(1 + (i * 7 + j * 13 + s * 101 + u * 3) % 1009)) * (float)(s % 2 ? 1 : -37);
}

static void draw_leaf(int64_t s, int j, int u, float *out) {
  for (int64_t i = 0; i < leaf_elements[j]; i++) out[i] = gradient(s, j, i, u);
}

// The sum over all slices of leaf j, by the fixed tree on this rank alone.
static void expect_leaf(am_comm *self, int64_t slices, int j, int u, am_tensor *got) {
  float *row[8], *want = NULL, *have = NULL;
  int64_t n = leaf_elements[j];
  am_ok(AM_NEW_ARRAY(&want, n));
  am_ok(AM_NEW_ARRAY(&have, n));
  for (int64_t s = 0; s < slices; s++) {
    am_ok(AM_NEW_ARRAY(&row[s], n));
    draw_leaf(s, j, u, row[s]);
  }
  am_ok(am_reduce_slices_f32(self, row, slices, n, want));
  am_ok(am_tensor_to_host(got, have));
  assert_memory_equal(have, want, (size_t)n * sizeof *want);
  for (int64_t s = 0; s < slices; s++) free(row[s]);
  free(want);
  free(have);
}

// Backward of the last slice makes leaves final in an order of its own; `seen` of them before the ranks join.
static void sum_by_hand(const char *reduce, int64_t slices, int seen) {
  static const int order[LEAVES] = {3, 4, 2, 0, 1};
  am_comm *self = alone();
  am_device *dev = NULL;
  am_params *ps = NULL;
  am_ddp *d = NULL;
  float *host = NULL;
  int64_t first, count;
  int leaves;
  am_ok(am_device_open(&tiny_device, &dev));
  am_ok(am_params_new(&ps));
  for (int j = 0; j < LEAVES; j++) {
    const char name[] = {(char)('a' + j), 0};
    am_param *unused = NULL;
    am_ok(
        am_params_add(ps, name, AM_SHAPE(leaf_elements[j]), AM_PARAM_TRAINABLE, (am_init){.a = 1}, &unused));
  }
  am_ok(am_params_commit(ps, dev, AM_F32, 1));
  am_ok(am_ddp_new(world, ps, slices, reduce, &d));
  am_ddp_slices(d, &first, &count);
  am_ok(AM_NEW_ARRAY(&host, 1100000));
  for (int u = 0; u < 2; u++) {
    for (int64_t k = 0; k < count; k++) {
      for (int i = 0; i < LEAVES; i++) {
        draw_leaf(first + k, order[i], u, host);
        am_ok(am_tensor_copy_from_host(am_ddp_sinks(d, k)[order[i]], host));
        if (k == count - 1 && i < seen) am_ddp_ready(d, order[i]);
      }
    }
    am_ok(am_ddp_join(d, AM_OK));
    am_tensor *const *sum = am_params_grad_views(ps, &leaves);
    for (int j = 0; j < LEAVES; j++) expect_leaf(self, slices, j, u, sum[j]);
  }
  am_ddp_free(d);
  am_params_free(ps);
  am_device_close(dev);
  free(host);
  am_comm_free(self);
}

AM_MPI_TEST(every_bucket_is_summed) {
  for (int seen = 0; seen <= LEAVES; seen += 2) {
    tiny_device = (am_device_cfg){0};
    sum_by_hand("fast", 4, seen);
    use_cards(false);
    sum_by_hand("ordered", 4, seen);
    sum_by_hand("fast", am_comm_size(world), seen);
  }
  sum_by_hand("fast", am_comm_size(world), LEAVES);
}

// A rank that failed joins all the same, and keeps its error.
AM_MPI_TEST(a_failed_rank_joins) {
  use_cards(false);
  am_dataset *data = tiny_data(am_test_dir());
  am_history *h = NULL;
  char hash[65];
  int last = am_comm_size(world) - 1;
  tiny_options o = {.slices = 3, .epochs = 2};
  o.transform = (am_transform){.apply = failing_transform, .out_height = TINY_SIZE, .out_width = TINY_SIZE};
  images_until_failure = am_comm_rank(world) == last ? 5 : -1;
  am_fails(tiny_train(world, data, o, hash, &h), AM_ERR_DATA, "a torn image");
  am_history_free(h);
  am_dataset_free(data);
}

int main(int argc, char **argv) {
  const struct CMUnitTest tests[] = {
      am_mpi_test(ordered_sums_have_the_bits_of_the_cpu),
      am_mpi_test(cards_sum_among_themselves),
      am_mpi_test(cards_may_sum_in_another_order),
      am_mpi_test(ranks_that_share_a_card_sum_on_the_host),
      am_mpi_test(clipping_does_not_depend_on_ranks),
      am_mpi_test(so_it_is_with_a_gan),
      am_mpi_test(steps_of_a_rank_alone_are_recorded),
      am_mpi_test(goes_on_from_a_checkpoint),
      am_mpi_test(cards_augment_with_the_bits_of_the_cpu),
      am_mpi_test(every_bucket_is_summed),
      am_mpi_test(a_failed_rank_joins),
  };
  return am_mpi_test_main(&argc, &argv, "cards", tests);
}
