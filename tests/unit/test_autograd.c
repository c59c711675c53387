// What the tape promises besides right numbers: which gradients are computed, when and where they
// arrive, what is kept and what is given back.
#include "am_test.h"
#include "autograd/ops.h"
#include "base/num.h"

static am_device *dev;
static am_graph *g;

static int open_device(void **state) {
  return am_device_open(&(am_device_cfg){.kind = "ref"}, &dev) ? -1 : 0;
}
static int close_device(void **state) {
  am_device_close(dev);
  return 0;
}
static int new_graph(void **state) { return am_graph_new(dev, &g) ? -1 : 0; }
// Nothing is left on the device once graph and leaves are gone.
static int free_graph(void **state) {
  am_graph_free(g);
  return am_device_memory_now(dev).live_bytes == 0 ? 0 : -1;
}

// A tensor that the graph owns; a leaf wants its gradient.
static am_tensor *tensor_of(const double *value, am_shape shape, bool leaf) {
  am_tensor *t = NULL;
  am_ok(am_tensor_from_host(dev, AM_F64, shape, value, &t));
  am_ok(am_graph_own(g, t));
  am_require_grad(t, leaf);
  return t;
}
static am_tensor *leaf2(double a, double b) { return tensor_of((double[]){a, b}, AM_SHAPE(2), true); }

static void expect(am_tensor *t, const double *want) {
  double got[16];
  int64_t count = am_tensor_count(t);
  assert_true(count <= 16);
  am_ok(am_tensor_to_host(t, got));
  am_close(got, want, count, 1e-12, 1e-12);
}
#define EXPECT(t, ...) expect((t), (double[]){__VA_ARGS__})

static am_tensor *total(am_tensor *t) {
  am_tensor *y = NULL;
  am_ok(am_sum(g, t, ~0u, &y));
  return y;
}

static am_grad_desc grads_of(am_tensor **y, am_tensor **x, int x_count) {
  return (am_grad_desc){.y = y, .y_count = 1, .x = x, .x_count = x_count};
}

// ---- which gradients ----

static void asks_only_for_what_is_named(void **state) {
  am_tensor *p = leaf2(2, 3), *q = leaf2(5, 7), *other = leaf2(1, 1), *y = NULL, *dx[3];
  am_ok(am_mul(g, p, q, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, (am_tensor *[]){q, other, q}, 3);
  am_ok(am_grad(g, &d, dx));
  EXPECT(dx[0], 2, 3);
  assert_null(dx[1]);
  EXPECT(dx[2], 2, 3);  // the same x twice
}

static am_err product_gradient(am_tensor *a, am_tensor *b, bool both, int64_t *allocations) {
  am_tensor *y = NULL, *x[] = {a, b}, *dx[2];
  AM_TRY(am_matmul(g, a, b, false, false, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, x, both ? 2 : 1);
  int64_t before = am_device_memory_now(dev).allocations;
  AM_TRY(am_grad(g, &d, dx));
  *allocations = am_device_memory_now(dev).allocations - before;
  return AM_OK;
}

static void computes_nothing_else(void **state) {
  double value[4] = {1, 2, 3, 4};
  am_tensor *a = tensor_of(value, AM_SHAPE(2, 2), true), *b = tensor_of(value, AM_SHAPE(2, 2), true);
  int64_t both = 0, one = 0;
  am_ok(product_gradient(a, b, true, &both));
  am_ok(product_gradient(a, b, false, &one));
  assert_int_equal(one, both - 1);  // the other factor's gradient is one tensor
}

static void stops_at_intermediate_results(void **state) {
  am_tensor *p = leaf2(2, 3), *q = NULL, *y = NULL, *dx[2];
  am_ok(am_square(g, p, &q));
  am_ok(am_square(g, q, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, (am_tensor *[]){q, p}, 2);
  am_ok(am_grad(g, &d, dx));
  EXPECT(dx[0], 8, 18);
  EXPECT(dx[1], 32, 108);
  EXPECT(q, 4, 9);  // an x keeps its memory
}

static void takes_seeds_and_several_outputs(void **state) {
  am_tensor *p = leaf2(2, 3), *y[2], *dx;
  am_tensor *seed[] = {tensor_of((double[]){1, 10}, AM_SHAPE(2), false), NULL};
  am_ok(am_square(g, p, &y[0]));
  am_ok(am_affine(g, p, 4, 0, &y[1]));
  y[1] = total(y[1]);
  am_grad_desc d = {.y = y, .seed = seed, .y_count = 2, .x = &p, .x_count = 1, .keep_graph = true};
  am_ok(am_grad(g, &d, &dx));
  EXPECT(dx, 4 + 4, 60 + 4);
  am_grad_desc bare = {.y = y, .y_count = 1, .x = &p, .x_count = 1};
  am_fails(am_grad(g, &bare, &dx), AM_ERR_ARG, "only one element needs no seed");
}

static void an_output_can_be_an_input(void **state) {
  am_tensor *p = tensor_of((double[]){3}, AM_SHAPE_SCALAR, true), *dx;
  am_grad_desc d = grads_of(&p, &p, 1);
  am_ok(am_grad(g, &d, &dx));
  EXPECT(dx, 1);
}

static void detached_is_constant(void **state) {
  am_tensor *p = leaf2(2, 3), *q = NULL, *y = NULL, *dx;
  am_ok(am_square(g, p, &q));
  am_ok(am_detach(g, q, &q));
  am_ok(am_mul(g, p, q, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, &p, 1);
  am_ok(am_grad(g, &d, &dx));
  EXPECT(dx, 4, 9);
}

static void off_the_record(void **state) {
  am_tensor *p = leaf2(2, 3), *y = NULL, *dx;
  am_graph_record(g, false);
  am_ok(am_square(g, p, &y));
  y = total(y);
  assert_false(y->requires_grad);
  am_graph_record(g, true);
  am_grad_desc d = grads_of(&y, &p, 1);
  am_ok(am_grad(g, &d, &dx));
  assert_null(dx);
}

// ---- values where derivatives jump: PyTorch's choices ----

static void at_kinks(void **state) {
  struct {
    am_unary_desc d;
    double at, want;
  } list[] = {
      {{.kind = AM_UN_LEAKY_RELU, .a = 0}, 0, 0},        {{.kind = AM_UN_LEAKY_RELU, .a = 0.2}, 0, 0.2},
      {{.kind = AM_UN_LEAKY_RELU, .a = -0.5}, -2, -0.5}, {{.kind = AM_UN_ABS}, 0, 0},
      {{.kind = AM_UN_CLAMP, .a = -1, .b = 2}, -1, 1},   {{.kind = AM_UN_CLAMP, .a = -1, .b = 2}, 2, 1},
      {{.kind = AM_UN_CLAMP, .a = -1, .b = 2}, 2.5, 0},
  };
  for (int i = 0; i < AM_COUNT_OF(list); i++) {
    am_tensor *x = tensor_of(&list[i].at, AM_SHAPE_SCALAR, true), *y = NULL, *dx;
    am_ok(am_unary(g, list[i].d, x, &y));
    am_grad_desc d = grads_of(&y, &x, 1);
    am_ok(am_grad(g, &d, &dx));
    EXPECT(dx, list[i].want);
  }
}

static void ties_share(void **state) {
  am_tensor *p = leaf2(1, 3), *q = leaf2(1, 2), *y = NULL, *dx[2];
  am_ok(am_binary(g, (am_binary_desc){.kind = AM_BIN_MAX}, p, q, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, (am_tensor *[]){p, q}, 2);
  am_ok(am_grad(g, &d, dx));
  EXPECT(dx[0], 0.5, 1);
  EXPECT(dx[1], 0.5, 0);
  am_tensor *x = tensor_of((double[]){4, 1, 4}, AM_SHAPE(3), true);
  am_ok(am_apply(g, AM_OP_reduce, &(am_reduce_desc){AM_RED_MAX, 1}, &x, &y));
  d = grads_of(&y, &x, 1);
  am_ok(am_grad(g, &d, dx));
  EXPECT(dx[0], 0.5, 0, 0.5);
}

// ---- where gradients arrive ----

typedef struct {
  int order[6], count;
} arrivals;
static void arrive(void *user, int j) {
  arrivals *a = user;
  a->order[a->count++] = j;
}

static void sinks_receive_last_layers_first(void **state) {
  am_tensor *first = leaf2(2, 3), *last = leaf2(5, 7), *unused = leaf2(1, 1), *y = NULL;
  am_tensor *sink[] = {leaf2(100, 100), leaf2(100, 100), leaf2(100, 100)};
  arrivals a = {0};
  am_ok(am_square(g, first, &y));
  am_ok(am_mul(g, y, last, &y));
  y = total(y);
  am_tensor *x[] = {first, last, unused};
  am_grad_desc d = {.y = &y,
                    .y_count = 1,
                    .x = x,
                    .x_count = 3,
                    .sink = sink,
                    .on_ready = arrive,
                    .user = &a,
                    .keep_graph = true};
  am_ok(am_grad(g, &d, NULL));
  EXPECT(sink[0], 20, 42);
  EXPECT(sink[1], 4, 9);
  EXPECT(sink[2], 0, 0);
  assert_int_equal(a.count, 3);
  assert_int_equal(a.order[0], 2);  // nothing will come: ready at once
  assert_int_equal(a.order[1], 1);
  assert_int_equal(a.order[2], 0);
  d.accumulate = true;
  d.keep_graph = false;
  am_ok(am_grad(g, &d, NULL));
  EXPECT(sink[0], 40, 84);
  EXPECT(sink[2], 0, 0);
}

// The op that computes a gradient writes it to the sink itself, unless there is more to add.
static void sinks_are_written_at_once(void **state) {
  am_tensor *x = leaf2(2, 3), *w = tensor_of((double[]){5, 7}, AM_SHAPE(2, 1), true), *y = NULL, *dx[2];
  am_tensor *sink[] = {leaf2(0, 0), tensor_of((double[]){0, 0}, AM_SHAPE(2, 1), false)};
  am_ok(am_reshape(g, x, AM_SHAPE(1, 2), &y));
  am_ok(am_matmul(g, y, w, false, false, &y));
  y = total(y);
  am_grad_desc d = {
      .y = &y, .y_count = 1, .x = (am_tensor *[]){x, w}, .x_count = 2, .sink = sink, .keep_graph = true};
  am_ok(am_grad(g, &d, dx));
  assert_ptr_equal(dx[1], sink[1]);
  EXPECT(sink[0], 5, 7);
  EXPECT(sink[1], 2, 3);
  d.accumulate = true;
  am_ok(am_grad(g, &d, dx));
  assert_ptr_not_equal(dx[1], sink[1]);
  EXPECT(sink[1], 4, 6);
  // Twice in one product: neither part may stand in the sink alone.
  am_ok(am_matmul(g, w, w, false, true, &y));
  y = total(y);
  d = (am_grad_desc){.y = &y, .y_count = 1, .x = &w, .x_count = 1, .sink = &sink[1]};
  am_ok(am_grad(g, &d, NULL));
  EXPECT(sink[1], 24, 24);
}

// ---- what is kept ----

static void memory_comes_back_on_the_way(void **state) {
  double zeros[512] = {0};
  am_tensor *x = tensor_of(zeros, AM_SHAPE(512), true), *y = x, *middle = NULL, *kept = NULL, *dx;
  int64_t leaf_bytes = am_device_memory_now(dev).live_bytes;
  for (int i = 0; i < 10; i++) {
    am_ok(am_tanh(g, y, &y));
    if (i == 3) middle = y;
    if (i == 5) kept = am_tensor_retain(y);
  }
  y = total(y);
  am_grad_desc d = grads_of(&y, &x, 1);
  int64_t before = am_device_memory_now(dev).live_bytes;
  am_ok(am_grad(g, &d, &dx));
  // Left: the leaf, its gradient, what was retained, and the scalars around the sum.
  assert_true(am_device_memory_now(dev).live_bytes < leaf_bytes * 3 + leaf_bytes / 2);
  assert_true(before > 10 * leaf_bytes);
  am_fails(am_tensor_to_host(middle, zeros), AM_ERR_ARG, "gone");
  am_fails(am_tanh(g, middle, &middle), AM_ERR_ARG, "gone");
  am_ok(am_tensor_to_host(kept, zeros));
  am_tensor_release(kept);
}

static void a_second_pass_needs_keep_graph(void **state) {
  am_tensor *p = leaf2(2, 3), *y = NULL, *dx;
  am_ok(am_square(g, p, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, &p, 1);
  d.keep_graph = true;
  am_ok(am_grad(g, &d, &dx));
  d.keep_graph = false;
  am_ok(am_grad(g, &d, &dx));
  EXPECT(dx, 4, 6);
  am_fails(am_grad(g, &d, &dx), AM_ERR_ARG, "keep_graph");
}

// Another output of a part that was given back is out of reach, but the rest of the graph is not.
static void what_was_not_passed_stays(void **state) {
  am_tensor *p = leaf2(2, 3), *q = leaf2(5, 7), *a = NULL, *b = NULL, *dx;
  am_ok(am_square(g, p, &a));
  am_ok(am_mul(g, a, q, &b));
  a = total(a);
  b = total(b);
  am_grad_desc d = grads_of(&a, &p, 1);
  am_ok(am_grad(g, &d, &dx));
  d = grads_of(&b, &q, 1);
  am_ok(am_grad(g, &d, &dx));  // b = square(p) q by q: q's path does not go through square
  EXPECT(dx, 4, 9);
}

static void marks_release_what_came_since(void **state) {
  am_tensor *p = tensor_of((double[]){2, 3}, AM_SHAPE(2), false), *y = NULL, *z = NULL;
  int64_t before = am_device_memory_now(dev).live_bytes, mark = am_graph_mark(g);
  am_ok(am_square(g, p, &y));
  am_ok(am_square(g, y, &y));
  int64_t one_result = (am_device_memory_now(dev).live_bytes - before) / 2;
  am_ok(am_graph_release_to(g, mark, &y, 1));
  assert_int_equal(am_device_memory_now(dev).live_bytes, before + one_result);
  EXPECT(y, 16, 81);
  am_require_grad(p, true);
  am_ok(am_square(g, p, &z));
  am_fails(am_graph_release_to(g, mark, NULL, 0), AM_ERR_ARG, "recorded since");
}

static void retained_results_outlive_the_graph(void **state) {
  am_tensor *p = leaf2(2, 3), *y = NULL;
  am_ok(am_square(g, p, &y));
  am_tensor_retain(y);
  am_graph_reset(g);
  assert_false(y->requires_grad);
  EXPECT(y, 4, 9);
  am_tensor_release(y);
}

// ---- refusals ----

static void refuses_to_overwrite_what_is_needed(void **state) {
  am_tensor *p = leaf2(2, 3), *y = NULL, *dx, *one = leaf2(1, 1);
  am_ok(am_square(g, p, &y));
  am_fails(am_apply(g, AM_OP_axpby, &(am_axpby_desc){1, 1}, &one, &p), AM_ERR_ARG,
           "gradient of a recorded unary");
  y = total(y);
  am_grad_desc d = grads_of(&y, &p, 1);
  am_ok(am_grad(g, &d, &dx));
  am_ok(am_apply(g, AM_OP_axpby, &(am_axpby_desc){1, 1}, &one, &p));
  EXPECT(p, 3, 4);
}

static void fused_gradients_have_no_gradient(void **state) {
  double value[4] = {1, 2, 4, 7};
  am_tensor *x = tensor_of(value, AM_SHAPE(4, 1), true), *scale = tensor_of(value, AM_SHAPE(1), false);
  am_tensor *in[] = {x, x, scale, scale, scale, scale}, *out[3], *dx;
  am_ok(am_apply(g, AM_OP_batch_norm_grad, &(am_norm_desc){.eps = 1e-5}, in, out));
  am_tensor *y = total(out[0]);
  am_grad_desc d = grads_of(&y, &x, 1);
  am_fails(am_grad(g, &d, &dx), AM_ERR_ARG, "batch_norm_grad has no gradient");
}

// Gradients by the image alone pass a filter that asks for some; its own are an error.
static void filters_are_constants(void **state) {
  double ones[4] = {1, 1, 1, 1};
  am_tensor *x = tensor_of(ones, AM_SHAPE(1, 1, 2, 2), true), *filter = tensor_of(ones, AM_SHAPE(1, 2), true), *y, *dx;
  am_ok(am_upfirdn2d(g, x, filter, (am_upfirdn2d_desc){0}, &y));
  y = total(y);
  am_grad_desc d = grads_of(&y, &x, 1);
  d.keep_graph = true;
  am_ok(am_grad(g, &d, &dx));
  EXPECT(dx, 1, 1, 1, 1);
  d = grads_of(&y, &filter, 1);
  am_fails(am_grad(g, &d, &dx), AM_ERR_ARG, "the filter of upfirdn2d is a constant, it has no gradient");
}

static void names_wrong_shapes(void **state) {
  am_tensor *p = leaf2(2, 3), *y = NULL, *sink = NULL;
  am_fails(am_reshape(g, p, AM_SHAPE(3), &y), AM_ERR_ARG, "reshape");
  am_fails(am_reshape(g, p, AM_SHAPE(-1, 4), &y), AM_ERR_ARG, "reshape");
  am_ok(am_reshape(g, p, AM_SHAPE(1, -1), &y));
  y = total(y);
  sink = tensor_of((double[]){0, 0, 0}, AM_SHAPE(3), false);
  am_grad_desc d = grads_of(&y, &p, 1);
  d.sink = &sink;
  am_fails(am_grad(g, &d, NULL), AM_ERR_ARG, "sink");
}

#define ON_A_GRAPH(test) cmocka_unit_test_setup_teardown(test, new_graph, free_graph)

int main(void) {
  const struct CMUnitTest tests[] = {
      ON_A_GRAPH(asks_only_for_what_is_named),
      ON_A_GRAPH(computes_nothing_else),
      ON_A_GRAPH(stops_at_intermediate_results),
      ON_A_GRAPH(takes_seeds_and_several_outputs),
      ON_A_GRAPH(an_output_can_be_an_input),
      ON_A_GRAPH(detached_is_constant),
      ON_A_GRAPH(off_the_record),
      ON_A_GRAPH(at_kinks),
      ON_A_GRAPH(ties_share),
      ON_A_GRAPH(sinks_receive_last_layers_first),
      ON_A_GRAPH(sinks_are_written_at_once),
      ON_A_GRAPH(memory_comes_back_on_the_way),
      ON_A_GRAPH(a_second_pass_needs_keep_graph),
      ON_A_GRAPH(what_was_not_passed_stays),
      ON_A_GRAPH(marks_release_what_came_since),
      ON_A_GRAPH(retained_results_outlive_the_graph),
      ON_A_GRAPH(refuses_to_overwrite_what_is_needed),
      ON_A_GRAPH(fused_gradients_have_no_gradient),
      ON_A_GRAPH(filters_are_constants),
      ON_A_GRAPH(names_wrong_shapes),
  };
  return cmocka_run_group_tests_name("autograd", tests, open_device, close_device);
}
