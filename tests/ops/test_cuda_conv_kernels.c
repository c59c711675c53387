// The cuda backend's own kernels around convolutions, which no op reaches without cuDNN: as loops on this machine, against
// their definition. They lie in the plug-in of tests/on_host.
#define _DEFAULT_SOURCE  // readlink
#define AM_CUDA_ON_HOST
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "am_test.h"
#include "backend/cuda/kernels/kernels.h"
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

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(kernels_are_packed_channels_last),
    cmocka_unit_test(affine_convolutions_are_finished),
  };
  return cmocka_run_group_tests_name("cuda_conv_kernels", tests, open_plugin, NULL);
}
