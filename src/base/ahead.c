#include "base/ahead.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"

typedef struct {
  bool done;
  am_err err;
  am_err_record failure;
} slot_state;

struct am_ahead {
  int64_t count, window;
  am_err (*make)(void *user, int64_t i, int64_t slot);
  void *user;
  slot_state *slot;  // owned
  am_crew *crew;     // owned; NULL: nobody works ahead
  pthread_mutex_t lock;
  pthread_cond_t ready, room;
  int64_t begun;     // items handed to workers
  int64_t taken;     // items delivered
  int64_t returned;  // items whose slots are free again
  bool stopping;
};

static void make_item(am_ahead *a, int64_t i) {
  slot_state *s = &a->slot[i % a->window];
  s->err = a->make(a->user, i, i % a->window);
  if (s->err) s->failure = *am_err_last();
}

static void work(void *user, int worker) {
  am_ahead *a = user;
  pthread_mutex_lock(&a->lock);
  while (!a->stopping && a->begun < a->count) {
    if (a->begun >= a->returned + a->window) {
      pthread_cond_wait(&a->room, &a->lock);
      continue;
    }
    int64_t i = a->begun++;
    pthread_mutex_unlock(&a->lock);
    make_item(a, i);
    pthread_mutex_lock(&a->lock);
    a->slot[i % a->window].done = true;
    pthread_cond_signal(&a->ready);
  }
  pthread_mutex_unlock(&a->lock);
}

static void stop(void *user) {
  am_ahead *a = user;
  pthread_mutex_lock(&a->lock);
  a->stopping = true;
  pthread_cond_broadcast(&a->room);
  pthread_mutex_unlock(&a->lock);
}

am_err am_ahead_new(int workers, int64_t count, int64_t window,
                    am_err (*make)(void *user, int64_t i, int64_t slot), void *user, am_ahead **out) {
  am_err err = AM_OK;
  am_ahead *a = NULL;
  AM_TRY(AM_NEW(&a));
  *a = (am_ahead){.count = count, .window = window, .make = make, .user = user};
  pthread_mutex_init(&a->lock, NULL);
  pthread_cond_init(&a->ready, NULL);
  pthread_cond_init(&a->room, NULL);
  AM_GO(done, AM_NEW_ARRAY(&a->slot, window));
  if (workers > 0) AM_GO(done, am_crew_start(workers, work, stop, a, &a->crew));
  *out = a;
  a = NULL;
done:
  am_ahead_free(a);
  return err;
}

void am_ahead_free(am_ahead *a) {
  if (!a) return;
  stop(a);
  am_crew_join(a->crew);
  pthread_mutex_destroy(&a->lock);
  pthread_cond_destroy(&a->ready);
  pthread_cond_destroy(&a->room);
  free(a->slot);
  free(a);
}

am_err am_ahead_next(am_ahead *a, int64_t *slot) {
  AM_CHECK(a->taken < a->count, AM_ERR_INTERNAL, "all %lld items are taken", (long long)a->count);
  int64_t i = a->taken;
  slot_state *s = &a->slot[i % a->window];
  if (a->crew) {
    pthread_mutex_lock(&a->lock);
    a->returned = i;
    pthread_cond_broadcast(&a->room);
    while (!s->done) pthread_cond_wait(&a->ready, &a->lock);
    s->done = false;
    pthread_mutex_unlock(&a->lock);
  } else {
    make_item(a, i);
  }
  a->taken++;
  if (s->err) am_err_restore(&s->failure);
  if (!s->err) *slot = i % a->window;
  return s->err;
}
