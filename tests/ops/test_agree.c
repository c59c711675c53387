// Every built backend gives the numbers of `ref`, for the whole table of cases, whatever the
// operands' place in memory and layout; and so does a network in miniature whose activations stay
// in the backend's own layout. AM_TOL_SCALE=0 prints the true residuals.
#include "am_test.h"
#include "base/num.h"
#include "op_run.h"

// A device that is tested alone (am_test_option).
static struct {
  const char *kind;
  bool tf32;
  int64_t every;  // of each op's cases, so many are run: 1 of `every`
} asked = {.every = 1};

static am_device *open_device(const char *kind, int threads) {
  am_device *dev = NULL;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind, .threads = threads}, &dev));
  if (kind == asked.kind) am_ok(am_device_set_tf32(dev, asked.tf32));
  return dev;
}

static op_cases table;

static int build_table(void **state) { return op_cases_build(&table) == AM_OK ? 0 : -1; }

static int free_table(void **state) {
  op_cases_fini(&table);
  return 0;
}

static void every_op_has_a_case(void **state) {
  int64_t count[AM_OP_COUNT] = {0};
  for (int64_t i = 0; i < table.count; i++) count[table.item[i].op]++;
  for (int op = 0; op < AM_OP_COUNT; op++) {
    if (count[op] == 0) fail_msg("op %s has no case", am_op_name((am_op)op));
  }
}

// Of a compiled affine convolution: one activation for each geometry, another one with a residual, all three in turn.
static void activations_take_turns(void **state) {
  for (int64_t geometry = 0; geometry < 5; geometry++) {
    int64_t plain = 0, adding = 0, taken[OP_ACTIVATIONS] = {0};
    for (int k = 0; k < OP_ACTIVATIONS; k++) {
      const int64_t seen = geometry * OP_ACTIVATIONS + k;
      const bool first = op_is_taken(AM_OP_conv2d_affine, seen, 1, true);
      const bool second = op_is_taken(AM_OP_conv2d_affine_add, seen, 1, true);
      plain += first;
      adding += second;
      taken[k] += first + second;
      assert_int_equal(first, k == geometry % OP_ACTIVATIONS);
      assert_true(op_is_taken(AM_OP_conv2d_affine, seen, 1, false) && op_is_taken(AM_OP_conv2d, seen, 1, true));
      assert_int_equal(op_is_taken(AM_OP_conv2d_affine, seen, 4, true), first && geometry % 4 == 0);
    }
    assert_int_equal(plain, 1);
    assert_int_equal(adding, 1);
    for (int k = 0; k < OP_ACTIVATIONS; k++) assert_true(taken[k] <= 1);
  }
}

static bool is_convolution(am_op op) { return op_is_of_a_library(op) && op != AM_OP_matmul; }

// A card's library may choose Winograd's algorithm, whose terms cancel. TF32 rounds both factors to 11 bits: half a unit of
// each is 2^-12, and the errors of a sum grow as the sum itself does.
#define TOL_CARD_CONV 1e-5
#define TOL_TF32 2e-3
static double more_tolerance(const am_device *dev, am_op op) {
  if (strcmp(am_device_kind(dev), "cuda") != 0) return 0;
  if (asked.tf32 && op_is_of_a_library(op)) return TOL_TF32;
  return is_convolution(op) ? TOL_CARD_CONV : 0;
}

// Runs the table on `dev` and counts the cases that disagree with ref. partly: but for ops that it says it lacks.
static void table_agrees(am_device *dev, const char *where, bool partly) {
  am_device *ref = open_device("ref", 1);
  int64_t wrong = 0, seen[AM_OP_COUNT] = {0};
  for (int64_t i = 0; i < table.count; i++) {
    op_case own = table.item[i];
    const op_case *c = &own;
    op_result want = {0};
    own.tolerance += more_tolerance(dev, c->op);
    if (!op_is_taken(c->op, seen[c->op]++, asked.every, asked.tf32)) continue;
    if (partly && am_device_check_type(dev, c->op, AM_F32)) continue;
    am_ok(op_run(ref, c, PLACE_PLAIN, &want));
    for (int place = 0; place < PLACE_COUNT; place++) {
      if (!op_place_fits(c, (op_place)place)) continue;
      op_result got = {0};
      am_ok(op_run(dev, c, (op_place)place, &got));
      wrong += !op_agrees(c, &got, &want, where);
      op_result_fini(&got);
    }
    op_result_fini(&want);
  }
  am_device_close(ref);
  assert_int_equal(wrong, 0);
  assert_int_equal(am_device_memory_now(dev).live_bytes, 0);
}

static void table_on(const char *kind, int threads) {
  if (!am_backend_find(kind)) am_skip("device %s is not in this build", kind);
  am_device *dev = open_device(kind, threads);
  table_agrees(dev, am_device_describe(dev), false);
  am_device_close(dev);
}

static void ref_in_every_place(void **state) { table_on("ref", 1); }
static void cpu_agrees(void **state) { table_on("cpu", 1); }
static void cpu_agrees_with_2_threads(void **state) { table_on("cpu", 2); }

static void cuda_kernels_agree(void **state) {
  am_device *dev = NULL;
  am_ok(op_open_kernels(&dev));
  for (int op = 0; op < AM_OP_COUNT; op++)
    assert_int_equal(am_device_check_type(dev, (am_op)op, AM_F32) != AM_OK, op_is_of_a_library((am_op)op));
  table_agrees(dev, am_device_describe(dev), true);
  am_device_close(dev);
}

// ---- a network in miniature ----

typedef struct {
  int64_t channels, width, groups;
} net;

// Steps of a forward and backward pass, each reading what earlier steps left as they left it.
enum { X, W1, GAMMA, BETA, W2, Y1, BN, MEAN, INV_STD, RELU, POOL, INDEX, Y2, SUM, AVG, DY2, DPOOL, DRELU,
       DRELU_MASKED, DBN, DGAMMA, DBETA, FUSED, FUSED_MEAN, FUSED_INV_STD, DFUSED, DRESIDUAL, DGAMMA_F,
       DBETA_F, DW1, DW2, DX, SLOTS };

static void step(am_device *dev, am_tensor **slot, am_op op, const void *desc, const int *in, int out) {
  am_tensor *operand[AM_OP_MAX_INPUTS];
  for (int i = 0; i < am_op_inputs(op); i++) operand[i] = slot[in[i]];
  am_ok(am_dispatch(dev, op, desc, operand, &slot[out]));
}
#define STEP(op, desc, out, ...) step(dev, slot, AM_OP_##op, (desc), (const int[]){__VA_ARGS__}, (out))

static void run_net(am_device *dev, net n, am_tensor **slot) {
  am_random_desc draw = {.kind = AM_RAND_NORMAL, .dtype = AM_F32, .seed = 3, .purpose = 12};
  const struct {
    int slot;
    am_shape shape;
  } leaves[] = {
    {X, AM_SHAPE(8, 3, 12, 10)},
    {W1, AM_SHAPE(n.channels, 3, 3, 3)},
    {GAMMA, AM_SHAPE(n.channels)},
    {BETA, AM_SHAPE(n.channels)},
    {W2, AM_SHAPE(n.width, n.channels / n.groups, 3, 3)},
  };
  for (int i = 0; i < AM_COUNT_OF(leaves); i++) {
    draw.shape = leaves[i].shape;
    draw.index = (uint64_t)i << 32;
    am_ok(am_dispatch(dev, AM_OP_random, &draw, NULL, &slot[leaves[i].slot]));
  }
  am_conv2d_desc conv1 = {.pad_h = 1, .pad_w = 1, .in_h = 12, .in_w = 10, .kernel_h = 3, .kernel_w = 3};
  am_conv2d_desc conv2 = {.pad_h = 1, .pad_w = 1, .in_h = 6, .in_w = 5, .kernel_h = 3, .kernel_w = 3,
                          .groups = n.groups};
  am_pool2d_desc pool = {.kernel_h = 2, .kernel_w = 2, .in_h = 12, .in_w = 10};
  am_pool2d_desc whole = {.kernel_h = 6, .kernel_w = 5, .in_h = 6, .in_w = 5, .include_pad = true};
  am_unary_desc relu = {.kind = AM_UN_LEAKY_RELU};
  am_binary_desc add = {.kind = AM_BIN_ADD}, mask = {.kind = AM_BIN_LEAKY_GRAD};
  am_norm_desc norm = {.eps = 1e-5}, fused = {.eps = 1e-5, .act = {.on = true}};

  STEP(conv2d, &conv1, Y1, X, W1);
  STEP(batch_norm, &norm, BN, Y1, GAMMA, BETA);  // and MEAN, INV_STD
  STEP(unary, &relu, RELU, BN);
  STEP(max_pool2d, &pool, POOL, RELU);           // and INDEX
  STEP(conv2d, &conv2, Y2, POOL, W2);
  STEP(binary, &add, SUM, Y2, n.width == n.channels ? POOL : Y2);
  STEP(avg_pool2d, &whole, AVG, SUM);

  STEP(avg_pool2d_grad, &whole, DY2, AVG);
  STEP(conv2d_grad_weight, &conv2, DW2, DY2, POOL);
  STEP(conv2d_grad_input, &conv2, DPOOL, DY2, W2);
  STEP(pool_scatter, &pool, DRELU, DPOOL, INDEX);
  STEP(binary, &mask, DRELU_MASKED, DRELU, RELU);
  STEP(batch_norm_grad, &norm, DBN, DRELU_MASKED, Y1, GAMMA, BETA, MEAN, INV_STD);  // and DGAMMA, DBETA
  STEP(batch_norm_add, &fused, FUSED, Y1, GAMMA, BETA, BN);
  STEP(batch_norm_add_grad, &fused, DFUSED, DRELU, Y1, FUSED, GAMMA, FUSED_MEAN, FUSED_INV_STD);
  STEP(conv2d_grad_weight, &conv1, DW1, DBN, X);
  STEP(conv2d_grad_input, &conv1, DX, DBN, W1);
}

static void chain_agrees(const char *kind, int threads) {
  static const net nets[] = {
    {16, 16, 1}, {32, 64, 1}, {24, 24, 1}, {17, 5, 1}, {16, 32, 2}, {64, 64, 64}, {8, 16, 1},
  };
  if (!am_backend_find(kind) && !asked.kind) am_skip("device %s is not in this build", kind);
  am_device *ref = open_device("ref", 1), *dev = open_device(kind, threads);
  for (int i = 0; i < AM_COUNT_OF(nets); i++) {
    am_tensor *want[SLOTS] = {0}, *got[SLOTS] = {0};
    run_net(ref, nets[i], want);
    run_net(dev, nets[i], got);
    for (int s = 0; s < SLOTS; s++) {
      // Gradients that cancel: what the convolution before a batch norm gets sums to nothing.
      op_case c = {.op = AM_OP_unary, .number = s, .tolerance = 5e-5 + 10 * more_tolerance(dev, AM_OP_conv2d)};
      op_result g = {.count = {am_tensor_count(got[s])}, .shape = {got[s]->shape}};
      op_result w = {.count = {am_tensor_count(want[s])}, .shape = {want[s]->shape}};
      am_ok(op_tensor_values(got[s], &g.value[0]));
      am_ok(op_tensor_values(want[s], &w.value[0]));
      char where[64];
      snprintf(where, sizeof where, "net %d, slot %d", i, s);
      assert_true(op_agrees(&c, &g, &w, where));
      op_result_fini(&g);
      op_result_fini(&w);
      am_tensor_release(want[s]);
      am_tensor_release(got[s]);
    }
  }
  am_device_close(dev);
  am_device_close(ref);
}

static void chain_on_cpu(void **state) { chain_agrees("cpu", 1); }
static void chain_on_cpu_with_2_threads(void **state) { chain_agrees("cpu", 2); }
static void chain_under_guard(void **state) { chain_agrees("guard", 1); }

// ---- a device that is tested alone ----

static void device_has_every_op(void **state) {
  char lacking[2048] = "";
  am_device *dev = open_device(asked.kind, 1);
  for (int op = 0; op < AM_OP_COUNT; op++) {
    if (!am_device_check_type(dev, (am_op)op, AM_F32)) continue;
    const size_t used = strlen(lacking);
    snprintf(lacking + used, sizeof lacking - used, " %s", am_op_name((am_op)op));
  }
  am_device_close(dev);
  if (lacking[0]) fail_msg("device %s lacks%s", asked.kind, lacking);
}

// What is not there has failed above; the rest is run all the same.
static void device_agrees(void **state) {
  am_device *dev = open_device(asked.kind, 1);
  table_agrees(dev, am_device_describe(dev), true);
  am_device_close(dev);
}

static void chain_on_device(void **state) { chain_agrees(asked.kind, 1); }

// A product in TF32 is off by more than f32's rounding: if it is not, TF32 was asked for and something else was tested.
static void products_are_in_tf32(void **state) {
  const am_shape square = AM_SHAPE(256, 256);
  op_case c = {.op = AM_OP_matmul, .tolerance = 2e-5, .in = {op_floats(square, VALUES_NORMAL), op_floats(square, VALUES_NORMAL)}};
  am_device *dev = open_device(asked.kind, 1), *ref = open_device("ref", 1);
  op_result got = {0}, want = {0};
  am_ok(op_run(ref, &c, PLACE_PLAIN, &want));
  am_ok(op_run(dev, &c, PLACE_PLAIN, &got));
  assert_false(op_agrees(&c, &got, &want, "expected to be off by TF32's rounding:"));
  op_result_fini(&got);
  op_result_fini(&want);
  am_device_close(dev);
  am_device_close(ref);
}

static int run_asked(int argc, char **argv) {
  const char *type = am_test_option(argc, argv, "--type"), *every = am_test_option(argc, argv, "--every");
  asked.tf32 = type && strcmp(type, "tf32") == 0;
  if (every) asked.every = strtoll(every, NULL, 10);
  const struct CMUnitTest tests[] = {cmocka_unit_test(every_op_has_a_case), cmocka_unit_test(device_has_every_op),
                                     cmocka_unit_test(device_agrees)};
  const struct CMUnitTest whole[] = {cmocka_unit_test(chain_on_device)};
  const struct CMUnitTest precise[] = {cmocka_unit_test(products_are_in_tf32)};
  int failed = cmocka_run_group_tests_name("agree", tests, build_table, free_table);
  if (asked.every == 1) failed += cmocka_run_group_tests_name("chain", whole, NULL, NULL);
  return failed + (asked.tf32 ? cmocka_run_group_tests_name("tf32", precise, NULL, NULL) : 0);
}

int main(int argc, char **argv) {
  asked.kind = am_test_option(argc, argv, "--device");
  if (asked.kind) return run_asked(argc, argv);
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(every_op_has_a_case),         cmocka_unit_test(activations_take_turns),
    cmocka_unit_test(ref_in_every_place),
    cmocka_unit_test(cpu_agrees),                  cmocka_unit_test(cpu_agrees_with_2_threads),
    cmocka_unit_test(cuda_kernels_agree),
    cmocka_unit_test(chain_on_cpu),                cmocka_unit_test(chain_on_cpu_with_2_threads),
    cmocka_unit_test(chain_under_guard),
  };
  return cmocka_run_group_tests_name("agree", tests, build_table, free_table);
}
