// Several plans seen as one piece of work: each stage once, though several of them need it; what is done,
// what the rest will take.
#ifndef AM_SWEEP_OUTLOOK_H
#define AM_SWEEP_OUTLOOK_H

#include "sweep/rates.h"

typedef struct {
  am_plan *plan;    // borrowed: the first that has it
  am_stage *stage;  // borrowed from that plan
} am_outlook_stage;

// Of the stages of one kind.
typedef struct {
  int64_t all, state[AM_STATES];
  double left_sec;     // rank-seconds of those that are not done, as far as they are known
  int64_t unknown;     // not done, and nothing is known of their cost
  double longest_sec;  // of one that is not done
  int64_t too_long;    // not done, and expected to take longer than limit_sec
} am_outlook_kind;

typedef struct {
  am_outlook_stage *stage;  // owned; a plan's stages in its order, plan after plan
  int64_t count;
  int64_t shared;  // stages that a later plan has as well
  am_outlook_kind kind[AM_STAGE_KINDS];
  int64_t state[AM_STATES];
  double left_sec, chain_sec;  // chain: the longest row of stages of which each needs the one before
  int64_t unknown;
  int64_t shard_bytes, other_bytes;  // that will be written: images; networks and predictions, where known
  int64_t bytes_unknown;             // stages whose size is not known
} am_outlook;

// The plans have been looked at. rates may be NULL. limit_sec: 0 when there is none.
AM_MUST_USE am_err am_outlook_new(am_plan *const *plan, int64_t count, const am_rates *rates,
                                  const char *device, double limit_sec, am_outlook *out);
void am_outlook_fini(am_outlook *o);

#endif
