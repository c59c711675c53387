// Kinds of steps, what was recorded of each, and the memory that recordings name.
//
// Every part takes its memory from a pool of this replay's own. Blocks of that pool never move, so an address that was
// recorded is that of the same block for ever, and between two steps all of them are free but inputs and outputs, so all
// kinds of steps share them. What others take on the way (an evaluation, a checkpoint) comes from the device's pool.
#include "tensor/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "tensor/device_internal.h"

// Carried out so often, the last time with no recording made since, before it is recorded: then libraries have their plans
// and the pool has every block that the step will ask for, and nothing is allocated while it is recorded.
enum { WARM_STEPS = 2 };

typedef struct {
  void *recording;     // owned, by the backend
  am_tensor **output;  // owned: as are its elements, some of them NULL
  int64_t output_count;
  am_buffer **written;  // owned: retained; of other pools
  int64_t written_count, written_capacity;
} part;

// The steps of one key.
typedef struct kind kind;
struct kind {
  kind *next;
  void *key;  // owned
  size_t key_bytes;
  int64_t carried_out, settled_at;
  bool recorded;
  uint64_t index;     // when it was recorded
  int64_t *moved;     // owned: of each counter, by one step
  am_tensor **input;  // owned: retained
  int64_t input_count, input_capacity;
  part *part;  // owned
  int64_t part_count, part_capacity;
};

typedef enum { CARRY_OUT, RECORD, LAUNCH } mode;

struct am_replay {
  am_device *device;                    // borrowed
  const am_backend_recorder *recorder;  // borrowed; NULL: every step is carried out
  am_pool pool;                         // of what parts take, where there is a recorder
  kind *kinds;                          // owned
  int64_t kind_count, recordings, launched;
  kind other;         // steps that are not kept apart
  int64_t **counter;  // owned; its elements borrowed
  int64_t *before;    // owned: the counters when the step began
  int64_t counter_count, counter_capacity, before_capacity;
  // the step that is open
  kind *now;
  mode mode;
  uint64_t index;
  int64_t at_input, at_part;
};

am_err am_replay_new(am_device *dev, bool allowed, am_replay **out) {
  am_replay *r = NULL;
  AM_TRY(AM_NEW(&r));
  r->device = dev;
  r->recorder = allowed ? dev->recorder : NULL;
  r->pool = (am_pool){
      .backend = dev->backend, .ctx = dev->ctx, .tally = &dev->tally, .neighbour = &dev->pool, .fixed = true};
  *out = r;
  return AM_OK;
}

// Everything that the kind holds: nothing was recorded, or it is not wanted.
static void forget(am_replay *r, kind *k) {
  for (int64_t i = 0; i < k->part_count; i++) {
    part *p = &k->part[i];
    if (p->recording) r->recorder->free(r->device->ctx, p->recording);
    for (int64_t j = 0; j < p->output_count; j++) am_tensor_release(p->output[j]);
    for (int64_t j = 0; j < p->written_count; j++) am_buffer_release(p->written[j]);
    free(p->output);
    free(p->written);
    *p = (part){0};
  }
  for (int64_t i = 0; i < k->input_count; i++) am_tensor_release(k->input[i]);
  k->part_count = k->input_count = 0;
  k->recorded = false;
}

static void free_kind(am_replay *r, kind *k) {
  forget(r, k);
  free(k->key);
  free(k->moved);
  free(k->input);
  free(k->part);
}

void am_replay_free(am_replay *r) {
  if (!r) return;
  for (kind *k = r->kinds, *next; k; k = next) {
    next = k->next;
    free_kind(r, k);
    free(k);
  }
  free_kind(r, &r->other);
  free(r->counter);
  free(r->before);
  if (r->pool.live_bytes > 0) {
    AM_WARN("device %s: %lld bytes of a repeated step are still held after the last one", r->device->kind,
            (long long)r->pool.live_bytes);
  }
  am_pool_trim(&r->pool);
  free(r);
}

am_err am_replay_counter(am_replay *r, int64_t *counter) {
  AM_CHECK(!r->kinds && !r->now, AM_ERR_ARG, "a counter is named after the first step");
  AM_TRY(AM_GROW(&r->counter, &r->counter_capacity, r->counter_count + 1));
  AM_TRY(AM_GROW(&r->before, &r->before_capacity, r->counter_count + 1));
  r->counter[r->counter_count++] = counter;
  return AM_OK;
}

int64_t am_replay_launched(const am_replay *r) { return r->launched; }

// ---- a step opens ----

static am_err new_kind(am_replay *r, const void *key, size_t bytes, kind **out) {
  am_err err = AM_OK;
  kind *k = NULL;
  AM_TRY(AM_NEW(&k));
  AM_GO(failed, am_mem_alloc(&k->key, 1, bytes));
  AM_GO(failed, AM_NEW_ARRAY(&k->moved, r->counter_count));
  memcpy(k->key, key, bytes);
  k->key_bytes = bytes;
  k->next = r->kinds;
  r->kinds = k;
  r->kind_count++;
  *out = k;
  return AM_OK;
failed:
  free_kind(r, k);
  free(k);
  return err;
}

static am_err find_kind(am_replay *r, const void *key, size_t bytes, kind **out) {
  kind *k = r->kinds;
  while (k && (k->key_bytes != bytes || memcmp(k->key, key, bytes) != 0)) k = k->next;
  *out = k ? k : &r->other;
  return k || !r->recorder || r->kind_count == AM_REPLAY_KINDS ? AM_OK : new_kind(r, key, bytes, out);
}

// A profile counts ops one by one.
static mode choose(const am_replay *r, const kind *k) {
  if (k == &r->other || r->device->profile) return CARRY_OUT;
  if (k->recorded) return LAUNCH;
  return k->carried_out >= WARM_STEPS && k->settled_at == r->recordings ? RECORD : CARRY_OUT;
}

am_err am_replay_begin(am_replay *r, const void *key, size_t bytes, uint64_t index) {
  AM_CHECK(!r->now, AM_ERR_ARG, "a step begins before the one before it has ended");
  kind *k = NULL;
  AM_TRY(find_kind(r, key, bytes, &k));
  r->mode = choose(r, k);
  if (r->mode == CARRY_OUT) forget(r, k);  // a recorded step that is profiled is recorded anew later
  for (int64_t i = 0; i < r->counter_count; i++) r->before[i] = *r->counter[i];
  r->now = k;
  r->index = index;
  r->at_input = r->at_part = 0;
  return AM_OK;
}

// ---- inputs ----

// The first time: a tensor of the kind's.
static am_err new_input(am_replay *r, am_dtype dtype, am_shape shape) {
  kind *k = r->now;
  am_tensor *t = NULL;
  AM_TRY(AM_GROW(&k->input, &k->input_capacity, k->input_count + 1));
  if (r->recorder) r->device->taking = &r->pool;
  const am_err err = am_tensor_new(r->device, dtype, shape, &t);
  r->device->taking = &r->device->pool;
  if (!err) k->input[k->input_count++] = t;
  return err;
}

am_err am_replay_place(am_replay *r, am_dtype dtype, am_shape shape, am_tensor **out) {
  kind *k = r->now;
  AM_CHECK(k, AM_ERR_ARG, "an input outside a step");
  if (r->mode != LAUNCH) AM_TRY(new_input(r, dtype, shape));
  AM_CHECK(r->at_input < k->input_count && k->input[r->at_input]->dtype == dtype &&
               am_shape_equal(k->input[r->at_input]->shape, shape),
           AM_ERR_INTERNAL, "input %lld of a repeated step is another than when it was recorded",
           (long long)r->at_input);
  *out = k->input[r->at_input++];
  return AM_OK;
}

am_err am_replay_input(am_replay *r, am_dtype dtype, am_shape shape, const void *host, am_tensor **out) {
  AM_TRY(am_replay_place(r, dtype, shape, out));
  return am_tensor_copy_from_host(*out, host);
}

// ---- parts ----

// Of this replay's own pool nothing outlives a step but outputs, which am_replay_run renews.
am_err am_replay_wrote(am_replay *r, am_buffer *b) {
  part *p = &r->now->part[r->now->part_count - 1];
  if (b->pool == &r->pool) return AM_OK;
  for (int64_t i = 0; i < p->written_count; i++) {
    if (p->written[i] == b) return AM_OK;
  }
  AM_TRY(AM_GROW(&p->written, &p->written_capacity, p->written_count + 1));
  p->written[p->written_count++] = am_buffer_retain(b);
  return AM_OK;
}

// The function itself, with its tensors in the pool that stays.
static am_err call(am_replay *r, part *p, am_replay_part function, void *self, am_tensor **out, int count) {
  AM_TRY(AM_NEW_ARRAY(&p->output, count));
  p->output_count = count;
  if (r->recorder) r->device->taking = &r->pool;
  const am_err err = function(self, p->output);
  r->device->taking = &r->device->pool;
  for (int i = 0; i < count; i++) out[i] = p->output[i];
  return err;
}

static am_err record(am_replay *r, part *p, am_replay_part function, void *self, am_tensor **out, int count) {
  am_device *dev = r->device;
  AM_TRY(r->recorder->begin(dev->ctx));
  dev->recording = r;
  const am_err err = call(r, p, function, self, out, count);
  const am_err_record first = *am_err_last();
  dev->recording = NULL;
  const am_err ended = r->recorder->end(dev->ctx, &p->recording);
  if (err) am_err_restore(&first);
  AM_TRY(err ? err : ended);
  return r->recorder->launch(dev->ctx, p->recording, 0);
}

static am_err launch(am_replay *r, const part *p, am_tensor **out, int count) {
  AM_CHECK(count == p->output_count, AM_ERR_INTERNAL,
           "a repeated part has %d outputs, %lld when it was recorded", count, (long long)p->output_count);
  for (int64_t i = 0; i < p->written_count; i++) am_buffer_renew(p->written[i]);
  for (int i = 0; i < count; i++) {
    out[i] = p->output[i];
    if (out[i]) am_tensor_renew(out[i]);
  }
  return r->recorder->launch(r->device->ctx, p->recording, r->index - r->now->index);
}

am_err am_replay_run(am_replay *r, am_replay_part function, void *self, am_tensor **out, int count) {
  kind *k = r->now;
  AM_CHECK(k, AM_ERR_ARG, "a part outside a step");
  if (r->mode == LAUNCH) {
    AM_CHECK(r->at_part < k->part_count, AM_ERR_INTERNAL,
             "a repeated step has more parts than when it was recorded");
    return launch(r, &k->part[r->at_part++], out, count);
  }
  AM_TRY(AM_GROW(&k->part, &k->part_capacity, k->part_count + 1));
  part *p = &k->part[k->part_count++];
  *p = (part){0};
  return r->mode == RECORD ? record(r, p, function, self, out, count)
                           : call(r, p, function, self, out, count);
}

// ---- a step ends ----

static void end_recorded(am_replay *r, kind *k) {
  k->recorded = true;
  k->index = r->index;
  for (int64_t i = 0; i < r->counter_count; i++) k->moved[i] = *r->counter[i] - r->before[i];
  r->recordings++;
  AM_DEBUG("device %s: recorded a step of %lld parts", r->device->kind, (long long)k->part_count);
}

static void end_launched(am_replay *r, const kind *k) {
  for (int64_t i = 0; i < r->counter_count; i++) *r->counter[i] += k->moved[i];
  r->launched++;
}

static void end_carried_out(am_replay *r, kind *k) {
  forget(r, k);
  k->carried_out++;
  k->settled_at = r->recordings;
}

am_err am_replay_end(am_replay *r, am_err err) {
  kind *k = r->now;
  r->now = NULL;
  if (err) {
    forget(r, k);
  } else if (r->mode == RECORD) {
    end_recorded(r, k);
  } else if (r->mode == LAUNCH) {
    end_launched(r, k);
  } else {
    end_carried_out(r, k);
  }
  return err;
}
