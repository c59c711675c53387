// What goes to a card beside its computation arrives whole and in the order of the ops; gradients are clipped there without
// anybody waiting. Sums are of small integers, so that they are exact in whatever order they are taken.
//   test_gpu_copies --device KIND [--busy N]     N: passes over 256 MiB that keep the device behind the host (0)
#include "am_test.h"
#include "base/num.h"
#include "nn/optim.h"
#include "tensor/backend.h"

static const char *kind;
static int64_t busy;
static am_device *dev;

static int open_device(void **state) { return am_device_open(&(am_device_cfg){.kind = kind}, &dev) ? -1 : 0; }
static int close_device(void **state) {
  const bool leaked = am_device_memory_now(dev).live_bytes != 0;
  am_device_close(dev);
  return leaked ? -1 : 0;
}

static float *host_floats(int64_t count) {
  float *host = malloc((size_t)count * sizeof *host);
  assert_non_null(host);
  return host;
}

static float value_of(int64_t upload, int64_t i) { return (float)((i * 7 + upload * 13) % 251); }

// What is small goes one way, what is larger another, and the largest does not fit into the ring as it was at first.
static void uploads_come_back_whole(void **state) {
  static const int64_t counts[] = {1, 1023, 1024, 1025, 5000, (8 << 18) - 1, (8 << 18) + 1, 40000001};
  for (int k = 0; k < AM_COUNT_OF(counts); k++) {
    am_tensor *t = NULL;
    float *host = host_floats(counts[k]);
    for (int64_t i = 0; i < counts[k]; i++) host[i] = value_of(k, i);
    am_ok(am_tensor_from_host(dev, AM_F32, AM_SHAPE(counts[k]), host, &t));
    memset(host, 0x55, (size_t)counts[k] * sizeof *host);
    am_ok(am_tensor_to_host(t, host));
    for (int64_t i = 0; i < counts[k]; i++) {
      if (host[i] != value_of(k, i))
        fail_msg("element %lld of %lld is %g", (long long)i, (long long)counts[k], host[i]);
    }
    am_tensor_release(t);
    free(host);
  }
}

// Work that stands before what is queued next, for some 20 ms of a card.
static void be_busy(am_tensor *large) {
  for (int64_t i = 0; i < busy; i++) {
    am_tensor *next = NULL;
    am_ok(am_dispatch(dev, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_TANH}, &large, &next));
    am_tensor_release(next);
  }
}

// Two targets in turn, each written while what reads it is still queued, and the host's memory written anew at once. Uploads
// of the largest size fill whatever they pass through before the card gets to the first of them.
static void in_order(am_tensor *large, int64_t n) {
  enum { KINDS = 8, ROUNDS = 10 };
  am_tensor *target[2] = {NULL}, *sum = NULL;
  float *data = host_floats(KINDS * n), *host = host_floats(n);
  for (int64_t e = 0; e < KINDS * n; e++) data[e] = value_of(e / n, e % n);
  for (int j = 0; j < 2; j++) am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(n), &target[j]));
  am_ok(am_tensor_zeros(dev, AM_F32, AM_SHAPE(n), &sum));
  for (int64_t u = 0; u < KINDS * ROUNDS; u++) {
    if (u % KINDS == 0) be_busy(large);
    memcpy(host, data + u % KINDS * n, (size_t)n * sizeof *host);
    am_ok(am_tensor_copy_from_host(target[u % 2], host));
    am_ok(am_dispatch(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1, .b = 1}, &target[u % 2], &sum));
  }
  am_ok(am_tensor_to_host(sum, host));
  for (int64_t i = 0; i < n; i++) {
    float want = 0;
    for (int64_t k = 0; k < KINDS; k++) want += ROUNDS * data[k * n + i];
    if (host[i] != want)
      fail_msg("element %lld of %lld is %g, not %g", (long long)i, (long long)n, host[i], want);
  }
  for (int j = 0; j < 2; j++) am_tensor_release(target[j]);
  am_tensor_release(sum);
  free(data);
  free(host);
}

static void uploads_keep_the_order_of_the_ops(void **state) {
  static const int64_t counts[] = {900, 30000, (8 << 18) + 77};
  am_tensor *large = NULL;
  am_ok(am_tensor_zeros(dev, AM_F32, AM_SHAPE(busy ? 1 << 26 : 1), &large));
  for (int k = 0; k < AM_COUNT_OF(counts); k++) in_order(large, counts[k]);
  am_tensor_release(large);
}

static void gradients_are_clipped(void **state) {
  enum { MANY = (1 << 23) + 3 };  // more than a device clips at a time
  am_params *ps = NULL;
  am_param *p = NULL;
  float *grad = host_floats(MANY), *got = host_floats(MANY);
  double sum = 0;
  am_ok(am_params_new(&ps));
  am_ok(am_params_add(ps, "p", AM_SHAPE(MANY), AM_PARAM_TRAINABLE, (am_init){.kind = AM_INIT_CONSTANT}, &p));
  am_ok(am_params_commit(ps, dev, AM_F32, 1));
  for (int64_t i = 0; i < MANY; i++) grad[i] = value_of(1, i) - 100;
  for (int64_t i = 0; i < MANY; i++) sum += (double)grad[i] * grad[i];
  am_ok(am_tensor_copy_from_host(am_params_grads(ps), grad));
  am_ok(am_clip_grad_norm(ps, 1e9));
  am_ok(am_tensor_to_host(am_params_grads(ps), got));
  assert_memory_equal(got, grad, MANY * sizeof *got);
  am_ok(am_clip_grad_norm(ps, 5));
  am_ok(am_tensor_to_host(am_params_grads(ps), got));
  for (int64_t i = 0; i < MANY; i++) {
    const double want = grad[i] * 5 / (sqrt(sum) + 1e-6);
    if (!(fabs(got[i] - want) <= 1e-6 * fabs(want)))
      fail_msg("gradient %lld is %g, not %g", (long long)i, got[i], want);
  }
  am_params_free(ps);
  free(grad);
  free(got);
}

int main(int argc, char **argv) {
  const char *passes = am_test_option(argc, argv, "--busy");
  kind = am_test_option(argc, argv, "--device");
  if (passes) busy = strtoll(passes, NULL, 10);
  if (!kind || busy < 0) {
    fprintf(stderr, "usage: test_gpu_copies --device KIND [--busy N]\n");
    return 2;
  }
  const struct CMUnitTest tests[] = {
      cmocka_unit_test(uploads_come_back_whole),
      cmocka_unit_test(uploads_keep_the_order_of_the_ops),
      cmocka_unit_test(gradients_are_clipped),
  };
  return cmocka_run_group_tests_name("copies", tests, open_device, close_device);
}
