// The text of each kind of stage: what its address is of. A revision is bumped when the meaning of
// a stage changes in code, so that only its artefacts (and what stands on them) are made again.
#ifndef AM_SWEEP_STAGE_TEXT_H
#define AM_SWEEP_STAGE_TEXT_H

#include "sweep/plan.h"

// Fills st->text and st->address. The inputs of st are in place; addresses come from p.
AM_MUST_USE am_err am_stage_describe(const am_plan *p, am_stage *st);

// Epochs of an arm whose training set has `images`: those of the recipe, or as many as give the
// steps of the reference arm.
int64_t am_arm_epochs(const am_plan *p, int64_t arm, int64_t draw);
// Updates of the optimiser in one epoch of an arm.
int64_t am_arm_updates(const am_plan *p, int64_t arm, int64_t draw);
// Images of an arm's training set in one draw.
int64_t am_arm_images(const am_plan *p, int64_t arm, int64_t draw);

#endif
