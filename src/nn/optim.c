// Update rules: one pass over flat storage each step.
#include "nn/optim.h"

#include "base/mem.h"
#include "tensor/backend.h"

struct am_optim {
  am_optim_cfg cfg;
  am_params *params;    // borrowed
  am_tensor *state[2];  // owned: momentum; or first and second moment
  int state_count;
  int64_t steps;
};

am_optim_cfg am_optim_cfg_default(am_optim_kind kind) {
  am_optim_cfg cfg = {.kind = kind, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
  if (kind == AM_OPTIM_ADAMW) cfg.weight_decay = 0.01;
  return cfg;
}

am_err am_optim_new(am_optim_cfg cfg, am_params *ps, am_optim **out) {
  am_err err = AM_OK;
  am_optim *o = NULL;
  AM_TRY(AM_NEW(&o));
  o->cfg = cfg;
  o->params = ps;
  am_tensor *values = am_params_values(ps);
  o->state_count = cfg.kind == AM_OPTIM_SGD ? 1 : 2;
  // Plain SGD has no state; its op still names a momentum, of any shape.
  am_shape shape = cfg.kind == AM_OPTIM_SGD && cfg.momentum == 0 ? AM_SHAPE(1) : values->shape;
  for (int i = 0; i < o->state_count; i++) {
    AM_GO(done, am_tensor_zeros(values->device, values->dtype, shape, &o->state[i]));
  }
  *out = o;
  o = NULL;
done:
  am_optim_free(o);
  return err;
}

void am_optim_free(am_optim *o) {
  if (!o) return;
  for (int i = 0; i < 2; i++) am_tensor_release(o->state[i]);
  free(o);
}

am_err am_optim_step(am_optim *o, double lr) {
  const am_optim_cfg *c = &o->cfg;
  am_tensor *grads = am_params_grads(o->params);
  am_tensor *out[] = {am_params_values(o->params), o->state[0], o->state[1]};
  int64_t step = o->steps + 1;
  if (c->kind == AM_OPTIM_SGD) {
    am_sgd_desc d = {.lr = lr,
                     .momentum = c->momentum,
                     .dampening = c->dampening,
                     .weight_decay = c->weight_decay,
                     .nesterov = c->nesterov,
                     .step = step};
    AM_TRY(am_dispatch(grads->device, AM_OP_sgd_step, &d, &grads, out));
  } else {
    am_adam_desc d = {.lr = lr,
                      .beta1 = c->beta1,
                      .beta2 = c->beta2,
                      .eps = c->eps,
                      .weight_decay = c->weight_decay,
                      .decoupled = c->kind == AM_OPTIM_ADAMW,
                      .step = step};
    AM_TRY(am_dispatch(grads->device, AM_OP_adam_step, &d, &grads, out));
  }
  o->steps = step;
  return AM_OK;
}

int64_t am_optim_steps(const am_optim *o) { return o->steps; }
void am_optim_set_steps(am_optim *o, int64_t steps) { o->steps = steps; }

int am_optim_state(am_optim *o, am_tensor *state[2]) {
  for (int i = 0; i < o->state_count; i++) state[i] = o->state[i];
  return o->state_count;
}
