// Runs what a plan is missing on the ranks of this job.
//
// Level by level. Within a level the stages are independent and are dealt out longest first to
// groups of ranks: groups of one, except that a fit or training of S slices gets up to S ranks.
// Who computes a stage changes no byte of it. Ranks meet at the end of each level; an error that
// makes going on pointless (bad data, a full disk, a busy artefact) ends the job at once; a stage
// that diverges is recorded as failed, and what does not need it is still done.
#ifndef AM_SWEEP_RUNNER_H
#define AM_SWEEP_RUNNER_H

#include "sweep/stage_run.h"

typedef struct {
  am_plan *plan;    // borrowed; states are kept up to date
  am_store *store;  // borrowed
  am_source_dirs dirs;
  am_device *device;  // borrowed
  am_comm *world;     // borrowed
} am_runner;

typedef struct {
  int64_t made, failed, blocked;  // stages of this run; blocked: an input failed
  double seconds;
} am_run_summary;

// Collective(r->world). Every rank leaves with the same plan states. AM_OK also when stages were
// recorded as failed (see summary). Errors: AM_ERR_STOPPED after a signal, with checkpoints kept.
AM_MUST_USE am_err am_run_local(const am_runner *r, am_run_summary *summary);

#endif
