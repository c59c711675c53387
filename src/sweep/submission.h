// What was submitted: RESULTS/slurm/<id>/submission.json, written before the first job exists and again
// after each one, so that a submission that was cut short is known by the names of its jobs.
//
//   RESULTS/slurm/<id>/submission.json    this struct
//                     /experiment-0.yaml  each file as it was, merged and expanded: later edits do not reach its jobs
//                     /stages.txt         all of their stages (sweep/references.h)
//                     /log/<array>-<task>.log
//   RESULTS/slurm/lease                   held by the process that is submitting
//
// The jobs of array k are called <name>.<id>.<k>; follow-ups of it <name>.<id>.<k>.f1, ...; the collecting
// job <name>.<id>.collect. Job names are what connects the queue with a submission: job numbers come again.
#ifndef AM_SWEEP_SUBMISSION_H
#define AM_SWEEP_SUBMISSION_H

#include "base/hash.h"
#include "sweep/plan.h"

typedef struct {
  char *name;                     // owned, like all text here: the folder below RESULTS
  char *path;                     // as it was given, absolute
  char *experiment;               // the frozen file, absolute
  char *data_dir, *manifest_dir;  // absolute
  bool tiny;
} am_submitted_file;

typedef struct {
  int64_t file;
  char (*address)[AM_SHA256_HEX];  // owned: of its stages
  int64_t count;
} am_submitted_task;

typedef struct {
  char *name;  // of its jobs
  char *kind;  // "fit"; of the collecting job "collect"
  int64_t level, ranks, minutes;
  int64_t of;      // a follow-up: the array whose tasks it repeats; else its own index
  int64_t *after;  // owned: arrays of this submission that end before it starts
  int64_t after_count;
  int64_t *wait;  // owned: jobs of earlier submissions, likewise
  int64_t wait_count;
  int64_t job;              // Slurm's number; 0: not known to be submitted
  am_submitted_task *task;  // owned; none in a follow-up and in the collecting job
  int64_t task_count;
} am_submitted_array;

typedef struct {
  char *dir;      // RESULTS/slurm/<id>, absolute
  char *id;       // 20240501-120000-3fa2
  char *profile;  // its file, absolute
  char *device;   // --device of its jobs
  bool closed;    // none of its jobs is in the queue any more
  am_submitted_file *file;
  int64_t file_count;
  am_submitted_array *array;  // the collecting job is the last
  int64_t array_count;
} am_submission;

// Writes s->dir/submission.json. Errors: AM_ERR_IO; AM_ERR_ARG a path that is not UTF-8.
AM_MUST_USE am_err am_submission_write(const am_submission *s);
// Errors: AM_ERR_IO; AM_ERR_DATA naming the file and what is wrong in it.
AM_MUST_USE am_err am_submission_read(const char *dir, am_submission **out);
void am_submission_free(am_submission *s);

// All of RESULTS/slurm in order of time, without closed ones. A folder without submission.json is none.
typedef struct {
  am_submission **item;  // owned
  int64_t count, capacity;
} am_submissions;
AM_MUST_USE am_err am_submissions_read(const char *results_dir, am_submissions *out);
void am_submissions_fini(am_submissions *all);

// The array whose tasks this one has: itself, or what it follows up.
const am_submitted_array *am_submission_tasks(const am_submission *s, int64_t array);

#endif
