// What an experiment means as work: stages with addresses.
//
// The address of a stage is the SHA-256 of its text, the canonical JSON of
//   {"stage": ..., "revision": n, "config": {...}, "inputs": {...}}
// in which inputs are addresses and the first ones are hashes of file contents. Names of arms,
// draws and experiments, and where files lie, are not part of it; two arms that mean the same are
// one stage. A tiny run says so in every text and so never shares an artefact with a full one.
//
//   level 0 prepare    a split of a data set, decoded and resized, as shards
//         1 fit        a generator for one class, run and draw
//         2 generate   one block of a pool
//       1,3 train      a cell: arm x model x draw x seed; after what its training set needs
//       2,4 evaluate   the logits of a cell on one split
#ifndef AM_SWEEP_PLAN_H
#define AM_SWEEP_PLAN_H

#include "dist/comm.h"
#include "sweep/given.h"
#include "sweep/source.h"
#include "sweep/store_view.h"

typedef enum {
  AM_STAGE_PREPARE,
  AM_STAGE_FIT,
  AM_STAGE_GENERATE,
  AM_STAGE_TRAIN,
  AM_STAGE_EVALUATE
} am_stage_kind;
enum { AM_STAGE_KINDS = 5, AM_STAGE_LEVELS = 5 };
const char *am_stage_name(am_stage_kind kind);

// In rising order of what one rank's word says to another about one stage.
typedef enum {
  AM_STATE_MISSING,  // could start now
  AM_STATE_WAITING,  // what it needs is not there
  AM_STATE_RUNNING,  // another job holds it
  AM_STATE_LATE,     // does not fit into the time that this run has left
  AM_STATE_FAILED,
  AM_STATE_PARKED,  // failed the same way AM_PARKED times: left alone until somebody says retry
  AM_STATE_DONE
} am_stage_state;
enum { AM_STATES = AM_STATE_DONE + 1 };

typedef struct {
  am_stage_kind kind;
  char address[AM_SHA256_HEX];
  char *text;      // owned: what the address is of
  char *id;        // owned: "train gan2000 cnn 1to2 seed 3"
  int64_t *input;  // owned: stages that must be done before
  int64_t input_count, input_capacity;
  int level;
  int64_t slices;  // ranks that can share it
  double cost;     // relative; what the longest-first order goes by
  uint64_t seed;
  // Where it stands in the experiment; -1 where it does not apply.
  int64_t draw, split, generator, class_index, run, pool, arm, model;
  int64_t first, count;  // generate: sample indices within class and run
  char rate[96];  // key of what a unit of its work costs (sweep/rates.h): "train resnet18 32 px 4f1c09aa"
  double expected_sec;  // on one rank; 0: unknown
  am_stage_state state;
  int64_t failures;         // the same way, one after the other
  char *error;              // owned: of the last one
  am_lease_holder *holder;  // owned: of a running one
} am_stage;

// A cell of the result table and the stages behind it.
typedef struct {
  int64_t arm, model, draw, seed_index;
  uint64_t seed;
  int64_t train;      // stage
  int64_t *evaluate;  // owned: stage of each evaluated split
  int64_t train_images;
} am_cell;

// One fit as the table names it, and its blocks in order.
typedef struct {
  int64_t generator, class_index, run, draw, stage;
} am_fit;
typedef struct {
  int64_t pool, draw, class_index, run, stage;
} am_block;

typedef struct {
  const am_experiment *e;  // borrowed
  am_source *source;       // owned: [draw * split_count + split]
  am_given *given;         // owned: of each model
  int64_t split_count;
  am_stage *stage;
  int64_t count, capacity;
  am_cell *cell;
  int64_t cell_count;
  am_fit *fit;
  int64_t fit_count, fit_capacity;
  am_block *block;
  int64_t block_count, block_capacity;
  int64_t *index;               // owned: stages by address, an open hash table; -1: empty
  int64_t index_capacity;       // a power of two
  int64_t index_probes;         // made so far
  char address[AM_SHA256_HEX];  // of the whole experiment: every stage, and what tables say
} am_plan;

// Builds the plan from what the data and the given weights are. Local; every rank gets the same from
// equal sources. What it takes is freed when it fails.
AM_MUST_USE am_err am_plan_new(const am_experiment *e, am_source *source_take, am_given *given_take,
                               am_plan **out);
void am_plan_free(am_plan *p);
// The stage with this address, or -1.
int64_t am_plan_find(am_plan *p, const char *address);
// Fills state, failures, error and holder of every stage from the store. Local.
AM_MUST_USE am_err am_plan_look(am_plan *p, const am_store *store);
// The same for several plans that share a view.
AM_MUST_USE am_err am_plan_look_at(am_plan *p, am_store_view *view);
const char *am_state_name(am_stage_state state);  // "waiting"
// Bytes of image data that a stage writes, and that missing stages will write.
int64_t am_stage_bytes(const am_plan *p, const am_stage *st);
int64_t am_plan_bytes(const am_plan *p);
static inline const am_source *am_plan_source(const am_plan *p, int64_t draw, int64_t split) {
  return &p->source[draw * p->split_count + split];
}
// Images of class and run among the first `per_class` of a pool: runs take turns.
int64_t am_pool_part(int64_t per_class, int64_t runs, int64_t run);
// The sample index under which image j of a run is drawn and stored; with the class it is unique
// within a pool.
int64_t am_pool_index(int64_t run, int64_t j);

#endif
