// How long stages take, relative to each other: what the longest-first order goes by.
#ifndef AM_SWEEP_COST_H
#define AM_SWEEP_COST_H

#include "sweep/rates.h"

// Builds every network of the plan and runs it once on empty images, so that one that cannot be is
// found before any work, and sets cost and expected_sec of each stage: from `rates` (may be NULL) where
// they know this device and such a stage, else from the time that the forward passes took.
// Times decide only which rank does what, never a number. Collective(comm): rank 0's times count.
// Errors: AM_ERR_CONFIG a network that cannot be built.
AM_MUST_USE am_err am_plan_weigh(am_plan *p, am_device *device, const am_rates *rates, am_comm *comm);

#endif
