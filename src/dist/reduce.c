// The tree sum of slices over ranks, in the background.
//
// Slices sit at positions 0..S-1. Position i absorbs i + stride for stride 1, 2, 4 ..: a fixed
// binary tree. A rank adds its own slices as far as whole subtrees reach; what is left are its
// nodes. Then, for count elements cut into one chunk a rank:
//   exchange   every node's chunk r goes to rank r
//   add        rank r adds the nodes of all ranks over its chunk, in tree order
//   gather     the sums go back to everybody
// Each element is sent twice, as in any all-reduce, and always added in the same order.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "dist/collective.h"
#include "dist/comm_internal.h"

typedef struct {
  size_t bytes;
  MPI_Datatype type;
  void (*add)(void *sum, const void *other, int64_t n);  // sum += other
} element;

typedef struct {
  int64_t at;  // position in the tree
  char *data;  // borrowed: first element
} node;

typedef enum { EXCHANGE, GATHER, DONE } phase;

struct am_reduction {
  am_comm *comm;  // borrowed
  const element *element;
  int64_t slices, count;
  char *out;  // borrowed
  phase phase;
  int gather_tag;
  node *node;  // owned; of all ranks, over this rank's chunk
  int64_t node_count, node_capacity;
  node *own;  // owned; of this rank, over all elements
  int64_t own_count, own_capacity;
  char *scratch;  // owned: chunks received from others
  int64_t scratch_capacity;
  MPI_Request *request;  // owned; receives first
  int64_t request_count, receive_count, request_capacity;
  struct am_reduction *next;  // in the communicator's idle list
};

static void add_f32(void *sum, const void *other, int64_t n) {
  float *restrict a = sum;
  const float *restrict b = other;
  for (int64_t i = 0; i < n; i++) a[i] += b[i];
}

static void add_f64(void *sum, const void *other, int64_t n) {
  double *restrict a = sum;
  const double *restrict b = other;
  for (int64_t i = 0; i < n; i++) a[i] += b[i];
}

// ---- the tree ----

// Adds nodes (ascending positions, covering [.., end) of `slices`) pairwise as far as the tree
// allows; the list shrinks to the roots that remain. A node is whole when its subtree ends before
// `end`, or when nothing follows at all. With element NULL only positions are worked out.
static void fold(node *list, int64_t *list_count, int64_t end, int64_t slices, const element *e,
                 int64_t count) {
  enum { BLOCK = 4096 };  // elements: both operands stay in the first-level cache
  for (int64_t stride = 1; stride < slices; stride *= 2) {
    int64_t kept = 0;
    for (int64_t i = 0; i < *list_count; i++) {
      bool pair = i + 1 < *list_count && list[i].at % (2 * stride) == 0 &&
                  list[i + 1].at == list[i].at + stride && (list[i + 1].at + stride <= end || end == slices);
      list[kept++] = list[i];
      if (!pair) continue;
      for (int64_t b = 0; e && b < count; b += BLOCK) {
        size_t offset = (size_t)b * e->bytes;
        e->add(list[i].data + offset, list[i + 1].data + offset, am_min_i64(BLOCK, count - b));
      }
      i++;
    }
    *list_count = kept;
  }
}

am_err am_tree_fold(int64_t slices, int64_t first, int64_t count, am_tree_add add, void *user) {
  int64_t end = first + count;
  for (int64_t stride = 1; stride < slices; stride *= 2) {
    int64_t pair = 2 * stride;
    for (int64_t to = (first + pair - 1) / pair * pair; to + stride < end; to += pair) {
      if (to + pair <= end || end == slices) AM_TRY(add(user, to - first, to + stride - first));
    }
  }
  return AM_OK;
}

// The nodes a rank is left with once its own slices are folded.
static am_err nodes_of(const am_reduction *r, int rank, node **list, int64_t *capacity, int64_t *count) {
  int64_t first;
  am_partition(r->slices, r->comm->size, rank, &first, count);
  AM_TRY(AM_GROW(list, capacity, *count));
  for (int64_t k = 0; k < *count; k++) (*list)[k] = (node){.at = first + k};
  fold(*list, count, first + *count, r->slices, NULL, 0);
  return AM_OK;
}

static int compare_position(const void *a, const void *b) {
  int64_t x = ((const node *)a)->at, y = ((const node *)b)->at;
  return x < y ? -1 : x > y;
}

// ---- messages ----

enum { GATHER_TAG = 1024, GATHER_TAGS = 16384 };  // exchange tags are node numbers, far below

static am_err receive(am_reduction *r, void *data, int64_t count, int from, int tag) {
  AM_TRY(AM_GROW(&r->request, &r->request_capacity, r->request_count + 1));
  AM_TRY_MPI(
      MPI_Irecv(data, (int)count, r->element->type, from, tag, r->comm->mpi, &r->request[r->request_count]));
  r->request_count++;
  r->receive_count++;
  return AM_OK;
}

static am_err send(am_reduction *r, const void *data, int64_t count, int to, int tag) {
  AM_TRY(AM_GROW(&r->request, &r->request_capacity, r->request_count + 1));
  AM_TRY_MPI(
      MPI_Isend(data, (int)count, r->element->type, to, tag, r->comm->mpi, &r->request[r->request_count]));
  r->request_count++;
  return AM_OK;
}

static void chunk_of(const am_reduction *r, int rank, int64_t *first, int64_t *count) {
  am_partition(r->count, r->comm->size, rank, first, count);
}

// Posts the receives of everybody's nodes over my chunk, then sends my nodes over theirs.
static am_err begin_exchange(am_reduction *r) {
  am_comm *c = r->comm;
  const size_t bytes = r->element->bytes;
  int64_t first, chunk, remote = 0;
  chunk_of(r, c->rank, &first, &chunk);
  r->node_count = 0;
  for (int k = 0; k < c->size; k++) {
    if (k == c->rank) continue;
    node *list = NULL;
    int64_t capacity = 0, count = 0;
    am_err err = nodes_of(r, k, &list, &capacity, &count);
    if (!err) err = AM_GROW(&r->node, &r->node_capacity, r->node_count + count);
    for (int64_t j = 0; j < count && !err; j++) r->node[r->node_count++] = (node){.at = list[j].at};
    free(list);
    if (err) return err;
    remote += count;
  }
  AM_TRY(AM_GROW(&r->scratch, &r->scratch_capacity, remote * chunk * (int64_t)bytes));
  for (int64_t j = 0; j < remote; j++) r->node[j].data = r->scratch + (size_t)(j * chunk) * bytes;
  int64_t next = 0;
  for (int k = 0; k < c->size; k++) {
    if (k == c->rank) continue;
    int64_t slice_first, slice_count;
    am_partition(r->slices, c->size, k, &slice_first, &slice_count);
    for (int tag = 0; next < remote && r->node[next].at < slice_first + slice_count; tag++, next++) {
      if (chunk) AM_TRY(receive(r, r->node[next].data, chunk, k, tag));
    }
  }
  for (int k = 0; k < c->size; k++) {
    int64_t their_first, their_chunk;
    chunk_of(r, k, &their_first, &their_chunk);
    for (int64_t j = 0; j < r->own_count && k != c->rank && their_chunk; j++) {
      AM_TRY(send(r, r->own[j].data + (size_t)their_first * bytes, their_chunk, k, (int)j));
    }
  }
  AM_TRY(AM_GROW(&r->node, &r->node_capacity, r->node_count + r->own_count));
  for (int64_t j = 0; j < r->own_count; j++) {
    r->node[r->node_count++] = (node){.at = r->own[j].at, .data = r->own[j].data + (size_t)first * bytes};
  }
  return AM_OK;
}

// All exchanged: adds over my chunk and hands the sum to everybody.
static am_err begin_gather(am_reduction *r) {
  am_comm *c = r->comm;
  const size_t bytes = r->element->bytes;
  int64_t first, chunk;
  chunk_of(r, c->rank, &first, &chunk);
  qsort(r->node, (size_t)r->node_count, sizeof *r->node, compare_position);
  fold(r->node, &r->node_count, r->slices, r->slices, r->element, chunk);
  char *mine = r->out + (size_t)first * bytes;
  if (chunk && r->node[0].data != mine) memcpy(mine, r->node[0].data, (size_t)chunk * bytes);
  r->request_count = r->receive_count = 0;
  r->phase = GATHER;
  for (int k = 0; k < c->size; k++) {
    int64_t their_first, their_chunk;
    chunk_of(r, k, &their_first, &their_chunk);
    if (k == c->rank || their_chunk == 0) continue;
    AM_TRY(receive(r, r->out + (size_t)their_first * bytes, their_chunk, k, r->gather_tag));
  }
  for (int k = 0; k < c->size; k++) {
    if (k != c->rank && chunk) AM_TRY(send(r, mine, chunk, k, r->gather_tag));
  }
  return AM_OK;
}

// The requests of this phase are complete.
static am_err next_phase(am_reduction *r) {
  if (r->phase == EXCHANGE) return begin_gather(r);
  r->phase = DONE;
  return AM_OK;
}

// ---- life of a reduction ----

static void reduction_free(am_reduction *r) {
  if (!r) return;
  free(r->node);
  free(r->own);
  free(r->scratch);
  free(r->request);
  free(r);
}

void am_reductions_free(am_comm *c) {
  while (c->idle) {
    am_reduction *r = c->idle;
    c->idle = r->next;
    reduction_free(r);
  }
}

// One that was finished before, with its buffers, or a new one.
static am_err reduction_take(am_comm *c, am_reduction **out) {
  if (c->idle) {
    *out = c->idle;
    c->idle = (*out)->next;
    return AM_OK;
  }
  return AM_NEW(out);
}

static am_err fold_own(am_reduction *r, void *const *local) {
  int64_t first, count;
  am_partition(r->slices, r->comm->size, r->comm->rank, &first, &count);
  AM_TRY(AM_GROW(&r->own, &r->own_capacity, count));
  for (int64_t k = 0; k < count; k++) r->own[k] = (node){.at = first + k, .data = local[k]};
  r->own_count = count;
  fold(r->own, &r->own_count, first + count, r->slices, r->element, r->count);
  return AM_OK;
}

static am_err begin(am_comm *c, const element *e, void *const *local, int64_t slices, int64_t count,
                    void *out, am_reduction **result) {
  AM_TRY(am_comm_usable(c));
  AM_CHECK(slices >= 1 && count >= 0 && count <= INT32_MAX, AM_ERR_ARG,
           "reducing %lld slices of %lld elements: from 1 slice and at most %d elements", (long long)slices,
           (long long)count, INT32_MAX);
  am_reduction *r = NULL;
  am_err err = AM_OK;
  AM_GO(done, reduction_take(c, &r));
  r->comm = c;
  r->element = e;
  r->slices = slices;
  r->count = count;
  r->out = out;
  r->phase = EXCHANGE;
  r->request_count = r->receive_count = 0;
  r->gather_tag = GATHER_TAG + c->reduction_count++ % GATHER_TAGS;
  AM_GO(done, fold_own(r, local));
  if (c->size == 1) {
    if (r->own[0].data != out) memcpy(out, r->own[0].data, (size_t)count * e->bytes);
    r->phase = DONE;
  } else {
    AM_GO(done, begin_exchange(r));
  }
  *result = r;
  return AM_OK;
done:
  c->broken = c->size > 1;
  return err;
}

am_err am_reduction_progress(am_reduction *r, bool *done) {
  while (r->phase != DONE) {
    int complete = 0;
    AM_TRY_MPI(MPI_Testall((int)r->request_count, r->request, &complete, MPI_STATUSES_IGNORE));
    if (!complete) break;
    AM_TRY(next_phase(r));
  }
  *done = r->phase == DONE;
  return AM_OK;
}

// Late messages must not land in buffers that their owner frees while it unwinds.
static void abandon(am_reduction *r) {
  for (int64_t i = 0; i < r->receive_count; i++) {
    if (r->request[i] != MPI_REQUEST_NULL) MPI_Cancel(&r->request[i]);
  }
  // r itself stays allocated: MPI may still look at its sends.
}

am_err am_reduction_wait(am_reduction *r) {
  if (!r) return AM_OK;
  am_comm *c = r->comm;
  am_err err = AM_OK;
  while (r->phase != DONE) {
    AM_GO(done, am_comm_wait(c, (int)r->request_count, r->request, "a reduction"));
    AM_GO(done, next_phase(r));
  }
  r->next = c->idle;
  c->idle = r;
  return AM_OK;
done:
  abandon(r);
  return err;
}

static const element f32_element = {sizeof(float), MPI_FLOAT, add_f32};
static const element f64_element = {sizeof(double), MPI_DOUBLE, add_f64};

am_err am_reduction_begin(am_comm *c, float *const *local, int64_t slices, int64_t count, float *out,
                          am_reduction **r) {
  return begin(c, &f32_element, (void *const *)local, slices, count, out, r);
}

static am_err reduce_now(am_comm *c, const element *e, void *const *local, int64_t slices, int64_t count,
                         void *out) {
  am_reduction *r = NULL;
  AM_TRY(begin(c, e, local, slices, count, out, &r));
  return am_reduction_wait(r);
}

am_err am_reduce_slices_f32(am_comm *c, float *const *local, int64_t slices, int64_t count, float *out) {
  return reduce_now(c, &f32_element, (void *const *)local, slices, count, out);
}

am_err am_reduce_slices_f64(am_comm *c, double *const *local, int64_t slices, int64_t count, double *out) {
  return reduce_now(c, &f64_element, (void *const *)local, slices, count, out);
}
