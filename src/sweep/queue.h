// What Slurm's queue says about stages: submissions (sweep/submission.h) joined with squeue.
#ifndef AM_SWEEP_QUEUE_H
#define AM_SWEEP_QUEUE_H

#include "sweep/slurm.h"
#include "sweep/submission.h"

// A stage that waits in the queue or runs.
typedef struct {
  const char *address;              // borrowed from the submission
  const am_submission *submission;  // borrowed
  int64_t array, task;              // in the submission; array may be a follow-up
  const am_slurm_job *job;          // borrowed: its state, reason and nodes
} am_queued_stage;

typedef struct {
  am_submissions submissions;
  am_slurm_jobs jobs;
  int64_t (*place)[2];     // owned: submission and array of each job; -1 when it is none of ours
  am_queued_stage *stage;  // owned; in order of address
  int64_t count, capacity;
} am_queue;

// Asks Slurm only when there are submissions that are not closed. Errors: as am_slurm_queue and am_submissions_read.
AM_MUST_USE am_err am_queue_look(const char *results_dir, am_queue *out);
void am_queue_fini(am_queue *q);

// The job that will make a stage; one that runs before one that waits. NULL: none.
const am_queued_stage *am_queue_find(const am_queue *q, const char *address);
// "running on n0, job 12_3" | "waiting (Resources), job 12_3"
enum { AM_QUEUE_TEXT = 256 };
const char *am_queue_describe(const am_queued_stage *s, char text[AM_QUEUE_TEXT]);
// Whether any job of submission i is in the queue.
bool am_queue_has(const am_queue *q, int64_t submission);

#endif
