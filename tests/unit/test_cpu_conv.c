// Convolutions of the cpu backend: against ref, in every way they are carried out, and who does it.
#include "cpu_compare.h"

#include "backend/cpu/cpu.h"

typedef struct {
  int64_t n, ci, size_h, size_w, co, kh, kw, stride, pad, dilation, groups;
} conv_case;

static am_conv2d_desc desc_of(const conv_case *c) {
  return (am_conv2d_desc){.stride_h = c->stride, .stride_w = c->stride, .pad_h = c->pad, .pad_w = c->pad,
                          .dilation_h = c->dilation, .dilation_w = c->dilation, .groups = c->groups,
                          .in_h = c->size_h, .in_w = c->size_w, .kernel_h = c->kh, .kernel_w = c->kw};
}

static int64_t places(int64_t size, int64_t kernel, const conv_case *c) {
  return (size + 2 * c->pad - c->dilation * (kernel - 1) - 1) / c->stride + 1;
}

// f32 sums of `depth` products; Winograd's transforms lose a little more.
static double tolerance_of(int64_t depth) { return 4e-6 * sqrt((double)depth) / sqrt(64.0) + 1e-5; }

// Scale, shift, residual and activation behind the convolution.
static void check_affine(cpu_pair *p, const am_conv2d_desc *d, am_shape x, am_shape w, am_shape y,
                         double tolerance) {
  const am_activation act[] = {{.on = false}, {.on = true}, {.on = true, .slope = 0.2}};
  const operand channel = plain(AM_SHAPE(y.dim[1])), in[] = {plain(x), plain(w), channel, channel, plain(y)};
  for (int i = 0; i < AM_COUNT_OF(act); i++) {
    const am_conv2d_affine_desc affine = {*d, act[i]};
    compare(p, AM_OP_conv2d_affine, &affine, in, tolerance);
    compare(p, AM_OP_conv2d_affine_add, &affine, in, tolerance);
  }
}

static void check(cpu_pair *p, const conv_case *c) {
  const am_conv2d_desc d = desc_of(c);
  const am_shape x = AM_SHAPE(c->n, c->ci, c->size_h, c->size_w);
  const am_shape w = AM_SHAPE(c->co, c->ci / c->groups, c->kh, c->kw);
  const am_shape y = AM_SHAPE(c->n, c->co, places(c->size_h, c->kh, c), places(c->size_w, c->kw, c));
  const int64_t taps = c->kh * c->kw;
  const operand forward[] = {plain(x), plain(w)}, grad_input[] = {plain(y), plain(w)},
                grad_weight[] = {plain(y), plain(x)};
  compare(p, AM_OP_conv2d, &d, forward, tolerance_of(w.dim[1] * taps));
  check_affine(p, &d, x, w, y, 2 * tolerance_of(w.dim[1] * taps));
  compare(p, AM_OP_conv2d_grad_input, &d, grad_input, tolerance_of(c->co / c->groups * taps));
  compare(p, AM_OP_conv2d_grad_weight, &d, grad_weight, tolerance_of(c->n * y.dim[2] * y.dim[3]));
}

static void plain_convolutions_agree(void **state) {
  const conv_case cases[] = {
      {1, 1, 1, 1, 1, 1, 1, 1, 0, 1, 1},      // a single product
      {2, 3, 7, 5, 5, 3, 3, 1, 1, 1, 1},      // odd everything
      {3, 5, 9, 8, 7, 3, 2, 2, 1, 1, 1},      // stride that cuts the border
      {2, 4, 11, 10, 6, 3, 3, 3, 2, 1, 1},    // places that no window touches
      {2, 6, 10, 9, 4, 3, 3, 1, 2, 2, 2},     // dilation and groups
      {1, 8, 9, 9, 8, 3, 3, 2, 2, 3, 8},      // depthwise, dilation against stride
      {2, 3, 6, 6, 4, 5, 5, 1, 4, 1, 1},      // a pad beyond the image
      {5, 7, 6, 7, 9, 1, 1, 1, 0, 1, 1},      // 1x1, images together
      {1, 6, 40, 40, 5, 1, 1, 1, 0, 1, 1},    // 1x1, the image is its own columns
      {2, 6, 9, 9, 5, 1, 1, 2, 0, 1, 1},      // 1x1 with stride: most places untouched
      {2, 3, 60, 50, 8, 5, 5, 1, 0, 1, 1},    // strips of rows
      {1, 512, 4, 4, 1, 4, 4, 1, 0, 1, 1},    // last layer of a DCGAN discriminator
      {1, 10, 4, 4, 16, 4, 4, 1, 0, 1, 1},    // first of its generator
      {1, 16, 16, 16, 32, 4, 4, 2, 1, 1, 1},  // and one between
      {4, 16, 8, 8, 32, 4, 4, 2, 1, 1, 1},    // several images a product
      {1, 256, 8, 8, 260, 4, 4, 2, 1, 1, 1},  // weights beyond the caches, 16 places
      {2, 256, 8, 8, 260, 4, 4, 2, 1, 1, 1},  // and 32
      {7, 24, 5, 5, 8, 3, 3, 1, 1, 1, 1},
  };
  cpu_pair p = open_pair(1);
  for (int64_t i = 0; i < AM_COUNT_OF(cases); i++) check(&p, &cases[i]);
  close_pair(&p);
}

// Enough places for the blocked layouts, on machines that have them.
static void blocked_convolutions_agree(void **state) {
  const conv_case cases[] = {
      {4, 3, 16, 16, 16, 3, 3, 1, 1, 1, 1},    // stem
      {2, 3, 33, 31, 32, 7, 7, 2, 3, 1, 1},    // the other stem, odd sizes
      {4, 16, 14, 15, 32, 3, 3, 1, 1, 1, 1},
      {4, 32, 14, 15, 48, 3, 3, 1, 1, 1, 1},   // Winograd
      {3, 32, 27, 26, 16, 3, 3, 2, 1, 1, 1},   // stride that cuts the border
      {4, 32, 24, 24, 32, 1, 1, 2, 0, 1, 1},   // shortcut
      {4, 16, 32, 32, 32, 4, 4, 2, 1, 1, 1},   // DCGAN
      {2, 1, 32, 32, 16, 5, 5, 1, 2, 1, 1},    // grey images
      {3, 16, 20, 20, 16, 3, 3, 1, 2, 2, 1},   // dilation
      {300, 16, 3, 3, 16, 3, 3, 2, 1, 1, 1},   // many small images
  };
  for (int threads = 1; threads <= 2; threads++) {
    cpu_pair p = open_pair(threads);
    for (int64_t i = 0; i < AM_COUNT_OF(cases); i++) check(&p, &cases[i]);
    close_pair(&p);
  }
}

// ---- who carries them out ----

static const char *impl_of(void *ctx, am_op op, am_dtype image, const conv_case *c) {
  const am_conv2d_desc d = desc_of(c);
  const char *name = NULL;
  am_ok(am_cpu_conv_impl(ctx, op, &d, image, AM_SHAPE(c->n, c->ci, c->size_h, c->size_w),
                         AM_SHAPE(c->co, c->ci, c->kh, c->kw), &name));
  return name;
}

// With AVX-512 a large batch is oneDNN's, a batch of one small image is not; without, nothing is. With AMX
// the weight gradients that oneDNN is slow at are ours.
static void shape_and_machine_decide(void **state) {
  const conv_case middle = {128, 128, 16, 16, 128, 3, 3, 1, 1, 1, 1},
                  dcgan = {1, 256, 8, 8, 512, 4, 4, 2, 1, 1, 1};
  char text[256];
  void *ctx = NULL;
  am_ok(am_backend_cpu.open(&(am_device_cfg){.kind = "cpu"}, &ctx));
  am_ok(am_backend_cpu.describe(ctx, text, sizeof text));
  const bool avx512 = strstr(text, "AVX-512") != NULL;
  assert_int_equal(strcmp(impl_of(ctx, AM_OP_conv2d, AM_F32, &middle), "gemm") == 0, !avx512);
  assert_string_equal(impl_of(ctx, AM_OP_conv2d, AM_F32, &dcgan), "gemm");
  assert_non_null(strstr(text, "1 thread)"));
  if (strstr(text, "AMX")) {
    const conv_case wide = {128, 256, 8, 8, 256, 3, 3, 1, 1, 1, 1};
    assert_string_equal(impl_of(ctx, AM_OP_conv2d_grad_weight, AM_BF16, &wide), "amx");
    assert_string_not_equal(impl_of(ctx, AM_OP_conv2d_grad_weight, AM_BF16, &middle), "amx");
    assert_string_not_equal(impl_of(ctx, AM_OP_conv2d, AM_BF16, &wide), "amx");
  }
  am_backend_cpu.close(ctx);
}

int main(void) {
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(plain_convolutions_agree),
      cmocka_unit_test(blocked_convolutions_agree),
      cmocka_unit_test(shape_and_machine_decide),
  };
  return cmocka_run_group_tests_name("cpu_conv", tests, NULL, NULL);
}
