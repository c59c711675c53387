#include "sweep/stage_text.h"

#include <stdlib.h>
#include <string.h>

#include "augment/augment.h"
#include "base/num.h"
#include "sweep/experiment_internal.h"

static const struct {
  const char *name;
  int revision;
} kinds[AM_STAGE_KINDS] = {
    [AM_STAGE_PREPARE] = {"prepare", 1},   [AM_STAGE_FIT] = {"fit", 1},
    [AM_STAGE_GENERATE] = {"generate", 1}, [AM_STAGE_TRAIN] = {"train", 1},
    [AM_STAGE_EVALUATE] = {"evaluate", 1},
};

const char *am_stage_name(am_stage_kind kind) { return kinds[kind].name; }

// ---- small writers ----

static am_err put_text(am_node *map, const char *key, const char *text) {
  am_node *n = NULL;
  AM_TRY(am_node_new_scalar(text, true, &n));
  return am_node_put(map, key, n);
}

static am_err put_plain(am_node *map, const char *key, const char *text) {
  am_node *n = NULL;
  AM_TRY(am_node_new_scalar(text, false, &n));
  return am_node_put(map, key, n);
}

static am_err put_i64(am_node *map, const char *key, int64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%lld", (long long)value);
  return put_plain(map, key, text);
}

static am_err put_f64(am_node *map, const char *key, double value) {
  char text[AM_NUMBER_TEXT];
  return put_plain(map, key, am_number_text(value, text));
}

// Seeds have 64 bits, which a JSON number cannot hold.
static am_err put_seed(am_node *map, uint64_t seed) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
  return put_text(map, "seed", text);
}

static am_err put_map(am_node *map, const char *key, am_node **out) {
  am_node *n = NULL;
  AM_TRY(am_node_new_map("", &n));
  AM_TRY(am_node_put(map, key, n));
  *out = am_node_get(map, key);
  return AM_OK;
}

// A bound struct without the fields that change no number, or that are said elsewhere.
static am_err put_bound(am_node *map, const char *key, const am_schema *schema, const void *cfg,
                        const char *const *without) {
  am_node *n = NULL;
  AM_TRY(am_bind_to_node(schema, cfg, &n));
  for (; *without; without++) am_node_remove(n, *without);
  return am_node_put(map, key, n);
}

// The fixed tree is part of a meaning only where it is asked for: stages keep the addresses that they had before one could.
static void leave_out_default_reduce(am_node *map, const char *key, const char *reduce) {
  if (strcmp(reduce, AM_REDUCE_DEFAULT) == 0) am_node_remove(am_node_get(map, key), "reduce");
}

static const char *const nothing[] = {NULL};

static am_err put_optimizer(am_node *map, const am_optimizer_cfg *optimizer) {
  return put_bound(map, "optimizer", &am_optimizer_schema, optimizer, nothing);
}

// A network by name, with every setting it has and the default where none is given.
static am_err put_network(am_node *map, const char *key, const am_model_def *def, const am_network_cfg *cfg) {
  am_node *n = NULL;
  am_model_cfg given = am_network_settings(cfg, def);
  AM_TRY(put_map(map, key, &n));
  AM_TRY(put_text(n, "kind", def->name));
  if (def->settings & AM_MODEL_WIDTH)
    AM_TRY(put_i64(n, "width", given.width ? given.width : def->defaults.width));
  if (def->settings & AM_MODEL_LATENT)
    AM_TRY(put_i64(n, "latent", given.latent ? given.latent : def->defaults.latent));
  if (def->settings & AM_MODEL_SLOPE)
    AM_TRY(put_f64(n, "slope", given.slope != 0 ? given.slope : def->defaults.slope));
  if (def->settings & AM_MODEL_DROPOUT)
    AM_TRY(put_f64(n, "dropout", given.dropout != 0 ? given.dropout : def->defaults.dropout));
  if (given.zero_init_residual) AM_TRY(put_plain(n, "zero_init_residual", "true"));
  return AM_OK;
}

static am_err put_words(am_node *map, const char *key, const char *const *word, int64_t count) {
  am_err err = AM_OK;
  am_node *list = NULL, *n = NULL;
  AM_GO(failed, am_node_new_list("", &list));
  for (int64_t i = 0; i < count; i++) {
    AM_GO(failed, am_node_new_scalar(word[i], true, &n));
    AM_GO(failed, am_node_append(list, n));
  }
  return am_node_put(map, key, list);
failed:
  am_node_free(list);
  return err;
}

// Later factors win, so their order is part of the meaning; a map would be sorted.
static am_err put_factors(am_node *map, const am_finetune *f) {
  am_err err = AM_OK;
  am_node *list = NULL, *n = NULL;
  AM_GO(failed, am_node_new_list("", &list));
  for (int64_t i = 0; i < f->lr_count; i++) {
    AM_GO(failed, am_node_new_map("", &n));
    AM_GO(failed, put_text(n, "part", f->lr[i].pattern));
    AM_GO(failed, put_f64(n, "factor", f->lr[i].factor));
    err = am_node_append(list, n);
    n = NULL;
    AM_GO(failed, err);
  }
  return am_node_put(map, "lr", list);
failed:
  am_node_free(n);
  am_node_free(list);
  return err;
}

// A number where all channels have the same.
static am_err put_channels(am_node *map, const char *key, const double *value, int64_t channels) {
  am_err err = AM_OK;
  am_node *list = NULL, *n = NULL;
  char text[AM_NUMBER_TEXT];
  bool alike = true;
  for (int64_t c = 1; c < channels; c++) alike = alike && value[c] == value[0];
  if (alike) return put_f64(map, key, value[0]);
  AM_GO(failed, am_node_new_list("", &list));
  for (int64_t c = 0; c < channels; c++) {
    AM_GO(failed, am_node_new_scalar(am_number_text(value[c], text), false, &n));
    AM_GO(failed, am_node_append(list, n));
  }
  return am_node_put(map, key, list);
failed:
  am_node_free(list);
  return err;
}

static am_err put_normalize(am_node *config, const am_plan *p) {
  am_node *n = NULL;
  int64_t channels = p->e->draw[0].split[0].cfg.channels;
  AM_TRY(put_map(config, "normalize", &n));
  AM_TRY(put_channels(n, "mean", p->e->normalize.mean, channels));
  return put_channels(n, "sd", p->e->normalize.sd, channels);
}

static am_err put_finetune(am_node *config, const am_finetune *f, const am_given *given) {
  am_node *n = NULL;
  if (!given->path && !f->frozen_count && !f->lr_count) return AM_OK;
  AM_TRY(put_map(config, "finetune", &n));
  if (given->path) AM_TRY(put_text(n, "weights", given->sha256));
  if (given->path) AM_TRY(put_text(n, "head", f->cfg.head));
  if (f->frozen_count) AM_TRY(put_words(n, "frozen", f->frozen, f->frozen_count));
  if (f->cfg.freeze_bn) AM_TRY(put_plain(n, "freeze_bn", "true"));
  return f->lr_count ? put_factors(n, f) : AM_OK;
}

static am_err put_device(am_node *map, const am_plan *p) {
  return put_i64(map, "threads", p->e->cfg.threads);
}

// ---- the kinds ----

static am_err describe_prepare(const am_plan *p, const am_stage *st, am_node *config, am_node *inputs) {
  const am_split_cfg *cfg = &p->e->draw[st->draw].split[st->split].cfg;
  AM_TRY(put_i64(config, "size", cfg->size));
  AM_TRY(put_i64(config, "channels", cfg->channels));
  AM_TRY(put_text(config, "resize", cfg->resize));
  AM_TRY(put_text(config, "shape", cfg->shape));
  AM_TRY(put_i64(config, "short_side", cfg->short_side));
  AM_TRY(put_text(config, "store", cfg->store));
  AM_TRY(put_f64(config, "unreadable", cfg->unreadable));
  return put_text(inputs, "files", am_plan_source(p, st->draw, st->split)->address);
}

static am_err describe_fit(const am_plan *p, const am_stage *st, am_node *config, am_node *inputs) {
  static const char *const without[] = {"per_class", "runs", "checkpoint_sec", NULL};
  const am_generator_def *g = &p->e->generator[st->generator];
  AM_TRY(put_network(config, "generator", g->generator, &g->network));
  AM_TRY(put_network(config, "discriminator", g->discriminator, &g->network));
  AM_TRY(put_bound(config, "fit", &am_fit_schema, &g->fit, without));
  leave_out_default_reduce(config, "fit", g->fit.reduce);
  AM_TRY(put_optimizer(config, &g->optimizer));
  AM_TRY(put_i64(config, "class", st->class_index));
  AM_TRY(put_seed(config, st->seed));
  AM_TRY(put_device(config, p));
  return put_text(inputs, "real", p->stage[st->input[0]].address);
}

static am_err describe_generate(const am_plan *p, const am_stage *st, am_node *config, am_node *inputs) {
  const am_pool_cfg *cfg = &p->e->pool[st->pool].cfg;
  AM_TRY(put_i64(config, "class", st->class_index));
  AM_TRY(put_i64(config, "first", am_pool_index(st->run, st->first)));
  AM_TRY(put_i64(config, "count", st->count));
  AM_TRY(put_i64(config, "batch_size", cfg->batch_size));
  AM_TRY(put_plain(config, "batch_statistics", cfg->batch_statistics ? "true" : "false"));
  AM_TRY(put_seed(config, st->seed));
  AM_TRY(put_device(config, p));
  return put_text(inputs, "generator", p->stage[st->input[0]].address);
}

// One part of the training set; a pool's blocks are inputs of their own.
static am_err put_part(const am_plan *p, am_node *list, const am_arm_part *part) {
  static const char *const words[] = {
      [AM_PART_REAL] = "real", [AM_PART_POOL] = "pool", [AM_PART_DUPLICATES] = "duplicates"};
  am_err err = AM_OK;
  am_node *n = NULL;
  AM_GO(failed, am_node_new_map("", &n));
  AM_GO(failed, put_text(n, "part", words[part->kind]));
  if (part->kind != AM_PART_REAL) AM_GO(failed, put_i64(n, "per_class", part->per_class));
  if (part->kind == AM_PART_POOL) {
    const am_pool_def *pool = &p->e->pool[part->pool];
    AM_GO(failed, put_i64(n, "runs", p->e->generator[pool->generator].fit.runs));
    AM_GO(failed, put_i64(n, "block", pool->cfg.block));
  }
  return am_node_append(list, n);
failed:
  am_node_free(n);
  return err;
}

static am_err put_parts(const am_plan *p, am_node *config, const am_arm_def *arm) {
  am_err err = AM_OK;
  am_node *list = NULL;
  AM_GO(failed, am_node_new_list("", &list));
  for (int64_t i = 0; i < arm->part_count; i++) AM_GO(failed, put_part(p, list, &arm->part[i]));
  return am_node_put(config, "parts", list);
failed:
  am_node_free(list);
  return err;
}

static am_err put_augment(am_node *config, const am_arm_def *arm) {
  am_node *n = NULL;
  if (!arm->augment) return AM_OK;
  AM_TRY(am_pipeline_to_node(arm->augment, &n));
  return am_node_put(config, "augment", n);
}

static am_err describe_train(const am_plan *p, const am_stage *st, am_node *config, am_node *inputs) {
  static const char *const without[] = {"checkpoint_sec", NULL};
  const am_arm_def *arm = &p->e->arm[st->arm];
  const am_classifier_def *model = &p->e->model[st->model];
  am_train_cfg train = arm->train;
  train.epochs = am_arm_epochs(p, st->arm, st->draw);
  AM_TRY(put_parts(p, config, arm));
  AM_TRY(put_augment(config, arm));
  AM_TRY(put_normalize(config, p));
  AM_TRY(put_network(config, "model", model->def, &model->network));
  AM_TRY(put_finetune(config, &model->finetune, &p->given[st->model]));
  AM_TRY(put_bound(config, "train", &am_train_schema, &train, without));
  leave_out_default_reduce(config, "train", train.reduce);
  AM_TRY(put_optimizer(config, &arm->optimizer));
  AM_TRY(put_seed(config, st->seed));
  AM_TRY(put_device(config, p));
  for (int64_t i = 0; i < st->input_count; i++) {
    char key[32];
    const am_stage *input = &p->stage[st->input[i]];
    if (i == 0)
      snprintf(key, sizeof key, "real");
    else if (input->kind == AM_STAGE_PREPARE)
      snprintf(key, sizeof key, "watch");
    else
      snprintf(key, sizeof key, "block%06lld", (long long)i);
    AM_TRY(put_text(inputs, key, input->address));
  }
  return AM_OK;
}

static am_err describe_evaluate(const am_plan *p, const am_stage *st, am_node *config, am_node *inputs) {
  AM_TRY(put_text(config, "images", st->split == 0 ? "training set" : "split"));
  AM_TRY(put_device(config, p));
  AM_TRY(put_text(inputs, "model", p->stage[st->input[0]].address));
  return st->split == 0 ? AM_OK : put_text(inputs, "images", p->stage[st->input[1]].address);
}

// What the time of a stage depends on, besides the amount of work: see am_stage.rate.
static am_err describe_rate(const am_plan *p, am_stage *st, const am_node *config) {
  static const char *const without[] = {"seed", "class", "first", "count", "parts", "images"};
  static const char *const recipe[] = {"train", "fit"};
  am_err err = AM_OK;
  am_node *copy = NULL;
  am_str text = {0};
  char hex[AM_SHA256_HEX];
  const am_experiment *e = p->e;
  const am_split_cfg *split = &e->draw[st->draw].split[0].cfg;
  const char *what = st->generator >= 0 ? e->generator[st->generator].network.kind
                     : st->model >= 0   ? e->model[st->model].network.kind
                                        : split->manifest;
  bool stands_on = st->kind == AM_STAGE_GENERATE || st->kind == AM_STAGE_EVALUATE;
  AM_GO(done, am_node_copy(config, &copy));
  for (int i = 0; i < AM_COUNT_OF(without); i++) am_node_remove(copy, without[i]);
  for (int i = 0; i < AM_COUNT_OF(recipe); i++)
    if (am_node_get(copy, recipe[i])) am_node_remove(am_node_get(copy, recipe[i]), "epochs");
  AM_GO(done, am_node_canonical(copy, &text));
  AM_GO(done, am_str_printf(&text, "%lld %s", (long long)split->channels,
                            stands_on ? p->stage[st->input[0]].rate : ""));
  AM_GO(done, am_sha256_bytes(text.text, (size_t)text.length, hex));
  snprintf(st->rate, sizeof st->rate, "%s %.40s %lld px %.8s", kinds[st->kind].name, what,
           (long long)split->size, hex);
done:
  am_str_fini(&text);
  am_node_free(copy);
  return err;
}

am_err am_stage_describe(const am_plan *p, am_stage *st) {
  static am_err (*const describe[AM_STAGE_KINDS])(const am_plan *, const am_stage *, am_node *, am_node *) = {
      [AM_STAGE_PREPARE] = describe_prepare,   [AM_STAGE_FIT] = describe_fit,
      [AM_STAGE_GENERATE] = describe_generate, [AM_STAGE_TRAIN] = describe_train,
      [AM_STAGE_EVALUATE] = describe_evaluate,
  };
  am_err err = AM_OK;
  am_node *root = NULL, *config = NULL, *inputs = NULL;
  am_str text = {0};
  AM_GO(done, am_node_new_map("", &root));
  AM_GO(done, put_text(root, "stage", kinds[st->kind].name));
  AM_GO(done, put_i64(root, "revision", kinds[st->kind].revision));
  if (p->e->tiny) AM_GO(done, put_plain(root, "tiny", "true"));
  AM_GO(done, put_map(root, "config", &config));
  AM_GO(done, put_map(root, "inputs", &inputs));
  AM_GO(done, describe[st->kind](p, st, config, inputs));
  AM_GO(done, describe_rate(p, st, config));
  AM_GO(done, am_node_canonical(root, &text));
  AM_GO(done, am_sha256_bytes(text.text, (size_t)text.length, st->address));
  AM_GO(done, am_str_take(&text, &st->text));
done:
  am_str_fini(&text);
  am_node_free(root);
  return err;
}

// ---- sizes ----

int64_t am_arm_images(const am_plan *p, int64_t arm, int64_t draw) {
  const am_source *real = am_plan_source(p, draw, 0);
  const am_arm_def *a = &p->e->arm[arm];
  int64_t images = 0;
  for (int64_t i = 0; i < a->part_count; i++)
    images += a->part[i].kind == AM_PART_REAL ? real->images : a->part[i].per_class * real->class_count;
  return images;
}

int64_t am_arm_epochs(const am_plan *p, int64_t arm, int64_t draw) {
  int64_t epochs = p->e->arm[arm].train.epochs;
  if (strcmp(p->e->cfg.budget, "steps") != 0 || epochs == 0) return epochs;
  double reference = (double)am_arm_images(p, p->e->reference, draw),
         mine = (double)am_arm_images(p, arm, draw);
  return am_max_i64(1, (int64_t)((double)epochs * reference / mine + 0.5));
}

int64_t am_arm_updates(const am_plan *p, int64_t arm, int64_t draw) {
  const am_train_cfg *train = &p->e->arm[arm].train;
  int64_t images = am_arm_images(p, arm, draw);
  int64_t batches = train->drop_last ? images / train->batch_size : am_ceil_div(images, train->batch_size);
  return am_ceil_div(batches, train->accumulate);
}
