// Elementwise kernels: every thread takes every so many-th element, so that a launch is no larger than the card. They are
// bound by memory; the switch over the kind goes the same way in all threads of a launch.
#include "backend/cuda/kernels/walk.h"

AM_ON_CARD float unary(am_unary_desc d, float x) {
  const float a = (float)d.a, b = (float)d.b;
  switch (d.kind) {
    case AM_UN_AFFINE: return a * x + b;
    case AM_UN_EXP: return expf(x);
    case AM_UN_LOG: return logf(x);
    case AM_UN_SQRT: return sqrtf(x);
    case AM_UN_RSQRT: return 1 / sqrtf(x);
    case AM_UN_RECIP: return 1 / x;
    case AM_UN_SQUARE: return x * x;
    case AM_UN_ABS: return fabsf(x);
    case AM_UN_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;  // zeros and NaN stay
    case AM_UN_TANH: return tanhf(x);
    case AM_UN_SIGMOID: return 1 / (1 + expf(-x));
    case AM_UN_SOFTPLUS: return (x > 0 ? x : 0) + log1pf(expf(-fabsf(x)));
    case AM_UN_LEAKY_RELU: return x > 0 ? x : a * x;
    case AM_UN_CLAMP: return x < a ? a : x > b ? b : x;  // NaN stays
    case AM_UN_STEP: return x > a ? 1 : 0;
  }
  return NAN;
}

AM_ON_CARD float binary(am_binary_desc d, float p, float q) {
  const float a = (float)d.a;
  switch (d.kind) {
    case AM_BIN_ADD: return p + q;
    case AM_BIN_SUB: return p - q;
    case AM_BIN_MUL: return p * q;
    case AM_BIN_DIV: return p / q;
    case AM_BIN_MAX: return p > q || isnan(p) ? p : q;
    case AM_BIN_MIN: return p < q || isnan(p) ? p : q;
    case AM_BIN_LEAKY_GRAD: return q > 0 ? p : a * p;
    case AM_BIN_TANH_GRAD: return p * (1 - q * q);
    case AM_BIN_SIGMOID_GRAD: return p * q * (1 - q);
  }
  return NAN;
}

AM_KERNEL unary_kernel(am_unary_desc d, const float *x, float *y, int64_t count) {
  AM_CUDA_FOR(i, count) y[i] = unary(d, x[i]);
}
AM_KERNEL binary_kernel(am_binary_desc d, const float *p, am_cuda_walk walk_p, const float *q,
                                     am_cuda_walk walk_q, float *y, int64_t count) {
  AM_CUDA_FOR(i, count) y[i] = binary(d, p[am_cuda_place(walk_p, i)], q[am_cuda_place(walk_q, i)]);
}
AM_KERNEL channel_kernel(am_activation act, const float *x, const float *scale, const float *shift,
                         int64_t channels, int64_t inner, float *y, int64_t count) {
  const float slope = (float)act.slope;
  AM_CUDA_FOR(i, count) {
    const int64_t c = i / inner % channels;
    const float v = x[i] * (scale ? scale[c] : 1) + shift[c];
    y[i] = act.on && !(v > 0) ? v * slope : v;
  }
}
AM_KERNEL axpby_kernel(float a, float b, const float *x, float *y, int64_t count) {
  AM_CUDA_FOR(i, count) y[i] = a * x[i] + (b == 0 ? 0 : b * y[i]);
}

// torch/optim/sgd.py, _single_tensor_sgd.
AM_KERNEL sgd_kernel(am_sgd_desc d, const float *grad, float *param, float *momentum, int64_t count) {
  const float lr = (float)d.lr, mu = (float)d.momentum, keep = (float)(1 - d.dampening), decay = (float)d.weight_decay;
  AM_CUDA_FOR(i, count) {
    float g = grad[i] + decay * param[i];
    if (mu != 0) {
      const float buf = d.step == 1 ? g : mu * momentum[i] + keep * g;
      momentum[i] = buf;
      g = d.nesterov ? g + mu * buf : buf;
    }
    param[i] -= lr * g;
  }
}

// torch/optim/adam.py, _single_tensor_adam; the factors of the step are the host's, in double.
typedef struct {
  float beta1, beta2, rest1, rest2, eps, decay, shrink, step_size, root2;
  bool decoupled;
} adam_factors;
AM_KERNEL adam_kernel(adam_factors f, const float *grad, float *param, float *m, float *v, int64_t count) {
  AM_CUDA_FOR(i, count) {
    float p = param[i], g = grad[i];
    if (f.decoupled) p *= f.shrink;
    else g += f.decay * p;
    const float first = m[i] + f.rest1 * (g - m[i]), second = f.beta2 * v[i] + f.rest2 * g * g;
    m[i] = first;
    v[i] = second;
    param[i] = p - f.step_size * first / (sqrtf(second) / f.root2 + f.eps);
  }
}

cudaError_t am_cuda_launch_unary(cudaStream_t stream, am_unary_desc d, const float *x, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(unary_kernel, stream, count, d, x, y, count);
}

cudaError_t am_cuda_launch_binary(cudaStream_t stream, am_binary_desc d, const float *p, am_cuda_walk walk_p, const float *q,
                                  am_cuda_walk walk_q, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(binary_kernel, stream, count, d, p, walk_p, q, walk_q, y, count);
}

cudaError_t am_cuda_launch_channel(cudaStream_t stream, am_activation act, const float *x, const float *scale,
                                   const float *shift, int64_t channels, int64_t inner, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(channel_kernel, stream, count, act, x, scale, shift, channels, inner, y, count);
}

cudaError_t am_cuda_launch_axpby(cudaStream_t stream, am_axpby_desc d, const float *x, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(axpby_kernel, stream, count, (float)d.a, (float)d.b, x, y, count);
}

cudaError_t am_cuda_launch_sgd(cudaStream_t stream, am_sgd_desc d, const float *grad, float *param, float *momentum,
                               int64_t count) {
  return AM_CUDA_LAUNCH(sgd_kernel, stream, count, d, grad, param, momentum, count);
}

cudaError_t am_cuda_launch_adam(cudaStream_t stream, am_adam_desc d, const float *grad, float *param, float *m, float *v,
                                int64_t count) {
  const double correction1 = 1 - pow(d.beta1, (double)d.step), correction2 = 1 - pow(d.beta2, (double)d.step);
  const adam_factors f = {(float)d.beta1, (float)d.beta2, (float)(1 - d.beta1), (float)(1 - d.beta2), (float)d.eps,
                          (float)d.weight_decay, (float)(1 - d.lr * d.weight_decay), (float)(d.lr / correction1),
                          (float)sqrt(correction2), d.decoupled};
  return AM_CUDA_LAUNCH(adam_kernel, stream, count, f, grad, param, m, v, count);
}
