#include "train/gradient_sum.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "dist/collective.h"
#include "tensor/backend.h"

static am_device *device_of(const am_gradient_slices *g) { return g->out->device; }

// ---- the fixed tree on host memory: host, staged ----

typedef struct {
  int64_t first, elements;
  am_reduction *running;  // owned by the communicator
} part;

typedef struct {
  am_gradient_slices g;
  float **base;   // owned: host memory of each local slice
  float **chunk;  // owned: start of a part in each
  float *out;     // borrowed: host memory of the sum
  float *stage;   // owned by the device: (max(count, 1), elements); NULL for host
  part *part;     // owned
  int64_t part_count, part_capacity;
} tree;

static void tree_close(void *self) {
  tree *t = self;
  if (!t) return;
  am_device_free_host(device_of(&t->g), t->stage);
  free(t->base);
  free(t->chunk);
  free(t->part);
  free(t);
}

static am_err tree_new(const am_gradient_slices *g, tree **out) {
  am_err err = AM_OK;
  tree *t = NULL;
  AM_TRY(AM_NEW(&t));
  t->g = *g;
  AM_GO(failed, AM_NEW_ARRAY(&t->base, g->count));
  AM_GO(failed, AM_NEW_ARRAY(&t->chunk, g->count));
  *out = t;
  return AM_OK;
failed:
  tree_close(t);
  return err;
}

static am_err tree_begin(tree *t, int64_t first, int64_t elements) {
  part p = {.first = first, .elements = elements};
  AM_TRY(AM_GROW(&t->part, &t->part_capacity, t->part_count + 1));
  for (int64_t k = 0; k < t->g.count; k++) t->chunk[k] = t->base[k] + first;
  AM_TRY(am_reduction_begin(t->g.comm, t->chunk, t->g.slices, elements, t->out + first, &p.running));
  t->part[t->part_count++] = p;
  return AM_OK;
}

static am_err tree_progress(void *self) {
  tree *t = self;
  for (int64_t i = 0; i < t->part_count; i++) {
    bool done;
    AM_TRY(am_reduction_progress(t->part[i].running, &done));
  }
  return AM_OK;
}

// Waits for every part, and has `take` (may be NULL) see each that came.
static am_err tree_wait(tree *t, am_err (*take)(tree *, const part *)) {
  am_err err = AM_OK;
  for (int64_t i = 0; i < t->part_count; i++) {
    am_err mine = am_reduction_wait(t->part[i].running);
    if (!mine && !err && take) mine = take(t, &t->part[i]);
    if (!err) err = mine;
  }
  t->part_count = 0;
  return err;
}

// ---- host ----

static am_err host_open(const am_gradient_slices *g, void **self) {
  tree *t = NULL;
  AM_TRY(tree_new(g, &t));
  *self = t;
  return AM_OK;
}

// To be read or written by the ranks.
static float *host_data(am_tensor *t) {
  am_tensor_renew(t);
  return am_tensor_as_view(t).data;
}

static am_err host_begin(void *self, int64_t first, int64_t elements) {
  tree *t = self;
  for (int64_t k = 0; k < t->g.count; k++) t->base[k] = host_data(t->g.local[k]);
  t->out = host_data(t->g.out);
  return tree_begin(t, first, elements);
}

static am_err host_wait(void *self) { return tree_wait(self, NULL); }

const am_gradient_sum am_gradient_sum_host = {.name = "host",
                                              .open = host_open,
                                              .begin = host_begin,
                                              .progress = tree_progress,
                                              .wait = host_wait,
                                              .close = tree_close};

// ---- staged ----

static am_err staged_open(const am_gradient_slices *g, void **self) {
  am_err err = AM_OK;
  tree *t = NULL;
  int64_t elements = am_tensor_count(g->out), rows = am_max_i64(g->count, 1);
  AM_TRY(tree_new(g, &t));
  AM_GO(failed, am_device_alloc_host(device_of(g), (size_t)(rows * elements) * sizeof(float), &t->stage));
  for (int64_t k = 0; k < g->count; k++) t->base[k] = t->stage + k * elements;
  t->out = t->stage;
  *self = t;
  return AM_OK;
failed:
  tree_close(t);
  return err;
}

// Elements first .. first+elements of flat gradients.
static am_err view_of(am_tensor *flat, int64_t first, int64_t elements, am_tensor **out) {
  return am_tensor_view(flat, first, AM_SHAPE(elements), out);
}

static am_err staged_begin(void *self, int64_t first, int64_t elements) {
  tree *t = self;
  for (int64_t k = 0; k < t->g.count; k++) {
    am_tensor *view = NULL;
    AM_TRY(view_of(t->g.local[k], first, elements, &view));
    am_err err = am_tensor_to_host(view, t->base[k] + first);
    am_tensor_release(view);
    AM_TRY(err);
  }
  return tree_begin(t, first, elements);
}

static am_err copy_back(tree *t, const part *p) {
  am_tensor *view = NULL;
  AM_TRY(view_of(t->g.out, p->first, p->elements, &view));
  am_err err = am_tensor_copy_from_host(view, t->out + p->first);
  am_tensor_release(view);
  return err;
}

static am_err staged_wait(void *self) { return tree_wait(self, copy_back); }

const am_gradient_sum am_gradient_sum_staged = {.name = "staged",
                                                .open = staged_open,
                                                .begin = staged_begin,
                                                .progress = tree_progress,
                                                .wait = staged_wait,
                                                .close = tree_close};

// ---- additions on the device: device, nccl ----

typedef struct {
  const am_gradient_slices *g;  // borrowed
  int64_t first, elements;
  bool *added;  // borrowed: slices of this rank that are part of another one's sum; may be NULL
} fold;

// An am_tree_add.
static am_err add_slice(void *user, int64_t to, int64_t from) {
  fold *f = user;
  am_err err = AM_OK;
  am_tensor *sum = NULL, *other = NULL;
  AM_GO(done, view_of(f->g->local[to], f->first, f->elements, &sum));
  AM_GO(done, view_of(f->g->local[from], f->first, f->elements, &other));
  AM_GO(done, am_dispatch(sum->device, AM_OP_axpby, &(am_axpby_desc){.a = 1, .b = 1}, &other, &sum));
  if (f->added) f->added[from] = true;
done:
  am_tensor_release(sum);
  am_tensor_release(other);
  return err;
}

static am_err device_open(const am_gradient_slices *g, void **self) {
  am_gradient_slices *mine = NULL;
  AM_TRY(AM_NEW(&mine));
  *mine = *g;
  *self = mine;
  return AM_OK;
}

static am_err device_begin(void *self, int64_t first, int64_t elements) {
  const am_gradient_slices *g = self;
  fold f = {.g = g, .first = first, .elements = elements};
  return am_tree_fold(g->slices, g->first, g->count, add_slice, &f);
}

// Whatever the device is told next comes after it.
static am_err device_wait(void *self) { return AM_OK; }

const am_gradient_sum am_gradient_sum_device = {.name = "device",
                                                .open = device_open,
                                                .begin = device_begin,
                                                .progress = device_wait,
                                                .wait = device_wait,
                                                .close = free};

// ---- nccl ----

typedef struct {
  am_gradient_slices g;
  const am_backend_collective *api;          // borrowed: a constant table
  void *group;                               // owned; NULL before the cards have met
  bool *added;                               // owned: see fold
  part *part;                                // owned: begun by the caller
  int64_t part_count, part_capacity, given;  // parts 0 .. given-1 are with the library
} cards;

static const char what_is_waited_for[] = "sums of gradients on the cards";

static void cards_close(void *self) {
  cards *c = self;
  if (!c) return;
  const am_err_record unwinding = *am_err_last();
  if (c->group && am_comm_abandoned(c->g.comm)) c->api->abort(c->group);
  if (c->group) c->api->close(c->group);
  am_err_restore(&unwinding);
  free(c->added);
  free(c->part);
  free(c);
}

// The backend's waits: as long as a wait between ranks, and with one eye on them.
static am_err wait_for_cards(void *user, am_device_poll poll, void *self) {
  return am_comm_wait_for(user, poll, self, what_is_waited_for);
}

static am_err meet(cards *c, void *ctx) {
  am_comm *comm = c->g.comm;
  unsigned char id[AM_GROUP_ID_BYTES] = {0};
  const am_device_waiter waiter = {.until = wait_for_cards, .user = comm};
  if (am_comm_rank(comm) == 0) AM_TRY(c->api->make_id(ctx, id));
  AM_TRY(am_comm_bcast(comm, id, sizeof id, 0));
  AM_TRY(c->api->open(ctx, id, am_comm_rank(comm), am_comm_size(comm), &waiter, &c->group));
  return am_comm_wait_for(comm, c->api->poll, c->group, "the cards of the other ranks");
}

static am_err nccl_open(const am_gradient_slices *g, void **self) {
  am_err err = AM_OK;
  cards *c = NULL;
  void *ctx = NULL;
  const am_backend_collective *api = am_device_collective(device_of(g), &ctx);
  AM_TRY(AM_NEW(&c));
  c->g = *g;
  c->api = api;
  AM_GO(failed, AM_NEW_ARRAY(&c->added, g->count));
  AM_GO(failed, meet(c, ctx));
  *self = c;
  return AM_OK;
failed:
  am_comm_abandon(g->comm);
  cards_close(c);
  return err;
}

static am_err clear(am_tensor *flat, int64_t first, int64_t elements) {
  am_fill_desc zero = {.shape = AM_SHAPE(elements), .dtype = AM_F32};
  am_tensor *view = NULL, *out = NULL;
  AM_TRY(view_of(flat, first, elements, &view));
  am_err err = am_dispatch_into(flat->device, AM_OP_fill, &zero, NULL, &view, &out);
  AM_ASSERT(err || out == view);
  am_tensor_release(view);
  am_tensor_release(out);
  return err;
}

// This rank's slices into one; a rank without slices adds zeros.
static am_err sum_own(const cards *c, int64_t first, int64_t elements) {
  const am_gradient_slices *g = &c->g;
  fold f = {.g = g, .first = first, .elements = elements, .added = c->added};
  if (g->count == 0) return clear(g->out, first, elements);
  memset(c->added, 0, (size_t)g->count * sizeof *c->added);
  AM_TRY(am_tree_fold(g->slices, g->first, g->count, add_slice, &f));
  for (int64_t k = 1; k < g->count; k++) {
    if (!c->added[k]) AM_TRY(add_slice(&f, 0, k));
  }
  return AM_OK;
}

// An am_comm_poll: hands over parts as fast as the library takes them. *done: it has them all.
static am_err hand_over(void *self, bool *done) {
  cards *c = self;
  *done = false;
  for (;;) {
    bool ready = false;
    AM_TRY(c->api->poll(c->group, &ready));
    if (!ready) return AM_OK;
    if (c->given == c->part_count) break;
    const part *p = &c->part[c->given++];
    float *data = am_tensor_as_view(c->g.out).data;  // the device's address: for the library alone
    AM_TRY(c->api->all_reduce(c->group, data + p->first, p->elements));
  }
  *done = true;
  return AM_OK;
}

static am_err nccl_progress(void *self) {
  bool done;
  return hand_over(self, &done);
}

static am_err nccl_begin(void *self, int64_t first, int64_t elements) {
  cards *c = self;
  AM_TRY(sum_own(c, first, elements));
  AM_TRY(AM_GROW(&c->part, &c->part_capacity, c->part_count + 1));
  c->part[c->part_count++] = (part){.first = first, .elements = elements};
  return nccl_progress(c);
}

static am_err nccl_wait(void *self) {
  cards *c = self;
  am_err err =
      am_comm_abandoned(c->g.comm) ? AM_FAIL(AM_ERR_PEER, "the cards of this group lost each other") : AM_OK;
  if (!err) err = am_comm_wait_for(c->g.comm, hand_over, c, what_is_waited_for);
  if (!err) err = c->api->join(c->group);
  if (err) c->api->abort(c->group);
  am_tensor_renew(c->g.out);
  c->part_count = c->given = 0;
  return err;
}

const am_gradient_sum am_gradient_sum_nccl = {.name = "nccl",
                                              .open = nccl_open,
                                              .begin = nccl_begin,
                                              .progress = nccl_progress,
                                              .wait = nccl_wait,
                                              .close = cards_close};

// ---- which way ----

typedef struct {
  char host[64];
  char card[AM_CARD_TEXT];  // "": the backend cannot sum with others
} seat;

static void say_once(const am_comm *c, const char *reason) {
  static bool said;
  if (!said && am_comm_rank(c) == 0)
    AM_INFO("reduce: fast: %s; gradients are added on the host, in fixed order", reason);
  said = true;
}

// NULL, or why the ranks cannot sum on their cards.
static const char *stands_against(const seat *all, int size, char text[256]) {
  for (int r = 0; r < size; r++) {
    if (!all[r].card[0]) return "this build's devices cannot reach each other";
    for (int k = 0; k < r; k++) {
      if (strcmp(all[k].card, all[r].card) != 0 || strcmp(all[k].host, all[r].host) != 0) continue;
      snprintf(text, 256, "ranks %d and %d share card %s of %s", k, r, all[r].card, all[r].host);
      return text;
    }
  }
  return NULL;
}

static am_err choose_fast(const am_gradient_slices *g, const am_gradient_sum **out) {
  am_err err = AM_OK;
  void *ctx = NULL;
  const am_backend_collective *api = am_device_collective(device_of(g), &ctx);
  seat mine = {0}, *all = NULL;
  char text[256];
  snprintf(mine.host, sizeof mine.host, "%s", am_comm_host(g->comm));
  if (api) AM_GO(done, api->card(ctx, mine.card));
  AM_GO(done, AM_NEW_ARRAY(&all, am_comm_size(g->comm)));
  AM_GO(done, am_comm_all_gather(g->comm, &mine, sizeof mine, all));
  const char *reason = stands_against(all, am_comm_size(g->comm), text);
  if (reason) say_once(g->comm, reason);
  *out = reason ? &am_gradient_sum_staged : &am_gradient_sum_nccl;
done:
  free(all);
  return err;
}

am_err am_gradient_sum_choose(const am_gradient_slices *g, const char *reduce, const am_gradient_sum **out) {
  *out = &am_gradient_sum_host;
  if (am_device_host_memory(device_of(g))) return AM_OK;
  *out = am_comm_size(g->comm) == 1 ? &am_gradient_sum_device : &am_gradient_sum_staged;
  if (am_comm_size(g->comm) == 1 || strcmp(reduce, "ordered") == 0) return AM_OK;
  return choose_fast(g, out);
}
