#include "base/thread.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

typedef struct {
  am_crew *crew;  // borrowed
  int worker;
} seat;

struct am_crew {
  void (*body)(void *user, int worker);
  void *user;
  int count;          // threads that run
  pthread_t *thread;  // owned
  seat *seat;         // owned
};

static void *sit_down(void *p) {
  seat *s = p;
  s->crew->body(s->crew->user, s->worker);
  return NULL;
}

// New threads inherit the mask: they block everything, so that handlers run on the main thread.
static int start_blocked(am_crew *crew, int worker) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  crew->seat[worker] = (seat){.crew = crew, .worker = worker};
  int rc = pthread_create(&crew->thread[worker], NULL, sit_down, &crew->seat[worker]);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  return rc;
}

am_err am_crew_start(int count, void (*body)(void *user, int worker), void (*give_up)(void *user), void *user,
                     am_crew **out) {
  am_err err = AM_OK;
  am_crew *crew = NULL;
  AM_TRY(AM_NEW(&crew));
  crew->body = body;
  crew->user = user;
  AM_GO(done, AM_NEW_ARRAY(&crew->thread, count));
  AM_GO(done, AM_NEW_ARRAY(&crew->seat, count));
  for (; crew->count < count; crew->count++) {
    int rc = start_blocked(crew, crew->count);
    AM_CHECK_GO(done, rc == 0, AM_ERR_NOMEM, "cannot start thread %d of %d: %s", crew->count + 1, count,
                strerror(rc));
  }
  *out = crew;
  return AM_OK;
done:
  if (crew->count) give_up(user);
  am_crew_join(crew);
  return err;
}

void am_crew_join(am_crew *crew) {
  if (!crew) return;
  for (int i = 0; i < crew->count; i++) pthread_join(crew->thread[i], NULL);
  free(crew->thread);
  free(crew->seat);
  free(crew);
}

typedef struct {
  am_err (*body)(void *user, int64_t i);
  void *user;
  pthread_mutex_t lock;
  int64_t next, end;  // end: the first failing index once there is one
  am_err err;
  am_err_record record;
} loop;

static void run_loop(void *user, int worker) {
  loop *l = user;
  pthread_mutex_lock(&l->lock);
  while (l->next < l->end) {
    int64_t i = l->next++;
    pthread_mutex_unlock(&l->lock);
    am_err err = l->body(l->user, i);
    pthread_mutex_lock(&l->lock);
    if (err && i < l->end) {
      l->end = i;
      l->err = err;
      l->record = *am_err_last();
    }
  }
  pthread_mutex_unlock(&l->lock);
}

static void stop_loop(void *user) {
  loop *l = user;
  pthread_mutex_lock(&l->lock);
  l->end = 0;
  pthread_mutex_unlock(&l->lock);
}

am_err am_parallel_for(int workers, int64_t count, am_err (*body)(void *user, int64_t i), void *user) {
  loop l = {.body = body, .user = user, .lock = PTHREAD_MUTEX_INITIALIZER, .end = count};
  workers = (int)am_min_i64(workers, count);
  if (workers <= 1) {
    run_loop(&l, 0);
  } else {
    am_crew *crew = NULL;
    AM_TRY(am_crew_start(workers, run_loop, stop_loop, &l, &crew));
    am_crew_join(crew);
  }
  if (l.err) am_err_restore(&l.record);
  return l.err;
}
