// What `plan` and `status` say about one or more experiments: the same table, the same advice.
#ifndef AM_APP_OVERVIEW_H
#define AM_APP_OVERVIEW_H

#include "app/session.h"
#include "sweep/outlook.h"
#include "sweep/queue.h"

typedef struct {
  am_outlook outlook;
  char device[AM_DEVICE_TYPE];  // whose rates are used; "" when there are none
  double limit_sec;
  const am_sessions *all;                // borrowed, as the next
  const am_experiment_options *options;
  am_queue queue;
  bool queue_unknown;  // Slurm has jobs of RESULTS and cannot be asked about them
  int64_t queued;      // stages that are not done and have a job
  bool loose;          // there are others that nobody is at, and that need nothing parked
} am_overview;

// `on`: part of the name of the device type to judge by; NULL: this machine's device, else the one of which
// most is known. limit: a job's time limit as Slurm writes it ("90", "2:00:00", "1-12") or "90m", "2h"; NULL: none.
AM_MUST_USE am_err am_overview_new(const am_app *app, const am_sessions *all,
                                   const am_experiment_options *options, const char *on, const char *limit,
                                   am_overview *out);
void am_overview_fini(am_overview *v);

// Stages by kind and state, with the device time left.
void am_overview_print_kinds(const am_app *app, const am_overview *v);
// The time left in one line, and how it is known.
void am_overview_print_time(const am_app *app, const am_overview *v);
// The jobs that will make what is not done.
AM_MUST_USE am_err am_overview_print_jobs(const am_app *app, const am_overview *v);
// What to do next, in one line or a few.
AM_MUST_USE am_err am_overview_print_next(const am_app *app, const am_overview *v);

#endif
