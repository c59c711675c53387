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

// leaky_relu; without activation a slope of 1, which changes nothing.
static double slope_of(am_activation act) { return act.on ? act.slope : 1; }
static double activate(double v, double slope) { return v > 0 ? v : slope * v; }

// Two passes: mean first, then the mean squared distance from it (biased), as PyTorch normalises.
static void batch_norm(const am_norm_desc *desc, const am_view *in, const am_view *residual, am_view *out) {
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
      double v = (am_ref_get(in, at) - mean) * inv_std * gamma + beta;
      if (residual) v += am_ref_get(residual, at);
      am_ref_put(out, at, activate(v, slope_of(desc->act)));
    }
    am_ref_put(&out[1], c, mean);
    am_ref_put(&out[2], c, inv_std);
  }
}

am_err am_ref_batch_norm(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  batch_norm(desc, in, NULL, out);
  return AM_OK;
}

am_err am_ref_batch_norm_add(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  batch_norm(desc, in, &in[3], out);
  return AM_OK;
}

// What the gradient of a channel is made of. The activation's argument has the sign of y, where there
// is a y, else of the normalised x.
typedef struct {
  const am_view *dy, *x, *y;
  double gamma, beta, mean, inv_std, slope;
} grad_args;

static double normalised(const grad_args *a, int64_t at) {
  return (am_ref_get(a->x, at) - a->mean) * a->inv_std;
}

// dy before the activation.
static double passed(const grad_args *a, int64_t at) {
  double sign = a->y ? am_ref_get(a->y, at) : normalised(a, at) * a->gamma + a->beta;
  return am_ref_get(a->dy, at) * (sign > 0 ? 1 : a->slope);
}

// With xhat = (x - mean) * inv_std and m elements per channel (Ioffe and Szegedy, section 3):
//   dbeta = sum dy, dgamma = sum dy * xhat, dx = gamma * inv_std * (dy - dbeta/m - xhat * dgamma/m)
static void channel_grad(channels k, int64_t c, const grad_args *a, am_view *dx, am_view *dgamma,
                         am_view *dbeta) {
  int64_t count = k.n * k.inner;
  double along = 0, sum = 0;
  for (int64_t e = 0; e < count; e++) {
    int64_t at = element(k, c, e);
    sum += passed(a, at);
    along += passed(a, at) * normalised(a, at);
  }
  for (int64_t e = 0; e < count; e++) {
    int64_t at = element(k, c, e);
    double share = (sum + normalised(a, at) * along) / (double)count;
    am_ref_put(dx, at, a->gamma * a->inv_std * (passed(a, at) - share));
  }
  am_ref_put(dgamma, c, along);
  am_ref_put(dbeta, c, sum);
}

am_err am_ref_batch_norm_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  for (int64_t c = 0; c < k.c; c++) {
    grad_args a = {.dy = &in[0], .x = &in[1], .gamma = am_ref_get(&in[2], c), .beta = am_ref_get(&in[3], c),
                   .mean = am_ref_get(&in[4], c), .inv_std = am_ref_get(&in[5], c),
                   .slope = slope_of(desc->act)};
    channel_grad(k, c, &a, &out[0], &out[1], &out[2]);
  }
  return AM_OK;
}

am_err am_ref_batch_norm_add_grad(void *ctx, const am_norm_desc *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  for (int64_t c = 0; c < k.c; c++) {
    grad_args a = {.dy = &in[0], .x = &in[1], .y = &in[2], .gamma = am_ref_get(&in[3], c),
                   .mean = am_ref_get(&in[4], c), .inv_std = am_ref_get(&in[5], c),
                   .slope = slope_of(desc->act)};
    channel_grad(k, c, &a, &out[0], &out[2], &out[3]);
    for (int64_t e = 0; e < k.n * k.inner; e++) {
      int64_t at = element(k, c, e);
      am_ref_put(&out[1], at, passed(&a, at));
    }
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

// ---- bias and activation ----

am_err am_ref_bias_act(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  for (int64_t i = 0; i < am_shape_count(in->shape); i++) {
    am_ref_put(out, i, activate(am_ref_get(in, i) + am_ref_get(&in[1], i / k.inner % k.c), slope_of(*desc)));
  }
  return AM_OK;
}

am_err am_ref_bias_act_grad(void *ctx, const am_activation *desc, const am_view *in, am_view *out) {
  channels k = channels_of(in->shape);
  for (int64_t c = 0; c < k.c; c++) {
    double sum = 0;
    for (int64_t e = 0; e < k.n * k.inner; e++) {
      int64_t at = element(k, c, e);
      double d = am_ref_get(in, at) * (am_ref_get(&in[1], at) > 0 ? 1 : slope_of(*desc));
      am_ref_put(out, at, d);
      sum += d;
    }
    am_ref_put(&out[1], c, sum);
  }
  return AM_OK;
}
