#include "sweep/stage_run.h"

#include <stdlib.h>
#include <string.h>

#include "augment/augment.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/rng.h"
#include "data/h5.h"
#include "data/preprocess.h"
#include "generate/generate.h"
#include "sweep/stage_history.h"
#include "sweep/stage_internal.h"
#include "sweep/stage_text.h"
#include "weights/safetensors.h"

enum { MOST_CHANNELS = 3 };
// Rows of one evaluation batch: fixed, because part of what a logit is.
static const int64_t EVALUATE_BATCH = 64;

// ---- shared ----

am_err am_stage_network(const am_stage_env *env, const am_model_def *def, const am_network_cfg *network,
                        int64_t draw, am_model **out) {
  am_model_cfg cfg = am_network_settings(network, def);
  const am_split_cfg *data = &env->plan->e->draw[draw].split[0].cfg;
  cfg.channels = data->channels;
  cfg.size = data->size;
  if (def->role == AM_ROLE_CLASSIFIER) cfg.classes = am_plan_source(env->plan, draw, 0)->class_count;
  return am_model_declare(def->name, &cfg, out);
}

static am_err initialise(const am_stage_env *env, const am_stage *st, const char *purpose, am_model *m) {
  return am_params_commit(m->params, env->device, AM_F32, am_seed_derive(st->seed, purpose));
}

// What a classifier sees of an image, as `augmint predict` reads it.
static am_err put_preprocess(const am_experiment *e, int64_t draw, am_str *out) {
  const am_split_cfg *data = &e->draw[draw].split[0].cfg;
  am_preprocess p = {.fit = am_split_fit(data)};
  for (int c = 0; c < 3; c++) {
    p.mean[c] = (float)e->normalize.mean[c < data->channels ? c : 0];
    p.sd[c] = (float)e->normalize.sd[c < data->channels ? c : 0];
  }
  return am_preprocess_print(&p, out);
}

static am_err put_class_names(const am_source *source, am_str *out) {
  for (int64_t k = 0; k < source->class_count; k++)
    AM_TRY(am_str_printf(out, "%s%s", k ? "\n" : "", source->class_name[k]));
  return AM_OK;
}

// The file says which network it belongs to and what that one sees, so that `augmint sample` and `predict`
// need not be told.
static am_err save_network(const am_stage_env *env, const am_stage *st, am_model *m, const char *dir,
                           const char *name) {
  am_err err = AM_OK;
  char *path = NULL, width[24], latent[24], size[24], channels[24];
  am_str preprocess = {0}, classes = {0};
  bool classifier = m->def->role == AM_ROLE_CLASSIFIER;
  snprintf(width, sizeof width, "%lld", (long long)m->cfg.width);
  snprintf(latent, sizeof latent, "%lld", (long long)m->cfg.latent);
  snprintf(size, sizeof size, "%lld", (long long)m->cfg.size);
  snprintf(channels, sizeof channels, "%lld", (long long)m->cfg.channels);
  if (classifier) AM_GO(done, put_preprocess(env->plan->e, st->draw, &preprocess));
  if (classifier) AM_GO(done, put_class_names(am_plan_source(env->plan, st->draw, 0), &classes));
  const char *const meta[] = {"format",
                              "pt",
                              "model",
                              m->def->name,
                              "width",
                              width,
                              "latent",
                              latent,
                              "size",
                              size,
                              "channels",
                              channels,
                              classifier ? "preprocess" : NULL,
                              am_str_get(&preprocess),
                              "classes",
                              am_str_get(&classes),
                              NULL};
  AM_GO(done, am_path_join(dir, name, &path));
  AM_GO(done, am_params_save(m->params, path, meta));
done:
  free(path);
  am_str_fini(&preprocess);
  am_str_fini(&classes);
  return err;
}

static am_err load_network(const am_stage_env *env, int64_t stage, const char *name, am_model *m) {
  char *path = NULL;
  AM_TRY(am_store_path(env->store, env->plan->stage[stage].address, name, &path));
  am_err err = am_params_allocate(m->params, env->device, AM_F32);
  if (!err) err = am_params_load(m->params, path);
  free(path);
  return err;
}

static am_err save_history(const am_history *h, const char *dir) {
  char *path = NULL;
  AM_TRY(am_path_join(dir, "history.h5", &path));
  am_err err = am_history_save(h, path);
  free(path);
  return err;
}

// A network or its losses that are not numbers any more: a result with a reason, kept as a failed stage.
static am_err check_finite(am_model *m, const am_stage *st) {
  am_err err = AM_OK;
  am_tensor *values = am_params_values(m->params);
  int64_t count = am_params_trainable_elements(m->params);
  float *host = NULL;
  AM_TRY(AM_NEW_ARRAY(&host, count));
  AM_GO(done, am_tensor_to_host(values, host));
  for (int64_t i = 0; i < count; i++)
    AM_CHECK_GO(done, host[i] - host[i] == 0, AM_ERR_NUMERIC,
                "%s diverged: its weights are not numbers any more", st->id);
done:
  free(host);
  return err;
}

// ---- fit ----

static am_err run_fit(const am_stage_env *env, const am_stage *st, const char *out_dir,
                      const char *checkpoint_dir) {
  am_err err = AM_OK;
  const am_generator_def *def = &env->plan->e->generator[st->generator];
  am_model *g = NULL, *d = NULL;
  am_dataset *data = NULL;
  am_history *history = NULL;
  err = am_stage_network(env, def->generator, &def->network, st->draw, &g);
  if (!err) err = initialise(env, st, "generator", g);
  if (!err) err = am_stage_network(env, def->discriminator, &def->network, st->draw, &d);
  if (!err) err = initialise(env, st, "discriminator", d);
  if (!err) err = am_class_dataset(env, st->input[0], st->class_index, &data);
  AM_GO(done, am_agree(env->group, err));
  am_gan_job job = {.comm = env->group,
                    .device = env->device,
                    .generator = g,
                    .discriminator = d,
                    .data = data,
                    .cfg = def->fit,
                    .optimizer = def->optimizer,
                    .seed = st->seed,
                    .checkpoint_dir = checkpoint_dir,
                    .label = st->id};
  AM_GO(done, am_fit_gan(&job, &history));
  AM_GO(done, check_finite(g, st));
  if (!out_dir) goto done;
  AM_GO(done, save_network(env, st, g, out_dir, "generator.safetensors"));
  AM_GO(done, save_network(env, st, d, out_dir, "discriminator.safetensors"));
  AM_GO(done, save_history(history, out_dir));
done:
  am_history_free(history);
  am_dataset_free(data);
  am_model_free(g);
  am_model_free(d);
  return err;
}

// ---- generate ----

static am_err class_names(const am_source *source, const char ***out) {
  AM_TRY(AM_NEW_ARRAY(out, source->class_count));
  for (int64_t k = 0; k < source->class_count; k++) (*out)[k] = source->class_name[k];
  return AM_OK;
}

static am_err run_generate(const am_stage_env *env, const am_stage *st, const char *out_dir) {
  am_err err = AM_OK;
  const am_plan *p = env->plan;
  const am_generator_def *def = &p->e->generator[st->generator];
  const am_pool_cfg *pool = &p->e->pool[st->pool].cfg;
  const am_source *source = am_plan_source(p, st->draw, 0);
  const char **name = NULL;
  char *path = NULL;
  am_model *g = NULL;
  AM_GO(done, class_names(source, &name));
  AM_GO(done, am_stage_network(env, def->generator, &def->network, st->draw, &g));
  AM_GO(done, load_network(env, st->input[0], "generator.safetensors", g));
  AM_GO(done,
        am_str_format(&path, "%s/block-%08lld.h5", out_dir, (long long)am_pool_index(st->run, st->first)));
  am_sample_block block = {.generator = g,
                           .device = env->device,
                           .batch_statistics = pool->batch_statistics,
                           .batch_size = pool->batch_size,
                           .seed = st->seed,
                           .label = (int32_t)st->class_index,
                           .first = am_pool_index(st->run, st->first),
                           .count = st->count,
                           .run = st->run,
                           .class_name = name,
                           .class_count = source->class_count};
  AM_GO(done, am_generate_block(&block, path));
done:
  free(name);
  free(path);
  am_model_free(g);
  return err;
}

// ---- train ----

static am_err new_pipeline(const am_experiment *e, const am_node *augment, am_pipeline **out) {
  const am_split_cfg *data = &e->draw[0].split[0].cfg;
  float mean[MOST_CHANNELS], sd[MOST_CHANNELS];
  for (int64_t c = 0; c < data->channels; c++) {
    mean[c] = (float)e->normalize.mean[c];
    sd[c] = (float)e->normalize.sd[c];
  }
  return am_pipeline_new(augment, data->channels, data->size, data->size, mean, sd, out);
}

// The watched split is the last input of the stage.
static am_err watched(const am_stage_env *env, const am_stage *st, am_dataset **out) {
  *out = NULL;
  return env->plan->e->watch ? am_stage_dataset(env, st->input[st->input_count - 1], out) : AM_OK;
}

// What a cell begins with: values from its seed, or given ones.
static am_err starting_classifier(const am_stage_env *env, const am_stage *st, am_model **out) {
  am_err err = AM_OK;
  const am_classifier_def *def = &env->plan->e->model[st->model];
  const am_given *given = &env->plan->given[st->model];
  am_model *m = NULL;
  AM_GO(done, am_stage_network(env, def->def, &def->network, st->draw, &m));
  am_finetune_apply(&def->finetune, m->params);
  AM_GO(done, initialise(env, st, "model", m));
  if (given->path) AM_GO(done, am_finetune_load(&def->finetune, given->path, given->sha256, m));
  *out = m;
  m = NULL;
done:
  am_model_free(m);
  return err;
}

// Images are decoded and transformed beside the training; how many threads do it does not show in the result.
enum { LOADER_WORKERS = 1 };

static am_err run_train(const am_stage_env *env, const am_stage *st, const char *out_dir,
                        const char *checkpoint_dir) {
  am_err err = AM_OK;
  const am_experiment *e = env->plan->e;
  const am_arm_def *arm = &e->arm[st->arm];
  am_model *m = NULL;
  am_dataset *data = NULL, *watch = NULL;
  am_pipeline *training = NULL, *plain = NULL;
  am_history *history = NULL;
  err = starting_classifier(env, st, &m);
  if (!err) err = am_training_dataset(env, st, &data);
  if (!err) err = watched(env, st, &watch);
  if (!err) err = new_pipeline(e, arm->augment, &training);
  if (!err) err = new_pipeline(e, NULL, &plain);
  AM_GO(done, am_agree(env->group, err));
  am_classify_job job = {.comm = env->group,
                         .device = env->device,
                         .model = m,
                         .data = data,
                         .watch = watch,
                         .transform = am_pipeline_transform(training),
                         .eval_transform = am_pipeline_transform(plain),
                         .cfg = arm->train,
                         .optimizer = arm->optimizer,
                         .seed = st->seed,
                         .checkpoint_dir = checkpoint_dir,
                         .loader_workers = LOADER_WORKERS,
                         .label = st->id};
  job.cfg.epochs = am_arm_epochs(env->plan, st->arm, st->draw);
  AM_GO(done, am_train_classifier(&job, &history));
  AM_GO(done, check_finite(m, st));
  if (!out_dir) goto done;
  AM_GO(done, save_network(env, st, m, out_dir, "model.safetensors"));
  AM_GO(done, save_history(history, out_dir));
done:
  am_history_free(history);
  am_pipeline_free(training);
  am_pipeline_free(plain);
  am_dataset_free(watch);
  am_dataset_free(data);
  am_model_free(m);
  return err;
}

// ---- evaluate ----

static am_err write_predictions(const am_dataset *data, const float *logits, int64_t classes,
                                const char *out_dir) {
  am_err err = AM_OK;
  am_h5 *file = NULL;
  char *path = NULL;
  int32_t *label = NULL;
  int64_t n = am_dataset_count(data);
  AM_GO(done, AM_NEW_ARRAY(&label, n));
  for (int64_t i = 0; i < n; i++) label[i] = am_dataset_label(data, i);
  AM_GO(done, am_h5_create(&file));
  AM_GO(done, am_h5_put(file, "logits", AM_H5_F32, 2, (int64_t[]){n, classes}, logits));
  AM_GO(done, am_h5_put(file, "label", AM_H5_I32, 1, &n, label));
  AM_GO(done, am_path_join(out_dir, "predictions.h5", &path));
  AM_GO(done, am_h5_publish(file, path));
done:
  free(label);
  free(path);
  am_h5_close(file);
  return err;
}

static am_err run_evaluate(const am_stage_env *env, const am_stage *st, const char *out_dir) {
  am_err err = AM_OK;
  const am_experiment *e = env->plan->e;
  const am_classifier_def *def = &e->model[st->model];
  int64_t classes = am_plan_source(env->plan, st->draw, 0)->class_count;
  am_model *m = NULL;
  am_dataset *data = NULL;
  am_pipeline *plain = NULL;
  float *logits = NULL;
  am_dtype compute = AM_F32;
  AM_GO(done, am_compute_use(env->device, e->arm[st->arm].train.precision, &compute));
  AM_GO(done, am_stage_network(env, def->def, &def->network, st->draw, &m));
  AM_GO(done, load_network(env, st->input[0], "model.safetensors", m));
  AM_GO(done, st->split ? am_stage_dataset(env, st->input[1], &data)
                        : am_training_dataset(env, &env->plan->stage[st->input[0]], &data));
  AM_GO(done, new_pipeline(e, NULL, &plain));
  AM_GO(done, AM_NEW_ARRAY(&logits, am_dataset_count(data) * classes));
  AM_GO(done, am_classifier_logits(m, data, am_pipeline_transform(plain), compute, EVALUATE_BATCH, logits));
  AM_GO(done, write_predictions(data, logits, classes, out_dir));
done:
  free(logits);
  am_pipeline_free(plain);
  am_dataset_free(data);
  am_model_free(m);
  return err;
}

// Only fits and trainings are shared by a group; the others are one rank's work.
am_err am_stage_run(const am_stage_env *env, const am_stage *st, const char *out_dir,
                    const char *checkpoint_dir) {
  AM_TRY(am_device_set_tf32(env->device, false));  // what the stage before computed in says nothing
  switch (st->kind) {
    case AM_STAGE_FIT:
      return run_fit(env, st, out_dir, checkpoint_dir);
    case AM_STAGE_TRAIN:
      return run_train(env, st, out_dir, checkpoint_dir);
    case AM_STAGE_PREPARE:
      return am_prepare_run(env, st, out_dir);
    case AM_STAGE_GENERATE:
      return run_generate(env, st, out_dir);
    case AM_STAGE_EVALUATE:
      return run_evaluate(env, st, out_dir);
  }
  return AM_FAIL(AM_ERR_INTERNAL, "a stage of kind %d", (int)st->kind);
}
