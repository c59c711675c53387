#include "nn/loss.h"

static am_err same_shape(const am_tensor *x, const am_tensor *target, const char *loss) {
  char x_text[AM_SHAPE_TEXT], t_text[AM_SHAPE_TEXT];
  AM_CHECK(am_shape_equal(x->shape, target->shape), AM_ERR_ARG, "%s: the input is %s, the target %s", loss,
           am_shape_text(x->shape, x_text), am_shape_text(target->shape, t_text));
  return AM_OK;
}

am_err am_loss_cross_entropy(am_graph *g, am_tensor *logits, am_tensor *target, am_tensor **loss) {
  am_tensor *t = NULL;
  AM_TRY(same_shape(logits, target, "cross-entropy"));
  AM_TRY(am_log_softmax(g, logits, &t));
  AM_TRY(am_mul(g, t, target, &t));
  AM_TRY(am_sum(g, t, ~0u, &t));
  return am_affine(g, t, -1.0 / (double)logits->shape.dim[0], 0, loss);
}

am_err am_loss_double_softmax(am_graph *g, am_tensor *logits, am_tensor *target, am_tensor **loss) {
  am_tensor *p = NULL;
  AM_TRY(am_log_softmax(g, logits, &p));
  AM_TRY(am_exp(g, p, &p));
  return am_loss_cross_entropy(g, p, target, loss);
}

// softplus(x) is max(x, 0) + log1p(exp(-|x|)).
am_err am_loss_bce_logits(am_graph *g, am_tensor *logits, am_tensor *target, am_tensor **loss) {
  am_tensor *positive = NULL, *t = NULL;
  AM_TRY(same_shape(logits, target, "binary cross-entropy"));
  AM_TRY(am_softplus(g, logits, &positive));
  AM_TRY(am_mul(g, logits, target, &t));
  AM_TRY(am_sub(g, positive, t, &t));
  return am_mean(g, t, ~0u, loss);
}

am_err am_loss_mse(am_graph *g, am_tensor *x, am_tensor *target, am_tensor **loss) {
  am_tensor *t = NULL;
  AM_TRY(same_shape(x, target, "mean squared error"));
  AM_TRY(am_sub(g, x, target, &t));
  AM_TRY(am_square(g, t, &t));
  return am_mean(g, t, ~0u, loss);
}

am_err am_one_hot(const int32_t *label, int64_t n, int64_t classes, double smoothing, float *rows) {
  const float elsewhere = (float)(smoothing / (double)classes);
  for (int64_t i = 0; i < n; i++) {
    AM_CHECK(label[i] >= 0 && label[i] < classes, AM_ERR_DATA,
             "label %d of item %lld: there are %lld classes", (int)label[i], (long long)i,
             (long long)classes);
    for (int64_t k = 0; k < classes; k++) rows[i * classes + k] = elsewhere;
    rows[i * classes + label[i]] = (float)(1 - smoothing + smoothing / (double)classes);
  }
  return AM_OK;
}
