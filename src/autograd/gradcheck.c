#include "autograd/gradcheck.h"

#include <math.h>

#include "autograd/ops.h"
#include "base/mem.h"
#include "base/rng.h"

enum { MAX_INPUTS = 16, MAX_ORDERS = 4 };

typedef struct {
  const am_gradcheck_desc *desc;
  am_graph *g;               // owned
  am_tensor *r;              // owned: projection of f's output, itself a checked input
  am_tensor *x[MAX_INPUTS];  // borrowed: the checked inputs, r last
  int x_count;
  am_tensor *v[MAX_ORDERS][MAX_INPUTS];  // owned: projections of the gradients
} check_run;

static am_err random_like(am_device *dev, am_shape shape, uint64_t index, am_tensor **out) {
  am_err err = AM_OK;
  double *host = NULL;
  int64_t count = am_shape_count(shape);
  am_rng rng = am_rng_at(1, AM_RNG_TEST, index);
  AM_TRY(AM_NEW_ARRAY(&host, count));
  for (int64_t i = 0; i < count; i++) host[i] = am_rng_normal(&rng);
  err = am_tensor_from_host(dev, AM_F64, shape, host, out);
  free(host);
  return err;
}

static am_err inner_product(am_graph *g, am_tensor *a, am_tensor *b, am_tensor **y) {
  am_tensor *t = NULL;
  AM_TRY(am_mul(g, a, b, &t));
  return am_sum(g, t, ~0u, y);
}

static am_err gradient(check_run *c, am_tensor *y, bool create_graph, am_tensor **dx) {
  am_grad_desc d = {.y = &y, .y_count = 1, .x = c->x, .x_count = c->x_count, .create_graph = create_graph};
  return am_grad(c->g, &d, dx);
}

// *y = F_order; NULL when it does not depend on any input.
static am_err scalar(check_run *c, int order, am_tensor **y) {
  am_tensor *out = NULL, *f = NULL, *dx[MAX_INPUTS];
  AM_TRY(c->desc->f(c->g, c->desc->user, c->desc->in, &out));
  AM_TRY(inner_product(c->g, out, c->r, &f));
  for (int k = 1; k < order && f; k++) {
    AM_TRY(gradient(c, f, true, dx));
    f = NULL;
    for (int j = 0; j < c->x_count; j++) {
      am_tensor *part = NULL;
      if (!dx[j]) continue;
      AM_TRY(inner_product(c->g, dx[j], c->v[k][j], &part));
      if (f) AM_TRY(am_add(c->g, f, part, &part));
      f = part;
    }
  }
  *y = f;
  return AM_OK;
}

static am_err value(check_run *c, int order, double *out) {
  am_tensor *y = NULL;
  am_graph_reset(c->g);
  AM_TRY(scalar(c, order, &y));
  *out = 0;
  return y ? am_tensor_item(y, out) : AM_OK;
}

// host[i] of input j moved by +-step: *out = (F(+) - F(-)) / 2 step.
static am_err difference(check_run *c, int order, int j, double *host, int64_t i, double *out) {
  double step = c->desc->step > 0 ? c->desc->step : 1e-5, centre = host[i], side[2] = {0, 0};
  for (int s = 0; s < 2; s++) {
    host[i] = centre + (s == 0 ? step : -step);
    AM_TRY(am_tensor_copy_from_host(c->x[j], host));
    AM_TRY(value(c, order, &side[s]));
  }
  host[i] = centre;
  AM_TRY(am_tensor_copy_from_host(c->x[j], host));
  *out = (side[0] - side[1]) / (2 * step);
  return AM_OK;
}

static am_err compare_input(check_run *c, int order, int j, const double *analytic) {
  am_err err = AM_OK;
  double *host = NULL, tolerance = c->desc->tolerance > 0 ? c->desc->tolerance : 1e-6;
  int64_t count = am_tensor_count(c->x[j]);
  AM_TRY(AM_NEW_ARRAY(&host, count));
  AM_GO(done, am_tensor_to_host(c->x[j], host));
  for (int64_t i = 0; i < count; i++) {
    double numeric = 0;
    AM_GO(done, difference(c, order, j, host, i, &numeric));
    AM_CHECK_GO(done, fabs(analytic[i] - numeric) <= tolerance * (1 + fabs(numeric)), AM_ERR_NUMERIC,
                "gradient of order %d by element %lld of %s %d: %.10g, finite difference %.10g", order,
                (long long)i, j == c->x_count - 1 ? "the projection, input" : "checked input", j, analytic[i],
                numeric);
  }
done:
  free(host);
  return err;
}

static am_err check_order(check_run *c, int order, bool create_graph) {
  am_err err = AM_OK;
  am_tensor *y = NULL, *dx[MAX_INPUTS] = {NULL};
  double *analytic[MAX_INPUTS] = {NULL};
  am_graph_reset(c->g);
  AM_TRY(scalar(c, order, &y));
  if (y) AM_TRY(gradient(c, y, create_graph, dx));
  for (int j = 0; j < c->x_count; j++) {
    AM_GO(done, AM_NEW_ARRAY(&analytic[j], am_tensor_count(c->x[j])));
    if (dx[j]) AM_GO(done, am_tensor_to_host(dx[j], analytic[j]));
  }
  for (int j = 0; j < c->x_count; j++) AM_GO(done, compare_input(c, order, j, analytic[j]));
done:
  for (int j = 0; j < c->x_count; j++) free(analytic[j]);
  return err;
}

static am_err prepare(check_run *c, am_device *dev) {
  am_tensor *out = NULL;
  AM_CHECK(c->desc->count < MAX_INPUTS && c->desc->orders <= MAX_ORDERS, AM_ERR_ARG,
           "gradcheck takes up to %d inputs and %d orders", MAX_INPUTS - 1, MAX_ORDERS);
  AM_TRY(am_graph_new(dev, &c->g));
  AM_TRY(c->desc->f(c->g, c->desc->user, c->desc->in, &out));
  AM_TRY(random_like(dev, out->shape, 0, &c->r));
  am_require_grad(c->r, true);
  for (int i = 0; i < c->desc->count; i++) {
    am_tensor *t = c->desc->in[i];
    if (t->requires_grad && t->dtype == AM_F64) c->x[c->x_count++] = t;
  }
  c->x[c->x_count++] = c->r;
  for (int k = 1; k < c->desc->orders; k++) {
    for (int j = 0; j < c->x_count; j++) {
      AM_TRY(random_like(dev, c->x[j]->shape, (uint64_t)(k * MAX_INPUTS + j), &c->v[k][j]));
    }
  }
  return AM_OK;
}

am_err am_gradcheck(am_device *dev, const am_gradcheck_desc *desc) {
  am_err err = AM_OK;
  check_run c = {.desc = desc};
  AM_GO(done, prepare(&c, dev));
  AM_GO(done, check_order(&c, 1, false));
  for (int order = 1; order <= desc->orders; order++) AM_GO(done, check_order(&c, order, true));
done:
  am_graph_free(c.g);
  am_tensor_release(c.r);
  for (int k = 0; k < MAX_ORDERS; k++) {
    for (int j = 0; j < MAX_INPUTS; j++) am_tensor_release(c.v[k][j]);
  }
  return err;
}
