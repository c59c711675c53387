// Doing what a plan is missing, on the ranks of this process's job: what `run` and `work` share.
#ifndef AM_APP_MISSING_H
#define AM_APP_MISSING_H

#include "app/session.h"
#include "sweep/runner.h"

typedef struct {
  const char *log_dir;  // of the ranks' logs; NULL: RESULTS/<experiment>/log
  const bool *wanted;   // as in am_runner; borrowed
  double end_sec;       // likewise
} am_missing;

// Collective. Everything that can be refused is refused before the first stage. Errors: as am_run_local.
AM_MUST_USE am_err am_missing_do(const am_app *app, am_session *s, const am_missing *what,
                                 am_run_summary *summary);

#endif
