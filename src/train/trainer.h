// The loop of every training: epochs of batches, agreement at step boundaries, checkpoints, stop
// signals, history, progress. Exact resume: a run that was stopped or killed and started again ends
// with the bits of one that was not.
#ifndef AM_TRAIN_TRAINER_H
#define AM_TRAIN_TRAINER_H

#include "train/objective.h"
#include "train/train.h"

typedef struct {
  am_comm *comm;     // borrowed
  am_dataset *data;  // borrowed
  am_loader_cfg loader;
  int64_t epochs, accumulate;
  int64_t checkpoint_sec;
  const char *checkpoint_dir;  // NULL: no checkpoints
  const char *identity;        // one line: which training this is
  const char *label;           // for progress lines
  const am_objective *objective;
  void *self;  // the objective's
} am_trainer_cfg;

// Collective. *history belongs to the caller. Errors: AM_ERR_STOPPED a signal was agreed on;
// those of the objective, the loader and the checkpoints, agreed on by all ranks.
AM_MUST_USE am_err am_trainer_run(const am_trainer_cfg *cfg, am_history **history);

#endif
