// Cases of convolution, pooling and normalisation. Each geometry serves an op and its gradients.
#include <math.h>

#include "base/num.h"
#include "op_cases.h"

static const am_activation activations[OP_ACTIVATIONS] = {{.on = false}, {.on = true}, {.on = true, .slope = 0.2}};

// ---- convolution ----

typedef struct {
  int64_t n, ci, h, w, co;
  am_conv2d_desc d;  // kernel_h, kernel_w and, where not 1, the rest
} conv_geometry;

#define KERNEL(h, w) .kernel_h = (h), .kernel_w = (w)
#define STRIDE(h, w) .stride_h = (h), .stride_w = (w)
#define PAD(h, w) .pad_h = (h), .pad_w = (w)
#define DILATION(h, w) .dilation_h = (h), .dilation_w = (w)

static const conv_geometry convs[] = {
  {1, 1, 1, 1, 1, {KERNEL(1, 1)}},
  {1, 3, 5, 5, 8, {KERNEL(1, 1)}},
  {2, 16, 4, 4, 32, {KERNEL(1, 1)}},
  {3, 24, 7, 5, 17, {KERNEL(1, 1), STRIDE(2, 2)}},
  {2, 64, 8, 8, 128, {KERNEL(1, 1), STRIDE(2, 2)}},           // a ResNet's shortcut
  {2, 3, 8, 8, 16, {KERNEL(3, 3), PAD(1, 1)}},
  {1, 16, 6, 7, 16, {KERNEL(3, 3), PAD(1, 1)}},
  {2, 16, 7, 9, 32, {KERNEL(3, 3), STRIDE(2, 2), PAD(1, 1)}},
  {2, 64, 4, 4, 64, {KERNEL(3, 3), PAD(1, 1)}},
  {5, 17, 5, 6, 24, {KERNEL(3, 3)}},
  {2, 8, 9, 8, 10, {KERNEL(5, 5), PAD(2, 2)}},
  {2, 8, 8, 8, 8, {KERNEL(3, 3), STRIDE(2, 2)}},              // the last row and column are left over
  {2, 3, 15, 13, 64, {KERNEL(7, 7), STRIDE(2, 2), PAD(3, 3)}},  // an ImageNet stem
  {2, 3, 16, 16, 64, {KERNEL(4, 4), STRIDE(2, 2), PAD(1, 1)}},  // DCGAN's blocks
  {1, 32, 8, 8, 48, {KERNEL(4, 4), STRIDE(2, 2), PAD(1, 1)}},
  {2, 64, 4, 4, 1, {KERNEL(4, 4)}},                             // its last layer down to one number
  {1, 128, 4, 4, 10, {KERNEL(4, 4)}},                           // and, transposed, its first from a latent
  {2, 4, 6, 6, 6, {KERNEL(3, 3), PAD(1, 1), .groups = 2}},
  {2, 32, 5, 5, 64, {KERNEL(3, 3), PAD(1, 1), .groups = 2}},
  {1, 12, 7, 7, 8, {KERNEL(3, 3), STRIDE(2, 2), .groups = 4}},
  {2, 16, 6, 6, 16, {KERNEL(3, 3), PAD(1, 1), .groups = 16}},   // depthwise
  {2, 24, 5, 5, 24, {KERNEL(3, 3), STRIDE(2, 2), PAD(1, 1), .groups = 24}},
  {1, 8, 6, 6, 24, {KERNEL(5, 5), PAD(2, 2), .groups = 8}},     // three outputs a channel
  {2, 16, 9, 9, 16, {KERNEL(3, 3), PAD(2, 2), DILATION(2, 2)}},
  {2, 3, 11, 12, 5, {KERNEL(3, 3), STRIDE(2, 2), PAD(2, 2), DILATION(2, 2)}},
  {1, 6, 10, 12, 9, {KERNEL(2, 3), STRIDE(1, 2), PAD(0, 2), DILATION(3, 1), .groups = 3}},
  {2, 16, 7, 6, 16, {KERNEL(1, 3), PAD(0, 1)}},
  {2, 16, 7, 6, 16, {KERNEL(3, 1), STRIDE(2, 1), PAD(1, 0)}},
  {8, 16, 8, 8, 16, {KERNEL(3, 3), PAD(1, 1)}},                 // large enough for a blocked layout
  {3, 3, 15, 17, 32, {KERNEL(3, 3), PAD(1, 1)}},
  {3, 1, 14, 14, 16, {KERNEL(5, 5), PAD(2, 2)}},
  {3, 32, 27, 28, 16, {KERNEL(3, 3), STRIDE(2, 2), PAD(1, 1)}},
  {4, 16, 17, 17, 48, {KERNEL(4, 4), STRIDE(1, 1), PAD(1, 1)}},
  {2, 16, 37, 37, 16, {KERNEL(3, 3), STRIDE(2, 2), PAD(2, 2), DILATION(2, 2)}},
  {8, 32, 16, 16, 64, {KERNEL(1, 1), STRIDE(2, 2)}},
  {9, 64, 8, 8, 32, {KERNEL(1, 1)}},
  {2, 16, 18, 16, 32, {KERNEL(1, 3), PAD(0, 1)}},
  {2, 32, 17, 17, 32, {KERNEL(3, 3), PAD(1, 1), .groups = 2}},
  {2, 3, 32, 32, 64, {KERNEL(4, 4), STRIDE(2, 2), PAD(1, 1)}},
  {1, 3, 4, 4, 4, {KERNEL(3, 3), PAD(3, 3)}},                   // windows of nothing but padding
  {1, 3, 9, 9, 4, {KERNEL(2, 2), STRIDE(3, 3)}},                // pixels that no window sees
  {2, 3, 5, 5, 4, {KERNEL(5, 5), STRIDE(5, 5)}},
  {9, 32, 17, 17, 32, {KERNEL(3, 3), STRIDE(2, 2), PAD(1, 1)}},  // more places than fit one pass
  {3, 96, 5, 7, 32, {KERNEL(1, 1)}},
  {2, 256, 3, 2, 256, {KERNEL(3, 3), PAD(1, 1)}},               // weights outweigh images
};

// Positions of a window; a stride or dilation of 0 is 1, as dispatch reads it.
static int64_t positions(int64_t length, int64_t kernel, int64_t stride, int64_t pad, int64_t dilation) {
  int64_t reach = (dilation ? dilation : 1) * (kernel - 1) + 1;
  return (length + 2 * pad - reach) / (stride ? stride : 1) + 1;
}

// A convolution and its gradients are sums of products of N(0, 1), whose standard deviation is the root of how many
// there are: what is rounded is of that size, also where the few outputs there are happen to cancel.
static am_err conv_family(op_cases *cases, const conv_geometry *g) {
  am_conv2d_desc d = g->d;
  d.in_h = g->h;
  d.in_w = g->w;
  const int64_t groups = d.groups ? d.groups : 1, window = d.kernel_h * d.kernel_w;
  const int64_t ho = positions(g->h, d.kernel_h, d.stride_h, d.pad_h, d.dilation_h);
  const int64_t wo = positions(g->w, d.kernel_w, d.stride_w, d.pad_w, d.dilation_w);
  op_operand x = op_floats(AM_SHAPE(g->n, g->ci, g->h, g->w), VALUES_NORMAL);
  op_operand w = op_floats(AM_SHAPE(g->co, g->ci / groups, d.kernel_h, d.kernel_w), VALUES_NORMAL);
  op_operand y = op_floats(AM_SHAPE(g->n, g->co, ho, wo), VALUES_NORMAL);
  op_operand channel = op_floats(AM_SHAPE(g->co), VALUES_NORMAL);
  op_case c = {.op = AM_OP_conv2d, .desc.conv2d = d, .in = {x, w}, .tolerance = TOL_SUM};
  c.scale = sqrt((double)(g->ci / groups * window));
  AM_TRY(op_cases_add(cases, c));
  for (int k = 0; k < AM_COUNT_OF(activations); k++) {
    op_case affine = {.op = AM_OP_conv2d_affine, .desc.conv2d_affine = {d, activations[k]},
                      .in = {x, w, channel, channel}, .tolerance = TOL_SUM, .scale = c.scale};
    AM_TRY(op_cases_add(cases, affine));
    affine.op = AM_OP_conv2d_affine_add;
    affine.in[4] = y;
    AM_TRY(op_cases_add(cases, affine));
  }
  c = (op_case){.op = AM_OP_conv2d_grad_input, .desc.conv2d = d, .in = {y, w}, .tolerance = TOL_SUM};
  c.scale = sqrt((double)(g->co / groups * window));
  AM_TRY(op_cases_add(cases, c));
  c = (op_case){.op = AM_OP_conv2d_grad_weight, .desc.conv2d = d, .in = {y, x}, .tolerance = TOL_SUM};
  c.scale = sqrt((double)(g->n * ho * wo));
  return op_cases_add(cases, c);
}

static am_err conv_cases(op_cases *cases) {
  for (int i = 0; i < AM_COUNT_OF(convs); i++) AM_TRY(conv_family(cases, &convs[i]));
  return AM_OK;
}

// ---- pooling ----

static const struct {
  int64_t n, c, h, w;
  am_pool2d_desc d;
} pools[] = {
  {1, 1, 1, 1, {KERNEL(1, 1)}},
  {2, 3, 8, 8, {KERNEL(2, 2)}},
  {2, 16, 8, 6, {KERNEL(2, 2)}},
  {2, 64, 7, 7, {KERNEL(3, 3), STRIDE(2, 2), PAD(1, 1)}},
  {1, 24, 9, 5, {KERNEL(3, 3), STRIDE(1, 1), PAD(1, 1)}},  // windows overlap
  {3, 17, 5, 7, {KERNEL(3, 2), STRIDE(2, 1), PAD(1, 0)}},
  {2, 8, 7, 7, {KERNEL(2, 2), STRIDE(3, 3)}},              // pixels that no window sees
  {2, 32, 4, 4, {KERNEL(4, 4)}},                           // the whole plane
  {2, 16, 5, 5, {KERNEL(2, 2), PAD(1, 1)}},
};

static am_err pool_cases(op_cases *cases) {
  for (int i = 0; i < AM_COUNT_OF(pools); i++) {
    am_pool2d_desc d = pools[i].d;
    d.in_h = pools[i].h;
    d.in_w = pools[i].w;
    int64_t ho = positions(d.in_h, d.kernel_h, d.stride_h ? d.stride_h : d.kernel_h, d.pad_h, 1);
    int64_t wo = positions(d.in_w, d.kernel_w, d.stride_w ? d.stride_w : d.kernel_w, d.pad_w, 1);
    am_shape large = AM_SHAPE(pools[i].n, pools[i].c, d.in_h, d.in_w);
    am_shape small = AM_SHAPE(pools[i].n, pools[i].c, ho, wo);
    op_operand x = op_floats(large, VALUES_NORMAL), ties = op_floats(large, VALUES_TIES);
    op_operand y = op_floats(small, VALUES_NORMAL), index = op_window(small);
    AM_TRY(op_cases_add(cases, (op_case){.op = AM_OP_max_pool2d, .desc.max_pool2d = d, .in = {x}}));
    AM_TRY(op_cases_add(cases, (op_case){.op = AM_OP_max_pool2d, .desc.max_pool2d = d, .in = {ties}}));
    op_case values = {.op = AM_OP_max_pool2d_values, .desc.max_pool2d_values = d, .in = {x}};
    AM_TRY(op_cases_add(cases, values));
    values.in[0] = op_floats(large, VALUES_SPECIAL);
    AM_TRY(op_cases_add(cases, values));
    AM_TRY(op_cases_add(cases, (op_case){.op = AM_OP_pool_gather, .desc.pool_gather = d, .in = {x, index}}));
    op_case c = {.op = AM_OP_pool_scatter, .desc.pool_scatter = d, .in = {y, index}, .tolerance = TOL_SUM};
    AM_TRY(op_cases_add(cases, c));
    for (int include = 0; include < 2; include++) {
      d.include_pad = include;
      c = (op_case){.op = AM_OP_avg_pool2d, .desc.avg_pool2d = d, .in = {x}, .tolerance = TOL_SUM};
      AM_TRY(op_cases_add(cases, c));
      c = (op_case){.op = AM_OP_avg_pool2d_grad, .desc.avg_pool2d_grad = d, .in = {y}, .tolerance = TOL_SUM};
      AM_TRY(op_cases_add(cases, c));
    }
  }
  return AM_OK;
}

// ---- normalisation ----

static const am_shape norm_shapes[] = {
  {2, {4, 3}}, {2, {33, 64}}, {3, {2, 5, 7}}, {4, {2, 3, 5, 7}}, {4, {2, 16, 4, 3}},
  {4, {1, 24, 2, 2}}, {4, {3, 64, 1, 1}}, {4, {8, 17, 3, 3}}, {4, {4, 32, 16, 16}}, {5, {2, 3, 2, 2, 3}},
  {4, {8, 8, 32, 40}}, {4, {9, 5, 33, 31}},  // channels long enough to be summed in pieces
};

// inv_std = 1/sqrt(var + eps) loses what x loses to cancellation in x - mean: about mean/sd roundings, and a
// channel of three values may have an sd well below that of the distribution.
#define TOL_NORM 5e-5

// Forward and gradient, with and without a residual, of images of this shape. Means are of values of the size of 1,
// which may cancel in every channel.
static am_err norm_family(op_cases *cases, am_shape shape, am_activation act) {
  op_operand x = op_floats(shape, VALUES_NORMAL), offset = op_floats(shape, VALUES_OFFSET);
  op_operand c = op_floats(AM_SHAPE(shape.dim[1]), VALUES_NORMAL), positive = c;
  positive.values = VALUES_POSITIVE;
  am_norm_desc d = {1e-5, act};
  op_case item[] = {
    {.op = AM_OP_batch_norm, .in = {x, c, c}, .tolerance = TOL_SUM, .scale = 1},
    {.op = AM_OP_batch_norm, .in = {offset, c, c}, .tolerance = TOL_NORM, .scale = 1},
    {.op = AM_OP_batch_norm_add, .in = {x, c, c, x}, .tolerance = TOL_SUM, .scale = 1},
    {.op = AM_OP_batch_norm_add, .in = {offset, c, c, x}, .tolerance = TOL_NORM, .scale = 1},
    {.op = AM_OP_batch_norm_grad, .in = {x, x, c, c, c, positive}, .tolerance = TOL_SUM},
    {.op = AM_OP_batch_norm_add_grad, .in = {x, x, x, c, c, positive}, .tolerance = TOL_SUM},
  };
  for (int i = 0; i < AM_COUNT_OF(item); i++) {
    item[i].desc.batch_norm = d;
    AM_TRY(op_cases_add(cases, item[i]));
  }
  op_case biased = {.op = AM_OP_bias_act, .in = {x, c}, .desc.bias_act = act, .tolerance = TOL_SUM};
  AM_TRY(op_cases_add(cases, biased));
  biased = (op_case){.op = AM_OP_bias_act_grad, .in = {x, x}, .desc.bias_act_grad = act, .tolerance = TOL_SUM};
  return op_cases_add(cases, biased);
}

static am_err norm_cases(op_cases *cases) {
  for (int i = 0; i < AM_COUNT_OF(norm_shapes); i++) {
    for (int k = 0; k < AM_COUNT_OF(activations); k++) {
      AM_TRY(norm_family(cases, norm_shapes[i], activations[k]));
    }
    op_operand x = op_floats(norm_shapes[i], VALUES_NORMAL);
    op_operand c = op_floats(AM_SHAPE(norm_shapes[i].dim[1]), VALUES_NORMAL);
    op_case scale = {.op = AM_OP_scale_shift, .in = {x, c, c}, .tolerance = TOL_ROUNDED};
    AM_TRY(op_cases_add(cases, scale));
  }
  return AM_OK;
}

am_err op_cases_nn(op_cases *cases) {
  AM_TRY(conv_cases(cases));
  AM_TRY(pool_cases(cases));
  return norm_cases(cases);
}
