// Losses: scalars on the graph. Targets are constants.
#ifndef AM_NN_LOSS_H
#define AM_NN_LOSS_H

#include "autograd/ops.h"

// Mean cross-entropy of logits (n, k) against soft targets (n, k) whose rows sum to 1:
// -1/n sum_i sum_k t_ik log softmax(x_i)_k. Integer labels: am_one_hot first.
AM_MUST_USE am_err am_loss_cross_entropy(am_graph *g, am_tensor *logits, am_tensor *target, am_tensor **loss);
// Paper P4 as printed: the same with softmax applied twice (papers' oddity; see the README).
AM_MUST_USE am_err am_loss_double_softmax(am_graph *g, am_tensor *logits, am_tensor *target,
                                          am_tensor **loss);
// Mean binary cross-entropy of logits x (any shape) against t in [0, 1], stable form
// max(x,0) - x*t + log1p(exp(-|x|)); equals BCE(sigmoid(x), t) up to PyTorch's clamp at -100.
AM_MUST_USE am_err am_loss_bce_logits(am_graph *g, am_tensor *logits, am_tensor *target, am_tensor **loss);
AM_MUST_USE am_err am_loss_mse(am_graph *g, am_tensor *x, am_tensor *target, am_tensor **loss);
// Labels (n) -> rows (n, k), all in host memory, smoothed: 1 - s + s/k on the label, s/k elsewhere. Errors: AM_ERR_DATA a
// label that is none of the classes.
AM_MUST_USE am_err am_one_hot(const int32_t *label, int64_t n, int64_t classes, double smoothing, float *rows);

#endif
