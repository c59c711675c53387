// The tape: which op made which tensor, so that gradients can be asked for, and gradients of those.
//
// Tensors made by recorded ops belong to the graph: a network's forward pass releases nothing, and
// am_graph_reset frees all of it at once. What shall outlive the reset is retained by the caller.
// Typed op functions are in autograd/ops.h. Local; one thread per graph.
#ifndef AM_AUTOGRAD_GRAPH_H
#define AM_AUTOGRAD_GRAPH_H

#include "tensor/backend.h"

typedef struct am_graph am_graph;

AM_MUST_USE am_err am_graph_new(am_device *dev, am_graph **out);
void am_graph_free(am_graph *g);
am_device *am_graph_device(const am_graph *g);
// Forgets every node and releases every tensor the graph owns.
void am_graph_reset(am_graph *g);
// With recording off ops only compute; their results still belong to the graph.
void am_graph_record(am_graph *g, bool on);
bool am_graph_recording(const am_graph *g);
// Marks nest: everything the graph came to own since the mark is released, except `keep`
// (count tensors). For long evaluation passes; not allowed while nodes were recorded since.
int64_t am_graph_mark(const am_graph *g);
AM_MUST_USE am_err am_graph_release_to(am_graph *g, int64_t mark, am_tensor *const *keep, int keep_count);
// Gives the graph ownership of one reference (inputs made by the caller); also when it fails.
AM_MUST_USE am_err am_graph_own(am_graph *g, am_tensor *t);

// Marks a leaf as something whose gradient may be asked for: ops on it are recorded. Parameters are
// marked by am_params_commit; an input image is by the caller. Not for results of recorded ops.
void am_require_grad(am_tensor *t, bool on);
// Whether the op has a gradient rule.
bool am_op_differentiable(am_op op);

// Runs an op and records it when recording is on and an input requires a gradient. out[] belongs
// to the graph. Ops without a gradient (argmax, fill, random, in-place) are recorded as constants;
// in-place ops on a tensor that a recorded node still needs are an error (AM_ERR_ARG).
AM_MUST_USE am_err am_apply(am_graph *g, am_op op, const void *desc, am_tensor *const *in, am_tensor **out);
// The same with memory for the outputs, as am_dispatch_into. Memory that a recorded node still needs is an
// error. NULL: none is given.
AM_MUST_USE am_err am_apply_into(am_graph *g, am_op op, const void *desc, am_tensor *const *in,
                                 am_tensor *const *into, am_tensor **out);
// t without its history: same memory, a constant for later ops.
AM_MUST_USE am_err am_detach(am_graph *g, am_tensor *t, am_tensor **out);

// Gradients of sum_i <y_i, seed_i> with respect to x_j, as torch.autograd.grad: only the nodes
// between x and y are visited, so weights that nobody asks about cost nothing.
//
// Unless the graph is kept, the intermediate results on the way give their memory back as soon as
// the gradient has passed them: what shall be read afterwards (logits, say) is read before, or
// retained. y and x keep theirs, and every tensor keeps its shape until am_graph_reset.
typedef struct {
  am_tensor *const *y;      // y_count outputs
  am_tensor *const *seed;   // NULL: ones (each y must then have one element)
  int y_count;
  am_tensor *const *x;      // x_count leaves or intermediate results
  int x_count;
  bool create_graph;        // the gradients can be differentiated again; slower, composed ops only
  bool keep_graph;          // a second am_grad over the same nodes will follow (implied by create_graph)
  // Optional: sink[j] (plain, shape of x[j]) receives the gradient instead of a new tensor, added
  // to what it holds when accumulate is set; it is written as soon as it is final, and on_ready
  // (optional) is called then, last layers first: where data parallelism starts its reductions.
  am_tensor *const *sink;
  bool accumulate;
  void (*on_ready)(void *user, int j);
  void *user;
} am_grad_desc;
// dx[j] (may be NULL when sinks are given) belongs to the graph; NULL where y does not depend on
// x[j] (a sink is then zeroed, or left alone when accumulating). Local.
// Errors: AM_ERR_ARG nodes already freed by an earlier am_grad, or a gradient through an op that
// has none.
AM_MUST_USE am_err am_grad(am_graph *g, const am_grad_desc *desc, am_tensor **dx);

#endif
