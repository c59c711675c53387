// Elementwise ops and their gradients.
#include "autograd/graph_internal.h"
#include "autograd/ops.h"

am_err am_unary(am_graph *g, am_unary_desc desc, am_tensor *x, am_tensor **y) {
  return am_apply(g, AM_OP_unary, &desc, &x, y);
}

static am_err unary_kind(am_graph *g, am_unary_kind kind, am_tensor *x, am_tensor **y) {
  return am_unary(g, (am_unary_desc){.kind = kind}, x, y);
}

am_err am_affine(am_graph *g, am_tensor *x, double a, double b, am_tensor **y) {
  return am_unary(g, (am_unary_desc){.kind = AM_UN_AFFINE, .a = a, .b = b}, x, y);
}
am_err am_exp(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_EXP, x, y); }
am_err am_log(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_LOG, x, y); }
am_err am_sqrt(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_SQRT, x, y); }
am_err am_square(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_SQUARE, x, y); }
am_err am_tanh(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_TANH, x, y); }
am_err am_sigmoid(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_SIGMOID, x, y); }
am_err am_softplus(am_graph *g, am_tensor *x, am_tensor **y) { return unary_kind(g, AM_UN_SOFTPLUS, x, y); }
am_err am_relu(am_graph *g, am_tensor *x, am_tensor **y) { return am_leaky_relu(g, x, 0, y); }

am_err am_leaky_relu(am_graph *g, am_tensor *x, double slope, am_tensor **y) {
  return am_unary(g, (am_unary_desc){.kind = AM_UN_LEAKY_RELU, .a = slope}, x, y);
}

am_err am_clamp(am_graph *g, am_tensor *x, double lo, double hi, am_tensor **y) {
  return am_unary(g, (am_unary_desc){.kind = AM_UN_CLAMP, .a = lo, .b = hi}, x, y);
}

am_err am_binary(am_graph *g, am_binary_desc desc, am_tensor *p, am_tensor *q, am_tensor **y) {
  am_tensor *in[] = {p, q};
  return am_apply(g, AM_OP_binary, &desc, in, y);
}

static am_err binary_kind(am_graph *g, am_binary_kind kind, am_tensor *p, am_tensor *q, am_tensor **y) {
  return am_binary(g, (am_binary_desc){.kind = kind}, p, q, y);
}

am_err am_add(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y) {
  return binary_kind(g, AM_BIN_ADD, p, q, y);
}
am_err am_sub(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y) {
  return binary_kind(g, AM_BIN_SUB, p, q, y);
}
am_err am_mul(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y) {
  return binary_kind(g, AM_BIN_MUL, p, q, y);
}
am_err am_div(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y) {
  return binary_kind(g, AM_BIN_DIV, p, q, y);
}

am_err am_dropout_op(am_graph *g, am_tensor *x, am_dropout_desc desc, am_tensor **y) {
  return am_apply(g, AM_OP_dropout, &desc, &x, y);
}

// ---- gradients ----

// y = a * p * q
static am_err scaled_product(am_graph *g, double a, am_tensor *p, am_tensor *q, am_tensor **y) {
  am_tensor *t = NULL;
  AM_TRY(am_mul(g, p, q, &t));
  return am_affine(g, t, a, 0, y);
}

// 1 where lo <= x <= hi, the ends included as in PyTorch's clamp.
static am_err inside(am_graph *g, am_tensor *x, double lo, double hi, am_tensor **mask) {
  am_tensor *below = NULL, *above = NULL, *outside = NULL;
  AM_TRY(am_affine(g, x, -1, 0, &below));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_STEP, .a = -lo}, below, &below));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_STEP, .a = hi}, x, &above));
  AM_TRY(am_add(g, below, above, &outside));
  return am_affine(g, outside, -1, 1, mask);
}

am_err am_vjp_unary(am_vjp *v) {
  am_graph *g = v->g;
  const am_unary_desc *d = &v->node->desc.unary;
  am_tensor *x = v->node->in[0], *y = v->node->out[0], *dy = v->dy, **dx = &v->dx[0];
  am_tensor *t = NULL;
  switch (d->kind) {
    case AM_UN_AFFINE:
      return am_affine(g, dy, d->a, 0, dx);
    case AM_UN_EXP:
      return am_mul(g, dy, y, dx);
    case AM_UN_LOG:
      return am_div(g, dy, x, dx);
    case AM_UN_SQRT:  // dy / (2 y)
      AM_TRY(am_div(g, dy, y, &t));
      return am_affine(g, t, 0.5, 0, dx);
    case AM_UN_RSQRT:  // -dy y^3 / 2
      AM_TRY(am_square(g, y, &t));
      AM_TRY(am_mul(g, t, y, &t));
      return scaled_product(g, -0.5, dy, t, dx);
    case AM_UN_RECIP:  // -dy y^2
      AM_TRY(am_square(g, y, &t));
      return scaled_product(g, -1, dy, t, dx);
    case AM_UN_SQUARE:
      return scaled_product(g, 2, dy, x, dx);
    case AM_UN_ABS:
      AM_TRY(unary_kind(g, AM_UN_SIGN, x, &t));
      return am_mul(g, dy, t, dx);
    case AM_UN_TANH:
      return binary_kind(g, AM_BIN_TANH_GRAD, dy, y, dx);
    case AM_UN_SIGMOID:
      return binary_kind(g, AM_BIN_SIGMOID_GRAD, dy, y, dx);
    case AM_UN_SOFTPLUS:
      AM_TRY(am_sigmoid(g, x, &t));
      return am_mul(g, dy, t, dx);
    case AM_UN_LEAKY_RELU:
      // The output has the input's sign unless the slope is negative.
      return am_binary(g, (am_binary_desc){.kind = AM_BIN_LEAKY_GRAD, .a = d->a}, dy, d->a < 0 ? x : y, dx);
    case AM_UN_CLAMP:
      AM_TRY(inside(g, x, d->a, d->b, &t));
      return am_mul(g, dy, t, dx);
    case AM_UN_SIGN:
    case AM_UN_STEP:
      break;  // never recorded: am_passes_gradient
  }
  return AM_FAIL(AM_ERR_INTERNAL, "unary kind %d has no gradient", (int)d->kind);
}

// Gradients of max and min: 1 to the chosen operand, 1/2 each where they are equal, as PyTorch.
static am_err choice_gradients(am_vjp *v, double sign, am_tensor **dp, am_tensor **dq) {
  am_tensor *t = NULL, *share = NULL;
  AM_TRY(am_sub(v->g, v->node->in[0], v->node->in[1], &t));
  AM_TRY(unary_kind(v->g, AM_UN_SIGN, t, &t));
  if (v->need[0]) {
    AM_TRY(am_affine(v->g, t, 0.5 * sign, 0.5, &share));
    AM_TRY(am_mul(v->g, v->dy, share, dp));
  }
  if (v->need[1]) {
    AM_TRY(am_affine(v->g, t, -0.5 * sign, 0.5, &share));
    AM_TRY(am_mul(v->g, v->dy, share, dq));
  }
  return AM_OK;
}

// d/dq of p (1 - q^2): -2 dy p q.  d/dq of p q (1 - q): dy p (1 - 2q).
static am_err grad_of_grad(am_vjp *v, bool is_tanh, am_tensor **dq) {
  am_tensor *p = v->node->in[0], *q = v->node->in[1], *slope = NULL, *t = NULL;
  AM_TRY(am_affine(v->g, q, -2, is_tanh ? 0 : 1, &slope));
  AM_TRY(am_mul(v->g, v->dy, p, &t));
  return am_mul(v->g, t, slope, dq);
}

// Gradients in the broadcast shape; *dp or *dq stays NULL where it is zero or not needed.
static am_err binary_gradients(am_vjp *v, am_tensor **dp, am_tensor **dq) {
  am_graph *g = v->g;
  const am_binary_desc *d = &v->node->desc.binary;
  am_tensor *p = v->node->in[0], *q = v->node->in[1], *y = v->node->out[0], *dy = v->dy, *t = NULL;
  bool need_p = v->need[0], need_q = v->need[1];
  switch (d->kind) {
    case AM_BIN_ADD:
    case AM_BIN_SUB:
      if (need_p) *dp = dy;
      if (need_q && d->kind == AM_BIN_ADD) *dq = dy;
      if (need_q && d->kind == AM_BIN_SUB) AM_TRY(am_affine(g, dy, -1, 0, dq));
      return AM_OK;
    case AM_BIN_MUL:
      if (need_p) AM_TRY(am_mul(g, dy, q, dp));
      if (need_q) AM_TRY(am_mul(g, dy, p, dq));
      return AM_OK;
    case AM_BIN_DIV:  // dy / q, -dy y / q
      AM_TRY(am_div(g, dy, q, &t));
      if (need_p) *dp = t;
      if (need_q) AM_TRY(scaled_product(g, -1, t, y, dq));
      return AM_OK;
    case AM_BIN_MAX:
      return choice_gradients(v, 1, dp, dq);
    case AM_BIN_MIN:
      return choice_gradients(v, -1, dp, dq);
    case AM_BIN_LEAKY_GRAD:  // piecewise constant in q
      return need_p ? am_binary(g, *d, dy, q, dp) : AM_OK;
    case AM_BIN_TANH_GRAD:
    case AM_BIN_SIGMOID_GRAD:
      if (need_p) AM_TRY(am_binary(g, *d, dy, q, dp));
      if (need_q) AM_TRY(grad_of_grad(v, d->kind == AM_BIN_TANH_GRAD, dq));
      return AM_OK;
  }
  return AM_FAIL(AM_ERR_INTERNAL, "binary kind %d has no gradient", (int)d->kind);
}

am_err am_vjp_binary(am_vjp *v) {
  am_tensor *d[2] = {NULL, NULL};
  AM_TRY(binary_gradients(v, &d[0], &d[1]));
  for (int i = 0; i < 2; i++) {
    if (d[i]) AM_TRY(am_sum_to(v->g, d[i], v->node->in[i]->shape, &v->dx[i]));
  }
  return AM_OK;
}

// Linear in x: the same elements of dy, scaled alike.
am_err am_vjp_dropout(am_vjp *v) { return am_dropout_op(v->g, v->dy, v->node->desc.dropout, &v->dx[0]); }
