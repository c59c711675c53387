// Normalisation over channels, and log-softmax.
#include "autograd/graph_internal.h"
#include "autograd/ops.h"

// ---- log-softmax ----

am_err am_log_softmax(am_graph *g, am_tensor *x, am_tensor **y) {
  return am_apply(g, AM_OP_log_softmax, &(am_no_desc){0}, &x, y);
}

// dx = dy - softmax(x) * sum(dy)
am_err am_vjp_log_softmax(am_vjp *v) {
  am_tensor *p = NULL, *sum = NULL;
  AM_TRY(am_exp(v->g, v->node->out[0], &p));
  AM_TRY(am_sum(v->g, v->dy, 1u << (v->dy->shape.ndim - 1), &sum));
  AM_TRY(am_mul(v->g, p, sum, &p));
  return am_sub(v->g, v->dy, p, &v->dx[0]);
}

// ---- scale and shift ----

am_err am_scale_shift(am_graph *g, am_tensor *x, am_tensor *scale, am_tensor *shift, am_tensor **y) {
  am_tensor *in[] = {x, scale, shift};
  return am_apply(g, AM_OP_scale_shift, &(am_no_desc){0}, in, y);
}

// Sums over all axes but the channels', as a vector (c).
static am_err channel_sum(am_graph *g, am_tensor *t, am_tensor **out) {
  am_tensor *sum = NULL;
  AM_TRY(am_sum(g, t, am_all_but_channels(t), &sum));
  return am_reshape(g, sum, AM_SHAPE(t->shape.dim[1]), out);
}

am_err am_vjp_scale_shift(am_vjp *v) {
  am_tensor *x = v->node->in[0], *scale = v->node->in[1], *dy = NULL, *t = NULL;
  if (v->need[0]) {
    AM_TRY(am_cast(v->g, scale, x->dtype, &t));
    AM_TRY(am_per_channel(v->g, t, x, &t));
    AM_TRY(am_mul(v->g, v->dy, t, &v->dx[0]));
  }
  if (v->need[1] || v->need[2]) AM_TRY(am_cast(v->g, v->dy, scale->dtype, &dy));
  if (v->need[1]) {
    AM_TRY(am_cast(v->g, x, scale->dtype, &t));
    AM_TRY(am_mul(v->g, dy, t, &t));
    AM_TRY(channel_sum(v->g, t, &v->dx[1]));
  }
  if (v->need[2]) AM_TRY(channel_sum(v->g, dy, &v->dx[2]));
  return AM_OK;
}

// dy before the activation: the sign of y is that of its argument.
static am_err before_activation(am_vjp *v, const am_activation *act, am_tensor **dy) {
  *dy = v->dy;
  if (!act->on) return AM_OK;
  return am_binary(v->g, (am_binary_desc){AM_BIN_LEAKY_GRAD, act->slope}, v->dy, v->node->out[0], dy);
}

// ---- bias and activation ----

am_err am_bias_act(am_graph *g, am_tensor *x, am_tensor *bias, am_activation act, am_tensor **y) {
  am_tensor *in[] = {x, bias};
  return am_apply(g, AM_OP_bias_act, &act, in, y);
}

// Composed where the result is differentiated again, else one op for both gradients.
am_err am_vjp_bias_act(am_vjp *v) {
  const am_activation *act = &v->node->desc.bias_act;
  am_tensor *in[] = {v->dy, v->node->out[0]}, *out[AM_OP_MAX_OUTPUTS] = {NULL};
  if (!v->create_graph && v->need[1]) {
    AM_TRY(am_apply(v->g, AM_OP_bias_act_grad, act, in, out));
    for (int i = 0; i < 2; i++) v->dx[i] = out[i];
    return AM_OK;
  }
  AM_TRY(before_activation(v, act, &v->dx[0]));
  return v->need[1] ? channel_sum(v->g, v->dx[0], &v->dx[1]) : AM_OK;
}

// ---- batch normalisation ----

am_err am_batch_norm(am_graph *g, am_tensor *x, am_tensor *gamma, am_tensor *beta, am_tensor *residual,
                     am_norm_desc desc, am_tensor **y, am_tensor **mean, am_tensor **inv_std) {
  am_tensor *in[] = {x, gamma, beta, residual}, *out[AM_OP_MAX_OUTPUTS] = {NULL};
  AM_TRY(am_apply(g, residual ? AM_OP_batch_norm_add : AM_OP_batch_norm, &desc, in, out));
  *y = out[0];
  *mean = out[1];
  *inv_std = out[2];
  return AM_OK;
}

// xhat = (x - mean(x)) / sqrt(var(x) + eps), as a function of x alone: the op's own mean and inv_std
// are constants on the tape and would hide how the statistics depend on x.
static am_err normalised(am_graph *g, am_tensor *x, double eps, am_tensor **xhat, am_tensor **inv_std) {
  unsigned axes = am_all_but_channels(x);
  am_tensor *mean = NULL, *centred = NULL, *var = NULL;
  AM_TRY(am_mean(g, x, axes, &mean));
  AM_TRY(am_sub(g, x, mean, &centred));
  AM_TRY(am_square(g, centred, &var));
  AM_TRY(am_mean(g, var, axes, &var));
  AM_TRY(am_affine(g, var, 1, eps, &var));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_RSQRT}, var, inv_std));
  return am_mul(g, centred, *inv_std, xhat);
}

// dx = gamma inv_std (dy - mean(dy) - xhat mean(dy xhat)), dgamma = sum(dy xhat), dbeta = sum(dy),
// over all but the channels. dy is the gradient before the activation.
static am_err composed_gradients(am_vjp *v, am_tensor *dy) {
  am_graph *g = v->g;
  am_tensor *x = v->node->in[0], *gamma = v->node->in[1];
  unsigned axes = am_all_but_channels(x);
  am_tensor *xhat = NULL, *inv_std = NULL, *along = NULL, *t = NULL, *mean = NULL, *scale = NULL;
  AM_CHECK(x->dtype == gamma->dtype, AM_ERR_UNSUPPORTED,
           "gradients of gradients through batch_norm need images of its parameters' type, %s: these are %s",
           am_dtype_name(gamma->dtype), am_dtype_name(x->dtype));
  AM_TRY(normalised(g, x, v->node->desc.batch_norm.eps, &xhat, &inv_std));
  AM_TRY(am_mul(g, dy, xhat, &along));
  if (v->need[1]) AM_TRY(channel_sum(g, along, &v->dx[1]));
  if (v->need[2]) AM_TRY(channel_sum(g, dy, &v->dx[2]));
  if (!v->need[0]) return AM_OK;
  AM_TRY(am_mean(g, along, axes, &t));
  AM_TRY(am_mul(g, xhat, t, &t));
  AM_TRY(am_mean(g, dy, axes, &mean));
  AM_TRY(am_sub(g, dy, mean, &mean));
  AM_TRY(am_sub(g, mean, t, &t));
  AM_TRY(am_per_channel(g, gamma, x, &scale));
  AM_TRY(am_mul(g, inv_std, scale, &scale));
  return am_mul(g, t, scale, &v->dx[0]);
}

// With create_graph both rules are composed; else one op that reads memory as seldom as possible, but has
// no gradients of its own.
am_err am_vjp_batch_norm(am_vjp *v) {
  const am_node *n = v->node;
  am_tensor *in[] = {v->dy, n->in[0], n->in[1], n->in[2], n->out[1], n->out[2]};
  am_tensor *into[] = {v->into[0], v->into[1], v->into[2]}, *out[AM_OP_MAX_OUTPUTS] = {NULL}, *dy = NULL;
  if (v->create_graph) {
    AM_TRY(before_activation(v, &n->desc.batch_norm.act, &dy));
    return composed_gradients(v, dy);
  }
  AM_TRY(am_apply_into(v->g, AM_OP_batch_norm_grad, &n->desc.batch_norm, in, into, out));
  for (int i = 0; i < 3; i++) v->dx[i] = out[i];
  return AM_OK;
}

am_err am_vjp_batch_norm_add(am_vjp *v) {
  const am_node *n = v->node;
  am_tensor *in[] = {v->dy, n->in[0], n->out[0], n->in[1], n->out[1], n->out[2]};
  am_tensor *into[] = {v->into[0], v->into[3], v->into[1], v->into[2]}, *out[AM_OP_MAX_OUTPUTS] = {NULL};
  if (v->create_graph) {
    AM_TRY(before_activation(v, &n->desc.batch_norm_add.act, &v->dx[3]));
    return composed_gradients(v, v->dx[3]);
  }
  AM_TRY(am_apply_into(v->g, AM_OP_batch_norm_add_grad, &n->desc.batch_norm_add, in, into, out));
  v->dx[0] = out[0];
  v->dx[3] = out[1];
  v->dx[1] = out[2];
  v->dx[2] = out[3];
  return AM_OK;
}
