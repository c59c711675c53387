// Pooling. A maximum remembers where it was, and its gradients scatter and gather there.
#include "autograd/graph_internal.h"
#include "autograd/ops.h"

// The gradients need the input's size.
static void note_input_size(am_pool2d_desc *d, const am_tensor *x) {
  d->in_h = x->shape.dim[2];
  d->in_w = x->shape.dim[3];
}

am_err am_max_pool2d(am_graph *g, am_tensor *x, am_pool2d_desc desc, am_tensor **y) {
  note_input_size(&desc, x);
  am_tensor *out[AM_OP_MAX_OUTPUTS] = {NULL};
  const bool differentiated = am_graph_recording(g) && x->requires_grad;
  AM_TRY(am_apply(g, differentiated ? AM_OP_max_pool2d : AM_OP_max_pool2d_values, &desc, &x, out));
  *y = out[0];
  return AM_OK;
}

static am_err at_maxima(am_graph *g, am_op op, const am_pool2d_desc *d, am_tensor *t, am_tensor *index,
                        am_tensor **y) {
  am_tensor *in[] = {t, index};
  return am_apply(g, op, d, in, y);
}

am_err am_vjp_max_pool2d(am_vjp *v) {
  return at_maxima(v->g, AM_OP_pool_scatter, &v->node->desc.max_pool2d, v->dy, v->node->out[1], &v->dx[0]);
}

am_err am_vjp_pool_scatter(am_vjp *v) {
  return at_maxima(v->g, AM_OP_pool_gather, &v->node->desc.pool_scatter, v->dy, v->node->in[1], &v->dx[0]);
}

am_err am_vjp_pool_gather(am_vjp *v) {
  am_pool2d_desc d = v->node->desc.pool_gather;
  note_input_size(&d, v->node->in[0]);
  return at_maxima(v->g, AM_OP_pool_scatter, &d, v->dy, v->node->in[1], &v->dx[0]);
}

am_err am_avg_pool2d(am_graph *g, am_tensor *x, am_pool2d_desc desc, am_tensor **y) {
  note_input_size(&desc, x);
  return am_apply(g, AM_OP_avg_pool2d, &desc, &x, y);
}

am_err am_vjp_avg_pool2d(am_vjp *v) {
  return am_apply(v->g, AM_OP_avg_pool2d_grad, &v->node->desc.avg_pool2d, &v->dy, &v->dx[0]);
}

am_err am_vjp_avg_pool2d_grad(am_vjp *v) {
  return am_apply(v->g, AM_OP_avg_pool2d, &v->node->desc.avg_pool2d_grad, &v->dy, &v->dx[0]);
}

am_err am_global_avg_pool(am_graph *g, am_tensor *x, am_tensor **y) {
  AM_CHECK(x->shape.ndim == 4, AM_ERR_ARG, "global_avg_pool: the input has %d dimensions, 4 are needed",
           x->shape.ndim);
  am_pool2d_desc d = {.kernel_h = x->shape.dim[2], .kernel_w = x->shape.dim[3], .include_pad = true};
  am_tensor *t = NULL;
  AM_TRY(am_avg_pool2d(g, x, d, &t));
  return am_reshape(g, t, AM_SHAPE(x->shape.dim[0], x->shape.dim[1]), y);
}
