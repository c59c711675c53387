// Batch norm and its gradient, and bias with an activation: sums of a channel in pieces, in f64 and in a fixed order, then
// one pass over the elements.
#include "backend/cuda/kernels/launch.h"

// Where element e, counted over n and the inner axes, of channel c lies.
AM_ON_CARD int64_t element(am_cuda_norm k, int64_t c, int64_t e) { return (e / k.inner * k.c + c) * k.inner + e % k.inner; }

AM_ON_CARD float activate(float v, float slope) { return v > 0 ? v : slope * v; }

// ---- forward ----

// Sums of x - pivot and of its square; the pivot, a channel's first element, keeps them small.
AM_KERNEL moment_pieces(am_cuda_norm k, const float *x, double *partial) {
  AM_CUDA_FOR(i, k.c * k.parts) {
    const int64_t c = i / k.parts, part = i % k.parts, count = k.n * k.inner;
    const double pivot = x[element(k, c, 0)];
    double sum = 0, squares = 0;
    for (int64_t e = count * part / k.parts; e < count * (part + 1) / k.parts; e++) {
      const double d = x[element(k, c, e)] - pivot;
      sum += d;
      squares += d * d;
    }
    partial[2 * i] = sum;
    partial[2 * i + 1] = squares;
  }
}
AM_KERNEL statistics(am_cuda_norm k, const float *x, const double *partial, float *mean, float *inv_std) {
  AM_CUDA_FOR(c, k.c) {
    const double count = (double)(k.n * k.inner);
    double sum = 0, squares = 0;
    for (int64_t p = c * k.parts; p < (c + 1) * k.parts; p++) {
      sum += partial[2 * p];
      squares += partial[2 * p + 1];
    }
    const double away = sum / count, variance = squares / count - away * away;
    mean[c] = (float)(x[element(k, c, 0)] + away);
    inv_std[c] = (float)(1 / sqrt((variance > 0 ? variance : 0) + k.eps));
  }
}
AM_KERNEL normalise(am_cuda_norm k, const float *x, const float *gamma, const float *beta, const float *residual,
                    const float *mean, const float *inv_std, float *y) {
  AM_CUDA_FOR(i, k.n * k.c * k.inner) {
    const int64_t c = i / k.inner % k.c;
    const float v = (x[i] - mean[c]) * (inv_std[c] * gamma[c]) + beta[c];
    y[i] = activate(residual ? v + residual[i] : v, k.slope);
  }
}

// ---- gradient ----
// With xhat = (x - mean) * inv_std and m elements of a channel (Ioffe and Szegedy 2015, section 3):
//   dbeta = sum dy, dgamma = sum dy * xhat, dx = gamma * inv_std * (dy - dbeta/m - xhat * dgamma/m)

// dy before the activation, whose argument has the sign of y, where there is a y, else of the normalised x.
AM_ON_CARD float passed(am_cuda_norm k, am_cuda_norm_grad g, int64_t c, int64_t at) {
  const float sign = g.y ? g.y[at] : (g.x[at] - g.mean[c]) * (g.inv_std[c] * g.gamma[c]) + g.beta[c];
  return g.dy[at] * (sign > 0 ? 1 : k.slope);
}

AM_KERNEL grad_pieces(am_cuda_norm k, am_cuda_norm_grad g, double *partial) {
  AM_CUDA_FOR(i, k.c * k.parts) {
    const int64_t c = i / k.parts, part = i % k.parts, count = k.n * k.inner;
    double sum = 0, along = 0;
    for (int64_t e = count * part / k.parts; e < count * (part + 1) / k.parts; e++) {
      const int64_t at = element(k, c, e);
      const double d = passed(k, g, c, at);
      sum += d;
      along += d * ((double)(g.x[at] - g.mean[c]) * g.inv_std[c]);
    }
    partial[2 * i] = sum;
    partial[2 * i + 1] = along;
  }
}
// Leaves the whole sums in the first piece of each channel.
AM_KERNEL grad_sums(am_cuda_norm k, am_cuda_norm_grad g, double *partial) {
  AM_CUDA_FOR(c, k.c) {
    double sum = 0, along = 0;
    for (int64_t p = c * k.parts; p < (c + 1) * k.parts; p++) {
      sum += partial[2 * p];
      along += partial[2 * p + 1];
    }
    partial[2 * c * k.parts] = sum;
    partial[2 * c * k.parts + 1] = along;
    g.dbeta[c] = (float)sum;
    g.dgamma[c] = (float)along;
  }
}
AM_KERNEL grad_elements(am_cuda_norm k, am_cuda_norm_grad g, const double *partial) {
  AM_CUDA_FOR(i, k.n * k.c * k.inner) {
    const int64_t c = i / k.inner % k.c;
    const double count = (double)(k.n * k.inner);
    const double sum = partial[2 * c * k.parts], along = partial[2 * c * k.parts + 1];
    const float d = passed(k, g, c, i);
    const double xhat = (double)(g.x[i] - g.mean[c]) * g.inv_std[c];
    if (g.dresidual) g.dresidual[i] = d;
    g.dx[i] = (float)(g.gamma[c] * (double)g.inv_std[c] * (d - (sum + xhat * along) / count));
  }
}

// ---- bias and activation ----

AM_KERNEL bias_pieces(am_cuda_norm k, const float *dy, const float *y, double *partial, float *dx) {
  AM_CUDA_FOR(i, k.c * k.parts) {
    const int64_t c = i / k.parts, part = i % k.parts, count = k.n * k.inner;
    double sum = 0;
    for (int64_t e = count * part / k.parts; e < count * (part + 1) / k.parts; e++) {
      const int64_t at = element(k, c, e);
      dx[at] = dy[at] * (y[at] > 0 ? 1 : k.slope);
      sum += dx[at];
    }
    partial[i] = sum;
  }
}
AM_KERNEL bias_sums(am_cuda_norm k, const double *partial, float *dbias) {
  AM_CUDA_FOR(c, k.c) {
    double sum = 0;
    for (int64_t p = c * k.parts; p < (c + 1) * k.parts; p++) sum += partial[p];
    dbias[c] = (float)sum;
  }
}

// ---- launches ----

cudaError_t am_cuda_launch_batch_norm(cudaStream_t stream, am_cuda_norm k, const float *x, const float *gamma,
                                      const float *beta, const float *residual, double *partial, float *y, float *mean,
                                      float *inv_std) {
  cudaError_t status = AM_CUDA_LAUNCH(moment_pieces, stream, k.c * k.parts, k, x, partial);
  if (status == cudaSuccess) status = AM_CUDA_LAUNCH(statistics, stream, k.c, k, x, partial, mean, inv_std);
  if (status == cudaSuccess)
    status = AM_CUDA_LAUNCH(normalise, stream, k.n * k.c * k.inner, k, x, gamma, beta, residual, mean, inv_std, y);
  return status;
}

cudaError_t am_cuda_launch_batch_norm_grad(cudaStream_t stream, am_cuda_norm k, am_cuda_norm_grad g, double *partial) {
  cudaError_t status = AM_CUDA_LAUNCH(grad_pieces, stream, k.c * k.parts, k, g, partial);
  if (status == cudaSuccess) status = AM_CUDA_LAUNCH(grad_sums, stream, k.c, k, g, partial);
  if (status == cudaSuccess) status = AM_CUDA_LAUNCH(grad_elements, stream, k.n * k.c * k.inner, k, g, partial);
  return status;
}

cudaError_t am_cuda_launch_bias_act_grad(cudaStream_t stream, am_cuda_norm k, const float *dy, const float *y, double *partial,
                                         float *dx, float *dbias) {
  const cudaError_t status = AM_CUDA_LAUNCH(bias_pieces, stream, k.c * k.parts, k, dy, y, partial, dx);
  return status != cudaSuccess ? status : AM_CUDA_LAUNCH(bias_sums, stream, k.c, k, partial, dbias);
}
