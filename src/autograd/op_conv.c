// Matrix products and convolutions. Both families are closed: the gradient of a product is a
// product, and those of conv2d, its input gradient and its weight gradient are among these three.
#include "autograd/graph_internal.h"
#include "autograd/ops.h"

// ---- matrix product ----

am_err am_matmul(am_graph *g, am_tensor *a, am_tensor *b, bool transpose_a, bool transpose_b, am_tensor **y) {
  am_tensor *in[] = {a, b};
  am_matmul_desc d = {.transpose_a = transpose_a, .transpose_b = transpose_b};
  return am_apply(g, AM_OP_matmul, &d, in, y);
}

// The gradient of input i of a product is a product of this kind.
static am_err grad_matmul(am_vjp *v, int i, am_tensor *a, am_tensor *b, bool transpose_a, bool transpose_b) {
  am_tensor *in[] = {a, b};
  am_matmul_desc d = {.transpose_a = transpose_a, .transpose_b = transpose_b};
  return am_apply_into(v->g, AM_OP_matmul, &d, in, &v->into[i], &v->dx[i]);
}

// C = op(A) op(B): d op(A) = dC op(B)^T and d op(B) = op(A)^T dC, transposed back for A and B.
am_err am_vjp_matmul(am_vjp *v) {
  am_tensor *a = v->node->in[0], *b = v->node->in[1], *dc = v->dy;
  bool ta = v->node->desc.matmul.transpose_a, tb = v->node->desc.matmul.transpose_b;
  if (v->need[0]) {
    AM_TRY(ta ? grad_matmul(v, 0, b, dc, tb, true) : grad_matmul(v, 0, dc, b, false, !tb));
  }
  if (v->need[1]) {
    AM_TRY(tb ? grad_matmul(v, 1, dc, a, true, ta) : grad_matmul(v, 1, a, dc, !ta, false));
  }
  return AM_OK;
}

// ---- convolution ----

// The gradient of input i of one of the three is one of the three.
static am_err grad_conv(am_vjp *v, int i, am_op op, const am_conv2d_desc *d, am_tensor *p, am_tensor *q) {
  am_tensor *in[] = {p, q};
  return am_apply_into(v->g, op, d, in, &v->into[i], &v->dx[i]);
}

static am_err binary_conv(am_graph *g, am_op op, const am_conv2d_desc *d, am_tensor *p, am_tensor *q,
                          am_tensor **y) {
  am_tensor *in[] = {p, q};
  return am_apply(g, op, d, in, y);
}

// The descriptor of a node with the sizes of its image and kernel, which each of the three ops'
// gradients need: image is x or dx, kernel w or dw.
static am_conv2d_desc sized(const am_conv2d_desc *d, const am_tensor *image, const am_tensor *kernel) {
  am_conv2d_desc s = *d;
  s.in_h = image->shape.dim[2];
  s.in_w = image->shape.dim[3];
  s.kernel_h = kernel->shape.dim[2];
  s.kernel_w = kernel->shape.dim[3];
  return s;
}

am_err am_conv2d(am_graph *g, am_tensor *x, am_tensor *w, am_conv2d_desc desc, am_tensor **y) {
  return binary_conv(g, AM_OP_conv2d, &desc, x, w, y);
}

static void default_to_one(int64_t *value) {
  if (*value == 0) *value = 1;
}

// Length of the output along one axis.
static int64_t transposed_length(int64_t length, int64_t kernel, int64_t stride, int64_t pad,
                                 int64_t dilation, int64_t output_pad) {
  return (length - 1) * stride - 2 * pad + dilation * (kernel - 1) + output_pad + 1;
}

am_err am_conv_transpose2d(am_graph *g, am_tensor *x, am_tensor *w, am_conv2d_desc desc, int64_t output_pad,
                           am_tensor **y) {
  AM_CHECK(x->shape.ndim == 4 && w->shape.ndim == 4, AM_ERR_ARG,
           "conv_transpose2d: image and kernel have %d and %d dimensions, 4 and 4 are needed", x->shape.ndim,
           w->shape.ndim);
  default_to_one(&desc.stride_h);
  default_to_one(&desc.stride_w);
  default_to_one(&desc.dilation_h);
  default_to_one(&desc.dilation_w);
  AM_CHECK(output_pad >= 0 && (output_pad < desc.stride_h || output_pad < desc.dilation_h) &&
               (output_pad < desc.stride_w || output_pad < desc.dilation_w),
           AM_ERR_ARG, "conv_transpose2d: output_pad %lld must be smaller than the stride or the dilation",
           (long long)output_pad);
  desc.in_h = transposed_length(x->shape.dim[2], w->shape.dim[2], desc.stride_h, desc.pad_h, desc.dilation_h,
                                output_pad);
  desc.in_w = transposed_length(x->shape.dim[3], w->shape.dim[3], desc.stride_w, desc.pad_w, desc.dilation_w,
                                output_pad);
  return binary_conv(g, AM_OP_conv2d_grad_input, &desc, x, w, y);
}

am_err am_vjp_conv2d(am_vjp *v) {
  am_tensor *x = v->node->in[0], *w = v->node->in[1];
  am_conv2d_desc d = sized(&v->node->desc.conv2d, x, w);
  if (v->need[0]) AM_TRY(grad_conv(v, 0, AM_OP_conv2d_grad_input, &d, v->dy, w));
  if (v->need[1]) AM_TRY(grad_conv(v, 1, AM_OP_conv2d_grad_weight, &d, v->dy, x));
  return AM_OK;
}

// z = grad_input(u, w) with cotangent c (an image): du = conv2d(c, w), dw = grad_weight(u, c).
am_err am_vjp_conv2d_grad_input(am_vjp *v) {
  am_tensor *u = v->node->in[0], *w = v->node->in[1], *c = v->dy;
  am_conv2d_desc d = sized(&v->node->desc.conv2d_grad_input, c, w);
  if (v->need[0]) AM_TRY(grad_conv(v, 0, AM_OP_conv2d, &d, c, w));
  if (v->need[1]) AM_TRY(grad_conv(v, 1, AM_OP_conv2d_grad_weight, &d, u, c));
  return AM_OK;
}

// z = grad_weight(u, x) with cotangent c (a kernel): du = conv2d(x, c), dx = grad_input(u, c).
am_err am_vjp_conv2d_grad_weight(am_vjp *v) {
  am_tensor *u = v->node->in[0], *x = v->node->in[1], *c = v->dy;
  am_conv2d_desc d = sized(&v->node->desc.conv2d_grad_weight, x, c);
  if (v->need[0]) AM_TRY(grad_conv(v, 0, AM_OP_conv2d, &d, x, c));
  if (v->need[1]) AM_TRY(grad_conv(v, 1, AM_OP_conv2d_grad_input, &d, u, c));
  return AM_OK;
}
