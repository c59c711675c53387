// The small CNNs of the papers: convolutions with ReLU and 2x2 max-pool, then one or two fully
// connected layers. What the papers leave open is fixed as the reproduction notes of each say.
//   P2  Leal, Trenti: "Optimizing Image Classification with Generative Model-Driven Data
//       Augmentation": the classifier was supplied to the authors and is not described.
//   P3  Gao, "Enhancing Image Classification Performance via GAN-based Data Augmentation":
//       3x3 convolutions, 2x2 max-pool, one fully connected output; widths are ours.
//   P4  Farhat, "Improving Image Classification with Deep Convolutional GAN Data Augmentation":
//       convolutions of 16 channels k5 and 8 channels k3, two dense layers; no padding and 64
//       hidden units are ours.
#include <stdio.h>

#include "models/models_internal.h"

enum { MAX_CONVS = 3, NAME_BYTES = 16 };

typedef struct {
  int conv_count;
  struct {
    int64_t channels, kernel, pad;
  } conv[MAX_CONVS];
  int64_t hidden;  // width of fc1; 0: one layer, named fc
} cnn_variant;

typedef struct {
  am_model base;
  am_conv conv[MAX_CONVS];
  am_linear fc1, fc2;  // fc1 only with a hidden layer
} cnn;

static am_err cnn_build(am_model *base) {
  cnn *m = (cnn *)base;
  const cnn_variant *variant = base->def->variant;
  am_params *ps = base->params;
  int64_t channels = base->cfg.channels, side = base->cfg.size;
  char name[NAME_BYTES];
  for (int i = 0; i < variant->conv_count; i++) {
    am_conv_cfg cfg = {.in = channels,
                       .out = variant->conv[i].channels,
                       .kernel = variant->conv[i].kernel,
                       .pad = variant->conv[i].pad,
                       .bias = true};
    snprintf(name, sizeof name, "conv%d", i + 1);
    AM_TRY(am_conv_init(&m->conv[i], ps, name, cfg));
    channels = cfg.out;
    side = (side + 2 * cfg.pad - cfg.kernel + 1) / 2;
    AM_CHECK(side >= 1, AM_ERR_CONFIG, "model %s: images of %lld px are too small", base->def->name,
             (long long)base->cfg.size);
  }
  int64_t features = channels * side * side;
  if (variant->hidden) {
    AM_TRY(am_linear_init(&m->fc1, ps, "fc1", (am_linear_cfg){.in = features, .out = variant->hidden}));
    features = variant->hidden;
  }
  AM_TRY(am_linear_init(&m->fc2, ps, variant->hidden ? "fc2" : "fc",
                        (am_linear_cfg){.in = features, .out = base->cfg.classes}));
  return AM_OK;
}

static am_err cnn_forward(am_model *base, am_pass *pass, am_tensor *x, am_tensor **y) {
  cnn *m = (cnn *)base;
  const cnn_variant *variant = base->def->variant;
  am_pool2d_desc pool = {.kernel_h = 2, .kernel_w = 2, .stride_h = 2, .stride_w = 2};
  for (int i = 0; i < variant->conv_count; i++) {
    AM_TRY(am_conv_act_forward(&m->conv[i], pass, x, AM_RELU, &x));
    AM_TRY(am_max_pool2d(pass->graph, x, pool, &x));
  }
  AM_TRY(am_reshape(pass->graph, x, AM_SHAPE(x->shape.dim[0], -1), &x));
  if (variant->hidden) {
    AM_TRY(am_linear_forward(&m->fc1, pass, x, &x));
    AM_TRY(am_relu(pass->graph, x, &x));
    AM_TRY(am_dropout(pass, x, base->cfg.dropout, &x));
  }
  AM_TRY(am_linear_forward(&m->fc2, pass, x, y));
  return AM_OK;
}

const am_model_def am_cow_horse_cnn = {
    .name = "cow_horse_cnn",
    .doc =
        "paper P4: two convolutions (16 k5, 8 k3) and two dense layers; 102,922 parameters at 64 px, 2 "
        "classes",
    .role = AM_ROLE_CLASSIFIER,
    .settings = AM_MODEL_DROPOUT,
    .defaults = {.classes = 2, .channels = 3, .size = 64},
    .variant = &(const cnn_variant){.conv_count = 2, .conv = {{16, 5, 0}, {8, 3, 0}}, .hidden = 64},
    .struct_bytes = sizeof(cnn),
    .build = cnn_build,
    .forward = cnn_forward,
};

const am_model_def am_p2_cnn = {
    .name = "p2_cnn",
    .doc = "for paper P2: three 3x3 convolutions (32, 64, 128), dense 256 with dropout 0.5",
    .role = AM_ROLE_CLASSIFIER,
    .settings = AM_MODEL_DROPOUT,
    .defaults = {.classes = 10, .channels = 3, .size = 64, .dropout = 0.5},
    .variant =
        &(const cnn_variant){.conv_count = 3, .conv = {{32, 3, 1}, {64, 3, 1}, {128, 3, 1}}, .hidden = 256},
    .struct_bytes = sizeof(cnn),
    .build = cnn_build,
    .forward = cnn_forward,
};

const am_model_def am_p3_cnn = {
    .name = "p3_cnn",
    .doc =
        "paper P3: three 3x3 convolutions (32, 64, 128), one dense layer; 113,738 parameters at 32 px, 10 "
        "classes",
    .role = AM_ROLE_CLASSIFIER,
    .defaults = {.classes = 10, .channels = 3, .size = 32},
    .variant = &(const cnn_variant){.conv_count = 3, .conv = {{32, 3, 1}, {64, 3, 1}, {128, 3, 1}}},
    .struct_bytes = sizeof(cnn),
    .build = cnn_build,
    .forward = cnn_forward,
};
