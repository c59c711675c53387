// bf16 on the cpu device: rounding by the processor's instruction, by integers and by the rule of cast; and what is
// not done in it.
#include "am_test.h"
#include "autograd/ops.h"
#include "backend/cpu/cpu_bf16.h"
#include "base/mem.h"
#include "base/num.h"
#include "tensor/backend.h"
#include "tensor/element.h"

// Every upper half of an f32 with the lower halves at which rounding turns.
static const uint32_t lower[] = {0, 1, 0x7fff, 0x8000, 0x8001, 0xffff};
enum { UPPER = 1 << 16, ALL = UPPER * 6 };

static float *every_f32(void) {
  float *value = NULL;
  am_ok(AM_NEW_ARRAY(&value, ALL));
  for (uint32_t i = 0; i < ALL; i++) {
    const uint32_t bits = (i / 6) << 16 | lower[i % 6];
    memcpy(&value[i], &bits, sizeof bits);
  }
  return value;
}

// The rule of cast, but that subnormal numbers are zero.
static am_bf16 expected(float value) {
  am_bf16 half;
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  am_view view = {.data = &half, .dtype = AM_BF16};
  am_element_put(&view, 0, value);
  return (bits & 0x7f800000) == 0 ? (am_bf16)(bits >> 16 & 0x8000) : half;
}

static void integers_round_as_cast_does(void **state) {
  float *value = every_f32();
  for (int64_t i = 0; i < ALL; i += AM_CPU_LANES) {
    const am_cpu_lanes v = AM_CPU_LOAD(value + i);
    am_bf16 half[AM_CPU_LANES];
    am_cpu_narrow_any(&v, half);
    for (int j = 0; j < AM_CPU_LANES; j++) assert_int_equal(half[j], expected(value[i + j]));
  }
  free(value);
}

// With the processor's instruction where it has it.
static void the_device_casts_likewise(void **state) {
  float *value = every_f32();
  am_bf16 *half = NULL;
  am_device *dev = NULL;
  am_tensor *x = NULL, *y = NULL, *back = NULL;
  am_ok(AM_NEW_ARRAY(&half, ALL - 3));
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(ALL - 3), value + 3, &x));
  am_ok(am_dispatch(dev, AM_OP_cast, &(am_dtype_desc){AM_BF16}, &x, &y));
  am_ok(am_tensor_to_host(y, half));
  for (int64_t i = 0; i < ALL - 3; i++) assert_int_equal(half[i], expected(value[i + 3]));
  am_ok(am_dispatch(dev, AM_OP_cast, &(am_dtype_desc){AM_F32}, &y, &back));
  am_ok(am_tensor_to_host(back, value));
  for (int64_t i = 0; i < ALL - 3; i++) {
    uint32_t bits;
    memcpy(&bits, &value[i], sizeof bits);
    assert_int_equal(bits, (uint32_t)half[i] << 16);
  }
  am_tensor_release(x);
  am_tensor_release(y);
  am_tensor_release(back);
  am_device_close(dev);
  free(half);
  free(value);
}

static am_tensor *leaf(am_graph *g, am_shape shape) {
  am_tensor *t = NULL;
  am_ok(am_tensor_from_host(am_graph_device(g), AM_F32, shape, (float[]){1, 2, 4, 3, 5, 7, 0, 1}, &t));
  am_ok(am_graph_own(g, t));
  am_require_grad(t, true);
  return t;
}

static void gradients_of_gradients_of_batch_norm_want_one_type(void **state) {
  am_device *dev = NULL;
  am_graph *g = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  const bool has = am_device_check_type(dev, AM_OP_batch_norm, AM_BF16) == AM_OK;
  if (has) {
    am_ok(am_graph_new(dev, &g));
    am_tensor *x = leaf(g, AM_SHAPE(4, 2)), *gamma = leaf(g, AM_SHAPE(2)), *beta = leaf(g, AM_SHAPE(2)), *dx = NULL,
              *half = NULL, *y = NULL, *mean = NULL, *inv_std = NULL;
    am_ok(am_cast(g, x, AM_BF16, &half));
    am_ok(am_batch_norm(g, half, gamma, beta, NULL, (am_norm_desc){.eps = 1e-5}, &y, &mean, &inv_std));
    am_ok(am_sum(g, y, ~0u, &y));
    am_grad_desc d = {.y = &y, .y_count = 1, .x = &x, .x_count = 1, .create_graph = true};
    am_fails(am_grad(g, &d, &dx), AM_ERR_UNSUPPORTED,
             "gradients of gradients through batch_norm need images of its parameters' type, f32: these are bf16");
    am_graph_free(g);
  }
  am_device_close(dev);
  if (!has) am_skip("%s", am_err_last()->message);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(integers_round_as_cast_does),
    cmocka_unit_test(the_device_casts_likewise),
    cmocka_unit_test(gradients_of_gradients_of_batch_norm_want_one_type),
  };
  return cmocka_run_group_tests_name("cpu_bf16", tests, NULL, NULL);
}
