// Differentiable operations. Each records itself on g and gives a tensor that g owns. Shapes and
// rules as in tensor/backend.h; every op here is differentiable to any order unless said otherwise.
#ifndef AM_AUTOGRAD_OPS_H
#define AM_AUTOGRAD_OPS_H

#include "autograd/graph.h"

// ---- elementwise (op_math.c) ----
AM_MUST_USE am_err am_unary(am_graph *g, am_unary_desc desc, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_affine(am_graph *g, am_tensor *x, double a, double b, am_tensor **y);  // a*x + b
AM_MUST_USE am_err am_exp(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_log(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_sqrt(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_square(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_tanh(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_sigmoid(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_softplus(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_relu(am_graph *g, am_tensor *x, am_tensor **y);
AM_MUST_USE am_err am_leaky_relu(am_graph *g, am_tensor *x, double slope, am_tensor **y);
AM_MUST_USE am_err am_clamp(am_graph *g, am_tensor *x, double lo, double hi, am_tensor **y);
AM_MUST_USE am_err am_binary(am_graph *g, am_binary_desc desc, am_tensor *p, am_tensor *q, am_tensor **y);
AM_MUST_USE am_err am_add(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y);
AM_MUST_USE am_err am_sub(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y);
AM_MUST_USE am_err am_mul(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y);
AM_MUST_USE am_err am_div(am_graph *g, am_tensor *p, am_tensor *q, am_tensor **y);
AM_MUST_USE am_err am_dropout_op(am_graph *g, am_tensor *x, am_dropout_desc desc, am_tensor **y);

// ---- shape and reduction (op_shape.c) ----
AM_MUST_USE am_err am_reshape(am_graph *g, am_tensor *x, am_shape shape, am_tensor **y);  // one dim may be -1
AM_MUST_USE am_err am_permute(am_graph *g, am_tensor *x, const int *perm, am_tensor **y);
AM_MUST_USE am_err am_slice(am_graph *g, am_tensor *x, int axis, int64_t start, int64_t stop, am_tensor **y);
AM_MUST_USE am_err am_pad(am_graph *g, am_tensor *x, int axis, int64_t before, int64_t after, am_tensor **y);
AM_MUST_USE am_err am_concat(am_graph *g, am_tensor *const *x, int count, int axis, am_tensor **y);
AM_MUST_USE am_err am_broadcast_to(am_graph *g, am_tensor *x, am_shape shape, am_tensor **y);
// Reduced axes stay with length 1; ~0u: all of them, to a scalar.
AM_MUST_USE am_err am_sum(am_graph *g, am_tensor *x, unsigned axes, am_tensor **y);
AM_MUST_USE am_err am_mean(am_graph *g, am_tensor *x, unsigned axes, am_tensor **y);
AM_MUST_USE am_err am_cast(am_graph *g, am_tensor *x, am_dtype dtype, am_tensor **y);  // x itself: same type
AM_MUST_USE am_err am_gather_rows(am_graph *g, am_tensor *x, am_tensor *index, am_tensor **y);

// ---- linear algebra, convolution, pooling, resampling, normalisation ----
AM_MUST_USE am_err am_matmul(am_graph *g, am_tensor *a, am_tensor *b, bool transpose_a, bool transpose_b,
                             am_tensor **y);
// Zero strides, dilations and groups in desc mean 1.
AM_MUST_USE am_err am_conv2d(am_graph *g, am_tensor *x, am_tensor *w, am_conv2d_desc desc, am_tensor **y);
// PyTorch's conv_transpose2d: x (n, ci, h, w), w (ci, co/groups, kh, kw), output size
// (h-1)*stride - 2*pad + dilation*(kh-1) + output_pad + 1.
AM_MUST_USE am_err am_conv_transpose2d(am_graph *g, am_tensor *x, am_tensor *w, am_conv2d_desc desc,
                                       int64_t output_pad, am_tensor **y);
AM_MUST_USE am_err am_max_pool2d(am_graph *g, am_tensor *x, am_pool2d_desc desc, am_tensor **y);
AM_MUST_USE am_err am_avg_pool2d(am_graph *g, am_tensor *x, am_pool2d_desc desc, am_tensor **y);
// The filter (kh, kw) is a constant: asking for its gradient is an error.
AM_MUST_USE am_err am_upfirdn2d(am_graph *g, am_tensor *x, am_tensor *filter, am_upfirdn2d_desc desc, am_tensor **y);
// To (n, c, h, w).
AM_MUST_USE am_err am_resample2d(am_graph *g, am_tensor *x, am_resample_kind kind, int64_t h, int64_t w, am_tensor **y);
AM_MUST_USE am_err am_global_avg_pool(am_graph *g, am_tensor *x, am_tensor **y);  // (n, c, h, w) -> (n, c)
// Training-mode batch normalisation, y = act(normalised x [+ residual]); residual may be NULL. mean and
// inv_std (c) are constants for later ops. The fused gradient serves first order; under create_graph the
// rule is composed from primitive ops, and x has to be of the type of gamma.
AM_MUST_USE am_err am_batch_norm(am_graph *g, am_tensor *x, am_tensor *gamma, am_tensor *beta,
                                 am_tensor *residual, am_norm_desc desc, am_tensor **y, am_tensor **mean,
                                 am_tensor **inv_std);
// act(x + bias), bias (c). Gradients as for am_batch_norm.
AM_MUST_USE am_err am_bias_act(am_graph *g, am_tensor *x, am_tensor *bias, am_activation act, am_tensor **y);
AM_MUST_USE am_err am_scale_shift(am_graph *g, am_tensor *x, am_tensor *scale, am_tensor *shift,
                                  am_tensor **y);
AM_MUST_USE am_err am_log_softmax(am_graph *g, am_tensor *x, am_tensor **y);  // (n, k), last axis
// Constants.
AM_MUST_USE am_err am_fill(am_graph *g, am_dtype dtype, am_shape shape, double value, am_tensor **y);
AM_MUST_USE am_err am_random(am_graph *g, am_random_desc desc, am_tensor **y);

#endif
