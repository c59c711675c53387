#include "app/network.h"

#include <string.h>

#include "base/str.h"
#include "config/node.h"
#include "weights/safetensors.h"

static am_err find_def(const am_network_choice *choice, const am_safetensors *st, const am_model_def **out) {
  static const char *const role_name[] = {[AM_ROLE_CLASSIFIER] = "classifier",
                                          [AM_ROLE_GENERATOR] = "generator",
                                          [AM_ROLE_DISCRIMINATOR] = "discriminator"};
  const char *name = choice->model ? choice->model : am_safetensors_meta(st, "model");
  AM_CHECK(name, AM_ERR_CONFIG, "%s does not say which network it belongs to: give --model", choice->weights);
  const am_model_def *def = am_model_find(name);
  if (!def) {
    enum { MOST = 64 };
    const char *names[MOST];
    int64_t count = 0;
    for (const am_model_def *const *m = am_model_all(); *m && count < MOST; m++) names[count++] = (*m)->name;
    const char *nearest = am_str_nearest(name, names, count);
    if (nearest)
      return AM_FAIL(AM_ERR_CONFIG, "there is no model \"%s\"; did you mean \"%s\"?", name, nearest);
    return AM_FAIL(AM_ERR_CONFIG, "there is no model \"%s\"; `augmint schema models` lists them", name);
  }
  AM_CHECK(def->role == choice->role, AM_ERR_CONFIG, "%s is a %s, expected a %s", name, role_name[def->role],
           role_name[choice->role]);
  *out = def;
  return AM_OK;
}

// A setting as the weights state it, where the caller leaves it open and the network has it.
static void read_setting(const am_safetensors *st, const am_model_def *def, const char *key, unsigned setting,
                         int64_t *value) {
  const char *text = am_safetensors_meta(st, key);
  int64_t stated = 0;
  if (*value == 0 && text && (!setting || (def->settings & setting)) && am_text_is_integer(text, &stated))
    *value = stated;
}

static void read_settings(const am_safetensors *st, const am_model_def *def, am_model_cfg *cfg) {
  const char *model = am_safetensors_meta(st, "model");
  if (!model || strcmp(model, def->name)) return;  // said of another network, or by another program
  read_setting(st, def, "width", AM_MODEL_WIDTH, &cfg->width);
  read_setting(st, def, "latent", AM_MODEL_LATENT, &cfg->latent);
  read_setting(st, def, "size", 0, &cfg->size);
  read_setting(st, def, "channels", 0, &cfg->channels);
}

// The first trainable parameter of a classifier is a convolution's, whose second dimension is the number of
// image channels; the last one is its last layer's, whose first dimension is the number of classes: what
// the file has there.
static am_err read_ends(const char *model, const am_safetensors *st, const char *weights, am_device *device,
                        am_model_cfg *cfg) {
  am_model *probe = NULL;
  const am_param *first = NULL, *last = NULL;
  AM_TRY(am_model_new(model, cfg, device, 0, &probe));
  for (int64_t i = 0; i < am_params_count(probe->params); i++) {
    const am_param *p = am_params_at(probe->params, i);
    if (p->kind != AM_PARAM_TRAINABLE) continue;
    if (!first) first = p;
    last = p;
  }
  const am_st_entry *entry = last ? am_safetensors_find(st, last->name) : NULL;
  am_err err = AM_OK;
  AM_CHECK_GO(done, entry && entry->shape.ndim >= 1 && entry->shape.dim[0] > 0, AM_ERR_DATA,
              "%s holds no \"%s\": these are not the weights of a %s", weights,
              last ? last->name : "parameter", model);
  cfg->classes = entry->shape.dim[0];
  entry = am_safetensors_find(st, first->name);
  if (entry && entry->shape.ndim == 4) cfg->channels = entry->shape.dim[1];
done:
  am_model_free(probe);
  return err;
}

am_err am_network_find(const am_network_choice *choice, const am_model_def **def) {
  am_safetensors *st = NULL;
  AM_TRY(am_safetensors_open(choice->weights, &st));
  am_err err = find_def(choice, st, def);
  am_safetensors_close(st);
  return err;
}

am_err am_network_load(const am_network_choice *choice, am_device *device, am_model **out) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  am_model *m = NULL;
  const am_model_def *def = NULL;
  am_model_cfg cfg = choice->cfg;
  AM_GO(done, am_safetensors_open(choice->weights, &st));
  AM_GO(done, find_def(choice, st, &def));
  read_settings(st, def, &cfg);
  if (def->role == AM_ROLE_CLASSIFIER) {
    AM_GO(done, read_ends(def->name, st, choice->weights, device, &cfg));
  }
  AM_GO(done, am_model_new(def->name, &cfg, device, 0, &m));
  AM_GO(done, am_params_load(m->params, choice->weights));
  *out = m;
  m = NULL;
done:
  am_model_free(m);
  am_safetensors_close(st);
  return err;
}
