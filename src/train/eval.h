// A classifier in eval mode, block by block. Every block has the same shape (the last one is padded),
// so logits do not depend on how a set is cut.
#ifndef AM_TRAIN_EVAL_H
#define AM_TRAIN_EVAL_H

#include "dist/comm.h"
#include "train/train.h"

typedef struct am_evaluator am_evaluator;
// model and data are borrowed; compute: am_pass.compute.
AM_MUST_USE am_err am_evaluator_new(am_model *model, am_dataset *data, am_transform transform,
                                    am_dtype compute, int64_t batch_size, am_evaluator **out);
void am_evaluator_free(am_evaluator *e);
// Local: logits (count, classes) of items first .. first+count, count <= batch_size.
AM_MUST_USE am_err am_evaluator_block(am_evaluator *e, int64_t first, int64_t count, float *logits);
// Collective(c): mean of a metric ("loss", "accuracy": means over images) for each of `count` names;
// the blocks are shared among the ranks and the value is the same for any number of them.
AM_MUST_USE am_err am_evaluator_means(am_evaluator *e, am_comm *c, const char *const *metric, int count,
                                      double *out);

#endif
