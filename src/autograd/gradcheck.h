// Gradients against finite differences, to any order: what every new op and model block is held to.
#ifndef AM_AUTOGRAD_GRADCHECK_H
#define AM_AUTOGRAD_GRADCHECK_H

#include "autograd/graph.h"

// Computes *out from in[] on g.
typedef am_err (*am_gradcheck_fn)(am_graph *g, void *user, am_tensor *const *in, am_tensor **out);

typedef struct {
  am_gradcheck_fn f;
  void *user;
  am_tensor *const *in;   // count leaves; the f64 ones with requires_grad are checked
  int count;
  int orders;             // 2: gradients and gradients of gradients
  double step;            // of the central differences; 0 means 1e-5
  double tolerance;       // |analytic - numeric| <= tolerance * (1 + |numeric|); 0 means 1e-6
} am_gradcheck_desc;

// With a random projection r, F_1 = <f(in), r> and F_k+1 = <grad F_k, v_k> for random v_k: compares the
// gradient of each F_k, by every element of in and r, with central differences. The first order is
// checked twice, with and without create_graph, since fused gradients may serve the latter. in[] is
// changed while it runs and restored. Use a device that computes in f64. Local.
// Errors: AM_ERR_NUMERIC names the order, the input, the element and both values; those of f.
AM_MUST_USE am_err am_gradcheck(am_device *dev, const am_gradcheck_desc *desc);

#endif
