// Normalisation: batch norm (Ioffe and Szegedy, 2015), its gradient, and log softmax.
#include <math.h>

#include "backend/ref/ref.h"

// x (n, c, ...) as n * c runs of `inner` elements.
typedef struct {
  int64_t n, c, inner;
} channels;

static channels channels_of(am_shape x) {
  channels k = {.n = x.dim[0], .c = x.dim[1], .inner = 1};
  for (int d = 2; d < x.ndim; d++) k.inner *= x.dim[d];
  return k;
}

// Place of element e (counted over n and the inner axes) of channel c.
static int64_t element(channels k, int64_t c, int64_t e) {
  return (e / k.inner * k.c + c) * k.inner + e % k.inner;
}

// Two passes: mean first, then the mean squared distance from it (biased), as PyTorch normalises.
am_err am_ref_batch_norm(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  int64_t count = k.n * k.inner;
  for (int64_t c = 0; c < k.c; c++) {
    double mean = 0, var = 0, gamma = am_ref_get(&in[1], c), beta = am_ref_get(&in[2], c);
    for (int64_t e = 0; e < count; e++) mean += am_ref_get(in, element(k, c, e));
    mean /= (double)count;
    for (int64_t e = 0; e < count; e++) {
      double distance = am_ref_get(in, element(k, c, e)) - mean;
      var += distance * distance;
    }
    double inv_std = 1 / sqrt(var / (double)count + desc->eps);
    for (int64_t e = 0; e < count; e++) {
      int64_t at = element(k, c, e);
      am_ref_put(out, at, (am_ref_get(in, at) - mean) * inv_std * gamma + beta);
    }
    am_ref_put(&out[1], c, mean);
    am_ref_put(&out[2], c, inv_std);
  }
  return AM_OK;
}

// With xhat = (x - mean) * inv_std and m elements per channel (Ioffe and Szegedy, section 3):
//   dbeta = sum dy, dgamma = sum dy * xhat, dx = gamma * inv_std * (dy - dbeta/m - xhat * dgamma/m)
am_err am_ref_batch_norm_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  const am_view *dy = &in[0], *x = &in[1];
  channels k = channels_of(x->shape);
  int64_t count = k.n * k.inner;
  for (int64_t c = 0; c < k.c; c++) {
    double gamma = am_ref_get(&in[2], c), mean = am_ref_get(&in[3], c), inv_std = am_ref_get(&in[4], c);
    double dgamma = 0, dbeta = 0;
    for (int64_t e = 0; e < count; e++) {
      int64_t at = element(k, c, e);
      dbeta += am_ref_get(dy, at);
      dgamma += am_ref_get(dy, at) * (am_ref_get(x, at) - mean) * inv_std;
    }
    for (int64_t e = 0; e < count; e++) {
      int64_t at = element(k, c, e);
      double xhat = (am_ref_get(x, at) - mean) * inv_std;
      am_ref_put(out, at, gamma * inv_std * (am_ref_get(dy, at) - (dbeta + xhat * dgamma) / (double)count));
    }
    am_ref_put(&out[1], c, dgamma);
    am_ref_put(&out[2], c, dbeta);
  }
  return AM_OK;
}

am_err am_ref_scale_shift(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  int64_t count = am_shape_count(in->shape);
  for (int64_t i = 0; i < count; i++) {
    int64_t c = i / k.inner % k.c;
    am_ref_put(out, i, am_ref_get(in, i) * am_ref_get(&in[1], c) + am_ref_get(&in[2], c));
  }
  return AM_OK;
}

// log softmax(x)_j = x_j - max - log(sum_l exp(x_l - max)): no term overflows.
am_err am_ref_log_softmax(void *ctx, const am_no_desc *desc, const am_view *in, am_view *out) {
  int64_t rows = in->shape.dim[0], width = in->shape.dim[1];
  for (int64_t r = 0; r < rows; r++) {
    double max = am_ref_get(in, r * width), sum = 0;
    for (int64_t j = 1; j < width; j++) max = fmax(max, am_ref_get(in, r * width + j));
    for (int64_t j = 0; j < width; j++) sum += exp(am_ref_get(in, r * width + j) - max);
    for (int64_t j = 0; j < width; j++) {
      am_ref_put(out, r * width + j, am_ref_get(in, r * width + j) - max - log(sum));
    }
  }
  return AM_OK;
}
