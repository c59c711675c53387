// Fine-tuning: a classifier that starts from given weights, of which parts may be frozen or learn at
// a rate of their own. In an experiment these are further keys of a model:
//
//   models:
//     net:
//       kind: resnet18
//       weights: resnet18-imagenet    # a manifest of manifests/weights/, or a path ending in .safetensors
//       sha256: ...                   # what that file must hash to; optional
//       head: replaced                # the last layer is drawn from the seed, the file's is left out
//       frozen: [conv1, bn1, layer1]  # patterns of parameter names (nn/params.h)
//       freeze_bn: true               # frozen BatchNorms keep their running statistics and use them
//       lr: {layer4: 0.1, fc: 2}      # factors of the learning rate; where two match, the later counts
//
// As in PyTorch, freezing parameters (requires_grad = False) does not stop a BatchNorm from normalising
// with the batch and from moving its running statistics; freeze_bn does (its module in eval mode).
#ifndef AM_SWEEP_FINETUNE_H
#define AM_SWEEP_FINETUNE_H

#include "config/bind.h"
#include "models/registry.h"

#define AM_FINETUNE_FIELDS(I, F, B, S, C)                                                                   \
  S(weights, "", "start from a .safetensors file, or from NAME of manifests/weights/; empty: from the seed") \
  S(sha256, "", "what the file must hash to; empty: what its manifest says, if anything")                   \
  C(head, "kept", "kept|replaced", "replaced: the last layer is drawn from the seed, the file's left out")  \
  B(freeze_bn, false, "frozen BatchNorms use their running statistics in training, too, and keep them")
typedef struct {
  AM_STRUCT(AM_FINETUNE_FIELDS)
} am_finetune_cfg;
extern const am_schema am_finetune_schema;

typedef struct {
  const char *pattern;  // borrowed from the experiment's tree
  double factor;
} am_lr_part;
typedef struct {
  am_finetune_cfg cfg;
  const char **frozen;  // owned; patterns borrowed from the tree
  int64_t frozen_count;
  am_lr_part *lr;  // owned
  int64_t lr_count;
} am_finetune;

// The keys above, in a model's map n; `m` is the network, declared. Errors: AM_ERR_CONFIG: a pattern
// that matches no parameter, nothing left to train, a key that has no effect.
AM_MUST_USE am_err am_finetune_read(const am_node *n, am_model *m, am_finetune *out);
void am_finetune_fini(am_finetune *f);
// Between declaration and commit: freezes and sets learning rates.
void am_finetune_apply(const am_finetune *f, am_params *ps);
// After commit: the values of a file, which must still have this hash. Errors: AM_ERR_DATA.
AM_MUST_USE am_err am_finetune_load(const am_finetune *f, const char *path, const char *sha256, am_model *m);
// Whether the file fits, the network only declared. Errors: AM_ERR_DATA, with advice on the head.
AM_MUST_USE am_err am_finetune_fits(const am_finetune *f, const char *path, am_model *m);

#endif
