// Elementwise kernels: a thread takes a pack of neighbours at a time, and every so many-th pack, so that a launch is no larger
// than the card. They are bound by memory; the switch over the kind goes the same way in all threads of a launch.
#include "backend/cuda/kernels/walk.h"

// One formula for every element of a pack.
#define EACH(formula)                               \
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) {      \
    const float x = p.v[l];                         \
    p.v[l] = (formula);                             \
  }                                                 \
  break
AM_ON_CARD am_pack unary_pack(am_unary_desc d, am_dtype t, am_pack p) {
  const float a = (float)d.a, b = (float)d.b;
  switch (d.kind) {
    case AM_UN_AFFINE: EACH(a * x + b);
    case AM_UN_EXP: EACH(expf(x));
    case AM_UN_LOG: EACH(logf(x));
    case AM_UN_SQRT: EACH(sqrtf(x));
    case AM_UN_RSQRT: EACH(1 / sqrtf(x));
    case AM_UN_RECIP: EACH(1 / x);
    case AM_UN_SQUARE: EACH(x * x);
    case AM_UN_ABS: EACH(fabsf(x));
    case AM_UN_SIGN: EACH(x > 0 ? 1 : x < 0 ? -1 : x);  // zeros and NaN stay
    case AM_UN_TANH: EACH(tanhf(x));
    case AM_UN_SIGMOID: EACH(1 / (1 + expf(-x)));
    case AM_UN_SOFTPLUS: EACH((x > 0 ? x : 0) + log1pf(expf(-fabsf(x))));
    case AM_UN_LEAKY_RELU: EACH(x > 0 ? x : a * x);
    case AM_UN_CLAMP: EACH(x < a ? a : x > b ? b : x);  // NaN stays
    case AM_UN_STEP: EACH(x > a ? 1.0f : 0.0f);
  }
  return p;
}
#undef EACH

#define EACH(formula)                               \
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) {      \
    const float p = left.v[l], q = right.v[l];      \
    left.v[l] = (formula);                          \
  }                                                 \
  break
AM_ON_CARD am_pack binary_pack(am_binary_desc d, am_dtype t, am_pack left, am_pack right) {
  const float a = (float)d.a;
  switch (d.kind) {
    case AM_BIN_ADD: EACH(p + q);
    case AM_BIN_SUB: EACH(p - q);
    case AM_BIN_MUL: EACH(p * q);
    case AM_BIN_DIV: EACH(p / q);
    case AM_BIN_MAX: EACH(p > q || isnan(p) ? p : q);
    case AM_BIN_MIN: EACH(p < q || isnan(p) ? p : q);
    case AM_BIN_LEAKY_GRAD: EACH(q > 0 ? p : a * p);
    case AM_BIN_TANH_GRAD: EACH(p * (1 - q * q));
    case AM_BIN_SIGMOID_GRAD: EACH(p * q * (1 - q));
  }
  return left;
}
#undef EACH

typedef struct {
  am_unary_desc d;
  const void *x;
  void *y;
  int64_t count;
  bool wide;
} unary_args;
AM_ON_CARD void unary_kernel(const unary_args *a, am_dtype t) {
  AM_CUDA_FOR(j, AM_PACKS(t, a->count)) {
    const int n = am_pack_left(t, j, a->count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    am_pack_store(a->y, t, first, n, a->wide, unary_pack(a->d, t, am_pack_load(a->x, t, first, n, a->wide)));
  }
}
AM_TYPED_KERNEL(unary_kernel, unary_args)

// ---- two operands ----

// How a pack of an operand is read: every element by its place, one number for all of them, or neighbours.
typedef enum { BY_PLACE, ONE_FOR_ALL, NEIGHBOURS } reading;
typedef struct {
  const void *data;
  am_cuda_walk walk;
  reading how;
  bool wide;
} operand;

AM_ON_CARD am_pack read_operand(const operand *o, am_dtype t, int64_t first, int n) {
  if (o->how == NEIGHBOURS) return am_pack_load(o->data, t, am_cuda_place(&o->walk, first), n, o->wide);
  const float one = am_get(o->data, t, am_cuda_place(&o->walk, first));
  am_pack p = {{0}};
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
    const bool same = o->how == ONE_FOR_ALL || l >= n;
    p.v[l] = same ? one : am_get(o->data, t, am_cuda_place(&o->walk, first + l));
  }
  return p;
}

typedef struct {
  am_binary_desc d;
  operand p, q;
  void *y;
  int64_t count;
  bool wide;
} binary_args;
AM_ON_CARD void binary_kernel(const binary_args *a, am_dtype t) {
  AM_CUDA_FOR(j, AM_PACKS(t, a->count)) {
    const int n = am_pack_left(t, j, a->count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    const am_pack p = read_operand(&a->p, t, first, n), q = read_operand(&a->q, t, first, n);
    am_pack_store(a->y, t, first, n, a->wide, binary_pack(a->d, t, p, q));
  }
}
AM_TYPED_KERNEL(binary_kernel, binary_args)

// Front to back, without gaps or repetition.
static bool is_dense(const am_cuda_walk *walk) {
  bool dense = walk->ndim > 0 && walk->stride[walk->ndim - 1] == 1;
  for (int d = 0; d + 1 < walk->ndim; d++) dense = dense && walk->stride[d] == walk->stride[d + 1] * walk->dim[d + 1];
  return dense;
}

// A pack stays within the last axis when that is a multiple of it, or the only one.
static operand operand_of(am_dtype t, const void *data, am_cuda_walk walk) {
  operand o;
  o.data = data;
  if (is_dense(&walk)) {
    walk.ndim = 1;
    walk.stride[0] = 1;
  }
  o.walk = walk;
  const int last = walk.ndim - 1;
  const int64_t stride = last < 0 ? 0 : walk.stride[last];
  const bool whole = last <= 0 || walk.dim[last] % AM_PACK_WIDTH(t) == 0;
  o.how = !whole || stride > 1 ? BY_PLACE : stride == 1 ? NEIGHBOURS : ONE_FOR_ALL;
  o.wide = am_cuda_aligned(data) && walk.first % AM_PACK_WIDTH(t) == 0;
  for (int d = 0; d < last; d++) o.wide = o.wide && walk.stride[d] % AM_PACK_WIDTH(t) == 0;
  return o;
}

// ---- by channel ----

typedef struct {
  am_activation act;
  const void *x;
  const float *scale, *shift;
  am_cuda_channels k;
  void *y;
  int64_t count;
  bool wide;
} channel_args;
AM_ON_CARD void channel_kernel(const channel_args *a, am_dtype t) {
  const float slope = (float)a->act.slope;
  const bool stay = am_channels_stay(a->k, t);
  am_pack scale = {{0}}, shift = {{0}};
  bool known = false;
  AM_CUDA_FOR(j, AM_PACKS(t, a->count)) {
    const int n = am_pack_left(t, j, a->count);
    const int64_t first = j * AM_PACK_WIDTH(t);
    am_pack p = am_pack_load(a->x, t, first, n, a->wide);
    if (!known) {
      if (a->scale) scale = am_channel_pack(a->scale, a->k, t, first);
      shift = am_channel_pack(a->shift, a->k, t, first);
      known = stay;
    }
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      const float v = p.v[l] * (a->scale ? scale.v[l] : 1) + shift.v[l];
      p.v[l] = a->act.on && !(v > 0) ? v * slope : v;
    }
    am_pack_store(a->y, t, first, n, a->wide, p);
  }
}
AM_TYPED_KERNEL(channel_kernel, channel_args)

// ---- updates, in f32 ----

AM_KERNEL axpby_kernel(float a, float b, const float *x, float *y, int64_t count, bool wide) {
  AM_CUDA_FOR(j, AM_PACKS(AM_F32, count)) {
    const int n = am_pack_left(AM_F32, j, count);
    const int64_t first = j * AM_PACK_WIDTH(AM_F32);
    am_pack p = am_pack_load(x, AM_F32, first, n, wide);
    if (b == 0) {
      for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) p.v[l] *= a;
    } else {
      const am_pack old = am_pack_load(y, AM_F32, first, n, wide);
      for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) p.v[l] = a * p.v[l] + b * old.v[l];
    }
    am_pack_store(y, AM_F32, first, n, wide, p);
  }
}

// Of as many elements as a layer has channels: one at a time.
AM_KERNEL running_kernel(am_running_desc d, const float *mean, const float *inv_std, float *running_mean, float *running_var,
                         int64_t count) {
  const float take = (float)d.momentum, keep = (float)(1 - d.momentum);
  const float unbias = (float)d.unbias, less = (float)(-d.unbias * d.eps);
  AM_CUDA_FOR(i, count) {
    const float var = unbias * (1 / (inv_std[i] * inv_std[i])) + less;
    running_mean[i] = take * mean[i] + (keep == 0 ? 0 : keep * running_mean[i]);
    running_var[i] = take * var + (keep == 0 ? 0 : keep * running_var[i]);
  }
}

// torch/optim/sgd.py, _single_tensor_sgd.
AM_KERNEL sgd_kernel(am_sgd_desc d, const float *grad, float *param, float *momentum, int64_t count, bool wide) {
  const float lr = (float)d.lr, mu = (float)d.momentum, keep = (float)(1 - d.dampening), decay = (float)d.weight_decay;
  AM_CUDA_FOR(j, AM_PACKS(AM_F32, count)) {
    const int n = am_pack_left(AM_F32, j, count);
    const int64_t first = j * AM_PACK_WIDTH(AM_F32);
    am_pack g = am_pack_load(grad, AM_F32, first, n, wide), p = am_pack_load(param, AM_F32, first, n, wide);
    for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) g.v[l] += decay * p.v[l];
    if (mu != 0) {
      am_pack buf = g;
      if (d.step != 1) {
        buf = am_pack_load(momentum, AM_F32, first, n, wide);
        for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) buf.v[l] = mu * buf.v[l] + keep * g.v[l];
      }
      am_pack_store(momentum, AM_F32, first, n, wide, buf);
      for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) g.v[l] = d.nesterov ? g.v[l] + mu * buf.v[l] : buf.v[l];
    }
    for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) p.v[l] -= lr * g.v[l];
    am_pack_store(param, AM_F32, first, n, wide, p);
  }
}

// torch/optim/adam.py, _single_tensor_adam; the factors of the step are the host's, in double.
typedef struct {
  float beta1, beta2, rest1, rest2, eps, decay, shrink, step_size, root2;
  bool decoupled;
} adam_factors;
AM_KERNEL adam_kernel(adam_factors f, const float *grad, float *param, float *m, float *v, int64_t count, bool wide) {
  AM_CUDA_FOR(j, AM_PACKS(AM_F32, count)) {
    const int n = am_pack_left(AM_F32, j, count);
    const int64_t first = j * AM_PACK_WIDTH(AM_F32);
    const am_pack grads = am_pack_load(grad, AM_F32, first, n, wide);
    am_pack params = am_pack_load(param, AM_F32, first, n, wide);
    am_pack firsts = am_pack_load(m, AM_F32, first, n, wide), seconds = am_pack_load(v, AM_F32, first, n, wide);
    for (int l = 0; l < AM_PACK_WIDTH(AM_F32); l++) {
      float p = params.v[l], g = grads.v[l];
      if (f.decoupled) p *= f.shrink;
      else g += f.decay * p;
      firsts.v[l] += f.rest1 * (g - firsts.v[l]);
      seconds.v[l] = f.beta2 * seconds.v[l] + f.rest2 * g * g;
      params.v[l] = p - f.step_size * firsts.v[l] / (sqrtf(seconds.v[l]) / f.root2 + f.eps);
    }
    am_pack_store(m, AM_F32, first, n, wide, firsts);
    am_pack_store(v, AM_F32, first, n, wide, seconds);
    am_pack_store(param, AM_F32, first, n, wide, params);
  }
}

// ---- launches ----

cudaError_t am_cuda_launch_unary(cudaStream_t stream, am_unary_desc d, am_dtype type, const void *x, void *y, int64_t count) {
  const unary_args a = {d, x, y, count, am_cuda_aligned(x) && am_cuda_aligned(y)};
  return AM_TYPED_LAUNCH(unary_kernel, type, stream, AM_PACKS(type, count), a);
}

cudaError_t am_cuda_launch_binary(cudaStream_t stream, am_binary_desc d, am_dtype type, const void *p, am_cuda_walk walk_p,
                                  const void *q, am_cuda_walk walk_q, void *y, int64_t count) {
  const binary_args a = {d, operand_of(type, p, walk_p), operand_of(type, q, walk_q), y, count, am_cuda_aligned(y)};
  return AM_TYPED_LAUNCH(binary_kernel, type, stream, AM_PACKS(type, count), a);
}

cudaError_t am_cuda_launch_channel(cudaStream_t stream, am_activation act, am_dtype type, const void *x, const float *scale,
                                   const float *shift, am_cuda_channels k, void *y, int64_t count) {
  const channel_args a = {act, x, scale, shift, k, y, count, am_cuda_aligned(x) && am_cuda_aligned(y)};
  return AM_TYPED_LAUNCH(channel_kernel, type, stream, am_channel_threads(type, count), a);
}

cudaError_t am_cuda_launch_axpby(cudaStream_t stream, am_axpby_desc d, const float *x, float *y, int64_t count) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(y);
  return AM_CUDA_LAUNCH(axpby_kernel, stream, AM_PACKS(AM_F32, count), (float)d.a, (float)d.b, x, y, count, wide);
}

cudaError_t am_cuda_launch_running(cudaStream_t stream, am_running_desc d, const float *mean, const float *inv_std,
                                   float *running_mean, float *running_var, int64_t count) {
  return AM_CUDA_LAUNCH(running_kernel, stream, count, d, mean, inv_std, running_mean, running_var, count);
}

cudaError_t am_cuda_launch_sgd(cudaStream_t stream, am_sgd_desc d, const float *grad, float *param, float *momentum,
                               int64_t count) {
  const bool wide = am_cuda_aligned(grad) && am_cuda_aligned(param) && am_cuda_aligned(momentum);
  return AM_CUDA_LAUNCH(sgd_kernel, stream, AM_PACKS(AM_F32, count), d, grad, param, momentum, count, wide);
}

cudaError_t am_cuda_launch_adam(cudaStream_t stream, am_adam_desc d, const float *grad, float *param, float *m, float *v,
                                int64_t count) {
  const double correction1 = 1 - pow(d.beta1, (double)d.step), correction2 = 1 - pow(d.beta2, (double)d.step);
  const adam_factors f = {(float)d.beta1, (float)d.beta2, (float)(1 - d.beta1), (float)(1 - d.beta2), (float)d.eps,
                          (float)d.weight_decay, (float)(1 - d.lr * d.weight_decay), (float)(d.lr / correction1),
                          (float)sqrt(correction2), d.decoupled};
  const bool wide = am_cuda_aligned(grad) && am_cuda_aligned(param) && am_cuda_aligned(m) && am_cuda_aligned(v);
  return AM_CUDA_LAUNCH(adam_kernel, stream, AM_PACKS(AM_F32, count), f, grad, param, m, v, count, wide);
}
