// A case of the gradient checks: an op or a function, the shapes of its inputs, where they may lie.
// Inputs are f64 on device "ref", drawn from a stream of their own; gradients are held against finite differences there.
// A program that is asked for a device (am_test_option) holds that device's gradients in f32 against those of "ref" instead.
#ifndef AM_GRAD_CASE_H
#define AM_GRAD_CASE_H

#include "am_test.h"
#include "autograd/gradcheck.h"
#include "autograd/ops.h"
#include "base/rng.h"

// Where inputs are drawn: N(0, 1); U(0.5, 2), for logarithms and roots; or at least 0.1 away from
// zero, where leaky_relu and abs have their kinks.
typedef enum { DRAW_NORMAL, DRAW_POSITIVE, DRAW_APART } grad_draw;

enum { GRAD_MAX_INPUTS = 6 };
typedef struct grad_case {
  const char *name;
  am_err (*f)(am_graph *g, const struct grad_case *c, am_tensor *const *in, am_tensor **out);
  am_op op;          // for op cases: what the table calls
  const void *desc;  // borrowed
  am_shape in[GRAD_MAX_INPUTS];
  int count;
  int index_input;       // this input is index[] (i32); 0: none, since an index is never first
  const int32_t *index;  // borrowed
  unsigned constant;     // bit i: input i is not differentiated
  grad_draw draw;
  int orders;       // 0 means 2
  double value[2];  // anything f needs
} grad_case;

static am_device *grad_device;
static struct {
  const char *kind;   // NULL: finite differences
  am_device *device;
  bool tf32;
  double tolerance;
} grad_beside;

// |got - want| <= tolerance * (|want| + largest |want| of the gradient). Variances of two or four elements magnify what the
// rounding of f32, or of TF32's factors, is worth by itself.
#define GRAD_TOL_SINGLE 1e-3
#define GRAD_TOL_TF32 3e-2

static void grad_options(int argc, char **argv) {
  const char *type = am_test_option(argc, argv, "--type");
  grad_beside.kind = am_test_option(argc, argv, "--device");
  grad_beside.tf32 = type && strcmp(type, "tf32") == 0;
  grad_beside.tolerance = grad_beside.tf32 ? GRAD_TOL_TF32 : GRAD_TOL_SINGLE;
}
static am_dtype grad_type(void) { return grad_beside.kind ? AM_F32 : AM_F64; }

static int grad_setup(void **state) {
  am_err err = am_device_open(&(am_device_cfg){.kind = "ref"}, &grad_device);
  if (!err && grad_beside.kind) err = am_device_open(&(am_device_cfg){.kind = grad_beside.kind}, &grad_beside.device);
  if (!err && grad_beside.tf32) err = am_device_set_tf32(grad_beside.device, true);
  if (err) am_err_print(stderr, am_err_last(), true);
  return err == AM_OK ? 0 : -1;
}
static int grad_teardown(void **state) {
  am_device_close(grad_device);
  am_device_close(grad_beside.device);
  return 0;
}

static double grad_drawn(am_rng *rng, grad_draw draw) {
  if (draw == DRAW_POSITIVE) return am_rng_range(rng, 0.5, 2);
  double v = am_rng_normal(rng);
  if (draw == DRAW_APART && fabs(v) < 0.1) return v < 0 ? v - 0.1 : v + 0.1;
  return v;
}

static am_tensor *grad_numbers(am_device *dev, am_shape shape, am_rng rng, grad_draw draw) {
  am_tensor *t = NULL;
  const int64_t count = am_shape_count(shape);
  double *host = malloc(sizeof *host * (size_t)count);
  float *single = malloc(sizeof *single * (size_t)count);
  assert_true(host && single);
  for (int64_t e = 0; e < count; e++) single[e] = (float)(host[e] = grad_drawn(&rng, draw));
  am_ok(am_tensor_from_host(dev, grad_type(), shape, grad_type() == AM_F32 ? (void *)single : host, &t));
  free(host);
  free(single);
  return t;
}

static am_tensor *grad_input_on(am_device *dev, const grad_case *c, int i) {
  am_tensor *t = NULL;
  if (c->index_input == i && i > 0) {
    am_ok(am_tensor_from_host(dev, AM_I32, c->in[i], c->index, &t));
    return t;
  }
  t = grad_numbers(dev, c->in[i], am_rng_at(am_seed_derive(7, c->name), AM_RNG_TEST, (uint64_t)i), c->draw);
  am_require_grad(t, !(c->constant >> i & 1u));
  return t;
}
static am_tensor *grad_input(const grad_case *c, int i) { return grad_input_on(grad_device, c, i); }

static am_err grad_call(am_graph *g, void *user, am_tensor *const *in, am_tensor **out) {
  const grad_case *c = user;
  return c->f(g, c, in, out);
}

// ---- beside ref ----

enum { GRAD_MOST = 3 * (GRAD_MAX_INPUTS + 1), GRAD_ELEMENTS = 4096 };
// The gradients of one device, one after the other: of F_1 = <f(in), r> without and with create_graph, and of
// F_2 = <grad F_1, v>, by every input and by r.
typedef struct {
  float value[GRAD_MOST][GRAD_ELEMENTS];
  int64_t count[GRAD_MOST];
  int used;
} grad_results;

static void grad_keep(grad_results *o, am_tensor *dx, const am_tensor *x) {
  assert_true(o->used < GRAD_MOST && am_shape_count(x->shape) <= GRAD_ELEMENTS);
  o->count[o->used] = am_shape_count(x->shape);
  memset(o->value[o->used], 0, sizeof o->value[0]);
  if (dx) am_ok(am_tensor_to_host(dx, o->value[o->used]));
  o->used++;
}

static am_tensor *grad_inner(am_graph *g, am_tensor *a, am_tensor *b) {
  am_tensor *t = NULL;
  am_ok(am_mul(g, a, b, &t));
  am_ok(am_sum(g, t, ~0u, &t));
  return t;
}

// Gradients of y by x[], kept.
static void grad_take(am_graph *g, am_tensor *y, am_tensor **x, int count, bool create_graph, am_tensor **dx,
                      grad_results *o) {
  am_grad_desc d = {.y = &y, .y_count = 1, .x = x, .x_count = count, .create_graph = create_graph};
  am_ok(am_grad(g, &d, dx));
  for (int j = 0; j < count; j++) grad_keep(o, dx[j], x[j]);
}

static am_tensor *grad_projected(am_graph *g, const grad_case *c, am_tensor *const *in, am_tensor **r) {
  am_tensor *out = NULL;
  am_ok(c->f(g, c, in, &out));
  if (!*r) {
    *r = grad_numbers(am_graph_device(g), out->shape, am_rng_at(8, AM_RNG_TEST, 0), DRAW_NORMAL);
    am_require_grad(*r, true);
  }
  return grad_inner(g, out, *r);
}

static void grad_run(am_device *dev, const grad_case *c, grad_results *o) {
  am_graph *g = NULL;
  am_tensor *in[GRAD_MAX_INPUTS] = {NULL}, *r = NULL, *x[GRAD_MAX_INPUTS + 1], *dx[GRAD_MAX_INPUTS + 1];
  int count = 0;
  o->used = 0;
  am_ok(am_graph_new(dev, &g));
  for (int i = 0; i < c->count; i++) in[i] = grad_input_on(dev, c, i);
  for (int i = 0; i < c->count; i++)
    if (in[i]->requires_grad) x[count++] = in[i];
  am_tensor *y = grad_projected(g, c, in, &r), *next = NULL;
  x[count++] = r;
  grad_take(g, y, x, count, false, dx, o);
  am_graph_reset(g);
  grad_take(g, grad_projected(g, c, in, &r), x, count, true, dx, o);
  for (int j = 0; j < count && c->orders != 1; j++) {
    if (!dx[j]) continue;
    am_tensor *v = grad_numbers(dev, x[j]->shape, am_rng_at(9, AM_RNG_TEST, (uint64_t)j), DRAW_NORMAL), *part;
    am_ok(am_graph_own(g, v));
    part = grad_inner(g, dx[j], v);
    if (next) am_ok(am_add(g, next, part, &part));
    next = part;
  }
  if (next) grad_take(g, next, x, count, false, dx, o);
  am_graph_free(g);
  am_tensor_release(r);
  for (int i = 0; i < c->count; i++) am_tensor_release(in[i]);
}

static void grad_compare(const grad_case *c) {
  static grad_results got, want;
  const char *scale_text = getenv("AM_TOL_SCALE");
  const double tolerance = grad_beside.tolerance * (scale_text ? atof(scale_text) : 1);
  grad_run(grad_device, c, &want);
  grad_run(grad_beside.device, c, &got);
  assert_int_equal(got.used, want.used);
  for (int k = 0; k < want.used; k++) {
    double largest = 0;
    for (int64_t i = 0; i < want.count[k]; i++) largest = fmax(largest, fabs(want.value[k][i]));
    for (int64_t i = 0; i < want.count[k]; i++) {
      const double g = got.value[k][i], w = want.value[k][i];
      if (!(fabs(g - w) <= tolerance * (fabs(w) + largest)))
        fail_msg("%s: gradient %d of %d, element %lld is %.9g, ref has %.9g (off by %.3g, tolerance %g)", c->name, k,
                 want.used, (long long)i, g, w, fabs(g - w) / (fabs(w) + largest), tolerance);
    }
  }
}

static void grad_check(const grad_case *c) {
  if (grad_beside.kind) {
    grad_compare(c);
    return;
  }
  am_tensor *in[GRAD_MAX_INPUTS] = {NULL};
  for (int i = 0; i < c->count; i++) in[i] = grad_input(c, i);
  am_gradcheck_desc d = {
      .f = grad_call, .user = (void *)c, .in = in, .count = c->count, .orders = c->orders ? c->orders : 2};
  am_err err = am_gradcheck(grad_device, &d);
  for (int i = 0; i < c->count; i++) am_tensor_release(in[i]);
  if (err) am_err_prefix("case %s", c->name);
  am_ok(err);
}

#define S(...) AM_SHAPE(__VA_ARGS__)

#endif
