// The whole table of cases runs clean under the guard, for every backend that is built; and the
// guard does catch what it is there to catch, shown on a copy of `ref` with one op made wrong.
#include "am_test.h"
#include "backend/guard/guard.h"
#include "backend/ref/ref.h"
#include "op_run.h"

// ---- the table ----

static void table_is_clean(const char *inner) {
  if (!am_backend_find(inner)) am_skip("device %s is not in this build", inner);
  char kind[32], text[OP_CASE_TEXT];
  snprintf(kind, sizeof kind, "guard:%s", inner);
  am_device *dev = NULL;
  op_cases table = {0};
  int64_t breaches = 0;
  am_ok(am_device_open(&(am_device_cfg){.kind = kind}, &dev));
  am_ok(op_cases_build(&table));
  for (int64_t i = 0; i < table.count; i++) {
    for (int place = 0; place < PLACE_COUNT; place++) {
      if (!op_place_fits(&table.item[i], (op_place)place)) continue;
      op_result result = {0};
      if (op_run(dev, &table.item[i], (op_place)place, &result) != AM_OK) {
        breaches++;
        fprintf(stderr, "%s place %d: %s\n", op_case_text(&table.item[i], text), place,
                am_err_last()->message);
      }
      op_result_fini(&result);
    }
  }
  op_cases_fini(&table);
  am_device_close(dev);
  assert_int_equal(breaches, 0);
}

static void ref_is_clean(void **state) { table_is_clean("ref"); }
static void cpu_is_clean(void **state) { table_is_clean("cpu"); }

// ---- ops made wrong: what each breaks is in its name ----

static am_err unary_writes_past(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  ((float *)out->data)[am_shape_count(out->shape)] = 1;
  return am_ref_unary(ctx, desc, in, out);
}

static am_err unary_writes_before(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  ((float *)out->data)[-1] = 1;
  return am_ref_unary(ctx, desc, in, out);
}

static am_err unary_writes_past_input(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  ((float *)in->data)[am_shape_count(in->shape)] = 1;
  return am_ref_unary(ctx, desc, in, out);
}

static am_err unary_changes_input(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  ((float *)in->data)[2] += 1;
  return am_ref_unary(ctx, desc, in, out);
}

static am_err unary_leaves_one(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  float kept = ((float *)out->data)[4];
  AM_TRY(am_ref_unary(ctx, desc, in, out));
  ((float *)out->data)[4] = kept;
  return AM_OK;
}

static am_err unary_adds_to_output(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  float before = ((float *)out->data)[0];
  AM_TRY(am_ref_unary(ctx, desc, in, out));
  ((float *)out->data)[0] += before;
  return AM_OK;
}

static int calls;
static am_err unary_not_repeatable(void *ctx, const am_unary_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_ref_unary(ctx, desc, in, out));
  ((float *)out->data)[1] = (float)calls++;
  return AM_OK;
}

static am_err axpby_reads_needlessly(void *ctx, const am_axpby_desc *desc, const am_view *in, am_view *out) {
  am_axpby_desc careless = {.a = desc->a, .b = desc->b == 0 ? 1e-30 : desc->b};
  return am_ref_axpby(ctx, &careless, in, out);
}

static am_err sgd_touches_momentum(void *ctx, const am_sgd_desc *desc, const am_view *in, am_view *out) {
  ((float *)out[1].data)[0] = 0;
  return am_ref_sgd_step(ctx, desc, in, out);
}

// ---- they are caught ----

// Opens a guard on `inner`, runs one op through its table on host memory, and expects the breach.
typedef struct {
  void *guard;
  float x[6], y[6], z[6];
  am_view in, out[2];
} bench;

static void bench_open(bench *b, const am_backend *inner) {
  *b = (bench){.x = {1, 2, 3, 4, 5, 6}, .z = {1, 1, 1, 1, 1, 1}};
  am_view view = {.dtype = AM_F32, .shape = AM_SHAPE(6)};
  b->in = b->out[0] = b->out[1] = view;
  b->in.data = b->x;
  b->out[0].data = b->y;
  b->out[1].data = b->z;
  am_ok(am_guard_open_on(inner, &(am_device_cfg){.kind = "ref", .threads = 1}, &b->guard));
}

typedef am_err (*unary_op)(void *, const am_unary_desc *, const am_view *, am_view *);

static void unary_is_caught(unary_op wrong, const char *part) {
  am_backend inner = am_backend_ref;
  am_unary_desc square = {.kind = AM_UN_SQUARE};
  bench b;
  inner.unary = wrong;
  bench_open(&b, &inner);
  am_fails(am_backend_guard.unary(b.guard, &square, &b.in, b.out), AM_ERR_INTERNAL, part);
  am_backend_guard.close(b.guard);
}

static void catches_writes_outside(void **state) {
  unary_is_caught(unary_writes_past, "wrote 4 bytes past the end of output 0");
  unary_is_caught(unary_writes_before, "wrote 4 bytes before output 0");
  unary_is_caught(unary_writes_past_input, "past the end of input 0");
}

static void catches_changed_inputs(void **state) {
  unary_is_caught(unary_changes_input, "changed element 2 of input 0");
}

static void catches_unwritten_outputs(void **state) {
  unary_is_caught(unary_leaves_one, "element 4 of output 0");
  unary_is_caught(unary_adds_to_output, "element 0 of output 0");
}

static void catches_what_is_not_repeatable(void **state) {
  unary_is_caught(unary_not_repeatable, "element 1 of output 0");
}

static void catches_careless_updates(void **state) {
  am_backend inner = am_backend_ref;
  inner.axpby = axpby_reads_needlessly;
  inner.sgd_step = sgd_touches_momentum;
  bench b;
  bench_open(&b, &inner);
  am_axpby_desc assign = {.a = 1, .b = 0};
  am_fails(am_backend_guard.axpby(b.guard, &assign, &b.in, b.out), AM_ERR_INTERNAL, "output 0");
  am_sgd_desc plain = {.lr = 0.1, .step = 2};
  am_fails(am_backend_guard.sgd_step(b.guard, &plain, &b.in, b.out), AM_ERR_INTERNAL, "changed element 0");
  am_backend_guard.close(b.guard);
}

static void delivers_the_result(void **state) {
  bench b;
  bench_open(&b, &am_backend_ref);
  am_unary_desc square = {.kind = AM_UN_SQUARE};
  am_ok(am_backend_guard.unary(b.guard, &square, &b.in, b.out));
  assert_true(b.y[0] == 1 && b.y[5] == 36);
  am_backend_guard.close(b.guard);
}

static void fresh_memory_is_nan(void **state) {
  am_device *dev = NULL;
  am_tensor *t = NULL;
  float value[3];
  am_ok(am_device_open(&(am_device_cfg){.kind = "guard:ref"}, &dev));
  for (int round = 0; round < 2; round++) {
    am_ok(am_tensor_new(dev, AM_F32, AM_SHAPE(3), &t));
    am_ok(am_tensor_to_host(t, value));
    assert_true(isnan(value[0]) && isnan(value[1]) && isnan(value[2]));
    am_ok(am_tensor_copy_from_host(t, (float[]){1, 2, 3}));
    am_tensor_release(t);
  }
  am_device_close(dev);
}

static void guards_only_what_is_built(void **state) {
  am_device *dev = NULL;
  am_fails(am_device_open(&(am_device_cfg){.kind = "guard:guard"}, &dev), AM_ERR_CONFIG, "\"guard\" is none");
  am_fails(am_device_open(&(am_device_cfg){.kind = "guard:cuda"}, &dev), AM_ERR_CONFIG, "\"cuda\" is none");
}

int main(void) {
  const struct CMUnitTest tests[] = {
    cmocka_unit_test(ref_is_clean),
    cmocka_unit_test(cpu_is_clean),
    cmocka_unit_test(catches_writes_outside),
    cmocka_unit_test(catches_changed_inputs),
    cmocka_unit_test(catches_unwritten_outputs),
    cmocka_unit_test(catches_what_is_not_repeatable),
    cmocka_unit_test(catches_careless_updates),
    cmocka_unit_test(delivers_the_result),
    cmocka_unit_test(fresh_memory_is_nan),
    cmocka_unit_test(guards_only_what_is_built),
  };
  return cmocka_run_group_tests_name("guard", tests, NULL, NULL);
}
