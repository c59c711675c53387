// Submitting what several experiments are missing to Slurm.
//
//   am_submit_plan    what is missing, not parked and not in the queue, as a submission with its arrays
//   am_submit_jobs    one sbatch for each array and one for the collecting job
//
// An array waits (afterany) for the arrays that make its inputs, those of earlier submissions included: also
// when some of them failed, as its jobs then do what they can, the missing inputs included. Where jobs may
// not be requeued, every array is followed by others of the same tasks (afternotok) that Slurm drops
// when the first one ended well.
//
// No value is ever part of a script: sbatch gets slurm/job.sh as it is, and words.
#ifndef AM_SWEEP_SUBMIT_H
#define AM_SWEEP_SUBMIT_H

#include "base/child.h"
#include "sweep/pack.h"
#include "sweep/queue.h"

typedef struct {
  const am_plan *plan;                         // borrowed, as all; looked at
  const char *path, *data_dir, *manifest_dir;  // absolute
} am_submit_file;

typedef struct {
  const am_submit_file *file;
  int64_t file_count;
  const am_site *profile;
  const char *profile_path;  // absolute, as the following
  const char *results_dir, *program, *script;
  const char *device;
} am_submit;

// Stages by what becomes of them.
typedef struct {
  int64_t done, queued, parked, blocked,
      submitted;  // of all files, each address once; blocked: needs a parked one
} am_submit_count;

// *out = NULL when there is nothing to submit; else a submission that is nowhere yet: no folder, no job.
AM_MUST_USE am_err am_submit_plan(const am_submit *job, const am_queue *queue, am_submission **out,
                                  am_submit_count *count);
// The sbatch command of one array. An array that it waits for and that has no number yet is written @<array>.
AM_MUST_USE am_err am_submit_command(const am_submit *job, const am_submission *s, int64_t array,
                                     am_argv *out);
// Makes the folder and submits, in order. On an error what was submitted stays, and is written down.
AM_MUST_USE am_err am_submit_jobs(const am_submit *job, am_submission *s);

#endif
