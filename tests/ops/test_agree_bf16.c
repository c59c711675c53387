// Ops on bf16 against `ref` in f32 on the same numbers, for the whole table of cases, wherever the
// operands lie. A result in bf16 is one rounding away from the f32 result (bf16 has 8 bits, so half a unit in
// the last place is at most 2^-8 of it), on top of what the case allows in f32; parameters' gradients are f32 and
// judged as such. The cpu's are skipped on machines without bf16.
#include <math.h>

#include "am_test.h"
#include "base/num.h"
#include "op_run.h"

#define HALF_UNIT (1.001 / 256)

// Inputs that stay f32 beside images of bf16, as a bit set.
static unsigned parameters_of(am_op op) {
  switch (op) {
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input: return 1u << 1;
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add: return 7u << 1;
    case AM_OP_batch_norm:
    case AM_OP_batch_norm_add:
    case AM_OP_scale_shift: return 3u << 1;
    case AM_OP_bias_act:
    case AM_OP_upfirdn2d: return 1u << 1;
    case AM_OP_batch_norm_grad: return 15u << 2;
    case AM_OP_batch_norm_add_grad: return 7u << 3;
    default: return 0;
  }
}

// Kernels are rounded by the op itself.
static bool is_kernel(am_op op, int input) {
  return (parameters_of(op) >> input & 1u) && input == 1 && op_is_of_a_library(op);
}

// The case in bf16, and the same numbers in f32. False: no case for bf16.
static bool split_case(const op_case *c, op_case *half, op_case *single) {
  *half = *single = *c;
  if (am_op_in_place(c->op) || c->op == AM_OP_fill || c->op == AM_OP_cast || c->op == AM_OP_reorder) return false;
  if (c->op == AM_OP_random) half->desc.random.dtype = AM_BF16;
  for (int i = 0; i < am_op_inputs(c->op); i++) {
    if (c->in[i].dtype != AM_F32) continue;
    const bool parameter = parameters_of(c->op) >> i & 1u;
    if (!parameter) half->in[i].dtype = AM_BF16;
    single->in[i].rounded = !parameter || is_kernel(c->op, i);
  }
  return true;
}

// Beyond bf16's largest number lies infinity.
static void overflow(op_result *r, int output) {
  for (int64_t i = 0; i < r->count[output]; i++) {
    double *v = &r->value[output][i];
    if (fabs(*v) >= 0x1.ffp127) *v = copysign(INFINITY, *v);
  }
}

// conv2d_affine rounds kernel times scale, and where oneDNN does not carry on from there, the convolution's
// result as well. dropout rounds the factor.
static double roundings(am_op op) {
  if (op == AM_OP_dropout) return 2;
  return op == AM_OP_conv2d_affine || op == AM_OP_conv2d_affine_add ? 3 : 1;
}

static bool agrees(const op_case *half, op_result *got, op_result *want, const char *where) {
  bool all = true;
  for (int i = 0; i < am_op_outputs(half->op); i++) {
    op_case one = *half;
    if (got->dtype[i] == AM_BF16) {
      one.tolerance += roundings(half->op) * HALF_UNIT;
      overflow(want, i);
    }
    all &= op_output_agrees(&one, got, want, i, where);
  }
  return all;
}

// A device that is tested alone (am_test_option): what it lacks fails, and the rest is run all the same.
static const char *asked_kind;
static int64_t asked_every = 1;

// The cases of `dev` that disagree with ref.
static int64_t wrong_cases(am_device *dev, am_device *ref, const op_cases *table) {
  const bool compiles = strcmp(am_device_kind(dev), "cuda") == 0;
  int64_t wrong = 0, seen[AM_OP_COUNT] = {0};
  for (int64_t i = 0; i < table->count; i++) {
    op_case half, single;
    op_result want = {0};
    if (!split_case(&table->item[i], &half, &single)) continue;
    if (!op_is_taken(half.op, seen[half.op]++, asked_every, compiles)) continue;
    if (am_device_check_type(dev, half.op, AM_BF16)) continue;
    am_ok(op_run(ref, &single, PLACE_PLAIN, &want));
    for (int place = 0; place < PLACE_COUNT; place++) {
      if (!op_place_fits(&half, (op_place)place)) continue;
      op_result got = {0};
      am_ok(op_run(dev, &half, (op_place)place, &got));
      wrong += !agrees(&half, &got, &want, am_device_describe(dev));
      op_result_fini(&got);
    }
    op_result_fini(&want);
  }
  return wrong;
}

static void table_agrees(am_device *dev) {
  am_device *ref = NULL;
  op_cases table = {0};
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &ref));
  am_ok(op_cases_build(&table));
  assert_int_equal(wrong_cases(dev, ref, &table), 0);
  op_cases_fini(&table);
  am_device_close(ref);
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
}

static void cpu_table(int threads) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu", .threads = threads}, &dev));
  const bool has = am_device_check_type(dev, AM_OP_conv2d, AM_BF16) == AM_OK;
  if (has) table_agrees(dev);
  am_device_close(dev);
  if (!has) am_skip("%s", am_err_last()->message);
}

static void cpu_agrees(void **state) { cpu_table(1); }
static void cpu_agrees_with_2_threads(void **state) { cpu_table(2); }

// What libraries compute is not among the kernels, and parameters are updated in f32.
static void cuda_kernels_agree(void **state) {
  am_device *dev = NULL;
  am_ok(op_open_kernels(&dev));
  for (int op = 0; op < AM_OP_COUNT; op++) {
    const bool lacks = am_op_in_place((am_op)op) || op_is_of_a_library((am_op)op);
    assert_int_equal(am_device_check_type(dev, (am_op)op, AM_BF16) != AM_OK, lacks);
  }
  table_agrees(dev);
  am_device_close(dev);
}

static void device_has_every_op(void **state) {
  char lacking[2048] = "";
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = asked_kind}, &dev));
  for (int op = 0; op < AM_OP_COUNT; op++) {
    if (am_op_in_place((am_op)op) || !am_device_check_type(dev, (am_op)op, AM_BF16)) continue;
    const size_t used = strlen(lacking);
    snprintf(lacking + used, sizeof lacking - used, " %s", am_op_name((am_op)op));
  }
  am_device_close(dev);
  if (lacking[0]) fail_msg("device %s lacks in bf16%s", asked_kind, lacking);
}

static void device_agrees(void **state) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = asked_kind}, &dev));
  table_agrees(dev);
  am_device_close(dev);
}

// Every op that computes in f32 does so in bf16, but those that update parameters.
static void bf16_is_for_all_but_updates(void **state) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu"}, &dev));
  for (int op = 0; op < AM_OP_COUNT; op++) {
    am_err err = am_device_check_type(dev, (am_op)op, AM_BF16);
    if (am_op_in_place((am_op)op)) {
      am_fails(err, AM_ERR_UNSUPPORTED, "parameters are kept and updated in f32");
    } else if (err) {
      am_fails(err, AM_ERR_UNSUPPORTED, "has no bf16 instructions (avx512_bf16)");
    }
  }
  am_device_close(dev);
}

static int run_asked(const char *every) {
  const struct CMUnitTest tests[] = {cmocka_unit_test(device_has_every_op), cmocka_unit_test(device_agrees)};
  if (every) asked_every = strtoll(every, NULL, 10);
  return cmocka_run_group_tests_name("agree_bf16", tests, NULL, NULL);
}

int main(int argc, char **argv) {
  asked_kind = am_test_option(argc, argv, "--device");
  if (asked_kind) return run_asked(am_test_option(argc, argv, "--every"));
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(cpu_agrees),
    cmocka_unit_test(cpu_agrees_with_2_threads),
    cmocka_unit_test(cuda_kernels_agree),
    cmocka_unit_test(bf16_is_for_all_but_updates),
  };
  return cmocka_run_group_tests_name("agree_bf16", tests, NULL, NULL);
}
