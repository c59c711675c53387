// Optimiser steps, one pass over flat storage, in the order of operations of PyTorch's single-tensor
// implementations.
#include <math.h>

#include "backend/cpu/cpu_internal.h"

typedef struct {
  const float *grad;
  float *param, *momentum;
  float lr, decay, keep, take;  // momentum <- keep * momentum + take * grad
  bool has_momentum, nesterov;
} sgd_args;

AM_CPU_KERNEL static void sgd_range(const void *arg, int64_t begin, int64_t end) {
  const sgd_args *k = arg;
  const float *restrict grad = k->grad;
  float *restrict param = k->param, *restrict momentum = k->momentum;
  const float lr = k->lr, decay = k->decay, keep = k->keep, take = k->take;
  if (!k->has_momentum) {
    for (int64_t i = begin; i < end; i++) param[i] -= lr * (grad[i] + decay * param[i]);
  } else if (k->nesterov) {
    for (int64_t i = begin; i < end; i++) {
      const float g = grad[i] + decay * param[i];
      momentum[i] = keep * momentum[i] + take * g;
      param[i] -= lr * (g + keep * momentum[i]);
    }
  } else {
    for (int64_t i = begin; i < end; i++) {
      momentum[i] = keep * momentum[i] + take * (grad[i] + decay * param[i]);
      param[i] -= lr * momentum[i];
    }
  }
}

// The first step starts the momentum with the whole gradient: no dampening, and nothing kept.
AM_CPU_KERNEL static void sgd_first_range(const void *arg, int64_t begin, int64_t end) {
  const sgd_args *k = arg;
  const float *restrict grad = k->grad;
  float *restrict param = k->param, *restrict momentum = k->momentum;
  const float step = k->nesterov ? k->lr * (1.0f + k->keep) : k->lr, decay = k->decay;
  for (int64_t i = begin; i < end; i++) {
    momentum[i] = grad[i] + decay * param[i];
    param[i] -= step * momentum[i];
  }
}

am_err am_cpu_sgd_step(void *ctx, const am_sgd_desc *desc, const am_view *in, am_view *out) {
  const sgd_args k = {.grad = in[0].data, .param = out[0].data, .momentum = out[1].data,
                      .lr = (float)desc->lr, .decay = (float)desc->weight_decay,
                      .keep = (float)desc->momentum, .take = (float)(1.0 - desc->dampening),
                      .has_momentum = desc->momentum != 0, .nesterov = desc->nesterov};
  const bool first = k.has_momentum && desc->step <= 1;
  am_cpu_for(ctx, am_cpu_count(&in[0]), AM_CPU_GRAIN, first ? sgd_first_range : sgd_range, &k);
  return AM_OK;
}

typedef struct {
  const float *grad;
  float *param, *m, *v;
  float take_m, keep_v, take_v, step_size, v_scale, eps;
  float shrink, decay;  // decoupled: param *= shrink first; else grad += decay * param
} adam_args;

AM_CPU_KERNEL static void adam_range(const void *arg, int64_t begin, int64_t end) {
  const adam_args *k = arg;
  const float *restrict grad = k->grad;
  float *restrict param = k->param, *restrict m = k->m, *restrict v = k->v;
  const float take_m = k->take_m, keep_v = k->keep_v, take_v = k->take_v, eps = k->eps;
  const float step_size = k->step_size, v_scale = k->v_scale, shrink = k->shrink, decay = k->decay;
  for (int64_t i = begin; i < end; i++) {
    const float g = grad[i] + decay * param[i];
    const float p = param[i] * shrink;
    m[i] += take_m * (g - m[i]);
    v[i] = keep_v * v[i] + take_v * (g * g);
    param[i] = p - step_size * m[i] / (sqrtf(v[i]) / v_scale + eps);
  }
}

am_err am_cpu_adam_step(void *ctx, const am_adam_desc *desc, const am_view *in, am_view *out) {
  const double correction_m = 1.0 - pow(desc->beta1, (double)desc->step);
  const double correction_v = 1.0 - pow(desc->beta2, (double)desc->step);
  const adam_args k = {.grad = in[0].data, .param = out[0].data, .m = out[1].data, .v = out[2].data,
                       .take_m = (float)(1.0 - desc->beta1), .keep_v = (float)desc->beta2,
                       .take_v = (float)(1.0 - desc->beta2), .step_size = (float)(desc->lr / correction_m),
                       .v_scale = (float)sqrt(correction_v), .eps = (float)desc->eps,
                       .shrink = desc->decoupled ? (float)(1.0 - desc->lr * desc->weight_decay) : 1.0f,
                       .decay = desc->decoupled ? 0.0f : (float)desc->weight_decay};
  am_cpu_for(ctx, am_cpu_count(&in[0]), AM_CPU_GRAIN, adam_range, &k);
  return AM_OK;
}
