// Several experiments and one profile, submitted together: what `submit` and `retry` share.
#ifndef AM_APP_SUBMITTING_H
#define AM_APP_SUBMITTING_H

#include "app/session.h"
#include "sweep/lease.h"

// RESULTS/slurm/lease, held while jobs are submitted or cancelled, so that two users do not do it at once. Waits
// a minute for another one. Errors: AM_ERR_BUSY names who holds it.
AM_MUST_USE am_err am_submit_lock(const am_app *app, am_lease **out);

// Asks Slurm about the submissions in RESULTS and marks those that have no job in the queue any more as closed.
// Does nothing where there are none. Errors: as am_queue_look.
AM_MUST_USE am_err am_submit_close_old(const am_app *app);

// The path of a profile: "mysite" is slurm/profiles/mysite.yaml, here or beside the program. Errors: AM_ERR_CONFIG there
// is none.
AM_MUST_USE am_err am_submit_find_profile(const char *name, char **out);

// Submits what the files of app->argv are missing, and says what it did. profile: a path, or a name in
// slurm/profiles. dry_run: only says what it would do.
AM_MUST_USE am_err am_submit_files(const am_app *app, const am_experiment_options *options,
                                   const char *profile, bool dry_run);

#endif
