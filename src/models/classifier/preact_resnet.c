// Pre-activation ResNet-18 (He et al. 2016, arXiv 1603.05027) as kuangliu/pytorch-cifar and
// snu-mllab/PuzzleMix have it, with their names and PyTorch's initial values.
//
// Two deviations of theirs from the paper, kept: no BatchNorm and no ReLU between the last block and
// the pool, and a shortcut without convolution takes the block's input as it is, while one with a
// convolution takes it after the first BatchNorm and ReLU. Where they average the last 4x4 pixels,
// this one averages all there are: the same at the sizes they use.
#include <stdio.h>

#include "models/models_internal.h"

enum { STAGES = 4, BLOCKS_PER_STAGE = 2, BLOCKS = STAGES * BLOCKS_PER_STAGE, NAME_BYTES = 32 };

typedef struct {
  int64_t stem_stride;
} preact_variant;

typedef struct {
  am_batch_norm_layer bn1, bn2;
  am_conv conv1, conv2, shortcut;
  bool has_shortcut;
} preact_block;

typedef struct {
  am_model base;
  am_conv conv1;
  preact_block block[BLOCKS];
  am_linear linear;
} preact_resnet;

static am_err block_init(preact_block *b, am_params *ps, const char *prefix, int64_t in, int64_t out,
                         int64_t stride) {
  char name[4][NAME_BYTES];
  static const char *const part[] = {"bn1", "conv1", "bn2", "conv2"};
  for (int i = 0; i < 4; i++) snprintf(name[i], NAME_BYTES, "%s.%s", prefix, part[i]);
  AM_TRY(am_batch_norm_init(&b->bn1, ps, name[0], (am_batch_norm_cfg){.channels = in}));
  AM_TRY(am_conv_init(&b->conv1, ps, name[1],
                      (am_conv_cfg){.in = in, .out = out, .kernel = 3, .stride = stride, .pad = 1}));
  AM_TRY(am_batch_norm_init(&b->bn2, ps, name[2], (am_batch_norm_cfg){.channels = out}));
  AM_TRY(am_conv_init(&b->conv2, ps, name[3], (am_conv_cfg){.in = out, .out = out, .kernel = 3, .pad = 1}));

  b->has_shortcut = stride != 1 || in != out;
  if (!b->has_shortcut) return AM_OK;
  snprintf(name[0], NAME_BYTES, "%s.shortcut.0", prefix);
  return am_conv_init(&b->shortcut, ps, name[0],
                      (am_conv_cfg){.in = in, .out = out, .kernel = 1, .stride = stride});
}

static am_err preact_build(am_model *base) {
  preact_resnet *m = (preact_resnet *)base;
  const preact_variant *variant = base->def->variant;
  am_params *ps = base->params;
  int64_t channels = base->cfg.width;
  AM_TRY(am_conv_init(
      &m->conv1, ps, "conv1",
      (am_conv_cfg){
          .in = base->cfg.channels, .out = channels, .kernel = 3, .stride = variant->stem_stride, .pad = 1}));
  for (int i = 0; i < BLOCKS; i++) {
    int stage = i / BLOCKS_PER_STAGE, place = i % BLOCKS_PER_STAGE;
    char prefix[NAME_BYTES / 2];
    snprintf(prefix, sizeof prefix, "layer%d.%d", stage + 1, place);
    int64_t out = base->cfg.width << stage;
    AM_TRY(block_init(&m->block[i], ps, prefix, channels, out, stage > 0 && place == 0 ? 2 : 1));
    channels = out;
  }
  return am_linear_init(&m->linear, ps, "linear", (am_linear_cfg){.in = channels, .out = base->cfg.classes});
}

static am_err block_forward(preact_block *b, am_pass *pass, am_tensor *x, am_tensor **y) {
  am_tensor *h = NULL, *shortcut = x;
  AM_TRY(am_norm_act_forward(&b->bn1, pass, x, NULL, AM_RELU, &h));
  if (b->has_shortcut) AM_TRY(am_conv_forward(&b->shortcut, pass, h, &shortcut));
  AM_TRY(am_conv_norm_act_forward(&b->conv1, &b->bn2, pass, h, NULL, AM_RELU, &h));
  AM_TRY(am_conv_forward(&b->conv2, pass, h, &h));
  return am_add(pass->graph, h, shortcut, y);
}

static am_err preact_forward(am_model *base, am_pass *pass, am_tensor *x, am_tensor **y) {
  preact_resnet *m = (preact_resnet *)base;
  const int64_t mark = am_graph_mark(pass->graph);
  AM_TRY(am_conv_forward(&m->conv1, pass, x, &x));
  for (int i = 0; i < BLOCKS; i++) {
    AM_TRY(block_forward(&m->block[i], pass, x, &x));
    AM_TRY(am_pass_forget(pass, mark, x));
  }
  AM_TRY(am_global_avg_pool(pass->graph, x, &x));
  return am_linear_forward(&m->linear, pass, x, y);
}

#define PREACT(model_name, text, class_count, image_size, stride)                                     \
  {                                                                                                   \
    .name = model_name, .doc = text, .role = AM_ROLE_CLASSIFIER, .settings = AM_MODEL_WIDTH,          \
    .defaults = {.classes = class_count, .channels = 3, .size = image_size, .width = 64},             \
    .variant = &(const preact_variant){.stem_stride = stride}, .struct_bytes = sizeof(preact_resnet), \
    .build = preact_build, .forward = preact_forward                                                  \
  }

const am_model_def am_preact_resnet18 = PREACT(
    "preact_resnet18", "PreActResNet-18 for 32 px: 3x3 stem of stride 1, no BatchNorm at the end", 10, 32, 1);
const am_model_def am_preact_resnet18_64 =
    PREACT("preact_resnet18_64", "PreActResNet-18 for 64 px (Tiny ImageNet): the same, stem of stride 2", 200,
           64, 2);
