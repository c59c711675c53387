#include "sweep/given.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/pinned.h"

// What the experiment's own `sha256` says goes before the manifest's word, and must not contradict it.
static am_err pin(const am_experiment *e, const am_classifier_def *model, am_weights_ref *ref) {
  const char *wanted = model->finetune.cfg.sha256;
  AM_CHECK(!*wanted || !*ref->sha256 || strcmp(wanted, ref->sha256) == 0, AM_ERR_CONFIG,
           "%s: models.%s: sha256 is %s, the manifest of \"%s\" says %s", e->file, model->name, wanted,
           model->finetune.cfg.weights, ref->sha256);
  if (*wanted) snprintf(ref->sha256, sizeof ref->sha256, "%s", wanted);
  return AM_OK;
}

static am_err check_fit(const am_experiment *e, const am_classifier_def *model, const am_source *source,
                        const char *path) {
  am_model *m = NULL;
  const am_split_cfg *data = &e->draw[0].split[0].cfg;
  am_model_cfg cfg = am_network_settings(&model->network, model->def);
  cfg.size = data->size;
  cfg.channels = data->channels;
  cfg.classes = source->class_count;
  AM_TRY(am_model_declare(model->def->name, &cfg, &m));
  am_err err = am_finetune_fits(&model->finetune, path, m);
  am_model_free(m);
  return err;
}

// Only the first rank reads files.
static am_err look_at(const am_experiment *e, const am_classifier_def *model, const am_source *source,
                      const am_source_dirs *dirs, bool first, am_given *g) {
  am_err err = AM_OK;
  am_weights_ref ref = {0};
  if (!*model->finetune.cfg.weights) return AM_OK;
  AM_TRY(am_weights_ref_find(model->finetune.cfg.weights, dirs->manifest_dir, dirs->data_dir, &ref));
  if (first) {
    AM_GO(done, pin(e, model, &ref));
    AM_GO(done, am_weights_ref_hash(&ref, dirs->cache_dir, g->sha256));
    AM_GO(done, check_fit(e, model, source, ref.path));
  }
  g->path = ref.path;
  ref.path = NULL;
done:
  am_weights_ref_fini(&ref);
  return err;
}

am_err am_given_look(const am_experiment *e, const am_source *source, const am_source_dirs *dirs,
                     am_comm *comm, am_given **out) {
  am_given *given = NULL;
  bool first = !comm || am_comm_rank(comm) == 0;
  am_err err = AM_NEW_ARRAY(&given, e->model_count);
  for (int64_t i = 0; i < e->model_count && !err; i++)
    err = look_at(e, &e->model[i], source, dirs, first, &given[i]);
  if (comm) err = am_agree(comm, err);
  AM_GO(failed, err);
  for (int64_t i = 0; i < e->model_count && comm; i++)
    AM_GO(failed, am_comm_bcast(comm, given[i].sha256, sizeof given[i].sha256, 0));
  *out = given;
  return AM_OK;
failed:
  am_given_free(given, e->model_count);
  return err;
}

void am_given_free(am_given *g, int64_t count) {
  for (int64_t i = 0; g && i < count; i++) free(g[i].path);
  free(g);
}
