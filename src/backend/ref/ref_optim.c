// Updates in place; those of optimisers in the order of operations of PyTorch's single-tensor ones.
#include <math.h>

#include "backend/ref/ref.h"

am_err am_ref_axpby(void *ctx, const am_axpby_desc *desc, const am_view *in, am_view *out) {
  int64_t count = am_shape_count(out->shape);
  for (int64_t i = 0; i < count; i++) {
    double y = desc->b == 0 ? 0 : desc->b * am_ref_get(out, i);
    am_ref_put(out, i, desc->a * am_ref_get(in, i) + y);
  }
  return AM_OK;
}

am_err am_ref_running_stats(void *ctx, const am_running_desc *desc, const am_view *in, am_view *out) {
  const double take = desc->momentum, keep = 1 - take;
  int64_t count = am_shape_count(in->shape);
  for (int64_t i = 0; i < count; i++) {
    double inv_std = am_ref_get(&in[1], i), variance = desc->unbias * (1 / (inv_std * inv_std) - desc->eps);
    am_ref_put(&out[0], i, take * am_ref_get(&in[0], i) + (keep == 0 ? 0 : keep * am_ref_get(&out[0], i)));
    am_ref_put(&out[1], i, take * variance + (keep == 0 ? 0 : keep * am_ref_get(&out[1], i)));
  }
  return AM_OK;
}

// torch/optim/sgd.py, _single_tensor_sgd.
am_err am_ref_sgd_step(void *ctx, const am_sgd_desc *desc, const am_view *in, am_view *out) {
  const am_view *param = &out[0], *momentum = &out[1];
  int64_t count = am_shape_count(param->shape);
  for (int64_t i = 0; i < count; i++) {
    double p = am_ref_get(param, i), g = am_ref_get(in, i) + desc->weight_decay * p;
    if (desc->momentum != 0) {
      double buf = desc->step == 1 ? g : desc->momentum * am_ref_get(momentum, i) + (1 - desc->dampening) * g;
      am_ref_put(momentum, i, buf);
      g = desc->nesterov ? g + desc->momentum * buf : buf;
    }
    am_ref_put(param, i, p - desc->lr * g);
  }
  return AM_OK;
}

// torch/optim/adam.py, _single_tensor_adam; Kingma and Ba 2015, Loshchilov and Hutter 2019.
am_err am_ref_adam_step(void *ctx, const am_adam_desc *desc, const am_view *in, am_view *out) {
  const am_view *param = &out[0], *m = &out[1], *v = &out[2];
  int64_t count = am_shape_count(param->shape);
  double correction1 = 1 - pow(desc->beta1, (double)desc->step);
  double correction2 = 1 - pow(desc->beta2, (double)desc->step);
  double step_size = desc->lr / correction1;
  for (int64_t i = 0; i < count; i++) {
    double p = am_ref_get(param, i), g = am_ref_get(in, i);
    if (desc->decoupled) {
      p *= 1 - desc->lr * desc->weight_decay;
    } else {
      g += desc->weight_decay * p;
    }
    double first = am_ref_get(m, i) + (1 - desc->beta1) * (g - am_ref_get(m, i));
    double second = desc->beta2 * am_ref_get(v, i) + (1 - desc->beta2) * g * g;
    am_ref_put(m, i, first);
    am_ref_put(v, i, second);
    double denominator = sqrt(second) / sqrt(correction2) + desc->eps;
    am_ref_put(param, i, p - step_size * first / denominator);
  }
  return AM_OK;
}
