// A profile on a device: every op's calls, bytes and operations counted exactly, its time once.
#include "am_test.h"
#include "tensor/profile.h"

typedef struct {
  am_device *dev;
  am_profile profile;
} fixture;

static void begin(fixture *f, const char *kind) {
  *f = (fixture){.profile = {.flops_per_sec = {[AM_F32] = 1e9}, .bytes_per_sec = 1e9}};
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &f->dev));
}

static void end(fixture *f) { am_device_close(f->dev); }

static am_tensor *zeros(fixture *f, am_shape shape, am_layout layout) {
  am_tensor *plain = NULL, *t = NULL;
  am_ok(am_tensor_zeros(f->dev, AM_F32, shape, &plain));
  am_ok(am_dispatch(f->dev, AM_OP_reorder, &(am_layout_desc){layout}, &plain, &t));
  am_tensor_release(plain);
  return t;
}

// Counts one op of these operands alone; the result is dropped.
static am_tally count(fixture *f, am_op op, const void *desc, am_tensor *p, am_tensor *q) {
  am_tensor *in[] = {p, q}, *out[AM_OP_MAX_OUTPUTS] = {0};
  am_device_profile(f->dev, &f->profile);
  am_ok(am_dispatch(f->dev, op, desc, in, out));
  am_device_profile(f->dev, NULL);
  for (int i = 0; i < am_op_outputs(op); i++) am_tensor_release(out[i]);
  return f->profile.op[op];
}

static void counts_convolutions(void **state) {
  fixture f;
  begin(&f, "ref");
  // 2 images 6 x 5, 4 to 6 channels in 2 groups, kernel 3 x 1, stride 2 x 1, pad 1 x 0: 3 x 5 out
  const am_conv2d_desc d = {.stride_h = 2, .stride_w = 1, .pad_h = 1, .groups = 2, .in_h = 6, .in_w = 5,
                            .kernel_h = 3, .kernel_w = 1};
  enum { X = 2 * 4 * 6 * 5, W = 6 * 2 * 3 * 1, Y = 2 * 6 * 3 * 5, FLOPS = 2 * Y * (2 * 3 * 1) };
  am_tensor *x = zeros(&f, AM_SHAPE(2, 4, 6, 5), AM_LAYOUT_PLAIN), *w = zeros(&f, AM_SHAPE(6, 2, 3, 1), AM_LAYOUT_PLAIN);
  am_tensor *y = zeros(&f, AM_SHAPE(2, 6, 3, 5), AM_LAYOUT_PLAIN);
  const am_tally all[] = {count(&f, AM_OP_conv2d, &d, x, w), count(&f, AM_OP_conv2d_grad_input, &d, y, w),
                          count(&f, AM_OP_conv2d_grad_weight, &d, y, x)};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(all[i].calls, 1);
    assert_int_equal(all[i].flops, FLOPS);
    assert_int_equal(all[i].bytes, 4 * (X + W + Y));
    assert_true(fabs(all[i].floor_sec - 1e-9 * FLOPS) < 1e-15);  // 2160, more than the 1824 bytes
  }
  assert_int_equal(am_profile_family(&f.profile, AM_FAMILY_CONV_DATA).flops, FLOPS);
  am_tensor_release(x);
  am_tensor_release(w);
  am_tensor_release(y);
  end(&f);
}

static void counts_products_and_updates(void **state) {
  fixture f;
  begin(&f, "ref");
  am_tensor *a = zeros(&f, AM_SHAPE(300, 200), AM_LAYOUT_PLAIN), *b = zeros(&f, AM_SHAPE(300, 100), AM_LAYOUT_PLAIN);
  am_tally product = count(&f, AM_OP_matmul, &(am_matmul_desc){.transpose_a = true}, a, b);
  assert_int_equal(product.flops, 2 * 200 * 100 * 300);
  assert_int_equal(product.bytes, 4 * (300 * 200 + 300 * 100 + 200 * 100));
  assert_true(fabs(product.floor_sec - 1e-9 * 2 * 200 * 100 * 300) < 1e-15);

  am_tensor *grad = zeros(&f, AM_SHAPE(50), AM_LAYOUT_PLAIN), *param = zeros(&f, AM_SHAPE(50), AM_LAYOUT_PLAIN);
  am_tensor *momentum = zeros(&f, AM_SHAPE(50), AM_LAYOUT_PLAIN), *out[] = {param, momentum};
  am_device_profile(f.dev, &f.profile);
  am_ok(am_dispatch(f.dev, AM_OP_sgd_step, &(am_sgd_desc){.lr = 1, .momentum = 0.9, .step = 1}, &grad, out));
  am_ok(am_dispatch(f.dev, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &grad, &param));            // written
  am_ok(am_dispatch(f.dev, AM_OP_axpby, &(am_axpby_desc){.a = 1, .b = 1}, &grad, &momentum));  // and read
  am_device_profile(f.dev, NULL);
  assert_int_equal(am_profile_family(&f.profile, AM_FAMILY_UPDATE).bytes, 4 * 50 * 5);
  assert_int_equal(f.profile.op[AM_OP_axpby].bytes, 4 * 50 * (2 + 3));
  am_tensor *all[] = {a, b, grad, param, momentum};
  for (int i = 0; i < 5; i++) am_tensor_release(all[i]);
  end(&f);
}

static void counts_what_is_read_of_rows(void **state) {
  fixture f;
  begin(&f, "ref");
  am_tensor *x = zeros(&f, AM_SHAPE(1000, 3), AM_LAYOUT_PLAIN), *index = NULL;
  am_ok(am_tensor_from_host(f.dev, AM_I32, AM_SHAPE(2), (int32_t[]){7, 999}, &index));
  assert_int_equal(count(&f, AM_OP_gather_rows, NULL, x, index).bytes, 4 * (2 + 6 + 6));
  assert_int_equal(count(&f, AM_OP_slice, &(am_slice_desc){.stop = 10}, x, NULL).bytes, 4 * (30 + 30));
  am_tensor_release(x);
  am_tensor_release(index);
  end(&f);
}

// Resampling is a family of its own, which memory bounds: its floor is the time of its bytes.
static void counts_resampling(void **state) {
  fixture f;
  begin(&f, "ref");
  f.profile.bytes_per_sec = 1e8;
  am_tensor *x = zeros(&f, AM_SHAPE(2, 3, 4, 5), AM_LAYOUT_PLAIN), *filter = zeros(&f, AM_SHAPE(4, 4), AM_LAYOUT_PLAIN);
  const am_resample2d_desc d = {.out_h = 8, .out_w = 10, .in_h = 2, .in_w = 1};
  const am_upfirdn2d_desc half = {.down_h = 2, .down_w = 2, .pad_top = 2, .pad_left = 2};  // 2 x 2 out
  const am_tally all[] = {count(&f, AM_OP_resample2d, &d, x, NULL), count(&f, AM_OP_resample2d_grad, &d, x, NULL),
                          count(&f, AM_OP_upfirdn2d, &half, x, filter)};
  const int64_t bytes[] = {4 * (120 + 480), 4 * (120 + 12), 4 * (120 + 16 + 24)};
  for (int i = 0; i < 3; i++) {
    assert_int_equal(all[i].flops, 0);
    assert_int_equal(all[i].bytes, bytes[i]);
    assert_true(fabs(all[i].floor_sec - 1e-8 * (double)bytes[i]) < 1e-14);
  }
  assert_int_equal(am_profile_family(&f.profile, AM_FAMILY_RESAMPLE).bytes, bytes[0] + bytes[1] + bytes[2]);
  am_tensor_release(x);
  am_tensor_release(filter);
  end(&f);
}

// One pass over memory, among the elementwise ops.
static void counts_dropout(void **state) {
  fixture f;
  begin(&f, "ref");
  am_tensor *x = zeros(&f, AM_SHAPE(40, 5), AM_LAYOUT_PLAIN);
  count(&f, AM_OP_dropout, &(am_dropout_desc){.p = 0.5}, x, NULL);
  const am_tally family = am_profile_family(&f.profile, AM_FAMILY_ELEMENTWISE);
  assert_int_equal(family.calls, 1);
  assert_int_equal(family.bytes, 4 * 2 * 40 * 5);
  am_tensor_release(x);
  end(&f);
}

// An operand in another layout sets off a reorder, which counts for itself.
static void times_every_op_once(void **state) {
  fixture f;
  begin(&f, "cpu");
  am_tensor *x = zeros(&f, AM_SHAPE(8, 16, 20, 20), AM_LAYOUT_C16);
  count(&f, AM_OP_permute, &(am_permute_desc){{1, 0, 2, 3}}, x, NULL);
  assert_int_equal(f.profile.op[AM_OP_permute].calls, 1);
  assert_int_equal(f.profile.op[AM_OP_reorder].calls, 1);
  double sum = 0;
  for (int op = 0; op < AM_OP_COUNT; op++) {
    assert_true(f.profile.op[op].sec >= 0);
    sum += f.profile.op[op].sec;
  }
  assert_true(f.profile.dispatch_sec > 0 && fabs(sum - f.profile.dispatch_sec) <= 1e-12 + 1e-9 * sum);
  double families = 0;
  for (int k = 0; k < AM_FAMILY_COUNT; k++) families += am_profile_family(&f.profile, (am_op_family)k).sec;
  assert_true(fabs(families - sum) <= 1e-12 + 1e-9 * sum);
  am_tensor_release(x);
  end(&f);
}

static void counts_nothing_when_detached_or_failed(void **state) {
  fixture f;
  begin(&f, "ref");
  am_tensor *a = zeros(&f, AM_SHAPE(2, 3), AM_LAYOUT_PLAIN), *out = NULL, *in[] = {a, a};
  am_device_profile(f.dev, &f.profile);
  am_fails(am_dispatch(f.dev, AM_OP_matmul, &(am_matmul_desc){0}, in, &out), AM_ERR_ARG, "matmul");
  am_device_profile(f.dev, NULL);
  am_ok(am_dispatch(f.dev, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_ABS}, &a, &out));
  for (int op = 0; op < AM_OP_COUNT; op++) assert_int_equal(f.profile.op[op].calls, 0);
  am_tensor_release(out);
  am_tensor_release(a);
  end(&f);
}

// Where the device keeps time (tests/on_host/sealed.c: a quarter of a second for every op), the host's is not counted.
static void takes_the_time_of_the_device(void **state) {
  fixture f;
  char path[4096];
  am_test_plugins("on_host/sealed", path);
  begin(&f, "cuda");
  am_tensor *x = zeros(&f, AM_SHAPE(2, 16, 3, 3), AM_LAYOUT_PLAIN);
  const am_layout_desc to = {AM_LAYOUT_NHWC};
  assert_true(count(&f, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_ABS}, x, NULL).sec == 0.25);
  assert_true(count(&f, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_ABS}, x, NULL).sec == 0.5);
  assert_true(count(&f, AM_OP_reorder, &to, x, NULL).sec == 0.25);
  assert_true(f.profile.dispatch_sec == 0.75);
  am_tensor_release(x);
  end(&f);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(counts_convolutions),       cmocka_unit_test(counts_products_and_updates),
      cmocka_unit_test(counts_what_is_read_of_rows), cmocka_unit_test(counts_dropout), cmocka_unit_test(times_every_op_once),
      cmocka_unit_test(counts_resampling),
      cmocka_unit_test(counts_nothing_when_detached_or_failed), cmocka_unit_test(takes_the_time_of_the_device),
  };
  return cmocka_run_group_tests_name("profile", tests, NULL, NULL);
}
