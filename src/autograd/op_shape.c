// Ops that move, copy, sum or convert elements, and their gradients.
#include <string.h>

#include "autograd/graph_internal.h"
#include "autograd/ops.h"
#include "base/num.h"

// ---- shape ----

// Fills in the one dimension given as -1.
static am_err resolve_shape(const am_tensor *x, am_shape *shape) {
  char from[AM_SHAPE_TEXT], to[AM_SHAPE_TEXT];
  int64_t count = am_tensor_count(x), known = 1;
  int open = -1;
  for (int i = 0; i < shape->ndim; i++) {
    if (shape->dim[i] == -1 && open < 0) {
      open = i;
    } else {
      known *= shape->dim[i];
    }
  }
  if (open >= 0 && known > 0 && count % known == 0) shape->dim[open] = count / known;
  AM_CHECK(am_shape_count(*shape) == count && (open < 0 || known > 0), AM_ERR_ARG,
           "reshape: %s does not have as many elements as %s", am_shape_text(x->shape, from),
           am_shape_text(*shape, to));
  return AM_OK;
}

am_err am_reshape(am_graph *g, am_tensor *x, am_shape shape, am_tensor **y) {
  AM_TRY(resolve_shape(x, &shape));
  if (x->layout != AM_LAYOUT_PLAIN) {
    AM_TRY(am_apply(g, AM_OP_reorder, &(am_layout_desc){AM_LAYOUT_PLAIN}, &x, &x));
  }
  am_tensor *view = NULL;
  AM_TRY(am_tensor_view(x, 0, shape, &view));
  AM_TRY(am_graph_own(g, view));
  AM_TRY(am_record(g, AM_NODE_RESHAPE, NULL, &x, 1, &view, 1));
  *y = view;
  return AM_OK;
}

am_err am_vjp_reshape(am_vjp *v) { return am_reshape(v->g, v->dy, v->node->in[0]->shape, &v->dx[0]); }

am_err am_permute(am_graph *g, am_tensor *x, const int *perm, am_tensor **y) {
  am_permute_desc d = {{0}};
  memcpy(d.perm, perm, sizeof(int) * (size_t)x->shape.ndim);
  return am_apply(g, AM_OP_permute, &d, &x, y);
}

am_err am_vjp_permute(am_vjp *v) {
  int inverse[AM_MAX_DIM] = {0};
  for (int i = 0; i < v->dy->shape.ndim; i++) inverse[v->node->desc.permute.perm[i]] = i;
  return am_permute(v->g, v->dy, inverse, &v->dx[0]);
}

am_err am_slice(am_graph *g, am_tensor *x, int axis, int64_t start, int64_t stop, am_tensor **y) {
  am_slice_desc d = {.axis = axis, .start = start, .stop = stop};
  return am_apply(g, AM_OP_slice, &d, &x, y);
}

am_err am_vjp_slice(am_vjp *v) {
  const am_slice_desc *d = &v->node->desc.slice;
  return am_pad(v->g, v->dy, d->axis, d->start, v->node->in[0]->shape.dim[d->axis] - d->stop, &v->dx[0]);
}

am_err am_pad(am_graph *g, am_tensor *x, int axis, int64_t before, int64_t after, am_tensor **y) {
  am_pad_desc d = {.axis = axis, .before = before, .after = after};
  return am_apply(g, AM_OP_pad, &d, &x, y);
}

am_err am_vjp_pad(am_vjp *v) {
  const am_pad_desc *d = &v->node->desc.pad;
  int64_t length = v->node->in[0]->shape.dim[d->axis];
  return am_slice(v->g, v->dy, d->axis, d->before, d->before + length, &v->dx[0]);
}

am_err am_concat(am_graph *g, am_tensor *const *x, int count, int axis, am_tensor **y) {
  AM_CHECK(count > 0, AM_ERR_ARG, "concat: there is nothing to concatenate");
  if (count == 1) {
    *y = x[0];
    return AM_OK;
  }
  // Halves, so that each element is copied log2(count) times.
  am_tensor *half[2];
  AM_TRY(am_concat(g, x, count / 2, axis, &half[0]));
  AM_TRY(am_concat(g, x + count / 2, count - count / 2, axis, &half[1]));
  return am_apply(g, AM_OP_concat, &(am_axis_desc){axis}, half, y);
}

am_err am_vjp_concat(am_vjp *v) {
  int axis = v->node->desc.concat.axis;
  int64_t start = 0;
  for (int i = 0; i < 2; i++) {
    int64_t stop = start + v->node->in[i]->shape.dim[axis];
    if (v->need[i]) AM_TRY(am_slice(v->g, v->dy, axis, start, stop, &v->dx[i]));
    start = stop;
  }
  return AM_OK;
}

// ---- broadcasting and sums ----

am_err am_broadcast_to(am_graph *g, am_tensor *x, am_shape shape, am_tensor **y) {
  if (am_shape_equal(x->shape, shape)) {
    *y = x;
    return AM_OK;
  }
  return am_apply(g, AM_OP_broadcast_to, &(am_shape_desc){shape}, &x, y);
}

am_err am_vjp_broadcast_to(am_vjp *v) { return am_sum_to(v->g, v->dy, v->node->in[0]->shape, &v->dx[0]); }

am_err am_sum_to(am_graph *g, am_tensor *t, am_shape shape, am_tensor **out) {
  unsigned axes = 0;
  int extra = t->shape.ndim - shape.ndim;
  for (int i = 0; i < t->shape.ndim; i++) {
    bool broadcast = i < extra || (shape.dim[i - extra] == 1 && t->shape.dim[i] != 1);
    if (broadcast) axes |= 1u << i;
  }
  if (axes) AM_TRY(am_apply(g, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, axes}, &t, &t));
  if (extra) AM_TRY(am_reshape(g, t, shape, &t));
  *out = t;
  return AM_OK;
}

static unsigned all_axes(const am_tensor *x) { return (1u << x->shape.ndim) - 1; }

am_err am_sum(am_graph *g, am_tensor *x, unsigned axes, am_tensor **y) {
  bool to_scalar = axes == ~0u;
  if (to_scalar) axes = all_axes(x);
  am_tensor *t = x;
  if (axes) AM_TRY(am_apply(g, AM_OP_reduce, &(am_reduce_desc){AM_RED_SUM, axes}, &x, &t));
  if (to_scalar) AM_TRY(am_reshape(g, t, AM_SHAPE_SCALAR, &t));
  *y = t;
  return AM_OK;
}

am_err am_mean(am_graph *g, am_tensor *x, unsigned axes, am_tensor **y) {
  am_tensor *sum = NULL;
  AM_TRY(am_sum(g, x, axes, &sum));
  int64_t count = am_tensor_count(x) / am_max_i64(1, am_tensor_count(sum));
  return am_affine(g, sum, 1.0 / (double)am_max_i64(1, count), 0, y);
}

// The gradient of a maximum goes to the largest elements, in equal parts, as PyTorch's amax.
static am_err max_gradient(am_vjp *v) {
  am_graph *g = v->g;
  am_tensor *x = v->node->in[0], *gap = NULL, *mask = NULL, *ties = NULL, *share = NULL;
  AM_TRY(am_sub(g, v->node->out[0], x, &gap));
  AM_TRY(am_unary(g, (am_unary_desc){.kind = AM_UN_STEP}, gap, &mask));
  AM_TRY(am_affine(g, mask, -1, 1, &mask));
  AM_TRY(am_sum(g, mask, v->node->desc.reduce.axes, &ties));
  AM_TRY(am_div(g, v->dy, ties, &share));
  return am_mul(g, mask, share, &v->dx[0]);
}

am_err am_vjp_reduce(am_vjp *v) {
  if (v->node->desc.reduce.kind == AM_RED_MAX) return max_gradient(v);
  return am_broadcast_to(v->g, v->dy, v->node->in[0]->shape, &v->dx[0]);
}

am_err am_per_channel(am_graph *g, am_tensor *t, const am_tensor *like, am_tensor **out) {
  am_shape shape = {.ndim = like->shape.ndim};
  for (int i = 0; i < shape.ndim; i++) shape.dim[i] = i == 1 ? am_tensor_count(t) : 1;
  return am_reshape(g, t, shape, out);
}

unsigned am_all_but_channels(const am_tensor *t) { return all_axes(t) & ~2u; }

// ---- rows ----

am_err am_gather_rows(am_graph *g, am_tensor *x, am_tensor *index, am_tensor **y) {
  am_tensor *in[] = {x, index};
  return am_apply(g, AM_OP_gather_rows, &(am_no_desc){0}, in, y);
}

am_err am_vjp_gather_rows(am_vjp *v) {
  am_tensor *in[] = {v->dy, v->node->in[1]};
  return am_apply(v->g, AM_OP_scatter_rows, &(am_rows_desc){v->node->in[0]->shape.dim[0]}, in, &v->dx[0]);
}

am_err am_vjp_scatter_rows(am_vjp *v) { return am_gather_rows(v->g, v->dy, v->node->in[1], &v->dx[0]); }

// ---- layout and type ----

am_err am_vjp_reorder(am_vjp *v) {
  v->dx[0] = v->dy;  // layouts are dispatch's business, the values are the same
  return AM_OK;
}

am_err am_cast(am_graph *g, am_tensor *x, am_dtype dtype, am_tensor **y) {
  *y = x;
  return x->dtype == dtype ? AM_OK : am_apply(g, AM_OP_cast, &(am_dtype_desc){dtype}, &x, y);
}

am_err am_vjp_cast(am_vjp *v) {
  am_dtype_desc back = {v->node->in[0]->dtype};
  return am_apply_into(v->g, AM_OP_cast, &back, &v->dy, v->into, v->dx);
}

// ---- constants ----

am_err am_fill(am_graph *g, am_dtype dtype, am_shape shape, double value, am_tensor **y) {
  am_fill_desc d = {.shape = shape, .dtype = dtype, .value = value};
  return am_apply(g, AM_OP_fill, &d, NULL, y);
}

am_err am_random(am_graph *g, am_random_desc desc, am_tensor **y) {
  return am_apply(g, AM_OP_random, &desc, NULL, y);
}
