#include "tensor/later.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tensor/device_internal.h"

// One read under way; its note lies behind it.
typedef struct am_later_read_ pending;
struct am_later_read_ {
  pending *next;
  int count;
  void *copy[AM_LATER_TENSORS];  // owned, by the backend
  max_align_t note[];
};

struct am_later {
  am_device *device;  // borrowed
  am_later_fn fn;
  void *user;             // borrowed
  pending *first, **end;  // owned: oldest first
  int under_way;
  float *value[AM_LATER_TENSORS];  // owned: of devices that copy at once
  int64_t room[AM_LATER_TENSORS];
};

am_err am_later_new(am_device *dev, am_later_fn fn, void *user, am_later **out) {
  am_later *l = NULL;
  AM_TRY(AM_NEW(&l));
  l->device = dev;
  l->fn = fn;
  l->user = user;
  l->end = &l->first;
  *out = l;
  return AM_OK;
}

static void drop(am_later *l, pending *p) {
  for (int i = 0; i < p->count; i++) l->device->backend->fetch_end(l->device->ctx, p->copy[i]);
  free(p);
}

void am_later_free(am_later *l) {
  if (!l) return;
  for (pending *p = l->first, *next; p; p = next) {
    next = p->next;
    drop(l, p);
  }
  for (int i = 0; i < AM_LATER_TENSORS; i++) free(l->value[i]);
  free(l);
}

// ---- devices that copy at once ----

static am_err read_now(am_later *l, am_tensor *const *t, int count, const void *note) {
  for (int i = 0; i < count; i++) {
    AM_TRY(AM_GROW(&l->value[i], &l->room[i], am_tensor_count(t[i])));
    AM_TRY(am_tensor_to_host(t[i], l->value[i]));
  }
  return l->fn(l->user, note, (const float *const *)l->value);
}

// ---- devices that do not ----

static am_err begin_copy(am_later *l, am_tensor *t, pending *p) {
  am_tensor *plain = NULL;
  AM_TRY(am_device_check_open(l->device));
  AM_TRY(am_tensor_plain(t, &plain));
  const size_t bytes = (size_t)am_tensor_count(plain) * am_dtype_size(plain->dtype);
  const am_err err =
      l->device->backend->fetch(l->device->ctx, am_tensor_as_view(plain).data, bytes, &p->copy[p->count]);
  am_tensor_release(plain);
  if (!err) p->count++;
  return err;
}

static am_err begin(am_later *l, am_tensor *const *t, int count, const void *note, size_t note_bytes) {
  pending *p = NULL;
  AM_TRY(am_mem_alloc(&p, 1, sizeof *p + note_bytes));
  *p = (pending){0};
  if (note_bytes) memcpy(p->note, note, note_bytes);
  for (int i = 0; i < count; i++) {
    const am_err err = begin_copy(l, t[i], p);
    if (err) {
      drop(l, p);
      return err;
    }
  }
  *l->end = p;
  l->end = &p->next;
  l->under_way++;
  return AM_OK;
}

// Delivers the oldest read when it has come, or waits for it.
static am_err deliver_oldest(am_later *l, bool wait, bool *delivered) {
  pending *p = l->first;
  const float *value[AM_LATER_TENSORS] = {NULL};
  *delivered = false;
  for (int i = 0; i < p->count; i++) {
    const void *host = NULL;
    AM_TRY(l->device->backend->fetched(l->device->ctx, p->copy[i], wait, &host));
    if (!host) return AM_OK;
    value[i] = host;
  }
  const am_err err = l->fn(l->user, p->note, value);
  l->first = p->next;
  if (!l->first) l->end = &l->first;
  l->under_way--;
  drop(l, p);
  *delivered = true;
  return err;
}

am_err am_later_read(am_later *l, am_tensor *const *t, int count, const void *note, size_t note_bytes) {
  AM_CHECK(count >= 1 && count <= AM_LATER_TENSORS, AM_ERR_ARG, "%d tensors in one read, expected 1 to %d",
           count, AM_LATER_TENSORS);
  for (int i = 0; i < count; i++)
    AM_CHECK(t[i]->dtype == AM_F32, AM_ERR_UNSUPPORTED, "values of type %s are not read later",
             am_dtype_name(t[i]->dtype));
  if (!l->device->backend->fetch) return read_now(l, t, count, note);
  bool more = true;
  while (l->first && more) AM_TRY(deliver_oldest(l, l->under_way == AM_LATER_AHEAD, &more));
  return begin(l, t, count, note, note_bytes);
}

am_err am_later_finish(am_later *l) {
  bool delivered;
  while (l->first) AM_TRY(deliver_oldest(l, true, &delivered));
  return AM_OK;
}
