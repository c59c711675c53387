// A few steps of each kind of stage of an experiment, to know what they cost on this machine.
#ifndef AM_APP_CALIBRATE_H
#define AM_APP_CALIBRATE_H

#include "app/session.h"

// Runs a miniature of the experiment, the same networks and recipes on a few images for two epochs, in a folder
// of its own below RESULTS that is then removed; `rates` learn from it. Local. What cannot be tried is a
// warning.
AM_MUST_USE am_err am_calibrate(const am_app *app, const am_session *s, am_rates *rates);

#endif
