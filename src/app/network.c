#include "app/network.h"

#include <string.h>

#include "base/mem.h"
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
  AM_CHECK(choice->role == AM_ROLE_COUNT || def->role == choice->role, AM_ERR_CONFIG,
           "%s is a %s, expected a %s", name, role_name[def->role], role_name[choice->role]);
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

// Otherwise the metadata are said of another network, or by another program.
static bool is_of(const am_safetensors *st, const am_model_def *def) {
  const char *model = am_safetensors_meta(st, "model");
  return model && strcmp(model, def->name) == 0;
}

static void read_settings(const am_safetensors *st, const am_model_def *def, am_model_cfg *cfg) {
  if (!is_of(st, def)) return;
  read_setting(st, def, "width", AM_MODEL_WIDTH, &cfg->width);
  read_setting(st, def, "latent", AM_MODEL_LATENT, &cfg->latent);
  read_setting(st, def, "size", 0, &cfg->size);
  read_setting(st, def, "channels", 0, &cfg->channels);
}

// The first trainable parameter of a classifier is a convolution's, whose second dimension is the number of
// image channels; the bias of its last layer has one element for each class: what the file has there.
static am_err read_ends(const am_network_choice *choice, const am_safetensors *st, am_model *m,
                        am_model_cfg *cfg) {
  char head[AM_MODEL_HEAD], name[AM_MODEL_HEAD + 8];
  snprintf(name, sizeof name, "%s.bias", am_model_head(m, head));
  const am_st_entry *entry = am_safetensors_find(st, name);
  AM_CHECK(entry && entry->shape.ndim == 1 && entry->shape.dim[0] > 0, AM_ERR_DATA,
           "%s holds no \"%s\": these are not the weights of a %s", choice->weights, name, m->def->name);
  cfg->classes = entry->shape.dim[0];
  entry = am_safetensors_find(st, am_params_at(m->params, 0)->name);
  if (entry && entry->shape.ndim == 4) cfg->channels = entry->shape.dim[1];
  return AM_OK;
}

// The network that the weights are of, nothing of it allocated.
static am_err declare(const am_network_choice *choice, am_model **out) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  const am_model_def *def = NULL;
  am_model *m = NULL;
  am_model_cfg cfg = choice->cfg;
  AM_GO(done, am_safetensors_open(choice->weights, &st));
  AM_GO(done, find_def(choice, st, &def));
  read_settings(st, def, &cfg);
  AM_GO(done, am_model_declare(def->name, &cfg, &m));
  if (def->role == AM_ROLE_CLASSIFIER) {
    AM_GO(done, read_ends(choice, st, m, &cfg));
    am_model_free(m);
    m = NULL;
    AM_GO(done, am_model_declare(def->name, &cfg, &m));
  }
  *out = m;
  m = NULL;
done:
  am_model_free(m);
  am_safetensors_close(st);
  return err;
}

am_err am_network_find(const am_network_choice *choice, const am_model_def **def) {
  am_safetensors *st = NULL;
  AM_TRY(am_safetensors_open(choice->weights, &st));
  am_err err = find_def(choice, st, def);
  am_safetensors_close(st);
  return err;
}

am_err am_network_text(const am_network_choice *choice, const char *key, char **out) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  const am_model_def *def = NULL;
  AM_GO(done, am_safetensors_open(choice->weights, &st));
  AM_GO(done, find_def(choice, st, &def));
  const char *text = is_of(st, def) ? am_safetensors_meta(st, key) : NULL;
  *out = NULL;
  if (text) AM_GO(done, am_mem_strdup(text, out));
done:
  am_safetensors_close(st);
  return err;
}

am_err am_network_load(const am_network_choice *choice, am_device *device, am_model **out) {
  am_err err = AM_OK;
  am_model *m = NULL;
  AM_GO(done, declare(choice, &m));
  AM_GO(done, am_params_allocate(m->params, device, AM_F32));
  AM_GO(done, am_params_load(m->params, choice->weights));
  *out = m;
  m = NULL;
done:
  am_model_free(m);
  return err;
}
