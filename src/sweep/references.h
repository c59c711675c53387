// Who refers to which artefacts, by what RESULTS says, so that the rest can be removed (sweep/gc.h):
//
//   RESULTS/<name>/stages.txt       an experiment as it was last run or submitted, or as its table shows it
//   RESULTS/slurm/<id>/stages.txt   what the jobs of a submission need, until it is closed
//
// One "<address>  <what it is>" a line. A note is written before the store is looked at, so that whoever
// removes something and then finds no note of it has not taken it from a run that relies on it.
#ifndef AM_SWEEP_REFERENCES_H
#define AM_SWEEP_REFERENCES_H

#include "sweep/plan.h"

// Writes DIR/stages.txt for these plans, unless it says so already; makes DIR. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_references_note(const char *dir, const am_plan *const *plan, int64_t count);

// Somebody who refers to artefacts.
typedef struct {
  char *name;  // owned: of the experiment, or the id of the submission
  bool submission;
  bool known;             // false: there is a table, but no note of its stages
  int64_t first, stages;  // in am_references.noted
} am_referrer;

typedef struct {
  char (*noted)[AM_SHA256_HEX];  // owned: what each one refers to, one after the other
  int64_t count, capacity;
  char (*address)[AM_SHA256_HEX];  // owned: the same, sorted
  am_referrer *by;                 // owned
  int64_t by_count, by_capacity;
  char *seen;  // owned: the notes as they were when they were read, for am_references_changed
} am_references;

// All notes below RESULTS, and these plans, whose experiments are then known in any case.
// Errors: AM_ERR_DATA a note that is not one.
AM_MUST_USE am_err am_references_read(const char *results_dir, const am_plan *const *plan, int64_t count,
                                      am_references *out);
void am_references_fini(am_references *r);
bool am_references_has(const am_references *r, const char *address);
// Whether a note has come, gone or changed since.
AM_MUST_USE am_err am_references_changed(const am_references *r, const char *results_dir, bool *changed);

#endif
