// The tape itself: what belongs to the graph, and how an op gets onto it.
#include "autograd/graph.h"

#include <string.h>

#include "autograd/graph_internal.h"
#include "base/mem.h"

am_err am_graph_new(am_device *dev, am_graph **out) {
  am_graph *g = NULL;
  AM_TRY(AM_NEW(&g));
  g->device = dev;
  g->recording = true;
  *out = g;
  return AM_OK;
}

void am_graph_free(am_graph *g) {
  if (!g) return;
  am_graph_reset(g);
  for (int64_t i = 0; i < g->block_count; i++) free(g->block[i]);
  free(g->block);
  free(g->owned);
  free(g);
}

am_device *am_graph_device(const am_graph *g) { return g->device; }
void am_graph_record(am_graph *g, bool on) { g->recording = on; }
bool am_graph_recording(const am_graph *g) { return g->recording; }

static void release_inputs(am_node *n) {
  if (n->freed) return;
  for (int i = 0; i < n->input_count; i++) am_tensor_release(n->in[i]);
  n->freed = true;
}

void am_node_free_saved(am_node *n) {
  release_inputs(n);
  for (int i = 0; i < AM_OP_MAX_OUTPUTS; i++) {
    if (n->out[i] && n->out[i]->refs == 1) am_tensor_discard(n->out[i]);
  }
}

void am_graph_reset(am_graph *g) {
  for (int64_t i = 0; i < g->node_count; i++) release_inputs(am_graph_node(g, i));
  g->node_count = 0;
  // Results that a caller retained outlive the graph's nodes: as constants.
  for (int64_t i = g->owned_count - 1; i >= 0; i--) {
    if (g->owned[i]->node) g->owned[i]->requires_grad = false;
    g->owned[i]->node = NULL;
    am_tensor_release(g->owned[i]);
  }
  g->owned_count = 0;
}

am_err am_graph_own(am_graph *g, am_tensor *t) {
  am_err err = AM_GROW(&g->owned, &g->owned_capacity, g->owned_count + 1);
  if (err) {
    am_tensor_release(t);
    return err;
  }
  g->owned[g->owned_count++] = t;
  return AM_OK;
}

int64_t am_graph_mark(const am_graph *g) { return g->owned_count; }

am_err am_graph_release_to(am_graph *g, int64_t mark, am_tensor *const *keep, int keep_count) {
  AM_CHECK(mark >= 0 && mark <= g->owned_count, AM_ERR_ARG, "mark %lld: the graph owns %lld tensors",
           (long long)mark, (long long)g->owned_count);
  AM_CHECK(g->node_count == 0 || am_graph_node(g, g->node_count - 1)->owned_after <= mark, AM_ERR_ARG,
           "cannot release to a mark: %s was recorded since",
           am_node_name(am_graph_node(g, g->node_count - 1)));
  int64_t kept = mark;
  for (int64_t i = mark; i < g->owned_count; i++) {
    bool wanted = false;
    for (int k = 0; k < keep_count; k++) wanted |= g->owned[i] == keep[k];
    if (wanted) {
      g->owned[kept++] = g->owned[i];
    } else {
      am_tensor_release(g->owned[i]);
    }
  }
  g->owned_count = kept;
  return AM_OK;
}

// ---- recording ----

const char *am_node_name(const am_node *n) {
  return n->op == AM_NODE_RESHAPE ? "reshape" : am_op_name((am_op)n->op);
}

static am_err next_node(am_graph *g, am_node **out) {
  if (g->node_count == g->block_count * AM_NODES_PER_BLOCK) {
    AM_TRY(AM_GROW(&g->block, &g->block_capacity, g->block_count + 1));
    AM_TRY(AM_NEW_ARRAY(&g->block[g->block_count], AM_NODES_PER_BLOCK));
    g->block_count++;
  }
  am_node *n = am_graph_node(g, g->node_count);
  memset(n, 0, sizeof *n);
  n->index = g->node_count++;
  *out = n;
  return AM_OK;
}

am_err am_record(am_graph *g, int op, const void *desc, am_tensor *const *in, int input_count,
                 am_tensor *const *out, int output_count) {
  bool wanted = false;
  for (int i = 0; i < input_count; i++) wanted |= in[i]->requires_grad;
  if (!wanted || !g->recording || !am_passes_gradient(op, desc)) return AM_OK;
  am_node *n = NULL;
  AM_TRY(next_node(g, &n));
  n->op = op;
  n->input_count = input_count;
  if (op < AM_OP_COUNT) memcpy(&n->desc, desc, am_op_desc_size((am_op)op));
  for (int i = 0; i < input_count; i++) {
    n->in[i] = am_tensor_retain(in[i]);
    n->parent[i] = in[i]->node;
  }
  for (int i = 0; i < output_count; i++) n->out[i] = out[i];
  n->owned_after = g->owned_count;
  out[0]->node = n;
  out[0]->requires_grad = true;
  return AM_OK;
}

static bool overlaps(const am_tensor *a, const am_tensor *b) {
  size_t a_bytes = (size_t)am_tensor_count(a) * am_dtype_size(a->dtype);
  size_t b_bytes = (size_t)am_tensor_count(b) * am_dtype_size(b->dtype);
  return a->buffer == b->buffer && a->offset_bytes < b->offset_bytes + b_bytes &&
         b->offset_bytes < a->offset_bytes + a_bytes;
}

// A node whose gradient may still be asked for reads its inputs and outputs then.
static bool node_needs(const am_node *n, const am_tensor *written) {
  if (n->freed) return false;
  for (int i = 0; i < n->input_count; i++) {
    if (overlaps(n->in[i], written)) return true;
  }
  for (int i = 0; i < AM_OP_MAX_OUTPUTS; i++) {
    if (n->out[i] && overlaps(n->out[i], written)) return true;
  }
  return false;
}

static am_err check_not_needed(const am_graph *g, am_op op, const am_tensor *written) {
  for (int64_t i = 0; i < g->node_count; i++) {
    const am_node *n = am_graph_node(g, i);
    AM_CHECK(!node_needs(n, written), AM_ERR_ARG,
             "%s would overwrite memory that the gradient of a recorded %s still needs", am_op_name(op),
             am_node_name(n));
  }
  return AM_OK;
}

am_err am_apply(am_graph *g, am_op op, const void *desc, am_tensor *const *in, am_tensor **out) {
  return am_apply_into(g, op, desc, in, NULL, out);
}

am_err am_apply_into(am_graph *g, am_op op, const void *desc, am_tensor *const *in, am_tensor *const *into,
                     am_tensor **out) {
  int input_count = am_op_inputs(op), output_count = am_op_outputs(op);
  if (am_op_in_place(op)) {
    for (int i = 0; i < output_count; i++) AM_TRY(check_not_needed(g, op, out[i]));
    return am_dispatch(g->device, op, desc, in, out);
  }
  for (int i = 0; into && i < output_count; i++) {
    if (into[i]) AM_TRY(check_not_needed(g, op, into[i]));
  }
  am_tensor *made[AM_OP_MAX_OUTPUTS] = {NULL};
  AM_TRY(am_dispatch_into(g->device, op, desc, in, into, made));
  am_err err = AM_OK;
  for (int i = 0; i < output_count; i++) {
    // Even after a failure: the others must find an owner.
    if (!err) {
      err = am_graph_own(g, made[i]);
    } else {
      am_tensor_release(made[i]);
    }
  }
  if (err) return err;
  AM_TRY(am_record(g, (int)op, desc, in, input_count, made, output_count));
  for (int i = 0; i < output_count; i++) out[i] = made[i];
  return AM_OK;
}

am_err am_detach(am_graph *g, am_tensor *t, am_tensor **out) {
  am_tensor *alias = NULL;
  AM_TRY(am_tensor_alias(t, &alias));
  AM_TRY(am_graph_own(g, alias));
  *out = alias;
  return AM_OK;
}

void am_require_grad(am_tensor *t, bool on) {
  AM_ASSERT(!t->node);
  t->requires_grad = on;
}
