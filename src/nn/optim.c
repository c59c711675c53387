// Update rules: one pass over flat storage each step.
#include "nn/optim.h"

#include "base/mem.h"
#include "tensor/backend.h"

// Neighbours in flat storage with one learning rate.
typedef struct {
  double lr_factor;
  int64_t first, count;  // elements
  am_tensor *grads;      // owned view
  am_tensor *out[3];     // owned views: values and state
} part;

struct am_optim {
  am_optim_cfg cfg;
  am_tensor *state[2];  // owned: momentum; or first and second moment
  int state_count;
  part *part;  // owned
  int64_t part_count, part_capacity;
  int64_t steps;
};

am_optim_cfg am_optim_cfg_default(am_optim_kind kind) {
  am_optim_cfg cfg = {.kind = kind, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
  if (kind == AM_OPTIM_ADAMW) cfg.weight_decay = 0.01;
  return cfg;
}

static am_err find_parts(am_optim *o, am_params *ps) {
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    const am_param *p = am_params_at(ps, i);
    if (p->kind != AM_PARAM_TRAINABLE) continue;
    part *last = o->part_count ? &o->part[o->part_count - 1] : NULL;
    if (!last || last->lr_factor != p->lr_factor) {
      AM_TRY(AM_GROW(&o->part, &o->part_capacity, o->part_count + 1));
      last = &o->part[o->part_count++];
      *last = (part){.lr_factor = p->lr_factor, .first = p->offset};
    }
    last->count += am_shape_count(p->shape);
  }
  return AM_OK;
}

static am_err make_views(am_optim *o, am_params *ps) {
  am_tensor *all[] = {am_params_values(ps), o->state[0], o->state[1]};
  for (int64_t i = 0; i < o->part_count; i++) {
    part *p = &o->part[i];
    am_shape shape = AM_SHAPE(p->count);
    AM_TRY(am_tensor_view(am_params_grads(ps), p->first, shape, &p->grads));
    AM_TRY(am_tensor_view(all[0], p->first, shape, &p->out[0]));
    for (int k = 1; k <= o->state_count; k++) {
      bool whole = am_tensor_count(all[k]) == am_tensor_count(all[0]);
      if (whole) AM_TRY(am_tensor_view(all[k], p->first, shape, &p->out[k]));
      if (!whole) p->out[k] = am_tensor_retain(all[k]);
    }
  }
  return AM_OK;
}

am_err am_optim_new(am_optim_cfg cfg, am_params *ps, am_optim **out) {
  am_err err = AM_OK;
  am_optim *o = NULL;
  AM_TRY(AM_NEW(&o));
  o->cfg = cfg;
  am_tensor *values = am_params_values(ps);
  o->state_count = cfg.kind == AM_OPTIM_SGD ? 1 : 2;
  // Plain SGD has no state; its op still names a momentum, of any shape.
  am_shape shape = cfg.kind == AM_OPTIM_SGD && cfg.momentum == 0 ? AM_SHAPE(1) : values->shape;
  for (int i = 0; i < o->state_count; i++) {
    AM_GO(done, am_tensor_zeros(values->device, values->dtype, shape, &o->state[i]));
  }
  AM_GO(done, find_parts(o, ps));
  AM_GO(done, make_views(o, ps));
  *out = o;
  o = NULL;
done:
  am_optim_free(o);
  return err;
}

void am_optim_free(am_optim *o) {
  if (!o) return;
  for (int64_t i = 0; i < o->part_count; i++) {
    am_tensor_release(o->part[i].grads);
    for (int k = 0; k < 3; k++) am_tensor_release(o->part[i].out[k]);
  }
  for (int i = 0; i < 2; i++) am_tensor_release(o->state[i]);
  free(o->part);
  free(o);
}

static am_err step_part(const am_optim_cfg *c, part *p, double lr, int64_t step) {
  if (c->kind == AM_OPTIM_SGD) {
    am_sgd_desc d = {.lr = lr,
                     .momentum = c->momentum,
                     .dampening = c->dampening,
                     .weight_decay = c->weight_decay,
                     .nesterov = c->nesterov,
                     .step = step};
    return am_dispatch(p->grads->device, AM_OP_sgd_step, &d, &p->grads, p->out);
  }
  am_adam_desc d = {.lr = lr,
                    .beta1 = c->beta1,
                    .beta2 = c->beta2,
                    .eps = c->eps,
                    .weight_decay = c->weight_decay,
                    .decoupled = c->kind == AM_OPTIM_ADAMW,
                    .step = step};
  return am_dispatch(p->grads->device, AM_OP_adam_step, &d, &p->grads, p->out);
}

am_err am_optim_step(am_optim *o, double lr) {
  int64_t step = o->steps + 1;
  for (int64_t i = 0; i < o->part_count; i++)
    AM_TRY(step_part(&o->cfg, &o->part[i], lr * o->part[i].lr_factor, step));
  o->steps = step;
  return AM_OK;
}

int64_t am_optim_steps(const am_optim *o) { return o->steps; }
void am_optim_set_steps(am_optim *o, int64_t steps) { o->steps = steps; }

int am_optim_state(am_optim *o, am_tensor *state[2]) {
  for (int i = 0; i < o->state_count; i++) state[i] = o->state[i];
  return o->state_count;
}
