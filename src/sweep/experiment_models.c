// Networks, generators, pools: the sections that name what is fitted and what it makes.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "sweep/experiment_internal.h"

// The section `key` as a map of named entries, which may be absent when it is not `required`.
static am_err entries(const am_experiment *e, const char *key, bool required, am_node **out) {
  AM_TRY(am_section(e->tree, key, out));
  if (required && (!*out || (*out)->count == 0))
    return am_node_fail(*out ? *out : e->tree, "there is no entry in \"%s\"", key);
  return AM_OK;
}

// ---- networks ----

static am_err fail_kind(const am_node *where, const char *kind, am_model_role role) {
  const char *names[128];
  static char stems[128][64];
  int64_t count = 0;
  for (const am_model_def *const *m = am_model_all(); *m && count < 128; m++) {
    if ((*m)->role != role) continue;
    size_t length = strlen((*m)->name);
    if (role == AM_ROLE_GENERATOR && am_str_ends((*m)->name, "_g")) length -= 2;
    snprintf(stems[count], sizeof stems[count], "%.*s", (int)length, (*m)->name);
    names[count] = stems[count];
    count++;
  }
  return am_fail_unknown(where, role == AM_ROLE_CLASSIFIER ? "classifier" : "generator", kind, names, count);
}

// Every setting that is given must mean something to one of the networks.
static am_err check_settings(const am_node *where, const am_network_cfg *cfg, unsigned settings) {
  const struct {
    const char *key;
    bool given;
    unsigned bit;
  } rows[] = {{"width", cfg->width != 0, AM_MODEL_WIDTH},
              {"latent", cfg->latent != 0, AM_MODEL_LATENT},
              {"slope", cfg->slope != 0, AM_MODEL_SLOPE},
              {"dropout", cfg->dropout != 0, AM_MODEL_DROPOUT},
              {"zero_init_residual", cfg->zero_init_residual, AM_MODEL_ZERO_INIT}};
  for (int i = 0; i < AM_COUNT_OF(rows); i++)
    if (rows[i].given && !(settings & rows[i].bit))
      return am_node_fail(am_node_get(where, rows[i].key), "%s has no setting \"%s\"", cfg->kind,
                          rows[i].key);
  return AM_OK;
}

am_model_cfg am_network_settings(const am_network_cfg *cfg, const am_model_def *def) {
  return (am_model_cfg){
      .width = def->settings & AM_MODEL_WIDTH ? cfg->width : 0,
      .latent = def->settings & AM_MODEL_LATENT ? cfg->latent : 0,
      .slope = def->settings & AM_MODEL_SLOPE ? cfg->slope : 0,
      .dropout = def->settings & AM_MODEL_DROPOUT ? cfg->dropout : 0,
      .zero_init_residual = def->settings & AM_MODEL_ZERO_INIT && cfg->zero_init_residual,
  };
}

#define AM_KEY(name, ...) #name,
static const char *const finetune_keys[] = {
    AM_FINETUNE_FIELDS(AM_KEY, AM_KEY, AM_KEY, AM_KEY, AM_KEY) "frozen", "lr", NULL};
#undef AM_KEY

// The rest of a model's keys, which speak of its parameters by name.
static am_err read_finetune(const am_experiment *e, const am_node *n, am_classifier_def *m) {
  const am_split_cfg *data = &e->draw[0].split[0].cfg;
  am_model_cfg cfg = am_network_settings(&m->network, m->def);
  am_model *declared = NULL;
  cfg.size = data->size;
  cfg.channels = data->channels;
  AM_TRY(am_model_declare(m->def->name, &cfg, &declared));
  am_err err = am_finetune_read(n, declared, &m->finetune);
  am_model_free(declared);
  return err;
}

am_err am_read_models(am_experiment *e) {
  am_node *section = NULL;
  AM_TRY(entries(e, "models", true, &section));
  AM_TRY(AM_NEW_ARRAY(&e->model, section->count));
  for (int64_t i = 0; i < section->count; i++) {
    am_classifier_def *m = &e->model[i];
    const am_node *n = section->item[i];
    m->name = section->key[i];
    if (n->kind != AM_NODE_MAP) return am_node_fail(n, "expected a map: {kind: ...}");
    AM_TRY(am_bind(n, &am_network_schema, finetune_keys, &m->network));
    m->def = am_model_find(m->network.kind);
    if (!m->def || m->def->role != AM_ROLE_CLASSIFIER)
      return fail_kind(am_node_get(n, "kind"), m->network.kind, AM_ROLE_CLASSIFIER);
    AM_TRY(check_settings(n, &m->network, m->def->settings));
    AM_TRY(read_finetune(e, n, m));
    e->model_count = i + 1;
  }
  return AM_OK;
}

// ---- generators ----

// "dcgan_p4" is the pair dcgan_p4_g and dcgan_p4_d; plain "dcgan" is that of paper P4.
static am_err find_pair(const am_node *kind_node, const char *kind, am_generator_def *g) {
  char name[64];
  const char *stem = strcmp(kind, "dcgan") == 0 ? "dcgan_p4" : kind;
  if (strlen(stem) + 3 > sizeof name) return fail_kind(kind_node, kind, AM_ROLE_GENERATOR);
  snprintf(name, sizeof name, "%s_g", stem);
  g->generator = am_model_find(name);
  snprintf(name, sizeof name, "%s_d", stem);
  g->discriminator = am_model_find(name);
  bool pair = g->generator && g->generator->role == AM_ROLE_GENERATOR && g->discriminator &&
              g->discriminator->role == AM_ROLE_DISCRIMINATOR;
  return pair ? AM_OK : fail_kind(kind_node, kind, AM_ROLE_GENERATOR);
}

static am_err read_generator(const am_node *n, am_generator_def *g) {
  static const char *const keys[] = {"model", "fit", NULL}, *const also[] = {"optimizer", NULL};
  am_node *model = NULL, *fit = NULL;
  if (n->kind != AM_NODE_MAP) return am_node_fail(n, "expected a map: {model: {...}, fit: {...}}");
  AM_TRY(am_node_check_keys(n, keys));
  AM_TRY(am_section(n, "model", &model));
  AM_TRY(am_section(n, "fit", &fit));
  if (!model) return am_node_fail(n, "the key \"model\" is missing");
  AM_TRY(am_bind(model, &am_network_schema, NULL, &g->network));
  AM_TRY(find_pair(am_node_get(model, "kind"), g->network.kind, g));
  AM_TRY(check_settings(model, &g->network, g->generator->settings | g->discriminator->settings));
  AM_TRY(am_bind(fit, &am_fit_schema, also, &g->fit));
  AM_TRY(am_optimizer_bind(fit ? am_node_get(fit, "optimizer") : NULL, &g->optimizer));
  if (!g->fit.per_class)
    return am_node_fail(am_node_get(fit, "per_class"),
                        "%s makes images without a label, so it is fitted for each class: per_class: true",
                        g->network.kind);
  if (fit) AM_TRY(am_check_slices(fit, g->fit.batch_size, g->fit.slices));
  if (g->fit.real_label_min > g->fit.real_label_max || g->fit.fake_label_min > g->fit.fake_label_max)
    return am_node_fail(fit, "a label range has its minimum above its maximum");
  return AM_OK;
}

am_err am_read_generators(am_experiment *e) {
  am_node *section = NULL;
  AM_TRY(entries(e, "generators", false, &section));
  if (!section) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&e->generator, section->count));
  for (int64_t i = 0; i < section->count; i++) {
    e->generator[i].name = section->key[i];
    AM_TRY(am_check_path_name(section->item[i], section->key[i]));
    AM_TRY(read_generator(section->item[i], &e->generator[i]));
    e->generator_count = i + 1;
  }
  return AM_OK;
}

// ---- pools ----

static am_err find_generator(const am_experiment *e, const am_node *where, am_pool_def *p) {
  for (int64_t g = 0; g < e->generator_count; g++) {
    if (strcmp(e->generator[g].name, p->cfg.from) != 0) continue;
    p->generator = g;
    return AM_OK;
  }
  const char **names = NULL;
  AM_TRY(AM_NEW_ARRAY(&names, e->generator_count));
  for (int64_t g = 0; g < e->generator_count; g++) names[g] = e->generator[g].name;
  am_err err = am_fail_unknown(where, "generator", p->cfg.from, names, e->generator_count);
  free(names);
  return err;
}

am_err am_read_pools(am_experiment *e) {
  am_node *section = NULL;
  AM_TRY(entries(e, "pools", false, &section));
  if (!section) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&e->pool, section->count));
  for (int64_t i = 0; i < section->count; i++) {
    am_pool_def *p = &e->pool[i];
    const am_node *n = section->item[i];
    p->name = section->key[i];
    AM_TRY(am_check_path_name(n, p->name));
    if (n->kind != AM_NODE_MAP) return am_node_fail(n, "expected a map: {from: ..., per_class: ...}");
    AM_TRY(am_bind(n, &am_pool_schema, NULL, &p->cfg));
    AM_TRY(find_generator(e, am_node_get(n, "from"), p));
    if (p->cfg.batch_size == 0) p->cfg.batch_size = e->generator[p->generator].fit.batch_size;
    e->pool_count = i + 1;
  }
  return AM_OK;
}
