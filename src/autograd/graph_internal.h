// Inside autograd: what a node holds, and what a gradient rule sees.
#ifndef AM_AUTOGRAD_GRAPH_INTERNAL_H
#define AM_AUTOGRAD_GRAPH_INTERNAL_H

#include "autograd/graph.h"

// Reshape is a view, not a backend op, yet it has a place on the tape and a rule.
enum { AM_NODE_RESHAPE = AM_OP_COUNT, AM_NODE_KINDS };

// A descriptor of any op, kept inside its node.
typedef union {
#define AM_DESC_MEMBER(op, desc_type, inputs, outputs, in_place) desc_type op;
  AM_OP_LIST(AM_DESC_MEMBER)
#undef AM_DESC_MEMBER
} am_any_desc;

// One recorded op. Only out[0] carries a gradient: the further outputs of batch_norm and max_pool2d
// are constants for later ops.
typedef struct am_node {
  int op;                                  // am_op or AM_NODE_RESHAPE
  int input_count;
  am_any_desc desc;
  am_tensor *in[AM_OP_MAX_INPUTS];         // shared; once `freed`, only compared, never followed
  struct am_node *parent[AM_OP_MAX_INPUTS];  // borrowed: the node that made in[i], or NULL
  am_tensor *out[AM_OP_MAX_OUTPUTS];       // borrowed: the graph owns them
  int64_t index;                           // position on the tape; inputs have smaller ones
  int64_t owned_after;                     // tensors the graph owned once this op had run
  bool freed;                              // an am_grad without keep_graph went through
  // Scratch of the am_grad whose number is in `stamp`.
  int64_t stamp;                           // leads to an x
  bool reached;                            // and y depends on it
  am_tensor *grad;                         // shared: gradient of out[0] so far; NULL: none yet
} am_node;

enum { AM_NODES_PER_BLOCK = 256 };

struct am_graph {
  am_device *device;    // borrowed
  bool recording;
  am_node **block;      // owned: blocks of AM_NODES_PER_BLOCK, so that nodes never move
  int64_t block_capacity, block_count;
  int64_t node_count;
  am_tensor **owned;    // shared: one reference each, in the order they came
  int64_t owned_count, owned_capacity;
  int64_t stamp;        // number of the latest am_grad
};

static inline am_node *am_graph_node(const am_graph *g, int64_t i) {
  return &g->block[i / AM_NODES_PER_BLOCK][i % AM_NODES_PER_BLOCK];
}
const char *am_node_name(const am_node *n);
// Puts y = f(in), made outside dispatch, on the tape if an input asks for it. For reshape.
AM_MUST_USE am_err am_record(am_graph *g, int op, const void *desc, am_tensor *const *in, int input_count,
                             am_tensor *const *out, int output_count);
// Drops the node's hold on its inputs and the memory of its outputs that nobody else holds.
void am_node_free_saved(am_node *n);

// What a rule is given: the node, the gradient dy of its first output, which inputs need theirs.
// It sets dx[i] (owned by the graph; NULL means zero) for the needed ones, in ops that record
// themselves, so that with create_graph the result can be differentiated again.
typedef struct {
  am_graph *g;
  const am_node *node;
  am_tensor *dy;
  bool need[AM_OP_MAX_INPUTS];
  bool create_graph;  // fused gradient kernels, which have no rule of their own, are not allowed
  // Where the gradient of an input is wanted: a rule may have its last op write it there (am_apply_into)
  // and save a copy. NULL: anywhere.
  am_tensor *into[AM_OP_MAX_INPUTS];
  am_tensor *dx[AM_OP_MAX_INPUTS];
} am_vjp;
typedef am_err (*am_vjp_rule)(am_vjp *v);
extern const am_vjp_rule am_vjp_rules[AM_NODE_KINDS];  // NULL: no gradient

// Whether this op, with this descriptor, passes gradients on (argmax, sign and step do not).
bool am_passes_gradient(int op, const void *desc);

// Sums t over the axes along which `shape` was broadcast to t's shape; t itself when there are none.
AM_MUST_USE am_err am_sum_to(am_graph *g, am_tensor *t, am_shape shape, am_tensor **out);
// (c) as (1, c, 1, ...) with `like`'s number of dimensions, so that it broadcasts along channels.
AM_MUST_USE am_err am_per_channel(am_graph *g, am_tensor *t, const am_tensor *like, am_tensor **out);
// All axes of t but that of the channels, as a bit set.
unsigned am_all_but_channels(const am_tensor *t);

// ---- the rules, beside their ops ----
#define AM_VJP_LIST(X)                                                                             \
  X(unary) X(binary) X(dropout)                                                   /* op_math.c */  \
  X(reduce) X(broadcast_to) X(permute) X(slice) X(pad) X(concat)                  /* op_shape.c */ \
  X(gather_rows) X(scatter_rows) X(reorder) X(cast)                               /* op_shape.c */ \
  X(matmul) X(conv2d) X(conv2d_grad_input) X(conv2d_grad_weight)                  /* op_conv.c */  \
  X(max_pool2d) X(pool_scatter) X(pool_gather) X(avg_pool2d) X(avg_pool2d_grad)   /* op_pool.c */  \
  X(upfirdn2d) X(resample2d) X(resample2d_grad)                              /* op_resample.c */ \
  X(log_softmax) X(batch_norm) X(batch_norm_add) X(scale_shift) X(bias_act)       /* op_norm.c */
#define AM_VJP_DECLARE(op) AM_MUST_USE am_err am_vjp_##op(am_vjp *v);
AM_VJP_LIST(AM_VJP_DECLARE)
AM_VJP_DECLARE(reshape)  // op_shape.c
#undef AM_VJP_DECLARE

#endif
