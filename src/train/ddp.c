#include "train/ddp.h"

#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "dist/collective.h"

enum { BUCKET_ELEMENTS = 1 << 20 };  // 4 MB: large enough for the network, small enough to overlap

typedef struct {
  int64_t first, count;   // elements of the flat gradients
  int leaves, missing;    // gradients in it, and those not final yet in this update
  am_reduction *running;  // owned by the communicator
} bucket;

struct am_ddp {
  am_comm *comm;      // borrowed
  am_params *params;  // borrowed
  int64_t slices, first, local;
  int leaf_count;
  am_tensor **flat;   // owned: flat gradients of local slice k
  am_tensor ***sink;  // owned: views into flat[k]
  bucket *bucket;     // owned, last layers first
  int64_t bucket_count, bucket_capacity;
  int *bucket_of;  // owned: of each leaf
  int64_t begun;   // buckets 0 .. begun-1 are being reduced
  float **chunk;   // owned: start of a bucket in each local slice
  am_err failed;   // of a reduction begun by am_ddp_ready
  am_err_record failure;
};

// ---- making ----

// To be read or written by the ranks.
static float *host_data(am_tensor *t) {
  am_tensor_renew(t);
  return am_tensor_as_view(t).data;
}

// Slice 0 of this rank uses the network's own gradients: with one slice nothing is copied.
static am_err make_sinks(am_ddp *d) {
  int count;
  am_tensor *const *leaf = am_params_leaves(d->params, &count);
  am_tensor *const *view = am_params_grad_views(d->params, &count);
  am_tensor *grads = am_params_grads(d->params);
  d->leaf_count = count;
  AM_TRY(AM_NEW_ARRAY(&d->flat, d->local));
  AM_TRY(AM_NEW_ARRAY(&d->sink, d->local));
  AM_TRY(AM_NEW_ARRAY(&d->chunk, d->local));
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

// Leaves lie in flat storage in their order; buckets are filled from the last one down.
static am_err make_buckets(am_ddp *d) {
  int count;
  am_tensor *const *leaf = am_params_leaves(d->params, &count);
  int64_t end = am_params_trainable_elements(d->params);
  AM_TRY(AM_NEW_ARRAY(&d->bucket_of, count));
  for (int j = count - 1; j >= 0; j--) {
    bucket *b = d->bucket_count ? &d->bucket[d->bucket_count - 1] : NULL;
    if (!b || b->count >= BUCKET_ELEMENTS) {
      AM_TRY(AM_GROW(&d->bucket, &d->bucket_capacity, d->bucket_count + 1));
      b = &d->bucket[d->bucket_count++];
    }
    int64_t elements = am_tensor_count(leaf[j]);
    end -= elements;
    b->first = end;
    b->count += elements;
    b->leaves++;
    d->bucket_of[j] = (int)(d->bucket_count - 1);
  }
  for (int64_t i = 0; i < d->bucket_count; i++) d->bucket[i].missing = d->bucket[i].leaves;
  return AM_OK;
}

am_err am_ddp_new(am_comm *c, am_params *ps, int64_t slices, am_ddp **out) {
  am_err err = AM_OK;
  am_ddp *d = NULL;
  const am_tensor *values = am_params_values(ps);
  // A card needs a reduction of its own; until there is one, only a single slice runs there.
  AM_CHECK(slices * am_comm_size(c) == 1 || strcmp(am_device_kind(values->device), "cuda") != 0,
           AM_ERR_UNSUPPORTED, "slices on several ranks are not supported on a cuda device");
  AM_CHECK(values->dtype == AM_F32, AM_ERR_UNSUPPORTED, "gradients of type %s cannot be reduced",
           am_dtype_name(values->dtype));
  AM_TRY(AM_NEW(&d));
  d->comm = c;
  d->params = ps;
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
  for (int64_t k = 0; k < d->local; k++) {
    for (int j = 0; d->sink && d->sink[k] && j < d->leaf_count; j++) am_tensor_release(d->sink[k][j]);
    if (d->sink) free(d->sink[k]);
    if (d->flat) am_tensor_release(d->flat[k]);
  }
  free(d->sink);
  free(d->flat);
  free(d->chunk);
  free(d->bucket);
  free(d->bucket_of);
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

// ---- reducing ----

// One slice on one rank: the gradients are where they belong.
static bool is_single(const am_ddp *d) { return d->slices == 1 && am_comm_size(d->comm) == 1; }

static am_err begin_bucket(am_ddp *d, bucket *b) {
  for (int64_t k = 0; k < d->local; k++) d->chunk[k] = host_data(d->flat[k]) + b->first;
  float *out = host_data(am_params_grads(d->params)) + b->first;
  return am_reduction_begin(d->comm, d->chunk, d->slices, b->count, out, &b->running);
}

static am_err begin_up_to(am_ddp *d, int64_t end) {
  for (; d->begun < end; d->begun++) AM_TRY(begin_bucket(d, &d->bucket[d->begun]));
  return AM_OK;
}

static am_err progress(am_ddp *d) {
  for (int64_t i = 0; i < d->begun; i++) {
    bool done;
    AM_TRY(am_reduction_progress(d->bucket[i].running, &done));
  }
  return AM_OK;
}

void am_ddp_ready(void *ddp, int leaf) {
  am_ddp *d = ddp;
  if (is_single(d)) return;
  d->bucket[d->bucket_of[leaf]].missing--;
  if (d->failed) return;
  int64_t complete = d->begun;
  while (complete < d->bucket_count && d->bucket[complete].missing == 0) complete++;
  d->failed = begin_up_to(d, complete);
  if (!d->failed) d->failed = progress(d);
  if (d->failed) d->failure = *am_err_last();
}

// Begins what is left, even of a failed backward pass, and waits for all.
static am_err finish(am_ddp *d) {
  am_err err = d->failed;
  if (err) am_err_restore(&d->failure);
  if (!err) err = begin_up_to(d, d->bucket_count);
  for (int64_t i = 0; i < d->begun; i++) {
    am_err waited = am_reduction_wait(d->bucket[i].running);
    if (!err) err = waited;
  }
  for (int64_t i = 0; i < d->bucket_count; i++) d->bucket[i].missing = d->bucket[i].leaves;
  d->begun = 0;
  d->failed = AM_OK;
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
  size_t bytes = (size_t)am_tensor_count(buffers) * am_dtype_size(buffers->dtype);
  AM_TRY(am_comm_bcast(d->comm, host_data(buffers), bytes, 0));
  return share_counters(d);
}

am_err am_ddp_check_equal(am_ddp *d) {
  int size = am_comm_size(d->comm);
  if (size == 1) return AM_OK;
  am_err err = AM_OK;
  uint32_t *all = NULL;
  am_tensor *values = am_params_values(d->params);
  size_t bytes = (size_t)am_tensor_count(values) * am_dtype_size(values->dtype);
  uint32_t mine = am_crc32c(0, host_data(values), bytes);
  AM_GO(done, am_agree(d->comm, AM_NEW_ARRAY(&all, size)));
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
