// The keys of `train:`, `fit:` and `optimizer:`.
#include <string.h>

#include "train/train.h"

#define AM_FIELD_OF am_optimizer_cfg
static const am_field optimizer_fields[] = {AM_FIELDS(AM_OPTIMIZER_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_train_cfg
static const am_field train_fields[] = {AM_FIELDS(AM_TRAIN_FIELDS)};
#undef AM_FIELD_OF
#define AM_FIELD_OF am_fit_cfg
static const am_field fit_fields[] = {AM_FIELDS(AM_FIT_FIELDS)};
#undef AM_FIELD_OF

const am_schema am_optimizer_schema = {"optimizer", "how weights are updated", sizeof(am_optimizer_cfg),
                                       optimizer_fields,
                                       (int)(sizeof optimizer_fields / sizeof *optimizer_fields)};
const am_schema am_train_schema = {"train", "how a classifier is trained", sizeof(am_train_cfg), train_fields,
                                   (int)(sizeof train_fields / sizeof *train_fields)};
const am_schema am_fit_schema = {"fit", "how a generator is fitted", sizeof(am_fit_cfg), fit_fields,
                                 (int)(sizeof fit_fields / sizeof *fit_fields)};

// `betas: [b1, b2]` is how PyTorch writes beta1 and beta2.
static am_err bind_betas(const am_node *map, const am_node *betas, am_optimizer_cfg *out) {
  if (betas->kind != AM_NODE_LIST || betas->count != 2)
    return am_node_fail(betas, "expected two numbers [beta1, beta2]");
  if (am_node_get(map, "beta1") || am_node_get(map, "beta2")) {
    return am_node_fail(betas, "give either betas or beta1 and beta2");
  }
  double *target[2] = {&out->beta1, &out->beta2};
  for (int i = 0; i < 2; i++) {
    AM_TRY(am_node_f64(betas->item[i], target[i]));
    if (!(*target[i] >= 0 && *target[i] < 1))
      return am_node_fail(betas->item[i], "%g is outside 0 .. 1", *target[i]);
  }
  return AM_OK;
}

am_err am_optimizer_bind(const am_node *node, am_optimizer_cfg *out) {
  static const char *const also[] = {"betas", NULL};
  AM_TRY(am_bind(node, &am_optimizer_schema, also, out));
  const am_node *betas = node ? am_node_get(node, "betas") : NULL;
  return betas ? bind_betas(node, betas, out) : AM_OK;
}

am_optim_cfg am_optimizer_to_optim(const am_optimizer_cfg *cfg) {
  am_optim_kind kind = AM_OPTIM_ADAM;
  if (strcmp(cfg->kind, "sgd") == 0) kind = AM_OPTIM_SGD;
  if (strcmp(cfg->kind, "adamw") == 0) kind = AM_OPTIM_ADAMW;
  return (am_optim_cfg){.kind = kind,
                        .lr = cfg->lr,
                        .momentum = cfg->momentum,
                        .nesterov = cfg->nesterov,
                        .beta1 = cfg->beta1,
                        .beta2 = cfg->beta2,
                        .eps = cfg->eps,
                        .weight_decay = cfg->weight_decay};
}
