// Single elements of every type, against values worked out by hand; and what random rows are made of.
#include "am_test.h"
#include "base/num.h"
#include "base/rng.h"
#include "tensor/backend.h"
#include "tensor/element.h"

static double through(am_dtype t, double value) {
  double memory[1];
  am_view v = {.data = memory, .dtype = t};
  am_element_put(&v, 0, value);
  return am_element_get(&v, 0);
}

static void truncates_and_saturates(void **state) {
  static const struct {
    am_dtype type;
    double value, want;
  } cases[] = {
    {AM_U8, 254.9, 254},      {AM_U8, 256, 255},        {AM_U8, -0.9, 0},
    {AM_U8, -3, 0},           {AM_U8, NAN, 0},          {AM_I32, -1.9, -1},
    {AM_I32, 3e9, INT32_MAX}, {AM_I32, -3e9, INT32_MIN}, {AM_I32, INFINITY, INT32_MAX},
    {AM_I64, -2.5, -2},       {AM_I64, NAN, 0},         {AM_I64, -INFINITY, -0x1p63},
  };
  for (int i = 0; i < AM_COUNT_OF(cases); i++) {
    assert_true(through(cases[i].type, cases[i].value) == cases[i].want);
  }
}

// 8 bits of mantissa: steps of 2^-7 at 1.
static void rounds_bf16_to_even_once(void **state) {
  static const struct {
    double value, want;
  } cases[] = {
    {1, 1},
    {1 + 0x1p-8, 1},                        // half a step: to even, down
    {1 + 3 * 0x1p-8, 1 + 0x1p-6},           // and up
    {1 + 0x1p-8 + 0x1p-40, 1 + 0x1p-7},     // above half by less than f32 can hold
    {1 + 0x1p-8 - 0x1p-40, 1},
    {-1 - 3 * 0x1p-8 + 0x1p-40, -1 - 0x1p-7},
    {1e39, INFINITY},
    {3.396e38, 0x1.fep127},
    {3.3963e38, INFINITY},                  // rounds past the largest
    {0x1p-133, 0x1p-133},                   // the smallest above zero
    {-0.0, 0},
  };
  for (int i = 0; i < AM_COUNT_OF(cases); i++) assert_true(through(AM_BF16, cases[i].value) == cases[i].want);
  assert_true(isnan(through(AM_BF16, NAN)));
}

static void integers_do_not_pass_through_double(void **state) {
  int64_t large = INT64_MAX - 1, memory = 0;
  am_view v = {.data = &memory, .dtype = AM_I64};
  am_element_put_integer(&v, 0, large);
  assert_true(am_element_get_integer(&v, 0) == large);
  am_device *dev = NULL;
  am_tensor *x = NULL, *y = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &dev));
  am_ok(am_tensor_from_host(dev, AM_I64, AM_SHAPE(1), &large, &x));
  am_ok(am_dispatch(dev, AM_OP_cast, &(am_dtype_desc){AM_I64}, &x, &y));
  am_ok(am_tensor_to_host(y, &memory));
  assert_true(memory == large);
  am_tensor_release(x);
  am_tensor_release(y);
  am_device_close(dev);
}

// Row r, element e is draw e of the stream (seed, purpose, index + r), whatever else is drawn.
static void random_rows_on(const char *kind) {
  enum { ROWS = 3, WIDTH = 7 };
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &dev));
  for (int normal = 0; normal < 2; normal++) {
    am_random_desc desc = {.kind = normal ? AM_RAND_NORMAL : AM_RAND_UNIFORM, .dtype = AM_F32, .seed = 5,
                           .shape = AM_SHAPE(ROWS, WIDTH), .index = 100, .purpose = AM_RNG_TEST};
    am_tensor *all = NULL;
    float value[ROWS][WIDTH];
    am_ok(am_dispatch(dev, AM_OP_random, &desc, NULL, &all));
    am_ok(am_tensor_to_host(all, value));
    for (int r = 0; r < ROWS; r++) {
      am_rng rng = am_rng_at(5, AM_RNG_TEST, 100 + (uint64_t)r);
      for (int e = 0; e < WIDTH; e++) {
        double want = normal ? am_rng_normal(&rng) : am_rng_uniform(&rng), got = value[r][e];
        am_close(&got, &want, 1, 1e-6, 1e-7);
      }
    }
    am_tensor_release(all);
  }
  am_device_close(dev);
}

static void random_rows_do_not_depend_on_each_other(void **state) {
  random_rows_on("ref");
  random_rows_on("cpu");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(truncates_and_saturates),
    cmocka_unit_test(rounds_bf16_to_even_once),
    cmocka_unit_test(integers_do_not_pass_through_double),
    cmocka_unit_test(random_rows_do_not_depend_on_each_other),
  };
  return cmocka_run_group_tests_name("element", tests, NULL, NULL);
}
