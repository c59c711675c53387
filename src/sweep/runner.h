// Runs what a plan is missing on the ranks of this job.
//
// Level by level. Within a level the stages are independent and are dealt out longest first to
// groups of ranks: groups of one, except that a fit or training of S slices gets up to S ranks.
// Who computes a stage changes no byte of it. Ranks meet at the end of each level; an error that
// makes going on pointless (bad data, a full disk) ends the job at once; a stage that diverges is
// recorded as failed, and what does not need it is still done.
//
// Several jobs may run the same plan, or plans that share stages, on one store. A stage that another job
// holds is skipped; when nothing else is left, the job waits for it, and takes it over if its holder
// goes silent. So each stage is done once, whoever comes first.
#ifndef AM_SWEEP_RUNNER_H
#define AM_SWEEP_RUNNER_H

#include "sweep/rates.h"
#include "sweep/stage_run.h"

typedef struct {
  am_plan *plan;    // borrowed; states are kept up to date
  am_store *store;  // borrowed
  am_source_dirs dirs;
  am_device *device;  // borrowed
  am_comm *world;     // borrowed
  // Stages of the plan that are this job's to do; NULL: all. The others are left to whoever does them, but
  // are waited for when one that is wanted needs them and somebody is at work on them.
  const bool *wanted;
  am_rates *rates;  // borrowed: where the cost of what was made is kept; NULL: nowhere
  // am_clock_sec() at which this job ends; 0: never. A stage that is expected to take longer than what is
  // left does not start, unless at least half of the job's time is left: expectations can be wrong, and
  // what saves checkpoints need not fit. (start_sec: when the job began.)
  double start_sec, end_sec;
} am_runner;

typedef struct {
  int64_t made, failed, parked, blocked;  // wanted stages; blocked: an input is not there and will not be
  double seconds;
} am_run_summary;

// Collective(r->world). Every rank leaves with the same plan states. AM_OK also when stages were
// recorded as failed (see summary). Errors: AM_ERR_STOPPED after a signal, with checkpoints kept,
// or when what is missing does not fit into the time left.
AM_MUST_USE am_err am_run_local(const am_runner *r, am_run_summary *summary);

#endif
