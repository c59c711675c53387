// What each kind of stage does, given an empty folder.
#ifndef AM_SWEEP_STAGE_RUN_H
#define AM_SWEEP_STAGE_RUN_H

#include "data/dataset.h"
#include "sweep/plan.h"
#include "tensor/device.h"

typedef struct {
  const am_plan *plan;  // all fields borrowed
  const am_store *store;
  am_source_dirs dirs;
  am_device *device;
  am_comm *group;  // the ranks that share this stage
} am_stage_env;

// Collective(env->group). Files go to out_dir, which the first rank of the group alone has; the
// checkpoint folder is the same for all. Errors: AM_ERR_STOPPED after a signal.
//   prepare   block-00000000.h5 ...            shards of decoded, resized images, or of the files
//   fit       generator.safetensors discriminator.safetensors history.h5
//   generate  block-00000000.h5                one shard
//   train     model.safetensors history.h5
//   evaluate  predictions.h5: logits (n, classes) f32, label (n) i32
AM_MUST_USE am_err am_stage_run(const am_stage_env *env, const am_stage *st, const char *out_dir,
                                const char *checkpoint_dir);

// The images of a finished stage that made shards, files at the size of their split. Local.
AM_MUST_USE am_err am_plan_dataset(const am_plan *plan, const am_store *store, int64_t stage,
                                   am_dataset **out);

#endif
