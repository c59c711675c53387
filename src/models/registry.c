#include "models/registry.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "models/models_internal.h"

static const am_model_def *const models[] = {
    &am_resnet18,        &am_resnet34,           &am_resnet50,       &am_resnet101,       &am_resnet152,
    &am_resnet18_cifar,  &am_resnet34_cifar,     &am_resnet50_cifar, &am_resnet101_cifar, &am_resnet152_cifar,
    &am_preact_resnet18, &am_preact_resnet18_64, &am_cow_horse_cnn,  &am_p2_cnn,          &am_p3_cnn,
    &am_dcgan_p4_g,      &am_dcgan_p4_d,         &am_dcgan_p2_g,     &am_dcgan_p2_d,      NULL,
};

const am_model_def *const *am_model_all(void) { return models; }

const am_model_def *am_model_find(const char *name) {
  for (int i = 0; models[i]; i++) {
    if (strcmp(models[i]->name, name) == 0) return models[i];
  }
  return NULL;
}

static am_err unknown_model(const char *name) {
  const char *names[AM_COUNT_OF(models)] = {NULL};
  int64_t count = 0;
  for (; models[count]; count++) names[count] = models[count]->name;
  const char *nearest = am_str_nearest(name, names, count);
  if (nearest) return AM_FAIL(AM_ERR_CONFIG, "there is no model \"%s\": did you mean \"%s\"?", name, nearest);
  return AM_FAIL(AM_ERR_CONFIG, "there is no model \"%s\"; `augmint schema` lists the models", name);
}

static am_err refuse_setting(const am_model_def *def, const char *key, bool is_set, unsigned setting) {
  AM_CHECK(!is_set || (def->settings & setting), AM_ERR_CONFIG, "model %s has no setting \"%s\"", def->name,
           key);
  return AM_OK;
}

// The caller's settings over the model's defaults, all in sane ranges. What combinations a network
// can have (sizes, powers of two) is checked by its build.
static am_err fill_cfg(const am_model_def *def, const am_model_cfg *given, am_model_cfg *out) {
  am_model_cfg cfg = given ? *given : (am_model_cfg){0};
  AM_TRY(refuse_setting(def, "width", cfg.width != 0, AM_MODEL_WIDTH));
  AM_TRY(refuse_setting(def, "latent", cfg.latent != 0, AM_MODEL_LATENT));
  AM_TRY(refuse_setting(def, "slope", cfg.slope != 0, AM_MODEL_SLOPE));
  AM_TRY(refuse_setting(def, "dropout", cfg.dropout != 0, AM_MODEL_DROPOUT));
  AM_TRY(refuse_setting(def, "zero_init_residual", cfg.zero_init_residual, AM_MODEL_ZERO_INIT));

  const am_model_cfg *defaults = &def->defaults;
  if (!cfg.classes) cfg.classes = defaults->classes;
  if (!cfg.channels) cfg.channels = defaults->channels;
  if (!cfg.size) cfg.size = defaults->size;
  if (!cfg.width) cfg.width = defaults->width;
  if (!cfg.latent) cfg.latent = defaults->latent;
  if (cfg.slope == 0) cfg.slope = defaults->slope;
  if (cfg.dropout == 0) cfg.dropout = defaults->dropout;

  const struct {
    const char *key;
    int64_t value, max;
  } counts[] = {{"classes", cfg.classes, 1000000},
                {"channels", cfg.channels, 1024},
                {"size", cfg.size, 65536},
                {"width", cfg.width, 65536},
                {"latent", cfg.latent, 1000000}};
  for (int i = 0; i < AM_COUNT_OF(counts); i++) {
    AM_CHECK(counts[i].value >= 0 && counts[i].value <= counts[i].max, AM_ERR_CONFIG,
             "model %s: %s is %lld, expected 1 to %lld", def->name, counts[i].key, (long long)counts[i].value,
             (long long)counts[i].max);
  }
  AM_CHECK(cfg.slope >= 0 && cfg.slope < 1, AM_ERR_CONFIG, "model %s: slope is %g, expected 0 to below 1",
           def->name, cfg.slope);
  AM_CHECK(cfg.dropout >= 0 && cfg.dropout < 1, AM_ERR_CONFIG,
           "model %s: dropout is %g, expected 0 to below 1", def->name, cfg.dropout);
  *out = cfg;
  return AM_OK;
}

am_err am_model_declare(const char *name, const am_model_cfg *cfg, am_model **out) {
  am_err err = AM_OK;
  am_model *m = NULL;
  const am_model_def *def = am_model_find(name);
  if (!def) return unknown_model(name);
  AM_GO(done, am_mem_alloc(&m, 1, def->struct_bytes));
  m->def = def;
  AM_GO(done, fill_cfg(def, cfg, &m->cfg));
  AM_GO(done, am_params_new(&m->params));
  AM_GO(done, def->build(m));
  *out = m;
  m = NULL;
done:
  am_model_free(m);
  return err;
}

const char *am_model_head(am_model *m, char text[AM_MODEL_HEAD]) {
  const char *last = am_params_at(m->params, am_params_count(m->params) - 1)->name;
  const char *dot = strrchr(last, '.');
  snprintf(text, AM_MODEL_HEAD, "%.*s", dot ? (int)(dot - last) : 0, last);
  return text;
}

am_err am_model_new(const char *name, const am_model_cfg *cfg, am_device *dev, uint64_t seed,
                    am_model **out) {
  am_model *m = NULL;
  AM_TRY(am_model_declare(name, cfg, &m));
  am_err err = am_params_commit(m->params, dev, AM_F32, seed);
  if (err) am_model_free(m);
  if (!err) *out = m;
  return err;
}

void am_model_free(am_model *m) {
  if (!m) return;
  am_params_free(m->params);
  free(m);
}
