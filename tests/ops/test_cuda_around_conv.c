// What the cuda backend does around cuDNN's convolutions, which no op reaches without it: own kernels, as loops on this
// machine, against their definition; and the rule of layouts. All of it lies in the plug-in of tests/on_host.
#define _DEFAULT_SOURCE  // readlink
#define AM_CUDA_ON_HOST
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "am_test.h"
#include "backend/cuda/cuda_internal.h"
#include "backend/cuda/walks.h"
#include "base/rng.h"
#include "tensor/element.h"

static void *plugin;

static int open_plugin(void **state) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
  if (length < 0) return -1;
  path[length] = '\0';
  for (int up = 0; up < 2; up++) *strrchr(path, '/') = '\0';
  strcat(path, "/on_host/cuda.so");
  plugin = dlopen(path, RTLD_LAZY);
  if (!plugin) fprintf(stderr, "%s\n", dlerror());
  return plugin ? 0 : -1;
}

// The plug-in's function of this name, as it is declared.
#define FIND(name)                              \
  __typeof__(&name) find_##name = NULL;         \
  do {                                          \
    void *found_ = dlsym(plugin, #name);        \
    assert_non_null(found_);                    \
    memcpy(&find_##name, &found_, sizeof found_); \
  } while (0)

enum { CO = 3, CI = 4, KH = 2, KW = 5, WEIGHTS = CO * CI * KH * KW };

static double value_at(const void *data, am_dtype type, int64_t i) {
  const am_view v = {.data = (void *)data, .dtype = type};
  return am_element_get(&v, i);
}

static void kernels_are_packed_channels_last(void **state) {
  const am_shape shape = AM_SHAPE(CO, CI, KH, KW);
  const int last[AM_MAX_DIM] = {0, 2, 3, 1};
  float w[WEIGHTS], back[WEIGHTS];
  double packed[WEIGHTS];
  FIND(am_cuda_walk_of);
  FIND(am_cuda_walk_permuted);
  FIND(am_cuda_walk_image);
  FIND(am_cuda_launch_pack);
  FIND(am_cuda_launch_copy);
  const am_cuda_walk from = find_am_cuda_walk_permuted(find_am_cuda_walk_of(shape), last);
  for (int i = 0; i < WEIGHTS; i++) w[i] = 1 + (float)i / 1000;
  const am_dtype types[] = {AM_F32, AM_BF16};
  for (int t = 0; t < 2; t++) {
    assert_int_equal(find_am_cuda_launch_pack(NULL, w, from, packed, types[t], WEIGHTS), cudaSuccess);
    for (int e = 0; e < WEIGHTS; e++) {
      const int k = e / CI / KW / KH % CO, r = e / CI / KW % KH, s = e / CI % KW, c = e % CI;
      float one = w[((k * CI + c) * KH + r) * KW + s];
      double want;
      am_element_put(&(am_view){.data = &want, .dtype = types[t]}, 0, one);
      assert_true(value_at(packed, types[t], e) == value_at(&want, types[t], 0));
    }
  }
  // The gradient comes in that order and goes back.
  assert_int_equal(find_am_cuda_launch_pack(NULL, w, from, packed, AM_F32, WEIGHTS), cudaSuccess);
  assert_int_equal(find_am_cuda_launch_copy(NULL, sizeof(float), packed, find_am_cuda_walk_image(shape, AM_LAYOUT_NHWC, 1),
                                            back, find_am_cuda_walk_image(shape, AM_LAYOUT_PLAIN, 1), WEIGHTS),
                   cudaSuccess);
  assert_memory_equal(back, w, sizeof w);
}

enum { N = 2, C = 3, INNER = 7, ELEMENTS = N * C * INNER };

// The end of an affine convolution in this type and layout, with or without a residual.
static void finished_as_defined(am_dtype type, int64_t step, am_activation act, bool adds) {
  double y[ELEMENTS], residual[ELEMENTS], want[ELEMENTS];
  float scale[C], shift[C];
  am_rng rng = am_rng_at(5, AM_RNG_TEST, 0);
  FIND(am_cuda_launch_finish);
  for (int c = 0; c < C; c++) {
    scale[c] = (float)am_rng_normal(&rng);
    shift[c] = (float)am_rng_normal(&rng);
  }
  am_view vy = {.data = y, .dtype = type}, vr = {.data = residual, .dtype = type};
  for (int64_t i = 0; i < ELEMENTS; i++) {
    am_element_put(&vy, i, am_rng_normal(&rng));
    am_element_put(&vr, i, am_rng_normal(&rng));
    const int64_t c = i / step % C;
    const double v = am_element_get(&vy, i) * scale[c] + shift[c] + (adds ? am_element_get(&vr, i) : 0);
    want[i] = act.on && !(v > 0) ? v * act.slope : v;
  }
  const am_cuda_finish f = {.act = act, .type = type, .channels = C, .step = step, .scale = scale, .shift = shift,
                            .residual = adds ? residual : NULL, .y = y};
  assert_int_equal(find_am_cuda_launch_finish(NULL, f, ELEMENTS), cudaSuccess);
  const double tolerance = type == AM_BF16 ? 1.001 / 256 : 3e-6;
  for (int64_t i = 0; i < ELEMENTS; i++)
    assert_true(fabs(am_element_get(&vy, i) - want[i]) <= tolerance * (fabs(want[i]) + 0.1));
}

static void affine_convolutions_are_finished(void **state) {
  const am_activation acts[] = {{0}, {.on = true}, {.on = true, .slope = 0.2}};
  for (int a = 0; a < 3; a++) {
    for (int adds = 0; adds < 2; adds++) {
      finished_as_defined(AM_F32, INNER, acts[a], adds);
      finished_as_defined(AM_F32, 1, acts[a], adds);
      finished_as_defined(AM_BF16, INNER, acts[a], adds);
      finished_as_defined(AM_BF16, 1, acts[a], adds);
    }
  }
}

// ---- layouts ----

static am_view image(am_dtype type, am_layout layout, int64_t c, int64_t h, int64_t w) {
  return (am_view){.dtype = type, .layout = layout, .shape = AM_SHAPE(2, c, h, w)};
}
static am_view weights(int64_t co, int64_t ci) {
  return (am_view){.dtype = AM_F32, .shape = AM_SHAPE(co, ci, 3, 3)};
}

// The layouts that are chosen for an op, operands first, as letters: p(lain), l(ast), 1 (C16).
static const char *chosen(am_op op, const void *desc, am_view *in, am_view *out) {
  static char text[AM_OP_MAX_INPUTS + AM_OP_MAX_OUTPUTS + 2];
  int count = 0;
  __typeof__(&am_cuda_choose_layout) choose = NULL;
  void *found = dlsym(plugin, "am_cuda_choose_layout");
  assert_non_null(found);
  memcpy(&choose, &found, sizeof found);
  choose(NULL, op, desc, in, out);
  for (int i = 0; i < am_op_inputs(op); i++) text[count++] = "pl1"[in[i].layout];
  text[count++] = '>';
  for (int i = 0; i < am_op_outputs(op); i++) text[count++] = "pl1"[out[i].layout];
  text[count] = '\0';
  return text;
}

static const am_conv2d_desc three_by_three = {.stride_h = 1, .stride_w = 1, .dilation_h = 1, .dilation_w = 1, .groups = 1};

static void images_of_bf16_lie_channels_last_around_convolutions(void **state) {
  const am_conv2d_desc *d = &three_by_three;
  const am_view x = image(AM_BF16, AM_LAYOUT_PLAIN, 16, 8, 8), y = image(AM_BF16, AM_LAYOUT_PLAIN, 24, 6, 6);
  const am_view w = weights(24, 16), channel = {.dtype = AM_F32, .shape = AM_SHAPE(24)};
  const am_conv2d_affine_desc affine = {.conv = *d};
  assert_string_equal(chosen(AM_OP_conv2d, d, (am_view[]){x, w}, (am_view[]){y}), "lp>l");
  assert_string_equal(chosen(AM_OP_conv2d_grad_input, d, (am_view[]){y, w}, (am_view[]){x}), "lp>l");
  assert_string_equal(chosen(AM_OP_conv2d_grad_weight, d, (am_view[]){y, x}, (am_view[]){w}), "ll>p");
  assert_string_equal(chosen(AM_OP_conv2d_affine, &affine, (am_view[]){x, w, channel, channel}, (am_view[]){y}), "lppp>l");
  assert_string_equal(chosen(AM_OP_conv2d_affine_add, &affine, (am_view[]){x, w, channel, channel, y}, (am_view[]){y}),
                      "lpppl>l");
  // One place has the same bytes in either layout and is called plain.
  const am_view small = image(AM_BF16, AM_LAYOUT_PLAIN, 16, 3, 3), place = image(AM_BF16, AM_LAYOUT_PLAIN, 24, 1, 1);
  assert_string_equal(chosen(AM_OP_conv2d, d, (am_view[]){small, w}, (am_view[]){place}), "lp>p");
}

static void other_images_are_plain_around_convolutions(void **state) {
  const am_conv2d_desc *d = &three_by_three;
  const am_view x = image(AM_F32, AM_LAYOUT_NHWC, 16, 8, 8), y = image(AM_F32, AM_LAYOUT_NHWC, 24, 6, 6);
  const am_view odd = image(AM_BF16, AM_LAYOUT_NHWC, 10, 6, 6), half = image(AM_BF16, AM_LAYOUT_NHWC, 16, 8, 8);
  assert_string_equal(chosen(AM_OP_conv2d, d, (am_view[]){x, weights(24, 16)}, (am_view[]){y}), "pp>p");
  assert_string_equal(chosen(AM_OP_conv2d, d, (am_view[]){half, weights(10, 16)}, (am_view[]){odd}), "pp>p");
}

static void layouts_are_kept_by_what_takes_both(void **state) {
  const am_view last = image(AM_BF16, AM_LAYOUT_NHWC, 16, 8, 8), plain = image(AM_BF16, AM_LAYOUT_PLAIN, 16, 8, 8);
  const am_view channel = image(AM_BF16, AM_LAYOUT_PLAIN, 16, 1, 1), scalar = {.dtype = AM_BF16};
  const am_view each = {.dtype = AM_F32, .shape = AM_SHAPE(16)};
  assert_string_equal(chosen(AM_OP_unary, NULL, (am_view[]){last}, (am_view[]){plain}), "l>l");
  assert_string_equal(chosen(AM_OP_cast, NULL, (am_view[]){last}, (am_view[]){plain}), "l>l");
  assert_string_equal(chosen(AM_OP_binary, NULL, (am_view[]){last, plain}, (am_view[]){plain}), "ll>l");
  assert_string_equal(chosen(AM_OP_binary, NULL, (am_view[]){last, scalar}, (am_view[]){plain}), "lp>l");
  assert_string_equal(chosen(AM_OP_binary, NULL, (am_view[]){last, channel}, (am_view[]){plain}), "lp>l");
  assert_string_equal(chosen(AM_OP_batch_norm, NULL, (am_view[]){last, each, each}, (am_view[]){plain, each, each}),
                      "lpp>lpp");
  assert_string_equal(chosen(AM_OP_avg_pool2d, NULL, (am_view[]){last}, (am_view[]){plain}), "l>l");
  assert_string_equal(chosen(AM_OP_avg_pool2d, NULL, (am_view[]){plain}, (am_view[]){last}), "p>p");
  const am_view filter = {.dtype = AM_F32, .shape = AM_SHAPE(4, 4)};
  assert_string_equal(chosen(AM_OP_upfirdn2d, NULL, (am_view[]){last, filter}, (am_view[]){plain}), "lp>l");
  assert_string_equal(chosen(AM_OP_resample2d, NULL, (am_view[]){last}, (am_view[]){plain}), "l>l");
  assert_string_equal(chosen(AM_OP_resample2d, NULL, (am_view[]){channel}, (am_view[]){plain}), "p>l");
  assert_string_equal(chosen(AM_OP_resample2d_grad, NULL, (am_view[]){plain}, (am_view[]){last}), "p>p");
  assert_string_equal(chosen(AM_OP_resample2d_grad, NULL, (am_view[]){last}, (am_view[]){channel}), "l>p");
  const am_view flat = {.dtype = AM_BF16, .shape = AM_SHAPE(2, 1024)};
  assert_string_equal(chosen(AM_OP_log_softmax, NULL, (am_view[]){flat}, (am_view[]){flat}), "p>p");
  const am_permute_desc swap = {.perm = {0, 2, 3, 1}};
  assert_string_equal(chosen(AM_OP_permute, &swap, (am_view[]){last}, (am_view[]){plain}), "p>p");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(kernels_are_packed_channels_last),
    cmocka_unit_test(affine_convolutions_are_finished),
    cmocka_unit_test(images_of_bf16_lie_channels_last_around_convolutions),
    cmocka_unit_test(other_images_are_plain_around_convolutions),
    cmocka_unit_test(layouts_are_kept_by_what_takes_both),
  };
  return cmocka_run_group_tests_name("cuda_around_conv", tests, open_plugin, NULL);
}
