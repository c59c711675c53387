// DCGAN (Radford et al. 2015, arXiv 1511.06434) as papers P2 and P4 use it, with the layers and
// names of PyTorch's example: one nn.Sequential called `main`, bias-free k4 convolutions.
//
//   generator      z -> 4 x 4 (stride 1, pad 0), then doubling (stride 2, pad 1) to size; BatchNorm
//                  and ReLU after all but the last, which ends in tanh
//   discriminator  halving from size to 4 x 4, then one k4 convolution to a logit; LeakyReLU after
//                  all but the last, BatchNorm before it except in the first; with `dropout` a
//                  Dropout follows each LeakyReLU, which shifts the indices in the names
//
// The discriminator returns logits: the sigmoid belongs to the loss. Images and logits are in the parameters' type whatever
// the convolutions compute in. A network for 64 px has four
// doublings; 16, 32, 128 and 256 px have two, three, five and six. P2 gives no LeakyReLU slope for its GAN;
// both papers' 0.02 is kept (the usual value is 0.2).
#include <stdio.h>

#include "models/models_internal.h"

enum { MAX_LAYERS = 7, NAME_BYTES = 16, MIN_SIZE = 16, MAX_SIZE = 256, SEED_SIZE = 4 };

typedef struct {
  am_model base;
  am_conv conv[MAX_LAYERS];
  am_batch_norm_layer bn[MAX_LAYERS];
  int layer_count;  // convolutions: one to or from 4 x 4, and one per doubling
} dcgan;

// How many doublings lie between 4 px and the image.
static am_err count_doublings(const am_model *m, int *out) {
  int64_t size = m->cfg.size;
  AM_CHECK(size >= MIN_SIZE && size <= MAX_SIZE && (size & (size - 1)) == 0, AM_ERR_CONFIG,
           "model %s: size is %lld px, expected 16, 32, 64, 128 or 256", m->def->name, (long long)size);
  int doublings = 0;
  while (SEED_SIZE << doublings < size) doublings++;
  *out = doublings;
  return AM_OK;
}

// The first layer of a discriminator sees the images, the last layer of a generator makes them.
static bool has_norm(const dcgan *m, int layer) {
  if (layer == m->layer_count - 1) return false;
  return m->base.def->role == AM_ROLE_GENERATOR || layer > 0;
}

// Declares layer `layer` at position *index of the Sequential and moves the index behind it.
static am_err layer_init(dcgan *m, int layer, am_conv_cfg cfg, int *index) {
  char name[NAME_BYTES];
  bool last = layer == m->layer_count - 1;
  cfg.kernel = 4;
  cfg.scheme = AM_SCHEME_DCGAN;
  snprintf(name, sizeof name, "main.%d", (*index)++);
  AM_TRY(am_conv_init(&m->conv[layer], m->base.params, name, cfg));
  if (has_norm(m, layer)) {
    snprintf(name, sizeof name, "main.%d", (*index)++);
    AM_TRY(am_batch_norm_init(&m->bn[layer], m->base.params, name,
                              (am_batch_norm_cfg){.channels = cfg.out, .scheme = AM_SCHEME_DCGAN}));
  }
  (*index)++;  // the activation
  if (m->base.cfg.dropout > 0 && !last) (*index)++;
  return AM_OK;
}

// ---- generator ---------------------------------------------------------------------------------

static am_err generator_build(am_model *base) {
  dcgan *m = (dcgan *)base;
  int doublings = 0, index = 0;
  AM_TRY(count_doublings(base, &doublings));
  m->layer_count = doublings + 1;
  int64_t in = base->cfg.latent;
  for (int layer = 0; layer < m->layer_count; layer++) {
    bool last = layer == doublings;
    am_conv_cfg cfg = {.in = in,
                       .out = last ? base->cfg.channels : base->cfg.width << (doublings - 1 - layer),
                       .stride = layer ? 2 : 1,
                       .pad = layer ? 1 : 0,
                       .transposed = true};
    AM_TRY(layer_init(m, layer, cfg, &index));
    in = cfg.out;
  }
  return AM_OK;
}

static am_err generator_forward(am_model *base, am_pass *pass, am_tensor *z, am_tensor **y) {
  dcgan *m = (dcgan *)base;
  am_tensor *x = z;
  AM_CHECK(z->shape.ndim == 2 && z->shape.dim[1] == base->cfg.latent, AM_ERR_ARG,
           "model %s: z has %lld numbers a row, expected %lld", base->def->name,
           (long long)(z->shape.ndim == 2 ? z->shape.dim[1] : -1), (long long)base->cfg.latent);
  AM_TRY(am_reshape(pass->graph, x, AM_SHAPE(z->shape.dim[0], base->cfg.latent, 1, 1), &x));
  const int64_t mark = am_graph_mark(pass->graph);
  for (int layer = 0; layer < m->layer_count - 1; layer++) {
    AM_TRY(am_conv_norm_act_forward(&m->conv[layer], &m->bn[layer], pass, x, NULL, AM_RELU, &x));
    AM_TRY(am_pass_forget(pass, mark, x));
  }
  AM_TRY(am_conv_forward(&m->conv[m->layer_count - 1], pass, x, &x));
  AM_TRY(am_cast(pass->graph, x, z->dtype, &x));
  return am_tanh(pass->graph, x, y);
}

// ---- discriminator -----------------------------------------------------------------------------

static am_err discriminator_build(am_model *base) {
  dcgan *m = (dcgan *)base;
  int doublings = 0, index = 0;
  AM_TRY(count_doublings(base, &doublings));
  m->layer_count = doublings + 1;
  int64_t in = base->cfg.channels;
  for (int layer = 0; layer < m->layer_count; layer++) {
    bool last = layer == doublings;
    am_conv_cfg cfg = {
        .in = in, .out = last ? 1 : base->cfg.width << layer, .stride = last ? 1 : 2, .pad = last ? 0 : 1};
    AM_TRY(layer_init(m, layer, cfg, &index));
    in = cfg.out;
  }
  return AM_OK;
}

static am_err discriminator_forward(am_model *base, am_pass *pass, am_tensor *x, am_tensor **y) {
  dcgan *m = (dcgan *)base;
  int64_t n = x->shape.dim[0];
  for (int layer = 0; layer < m->layer_count - 1; layer++) {
    if (has_norm(m, layer)) {
      AM_TRY(am_conv_norm_act_forward(&m->conv[layer], &m->bn[layer], pass, x, NULL,
                                      AM_LEAKY_RELU(base->cfg.slope), &x));
    } else {
      AM_TRY(am_conv_forward(&m->conv[layer], pass, x, &x));
      AM_TRY(am_leaky_relu(pass->graph, x, base->cfg.slope, &x));
    }
    AM_TRY(am_dropout(pass, x, base->cfg.dropout, &x));
  }
  AM_TRY(am_conv_forward(&m->conv[m->layer_count - 1], pass, x, &x));
  AM_TRY(am_reshape(pass->graph, x, AM_SHAPE(n), &x));
  return am_cast(pass->graph, x, m->conv[0].weight->value->dtype, y);
}

// ---- the family --------------------------------------------------------------------------------

const am_model_def am_dcgan_p4_g = {
    .name = "dcgan_p4_g",
    .doc = "paper P4's DCGAN generator: latent 10; 2,839,424 parameters at 64 px",
    .role = AM_ROLE_GENERATOR,
    .settings = AM_MODEL_WIDTH | AM_MODEL_LATENT,
    .defaults = {.channels = 3, .size = 64, .width = 64, .latent = 10},
    .struct_bytes = sizeof(dcgan),
    .build = generator_build,
    .forward = generator_forward,
};

const am_model_def am_dcgan_p4_d = {
    .name = "dcgan_p4_d",
    .doc = "paper P4's DCGAN discriminator: LeakyReLU 0.02, no dropout; 2,765,568 parameters at 64 px",
    .role = AM_ROLE_DISCRIMINATOR,
    .settings = AM_MODEL_WIDTH | AM_MODEL_SLOPE | AM_MODEL_DROPOUT,
    .defaults = {.channels = 3, .size = 64, .width = 64, .slope = 0.02},
    .struct_bytes = sizeof(dcgan),
    .build = discriminator_build,
    .forward = discriminator_forward,
};

const am_model_def am_dcgan_p2_g = {
    .name = "dcgan_p2_g",
    .doc = "paper P2's DCGAN generator: latent 256; 4,854,656 parameters at 64 px",
    .role = AM_ROLE_GENERATOR,
    .settings = AM_MODEL_WIDTH | AM_MODEL_LATENT,
    .defaults = {.channels = 3, .size = 64, .width = 64, .latent = 256},
    .struct_bytes = sizeof(dcgan),
    .build = generator_build,
    .forward = generator_forward,
};

const am_model_def am_dcgan_p2_d = {
    .name = "dcgan_p2_d",
    .doc =
        "paper P2's DCGAN discriminator: dropout 0.2 after the first four convolutions; 2,765,568 parameters",
    .role = AM_ROLE_DISCRIMINATOR,
    .settings = AM_MODEL_WIDTH | AM_MODEL_SLOPE | AM_MODEL_DROPOUT,
    .defaults = {.channels = 3, .size = 64, .width = 64, .slope = 0.02, .dropout = 0.2},
    .struct_bytes = sizeof(dcgan),
    .build = discriminator_build,
    .forward = discriminator_forward,
};
