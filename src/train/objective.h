// What a step of training means: the part that differs between a classifier and a GAN. The loop
// around it (epochs, batches, checkpoints, signals, progress) is trainer.c.
#ifndef AM_TRAIN_OBJECTIVE_H
#define AM_TRAIN_OBJECTIVE_H

#include "base/str.h"
#include "data/loader.h"
#include "train/checkpoint.h"

// Where a step stands. A group is the `accumulate` batches whose gradients make one update.
typedef struct {
  int64_t epoch, step;   // step: batch of the epoch
  int64_t batch_number;  // batches before this one since the start of training
  int64_t update;        // updates before this one
  bool group_first, group_last;
  int64_t group_rows;  // images in the whole group
} am_step;

typedef struct am_objective {
  int column_count;  // of the history; column[0] is "epoch"
  const char *const *column;
  // Collective: the work of one batch on this rank, with the update when it is the last of its
  // group. batch NULL: this rank failed before; it takes part in the reductions and returns
  // `failed`. A rank that fails on the way does the same.
  AM_MUST_USE am_err (*step)(void *self, const am_step *at, const am_batch *batch, am_err failed);
  // Collective: fills one row of the history and starts counting anew.
  AM_MUST_USE am_err (*end_epoch)(void *self, int64_t epoch, double *row);
  // Collective, after the last epoch: every rank's network becomes the result.
  AM_MUST_USE am_err (*finish)(void *self);
  // Collective: checks that the ranks agree, and everything the objective must remember; only rank 0's is
  // kept.
  AM_MUST_USE am_err (*save)(void *self, am_checkpoint *c);
  AM_MUST_USE am_err (*restore)(void *self, const am_checkpoint *c);
  // "loss 1.83 top1 0.41": what the progress line shows.
  AM_MUST_USE am_err (*describe)(void *self, am_str *text);
} am_objective;

#endif
