// Cases of the ops that update in place. What they update is of the size of 1, and where the update cancels it, the
// rounding of that is left.
#include "base/num.h"
#include "op_cases.h"

static const am_shape update_shapes[] = {{0}, {1, {7}}, {1, {4001}}, {4, {2, 16, 3, 3}}, {4, {3, 5, 2, 2}}};

static am_err axpby_cases(op_cases *cases, am_shape shape) {
  static const am_axpby_desc descs[] = {{1, 1}, {0.5, -2}, {-1, 0}, {0, 0.9}, {0, 1}};
  for (int i = 0; i < AM_COUNT_OF(descs); i++) {
    op_case c = {.op = AM_OP_axpby, .desc.axpby = descs[i], .tolerance = TOL_ROUNDED, .scale = 1};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    c.out[0] = op_floats(shape, descs[i].b == 0 ? VALUES_NAN : VALUES_NORMAL);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err running_cases(op_cases *cases, am_shape shape) {
  static const am_running_desc descs[] = {{0.1, 1, 1e-5}, {0.3, 1.25, 1e-3}, {0, 2, 1e-5}, {1, 1.5, 1e-5}};
  for (int i = 0; i < AM_COUNT_OF(descs); i++) {
    const op_values before = descs[i].momentum == 1 ? VALUES_NAN : VALUES_NORMAL;
    op_case c = {.op = AM_OP_running_stats, .desc.running_stats = descs[i], .tolerance = TOL_SERIES, .scale = 1};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    c.in[1] = op_floats(shape, VALUES_POSITIVE);
    c.out[0] = op_floats(shape, before);
    c.out[1] = op_floats(shape, before);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err sgd_cases(op_cases *cases, am_shape shape) {
  static const am_sgd_desc descs[] = {
    {.lr = 0.1, .step = 1},
    {.lr = 0.1, .weight_decay = 0.01, .step = 4},
    {.lr = 0.1, .momentum = 0.9, .step = 1},
    {.lr = 0.1, .momentum = 0.9, .step = 2},
    {.lr = 0.01, .momentum = 0.9, .dampening = 0.3, .weight_decay = 5e-4, .step = 7},
    {.lr = 0.01, .momentum = 0.9, .dampening = 0.3, .step = 1},
    {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true, .step = 1},
    {.lr = 0.01, .momentum = 0.9, .weight_decay = 5e-4, .nesterov = true, .step = 3},
  };
  for (int i = 0; i < AM_COUNT_OF(descs); i++) {
    op_case c = {.op = AM_OP_sgd_step, .desc.sgd_step = descs[i], .tolerance = TOL_ROUNDED, .scale = 1};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    c.out[0] = op_floats(shape, VALUES_NORMAL);
    c.out[1] = op_floats(shape, descs[i].step == 1 ? VALUES_NAN : VALUES_NORMAL);
    if (descs[i].momentum == 0) c.out[1] = op_floats(AM_SHAPE(1), VALUES_NORMAL);  // a place holder
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

static am_err adam_cases(op_cases *cases, am_shape shape) {
  static const am_adam_desc descs[] = {
    {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .step = 1},
    {.lr = 2e-4, .beta1 = 0.5, .beta2 = 0.999, .eps = 1e-8, .step = 1000},
    {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.99, .eps = 1e-6, .weight_decay = 0.05, .step = 3},
    {.lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 5e-2, .decoupled = true,
     .step = 2},
    {.lr = 1e-3, .beta1 = 0, .beta2 = 0.9, .eps = 1e-8, .step = 5},
  };
  for (int i = 0; i < AM_COUNT_OF(descs); i++) {
    op_case c = {.op = AM_OP_adam_step, .desc.adam_step = descs[i], .tolerance = TOL_SERIES, .scale = 1};
    c.in[0] = op_floats(shape, VALUES_NORMAL);
    c.out[0] = op_floats(shape, VALUES_NORMAL);
    c.out[1] = op_floats(shape, VALUES_NORMAL);
    c.out[2] = op_floats(shape, VALUES_POSITIVE);
    AM_TRY(op_cases_add(cases, c));
  }
  return AM_OK;
}

am_err op_cases_update(op_cases *cases) {
  for (int s = 0; s < AM_COUNT_OF(update_shapes); s++) {
    AM_TRY(axpby_cases(cases, update_shapes[s]));
    AM_TRY(running_cases(cases, update_shapes[s]));
    AM_TRY(sgd_cases(cases, update_shapes[s]));
    AM_TRY(adam_cases(cases, update_shapes[s]));
  }
  return AM_OK;
}
