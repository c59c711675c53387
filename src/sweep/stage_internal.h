// Shared by the files that do the work of stages; not for other folders.
#ifndef AM_SWEEP_STAGE_INTERNAL_H
#define AM_SWEEP_STAGE_INTERNAL_H

#include "sweep/stage_run.h"
#include "train/train.h"

// stage_run.c: a network of the plan, for the images and classes of a draw, declared. Local.
AM_MUST_USE am_err am_stage_network(const am_stage_env *env, const am_model_def *def,
                                    const am_network_cfg *network, int64_t draw, am_model **out);

// stage_data.c
// How the images of a split come to its size.
am_image_fit am_split_fit(const am_split_cfg *cfg);
AM_MUST_USE am_err am_prepare_run(const am_stage_env *env, const am_stage *st, const char *out_dir);
AM_MUST_USE am_err am_stage_dataset(const am_stage_env *env, int64_t stage, am_dataset **out);
// The real images of one class: what a generator is fitted to.
AM_MUST_USE am_err am_class_dataset(const am_stage_env *env, int64_t stage, int64_t class_index,
                                    am_dataset **out);
// What an arm trains on: its parts in the order of the file. `st` is a train stage.
AM_MUST_USE am_err am_training_dataset(const am_stage_env *env, const am_stage *st, am_dataset **out);

#endif
