// am_grad: from the outputs back to what was asked for, newest node first.
//
//   find_paths      which nodes lie between an x and a y, and how many of them feed each x
//   add_gradient    sums what arrives at a tensor
//   run_node        one rule; temporaries are released at once unless gradients of it may follow
//   finish_slot     an x that nobody will add to any more goes to its sink, unless it was written there
#include <string.h>

#include "autograd/graph_internal.h"
#include "autograd/ops.h"
#include "base/mem.h"
#include "base/num.h"

// One distinct x.
typedef struct {
  const am_tensor *x;
  int pending;      // nodes on a path that will still add to it
  am_tensor *grad;  // shared; NULL: none yet
} x_slot;

typedef struct {
  am_graph *g;
  const am_grad_desc *desc;
  am_tensor **dx;  // the caller's array or NULL
  x_slot *slot;    // owned, sorted by address
  int slot_count;
  int *slot_of;    // owned: x[j] is slot[slot_of[j]]
  int *first;      // owned: first j of a slot, the others follow through next
  int *next;       // owned: next j of the same slot, -1 at the end
  int64_t newest;  // largest node index among the y
} grad_run;

// ---- the x, by address ----

static int by_address(const void *a, const void *b) {
  uintptr_t p = (uintptr_t)((const x_slot *)a)->x, q = (uintptr_t)((const x_slot *)b)->x;
  return p < q ? -1 : p > q;
}

static x_slot *find_slot(grad_run *r, const am_tensor *t) {
  x_slot key = {.x = t};
  return bsearch(&key, r->slot, (size_t)r->slot_count, sizeof key, by_address);
}

static am_err make_slots(grad_run *r) {
  const am_grad_desc *d = r->desc;
  AM_TRY(AM_NEW_ARRAY(&r->slot, d->x_count));
  AM_TRY(AM_NEW_ARRAY(&r->slot_of, d->x_count));
  AM_TRY(AM_NEW_ARRAY(&r->first, d->x_count));
  AM_TRY(AM_NEW_ARRAY(&r->next, d->x_count));
  for (int j = 0; j < d->x_count; j++) r->slot[j].x = d->x[j];
  qsort(r->slot, (size_t)d->x_count, sizeof *r->slot, by_address);
  for (int j = 0; j < d->x_count; j++) {
    if (r->slot_count == 0 || r->slot[r->slot_count - 1].x != r->slot[j].x)
      r->slot[r->slot_count++] = r->slot[j];
  }
  for (int s = 0; s < r->slot_count; s++) r->first[s] = -1;
  for (int j = d->x_count - 1; j >= 0; j--) {
    int s = (int)(find_slot(r, d->x[j]) - r->slot);
    r->slot_of[j] = s;
    r->next[j] = r->first[s];
    r->first[s] = j;
  }
  return AM_OK;
}

// ---- paths ----

static bool on_path(const grad_run *r, const am_node *n) { return n && n->stamp == r->g->stamp; }

// An input needs its gradient when it is an x or was computed from one.
static bool input_wanted(grad_run *r, const am_node *n, int i) {
  return on_path(r, n->parent[i]) || find_slot(r, n->in[i]);
}

static am_err find_paths(grad_run *r) {
  am_graph *g = r->g;
  const am_grad_desc *d = r->desc;
  g->stamp++;
  r->newest = -1;
  for (int i = 0; i < d->y_count; i++) {
    if (d->y[i]->node) r->newest = am_max_i64(r->newest, d->y[i]->node->index);
  }
  for (int64_t i = 0; i <= r->newest; i++) {
    am_node *n = am_graph_node(g, i);
    n->reached = false;
    for (int k = 0; k < n->input_count; k++) {
      if (input_wanted(r, n, k)) n->stamp = g->stamp;
    }
  }
  for (int i = 0; i < d->y_count; i++) {
    if (d->y[i]->node) d->y[i]->node->reached = true;
  }
  for (int64_t i = r->newest; i >= 0; i--) {
    am_node *n = am_graph_node(g, i);
    if (!n->reached || !on_path(r, n)) continue;
    AM_CHECK(!n->freed, AM_ERR_ARG,
             "the gradient of %s was asked for a second time; the first am_grad needs keep_graph",
             am_node_name(n));
    for (int k = 0; k < n->input_count; k++) {
      if (n->parent[k]) n->parent[k]->reached = true;
      x_slot *s = find_slot(r, n->in[k]);
      if (s) s->pending++;
    }
  }
  return AM_OK;
}

// ---- sums ----

// *sum += grad; the sum keeps its own reference.
static am_err add_to(am_graph *g, am_tensor **sum, am_tensor *grad) {
  if (*sum) {
    AM_TRY(am_add(g, *sum, grad, &grad));
    am_tensor_release(*sum);
  }
  *sum = am_tensor_retain(grad);
  return AM_OK;
}

static am_err add_gradient(grad_run *r, const am_tensor *t, am_node *made_by, am_tensor *grad) {
  x_slot *s = find_slot(r, t);
  if (s) AM_TRY(add_to(r->g, &s->grad, grad));
  if (on_path(r, made_by)) AM_TRY(add_to(r->g, &made_by->grad, grad));
  return AM_OK;
}

// ---- results ----

static am_err clear_sink(grad_run *r, am_tensor *sink) {
  am_tensor *zero = NULL;
  AM_TRY(am_fill(r->g, sink->dtype, sink->shape, 0, &zero));
  return am_apply(r->g, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &zero, &sink);
}

static am_err write_sink(grad_run *r, am_tensor *sink, am_tensor *grad) {
  if (grad == sink) return AM_OK;  // its rule has written it
  char have[AM_SHAPE_TEXT], want[AM_SHAPE_TEXT];
  AM_CHECK(am_shape_equal(sink->shape, grad->shape), AM_ERR_ARG, "the sink is %s, the gradient %s",
           am_shape_text(sink->shape, have), am_shape_text(grad->shape, want));
  am_tensor *plain = NULL;
  AM_TRY(am_tensor_plain(grad, &plain));
  am_axpby_desc d = {.a = 1, .b = r->desc->accumulate ? 1 : 0};
  am_err err = am_apply(r->g, AM_OP_axpby, &d, &plain, &sink);
  am_tensor_release(plain);
  return err;
}

// Hands the slot's gradient, now final, to every j that asked for it.
static am_err finish_slot(grad_run *r, x_slot *s) {
  const am_grad_desc *d = r->desc;
  for (int j = r->first[s - r->slot]; j >= 0; j = r->next[j]) {
    if (d->sink && d->sink[j]) {
      if (s->grad) {
        AM_TRY(write_sink(r, d->sink[j], s->grad));
      } else if (!d->accumulate) {
        AM_TRY(clear_sink(r, d->sink[j]));
      }
    }
    if (d->on_ready) d->on_ready(d->user, j);
  }
  if (r->dx) return AM_OK;  // kept for hand_over
  am_tensor_release(s->grad);
  s->grad = NULL;
  return AM_OK;
}

// Gives the gradients to the graph and their addresses to the caller.
static am_err hand_over(grad_run *r) {
  if (!r->dx) return AM_OK;
  for (int s = 0; s < r->slot_count; s++) {
    if (r->slot[s].grad) AM_TRY(am_graph_own(r->g, am_tensor_retain(r->slot[s].grad)));
  }
  for (int j = 0; j < r->desc->x_count; j++) r->dx[j] = r->slot[r->slot_of[j]].grad;
  return AM_OK;
}

// ---- one node ----

// The sink that the gradient of input k may be written to at once: that of a leaf to which nobody has
// added or will.
static am_tensor *sink_of(grad_run *r, const am_node *n, int k) {
  const am_grad_desc *d = r->desc;
  const x_slot *s = find_slot(r, n->in[k]);
  if (!s || n->parent[k] || s->pending > 1 || s->grad || !d->sink || d->accumulate || d->create_graph) return NULL;
  int j = r->first[s - r->slot];
  return r->next[j] < 0 ? d->sink[j] : NULL;
}

static am_err apply_rule(grad_run *r, am_node *n) {
  am_vjp_rule rule = am_vjp_rules[n->op];
  AM_CHECK(rule, AM_ERR_ARG, "%s has no gradient; use create_graph where gradients of gradients follow",
           am_node_name(n));
  am_vjp v = {.g = r->g, .node = n, .dy = n->grad, .create_graph = r->desc->create_graph};
  for (int k = 0; k < n->input_count; k++) {
    v.need[k] = input_wanted(r, n, k);
    v.into[k] = sink_of(r, n, k);
  }
  AM_TRY(rule(&v));
  for (int k = 0; k < n->input_count; k++) {
    if (v.need[k] && v.dx[k]) AM_TRY(add_gradient(r, n->in[k], n->parent[k], v.dx[k]));
  }
  return AM_OK;
}

static am_err run_node(grad_run *r, am_node *n) {
  bool keep = r->desc->keep_graph || r->desc->create_graph;
  int64_t mark = am_graph_mark(r->g);
  if (n->grad) AM_TRY(apply_rule(r, n));
  for (int k = 0; k < n->input_count; k++) {
    x_slot *s = find_slot(r, n->in[k]);
    if (s && --s->pending == 0) AM_TRY(finish_slot(r, s));
  }
  am_tensor_release(n->grad);
  n->grad = NULL;
  if (!r->desc->create_graph) AM_TRY(am_graph_release_to(r->g, mark, NULL, 0));
  if (!keep) am_node_free_saved(n);
  return AM_OK;
}

// ---- the whole ----

static am_err seed_outputs(grad_run *r) {
  const am_grad_desc *d = r->desc;
  char y_text[AM_SHAPE_TEXT], seed_text[AM_SHAPE_TEXT];
  for (int i = 0; i < d->y_count; i++) {
    am_tensor *y = d->y[i], *seed = d->seed ? d->seed[i] : NULL;
    if (!seed) {
      AM_CHECK(am_tensor_count(y) == 1, AM_ERR_ARG, "output %d is %s; only one element needs no seed", i,
               am_shape_text(y->shape, y_text));
      AM_TRY(am_fill(r->g, y->dtype, y->shape, 1, &seed));
    }
    AM_CHECK(am_shape_equal(seed->shape, y->shape), AM_ERR_ARG, "output %d is %s, its seed %s", i,
             am_shape_text(y->shape, y_text), am_shape_text(seed->shape, seed_text));
    AM_TRY(add_gradient(r, y, y->node, seed));
  }
  return AM_OK;
}

static am_err run_backward(grad_run *r) {
  AM_TRY(make_slots(r));
  AM_TRY(find_paths(r));
  AM_TRY(seed_outputs(r));
  for (int s = 0; s < r->slot_count; s++) {
    if (r->slot[s].pending == 0) AM_TRY(finish_slot(r, &r->slot[s]));
  }
  for (int64_t i = r->newest; i >= 0; i--) {
    am_node *n = am_graph_node(r->g, i);
    if (n->reached && on_path(r, n)) AM_TRY(run_node(r, n));
  }
  return hand_over(r);
}

am_err am_grad(am_graph *g, const am_grad_desc *desc, am_tensor **dx) {
  grad_run r = {.g = g, .desc = desc, .dx = dx, .newest = -1};
  // y and x keep their memory whatever is given back on the way.
  for (int i = 0; i < desc->y_count; i++) am_tensor_retain(desc->y[i]);
  for (int j = 0; j < desc->x_count; j++) am_tensor_retain(desc->x[j]);
  bool recording = g->recording;
  g->recording = desc->create_graph;
  am_err err = run_backward(&r);
  g->recording = recording;
  for (int64_t i = 0; err && i <= r.newest; i++) {  // what a failure left behind
    am_tensor_release(am_graph_node(g, i)->grad);
    am_graph_node(g, i)->grad = NULL;
  }
  for (int s = 0; s < r.slot_count; s++) am_tensor_release(r.slot[s].grad);
  for (int i = 0; i < desc->y_count; i++) am_tensor_release(desc->y[i]);
  for (int j = 0; j < desc->x_count; j++) am_tensor_release(desc->x[j]);
  free(r.slot);
  free(r.slot_of);
  free(r.first);
  free(r.next);
  return err;
}
