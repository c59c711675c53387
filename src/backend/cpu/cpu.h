// The `cpu` backend: oneDNN for convolutions and products, own vectorised loops for the rest.
//
// A device has a fixed number of threads, which is part of what a result means: oneDNN's weight
// gradients and products depend on it. Everything written here reduces in fixed pieces, so it does
// not. No algorithm is chosen by timing: shape, instruction set and thread count decide.
//
// Layouts: with AVX-512, activations between convolutions stay in AM_LAYOUT_C16; weights and their
// gradients are plain at every op's boundary. Small products (a batch of one or two small images)
// run as im2col + sgemm on plain memory, because there reordering the weights costs more than the
// convolution itself. cpu_layout.c holds the rules.
#ifndef AM_BACKEND_CPU_CPU_H
#define AM_BACKEND_CPU_CPU_H

#include "tensor/backend.h"

extern const am_backend am_backend_cpu;

// What carries out this convolution on this context: oneDNN's name of its implementation
// ("jit:avx512_core", "jit_wino_4x3:avx512_core", ...) or "gemm" for im2col + sgemm. Weights are
// (co, ci/groups, kh, kw) whichever of the three ops is asked for, x is the input's shape, `image` the type
// of x and y.
// For tests and reports. `ctx` is that of an open am_backend_cpu; the text lives as long as it.
AM_MUST_USE am_err am_cpu_conv_impl(void *ctx, am_op op, const am_conv2d_desc *desc, am_dtype image, am_shape x,
                                    am_shape w, const char **name);

// One of the convolutions that a context has carried out, whichever of the three ops (conv2d_affine and
// conv2d_affine_add count as ops of their own).
typedef struct {
  am_op op;
  am_conv2d_desc desc;
  am_dtype image;
  am_shape x, w, y;
  const char *impl;  // as am_cpu_conv_impl names it
  // oneDNN was to carry it out by the rule, but offered nothing or only its reference loops, some 500 times
  // slower. These are never run (im2col + sgemm is, on copies): a bug of the rule.
  bool fell_back;
} am_cpu_conv_use;
// The distinct ones since the context was opened, or since it last forgot its plans (after 1024 of them); how
// many there are is returned, up to `room` of them are put into use[]. For tests and reports.
int64_t am_cpu_conv_uses(void *ctx, am_cpu_conv_use *use, int64_t room);

#endif
