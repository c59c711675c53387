// What `plan` and `status` say about one or more experiments: the same table, the same advice.
#ifndef AM_APP_OVERVIEW_H
#define AM_APP_OVERVIEW_H

#include "app/session.h"
#include "sweep/outlook.h"

typedef struct {
  am_outlook outlook;
  char device[AM_DEVICE_TYPE];  // whose rates are used; "" when there are none
  double limit_sec;
} am_overview;

// `on`: part of the name of the device type to judge by; NULL: this machine's device, else the one of which
// most is known. limit: a job's time limit as Slurm writes it ("90", "2:00:00", "1-12") or "90m", "2h"; NULL: none.
AM_MUST_USE am_err am_overview_new(const am_app *app, const am_sessions *all, const char *on,
                                   const char *limit, am_overview *out);
void am_overview_fini(am_overview *v);

// Stages by kind and state, with the device time left.
void am_overview_print_kinds(const am_app *app, const am_overview *v);
// The time left in one line, and how it is known.
void am_overview_print_time(const am_app *app, const am_overview *v);
// What to do next, in one line or a few.
void am_overview_print_next(const am_app *app, const am_overview *v);

#endif
