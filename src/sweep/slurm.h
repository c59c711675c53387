// Slurm's commands, run as programs with words. Only sbatch, squeue and scancel are used here; scontrol is
// used by jobs (slurm/job.sh), sacct and Slurm's database by nobody.
#ifndef AM_SWEEP_SLURM_H
#define AM_SWEEP_SLURM_H

#include "base/child.h"

// One job or one task of an array, as squeue has it.
typedef struct {
  char *line;                                 // owned; the texts below lie in it
  const char *name, *state, *reason, *nodes;  // "PENDING", "Resources", ""
  int64_t job;                                // the array's number when it is one
  int64_t task;                               // -1: no array
} am_slurm_job;
typedef struct {
  am_slurm_job *job;  // owned
  int64_t count, capacity;
} am_slurm_jobs;

// Jobs with these names, of every user, in any state in which squeue still shows them as not over.
// Errors: AM_ERR_UNSUPPORTED there is no squeue; AM_ERR_IO Slurm does not answer, and what it said.
AM_MUST_USE am_err am_slurm_queue(const char *const *names, int64_t count, am_slurm_jobs *out);
void am_slurm_jobs_fini(am_slurm_jobs *jobs);

// Runs an sbatch command; *job is the number. Tries a few times when the controller does not answer; after an
// answer that was lost it looks for `name` in the queue, so nothing is submitted twice.
// Errors: AM_ERR_UNSUPPORTED there is no sbatch; AM_ERR_IO Slurm refused, and what it said.
AM_MUST_USE am_err am_slurm_submit(const am_argv *sbatch, const char *name, int64_t *job);

// Cancels "12" or "12_3". A job that is over already is no error.
AM_MUST_USE am_err am_slurm_cancel(const char *const *jobs, int64_t count);

#endif
