#include "sweep/finetune.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "sweep/experiment_internal.h"
#include "weights/pinned.h"
#include "weights/safetensors.h"

#define AM_FIELD_OF am_finetune_cfg
static const am_field finetune_fields[] = {AM_FIELDS(AM_FINETUNE_FIELDS)};
#undef AM_FIELD_OF
const am_schema am_finetune_schema =
    AM_SCHEMA("finetune",
              "further keys of models.<name>; also frozen: [patterns] and lr: {pattern: factor}, where a "
              "pattern means parameters or modules: conv1, layer1.0, *.bn2",
              am_finetune_cfg, finetune_fields);

#define AM_KEY(name, ...) #name,
static const char *const network_keys[] = {AM_NETWORK_FIELDS(AM_KEY, AM_KEY, AM_KEY, AM_KEY, AM_KEY) "frozen",
                                           "lr", NULL};
#undef AM_KEY

// ---- reading ----

static am_err read_lr(const am_node *lr, am_finetune *f) {
  AM_TRY(AM_NEW_ARRAY(&f->lr, lr->count));
  for (int64_t i = 0; i < lr->count; i++) {
    f->lr[i].pattern = lr->key[i];
    AM_TRY(am_node_f64(lr->item[i], &f->lr[i].factor));
    if (!(f->lr[i].factor > 0 && f->lr[i].factor <= 1000))
      return am_node_fail(lr->item[i],
                          "a factor of the learning rate is above 0 and at most 1000; `frozen` stops a part");
    f->lr_count = i + 1;
  }
  return AM_OK;
}

// Keys that would do nothing are mistakes.
static am_err check_use(const am_node *n, const am_finetune *f) {
  static const char *const of_weights[] = {"sha256", "head"};
  for (int i = 0; i < 2 && !*f->cfg.weights; i++) {
    const am_node *key = am_node_get(n, of_weights[i]);
    if (key) return am_node_fail_key(key, "there are no `weights` that it could speak of");
  }
  if (*f->cfg.sha256 && !am_is_sha256(f->cfg.sha256))
    return am_node_fail(am_node_get(n, "sha256"), "expected the 64 hexadecimal digits of a SHA-256");
  if (f->cfg.freeze_bn && f->frozen_count == 0)
    return am_node_fail(am_node_get(n, "freeze_bn"), "nothing is `frozen`");
  return AM_OK;
}

static am_err check_patterns(const am_node *n, const am_finetune *f, am_model *m) {
  int64_t left = 0;
  for (int64_t i = 0; i < am_params_count(m->params); i++)
    left += am_params_at(m->params, i)->kind == AM_PARAM_TRAINABLE;
  for (int64_t i = 0; i < f->frozen_count; i++) {
    int64_t count = am_params_freeze(m->params, f->frozen[i], f->cfg.freeze_bn);
    left -= count;
    if (!count)
      return am_node_fail(
          am_node_get(n, "frozen"),
          "\"%s\" matches no parameter of %s that is not frozen already (names are as in its weights, "
          "\"%s\")",
          f->frozen[i], m->def->name, am_params_at(m->params, 0)->name);
  }
  if (left == 0)
    return am_node_fail(am_node_get(n, "frozen"), "it leaves nothing of %s to train", m->def->name);
  for (int64_t i = 0; i < f->lr_count; i++) {
    if (!am_params_scale_lr(m->params, f->lr[i].pattern, f->lr[i].factor))
      return am_node_fail(am_node_get(am_node_get(n, "lr"), f->lr[i].pattern),
                          "\"%s\" matches no parameter of %s that is trained", f->lr[i].pattern,
                          m->def->name);
  }
  return AM_OK;
}

am_err am_finetune_read(const am_node *n, am_model *m, am_finetune *out) {
  am_err err = AM_OK;
  am_finetune f = {0};
  am_node *lr = NULL;
  const am_node *frozen = am_node_get(n, "frozen");
  AM_GO(failed, am_bind(n, &am_finetune_schema, network_keys, &f.cfg));
  if (frozen) AM_GO(failed, am_node_words(frozen, &f.frozen, &f.frozen_count));
  AM_GO(failed, am_section(n, "lr", &lr));
  if (lr) AM_GO(failed, read_lr(lr, &f));
  AM_GO(failed, check_use(n, &f));
  AM_GO(failed, check_patterns(n, &f, m));
  *out = f;
  return AM_OK;
failed:
  am_finetune_fini(&f);
  return err;
}

void am_finetune_fini(am_finetune *f) {
  free(f->frozen);
  free(f->lr);
  *f = (am_finetune){0};
}

// ---- using ----

void am_finetune_apply(const am_finetune *f, am_params *ps) {
  for (int64_t i = 0; i < f->frozen_count; i++) am_params_freeze(ps, f->frozen[i], f->cfg.freeze_bn);
  for (int64_t i = 0; i < f->lr_count; i++) am_params_scale_lr(ps, f->lr[i].pattern, f->lr[i].factor);
}

static bool keeps_head(const am_finetune *f) { return strcmp(f->cfg.head, "kept") == 0; }

static am_err check_classes(const char *path, const char *head, const am_model *m) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  char name[AM_MODEL_HEAD + 8];
  snprintf(name, sizeof name, "%s.bias", head);
  AM_TRY(am_safetensors_open(path, &st));
  const am_st_entry *e = am_safetensors_find(st, name);
  AM_CHECK_GO(done, !e || e->shape.ndim != 1 || e->shape.dim[0] == m->cfg.classes, AM_ERR_CONFIG,
              "%s tells %lld classes apart, the data have %lld: `head: replaced` draws a new last layer from "
              "the seed",
              path, (long long)e->shape.dim[0], (long long)m->cfg.classes);
done:
  am_safetensors_close(st);
  return err;
}

am_err am_finetune_fits(const am_finetune *f, const char *path, am_model *m) {
  char head[AM_MODEL_HEAD];
  am_model_head(m, head);
  if (!keeps_head(f)) return am_params_fits(m->params, path, head);
  AM_TRY(check_classes(path, head, m));
  return am_params_fits(m->params, path, NULL);
}

am_err am_finetune_load(const am_finetune *f, const char *path, const char *sha256, am_model *m) {
  char head[AM_MODEL_HEAD], found[AM_SHA256_HEX];
  AM_TRY(am_sha256_file(path, found));
  AM_CHECK(strcmp(found, sha256) == 0, AM_ERR_DATA,
           "%s has changed: its SHA-256 is %s, the plan was made with %s", path, found, sha256);
  return am_params_load_without(m->params, path, keeps_head(f) ? NULL : am_model_head(m, head));
}
