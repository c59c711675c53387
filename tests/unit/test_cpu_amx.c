// Convolutions on AMX tiles, called directly, against sums of products in f64 on the same bf16 numbers: every way that
// the left factor is made, parts of strided gradients, borders, tails; the same bits with two threads.
#include "backend/cpu/cpu_bf16.h"
#include "cpu_compare.h"

typedef struct {
  int64_t n, ci, h, w, co, kh, kw, stride_h, stride_w, pad_h, pad_w;
} shape_case;

// ci and co are multiples of 32 where a product runs along them.
static const shape_case cases[] = {
    {1, 32, 1, 1, 1, 1, 1, 1, 1, 0, 0},      // a single place and channel
    {2, 64, 5, 7, 32, 1, 1, 1, 1, 0, 0},     // DIRECT, 70 places: the last tile is not full
    {1, 1024, 7, 5, 64, 1, 1, 1, 1, 0, 0},   // in two pieces
    {3, 64, 9, 6, 96, 1, 1, 2, 2, 0, 0},     // every second pixel
    {2, 64, 31, 29, 32, 3, 3, 1, 1, 1, 1},   // PADDED, several chunks an image
    {2, 96, 8, 9, 40, 3, 3, 1, 1, 1, 1},     // 40 channels: a block that is not full
    {3, 256, 4, 4, 512, 3, 3, 1, 1, 1, 1},   // GATHERED for its borders, cut into pieces
    {2, 32, 6, 5, 64, 3, 3, 1, 1, 0, 0},     // no pad
    {2, 32, 6, 5, 64, 5, 3, 1, 1, 4, 2},     // as much pad as a kernel may have
    {2, 64, 13, 12, 64, 3, 3, 2, 2, 1, 1},   // strided, odd and even sides
    {1, 32, 12, 13, 32, 7, 7, 2, 2, 3, 3},
    {2, 32, 11, 10, 32, 5, 4, 3, 2, 2, 1},   // strides of their own
    {2, 32, 9, 9, 32, 2, 3, 3, 3, 0, 1},     // rows under no tap
    {1, 64, 2, 2, 64, 3, 3, 2, 2, 1, 1},
    {1, 32, 1, 6, 32, 3, 3, 1, 1, 1, 1},
    {5, 64, 7, 7, 64, 3, 3, 1, 1, 1, 1},     // several images in a chunk
    {9, 32, 14, 15, 32, 3, 3, 2, 2, 1, 1},
    {3, 64, 9, 9, 32, 5, 3, 3, 2, 2, 1},     // three planes of rows
    {2, 3, 33, 30, 64, 7, 7, 2, 2, 3, 3},    // a row of taps at once: photographs,
    {3, 3, 9, 8, 40, 3, 3, 1, 1, 1, 1},      // small ones, 40 channels
    {2, 1, 28, 28, 32, 5, 5, 1, 1, 0, 0},    // grey ones
    {2, 8, 11, 5, 32, 2, 4, 1, 3, 1, 2},
};

static am_cpu_conv conv_of(const shape_case *s) {
  return (am_cpu_conv){.n = s->n, .ci = s->ci, .h = s->h, .w = s->w, .co = s->co,
                       .ho = (s->h + 2 * s->pad_h - s->kh) / s->stride_h + 1,
                       .wo = (s->w + 2 * s->pad_w - s->kw) / s->stride_w + 1, .kh = s->kh, .kw = s->kw,
                       .stride_h = s->stride_h, .stride_w = s->stride_w, .pad_h = s->pad_h, .pad_w = s->pad_w,
                       .dilation_h = 1, .dilation_w = 1, .groups = 1, .bf16 = 1};
}

static float rounded(float v, am_bf16 *half) {
  const am_cpu_lanes lanes = {v};
  am_bf16 all[AM_CPU_LANES];
  am_cpu_narrow_any(&lanes, all);
  *half = all[0];
  const uint32_t bits = (uint32_t)all[0] << 16;
  memcpy(&v, &bits, sizeof v);
  return v;
}

// Normal numbers rounded to bf16, in both types.
static float *halves(int64_t count, uint64_t stream, am_bf16 **half) {
  float *value = normals(count, stream, 0);
  am_ok(AM_NEW_ARRAY(half, count));
  for (int64_t i = 0; i < count; i++) value[i] = rounded(value[i], *half + i);
  return value;
}

// The forward sums (transposed: the gradient's) of rows of channels, in f64.
static void sums(const am_cpu_conv *c, bool gradient, const float *from, const float *w, double *to) {
  for (int64_t place = 0; place < c->n * c->ho * c->wo; place++) {
    const int64_t n = place / (c->ho * c->wo), oy = place / c->wo % c->ho, ox = place % c->wo;
    for (int64_t tap = 0; tap < c->kh * c->kw; tap++) {
      const int64_t y = oy * c->stride_h - c->pad_h + tap / c->kw, x = ox * c->stride_w - c->pad_w + tap % c->kw;
      if (y < 0 || y >= c->h || x < 0 || x >= c->w) continue;
      const int64_t pixel = (n * c->h + y) * c->w + x;
      for (int64_t o = 0; o < c->co; o++) {
        for (int64_t i = 0; i < c->ci; i++) {
          const double weight = w[(o * c->ci + i) * c->kh * c->kw + tap];
          if (gradient) to[pixel * c->ci + i] += weight * from[place * c->co + o];
          else to[place * c->co + o] += weight * from[pixel * c->ci + i];
        }
      }
    }
  }
}

static am_cpu_amx_finish finish_of(int64_t channels, const am_bf16 *residual, float **scale, float **shift) {
  *scale = normals(channels, 71, 0);
  *shift = normals(channels, 72, 0);
  return (am_cpu_amx_finish){.scale = *scale, .shift = *shift, .residual = residual, .slope = 0.25f};
}

static void assert_rows(const am_bf16 *got, const double *expected, int64_t count, double depth) {
  for (int64_t i = 0; i < count; i++) {
    float value;
    const uint32_t bits = (uint32_t)got[i] << 16;
    memcpy(&value, &bits, sizeof value);
    // Half a unit of bf16's 8 bits, and what f32 loses in adding up.
    const double allowed = fabs(expected[i]) / 256 + 1e-6 * depth;
    if (!(fabs(value - expected[i]) <= allowed))
      fail_msg("element %lld is %g, expected %g", (long long)i, value, expected[i]);
  }
}

// Runs op on both contexts and compares; `finish` may be NULL.
static void check_op(am_cpu *const cpu[2], am_op op, const am_cpu_conv *c, const am_bf16 *from, const am_view *w,
                     const am_cpu_amx_finish *finish, const double *expected, int64_t count) {
  am_bf16 *got[2];
  for (int i = 0; i < 2; i++) {
    am_ok(AM_NEW_ARRAY(&got[i], count));
    memset(got[i], 0xff, (size_t)count * sizeof *got[i]);  // whatever is not written is a NaN
    am_ok(am_cpu_amx_rows(cpu[i], op, c, from, w, finish, got[i]));
  }
  assert_rows(got[0], expected, count, (double)(c->kh * c->kw * (op == AM_OP_conv2d_grad_input ? c->co : c->ci)));
  assert_memory_equal(got[0], got[1], (size_t)count * sizeof *got[0]);
  free(got[0]);
  free(got[1]);
}

static void check_forward(am_cpu *const cpu[2], const am_cpu_conv *c, const float *w, uint64_t stamp) {
  const int64_t count = c->n * c->ho * c->wo * c->co;
  am_bf16 *x, *residual;
  float *wide = halves(c->n * c->h * c->w * c->ci, 1, &x), *wide_residual = halves(count, 2, &residual), *scale, *shift;
  static const float slopes[] = {0.25f, 0, 1};
  double *expected = NULL, *finished = NULL;
  am_ok(AM_NEW_ARRAY(&expected, count));
  am_ok(AM_NEW_ARRAY(&finished, count));
  const am_view kernel = {.data = (void *)w, .dtype = AM_F32, .shape = AM_SHAPE(c->co, c->ci, c->kh, c->kw),
                          .stamp = stamp};
  am_cpu_amx_finish finish = finish_of(c->co, residual, &scale, &shift);
  sums(c, false, wide, w, expected);
  check_op(cpu, AM_OP_conv2d, c, x, &kernel, NULL, expected, count);
  for (int k = 0; k < 6; k++) {
    finish.slope = slopes[k / 2];
    finish.residual = k % 2 ? residual : NULL;
    for (int64_t i = 0; i < count; i++) {
      const double v = expected[i] * scale[i % c->co] + shift[i % c->co] + (k % 2 ? wide_residual[i] : 0);
      finished[i] = v > 0 ? v : v * finish.slope;
    }
    check_op(cpu, k % 2 ? AM_OP_conv2d_affine_add : AM_OP_conv2d_affine, c, x, &kernel, &finish, finished, count);
  }
  free(x);
  free(residual);
  free(wide);
  free(wide_residual);
  free(scale);
  free(shift);
  free(expected);
  free(finished);
}

static void check_gradient(am_cpu *const cpu[2], const am_cpu_conv *c, const float *w) {
  const int64_t count = c->n * c->h * c->w * c->ci;
  am_bf16 *dy;
  float *wide = halves(c->n * c->ho * c->wo * c->co, 3, &dy);
  double *expected = NULL;
  am_ok(AM_NEW_ARRAY(&expected, count));
  const am_view kernel = {.data = (void *)w, .dtype = AM_F32, .shape = AM_SHAPE(c->co, c->ci, c->kh, c->kw)};
  sums(c, true, wide, w, expected);
  check_op(cpu, AM_OP_conv2d_grad_input, c, dy, &kernel, NULL, expected, count);
  free(dy);
  free(wide);
  free(expected);
}

// Contexts with one thread and with two.
static void open_both(am_cpu *cpu[2]) {
  for (int i = 0; i < 2; i++) {
    void *ctx = NULL;
    am_ok(am_backend_cpu.open(&(am_device_cfg){.kind = "cpu", .threads = i + 1}, &ctx));
    cpu[i] = ctx;
  }
}

static void close_both(am_cpu *cpu[2]) {
  for (int i = 0; i < 2; i++) am_backend_cpu.close(cpu[i]);
}

static void sums_agree(void **state) {
  am_cpu *cpu[2];
  open_both(cpu);
  const bool tiles = cpu[0]->amx;
  if (!tiles) close_both(cpu);
  if (!tiles) skip();
  for (int64_t i = 0; i < AM_COUNT_OF(cases); i++) {
    const am_cpu_conv c = conv_of(&cases[i]);
    am_bf16 *half;
    float *w = halves(c.co * c.ci * c.kh * c.kw, 4, &half);
    print_message("# %lld channels, %lldx%lld taps, to %lld\n", (long long)c.ci, (long long)c.kh, (long long)c.kw,
                  (long long)c.co);
    check_forward(cpu, &c, w, 0);
    if (c.co % 32 == 0) check_gradient(cpu, &c, w);
    free(w);
    free(half);
  }
  close_both(cpu);
}

// What is read beside a row of taps is multiplied by nothing, which does not make a NaN harmless.
static void images_do_not_touch(void **state) {
  static const shape_case two = {2, 3, 12, 9, 32, 3, 3, 1, 1, 0, 0};
  am_cpu *cpu[2];
  open_both(cpu);
  const bool tiles = cpu[0]->amx;
  if (!tiles) close_both(cpu);
  if (!tiles) skip();
  const am_cpu_conv c = conv_of(&two);
  const int64_t pixels = c.n * c.h * c.w * c.ci, count = c.n * c.ho * c.wo * c.co;
  am_bf16 *half, *x, *y;
  float *w = halves(c.co * c.ci * c.kh * c.kw, 4, &half), *wide = halves(pixels, 1, &x);
  am_ok(AM_NEW_ARRAY(&y, count));
  const am_view kernel = {.data = w, .dtype = AM_F32, .shape = AM_SHAPE(c.co, c.ci, c.kh, c.kw)};
  memset(x + pixels / 2, 0xff, (size_t)(pixels / 2) * sizeof *x);
  am_ok(am_cpu_amx_rows(cpu[0], AM_OP_conv2d, &c, x, &kernel, NULL, y));
  for (int64_t i = 0; i < count; i++) assert_int_equal((y[i] & 0x7fff) > 0x7f80, i >= count / 2);
  free(w);
  free(half);
  free(wide);
  free(x);
  free(y);
  close_both(cpu);
}

// Packed weights are kept for a stamp, and packed again for another one.
static void kept_weights_follow_their_stamp(void **state) {
  am_cpu *cpu[2];
  open_both(cpu);
  const bool tiles = cpu[0]->amx;
  if (!tiles) close_both(cpu);
  if (!tiles) skip();
  const am_cpu_conv c = conv_of(&cases[4]);
  const int64_t count = c.co * c.ci * c.kh * c.kw;
  am_bf16 *half;
  float *w = halves(count, 5, &half);
  check_forward(cpu, &c, w, 1);
  check_forward(cpu, &c, w, 1);
  for (int64_t i = 0; i < count; i++) w[i] = -w[i];
  check_forward(cpu, &c, w, 2);
  free(w);
  free(half);
  close_both(cpu);
}

// Through dispatch: evaluation after the weights were updated in place is not evaluation of the old ones.
static void evaluation_sees_an_update(void **state) {
  enum { CHANNELS = 32, SIDE = 4, COUNT = CHANNELS * SIDE * SIDE, KERNEL = CHANNELS * CHANNELS * 9 };
  const am_conv2d_affine_desc d = {.conv = {.stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1}};
  float *x = normals(COUNT, 6, 0), *w = normals(KERNEL, 7, 0), *one = normals(CHANNELS, 8, 0), before[COUNT], after[COUNT];
  am_device *dev = NULL;
  am_tensor *in[4], *wide, *delta, *y;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  if (am_device_check_type(dev, AM_OP_conv2d_affine, AM_BF16)) {
    am_err_clear();
    am_device_close(dev);
    skip();
  }
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(1, CHANNELS, SIDE, SIDE), x, &wide));
  am_ok(am_dispatch(dev, AM_OP_cast, &(am_dtype_desc){AM_BF16}, &wide, &in[0]));
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(CHANNELS, CHANNELS, 3, 3), w, &in[1]));
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(CHANNELS), one, &in[2]));
  am_ok(am_tensor_zeros(dev, AM_F32, AM_SHAPE(CHANNELS), &in[3]));
  am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(CHANNELS, CHANNELS, 3, 3), w, &delta));
  float *got[] = {before, after};
  for (int i = 0; i < 2; i++) {
    am_tensor *back;
    am_ok(am_dispatch(dev, AM_OP_conv2d_affine, &d, in, &y));
    am_ok(am_dispatch(dev, AM_OP_cast, &(am_dtype_desc){AM_F32}, &y, &back));
    am_ok(am_tensor_to_host(back, got[i]));
    am_tensor_release(y);
    am_tensor_release(back);
    am_ok(am_dispatch(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1, .b = 1}, &delta, &in[1]));  // w += w
  }
  for (int i = 0; i < COUNT; i++) assert_true(after[i] == 2 * before[i]);
  for (int i = 0; i < 4; i++) am_tensor_release(in[i]);
  am_tensor_release(wide);
  am_tensor_release(delta);
  am_device_close(dev);
  free(x);
  free(w);
  free(one);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(sums_agree),
    cmocka_unit_test(images_do_not_touch),
    cmocka_unit_test(kept_weights_follow_their_stamp),
    cmocka_unit_test(evaluation_sees_an_update),
  };
  return cmocka_run_group_tests_name("cpu_amx", tests, NULL, NULL);
}
