// Threads for work that needs no MPI: crews that run until told to stop, and loops spread over
// threads whose result does not depend on how many there are. Signals stay with the main thread.
#ifndef AM_BASE_THREAD_H
#define AM_BASE_THREAD_H

#include <stdint.h>

#include "base/err.h"

// A fixed number of threads, each running body(user, worker) once.
typedef struct am_crew am_crew;
// Errors: AM_ERR_NOMEM the system gives no more threads. Those already started are then stopped through
// give_up(user), which must make every body return; it is called at most once.
AM_MUST_USE am_err am_crew_start(int count, void (*body)(void *user, int worker), void (*give_up)(void *user),
                                 void *user, am_crew **out);
// Waits until every body has returned, then frees the crew. NULL is fine.
void am_crew_join(am_crew *crew);

// body(user, i) for i in 0 .. count-1, by `workers` threads (0, 1: by the caller). Indices are handed
// out in order and the error of the lowest failing index is returned, so neither the error nor
// what was done before it depends on the number of threads.
AM_MUST_USE am_err am_parallel_for(int workers, int64_t count, am_err (*body)(void *user, int64_t i),
                                   void *user);

#endif
