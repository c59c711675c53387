// How convolutions are put to cuDNN: geometry, keys, layouts and the choice among engines. Host logic, no card needed.
#include <string.h>

#include "am_test.h"
#include "backend/cuda/conv_rules.h"
#include "backend/cuda/plan_cache.h"
#include "base/num.h"

// (8, 64, 15, 13) through 32 kernels of 3 x 5 in two groups.
static const am_conv2d_desc wide_desc = {.stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 4, .dilation_h = 1,
                                         .dilation_w = 2, .groups = 2};
static am_cuda_conv wide_conv(am_op op, am_dtype image, bool tf32) {
  return am_cuda_conv_of(op, &wide_desc, (am_activation){.on = true, .slope = 0.2}, image, tf32,
                         AM_SHAPE(8, 64, 15, 13), AM_SHAPE(32, 32, 3, 5), AM_SHAPE(8, 32, 8, 13));
}

static void assert_dims(am_cuda_dims got, const int64_t dim[4], const int64_t stride[4]) {
  for (int i = 0; i < 4; i++) {
    assert_int_equal(got.dim[i], dim[i]);
    assert_int_equal(got.stride[i], stride[i]);
  }
}

static void descriptors_follow_the_layout(void **state) {
  const am_cuda_conv plain = wide_conv(AM_OP_conv2d, AM_F32, false), last = wide_conv(AM_OP_conv2d, AM_BF16, false);
  const int64_t x[] = {8, 64, 15, 13}, w[] = {32, 32, 3, 5}, y[] = {8, 32, 8, 13}, channel[] = {1, 32, 1, 1};
  assert_dims(am_cuda_conv_x(&plain), x, (int64_t[]){12480, 195, 13, 1});
  assert_dims(am_cuda_conv_w(&plain), w, (int64_t[]){480, 15, 5, 1});
  assert_dims(am_cuda_conv_y(&plain), y, (int64_t[]){3328, 104, 13, 1});
  assert_dims(am_cuda_conv_channel(&plain), channel, (int64_t[]){32, 1, 1, 1});
  assert_dims(am_cuda_conv_x(&last), x, (int64_t[]){12480, 1, 832, 64});
  assert_dims(am_cuda_conv_w(&last), w, (int64_t[]){480, 1, 160, 32});
  assert_dims(am_cuda_conv_y(&last), y, (int64_t[]){3328, 1, 416, 32});
  assert_dims(am_cuda_conv_channel(&last), channel, (int64_t[]){32, 1, 32, 32});
}

// Whether a 3 x 3 convolution of these channels has its images channels last.
static bool last_for(am_dtype image, bool tf32, int64_t ci, int64_t co, int64_t groups) {
  const am_conv2d_desc d = {.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = groups};
  const am_cuda_conv k = am_cuda_conv_of(AM_OP_conv2d, &d, (am_activation){0}, image, tf32, AM_SHAPE(2, ci, 8, 8),
                                         AM_SHAPE(co, ci / groups, 3, 3), AM_SHAPE(2, co, 6, 6));
  return k.channels_last;
}

static void tensor_cores_want_whole_vectors_of_channels(void **state) {
  assert_false(last_for(AM_F32, false, 64, 64, 1));  // f32 as f32: no tensor cores
  assert_true(last_for(AM_F32, true, 64, 64, 1));
  assert_true(last_for(AM_F32, true, 4, 12, 1));
  assert_false(last_for(AM_F32, true, 6, 12, 1));
  assert_true(last_for(AM_BF16, false, 64, 64, 1));
  assert_true(last_for(AM_BF16, false, 64, 64, 8));
  assert_false(last_for(AM_BF16, false, 64, 64, 16));  // four channels in a group
  assert_false(last_for(AM_BF16, false, 64, 64, 64));
  assert_false(last_for(AM_BF16, false, 12, 64, 1));
  assert_false(last_for(AM_BF16, false, 64, 12, 1));
  assert_true(last_for(AM_BF16, false, 3, 64, 1));  // colours
  assert_true(last_for(AM_BF16, false, 1, 8, 1));
  assert_false(last_for(AM_BF16, false, 64, 1, 1));
  // What is multiplied as TF32 is f32.
  assert_int_equal(wide_conv(AM_OP_conv2d, AM_BF16, true).tf32, 0);
}

enum { FIELDS = 22 };
_Static_assert(sizeof(am_cuda_conv) == FIELDS * sizeof(int64_t), "the key of a plan has padding, or a field more");

static void ignore(void *plan) {}

static void every_field_is_part_of_the_key(void **state) {
  am_plan_cache c = {.release = ignore};
  const am_cuda_conv k = wide_conv(AM_OP_conv2d_affine, AM_F32, true);
  const am_cuda_conv again = wide_conv(AM_OP_conv2d_affine, AM_F32, true);
  am_ok(am_plan_cache_add(&c, &k, sizeof k, &c));
  assert_ptr_equal(am_plan_cache_find(&c, &again, sizeof again), &c);
  for (int i = 0; i < FIELDS; i++) {
    int64_t word[FIELDS];
    memcpy(word, &k, sizeof k);
    word[i] ^= 1;
    assert_null(am_plan_cache_find(&c, word, sizeof word));
  }
  am_plan_cache_clear(&c);
}

// Whatever describes a convolution reaches a field.
static void everything_that_differs_makes_another_key(void **state) {
  const am_activation act = {.on = true, .slope = 0.2};
  const am_shape x = AM_SHAPE(8, 64, 15, 13), w = AM_SHAPE(32, 32, 3, 5), y = AM_SHAPE(8, 32, 8, 13);
  const am_cuda_conv k = wide_conv(AM_OP_conv2d_affine, AM_F32, false);
  am_cuda_conv other[32];
  int count = 0;
  int64_t *field[7];
  am_conv2d_desc d = wide_desc;
  field[0] = &d.stride_h, field[1] = &d.stride_w, field[2] = &d.pad_h, field[3] = &d.pad_w;
  field[4] = &d.dilation_h, field[5] = &d.dilation_w, field[6] = &d.groups;
  for (int i = 0; i < 7; i++) {
    ++*field[i];
    other[count++] = am_cuda_conv_of(AM_OP_conv2d_affine, &d, act, AM_F32, false, x, w, y);
    --*field[i];
  }
  for (int i = 0; i < 12; i++) {
    am_shape part[] = {x, w, y};
    if (i == 4 || i == 5 || i == 8) continue;  // co, ci / groups and n, which x and y have as well
    part[i / 4].dim[i % 4]++;
    other[count++] = am_cuda_conv_of(AM_OP_conv2d_affine, &d, act, AM_F32, false, part[0], part[1], part[2]);
  }
  other[count++] = wide_conv(AM_OP_conv2d_affine_add, AM_F32, false);
  other[count++] = wide_conv(AM_OP_conv2d_affine, AM_BF16, false);
  other[count++] = wide_conv(AM_OP_conv2d_affine, AM_F32, true);
  other[count++] = am_cuda_conv_of(AM_OP_conv2d_affine, &d, (am_activation){0}, AM_F32, false, x, w, y);
  other[count++] = am_cuda_conv_of(AM_OP_conv2d_affine, &d, (am_activation){.on = true}, AM_F32, false, x, w, y);
  for (int i = 0; i < count; i++) {
    assert_memory_not_equal(&other[i], &k, sizeof k);
    for (int j = 0; j < i; j++) assert_memory_not_equal(&other[i], &other[j], sizeof k);
  }
  // The slope of an activation that is off says nothing.
  const am_cuda_conv off = am_cuda_conv_of(AM_OP_conv2d_affine, &d, (am_activation){.slope = 0.3}, AM_F32, false, x, w, y);
  const am_cuda_conv none = am_cuda_conv_of(AM_OP_conv2d_affine, &d, (am_activation){0}, AM_F32, false, x, w, y);
  assert_memory_equal(&off, &none, sizeof off);
}

static void assert_ways(am_cuda_conv k, int count, const am_cuda_conv_way *want) {
  am_cuda_conv_way way[AM_CUDA_CONV_WAYS];
  assert_int_equal(am_cuda_conv_ways(&k, way), count);
  for (int i = 0; i < count; i++) {
    assert_int_equal(way[i].fused, want[i].fused);
    assert_int_equal(way[i].wide, want[i].wide);
  }
}

static void ways_go_from_one_graph_to_what_is_always_there(void **state) {
  const am_cuda_conv_way product[] = {{0}}, fused_first[] = {{.fused = true}, {0}};
  const am_op products[] = {AM_OP_conv2d, AM_OP_conv2d_grad_input};
  const am_op affine[] = {AM_OP_conv2d_affine, AM_OP_conv2d_affine_add};
  for (int i = 0; i < 2; i++) {
    assert_ways(wide_conv(products[i], AM_F32, false), 1, product);
    assert_ways(wide_conv(products[i], AM_F32, true), 1, product);
    assert_ways(wide_conv(products[i], AM_BF16, false), 1, product);
    assert_ways(wide_conv(affine[i], AM_F32, false), 1, product);
    assert_ways(wide_conv(affine[i], AM_F32, true), 2, fused_first);
    assert_ways(wide_conv(affine[i], AM_BF16, false), 2, fused_first);
  }
  assert_ways(wide_conv(AM_OP_conv2d_grad_weight, AM_F32, false), 1, product);
  assert_ways(wide_conv(AM_OP_conv2d_grad_weight, AM_F32, true), 1, product);
}

// f32 out of images of bf16: by widened images.
static void gradients_of_kernels_stay_f32(void **state) {
  const am_cuda_conv_way wide[] = {{.wide = true}};
  assert_ways(wide_conv(AM_OP_conv2d_grad_weight, AM_BF16, false), 1, wide);
}

// Pieces of the gradient of a 1 x 1 kernel of images of 14 x 14.
static int64_t pieces_for(am_op op, am_dtype image, int64_t n, int64_t ci, int64_t co, am_conv2d_desc d) {
  d.dilation_h = d.dilation_w = 1;
  const int64_t ho = (14 + 2 * d.pad_h - 1) / d.stride_h + 1, wo = (14 + 2 * d.pad_w - 1) / d.stride_w + 1;
  const am_cuda_conv k = am_cuda_conv_of(op, &d, (am_activation){0}, image, image == AM_F32, AM_SHAPE(n, ci, 14, 14),
                                         AM_SHAPE(co, ci / d.groups, 1, 1), AM_SHAPE(n, co, ho, wo));
  return am_cuda_conv_product_pieces(&k);
}

static void gradients_of_one_place_are_products(void **state) {
  const am_conv2d_desc d = {.stride_h = 1, .stride_w = 1, .groups = 1};
  am_conv2d_desc strided = d, padded = d, grouped = d;
  strided.stride_w = 2;
  padded.pad_h = 1;
  grouped.groups = 2;
  const am_op op = AM_OP_conv2d_grad_weight;
  assert_int_equal(pieces_for(op, AM_BF16, 256, 64, 64, d), 256);     // of 256 x 196 places: the next below 264
  assert_int_equal(pieces_for(op, AM_BF16, 256, 64, 256, d), 128);    // two tiles
  assert_int_equal(pieces_for(op, AM_BF16, 256, 2048, 512, d), 4);
  assert_int_equal(pieces_for(op, AM_BF16, 256, 2048, 4096, d), 1);   // tiles enough
  assert_int_equal(pieces_for(op, AM_BF16, 5, 64, 64, d), 7);         // of 140 places, at least 128
  assert_int_equal(pieces_for(op, AM_BF16, 1, 64, 64, d), 1);
  assert_int_equal(pieces_for(op, AM_BF16, 8, 3, 64, d), 0);          // colours are no whole vectors
  assert_int_equal(pieces_for(op, AM_BF16, 8, 64, 12, d), 0);         // nor are these: images lie plain
  assert_int_equal(pieces_for(op, AM_F32, 8, 64, 64, d), 0);
  assert_int_equal(pieces_for(AM_OP_conv2d, AM_BF16, 8, 64, 64, d), 0);
  assert_int_equal(pieces_for(AM_OP_conv2d_grad_input, AM_BF16, 8, 64, 64, d), 0);
  assert_int_equal(pieces_for(op, AM_BF16, 8, 64, 64, strided), 0);
  assert_int_equal(pieces_for(op, AM_BF16, 8, 64, 64, padded), 0);
  assert_int_equal(pieces_for(op, AM_BF16, 8, 64, 64, grouped), 0);
}

static void notes_decide_which_engines_compute(void **state) {
  enum { TENSOR_CORE, DOWN_CONVERT, REDUCED, FFT, NONDETERMINISTIC, WINOGRAD, TILE_4, TILE_6, TILE_13, STRICT_NAN };
  const int never[] = {DOWN_CONVERT, REDUCED, FFT, NONDETERMINISTIC, TILE_6, TILE_13};
  const int always[] = {WINOGRAD, TILE_4, STRICT_NAN};
  assert_true(am_cuda_engine_fits(0, false));
  assert_true(am_cuda_engine_fits(0, true));
  assert_true(am_cuda_engine_fits(1u << TENSOR_CORE, true));
  assert_false(am_cuda_engine_fits(1u << TENSOR_CORE, false));
  for (int i = 0; i < AM_COUNT_OF(always); i++) assert_true(am_cuda_engine_fits(1u << always[i], false));
  for (int i = 0; i < AM_COUNT_OF(never); i++) {
    assert_false(am_cuda_engine_fits(1u << never[i], true));
    assert_false(am_cuda_engine_fits(1u << never[i] | 1u << STRICT_NAN, false));
  }
}

static void the_fastest_engine_wins_and_the_first_of_equals(void **state) {
  assert_int_equal(am_cuda_conv_fastest((double[]){3}, 1), 0);
  assert_int_equal(am_cuda_conv_fastest((double[]){3, 2, 1}, 3), 2);
  assert_int_equal(am_cuda_conv_fastest((double[]){3, 1, 2}, 3), 1);
  assert_int_equal(am_cuda_conv_fastest((double[]){1, 2, 3}, 3), 0);
  assert_int_equal(am_cuda_conv_fastest((double[]){2, 1, 1}, 3), 1);
  assert_int_equal(am_cuda_conv_fastest((double[]){2, 2, 2}, 3), 0);
  // What is not clearly faster is no winner, against the best so far.
  assert_int_equal(am_cuda_conv_fastest((double[]){1, 0.98, 0.98}, 3), 0);
  assert_int_equal(am_cuda_conv_fastest((double[]){1, 0.98, 0.96, 0.95}, 4), 2);
  assert_int_equal(am_cuda_conv_fastest((double[]){1, 0.5, 0.49, 0.48}, 4), 3);
}

static void a_convolution_is_named_whole(void **state) {
  const am_cuda_conv k = wide_conv(AM_OP_conv2d, AM_BF16, false);
  char text[AM_CUDA_CONV_TEXT];
  assert_string_equal(am_cuda_conv_text(&k, text),
                      "bf16 (8, 64, 15, 13) to (8, 32, 8, 13), kernel 3 x 5, stride 2 x 1, pad 1 x 4, dilation 1 x 2, "
                      "2 groups, channels last");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(descriptors_follow_the_layout),
    cmocka_unit_test(tensor_cores_want_whole_vectors_of_channels),
    cmocka_unit_test(every_field_is_part_of_the_key),
    cmocka_unit_test(everything_that_differs_makes_another_key),
    cmocka_unit_test(ways_go_from_one_graph_to_what_is_always_there),
    cmocka_unit_test(gradients_of_kernels_stay_f32),
    cmocka_unit_test(gradients_of_one_place_are_products),
    cmocka_unit_test(notes_decide_which_engines_compute),
    cmocka_unit_test(the_fastest_engine_wins_and_the_first_of_equals),
    cmocka_unit_test(a_convolution_is_named_whole),
  };
  return cmocka_run_group_tests_name("cuda_conv", tests, NULL, NULL);
}
