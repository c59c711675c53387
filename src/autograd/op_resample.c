// Filters that change the size of images, and interpolation. Both families are closed: the gradient of upfirdn2d is an
// upfirdn2d, and resample2d and resample2d_grad are each other's.
#include "autograd/graph_internal.h"
#include "autograd/ops.h"

// ---- upsample, filter, downsample ----

am_err am_upfirdn2d(am_graph *g, am_tensor *x, am_tensor *filter, am_upfirdn2d_desc desc, am_tensor **y) {
  am_tensor *in[] = {x, filter};
  return am_apply(g, AM_OP_upfirdn2d, &desc, in, y);
}

static int64_t rate(int64_t given) { return given == 0 ? 1 : given; }

// With y[o] = sum_k f[k] up(x)[o*down + k - before], dx[i] takes dy[o] by the tap k = i*up - o*down + before: dy upsampled by
// `down` under the turned filter, whose last tap lies at the pad's place. What stands after dy fills up the length of x.
static void transpose_axis(int64_t length, int64_t taps, int64_t results, int64_t up, int64_t down,
                           int64_t *before, int64_t *after) {
  const int64_t pad = *before;
  *before = taps - 1 - pad;
  *after = length * up - results * down + pad - up + 1;
}

am_err am_vjp_upfirdn2d(am_vjp *v) {
  const am_upfirdn2d_desc *d = &v->node->desc.upfirdn2d;
  am_tensor *x = v->node->in[0], *filter = v->node->in[1], *in[] = {v->dy, filter};
  am_upfirdn2d_desc back = {.up_h = rate(d->down_h),
                            .up_w = rate(d->down_w),
                            .down_h = rate(d->up_h),
                            .down_w = rate(d->up_w),
                            .pad_top = d->pad_top,
                            .pad_left = d->pad_left,
                            .flip_filter = !d->flip_filter,
                            .gain = d->gain};
  AM_CHECK(!v->need[1], AM_ERR_ARG, "the filter of upfirdn2d is a constant, it has no gradient");
  transpose_axis(x->shape.dim[2], filter->shape.dim[0], v->dy->shape.dim[2], back.down_h, back.up_h,
                 &back.pad_top, &back.pad_bottom);
  transpose_axis(x->shape.dim[3], filter->shape.dim[1], v->dy->shape.dim[3], back.down_w, back.up_w,
                 &back.pad_left, &back.pad_right);
  return am_apply_into(v->g, AM_OP_upfirdn2d, &back, in, v->into, v->dx);
}

// ---- interpolation ----

am_err am_resample2d(am_graph *g, am_tensor *x, am_resample_kind kind, int64_t h, int64_t w, am_tensor **y) {
  return am_apply(g, AM_OP_resample2d, &(am_resample2d_desc){.kind = kind, .out_h = h, .out_w = w}, &x, y);
}

// A gradient of one of the two is the other one, to the size of the node's input.
static am_err other_way(am_vjp *v, am_op op, am_resample_kind kind) {
  const am_shape *x = &v->node->in[0]->shape;
  const am_resample2d_desc d = {
      .kind = kind, .out_h = x->dim[2], .out_w = x->dim[3], .in_h = x->dim[2], .in_w = x->dim[3]};
  return am_apply_into(v->g, op, &d, &v->dy, v->into, v->dx);
}

am_err am_vjp_resample2d(am_vjp *v) {
  return other_way(v, AM_OP_resample2d_grad, v->node->desc.resample2d.kind);
}

am_err am_vjp_resample2d_grad(am_vjp *v) {
  return other_way(v, AM_OP_resample2d, v->node->desc.resample2d_grad.kind);
}
