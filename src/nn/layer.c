// Linear and convolution layers, batch normalisation, dropout.
#include <math.h>
#include <string.h>

#include "base/num.h"
#include "base/rng.h"
#include "base/str.h"
#include "nn/module.h"

am_err am_pass_forget(am_pass *pass, int64_t mark, am_tensor *x) {
  if (am_graph_recording(pass->graph) && x->requires_grad) return AM_OK;
  return am_graph_release_to(pass->graph, mark, &x, 1);
}

static am_err declare(am_params *ps, const char *prefix, const char *name, am_shape shape, am_param_kind kind,
                      am_init init, am_param **out) {
  am_err err = AM_OK;
  am_str full = {0};
  AM_GO(done, am_str_printf(&full, "%s.%s", prefix, name));
  AM_GO(done, am_params_add(ps, am_str_get(&full), shape, kind, init, out));
done:
  am_str_fini(&full);
  return err;
}

static am_err declare_trainable(am_params *ps, const char *prefix, const char *name, am_shape shape,
                                am_init init, am_param **out) {
  return declare(ps, prefix, name, shape, AM_PARAM_TRAINABLE, init, out);
}

static am_init constant(double value) { return (am_init){.kind = AM_INIT_CONSTANT, .a = value}; }

// PyTorch's default for weights and biases alike: kaiming_uniform(a = sqrt 5) is U(-b, b), b = 1/sqrt(fan_in).
static am_init uniform_by_fan(int64_t fan_in) {
  return (am_init){.kind = AM_INIT_UNIFORM, .a = 1 / sqrt((double)fan_in)};
}

// ---- the type of a pass ----

static bool is_tf32(const char *precision) { return strcmp(precision, "tf32") == 0; }

am_err am_compute_type(const am_device *dev, const char *precision, am_dtype *out) {
  const bool bf16 = strcmp(precision, "bf16") == 0, tf32 = is_tf32(precision);
  AM_CHECK(bf16 || tf32 || strcmp(precision, "fp32") == 0, AM_ERR_CONFIG,
           "precision is \"%s\", expected fp32, bf16 or tf32", precision);
  *out = bf16 ? AM_BF16 : AM_F32;
  am_err err = tf32 ? am_device_check_tf32(dev) : AM_OK;
  if (!err) err = am_device_check_type(dev, AM_OP_conv2d, *out);
  if (err) am_err_prefix("precision %s", precision);
  return err;
}

am_err am_compute_use(am_device *dev, const char *precision, am_dtype *out) {
  AM_TRY(am_compute_type(dev, precision, out));
  return am_device_set_tf32(dev, is_tf32(precision));
}

// What a convolution reads.
static am_err as_image(const am_pass *pass, am_tensor *x, am_tensor **y) {
  return am_cast(pass->graph, x, pass->compute == AM_BF16 ? AM_BF16 : x->dtype, y);
}

// ---- linear ----

am_err am_linear_init(am_linear *m, am_params *ps, const char *prefix, am_linear_cfg cfg) {
  *m = (am_linear){.cfg = cfg};
  am_init init = uniform_by_fan(cfg.in);
  AM_TRY(declare_trainable(ps, prefix, "weight", AM_SHAPE(cfg.out, cfg.in), init, &m->weight));
  if (!cfg.no_bias) AM_TRY(declare_trainable(ps, prefix, "bias", AM_SHAPE(cfg.out), init, &m->bias));
  return AM_OK;
}

am_err am_linear_forward(am_linear *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  am_tensor *t = NULL;
  AM_TRY(am_cast(pass->graph, x, m->weight->value->dtype, &x));
  AM_TRY(am_matmul(pass->graph, x, m->weight->value, false, true, &t));
  if (m->bias) AM_TRY(am_add(pass->graph, t, m->bias->value, &t));
  *y = t;
  return AM_OK;
}

// ---- convolution ----

// Fans as PyTorch counts them: from the weight's dimensions 1 and 0, whichever way it is used.
static am_init conv_weight_init(const am_conv_cfg *cfg, am_shape weight) {
  int64_t area = cfg->kernel * cfg->kernel;
  switch (cfg->scheme) {
    case AM_SCHEME_DCGAN:
      return (am_init){.kind = AM_INIT_NORMAL, .b = 0.02};
    case AM_SCHEME_KAIMING_FAN_OUT:
      return (am_init){.kind = AM_INIT_NORMAL, .b = sqrt(2.0 / (double)(weight.dim[0] * area))};
    case AM_SCHEME_PYTORCH:
      break;
  }
  return uniform_by_fan(weight.dim[1] * area);
}

am_err am_conv_init(am_conv *m, am_params *ps, const char *prefix, am_conv_cfg cfg) {
  if (cfg.stride == 0) cfg.stride = 1;
  *m = (am_conv){.cfg = cfg};
  int64_t k = cfg.kernel;
  am_shape shape = cfg.transposed ? AM_SHAPE(cfg.in, cfg.out, k, k) : AM_SHAPE(cfg.out, cfg.in, k, k);
  AM_TRY(declare_trainable(ps, prefix, "weight", shape, conv_weight_init(&cfg, shape), &m->weight));
  if (cfg.bias) {
    am_init init = uniform_by_fan(shape.dim[1] * k * k);
    AM_TRY(declare_trainable(ps, prefix, "bias", AM_SHAPE(cfg.out), init, &m->bias));
  }
  return AM_OK;
}

static am_conv2d_desc conv_desc(const am_conv *m) {
  int64_t stride = m->cfg.stride, pad = m->cfg.pad;
  return (am_conv2d_desc){.stride_h = stride, .stride_w = stride, .pad_h = pad, .pad_w = pad};
}

am_err am_conv_act_forward(am_conv *m, am_pass *pass, am_tensor *x, am_activation act, am_tensor **y) {
  am_graph *g = pass->graph;
  am_conv2d_desc d = conv_desc(m);
  am_tensor *t = NULL;
  AM_TRY(as_image(pass, x, &x));
  if (m->cfg.transposed) {
    AM_TRY(am_conv_transpose2d(g, x, m->weight->value, d, m->cfg.output_pad, &t));
  } else {
    AM_TRY(am_conv2d(g, x, m->weight->value, d, &t));
  }
  if (m->bias) return am_bias_act(g, t, m->bias->value, act, y);
  if (act.on) return am_leaky_relu(g, t, act.slope, y);
  *y = t;
  return AM_OK;
}

am_err am_conv_forward(am_conv *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  return am_conv_act_forward(m, pass, x, AM_NO_ACTIVATION, y);
}

// ---- batch normalisation ----

am_err am_batch_norm_init(am_batch_norm_layer *m, am_params *ps, const char *prefix, am_batch_norm_cfg cfg) {
  if (cfg.eps == 0) cfg.eps = 1e-5;
  if (cfg.momentum == 0) cfg.momentum = 0.1;
  *m = (am_batch_norm_layer){.cfg = cfg};
  am_shape c = AM_SHAPE(cfg.channels);
  am_init one = constant(1), zero = constant(0);
  am_init weight = cfg.scheme == AM_SCHEME_DCGAN ? (am_init){.kind = AM_INIT_NORMAL, .a = 1, .b = 0.02} : one;
  AM_TRY(declare_trainable(ps, prefix, "weight", c, weight, &m->weight));
  AM_TRY(declare_trainable(ps, prefix, "bias", c, zero, &m->bias));
  AM_TRY(declare(ps, prefix, "running_mean", c, AM_PARAM_BUFFER, zero, &m->running_mean));
  AM_TRY(declare(ps, prefix, "running_var", c, AM_PARAM_BUFFER, one, &m->running_var));
  return declare(ps, prefix, "num_batches_tracked", AM_SHAPE_SCALAR, AM_PARAM_COUNTER, zero,
                 &m->num_batches_tracked);
}

// Running statistics take the variance times n/(n-1).
static am_err update_running(am_batch_norm_layer *m, am_graph *g, am_tensor *mean, am_tensor *inv_std,
                             double n) {
  const am_running_desc d = {.momentum = m->cfg.momentum, .unbias = n / (n - 1), .eps = m->cfg.eps};
  am_tensor *in[] = {mean, inv_std}, *running[] = {m->running_mean->value, m->running_var->value};
  AM_TRY(am_apply(g, AM_OP_running_stats, &d, in, running));
  m->num_batches_tracked->counter++;
  return AM_OK;
}

static am_err normalise_batch(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor *residual,
                              am_activation act, am_tensor **y) {
  char text[AM_SHAPE_TEXT];
  am_tensor *mean = NULL, *inv_std = NULL;
  am_norm_desc d = {.eps = m->cfg.eps, .act = act};
  int64_t n = am_tensor_count(x) / m->cfg.channels;
  AM_CHECK(n > 1, AM_ERR_ARG, "%s: training needs more than one value per channel, the input is %s",
           m->weight->name, am_shape_text(x->shape, text));
  AM_TRY(am_batch_norm(pass->graph, x, m->weight->value, m->bias->value, residual, d, y, &mean, &inv_std));
  return pass->update_stats ? update_running(m, pass->graph, mean, inv_std, (double)n) : AM_OK;
}

// Evaluation: x*scale + shift with scale = weight / sqrt(running_var + eps), shift = bias -
// running_mean*scale.
static am_err running_affine(am_batch_norm_layer *m, am_graph *g, am_tensor **scale, am_tensor **shift) {
  am_tensor *t = NULL;
  AM_TRY(am_affine(g, m->running_var->value, 1, m->cfg.eps, &t));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_RSQRT}, t, &t));
  AM_TRY(am_mul(g, m->weight->value, t, scale));
  AM_TRY(am_mul(g, m->running_mean->value, *scale, &t));
  return am_sub(g, m->bias->value, t, shift);
}

// The same, computed again only when something of it has changed. Nothing is differentiated.
static am_err kept_affine(am_batch_norm_layer *m, am_graph *g, am_tensor **scale, am_tensor **shift) {
  am_param *keeper = m->weight;
  const am_tensor *from[] = {m->weight->value, m->bias->value, m->running_mean->value, m->running_var->value};
  uint64_t stamp[AM_COUNT_OF(from)];
  for (int i = 0; i < AM_COUNT_OF(from); i++) stamp[i] = am_tensor_as_view(from[i]).stamp;
  if (!keeper->derived[0] || memcmp(stamp, keeper->derived_from, sizeof stamp) != 0) {
    am_tensor *made[2];
    AM_TRY(running_affine(m, g, &made[0], &made[1]));
    for (int i = 0; i < 2; i++) {
      am_tensor_release(keeper->derived[i]);
      keeper->derived[i] = am_tensor_retain(made[i]);
    }
    memcpy(keeper->derived_from, stamp, sizeof stamp);
  }
  *scale = keeper->derived[0];
  *shift = keeper->derived[1];
  return AM_OK;
}

static am_err normalise_running(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor *residual,
                                am_activation act, am_tensor **y) {
  am_graph *g = pass->graph;
  am_tensor *scale = NULL, *shift = NULL;
  AM_TRY(running_affine(m, g, &scale, &shift));
  AM_TRY(am_scale_shift(g, x, scale, shift, &x));
  if (residual) AM_TRY(am_add(g, x, residual, &x));
  if (act.on) AM_TRY(am_leaky_relu(g, x, act.slope, &x));
  *y = x;
  return AM_OK;
}

static bool normalises_by_batch(const am_batch_norm_layer *m, const am_pass *pass) {
  return pass->train && !m->weight->hold_statistics;
}

am_err am_norm_act_forward(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor *residual,
                           am_activation act, am_tensor **y) {
  return normalises_by_batch(m, pass) ? normalise_batch(m, pass, x, residual, act, y)
                                      : normalise_running(m, pass, x, residual, act, y);
}

am_err am_batch_norm_forward(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  return am_norm_act_forward(m, pass, x, NULL, AM_NO_ACTIVATION, y);
}

// Whether a gradient could be asked for that passes here: not in parts that are frozen from the input on.
static bool is_differentiated(const am_conv *conv, const am_batch_norm_layer *norm, const am_tensor *x,
                              const am_tensor *residual) {
  return x->requires_grad || conv->weight->value->requires_grad || norm->weight->value->requires_grad ||
         norm->bias->value->requires_grad || (residual && residual->requires_grad);
}

am_err am_conv_norm_act_forward(am_conv *conv, am_batch_norm_layer *norm, am_pass *pass, am_tensor *x,
                                am_tensor *residual, am_activation act, am_tensor **y) {
  am_graph *g = pass->graph;
  bool one_op = !normalises_by_batch(norm, pass) && !conv->cfg.transposed && !conv->bias &&
                !(am_graph_recording(g) && is_differentiated(conv, norm, x, residual));
  if (!one_op) {
    AM_TRY(am_conv_forward(conv, pass, x, &x));
    return am_norm_act_forward(norm, pass, x, residual, act, y);
  }
  AM_TRY(as_image(pass, x, &x));
  am_tensor *in[] = {x, conv->weight->value, NULL, NULL, residual};
  am_conv2d_affine_desc d = {.conv = conv_desc(conv), .act = act};
  AM_TRY((am_graph_recording(g) ? running_affine : kept_affine)(norm, g, &in[2], &in[3]));
  return am_apply(g, residual ? AM_OP_conv2d_affine_add : AM_OP_conv2d_affine, &d, in, y);
}

// ---- dropout ----

am_err am_dropout(am_pass *pass, am_tensor *x, double p, am_tensor **y) {
  AM_CHECK(p >= 0 && p < 1, AM_ERR_ARG, "dropout of %g: the share must be in [0, 1)", p);
  if (!pass->train || p == 0) {
    *y = x;
    return AM_OK;
  }
  // Each random layer of a pass has its own seed, so that equal shapes do not drop alike.
  char word[48];
  snprintf(word, sizeof word, "dropout/%llu", (unsigned long long)pass->draws++);
  am_dropout_desc d = {
      .p = p, .seed = am_seed_derive(pass->seed, word), .index = pass->index, .purpose = AM_RNG_DROPOUT};
  return am_dropout_op(pass->graph, x, d, y);
}
