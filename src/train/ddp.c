#include "train/ddp.h"

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "dist/collective.h"
#include "train/buckets.h"
#include "train/gradient_sum.h"

enum { BUCKET_ELEMENTS = 1 << 20 };  // 4 MB: large enough for the network, small enough to overlap

struct am_ddp {
  am_comm *comm;       // borrowed
  am_params *params;   // borrowed
  const char *reduce;  // borrowed: "ordered" | "fast"
  int64_t slices, first, local;
  int leaf_count;
  am_tensor **flat;   // owned: flat gradients of local slice k
  am_tensor ***sink;  // owned: views into flat[k]
  am_buckets buckets;
  int64_t begun;               // buckets 0 .. begun-1 are being summed
  const am_gradient_sum *sum;  // NULL before the first update
  void *summing;               // owned: sum's
  am_err failed;               // of a sum begun by am_ddp_ready
  am_err_record failure;
};

// ---- making ----

// Slice 0 of this rank uses the network's own gradients: with one slice nothing is copied.
static am_err make_sinks(am_ddp *d) {
  int count;
  am_tensor *const *leaf = am_params_leaves(d->params, &count);
  am_tensor *const *view = am_params_grad_views(d->params, &count);
  am_tensor *grads = am_params_grads(d->params);
  d->leaf_count = count;
  AM_TRY(AM_NEW_ARRAY(&d->flat, d->local));
  AM_TRY(AM_NEW_ARRAY(&d->sink, d->local));
  for (int64_t k = 0; k < d->local; k++) {
    if (k == 0) {
      d->flat[k] = am_tensor_retain(grads);
    } else {
      AM_TRY(am_tensor_zeros(grads->device, grads->dtype, grads->shape, &d->flat[k]));
    }
    AM_TRY(AM_NEW_ARRAY(&d->sink[k], count));
    for (int j = 0; j < count; j++) {
      int64_t at = (int64_t)((view[j]->offset_bytes - grads->offset_bytes) / am_dtype_size(grads->dtype));
      AM_TRY(am_tensor_view(d->flat[k], at, leaf[j]->shape, &d->sink[k][j]));
    }
  }
  return AM_OK;
}

static am_err make_buckets(am_ddp *d) {
  am_err err = AM_OK;
  int count;
  int64_t *elements = NULL;
  am_tensor *const *leaf = am_params_leaves(d->params, &count);
  AM_TRY(AM_NEW_ARRAY(&elements, count));
  for (int j = 0; j < count; j++) elements[j] = am_tensor_count(leaf[j]);
  err = am_buckets_init(&d->buckets, elements, count, BUCKET_ELEMENTS);
  free(elements);
  return err;
}

am_err am_ddp_new(am_comm *c, am_params *ps, int64_t slices, const char *reduce, am_ddp **out) {
  am_err err = AM_OK;
  am_ddp *d = NULL;
  const am_tensor *values = am_params_values(ps);
  AM_CHECK(values->dtype == AM_F32, AM_ERR_UNSUPPORTED, "gradients of type %s cannot be reduced",
           am_dtype_name(values->dtype));
  AM_TRY(AM_NEW(&d));
  d->comm = c;
  d->params = ps;
  d->reduce = reduce;
  d->slices = slices;
  am_partition(slices, am_comm_size(c), am_comm_rank(c), &d->first, &d->local);
  AM_GO(done, make_sinks(d));
  AM_GO(done, make_buckets(d));
  *out = d;
  d = NULL;
done:
  am_ddp_free(d);
  return err;
}

void am_ddp_free(am_ddp *d) {
  if (!d) return;
  if (d->sum) d->sum->close(d->summing);
  for (int64_t k = 0; k < d->local; k++) {
    for (int j = 0; d->sink && d->sink[k] && j < d->leaf_count; j++) am_tensor_release(d->sink[k][j]);
    if (d->sink) free(d->sink[k]);
    if (d->flat) am_tensor_release(d->flat[k]);
  }
  free(d->sink);
  free(d->flat);
  am_buckets_fini(&d->buckets);
  free(d);
}

void am_ddp_slices(const am_ddp *d, int64_t *first, int64_t *count) {
  *first = d->first;
  *count = d->local;
}

void am_ddp_slice_rows(const am_ddp *d, int64_t rows, int64_t k, int64_t *first, int64_t *count) {
  am_partition(rows, d->slices, d->first + k, first, count);
}

void am_ddp_rows(const void *ddp, int64_t rows, int64_t *first, int64_t *end) {
  const am_ddp *d = ddp;
  *first = *end = 0;
  for (int64_t k = 0; k < d->local; k++) {
    int64_t begin, count;
    am_ddp_slice_rows(d, rows, k, &begin, &count);
    if (k == 0) *first = begin;
    *end = begin + count;
  }
}

am_tensor *const *am_ddp_sinks(const am_ddp *d, int64_t k) { return d->sink[k]; }

// ---- summing ----

// One slice on one rank: the gradients are where they belong.
static bool is_single(const am_ddp *d) { return d->slices == 1 && am_comm_size(d->comm) == 1; }

// Every rank comes here in its first update, also one whose backward pass failed.
static am_err open_sum(am_ddp *d) {
  const am_gradient_sum *sum = NULL;
  const am_gradient_slices g = {.comm = d->comm,
                                .local = d->flat,
                                .slices = d->slices,
                                .first = d->first,
                                .count = d->local,
                                .out = am_params_grads(d->params)};
  AM_TRY(am_gradient_sum_choose(&g, d->reduce, &sum));
  AM_TRY(sum->open(&g, &d->summing));
  d->sum = sum;
  return AM_OK;
}

static am_err begin_up_to(am_ddp *d, int64_t end) {
  if (!d->sum) AM_TRY(open_sum(d));
  for (; d->begun < end; d->begun++) {
    const am_bucket *b = &d->buckets.item[d->begun];
    AM_TRY(d->sum->begin(d->summing, b->first, b->count));
  }
  return AM_OK;
}

void am_ddp_ready(void *ddp, int leaf) {
  am_ddp *d = ddp;
  if (is_single(d)) return;
  am_buckets_mark(&d->buckets, leaf);
  if (d->failed) return;
  d->failed = begin_up_to(d, d->buckets.ready);
  if (!d->failed) d->failed = d->sum->progress(d->summing);
  if (d->failed) d->failure = *am_err_last();
}

// Begins what is left, even of a failed backward pass, and waits for all.
static am_err finish(am_ddp *d) {
  if (!d->failed) d->failed = begin_up_to(d, d->buckets.count);
  if (d->failed && !d->failure.code) d->failure = *am_err_last();
  am_err err = d->failed;
  am_err waited = d->sum ? d->sum->wait(d->summing) : AM_OK;
  if (err) am_err_restore(&d->failure);
  if (!err) err = waited;
  if (err) am_comm_abandon(d->comm);  // the others may wait for sums that this rank did not begin
  am_buckets_reset(&d->buckets);
  d->begun = 0;
  d->failed = AM_OK;
  d->failure = (am_err_record){0};
  return err;
}

am_err am_ddp_join(am_ddp *d, am_err mine) {
  if (is_single(d)) return mine;
  am_err_record origin = *am_err_last();
  am_err reduced = finish(d);
  if (mine == AM_OK) return reduced;
  am_err_restore(&origin);
  return mine;
}

// ---- state of rank 0 ----

static am_err share_counters(am_ddp *d) {
  am_err err = AM_OK;
  int64_t count = am_params_count(d->params);
  int64_t *counter = NULL;
  AM_GO(done, AM_NEW_ARRAY(&counter, count));
  for (int64_t i = 0; i < count; i++) counter[i] = am_params_at(d->params, i)->counter;
  AM_GO(done, am_comm_bcast(d->comm, counter, (size_t)count * sizeof *counter, 0));
  for (int64_t i = 0; i < count; i++) am_params_at(d->params, i)->counter = counter[i];
done:
  free(counter);
  return err;
}

am_err am_ddp_share_buffers(am_ddp *d) {
  am_tensor *buffers = am_params_buffers(d->params);
  if (!buffers || am_comm_size(d->comm) == 1) return AM_OK;
  am_err err = AM_OK;
  char *host = NULL;
  size_t bytes = (size_t)am_tensor_count(buffers) * am_dtype_size(buffers->dtype);
  AM_GO(done, am_mem_alloc(&host, (int64_t)bytes, 1));
  AM_GO(done, am_tensor_to_host(buffers, host));
  AM_GO(done, am_comm_bcast(d->comm, host, bytes, 0));
  if (am_comm_rank(d->comm) != 0) AM_GO(done, am_tensor_copy_from_host(buffers, host));
  AM_GO(done, share_counters(d));
done:
  free(host);
  return err;
}

// Of the trainable weights, brought to the host piece by piece.
static am_err hash_values(const am_ddp *d, uint32_t *out) {
  enum { PIECE = 1 << 18 };
  am_err err = AM_OK;
  float *host = NULL;
  am_tensor *values = am_params_values(d->params), *piece = NULL;
  int64_t total = am_tensor_count(values);
  AM_TRY(AM_NEW_ARRAY(&host, am_min_i64(PIECE, total)));
  *out = 0;
  for (int64_t at = 0; at < total; at += PIECE) {
    int64_t count = am_min_i64(PIECE, total - at);
    AM_GO(done, am_tensor_view(values, at, AM_SHAPE(count), &piece));
    AM_GO(done, am_tensor_to_host(piece, host));
    *out = am_crc32c(*out, host, (size_t)count * sizeof *host);
    am_tensor_release(piece);
    piece = NULL;
  }
done:
  am_tensor_release(piece);
  free(host);
  return err;
}

am_err am_ddp_check_equal(am_ddp *d) {
  int size = am_comm_size(d->comm);
  if (size == 1) return AM_OK;
  am_err err = AM_OK;
  uint32_t *all = NULL;
  uint32_t mine = 0;
  err = AM_NEW_ARRAY(&all, size);
  if (!err) err = hash_values(d, &mine);
  AM_GO(done, am_agree(d->comm, err));
  AM_GO(done, am_comm_all_gather(d->comm, &mine, sizeof mine, all));
  for (int r = 1; r < size; r++) {
    AM_CHECK_GO(done, all[r] == all[0], AM_ERR_DEVICE,
                "the weights of rank %d of %d in this training differ from those of rank 0: "
                "a fault of memory, processor or library",
                r, size);
  }
done:
  free(all);
  return err;
}
