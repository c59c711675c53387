// Every convolution of the table of cases has an engine that fits, in f32, TF32 and bf16: on cards that are described to
// cuDNN, of which none is here. What only a card shows (that the engines compute the right thing) is not tested. Skipped
// where the plug-in is not built, and where cuDNN does not take descriptions.
#define _DEFAULT_SOURCE  // readlink
#include <dlfcn.h>
#include <string.h>
#include <unistd.h>

#include "am_test.h"
#include "backend/cuda/conv_rules.h"
#include "base/num.h"
#include "op_cases.h"

static const char h200[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"
    "\"multiProcessorCount\":132,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
    "\"maxSharedMemoryPerBlockOptin\":232448,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":150000000000,\"smClockRateKHz\":1980000,"
    "\"memClockRateKHz\":3201000,\"l2CacheSize\":62914560,\"cudaDeviceId\":0,\"deviceVer\":900,"
    "\"driverVer\":13000,\"deviceName\":\"H200\"}";
static const char a100[] =
    "{\"maxGridSize\":[2147483647,65535,65535],\"maxBlockSize\":[1024,1024,64],\"regsPerBlock\":65536,"
    "\"multiProcessorCount\":108,\"warpSize\":32,\"maxSharedMemoryPerBlock\":49152,"
    "\"maxSharedMemoryPerBlockOptin\":166912,\"reservedSharedMemoryPerBlock\":1024,\"maxRegistersPerSM\":65536,"
    "\"maxCtasPerSM\":32,\"maxThreadsPerBlock\":1024,\"maxThreadsPerSM\":2048,\"pciDeviceId\":0,\"isTccDriver\":0,"
    "\"supportCoopLaunch\":1,\"totalGlobalMem\":42000000000,\"smClockRateKHz\":1410000,"
    "\"memClockRateKHz\":1215000,\"l2CacheSize\":41943040,\"cudaDeviceId\":0,\"deviceVer\":800,"
    "\"driverVer\":13000,\"deviceName\":\"A100\"}";

typedef am_err rehearse_fn(const char *card, const am_cuda_conv *k, int64_t *place, char text[AM_CUDA_CONV_PLAN_TEXT]);

// The plug-in beside the folder of the tests; NULL where it is not built.
static void *open_plugin(void) {
  char path[4096];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path - 32);
  assert_true(length > 0);
  path[length] = '\0';
  for (int up = 0; up < 3; up++) *strrchr(path, '/') = '\0';
  strcat(path, "/backends/cuda.so");
  if (access(path, R_OK)) return NULL;
  void *plugin = dlopen(path, RTLD_NOW);
  if (!plugin) fail_msg("%s", dlerror());
  return plugin;
}

// The output's size, as dispatch infers it.
static am_shape output_of(const am_conv2d_desc *d, am_shape x, am_shape w) {
  const int64_t ho = (x.dim[2] + 2 * d->pad_h - d->dilation_h * (w.dim[2] - 1) - 1) / d->stride_h + 1;
  const int64_t wo = (x.dim[3] + 2 * d->pad_w - d->dilation_w * (w.dim[3] - 1) - 1) / d->stride_w + 1;
  return AM_SHAPE(x.dim[0], w.dim[0], ho, wo);
}

// Whether the case is a forward convolution, and what it comes to as `op`.
static bool conv_of(const op_case *c, am_op op, am_dtype image, bool tf32, am_cuda_conv *k) {
  am_conv2d_desc d = c->desc.conv2d;
  if (c->op != AM_OP_conv2d) return false;
  int64_t *const at_least_1[] = {&d.stride_h, &d.stride_w, &d.dilation_h, &d.dilation_w, &d.groups};
  for (int i = 0; i < AM_COUNT_OF(at_least_1); i++) *at_least_1[i] = am_max_i64(1, *at_least_1[i]);
  const am_shape x = c->in[0].shape, w = c->in[1].shape;
  *k = am_cuda_conv_of(op, &d, (am_activation){0}, image, tf32, x, w, output_of(&d, x, w));
  return true;
}

// NULL where the plug-in is not built.
static rehearse_fn *find_rehearsal(void) {
  void *plugin = open_plugin();
  if (!plugin) return NULL;
  void *found = dlsym(plugin, "am_cuda_conv_rehearse");
  rehearse_fn *rehearse = NULL;
  assert_non_null(found);
  memcpy(&rehearse, &found, sizeof found);
  return rehearse;
}

// Every convolution of the table in this type, forward and both gradients.
static void table_has_engines(const char *card, am_dtype image, bool tf32) {
  static const am_op ops[] = {AM_OP_conv2d, AM_OP_conv2d_grad_input, AM_OP_conv2d_grad_weight};
  rehearse_fn *rehearse = find_rehearsal();
  op_cases table = {0};
  int64_t planned = 0, missing = 0;
  if (!rehearse) am_skip("the cuda backend is not built");
  am_ok(op_cases_build(&table));
  for (int64_t i = 0; i < table.count * AM_COUNT_OF(ops); i++) {
    char text[AM_CUDA_CONV_PLAN_TEXT];
    am_cuda_conv k;
    if (!conv_of(&table.item[i / AM_COUNT_OF(ops)], ops[i % AM_COUNT_OF(ops)], image, tf32, &k)) continue;
    int64_t place = 0;
    const am_err err = rehearse(card, &k, &place, text);
    if (err == AM_ERR_UNSUPPORTED) am_skip("%s", am_err_last()->message);
    if (err) fprintf(stderr, "%s\n", am_err_last()->message);
    planned += !err;
    missing += err != AM_OK;
  }
  op_cases_fini(&table);
  assert_int_equal(missing, 0);
  assert_true(planned > 100);
}

static void h200_in_f32(void **state) { table_has_engines(h200, AM_F32, false); }
static void h200_in_tf32(void **state) { table_has_engines(h200, AM_F32, true); }
static void h200_in_bf16(void **state) { table_has_engines(h200, AM_BF16, false); }
static void a100_in_bf16(void **state) { table_has_engines(a100, AM_BF16, false); }

// A measurement goes from one engine to the next until there is none.
static void engines_follow_each_other(void **state) {
  enum { MOST = 100 };
  static const am_conv2d_desc d = {.stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1, .dilation_h = 1, .dilation_w = 1,
                                   .groups = 1};
  const am_cuda_conv k = am_cuda_conv_of(AM_OP_conv2d, &d, (am_activation){0}, AM_F32, true, AM_SHAPE(32, 64, 16, 16),
                                         AM_SHAPE(64, 64, 3, 3), AM_SHAPE(32, 64, 16, 16));
  rehearse_fn *rehearse = find_rehearsal();
  if (!rehearse) am_skip("the cuda backend is not built");
  char text[AM_CUDA_CONV_PLAN_TEXT], again[AM_CUDA_CONV_PLAN_TEXT];
  int found = 0;
  int64_t place = 0;
  am_err err = rehearse(h200, &k, &place, text);
  if (err == AM_ERR_UNSUPPORTED) am_skip("%s", am_err_last()->message);
  while (!err && found++ < MOST) {
    int64_t same = place, next = place + 1;
    am_ok(rehearse(h200, &k, &same, again));
    assert_int_equal(same, place);
    assert_string_equal(again, text);
    err = rehearse(h200, &k, &next, text);
    assert_true(err || next > place);
    place = next;
  }
  am_fails(err, AM_ERR_DEVICE, "there is no engine");
  assert_true(found > 2 && found < MOST);
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(h200_in_f32),
    cmocka_unit_test(h200_in_tf32),
    cmocka_unit_test(h200_in_bf16),
    cmocka_unit_test(a100_in_bf16),
    cmocka_unit_test(engines_follow_each_other),
  };
  return cmocka_run_group_tests_name("cuda_plans", tests, NULL, NULL);
}
