// Ops of the cpu backend on blocked and plain images, odd sizes and channel counts, against ref.
#include "cpu_compare.h"

static const am_shape blocked_shape = {4, {3, 32, 7, 5}}, plain_shape = {4, {3, 13, 7, 5}};

static am_shape channels_of(am_shape s) { return AM_SHAPE(s.dim[1]); }

// Calls fn for both kinds of image.
static void both(cpu_pair *p, void (*fn)(cpu_pair *, am_shape, am_layout)) {
  fn(p, blocked_shape, AM_LAYOUT_C16);
  fn(p, plain_shape, AM_LAYOUT_PLAIN);
}

static void elementwise_on(cpu_pair *p, am_shape s, am_layout layout) {
  const am_shape q[] = {s, AM_SHAPE(1, s.dim[1], 1, 1), AM_SHAPE(3, s.dim[1], 1, 1), AM_SHAPE_SCALAR,
                        AM_SHAPE(7, 1), AM_SHAPE(3, 1, 1, 1), AM_SHAPE(1, 1, 7, 5), AM_SHAPE(s.dim[1], 1, 1)};
  for (am_unary_kind kind = AM_UN_AFFINE; kind <= AM_UN_STEP; kind++) {
    const bool positive =
        kind == AM_UN_LOG || kind == AM_UN_SQRT || kind == AM_UN_RSQRT || kind == AM_UN_RECIP;
    float *value = normals(am_shape_count(s), 9, 0);
    for (int64_t i = 0; positive && i < am_shape_count(s); i++) value[i] = fabsf(value[i]) + 0.01f;
    const operand x[] = {{s, layout, value}};
    compare(p, AM_OP_unary, &(am_unary_desc){kind, 0.25, 0.75}, x, 1e-5);
    free(value);
  }
  for (am_binary_kind kind = AM_BIN_ADD; kind <= AM_BIN_SIGMOID_GRAD; kind++) {
    for (int64_t i = 0; i < AM_COUNT_OF(q); i++) {
      const operand in[] = {{s, layout, NULL}, {q[i], i == 0 ? layout : AM_LAYOUT_PLAIN, NULL}};
      const operand turned[] = {in[1], in[0]}, mixed[] = {in[0], plain(q[i])};
      compare(p, AM_OP_binary, &(am_binary_desc){kind, 0.2}, in, 1e-5);
      compare(p, AM_OP_binary, &(am_binary_desc){kind, 0.2}, turned, 1e-5);
      if (i == 0) compare(p, AM_OP_binary, &(am_binary_desc){kind, 0.2}, mixed, 1e-5);
    }
  }
}

static void elementwise_agrees(void **state) {
  cpu_pair p = open_pair(1);
  both(&p, elementwise_on);
  close_pair(&p);
}

static void reductions_on(cpu_pair *p, am_shape s, am_layout layout) {
  const operand x[] = {{s, layout, NULL}};
  for (unsigned axes = 0; axes < 16; axes++) {
    compare(p, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, axes}, x, 1e-6);
    compare(p, AM_OP_reduce, &(am_reduce_desc){AM_RED_MAX, axes}, x, 0);
  }
  for (int axis = 0; axis < 4; axis++)
    compare(p, AM_OP_reduce, &(am_reduce_desc){AM_RED_ARGMAX, 1u << axis}, x, 0);
}

static void reductions_agree(void **state) {
  cpu_pair p = open_pair(1);
  both(&p, reductions_on);
  const operand long_rows[] = {plain(AM_SHAPE(3, 100003))}, wide[] = {plain(AM_SHAPE(50, 1001))};
  compare(&p, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, 2}, long_rows, 1e-6);
  compare(&p, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, 3}, long_rows, 1e-6);
  compare(&p, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, 1}, wide, 1e-6);
  close_pair(&p);
}

static void pooling_on(cpu_pair *p, am_shape s, am_layout layout) {
  const am_pool2d_desc cases[] = {
      {.kernel_h = 2, .kernel_w = 2, .in_h = 7, .in_w = 5},
      {.kernel_h = 3,
       .kernel_w = 3,
       .stride_h = 2,
       .stride_w = 2,
       .pad_h = 1,
       .pad_w = 1,
       .in_h = 7,
       .in_w = 5},
      {.kernel_h = 3,
       .kernel_w = 2,
       .stride_h = 1,
       .stride_w = 3,
       .pad_h = 1,
       .include_pad = true,
       .in_h = 7,
       .in_w = 5},
      {.kernel_h = 7, .kernel_w = 5, .in_h = 7, .in_w = 5},
  };
  for (int64_t i = 0; i < AM_COUNT_OF(cases); i++) {
    const am_pool2d_desc d = cases[i];
    const operand x[] = {{s, layout, NULL}};
    am_tensor *in[1], *out[2];
    am_ok(am_tensor_zeros(p->ref, AM_F32, s, &in[0]));
    am_ok(am_dispatch(p->ref, AM_OP_max_pool2d, &d, in, out));
    compare(p, AM_OP_max_pool2d, &d, x, 0);
    compare(p, AM_OP_avg_pool2d, &d, x, 1e-6);
    const am_shape small = out[0]->shape;
    const bool one_place = small.dim[2] * small.dim[3] == 1;
    const operand dy[] = {{small, one_place ? AM_LAYOUT_PLAIN : layout, NULL}};
    compare(p, AM_OP_avg_pool2d_grad, &d, dy, 1e-6);
    am_tensor_release(in[0]);
    for (int k = 0; k < 2; k++) am_tensor_release(out[k]);
  }
}

static void pooling_agrees(void **state) {
  cpu_pair p = open_pair(1);
  both(&p, pooling_on);
  close_pair(&p);
}

// What max_pool2d chose on the cpu, gathered and scattered there, in the layout that it chose.
static void index_on(cpu_pair *p, am_shape s, am_layout layout) {
  const am_pool2d_desc d = {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1,
                            .pad_w = 1, .in_h = s.dim[2], .in_w = s.dim[3]};
  float *value = normals(am_shape_count(s), 5, 0);
  am_tensor *pooled[2][2], *gathered[2], *scattered[2];
  for (int k = 0; k < 2; k++) {
    am_device *dev = k ? p->ref : p->cpu;
    am_tensor *x = put(dev, s, value, k ? AM_LAYOUT_PLAIN : layout);
    am_ok(am_dispatch(dev, AM_OP_max_pool2d, &d, &x, pooled[k]));
    am_ok(am_dispatch(dev, AM_OP_pool_gather, &d, (am_tensor *[]){x, pooled[k][1]}, &gathered[k]));
    am_ok(am_dispatch(dev, AM_OP_pool_scatter, &d, pooled[k], &scattered[k]));
    am_tensor_release(x);
  }
  assert_near(pooled[0][1], pooled[1][1], 0, "index");
  assert_near(gathered[0], pooled[0][0], 0, "pool_gather");
  assert_near(scattered[0], scattered[1], 1e-6, "pool_scatter");
  for (int k = 0; k < 2; k++) {
    am_tensor_release(gathered[k]);
    am_tensor_release(scattered[k]);
    for (int i = 0; i < 2; i++) am_tensor_release(pooled[k][i]);
  }
  free(value);
}

static void indices_agree(void **state) {
  cpu_pair p = open_pair(1);
  both(&p, index_on);
  const am_pool2d_desc d = {.kernel_h = 2, .kernel_w = 2, .in_h = 4, .in_w = 4};
  am_tensor *in[2] = {put(p.cpu, AM_SHAPE(1, 1, 2, 2), (float[]){1, 2, 3, 4}, AM_LAYOUT_PLAIN)}, *out = NULL;
  am_ok(am_tensor_from_host(p.cpu, AM_I32, AM_SHAPE(1, 1, 2, 2), (int32_t[]){0, 3, 16, 7}, &in[1]));
  am_fails(am_dispatch(p.cpu, AM_OP_pool_scatter, &d, in, &out), AM_ERR_ARG, "outside its plane of 16");
  for (int i = 0; i < 2; i++) am_tensor_release(in[i]);
  close_pair(&p);
}

// A channel far from zero loses nothing: its deviation is 1, its mean 1000.
static void normalisation_on(cpu_pair *p, am_shape s, am_layout layout) {
  for (double mean = 0; mean <= 1000; mean += 1000) {
    float *x = normals(am_shape_count(s), 3, mean);
    const am_shape c = channels_of(s);
    float *spread = normals(am_shape_count(c), 4, 3);
    for (int64_t i = 0; i < am_shape_count(c); i++) spread[i] = fabsf(spread[i]) + 0.1f;
    const operand norm[] = {{s, layout, x}, plain(c), plain(c)},
                  affine[] = {{s, layout, x}, plain(c), plain(c)};
    const operand grad[] = {
        {s, layout, NULL}, {s, layout, NULL}, plain(c), plain(c), plain(c), {c, AM_LAYOUT_PLAIN, spread}};
    const operand mixed[] = {plain(s), {s, layout, NULL}, plain(c), plain(c), plain(c), {c, AM_LAYOUT_PLAIN, spread}};
    const operand behind[] = {{s, layout, x}, plain(c), plain(c), plain(s)};
    const operand split[] = {plain(s), {s, layout, NULL}, plain(s), plain(c), plain(c), {c, AM_LAYOUT_PLAIN, spread}};
    // x itself is rounded to 6e-5 at 1000.
    compare(p, AM_OP_batch_norm, &(am_norm_desc){.eps = 1e-5}, norm, mean ? 2e-4 : 3e-6);
    compare(p, AM_OP_scale_shift, NULL, affine, 1e-5);
    compare(p, AM_OP_batch_norm_grad, &(am_norm_desc){.eps = 1e-5}, grad, 1e-5);
    compare(p, AM_OP_batch_norm_grad, &(am_norm_desc){.eps = 1e-5}, mixed, 1e-5);
    compare(p, AM_OP_batch_norm_add, &(am_norm_desc){1e-5, {.on = true}}, behind, mean ? 2e-4 : 3e-6);
    compare(p, AM_OP_bias_act, &(am_activation){.on = true}, affine, 1e-5);
    compare(p, AM_OP_bias_act_grad, &(am_activation){.on = true}, mixed, 1e-5);
    compare(p, AM_OP_batch_norm_add_grad, &(am_norm_desc){1e-5, {.on = true}}, split, 1e-5);
    free(x);
    free(spread);
  }
}

static void normalisation_agrees(void **state) {
  cpu_pair p = open_pair(1);
  both(&p, normalisation_on);
  normalisation_on(&p, AM_SHAPE(40, 6), AM_LAYOUT_PLAIN);
  normalisation_on(&p, AM_SHAPE(4, 6, 50), AM_LAYOUT_PLAIN);
  normalisation_on(&p, AM_SHAPE(1, 16, 4, 4), AM_LAYOUT_PLAIN);
  close_pair(&p);
}

// The same bits whatever the threads: what is reduced here is reduced in fixed pieces.
static void threads_change_nothing(void **state) {
  const am_shape s = AM_SHAPE(16, 64, 17, 17), c = channels_of(s);
  float *x = normals(am_shape_count(s), 1, 0.3), *gamma = normals(am_shape_count(c), 2, 1);
  float *got[2][5];
  for (int threads = 1; threads <= 2; threads++) {
    cpu_pair p = open_pair(threads);
    am_tensor *in[5] = {put(p.cpu, s, x, AM_LAYOUT_C16), put(p.cpu, c, gamma, AM_LAYOUT_PLAIN)}, *out[3],
              *sum, *grad[3];
    in[2] = am_tensor_retain(in[1]);
    am_ok(am_dispatch(p.cpu, AM_OP_batch_norm, &(am_norm_desc){.eps = 1e-5}, in, out));
    am_ok(am_dispatch(p.cpu, AM_OP_batch_norm_grad, &(am_norm_desc){.eps = 1e-5},
                      (am_tensor *[]){out[0], in[0], in[1], in[1], out[1], out[2]}, grad));
    am_ok(am_dispatch(p.cpu, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, 13}, in, &sum));
    am_tensor *results[] = {out[0], out[1], out[2], grad[0], sum};
    for (int i = 0; i < 5; i++) {
      am_ok(AM_NEW_ARRAY(&got[threads - 1][i], am_tensor_count(results[i])));
      am_ok(am_tensor_to_host(results[i], got[threads - 1][i]));
      if (threads == 2) {
        assert_memory_equal(got[0][i], got[1][i], (size_t)am_tensor_count(results[i]) * sizeof(float));
        free(got[0][i]);
        free(got[1][i]);
      }
    }
    for (int i = 0; i < 3; i++) {
      am_tensor_release(in[i]);
      am_tensor_release(out[i]);
      am_tensor_release(grad[i]);
    }
    am_tensor_release(sum);
    close_pair(&p);
  }
  free(x);
  free(gamma);
}

// Images lie as they did when they have another size, and threads change no bit of them.
static void resampled_on(am_layout layout, am_op op, const void *desc) {
  const am_shape s = AM_SHAPE(3, 32, 17, 19), taps = AM_SHAPE(4, 3);
  float *x = normals(am_shape_count(s), 1, 0), *filter = normals(am_shape_count(taps), 2, 0), *got[2];
  int64_t count = 0;
  for (int k = 0; k < 2; k++) {
    cpu_pair p = open_pair(k + 1);
    am_tensor *in[] = {put(p.cpu, s, x, layout), put(p.cpu, taps, filter, AM_LAYOUT_PLAIN)}, *out = NULL;
    am_ok(am_dispatch(p.cpu, op, desc, in, &out));
    assert_int_equal(out->layout, layout);
    count = am_tensor_count(out);
    am_ok(AM_NEW_ARRAY(&got[k], count));
    am_ok(am_tensor_to_host(out, got[k]));
    am_tensor *all[] = {in[0], in[1], out};
    for (int i = 0; i < 3; i++) am_tensor_release(all[i]);
    close_pair(&p);
  }
  assert_memory_equal(got[0], got[1], (size_t)count * sizeof(float));
  for (int k = 0; k < 2; k++) free(got[k]);
  free(x);
  free(filter);
}

static void resampling_keeps_layouts_and_bits(void **state) {
  const am_layout layouts[] = {AM_LAYOUT_PLAIN, AM_LAYOUT_C16};
  for (int i = 0; i < 2; i++) {
    for (int kind = AM_RESAMPLE_NEAREST; kind <= AM_RESAMPLE_BILINEAR; kind++) {
      const am_resample2d_desc d = {(am_resample_kind)kind, 34, 38, 9, 12};
      resampled_on(layouts[i], AM_OP_resample2d, &d);
      resampled_on(layouts[i], AM_OP_resample2d_grad, &d);
    }
    const am_upfirdn2d_desc d = {.up_h = 2, .up_w = 3, .down_w = 2, .pad_top = 2, .pad_left = 1};
    resampled_on(layouts[i], AM_OP_upfirdn2d, &d);
  }
}

// What underflows in a product or an update is zero, on every thread; elementwise ops keep it, and so
// does the caller.
static void tiny_numbers_count_as_zero(void **state) {
  enum { ROWS = 400, COLS = 500 };
  const am_shape s = AM_SHAPE(ROWS, COLS), one = AM_SHAPE(1, 1);
  float *tiny = NULL, *got = NULL;
  am_ok(AM_NEW_ARRAY(&tiny, ROWS * COLS));
  am_ok(AM_NEW_ARRAY(&got, ROWS * COLS));
  for (int64_t i = 0; i < ROWS * COLS; i++) tiny[i] = 1e-30f;
  for (int threads = 1; threads <= 2; threads++) {
    cpu_pair p = open_pair(threads);
    am_tensor *x = put(p.cpu, s, tiny, AM_LAYOUT_PLAIN),
              *scale = put(p.cpu, one, (float[]){1e-10f}, AM_LAYOUT_PLAIN);
    am_tensor *scaled = NULL, *column = put(p.cpu, AM_SHAPE(ROWS * COLS, 1), tiny, AM_LAYOUT_PLAIN),
              *product = NULL;
    am_ok(am_dispatch(p.cpu, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_AFFINE, .a = 1e-10}, &x, &scaled));
    am_ok(am_dispatch(p.cpu, AM_OP_matmul, NULL, (am_tensor *[]){column, scale}, &product));
    am_ok(am_tensor_to_host(product, got));
    for (int64_t i = 0; i < ROWS * COLS; i++) assert_true(got[i] == 0);
    am_ok(am_tensor_to_host(scaled, got));
    for (int64_t i = 0; i < ROWS * COLS; i++) assert_true(got[i] > 0);
    volatile float outside = tiny[0];
    outside *= 1e-10f;
    assert_true(outside > 0);
    am_tensor *all[] = {x, scale, scaled, column, product};
    for (int i = 0; i < 5; i++) am_tensor_release(all[i]);
    close_pair(&p);
  }
  free(tiny);
  free(got);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(elementwise_agrees),   cmocka_unit_test(reductions_agree),
      cmocka_unit_test(pooling_agrees),       cmocka_unit_test(indices_agree),
      cmocka_unit_test(normalisation_agrees), cmocka_unit_test(threads_change_nothing),
      cmocka_unit_test(resampling_keeps_layouts_and_bits), cmocka_unit_test(tiny_numbers_count_as_zero),
  };
  return cmocka_run_group_tests_name("cpu_layouts", tests, NULL, NULL);
}
