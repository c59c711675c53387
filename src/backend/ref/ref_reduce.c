#include <math.h>

#include "backend/ref/ref.h"

// Visits, for output element `to`, the reduced elements in row-major order: the coordinates of
// `to` with each reduced axis running over its length.
typedef struct {
  am_shape x, window;  // window: lengths of the reduced axes, 1 elsewhere
  int64_t base[AM_MAX_DIM];
} reduced;

static reduced reduced_for(am_shape x, am_shape y, int64_t to) {
  reduced r = {.x = x, .window = x};
  am_ref_unravel(y, to, r.base);
  for (int d = 0; d < x.ndim; d++) {
    if (y.dim[d] == x.dim[d]) r.window.dim[d] = 1;
  }
  return r;
}

static int64_t reduced_at(const reduced *r, int64_t step) {
  int64_t at[AM_MAX_DIM];
  am_ref_unravel(r->window, step, at);
  for (int d = 0; d < r->x.ndim; d++) at[d] += r->base[d];
  return am_ref_ravel(r->x, at);
}

static double sum_of(const am_view *x, const reduced *r, int64_t steps) {
  double sum = 0;
  for (int64_t s = 0; s < steps; s++) sum += am_ref_get(x, reduced_at(r, s));
  return sum;
}

// Step of the first maximum; a NaN counts as larger than everything, as in PyTorch.
static int64_t step_of_max(const am_view *x, const reduced *r, int64_t steps) {
  int64_t best = 0;
  double max = am_ref_get(x, reduced_at(r, 0));
  for (int64_t s = 1; s < steps && !isnan(max); s++) {
    double value = am_ref_get(x, reduced_at(r, s));
    if (value > max || isnan(value)) {
      max = value;
      best = s;
    }
  }
  return best;
}

am_err am_ref_reduce(void *ctx, const am_reduce_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  int64_t steps = am_shape_count(in->shape) / count;
  for (int64_t i = 0; i < count; i++) {
    reduced r = reduced_for(in->shape, out->shape, i);
    switch (desc->kind) {
      case AM_RED_SUM: am_ref_put(out, i, sum_of(in, &r, steps)); break;
      case AM_RED_MAX: am_ref_put(out, i, am_ref_get(in, reduced_at(&r, step_of_max(in, &r, steps)))); break;
      case AM_RED_ARGMAX: ((int32_t *)out->data)[i] = (int32_t)step_of_max(in, &r, steps); break;
    }
  }
  return AM_OK;
}
