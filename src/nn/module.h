// Layers: small structs that hold their parameters and their hyper-parameters. am_<layer>_init
// declares under "prefix.", am_<layer>_forward records on the pass's graph.
//
//   AM_TRY(am_conv_init(&m->conv1, ps, "conv1", (am_conv_cfg){.in = 3, .out = 64, .kernel = 3, .pad = 1}));
//   ...
//   AM_TRY(am_conv_forward(&m->conv1, pass, x, &x));
#ifndef AM_NN_MODULE_H
#define AM_NN_MODULE_H

#include "autograd/ops.h"
#include "nn/params.h"

// What a forward pass is for. With `compute` AM_BF16 convolutions and all between them, up to a pool over the
// whole image, take and give bf16, on a device that computes in it; parameters, their gradients, statistics
// and linear layers stay in the parameters' type. `seed` and `index` feed dropout and noise: element streams are
// (seed, AM_RNG_DROPOUT, index + row), index = step * 2^20 + first row's place in the whole batch.
typedef struct am_pass {
  am_graph *graph;      // borrowed
  bool train;           // BatchNorm uses batch statistics, dropout drops
  bool update_stats;    // BatchNorm updates its running statistics (slice 0 in data parallel)
  am_dtype compute;     // AM_F32 (0): the parameters' type throughout; AM_BF16
  uint64_t seed;
  uint64_t index;
  uint64_t draws;       // counts random layers within this pass; starts at 0
} am_pass;

// Evaluation remembers nothing: where no tape is recorded, and in parts that are frozen from the input on, gives
// back whatever the pass has made since `mark` (am_graph_mark) except x. Networks call it between their blocks.
AM_MUST_USE am_err am_pass_forget(am_pass *pass, int64_t mark, am_tensor *x);

// The compute type that an experiment calls "fp32", "bf16" or "tf32"; the last is AM_F32 whose products and convolutions
// round their operands on the way in. Errors: AM_ERR_CONFIG another word; AM_ERR_UNSUPPORTED a device that does not convolve
// in that type, with what it lacks.
AM_MUST_USE am_err am_compute_type(const am_device *dev, const char *precision, am_dtype *out);
// The same, and the device computes so from here on: called where a training, a fit, an evaluation begins.
AM_MUST_USE am_err am_compute_use(am_device *dev, const char *precision, am_dtype *out);

typedef enum { AM_SCHEME_PYTORCH, AM_SCHEME_DCGAN, AM_SCHEME_KAIMING_FAN_OUT } am_init_scheme;
// PYTORCH: U(-b, b), b = 1/sqrt(fan_in), weights and biases; BatchNorm 1 and 0.
// DCGAN: conv N(0, 0.02), BatchNorm weight N(1, 0.02), bias 0.
// KAIMING_FAN_OUT: conv N(0, sqrt(2/fan_out)) as torchvision's ResNet; linear as PYTORCH.

typedef struct { int64_t in, out; bool no_bias; am_init_scheme scheme; } am_linear_cfg;
typedef struct { am_param *weight, *bias; am_linear_cfg cfg; } am_linear;
AM_MUST_USE am_err am_linear_init(am_linear *m, am_params *ps, const char *prefix, am_linear_cfg cfg);
// (n, in) -> (n, out)
AM_MUST_USE am_err am_linear_forward(am_linear *m, am_pass *pass, am_tensor *x, am_tensor **y);

// stride 0 means 1. transposed: weight (in, out, k, k), output_pad as PyTorch.
typedef struct {
  int64_t in, out, kernel, stride, pad, output_pad;
  bool bias, transposed;
  am_init_scheme scheme;
} am_conv_cfg;
typedef struct { am_param *weight, *bias; am_conv_cfg cfg; } am_conv;
AM_MUST_USE am_err am_conv_init(am_conv *m, am_params *ps, const char *prefix, am_conv_cfg cfg);
AM_MUST_USE am_err am_conv_forward(am_conv *m, am_pass *pass, am_tensor *x, am_tensor **y);
// The same and an activation.
AM_MUST_USE am_err am_conv_act_forward(am_conv *m, am_pass *pass, am_tensor *x, am_activation act, am_tensor **y);

// eps 1e-5 and momentum 0.1 when 0. Running variance takes the unbiased batch variance.
// Errors: AM_ERR_ARG one value per channel in training, as PyTorch refuses.
typedef struct { int64_t channels; double eps, momentum; am_init_scheme scheme; } am_batch_norm_cfg;
typedef struct {
  am_param *weight, *bias, *running_mean, *running_var, *num_batches_tracked;
  am_batch_norm_cfg cfg;
} am_batch_norm_layer;
AM_MUST_USE am_err am_batch_norm_init(am_batch_norm_layer *m, am_params *ps, const char *prefix,
                                      am_batch_norm_cfg cfg);
AM_MUST_USE am_err am_batch_norm_forward(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor **y);

// y = act(norm(x) [+ residual]) and y = act(norm(conv(x)) [+ residual]); residual may be NULL. Training
// uses ops that fuse the normalisation with what follows, an evaluation that records nothing (or a frozen
// part, with hold_statistics) one op for the whole, an evaluation that is differentiated (a saliency map)
// primitive ops.
#define AM_NO_ACTIVATION ((am_activation){0})
#define AM_RELU ((am_activation){.on = true})
#define AM_LEAKY_RELU(s) ((am_activation){.on = true, .slope = (s)})
AM_MUST_USE am_err am_norm_act_forward(am_batch_norm_layer *m, am_pass *pass, am_tensor *x, am_tensor *residual,
                                       am_activation act, am_tensor **y);
AM_MUST_USE am_err am_conv_norm_act_forward(am_conv *conv, am_batch_norm_layer *norm, am_pass *pass,
                                            am_tensor *x, am_tensor *residual, am_activation act,
                                            am_tensor **y);

// Inverted dropout; identity when !pass->train or p == 0.
AM_MUST_USE am_err am_dropout(am_pass *pass, am_tensor *x, double p, am_tensor **y);

#endif
