// ResNets (He et al. 2015, arXiv 1512.03385) with torchvision's names, layout and initial values.
//
// Bottleneck blocks carry the stride in their 3x3 convolution, as torchvision's do (not in the
// first 1x1 as in the paper). The `_cifar` stem is a 3x3 convolution of stride 1 without a pool,
// the usual form for images of 32 px.
#include <stdio.h>

#include "models/models_internal.h"

enum { STAGES = 4, MAX_BLOCKS = 50 /* resnet152 */, MAX_CONVS = 3, NAME_BYTES = 64 };

typedef enum { BLOCK_BASIC, BLOCK_BOTTLENECK } block_kind;
typedef struct {
  block_kind kind;
  int depth[STAGES];  // blocks per stage
  bool small_stem;
} resnet_variant;

typedef struct {
  am_conv conv[MAX_CONVS];
  am_batch_norm_layer bn[MAX_CONVS];
  int conv_count;
  bool has_downsample;
  am_conv downsample_conv;
  am_batch_norm_layer downsample_bn;
} resnet_block;

typedef struct {
  am_model base;
  am_conv conv1;
  am_batch_norm_layer bn1;
  resnet_block block[MAX_BLOCKS];
  int block_count;
  am_linear fc;
} resnet;

// ---- construction ------------------------------------------------------------------------------

static am_err conv_bn_init(am_conv *conv, am_batch_norm_layer *bn, am_params *ps, const char *conv_name,
                           const char *bn_name, am_conv_cfg cfg) {
  cfg.scheme = AM_SCHEME_KAIMING_FAN_OUT;
  AM_TRY(am_conv_init(conv, ps, conv_name, cfg));
  AM_TRY(am_batch_norm_init(bn, ps, bn_name, (am_batch_norm_cfg){.channels = cfg.out}));
  return AM_OK;
}

// The convolutions of a block: in -> width (-> width) -> out.
static int block_convs(block_kind kind, int64_t in, int64_t width, int64_t stride,
                       am_conv_cfg cfg[MAX_CONVS]) {
  if (kind == BLOCK_BASIC) {
    cfg[0] = (am_conv_cfg){.in = in, .out = width, .kernel = 3, .stride = stride, .pad = 1};
    cfg[1] = (am_conv_cfg){.in = width, .out = width, .kernel = 3, .pad = 1};
    return 2;
  }
  cfg[0] = (am_conv_cfg){.in = in, .out = width, .kernel = 1};
  cfg[1] = (am_conv_cfg){.in = width, .out = width, .kernel = 3, .stride = stride, .pad = 1};
  cfg[2] = (am_conv_cfg){.in = width, .out = 4 * width, .kernel = 1};
  return 3;
}

// zero_init: the block starts as its shortcut (torchvision's zero_init_residual).
static am_err block_init(resnet_block *b, am_params *ps, const char *prefix, block_kind kind, bool zero_init,
                         int64_t in, int64_t width, int64_t stride, int64_t *out) {
  am_conv_cfg cfg[MAX_CONVS];
  char conv_name[NAME_BYTES], bn_name[NAME_BYTES];
  b->conv_count = block_convs(kind, in, width, stride, cfg);
  for (int i = 0; i < b->conv_count; i++) {
    snprintf(conv_name, sizeof conv_name, "%s.conv%d", prefix, i + 1);
    snprintf(bn_name, sizeof bn_name, "%s.bn%d", prefix, i + 1);
    AM_TRY(conv_bn_init(&b->conv[i], &b->bn[i], ps, conv_name, bn_name, cfg[i]));
  }
  *out = cfg[b->conv_count - 1].out;
  if (zero_init) b->bn[b->conv_count - 1].weight->init = (am_init){.kind = AM_INIT_CONSTANT, .a = 0};

  b->has_downsample = stride != 1 || in != *out;
  if (!b->has_downsample) return AM_OK;
  snprintf(conv_name, sizeof conv_name, "%s.downsample.0", prefix);
  snprintf(bn_name, sizeof bn_name, "%s.downsample.1", prefix);
  AM_TRY(conv_bn_init(&b->downsample_conv, &b->downsample_bn, ps, conv_name, bn_name,
                      (am_conv_cfg){.in = in, .out = *out, .kernel = 1, .stride = stride}));
  return AM_OK;
}

static am_err resnet_build(am_model *base) {
  resnet *m = (resnet *)base;
  const resnet_variant *variant = base->def->variant;
  am_params *ps = base->params;
  int64_t width = base->cfg.width, channels = width;

  am_conv_cfg stem = variant->small_stem ? (am_conv_cfg){.kernel = 3, .pad = 1}
                                         : (am_conv_cfg){.kernel = 7, .stride = 2, .pad = 3};
  stem.in = base->cfg.channels;
  stem.out = width;
  AM_TRY(conv_bn_init(&m->conv1, &m->bn1, ps, "conv1", "bn1", stem));

  char prefix[NAME_BYTES / 2];
  for (int stage = 0; stage < STAGES; stage++) {
    for (int i = 0; i < variant->depth[stage]; i++) {
      int64_t stride = stage > 0 && i == 0 ? 2 : 1;
      snprintf(prefix, sizeof prefix, "layer%d.%d", stage + 1, i);
      AM_TRY(block_init(&m->block[m->block_count], ps, prefix, variant->kind, base->cfg.zero_init_residual,
                        channels, width << stage, stride, &channels));
      m->block_count++;
    }
  }
  AM_TRY(am_linear_init(&m->fc, ps, "fc", (am_linear_cfg){.in = channels, .out = base->cfg.classes}));
  return AM_OK;
}

// ---- forward -----------------------------------------------------------------------------------

static am_err block_forward(resnet_block *b, am_pass *pass, am_tensor *x, am_tensor **y) {
  am_tensor *h = x, *shortcut = x;
  int last = b->conv_count - 1;
  for (int i = 0; i < last; i++) {
    AM_TRY(am_conv_norm_act_forward(&b->conv[i], &b->bn[i], pass, h, NULL, AM_RELU, &h));
  }
  if (b->has_downsample) {
    AM_TRY(am_conv_norm_act_forward(&b->downsample_conv, &b->downsample_bn, pass, x, NULL, AM_NO_ACTIVATION,
                                    &shortcut));
  }
  return am_conv_norm_act_forward(&b->conv[last], &b->bn[last], pass, h, shortcut, AM_RELU, y);
}

static am_err resnet_forward(am_model *base, am_pass *pass, am_tensor *x, am_tensor **y) {
  resnet *m = (resnet *)base;
  const resnet_variant *variant = base->def->variant;
  const int64_t mark = am_graph_mark(pass->graph);
  AM_TRY(am_conv_norm_act_forward(&m->conv1, &m->bn1, pass, x, NULL, AM_RELU, &x));
  if (!variant->small_stem) {
    am_pool2d_desc pool = {
        .kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1};
    AM_TRY(am_max_pool2d(pass->graph, x, pool, &x));
  }
  for (int i = 0; i < m->block_count; i++) {
    AM_TRY(block_forward(&m->block[i], pass, x, &x));
    AM_TRY(am_pass_forget(pass, mark, x));
  }
  AM_TRY(am_global_avg_pool(pass->graph, x, &x));
  AM_TRY(am_linear_forward(&m->fc, pass, x, y));
  return AM_OK;
}

// ---- the family --------------------------------------------------------------------------------

#define RESNET_18  .kind = BLOCK_BASIC, .depth = {2, 2, 2, 2}
#define RESNET_34  .kind = BLOCK_BASIC, .depth = {3, 4, 6, 3}
#define RESNET_50  .kind = BLOCK_BOTTLENECK, .depth = {3, 4, 6, 3}
#define RESNET_101 .kind = BLOCK_BOTTLENECK, .depth = {3, 4, 23, 3}
#define RESNET_152 .kind = BLOCK_BOTTLENECK, .depth = {3, 8, 36, 3}

#define RESNET(model_name, text, class_count, image_size, ...)                                              \
  {                                                                                                         \
    .name = model_name, .doc = text, .role = AM_ROLE_CLASSIFIER, .imagenet_input = image_size == 224,       \
    .settings = AM_MODEL_WIDTH | AM_MODEL_ZERO_INIT,                                                        \
    .defaults = {.classes = class_count, .channels = 3, .size = image_size, .width = 64},                   \
    .variant = &(const resnet_variant){__VA_ARGS__}, .struct_bytes = sizeof(resnet), .build = resnet_build, \
    .forward = resnet_forward                                                                               \
  }
#define AS_TORCHVISION(name, text, ...) RESNET(name, text, 1000, 224, __VA_ARGS__)
#define SMALL_IMAGES(name, text, ...)   RESNET(name, text, 10, 32, __VA_ARGS__, .small_stem = true)

const am_model_def am_resnet18 =
    AS_TORCHVISION("resnet18", "ResNet-18 as torchvision's: 7x7 stem of stride 2, max-pool", RESNET_18);
const am_model_def am_resnet34 = AS_TORCHVISION("resnet34", "ResNet-34 as torchvision's", RESNET_34);
const am_model_def am_resnet50 =
    AS_TORCHVISION("resnet50", "ResNet-50 as torchvision's (stride in the 3x3 convolution)", RESNET_50);
const am_model_def am_resnet101 = AS_TORCHVISION("resnet101", "ResNet-101 as torchvision's", RESNET_101);
const am_model_def am_resnet152 = AS_TORCHVISION("resnet152", "ResNet-152 as torchvision's", RESNET_152);
const am_model_def am_resnet18_cifar = SMALL_IMAGES(
    "resnet18_cifar", "ResNet-18 for small images: 3x3 stem of stride 1, no max-pool", RESNET_18);
const am_model_def am_resnet34_cifar =
    SMALL_IMAGES("resnet34_cifar", "ResNet-34 for small images", RESNET_34);
const am_model_def am_resnet50_cifar =
    SMALL_IMAGES("resnet50_cifar", "ResNet-50 for small images", RESNET_50);
const am_model_def am_resnet101_cifar =
    SMALL_IMAGES("resnet101_cifar", "ResNet-101 for small images", RESNET_101);
const am_model_def am_resnet152_cifar =
    SMALL_IMAGES("resnet152_cifar", "ResNet-152 for small images", RESNET_152);
