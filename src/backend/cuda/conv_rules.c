#include "backend/cuda/conv_rules.h"

#include <stdio.h>

am_cuda_conv am_cuda_conv_of(am_op op, const am_conv2d_desc *desc, am_activation act, am_dtype image,
                             bool tf32, am_shape x, am_shape w, am_shape y) {
  am_cuda_conv k = {.op = op,
                    .image = image,
                    .tf32 = tf32 && image == AM_F32,
                    .n = x.dim[0],
                    .ci = x.dim[1],
                    .h = x.dim[2],
                    .w = x.dim[3],
                    .co = y.dim[1],
                    .ho = y.dim[2],
                    .wo = y.dim[3],
                    .kh = w.dim[2],
                    .kw = w.dim[3],
                    .stride_h = desc->stride_h,
                    .stride_w = desc->stride_w,
                    .pad_h = desc->pad_h,
                    .pad_w = desc->pad_w,
                    .dilation_h = desc->dilation_h,
                    .dilation_w = desc->dilation_w,
                    .groups = desc->groups,
                    .activates = act.on,
                    .slope = act.on ? act.slope : 0};
  k.channels_last = am_cuda_conv_is_channels_last(&k);
  return k;
}

bool am_cuda_conv_is_channels_last(const am_cuda_conv *k) {
  enum { VECTOR_BYTES = 16, FEW = 4 };
  const int64_t vector = VECTOR_BYTES / (int64_t)am_dtype_size((am_dtype)k->image);
  const int64_t ci = k->ci / k->groups, co = k->co / k->groups;
  const bool few = k->groups == 1 && ci <= FEW;
  return am_cuda_conv_on_tensor_cores(k) && co % vector == 0 && (ci % vector == 0 || few);
}

bool am_cuda_conv_on_tensor_cores(const am_cuda_conv *k) { return k->image == AM_BF16 || k->tf32; }

bool am_cuda_conv_is_affine(const am_cuda_conv *k) {
  return k->op == AM_OP_conv2d_affine || k->op == AM_OP_conv2d_affine_add;
}

const char *am_cuda_conv_text(const am_cuda_conv *k, char text[AM_CUDA_CONV_TEXT]) {
  snprintf(text, AM_CUDA_CONV_TEXT,
           "%s (%lld, %lld, %lld, %lld) to (%lld, %lld, %lld, %lld), kernel %lld x %lld, stride %lld x %lld, "
           "pad %lld x %lld, "
           "dilation %lld x %lld, %lld group%s, %s",
           am_dtype_name((am_dtype)k->image), (long long)k->n, (long long)k->ci, (long long)k->h,
           (long long)k->w, (long long)k->n, (long long)k->co, (long long)k->ho, (long long)k->wo,
           (long long)k->kh, (long long)k->kw, (long long)k->stride_h, (long long)k->stride_w,
           (long long)k->pad_h, (long long)k->pad_w, (long long)k->dilation_h, (long long)k->dilation_w,
           (long long)k->groups, k->groups == 1 ? "" : "s", k->channels_last ? "channels last" : "plain");
  return text;
}

// ---- descriptors ----

am_cuda_dims am_cuda_dims_of(int64_t n, int64_t c, int64_t h, int64_t w, bool channels_last) {
  const am_cuda_dims plain = {{n, c, h, w}, {c * h * w, h * w, w, 1}},
                     last = {{n, c, h, w}, {h * w * c, 1, w * c, c}};
  return channels_last ? last : plain;
}

am_cuda_dims am_cuda_conv_x(const am_cuda_conv *k) {
  return am_cuda_dims_of(k->n, k->ci, k->h, k->w, k->channels_last);
}
am_cuda_dims am_cuda_conv_w(const am_cuda_conv *k) {
  return am_cuda_dims_of(k->co, k->ci / k->groups, k->kh, k->kw, k->channels_last);
}
am_cuda_dims am_cuda_conv_y(const am_cuda_conv *k) {
  return am_cuda_dims_of(k->n, k->co, k->ho, k->wo, k->channels_last);
}
am_cuda_dims am_cuda_conv_channel(const am_cuda_conv *k) {
  return am_cuda_dims_of(1, k->co, 1, 1, k->channels_last);
}

// ---- choices ----

int am_cuda_conv_ways(const am_cuda_conv *k, am_cuda_conv_way way[AM_CUDA_CONV_WAYS]) {
  const am_cuda_conv_way as_it_is = {0}, fused = {.fused = true}, wide = {.wide = true};
  int count = 0;
  // cuDNN gives f32 out of images of bf16 only by a graph that it compiles when it is needed and that does not share sums.
  if (k->op == AM_OP_conv2d_grad_weight && k->image == AM_BF16) {
    way[count++] = wide;
    return count;
  }
  if (am_cuda_conv_is_affine(k) && am_cuda_conv_on_tensor_cores(k)) way[count++] = fused;
  way[count++] = as_it_is;
  return count;
}

int64_t am_cuda_conv_product_pieces(const am_cuda_conv *k) {
  // A tile of the product; tiles that fill a card of 132 multiprocessors; places of a piece.
  enum { TILE = 128, BUSY = 2 * 132, LEAST = 128 };
  const int64_t places = k->n * k->h * k->w;
  const bool one_place = k->kh * k->kw == 1 && k->stride_h * k->stride_w == 1 && k->pad_h + k->pad_w == 0;
  if (k->op != AM_OP_conv2d_grad_weight || k->image != AM_BF16 || !one_place) return 0;
  if (!k->channels_last || k->groups != 1 || k->ci % 8 != 0) return 0;
  int64_t pieces = BUSY / (((k->co + TILE - 1) / TILE) * ((k->ci + TILE - 1) / TILE));
  if (pieces > places / LEAST) pieces = places / LEAST;
  if (pieces < 1) pieces = 1;
  while (places % pieces != 0) pieces--;
  return pieces;
}

bool am_cuda_engine_fits(unsigned notes, bool tensor_cores) {
  // Numbers of cudnnBackendNumericalNote_t; conv_graph.c holds them against the header's.
  enum {
    TENSOR_CORE = 1u << 0,
    DOWN_CONVERT_INPUTS = 1u << 1,
    REDUCED_PRECISION_REDUCTION = 1u << 2,
    FFT = 1u << 3,
    NONDETERMINISTIC = 1u << 4,
    WINOGRAD_TILE_6X6 = 1u << 7,
    WINOGRAD_TILE_13X13 = 1u << 8
  };
  const unsigned never = DOWN_CONVERT_INPUTS | REDUCED_PRECISION_REDUCTION | FFT | NONDETERMINISTIC |
                         WINOGRAD_TILE_6X6 | WINOGRAD_TILE_13X13;
  return !(notes & never) && (tensor_cores || !(notes & TENSOR_CORE));
}

int am_cuda_conv_fastest(const double *msec, int count) {
  const double clearly = 0.97;
  int best = 0;
  for (int i = 1; i < count; i++) {
    if (msec[i] < clearly * msec[best]) best = i;
  }
  return best;
}
