// Training: what happens to a network, as named steps.
//
// Data-parallel width is part of the meaning: `slices` cuts every batch into S fixed parts; each
// slice is one forward and backward with its own BatchNorm statistics; the S gradients are added in
// a fixed tree (dist/collective.h; on several cards `reduce` says) and divided by the batch. The ranks of
// `comm` share the slices, so any number of ranks gives the same bits. Slice 0 updates running statistics, as DDP's rank 0.
#ifndef AM_TRAIN_TRAIN_H
#define AM_TRAIN_TRAIN_H

#include "config/bind.h"
#include "data/loader.h"
#include "dist/comm.h"
#include "models/registry.h"
#include "nn/optim.h"

// ---- configuration (train_cfg.c): keys of `train:`, `fit:` and `optimizer:` in experiments ----
#define AM_OPTIMIZER_FIELDS(I, F, B, S, C)                                                        \
  C(kind, "adam", "sgd|adam|adamw", "update rule")                                                \
  F(lr, 1.0e-3, 0, 100, "", "peak learning rate")                                                 \
  F(momentum, 0, 0, 1, "", "sgd: momentum")                                                       \
  B(nesterov, false, "sgd: Nesterov momentum")                                                    \
  F(beta1, 0.9, 0, 1, "", "adam, adamw: decay of the first moment (also betas: [b1, b2])")        \
  F(beta2, 0.999, 0, 1, "", "adam, adamw: decay of the second moment")                            \
  F(eps, 1.0e-8, 0, 1, "", "adam, adamw: added to the root")                                      \
  F(weight_decay, 0, 0, 10, "", "added to the gradient; decoupled for adamw")
#define AM_REDUCE_DEFAULT "fast"
#define AM_TRAIN_FIELDS(I, F, B, S, C)                                                            \
  I(epochs, 80, 0, 1000000, "", "passes over the training set")                                   \
  I(batch_size, 32, 1, 65536, "images", "images per step, over all slices")                       \
  I(slices, 1, 1, 1024, "", "data-parallel width: each batch is cut into this many parts")        \
  I(accumulate, 1, 1, 1024, "", "steps whose gradients are added before one update")              \
  C(loss, "cross_entropy", "cross_entropy|double_softmax", "what is minimised")                   \
  F(label_smoothing, 0, 0, 1, "", "share of the target spread over all classes")                  \
  C(schedule, "constant", "constant|step|multistep|cosine", "how the learning rate falls")        \
  F(warmup_epochs, 0, 0, 100000, "epochs", "linear rise of the learning rate from 0")             \
  I(step_epochs, 30, 1, 1000000, "epochs", "step: epochs between two falls")                      \
  S(milestones, "", "multistep: epochs of the falls, comma-separated")                            \
  F(gamma, 0.1, 0, 1, "", "step, multistep: factor of each fall")                                 \
  F(min_lr, 0, 0, 100, "", "cosine: learning rate at the end")                                    \
  F(clip_norm, 0, 0, 1.0e6, "", "largest gradient norm; 0: no clipping")                          \
  F(ema, 0, 0, 1, "", "decay of the averaged weights used for evaluation; 0: none")               \
  C(sampler, "shuffle", "shuffle|balanced", "balanced: drawn with replacement, classes equally often") \
  B(drop_last, false, "leave out a short last batch")                                             \
  C(precision, "fp32", "fp32|bf16|tf32",                                                          \
    "type between convolutions, in training and evaluation; bf16: f32 weights and sums, no loss scaling; " \
    "tf32: f32, of which cuda's products and convolutions read 10 bits") \
  C(reduce, AM_REDUCE_DEFAULT, "ordered|fast",                                                    \
    "sum of the slices' gradients over several cards. ordered: a fixed tree, the same bits on any number of ranks, as always on " \
    "the CPU; fast: NCCL's order, where every rank has a card of its own")                        \
  I(checkpoint_sec, 300, 0, 1000000, "s", "time between checkpoints; changes no result")
#define AM_FIT_FIELDS(I, F, B, S, C)                                                              \
  B(per_class, true, "one generator for each class")                                              \
  I(runs, 1, 1, 64, "", "independent fits whose samples are pooled in equal parts")               \
  I(epochs, 100, 0, 1000000, "", "passes over the training images of the generator")              \
  I(batch_size, 1, 1, 65536, "images", "images per step")                                         \
  I(slices, 1, 1, 1024, "", "data-parallel width")                                                \
  F(real_label_min, 1, 0, 2, "", "discriminator target of real images: uniform from here ...")    \
  F(real_label_max, 1, 0, 2, "", "... to here")                                                   \
  F(fake_label_min, 0, 0, 2, "", "discriminator target of generated images: uniform from here ...") \
  F(fake_label_max, 0, 0, 2, "", "... to here")                                                   \
  F(label_flip, 0, 0, 1, "", "share of discriminator targets that are swapped")                   \
  C(precision, "fp32", "fp32|bf16|tf32", "as of train, while it is fitted; samples are drawn in fp32") \
  C(reduce, AM_REDUCE_DEFAULT, "ordered|fast", "sum of the slices' gradients over several cards, as in train") \
  I(checkpoint_sec, 300, 0, 1000000, "s", "time between checkpoints; changes no result")
typedef struct { AM_STRUCT(AM_OPTIMIZER_FIELDS) } am_optimizer_cfg;
typedef struct { AM_STRUCT(AM_TRAIN_FIELDS) } am_train_cfg;
typedef struct { AM_STRUCT(AM_FIT_FIELDS) } am_fit_cfg;
extern const am_schema am_optimizer_schema, am_train_schema, am_fit_schema;
// Reads the node of `optimizer:` (with `betas: [b1, b2]`), or the default when NULL.
AM_MUST_USE am_err am_optimizer_bind(const am_node *node, am_optimizer_cfg *out);
am_optim_cfg am_optimizer_to_optim(const am_optimizer_cfg *cfg);

// ---- history (history.c): one row per epoch, named columns, what curves are drawn from ----
typedef struct am_history am_history;
AM_MUST_USE am_err am_history_new(const char *const *column, int count, am_history **out);
void am_history_free(am_history *h);
AM_MUST_USE am_err am_history_add(am_history *h, const double *row);
int64_t am_history_rows(const am_history *h);
int am_history_columns(const am_history *h);
const char *am_history_name(const am_history *h, int column);
double am_history_at(const am_history *h, int64_t row, int column);

// ---- a classifier (classify.c) ----
typedef struct {
  am_comm *comm;               // borrowed: the ranks that share this training; the caller's group
  am_device *device;           // borrowed
  am_model *model;             // borrowed: initialised; trained in place
  am_dataset *data;            // borrowed
  am_transform transform;      // training transform (augmentation and normalisation)
  am_transform eval_transform; // normalisation only
  am_dataset *watch;           // borrowed, may be NULL: evaluated after every epoch, for curves only
  am_train_cfg cfg;
  am_optimizer_cfg optimizer;
  uint64_t seed;
  int loader_workers;
  const char *checkpoint_dir;  // NULL: no checkpoints
  const char *label;           // for progress lines: "train gan2000 cnn seed 3"
} am_classify_job;
// Collective(job->comm). Trains for cfg.epochs, resuming from checkpoint_dir when it holds a valid
// state. *history (columns epoch, lr, train_loss, train_accuracy, and watch_loss, watch_accuracy)
// belongs to the caller. AM_ERR_STOPPED: a signal was agreed on and the checkpoint is written.
AM_MUST_USE am_err am_train_classifier(const am_classify_job *job, am_history **history);
// Local: logits (n, classes) of every item in order, in eval mode, at one fixed batch shape, computed in
// this type (am_pass.compute).
AM_MUST_USE am_err am_classifier_logits(am_model *model, am_dataset *data, am_transform transform,
                                        am_dtype compute, int64_t batch_size, float *logits);

// ---- a GAN (gan.c) ----
typedef struct {
  am_comm *comm;
  am_device *device;
  am_model *generator, *discriminator;  // borrowed; fitted in place
  am_dataset *data;                     // real images
  am_fit_cfg cfg;
  am_optimizer_cfg optimizer;           // for both networks
  uint64_t seed;
  const char *checkpoint_dir;
  const char *label;
} am_gan_job;
// Collective(job->comm). Order of a step as the DCGAN reference: D on real, D on a detached fake (two
// forward passes), D's update, then G through the updated D. History columns: epoch, d_loss,
// g_loss, d_real, d_fake (mean probabilities).
AM_MUST_USE am_err am_fit_gan(const am_gan_job *job, am_history **history);

#endif
