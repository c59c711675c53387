// Dropout in one op beside what it stands for, to the bit: uniform numbers, compared, scaled, cast, multiplied. On ref, on the
// cpu, and on the kernels of the cuda backend as loops on this machine, in every type and layout; and its gradient.
#include <dlfcn.h>
#include <math.h>

#include "am_test.h"
#include "autograd/ops.h"
#include "base/num.h"
#include "base/rng.h"
#include "op_run.h"
#include "tensor/element.h"

static am_err chain(am_graph *g, am_tensor *x, am_dropout_desc d, am_tensor **y) {
  am_random_desc uniform = {.kind = AM_RAND_UNIFORM,
                            .dtype = x->dtype == AM_BF16 ? AM_F32 : x->dtype,
                            .shape = x->shape,
                            .seed = d.seed,
                            .index = d.index,
                            .purpose = d.purpose};
  am_tensor *mask = NULL;
  AM_TRY(am_random(g, uniform, &mask));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_STEP, .a = d.p}, mask, &mask));
  AM_TRY(am_affine(g, mask, 1 / (1 - d.p), 0, &mask));
  AM_TRY(am_cast(g, mask, x->dtype, &mask));
  return am_mul(g, x, mask, y);
}

// Normal numbers, and now and then what arithmetic treats in its own way.
static am_tensor *numbers(am_device *dev, am_dtype type, am_shape shape, uint64_t stream) {
  static const double special[] = {0.0, -0.0, INFINITY, -INFINITY, NAN, 1e-40, -1e-40, 3.3e38, -3.3e38};
  const int64_t count = am_shape_count(shape);
  am_rng rng = am_rng_at(11, AM_RNG_TEST, stream);
  am_tensor *t = NULL;
  void *host = malloc((size_t)count * am_dtype_size(type));
  assert_non_null(host);
  am_view view = {.data = host, .dtype = type};
  for (int64_t i = 0; i < count; i++) {
    const double normal = am_rng_normal(&rng);
    am_element_put(&view, i, i % 7 == 3 ? special[i / 7 % AM_COUNT_OF(special)] : normal);
  }
  am_ok(am_tensor_from_host(dev, type, shape, host, &t));
  free(host);
  return t;
}

static void same_bits(am_tensor *got, am_tensor *want, const char *what) {
  const size_t bytes = (size_t)am_tensor_count(want) * am_dtype_size(want->dtype);
  assert_int_equal(got->dtype, want->dtype);
  assert_true(am_shape_equal(got->shape, want->shape));
  unsigned char *a = malloc(bytes), *b = malloc(bytes);
  assert_true(a && b);
  am_ok(am_tensor_to_host(got, a));
  am_ok(am_tensor_to_host(want, b));
  for (size_t i = 0; i < bytes; i++) {
    if (a[i] == b[i]) continue;
    char text[AM_SHAPE_TEXT];
    const size_t element = i / am_dtype_size(want->dtype);
    const am_view va = {.data = a, .dtype = want->dtype}, vb = {.data = b, .dtype = want->dtype};
    fail_msg("%s of %s %s: element %zu is %.9g, the chain gives %.9g", what, am_dtype_name(want->dtype),
             am_shape_text(want->shape, text), element, am_element_get(&va, (int64_t)element),
             am_element_get(&vb, (int64_t)element));
  }
  free(a);
  free(b);
}

static am_tensor *gradient(am_graph *g, am_tensor *y, am_tensor *x, am_tensor *dy) {
  am_tensor *t = NULL, *dx = NULL;
  am_ok(am_mul(g, y, dy, &t));
  am_ok(am_sum(g, t, ~0u, &t));
  am_ok(am_grad(g, &(am_grad_desc){.y = &t, .y_count = 1, .x = &x, .x_count = 1}, &dx));
  return dx;
}

static void check(am_device *dev, am_dtype type, am_shape shape, am_layout layout, am_dropout_desc d) {
  am_graph *g = NULL;
  am_tensor *plain = numbers(dev, type, shape, 0), *dy = numbers(dev, type, shape, 1), *x = NULL, *y = NULL,
            *want = NULL;
  am_ok(am_graph_new(dev, &g));
  am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){layout}, &plain, &x));
  am_require_grad(x, true);
  am_ok(am_dropout_op(g, x, d, &y));
  am_ok(chain(g, x, d, &want));
  same_bits(y, want, "dropout");
  same_bits(gradient(g, y, x, dy), gradient(g, want, x, dy), "the gradient of dropout");
  am_graph_free(g);
  am_tensor_release(plain);
  am_tensor_release(dy);
  am_tensor_release(x);
}

static void check_type(am_device *dev, am_dtype type) {
  static const am_shape shapes[] = {{0},
                                    {1, {70}},
                                    {2, {3, 7}},
                                    {2, {5, 4001}},
                                    {4, {4, 3, 5, 5}},
                                    {4, {2, 48, 9, 7}},
                                    {4, {3, 64, 8, 8}},
                                    {4, {2, 21, 6, 11}},
                                    {4, {1, 16, 40, 40}}};
  static const double share[] = {0, 0.2, 0.3, 0.5, 0.999, 0.99999999999};
  for (int s = 0; s < AM_COUNT_OF(shapes); s++) {
    for (int i = 0; i < AM_COUNT_OF(share); i++) {
      const am_dropout_desc d = {.p = share[i],
                                 .seed = ((uint64_t)s << 40) + 5,
                                 .index = ((uint64_t)1 << 32) - 2,
                                 .purpose = AM_RNG_DROPOUT};
      check(dev, type, shapes[s], AM_LAYOUT_PLAIN, d);
      if (shapes[s].ndim == 4) check(dev, type, shapes[s], AM_LAYOUT_NHWC, d);
      if (shapes[s].ndim == 4 && shapes[s].dim[1] % 16 == 0) check(dev, type, shapes[s], AM_LAYOUT_C16, d);
    }
  }
}

// Shares that are draws themselves, in f32, and numbers that round to them: equal is not above.
static void check_equal(am_device *dev, am_dtype type) {
  const am_dropout_desc d = {.seed = 9, .index = 4, .purpose = AM_RNG_DROPOUT};
  am_rng rng = am_rng_at(d.seed, AM_RNG_DROPOUT, d.index);
  for (int i = 0; i < 8; i++) {
    const float draw = (float)am_rng_uniform(&rng);
    const double share[] = {draw, nextafter(draw, 0), nextafter(draw, 1), nextafterf(draw, 0)};
    for (int k = 0; k < AM_COUNT_OF(share); k++) {
      am_dropout_desc equal = d;
      equal.p = share[k];
      check(dev, type, AM_SHAPE(2, 8), AM_LAYOUT_PLAIN, equal);
    }
  }
}

static void check_device(am_device *dev, am_dtype second) {
  check_type(dev, AM_F32);
  check_equal(dev, AM_F32);
  const bool has = am_device_check_type(dev, AM_OP_dropout, second) == AM_OK;
  if (has) check_type(dev, second);
  if (has) check_equal(dev, second);
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
  am_device_close(dev);
  if (!has) am_skip("%s", am_err_last()->message);
}

static void check_kind(const char *kind, int threads, am_dtype second) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind, .threads = threads}, &dev));
  check_device(dev, second);
}

static void ref_gives_the_chain(void **state) { check_kind("ref", 1, AM_F64); }
static void cpu_gives_the_chain(void **state) { check_kind("cpu", 1, AM_BF16); }
static void cpu_gives_the_chain_with_2_threads(void **state) { check_kind("cpu", 2, AM_BF16); }
static void cuda_kernels_give_the_chain(void **state) {
  am_device *dev = NULL;
  am_ok(op_open_kernels(&dev));
  check_device(dev, AM_BF16);
}

// A recorded step moves the index by what stands in the card's memory; the rows go over the end of the range.
static void kernels_move_the_index(void **state) {
  static const uint64_t moved = 5;
  static const am_dtype types[] = {AM_F32, AM_BF16};
  char folder[4096];
  am_device *dev = NULL;
  am_ok(op_open_kernels(&dev));
  am_test_plugins("on_host", folder);
  strcat(folder, "/cuda.so");
  void *plugin = dlopen(folder, RTLD_NOW | RTLD_NOLOAD);
  assert_non_null(plugin);
  const uint64_t **at = dlsym(plugin, "on_host_moved");
  assert_non_null(at);
  for (int i = 0; i < AM_COUNT_OF(types); i++) {
    am_tensor *x = numbers(dev, types[i], AM_SHAPE(4, 16, 5, 5), 0), *got = NULL, *want = NULL;
    am_ok(am_dispatch(dev, AM_OP_dropout, &(am_dropout_desc){.p = 0.4, .index = UINT64_MAX - 2}, &x, &want));
    *at = &moved;
    am_ok(am_dispatch(dev, AM_OP_dropout, &(am_dropout_desc){.p = 0.4, .index = UINT64_MAX - 7}, &x, &got));
    *at = NULL;
    same_bits(got, want, "moved dropout");
    am_tensor_release(x);
    am_tensor_release(got);
    am_tensor_release(want);
  }
  dlclose(plugin);
  am_device_close(dev);
}

// The result lies as x does.
static void layout_is_kept(void **state) {
  static const struct {
    const char *kind;
    am_dtype type;
    am_layout layout;
  } kept[] = {{"cpu", AM_F32, AM_LAYOUT_C16},
              {"cpu", AM_BF16, AM_LAYOUT_NHWC},
              {"cuda", AM_F32, AM_LAYOUT_NHWC},
              {"cuda", AM_BF16, AM_LAYOUT_NHWC}};
  for (int i = 0; i < AM_COUNT_OF(kept); i++) {
    am_device *dev = NULL;
    if (strcmp(kept[i].kind, "cuda") == 0)
      am_ok(op_open_kernels(&dev));
    else
      am_ok(am_device_open(&(am_device_cfg){.kind = kept[i].kind}, &dev));
    if (am_device_check_type(dev, AM_OP_dropout, kept[i].type) == AM_OK) {
      am_tensor *plain = numbers(dev, kept[i].type, AM_SHAPE(2, 32, 8, 8), 0), *x = NULL, *y = NULL;
      am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){kept[i].layout}, &plain, &x));
      am_ok(am_dispatch(dev, AM_OP_dropout, &(am_dropout_desc){.p = 0.5}, &x, &y));
      assert_int_equal(y->layout, kept[i].layout);
      am_tensor_release(plain);
      am_tensor_release(x);
      am_tensor_release(y);
    }
    am_device_close(dev);
  }
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(ref_gives_the_chain),
      cmocka_unit_test(cpu_gives_the_chain),
      cmocka_unit_test(cpu_gives_the_chain_with_2_threads),
      cmocka_unit_test(cuda_kernels_give_the_chain),
      cmocka_unit_test(kernels_move_the_index),
      cmocka_unit_test(layout_is_kept),
  };
  return cmocka_run_group_tests_name("dropout", tests, NULL, NULL);
}
