// Convolutions as cuDNN is asked for them: geometry, descriptors' numbers, which engines may compute. Host logic, without a
// call of CUDA.
#ifndef AM_BACKEND_CUDA_CONV_RULES_H
#define AM_BACKEND_CUDA_CONV_RULES_H

#include "tensor/backend.h"

// One convolution, whichever of x (n, ci, h, w), w (co, ci/groups, kh, kw) and y (n, co, ho, wo) is the result. The key of its
// plan: every field has 8 bytes, so that there is no padding between them.
typedef struct {
  int64_t op;             // am_op
  int64_t image;          // am_dtype of x and y
  int64_t channels_last;  // x, y and cuDNN's w
  int64_t tf32;           // f32 images may be multiplied as TF32
  int64_t n, ci, h, w, co, ho, wo, kh, kw;
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  int64_t activates;  // the affine ops
  double slope;
} am_cuda_conv;

// x, w, y: shapes; image: type of the images.
am_cuda_conv am_cuda_conv_of(am_op op, const am_conv2d_desc *desc, am_activation act, am_dtype image,
                             bool tf32, am_shape x, am_shape w, am_shape y);
// Whether images lie channels last around this convolution: where tensor cores multiply, which want whole vectors of 16
// bytes of channels. x may have few channels all the same: padding three colours costs less than reordering y.
bool am_cuda_conv_is_channels_last(const am_cuda_conv *k);
// bf16, and f32 that may be TF32.
bool am_cuda_conv_on_tensor_cores(const am_cuda_conv *k);
bool am_cuda_conv_is_affine(const am_cuda_conv *k);
// "f32 (2, 3, 8, 8) to (2, 16, 8, 8), kernel 3 x 3, stride ..., channels last" into a caller's buffer; returns it.
enum { AM_CUDA_CONV_TEXT = 320 };
const char *am_cuda_conv_text(const am_cuda_conv *k, char text[AM_CUDA_CONV_TEXT]);

// Sizes and strides in elements, in the order n, c, h, w (kernels: k, c, r, s) whatever the layout.
typedef struct {
  int64_t dim[4], stride[4];
} am_cuda_dims;
am_cuda_dims am_cuda_dims_of(int64_t n, int64_t c, int64_t h, int64_t w, bool channels_last);
am_cuda_dims am_cuda_conv_x(const am_cuda_conv *k);
am_cuda_dims am_cuda_conv_w(const am_cuda_conv *k);
am_cuda_dims am_cuda_conv_y(const am_cuda_conv *k);
am_cuda_dims am_cuda_conv_channel(const am_cuda_conv *k);  // scale and shift, beside y

// The ways to compute one, first the one that is asked for first. Which of them it is depends on what engines cuDNN has: it is
// settled when the plan is made, and stays.
typedef struct {
  bool fused;  // affine ops: what follows the product is in the same graph, else it is an own kernel's
  bool wide;   // images of bf16 are widened to f32 first: TF32 holds them exactly, so that nothing is lost
} am_cuda_conv_way;
enum { AM_CUDA_CONV_WAYS = 2 };
int am_cuda_conv_ways(const am_cuda_conv *k, am_cuda_conv_way way[AM_CUDA_CONV_WAYS]);

// The gradient of a kernel of one place is a product of y's and x's rows of channels, which cuBLASLt gives in f32 out of bf16: the
// images need not be widened. Into how many equal pieces its sums over places are cut, so that a card is busy with few weights,
// too; 0: it is no such product.
int64_t am_cuda_conv_product_pieces(const am_cuda_conv *k);

// Whether an engine with these numerical notes may compute. notes: bit i for note i of cudnnBackendNumericalNote_t.
// Deterministic ones alone, with sums in f32 and inputs as they are; Winograd's only with the smallest tile, as larger ones
// (and FFT) lose digits. tensor_cores: false for f32 that shall be f32.
bool am_cuda_engine_fits(unsigned notes, bool tensor_cores);
// Which of count (1 or more) engines a measurement chooses, given what each took, in the order of the heuristics: a later one only
// where it takes less than 97 % of the best before it. Nearer ones are a tie, which the next measurement would break otherwise.
int am_cuda_conv_fastest(const double *msec, int count);

// Whether cuDNN has an engine for one of the ways on a card that is described to it and need not be here, and which: for tests
// (conv_graph.c, which is in the plug-in). Fused ways need a driver to be prepared. card: JSON as in
// CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION. *place: where to begin in the order of the heuristics (0), and where it was found.
// Errors: AM_ERR_UNSUPPORTED the library does not take this description; AM_ERR_DEVICE there is none.
enum { AM_CUDA_CONV_PLAN_TEXT = 64 };
AM_MUST_USE am_err am_cuda_conv_rehearse(const char *card, const am_cuda_conv *k, int64_t *place,
                                         char text[AM_CUDA_CONV_PLAN_TEXT]);

#endif
