// Networks by name.
//
// A network is a struct that begins with am_model, a `build` that declares its parameters under
// PyTorch's state-dict names, and a `forward`. To add one: write both, describe it in an
// am_model_def and append that to the table in registry.c.
#ifndef AM_MODELS_REGISTRY_H
#define AM_MODELS_REGISTRY_H

#include "nn/module.h"

typedef enum { AM_ROLE_CLASSIFIER, AM_ROLE_GENERATOR, AM_ROLE_DISCRIMINATOR, AM_ROLE_COUNT } am_model_role;

// What any network needs to know; each uses what applies. Zero means the model's default.
typedef struct {
  int64_t classes;       // classifier outputs
  int64_t channels;      // image channels (3)
  int64_t size;          // image height = width in px, for models that need it
  int64_t width;         // base width (64)
  int64_t latent;        // generators: length of z
  double slope;          // LeakyReLU
  double dropout;
  bool zero_init_residual;  // ResNets: the last BatchNorm of every block starts with weight 0
} am_model_cfg;

// Which of the optional settings mean something to a network. Setting another one is an error;
// classes, channels and size describe the data and are always accepted.
enum {
  AM_MODEL_WIDTH = 1,
  AM_MODEL_LATENT = 2,
  AM_MODEL_SLOPE = 4,
  AM_MODEL_DROPOUT = 8,
  AM_MODEL_ZERO_INIT = 16
};

typedef struct am_model am_model;

// One per network; constant. Source (paper section, reference implementation) in the .c file.
typedef struct am_model_def {
  const char *name;      // "resnet18", "resnet18_cifar", "cow_horse_cnn", "dcgan_p4_g", ...
  const char *doc;       // one line
  am_model_role role;
  bool imagenet_input;   // predict's default preprocessing
  unsigned settings;     // AM_MODEL_WIDTH | ...
  am_model_cfg defaults;
  const void *variant;   // constant: what sets this network apart within its family
  size_t struct_bytes;   // of the model's own struct, which begins with am_model
  AM_MUST_USE am_err (*build)(am_model *m);   // declares parameters in m->params from m->cfg
  // classifier: images (n, c, h, w) -> logits (n, classes)
  // generator: z (n, latent) -> images (n, c, size, size) in [-1, 1]
  // discriminator: images -> logits (n)
  AM_MUST_USE am_err (*forward)(am_model *m, am_pass *pass, am_tensor *x, am_tensor **y);
} am_model_def;

struct am_model {
  const am_model_def *def;
  am_model_cfg cfg;      // with defaults filled in
  am_params *params;     // owned
};

const am_model_def *const *am_model_all(void);      // NULL-terminated
const am_model_def *am_model_find(const char *name);  // NULL when unknown
// A network whose parameters are named and shaped, but not allocated: what remains is what
// nn/params.h says of fine-tuning, then am_params_commit or am_params_allocate. cfg NULL: all
// defaults. Errors: AM_ERR_CONFIG unknown name (with the nearest one) or a cfg the model cannot have.
AM_MUST_USE am_err am_model_declare(const char *name, const am_model_cfg *cfg, am_model **out);
// The module that a network declares last ("fc"): where a classifier has one row for each class.
enum { AM_MODEL_HEAD = 64 };
const char *am_model_head(am_model *m, char text[AM_MODEL_HEAD]);
// Declares, commits on dev and initialises from seed. Errors: as am_model_declare.
AM_MUST_USE am_err am_model_new(const char *name, const am_model_cfg *cfg, am_device *dev, uint64_t seed,
                                am_model **out);
void am_model_free(am_model *m);
static inline am_err am_model_forward(am_model *m, am_pass *pass, am_tensor *x, am_tensor **y) {
  return m->def->forward(m, pass, x, y);
}

#endif
