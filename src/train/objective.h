// What a step of training means: the part that differs between a classifier and a GAN. The loop
// around it (epochs, batches, checkpoints, signals, progress) is trainer.c.
#ifndef AM_TRAIN_OBJECTIVE_H
#define AM_TRAIN_OBJECTIVE_H

#include "base/str.h"
#include "data/loader.h"
#include "train/checkpoint.h"
#include "train/train.h"

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
  void (*free)(void *self);
} am_objective;

// ---- the objectives there are ----
// am_train_classifier and am_fit_gan run them; a benchmark steps one by hand. job is borrowed as long as the
// training lives. The error is this rank's own: collective callers agree on it.
typedef struct {
  const am_objective *objective;
  void *self;  // owned
} am_training;
AM_MUST_USE am_err am_classifier_begin(const am_classify_job *job, am_training *out);
AM_MUST_USE am_err am_gan_begin(const am_gan_job *job, am_training *out);
static inline void am_training_end(am_training *t) {
  if (t->self) t->objective->free(t->self);
  *t = (am_training){0};
}

#endif
