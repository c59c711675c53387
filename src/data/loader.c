// The loader: a ring of batches that workers fill row by row and the caller empties in order.
//
// Batches are numbered from the last seek: `taken` is the next to be delivered, `planned` the next to
// be planned, `filling` the one whose rows are handed out. Which rows make a batch depends only on
// (seed, epoch, step), so neither the number of workers nor their speed shows in what is delivered.
// Everything but pixels, which belong to one row and so to one worker, is guarded by the lock.
#include "data/loader.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "base/thread.h"

typedef struct {
  am_batch batch;         // its arrays are owned
  uint64_t *stream;       // owned: random stream of each row
  int64_t next_row, end;  // rows still to be handed out
  int64_t missing;        // rows not yet finished
  int64_t failed_row;     // lowest row that failed, or -1
  am_err_record failure;
} slot;

struct am_loader {
  am_dataset *data;  // borrowed
  am_loader_cfg cfg;
  int64_t count;        // items of the data set
  int64_t steps;        // batches per epoch
  int64_t row_floats;   // of the transform's result
  int64_t rows_a_turn;  // small rows are handed out several at a time
  double *prefix;       // owned: running sums of the weights, or NULL
  int64_t *order;       // owned: items of epoch order_epoch in order
  int64_t order_epoch;
  slot *ring;  // owned
  int64_t ring_size;
  am_transform_work *work;  // owned: one for each worker (one at least)
  int work_count;
  am_crew *crew;  // owned; NULL without workers

  pthread_mutex_t lock;
  pthread_cond_t work_here, batch_ready, all_idle;
  int64_t taken, planned, filling;
  int64_t plan_epoch, plan_step;  // position of batch `planned`
  int busy;                       // workers that fill rows right now
  bool pausing, stopping;
};

// ---- what a batch holds ----

static int64_t weighted_draw(const am_loader *l, am_rng *rng) {
  double x = am_rng_uniform(rng) * l->prefix[l->count - 1];
  int64_t low = 0, high = l->count - 1;  // the first item whose running sum exceeds x
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (l->prefix[middle] > x) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  while (low > 0 && l->prefix[low] == l->prefix[low - 1])
    low--;  // x rounded up to the total: not a weightless item
  return low;
}

static void order_epoch(am_loader *l, int64_t epoch) {
  if (l->order_epoch == epoch) return;
  if (l->prefix) {
    am_rng rng = am_rng_at(l->cfg.seed, AM_RNG_SAMPLER, (uint64_t)epoch);
    for (int64_t i = 0; i < l->count; i++) l->order[i] = weighted_draw(l, &rng);
  } else if (l->cfg.shuffle) {
    am_rng rng = am_rng_at(l->cfg.seed, AM_RNG_ORDER, (uint64_t)epoch);
    am_rng_permutation(&rng, l->order, l->count);
  } else {
    for (int64_t i = 0; i < l->count; i++) l->order[i] = i;
  }
  l->order_epoch = epoch;
}

// Decides what the next batch holds and opens its rows to the workers.
static void plan_batch(am_loader *l) {
  slot *s = &l->ring[l->planned % l->ring_size];
  order_epoch(l, l->plan_epoch);
  int64_t first = l->plan_step * l->cfg.batch_size, rows = am_min_i64(l->cfg.batch_size, l->count - first);
  s->batch.count = rows;
  s->batch.epoch = l->plan_epoch;
  s->batch.step = l->plan_step;
  s->batch.last = l->plan_step == l->steps - 1;
  for (int64_t r = 0; r < rows; r++) {
    int64_t item = l->order[first + r];
    // With replacement an item may come twice in an epoch: each draw then has a stream of its own.
    int64_t sample = l->prefix ? first + r : item;
    s->batch.item[r] = item;
    s->batch.label[r] = am_dataset_label(l->data, item);
    s->stream[r] = ((uint64_t)l->plan_epoch << 32) + (uint64_t)sample;
  }
  s->next_row = 0;
  s->end = rows;
  if (l->cfg.rows) l->cfg.rows(l->cfg.rows_user, rows, &s->next_row, &s->end);
  s->missing = s->end - s->next_row;
  s->failed_row = -1;
  if (s->missing == 0) pthread_cond_signal(&l->batch_ready);  // none of its rows are wanted here
  l->planned++;
  if (++l->plan_step == l->steps) {
    l->plan_step = 0;
    l->plan_epoch++;
  }
}

void am_transform_work_fini(am_transform_work *w) {
  am_image_fini(&w->fetched);
  for (int k = 0; k < AM_COUNT_OF(w->image); k++) am_image_fini(&w->image[k]);
  am_scratch_fini(&w->resize);
  am_scratch_fini(&w->floats);
}

am_err am_transform_item(const am_transform *t, am_dataset *d, int64_t i, uint64_t seed, uint64_t stream,
                         am_transform_work *work, float *out) {
  am_stored image;
  AM_TRY(am_dataset_fetch(d, i, t->as_stored, &work->fetched, &image));
  return t->apply(t->user, &image, seed, stream, work, out);
}

static am_err draw_row(am_loader *l, const slot *s, int64_t row, am_transform_work *work) {
  const am_transform *t = &l->cfg.transform;
  am_stored image;
  AM_TRY(am_dataset_fetch(l->data, s->batch.item[row], t->as_stored, &work->fetched, &image));
  return t->draw(t->user, &image, l->cfg.seed, s->stream[row], work, s->batch.bytes + row * t->bytes,
                 s->batch.param + row * t->params);
}

static am_err fill_row(am_loader *l, const slot *s, int64_t row, am_transform_work *work) {
  if (l->cfg.for_device) return draw_row(l, s, row, work);
  return am_transform_item(&l->cfg.transform, l->data, s->batch.item[row], l->cfg.seed, s->stream[row], work,
                           s->batch.image + row * l->row_floats);
}

// ---- the ring; these run under the lock ----

// A batch is delivered until the next one is asked for, so its slot counts as used till then.
static bool may_plan(const am_loader *l) { return l->planned < am_max_i64(0, l->taken - 1) + l->ring_size; }

// The slot with a row to hand out, planning a batch if there is room; NULL: nothing to do.
static slot *open_slot(am_loader *l) {
  for (;; l->filling++) {
    if (l->filling == l->planned) {
      if (!may_plan(l)) return NULL;
      plan_batch(l);
    }
    slot *s = &l->ring[l->filling % l->ring_size];
    if (s->next_row < s->end) return s;
  }
}

// Fills the next rows of a slot, up to one that fails; without the lock while it computes.
static void do_rows(am_loader *l, slot *s, am_transform_work *work) {
  int64_t row = s->next_row, end = am_min_i64(row + l->rows_a_turn, s->end), count = end - row;
  am_err err = AM_OK;
  s->next_row = end;
  l->busy++;
  pthread_mutex_unlock(&l->lock);
  for (; row < end && !err; row++) err = fill_row(l, s, row, work);
  pthread_mutex_lock(&l->lock);
  l->busy--;
  if (err && (s->failed_row < 0 || row - 1 < s->failed_row)) {
    s->failed_row = row - 1;
    s->failure = *am_err_last();
  }
  s->missing -= count;
  if (s->missing == 0) pthread_cond_signal(&l->batch_ready);
  if (l->busy == 0) pthread_cond_signal(&l->all_idle);
}

static void work(void *user, int worker) {
  am_loader *l = user;
  pthread_mutex_lock(&l->lock);
  while (!l->stopping) {
    slot *s = l->pausing ? NULL : open_slot(l);
    if (s) {
      do_rows(l, s, &l->work[worker]);
    } else {
      pthread_cond_wait(&l->work_here, &l->lock);
    }
  }
  pthread_mutex_unlock(&l->lock);
}

static void stop_workers(void *user) {
  am_loader *l = user;
  pthread_mutex_lock(&l->lock);
  l->stopping = true;
  pthread_cond_broadcast(&l->work_here);
  pthread_mutex_unlock(&l->lock);
}

// ---- the caller's side ----

static am_err check_cfg(const am_loader_cfg *cfg, int64_t count) {
  AM_CHECK(count > 0, AM_ERR_DATA, "the data set holds no image");
  AM_CHECK(count <= UINT32_MAX, AM_ERR_ARG, "a data set of %lld images: at most 2^32", (long long)count);
  AM_CHECK(cfg->batch_size > 0 && cfg->workers >= 0 && cfg->transform.apply, AM_ERR_ARG,
           "batch size %lld, %d workers: expected a positive batch, a transform, no negative workers",
           (long long)cfg->batch_size, cfg->workers);
  AM_CHECK(!cfg->for_device || cfg->transform.draw, AM_ERR_ARG,
           "a transform that only the host does, for a device");
  AM_CHECK(!cfg->drop_last || cfg->batch_size <= count, AM_ERR_ARG,
           "a batch of %lld from %lld images with drop_last leaves nothing to train on",
           (long long)cfg->batch_size, (long long)count);
  return AM_OK;
}

static am_err sum_weights(am_loader *l, const double *weight) {
  double sum = 0;
  AM_TRY(AM_NEW_ARRAY(&l->prefix, l->count));
  for (int64_t i = 0; i < l->count; i++) {
    AM_CHECK(weight[i] >= 0 && isfinite(weight[i]), AM_ERR_ARG, "item %lld has the weight %g", (long long)i,
             weight[i]);
    sum += weight[i];
    l->prefix[i] = sum;
  }
  AM_CHECK(sum > 0 && isfinite(sum), AM_ERR_ARG, "the sampling weights add up to %g", sum);
  return AM_OK;
}

// Memory of what is delivered for `rows` images.
static am_err make_images(const am_loader *l, int64_t rows, am_batch *b) {
  const am_transform *t = &l->cfg.transform;
  int64_t values = 0;
  AM_CHECK(am_mul_i64(rows, l->row_floats, &values) && am_mul_i64(rows, t->bytes, &values), AM_ERR_NOMEM,
           "a batch of %lld images overflows", (long long)rows);
  if (!l->cfg.for_device) return am_mem_alloc_aligned(&b->image, rows * l->row_floats, sizeof *b->image);
  AM_TRY(am_mem_alloc_aligned(&b->bytes, rows * t->bytes, 1));
  return am_mem_alloc_aligned(&b->param, am_max_i64(1, rows * t->params), sizeof *b->param);
}

static am_err make_ring(am_loader *l) {
  enum { ROWS_AHEAD = 64, MOST_BATCHES_AHEAD = 14 };
  int64_t rows = am_min_i64(l->cfg.batch_size, l->count);
  int64_t ahead = am_clamp_i64(am_ceil_div(ROWS_AHEAD, rows), 1, MOST_BATCHES_AHEAD);
  l->ring_size = l->cfg.workers ? 2 + ahead : 1;
  AM_TRY(AM_NEW_ARRAY(&l->ring, l->ring_size));
  for (int64_t k = 0; k < l->ring_size; k++) {
    slot *s = &l->ring[k];
    AM_TRY(make_images(l, rows, &s->batch));
    AM_TRY(AM_NEW_ARRAY(&s->batch.label, rows));
    AM_TRY(AM_NEW_ARRAY(&s->batch.item, rows));
    AM_TRY(AM_NEW_ARRAY(&s->stream, rows));
  }
  return AM_OK;
}

static am_err make_work(am_loader *l) {
  int64_t h = 0, w = 0, c = 0;
  am_dataset_image_shape(l->data, &h, &w, &c);
  enum { TURN_FLOATS = 1 << 15 };
  l->row_floats = c * l->cfg.transform.out_height * l->cfg.transform.out_width;
  l->rows_a_turn = am_max_i64(1, TURN_FLOATS / am_max_i64(1, l->row_floats));
  l->work_count = l->cfg.workers ? l->cfg.workers : 1;
  return AM_NEW_ARRAY(&l->work, l->work_count);
}

am_err am_loader_new(am_dataset *d, const am_loader_cfg *cfg, am_loader **out) {
  am_err err = AM_OK;
  am_loader *l = NULL;
  int64_t count = am_dataset_count(d);
  AM_TRY(check_cfg(cfg, count));
  AM_TRY(AM_NEW(&l));
  l->data = d;
  l->cfg = *cfg;
  l->count = count;
  l->steps = cfg->drop_last ? count / cfg->batch_size : am_ceil_div(count, cfg->batch_size);
  l->order_epoch = -1;
  pthread_mutex_init(&l->lock, NULL);
  pthread_cond_init(&l->work_here, NULL);
  pthread_cond_init(&l->batch_ready, NULL);
  pthread_cond_init(&l->all_idle, NULL);
  if (cfg->weight) AM_GO(done, sum_weights(l, cfg->weight));
  l->cfg.weight = NULL;
  AM_GO(done, AM_NEW_ARRAY(&l->order, count));
  AM_GO(done, make_work(l));
  AM_GO(done, make_ring(l));
  l->pausing = true;  // nothing is prefetched before the first call: it may be a seek
  if (cfg->workers) AM_GO(done, am_crew_start(cfg->workers, work, stop_workers, l, &l->crew));
  *out = l;
  l = NULL;
done:
  am_loader_free(l);
  return err;
}

void am_loader_free(am_loader *l) {
  if (!l) return;
  if (l->crew) stop_workers(l);
  am_crew_join(l->crew);
  for (int64_t k = 0; l->ring && k < l->ring_size; k++) {
    free(l->ring[k].batch.image);
    free(l->ring[k].batch.bytes);
    free(l->ring[k].batch.param);
    free(l->ring[k].batch.label);
    free(l->ring[k].batch.item);
    free(l->ring[k].stream);
  }
  for (int k = 0; l->work && k < l->work_count; k++) am_transform_work_fini(&l->work[k]);
  free(l->work);
  free(l->ring);
  free(l->order);
  free(l->prefix);
  pthread_mutex_destroy(&l->lock);
  pthread_cond_destroy(&l->work_here);
  pthread_cond_destroy(&l->batch_ready);
  pthread_cond_destroy(&l->all_idle);
  free(l);
}

int64_t am_loader_steps(const am_loader *l) { return l->steps; }

am_err am_loader_seek(am_loader *l, int64_t epoch, int64_t step) {
  AM_CHECK(epoch >= 0 && epoch <= UINT32_MAX && step >= 0 && step <= l->steps, AM_ERR_ARG,
           "cannot seek to epoch %lld, step %lld of %lld", (long long)epoch, (long long)step,
           (long long)l->steps);
  pthread_mutex_lock(&l->lock);
  l->pausing = true;
  while (l->busy > 0) pthread_cond_wait(&l->all_idle, &l->lock);
  l->taken = l->planned = l->filling = 0;
  l->plan_epoch = step == l->steps ? epoch + 1 : epoch;
  l->plan_step = step == l->steps ? 0 : step;
  pthread_mutex_unlock(&l->lock);
  return AM_OK;
}

am_err am_loader_next(am_loader *l, am_batch *out) {
  am_err err = AM_OK;
  pthread_mutex_lock(&l->lock);
  slot *s = &l->ring[l->taken % l->ring_size];
  l->taken++;  // gives the slot of the batch before it back
  l->pausing = false;
  if (l->crew) {
    pthread_cond_broadcast(&l->work_here);
    while (l->planned < l->taken || s->missing > 0) pthread_cond_wait(&l->batch_ready, &l->lock);
  } else {
    if (l->planned < l->taken) plan_batch(l);
    while (s->next_row < s->end) do_rows(l, s, &l->work[0]);
  }
  if (s->failed_row >= 0) {
    am_err_restore(&s->failure);
    err = s->failure.code;
    l->taken--;  // the batch stays the next one: asking again gives the same error
  } else {
    *out = s->batch;
  }
  pthread_mutex_unlock(&l->lock);
  return err;
}
