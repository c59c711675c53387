// From missing stages to jobs: what is packed into one job, what forms one job array, and which array
// waits for which. Pure: asks nothing but the plans and the profile.
//
//   unit    a stage, or a training with its evaluations
//   task    units of one experiment for one job: about cfg.job_length of work for up to all the ranks of a
//           job. A unit of S slices takes min(S, ranks) of them; units run side by side as far as ranks go
//   array   tasks that start alike: the same kind and level, ranks and time limit; at most cfg.max_array
//
// A stage that several experiments need is placed once, with the first that lists it.
#ifndef AM_SWEEP_PACK_H
#define AM_SWEEP_PACK_H

#include "sweep/plan.h"
#include "sweep/site.h"

typedef struct {
  const am_plan *plan;  // borrowed
  const bool *wanted;   // borrowed: the stages to place
} am_pack_file;

typedef struct {
  int64_t file;
  int64_t *stage;  // owned: of that file's plan, inputs before what needs them
  int64_t count, capacity;
  double seconds;  // expected; 0: unknown
} am_task;

typedef struct {
  am_stage_kind kind;  // of the units' first stages
  int level;
  int64_t ranks, minutes;
  am_task *task;  // owned
  int64_t count, capacity;
  int64_t *needs;  // owned: arrays, earlier ones only, that make what this one reads
  int64_t need_count;
} am_job_array;

typedef struct {
  am_job_array *array;  // owned
  int64_t count, capacity;
} am_packing;

AM_MUST_USE am_err am_pack(const am_pack_file *file, int64_t file_count, const am_site *profile,
                           am_packing *out);
void am_packing_fini(am_packing *p);

#endif
