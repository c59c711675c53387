// What lies in a store and serves nobody: artefacts that no experiment refers to, checkpoints, failures
// and leases of such, and what a kill left of stages that are finished (their work folders, leases).
//
// Nothing is touched that is younger than an age, or that somebody is at. What belongs to one address is
// removed under its lease, after another look at it and at the notes (sweep/references.h): an artefact is
// renamed first, so that there is never half of one, and renamed back when a note of it came meanwhile.
// A removal that is cut short leaves a name that the next one removes.
#ifndef AM_SWEEP_GC_H
#define AM_SWEEP_GC_H

#include "sweep/references.h"

typedef enum {
  AM_WASTE_ARTEFACT,  // finished, and no experiment refers to it
  AM_WASTE_PART,      // checkpoint of something unfinished that no experiment refers to
  AM_WASTE_LEFTOVER,  // work folder of a stage that is finished, or of a removal that was cut short
  AM_WASTE_FAILURE,   // note of a failure that nobody asks about
  AM_WASTE_LEASE      // of a process that is gone
} am_waste_kind;
enum { AM_WASTE_KINDS = AM_WASTE_LEASE + 1 };

// All that can go of one address.
typedef struct {
  char address[AM_SHA256_HEX];
  char *id;  // owned: "train gan cnn seed 3" of an artefact, else ""
  int64_t number[AM_WASTE_KINDS];
  int64_t bytes;
  double age_sec;  // of its youngest part
} am_waste;

typedef struct {
  am_waste *item;  // owned; in order of address
  int64_t count, capacity;
  // What stays: artefacts that are referred to, and addresses at which somebody is, or that are too young.
  int64_t kept, kept_bytes, busy, young;
  int64_t strange;  // busy, and no note names them: a run whose other stages are not known
} am_wastes;

// Looks, and changes nothing. min_age_sec: what changed later than that stays. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_gc_find(const am_store *store, const am_references *references, double min_age_sec,
                              am_wastes *out);
void am_wastes_fini(am_wastes *w);

typedef struct {
  const am_store *store;
  const char *results_dir;
  const am_plan *const *plan;  // beside the notes
  int64_t plan_count;
  double min_age_sec;
  am_references *references;  // as last read; read again when notes changed
} am_gc;
// Removes what can still go of one address. *gone = what went; all zero when somebody came, or refers to it now.
// Errors: AM_ERR_IO: what is left stays sound, and can be removed later.
AM_MUST_USE am_err am_gc_remove(const am_gc *gc, const char *address, am_waste *gone);

#endif
