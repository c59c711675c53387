// Devices, the memory pool, shapes, views, host copies, layouts, and what dispatch refuses.
#include "am_test.h"
#include "base/num.h"
#include "tensor/backend.h"

static am_device *open_device(const char *kind) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &dev));
  return dev;
}

static am_tensor *counting(am_device *dev, am_shape shape) {
  float value[4096];
  int64_t count = am_shape_count(shape);
  am_tensor *t = NULL;
  assert_true(count <= 4096);
  for (int64_t i = 0; i < count; i++) value[i] = (float)i;
  am_ok(am_tensor_from_host(dev, AM_F32, shape, value, &t));
  return t;
}

static void assert_counting(am_tensor *t, int64_t first) {
  float value[4096];
  am_ok(am_tensor_to_host(t, value));
  for (int64_t i = 0; i < am_tensor_count(t); i++) assert_true(value[i] == (float)(first + i));
}

static void broadcasts_as_numpy(void **state) {
  am_shape y;
  am_ok(am_shape_broadcast(AM_SHAPE(2, 1, 4), AM_SHAPE(3, 1), &y));
  assert_true(am_shape_equal(y, AM_SHAPE(2, 3, 4)));
  am_ok(am_shape_broadcast(AM_SHAPE_SCALAR, AM_SHAPE(5), &y));
  assert_true(am_shape_equal(y, AM_SHAPE(5)));
  am_fails(am_shape_broadcast(AM_SHAPE(2, 3), AM_SHAPE(2, 4), &y), AM_ERR_ARG, "(2, 3) and (2, 4)");
}

static void names_shapes(void **state) {
  char text[AM_SHAPE_TEXT];
  assert_string_equal(am_shape_text(AM_SHAPE(64, 3, 4, 4), text), "(64, 3, 4, 4)");
  assert_string_equal(am_shape_text(AM_SHAPE_SCALAR, text), "()");
  assert_int_equal(am_shape_count(AM_SHAPE_SCALAR), 1);
}

static void refuses_shapes_that_are_none(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *t = NULL;
  am_fails(am_tensor_new(dev, AM_F32, AM_SHAPE(2, 0), &t), AM_ERR_ARG, "(2, 0)");
  am_fails(am_tensor_new(dev, AM_F32, AM_SHAPE(-1), &t), AM_ERR_ARG, "(-1)");
  am_fails(am_tensor_new(dev, AM_F32, AM_SHAPE(INT64_MAX, 4), &t), AM_ERR_ARG, "is not a shape");
  am_fails(am_tensor_new(dev, AM_U8, AM_SHAPE(INT64_MAX), &t), AM_ERR_NOMEM, "more than memory");
  am_fails(am_tensor_new(dev, AM_F32, (am_shape){.ndim = 7}, &t), AM_ERR_ARG, "0 to 6");
  am_fails(am_tensor_new_layout(dev, AM_F32, AM_SHAPE(2, 8, 3, 3), AM_LAYOUT_C16, &t), AM_ERR_ARG, "layout");
  assert_null(t);
  am_device_close(dev);
}

static void says_which_devices_there_are(void **state) {
  am_device *dev = NULL;
  am_fails(am_device_open(&(am_device_cfg){.kind = "gpu"}, &dev), AM_ERR_CONFIG, "built devices: ");
  am_fails(am_device_open(&(am_device_cfg){.kind = "cuda"}, &dev), AM_ERR_UNSUPPORTED, "there is no ");
  am_fails(am_device_open(&(am_device_cfg){.kind = "ref", .threads = -1}, &dev), AM_ERR_CONFIG, "-1 threads");
  assert_null(dev);
}

static void views_share_memory(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *base = counting(dev, AM_SHAPE(24)), *view = NULL, *inner = NULL, *none = NULL;
  am_ok(am_tensor_view(base, 4, AM_SHAPE(5, 4), &view));
  am_ok(am_tensor_view(view, 3, AM_SHAPE(2, 2), &inner));
  am_fails(am_tensor_view(base, 20, AM_SHAPE(5), &none), AM_ERR_ARG, "leaves its base");
  am_fails(am_tensor_view(base, -1, AM_SHAPE(5), &none), AM_ERR_ARG, "leaves its base");
  am_fails(am_tensor_view(base, INT64_MAX, AM_SHAPE(5), &none), AM_ERR_ARG, "leaves its base");
  am_tensor_release(base);  // views keep the memory
  assert_counting(view, 4);
  assert_counting(inner, 7);
  am_ok(am_tensor_copy_from_host(inner, (float[]){-1, -2, -3, -4}));
  float value[20];
  am_ok(am_tensor_to_host(view, value));
  assert_true(value[3] == -1 && value[6] == -4 && value[7] == 11);
  am_tensor_release(inner);
  am_tensor_release(view);
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
  am_device_close(dev);
}

static void gives_the_single_element(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *one = NULL, *many = counting(dev, AM_SHAPE(2));
  double value = 0;
  am_ok(am_tensor_from_host(dev, AM_F64, AM_SHAPE_SCALAR, &(double){2.5}, &one));
  am_ok(am_tensor_item(one, &value));
  assert_true(value == 2.5);
  am_fails(am_tensor_item(many, &value), AM_ERR_ARG, "(2)");
  am_tensor_release(one);
  am_tensor_release(many);
  am_device_close(dev);
}

// A second round of the same sizes takes nothing new from the backend.
static void recycles_memory(void **state) {
  am_device *dev = open_device("ref");
  int64_t sizes[] = {1, 15, 16, 17, 300, 1000, 4097, 100000};
  am_tensor *t[AM_COUNT_OF(sizes)];
  am_device_memory after[2];
  for (int round = 0; round < 2; round++) {
    for (int i = 0; i < AM_COUNT_OF(sizes); i++) am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(sizes[i]), &t[i]));
    for (int i = 0; i < AM_COUNT_OF(sizes); i++) {
      assert_int_equal((uintptr_t)am_tensor_as_view(t[i]).data % 64, 0);
      am_tensor_release(t[i]);
    }
    after[round] = am_device_memory_now(dev);
    assert_int_equal(after[round].live_bytes, 0);
  }
  assert_int_equal(after[0].cached_bytes, after[0].peak_bytes);
  assert_int_equal(after[1].cached_bytes, after[0].cached_bytes);
  assert_int_equal(after[1].peak_bytes, after[0].peak_bytes);
  assert_int_equal(after[1].allocations, 2 * AM_COUNT_OF(sizes));
  am_device_close(dev);
}

// Blocks hold what was asked for and waste at most an eighth above 1 KiB.
static void rounds_sizes_up_a_little(void **state) {
  am_device *dev = open_device("ref");
  for (int64_t bytes = 1; bytes < 3000000; bytes += 1 + bytes / 7) {
    am_tensor *t = NULL;
    am_ok(am_tensor_new(dev, AM_U8, AM_SHAPE(bytes), &t));
    int64_t block = am_device_memory_now(dev).live_bytes;
    assert_true(block >= bytes);
    assert_true(block <= bytes + am_max_i64(64, bytes / 8 + 64));
    am_tensor_release(t);
  }
  am_device_close(dev);
}

// Sizes that never come back do not pile up in the cache.
static void idle_memory_is_bounded(void **state) {
  am_device *dev = open_device("ref");
  for (int64_t count = 1000; count < 60000; count += 997) {
    am_tensor *t = NULL;
    am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(count), &t));
    am_tensor_release(t);
    am_device_memory now = am_device_memory_now(dev);
    assert_true(now.cached_bytes <= 2 * now.peak_bytes);
  }
  am_device_close(dev);
}

static void layouts_keep_the_values(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *x = counting(dev, AM_SHAPE(2, 32, 3, 5)), *blocked = NULL, *nhwc = NULL, *plain = NULL;
  am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){AM_LAYOUT_C16}, &x, &blocked));
  assert_int_equal(blocked->layout, AM_LAYOUT_C16);
  assert_counting(blocked, 0);
  const float *bytes = am_tensor_as_view(blocked).data;
  assert_true(bytes[1] == 15 && bytes[16] == 1);  // (0, 1, 0, 0), then (0, 0, 0, 1)
  am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){AM_LAYOUT_NHWC}, &blocked, &nhwc));
  bytes = am_tensor_as_view(nhwc).data;
  assert_true(bytes[1] == 15 && bytes[32] == 1);
  am_ok(am_tensor_plain(nhwc, &plain));
  assert_int_equal(plain->layout, AM_LAYOUT_PLAIN);
  assert_counting(plain, 0);
  am_tensor *again = NULL;
  am_ok(am_tensor_plain(plain, &again));
  assert_ptr_equal(again, plain);
  am_tensor_release(again);
  am_fails(am_tensor_view(nhwc, 0, AM_SHAPE(4), &again), AM_ERR_ARG, "only a plain tensor");
  am_tensor_release(plain);
  am_tensor_release(nhwc);
  am_tensor_release(blocked);
  am_tensor_release(x);
  am_device_close(dev);
}

// ref asks for plain inputs: dispatch reorders what is not.
static void dispatch_reorders_inputs(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *x = counting(dev, AM_SHAPE(1, 16, 2, 3)), *nhwc = NULL, *y = NULL;
  am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){AM_LAYOUT_NHWC}, &x, &nhwc));
  am_unary_desc plus_one = {.kind = AM_UN_AFFINE, .a = 1, .b = 1};
  am_ok(am_dispatch(dev, AM_OP_unary, &plus_one, &nhwc, &y));
  assert_counting(y, 1);
  am_tensor_release(y);
  am_tensor_release(nhwc);
  am_tensor_release(x);
  am_device_close(dev);
}

static void elementwise_ops_keep_a_layout(void **state) {
  am_shape image = AM_SHAPE(2, 16, 4, 4);
  am_view in[2] = {{.layout = AM_LAYOUT_C16, .shape = image}, {.layout = AM_LAYOUT_PLAIN, .shape = image}};
  am_view out[1] = {{.shape = image}};
  am_layout_default(AM_OP_binary, in, out);
  assert_int_equal(in[1].layout, AM_LAYOUT_C16);
  assert_int_equal(out->layout, AM_LAYOUT_C16);
  in[1] = (am_view){.layout = AM_LAYOUT_NHWC, .shape = AM_SHAPE(1, 16, 1, 1)};
  am_layout_default(AM_OP_binary, in, out);
  assert_int_equal(in[0].layout, AM_LAYOUT_C16);
  assert_int_equal(in[1].layout, AM_LAYOUT_PLAIN);
  assert_int_equal(out->layout, AM_LAYOUT_C16);
  in[1] = (am_view){.shape = AM_SHAPE(4, 1)};
  am_layout_default(AM_OP_binary, in, out);
  assert_int_equal(in[0].layout, AM_LAYOUT_PLAIN);
  assert_int_equal(out->layout, AM_LAYOUT_PLAIN);
  assert_true(am_layout_same_bytes(AM_SHAPE(3, 32, 1, 1), AM_LAYOUT_C16, AM_LAYOUT_PLAIN));
  assert_false(am_layout_same_bytes(image, AM_LAYOUT_C16, AM_LAYOUT_NHWC));
}

static void updates_in_place_do_not_overlap(void **state) {
  am_device *dev = open_device("ref");
  am_tensor *base = counting(dev, AM_SHAPE(8)), *low = NULL, *high = NULL, *middle = NULL;
  am_ok(am_tensor_view(base, 0, AM_SHAPE(4), &low));
  am_ok(am_tensor_view(base, 4, AM_SHAPE(4), &high));
  am_ok(am_tensor_view(base, 2, AM_SHAPE(4), &middle));
  am_axpby_desc sum = {.a = 1, .b = 1};
  am_ok(am_dispatch(dev, AM_OP_axpby, &sum, &low, &high));
  am_fails(am_dispatch(dev, AM_OP_axpby, &sum, &middle, &high), AM_ERR_ARG, "shares memory");
  float value[4];
  am_ok(am_tensor_to_host(high, value));
  assert_true(value[0] == 4 && value[3] == 10);
  am_tensor_release(low);
  am_tensor_release(high);
  am_tensor_release(middle);
  am_tensor_release(base);
  am_device_close(dev);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(broadcasts_as_numpy),
    cmocka_unit_test(names_shapes),
    cmocka_unit_test(refuses_shapes_that_are_none),
    cmocka_unit_test(says_which_devices_there_are),
    cmocka_unit_test(views_share_memory),
    cmocka_unit_test(gives_the_single_element),
    cmocka_unit_test(recycles_memory),
    cmocka_unit_test(rounds_sizes_up_a_little),
    cmocka_unit_test(idle_memory_is_bounded),
    cmocka_unit_test(layouts_keep_the_values),
    cmocka_unit_test(dispatch_reorders_inputs),
    cmocka_unit_test(elementwise_ops_keep_a_layout),
    cmocka_unit_test(updates_in_place_do_not_overlap),
  };
  return cmocka_run_group_tests_name("tensor", tests, NULL, NULL);
}
