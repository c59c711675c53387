// Inside the runner: one stage; waiting for other jobs.
#ifndef AM_SWEEP_RUNNER_INTERNAL_H
#define AM_SWEEP_RUNNER_INTERNAL_H

#include "sweep/runner.h"

// runner_stage.c. Makes one stage and sets its state: AM_STATE_DONE, AM_STATE_FAILED, AM_STATE_PARKED, or
// AM_STATE_RUNNING when another job has it. Collective(env->group). Errors end the job.
AM_MUST_USE am_err am_runner_make(const am_runner *r, const am_stage_env *env, am_stage *st);

// runner_wait.c. Looks at what other jobs did until there is something to do (*more) or nothing more to
// wait for. Collective(r->world). Errors: AM_ERR_STOPPED.
AM_MUST_USE am_err am_runner_wait(const am_runner *r, bool *more);

// Whether a stage may start now: it is missing and everything it needs is there.
bool am_runner_ready(const am_plan *p, const am_stage *st);
static inline bool am_runner_wants(const am_runner *r, int64_t stage) {
  return !r->wanted || r->wanted[stage];
}

#endif
