// One experiment done here, by the ranks that are here: what `run` and `reproduce` share.
#ifndef AM_APP_RUNNING_H
#define AM_APP_RUNNING_H

#include "app/session.h"

// Collective. Does what the file app->argv[0] is missing, writes RESULTS/<name>/ and prints its table. lease_sec: other
// jobs take over what this one has held in silence for so long. Errors: as am_missing_do; AM_ERR_NUMERIC some
// stages failed: the table shows which.
AM_MUST_USE am_err am_run_file(const am_app *app, const am_experiment_options *options, double lease_sec);

#endif
