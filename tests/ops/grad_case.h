// A case of the gradient checks: an op or a function, the shapes of its inputs, where they may lie.
// Inputs are f64 on device "ref", drawn from a stream of their own.
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

static int grad_setup(void **state) {
  return am_device_open(&(am_device_cfg){.kind = "ref"}, &grad_device) == AM_OK ? 0 : -1;
}
static int grad_teardown(void **state) {
  am_device_close(grad_device);
  return 0;
}

static double grad_drawn(am_rng *rng, grad_draw draw) {
  if (draw == DRAW_POSITIVE) return am_rng_range(rng, 0.5, 2);
  double v = am_rng_normal(rng);
  if (draw == DRAW_APART && fabs(v) < 0.1) return v < 0 ? v - 0.1 : v + 0.1;
  return v;
}

static am_tensor *grad_input(const grad_case *c, int i) {
  am_tensor *t = NULL;
  int64_t count = am_shape_count(c->in[i]);
  if (c->index_input == i && i > 0) {
    am_ok(am_tensor_from_host(grad_device, AM_I32, c->in[i], c->index, &t));
    return t;
  }
  am_rng rng = am_rng_at(am_seed_derive(7, c->name), AM_RNG_TEST, (uint64_t)i);
  double *host = malloc(sizeof *host * (size_t)count);
  assert_non_null(host);
  for (int64_t e = 0; e < count; e++) host[e] = grad_drawn(&rng, c->draw);
  am_ok(am_tensor_from_host(grad_device, AM_F64, c->in[i], host, &t));
  free(host);
  am_require_grad(t, !(c->constant >> i & 1u));
  return t;
}

static am_err grad_call(am_graph *g, void *user, am_tensor *const *in, am_tensor **out) {
  const grad_case *c = user;
  return c->f(g, c, in, out);
}

static void grad_check(const grad_case *c) {
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
