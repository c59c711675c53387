// Arms and what is said about them: training sets, controls, evaluation, published numbers.
#include <stdlib.h>
#include <string.h>

#include "augment/augment.h"
#include "base/mem.h"
#include "base/num.h"
#include "sweep/experiment_internal.h"

// ---- parts of a training set ----

static am_err find_pool(const am_experiment *e, const am_node *where, am_arm_part *part) {
  const char *name = NULL, **names = NULL;
  AM_TRY(am_node_str(where, &name));
  for (int64_t i = 0; i < e->pool_count; i++) {
    if (strcmp(e->pool[i].name, name) != 0) continue;
    part->pool = i;
    return AM_OK;
  }
  AM_TRY(AM_NEW_ARRAY(&names, e->pool_count));
  for (int64_t i = 0; i < e->pool_count; i++) names[i] = e->pool[i].name;
  am_err err = am_fail_unknown(where, "pool", name, names, e->pool_count);
  free(names);
  return err;
}

static am_err read_pool_part(const am_experiment *e, const am_node *n, am_arm_part *part) {
  static const char *const keys[] = {"pool", "per_class", NULL};
  const am_node *per_class = am_node_get(n, "per_class");
  AM_TRY(am_node_check_keys(n, keys));
  AM_TRY(find_pool(e, am_node_get(n, "pool"), part));
  part->kind = AM_PART_POOL;
  int64_t most = e->pool[part->pool].cfg.per_class;
  part->per_class = most;
  if (per_class) AM_TRY(am_node_i64(per_class, &part->per_class));
  if (part->per_class < 1 || part->per_class > most)
    return am_node_fail(per_class, "pool \"%s\" has %lld images of each class, so 1 to %lld, not %lld",
                        e->pool[part->pool].name, (long long)most, (long long)most,
                        (long long)part->per_class);
  return AM_OK;
}

static am_err read_duplicates_part(const am_node *n, am_arm_part *part) {
  static const char *const keys[] = {"duplicates", "per_class", NULL};
  const am_node *of = am_node_get(n, "duplicates"), *per_class = am_node_get(n, "per_class");
  const char *word = NULL;
  AM_TRY(am_node_check_keys(n, keys));
  AM_TRY(am_node_str(of, &word));
  if (strcmp(word, "real") != 0)
    return am_node_fail(of, "only real images can be repeated: {duplicates: real}");
  if (!per_class) return am_node_fail(n, "the key \"per_class\" is missing");
  part->kind = AM_PART_DUPLICATES;
  AM_TRY(am_node_i64(per_class, &part->per_class));
  if (part->per_class < 1 || part->per_class > 1000000000)
    return am_node_fail(per_class, "expected 1 to 1000000000 images, not %lld", (long long)part->per_class);
  return AM_OK;
}

static am_err read_part(const am_experiment *e, const am_node *n, am_arm_part *part) {
  if (n->kind == AM_NODE_MAP && am_node_get(n, "pool")) return read_pool_part(e, n, part);
  if (n->kind == AM_NODE_MAP && am_node_get(n, "duplicates")) return read_duplicates_part(n, part);
  const char *word = n->kind == AM_NODE_SCALAR ? n->text : "";
  if (strcmp(word, "real") != 0)
    return am_node_fail(n, "expected real, {pool: NAME, per_class: N} or {duplicates: real, per_class: N}");
  part->kind = AM_PART_REAL;
  return AM_OK;
}

static am_err read_parts(const am_experiment *e, const am_node *n, am_arm_def *arm) {
  const am_node *train = am_node_get(n, "train");
  if (!train)
    return am_node_fail(n, "the key \"train\" is missing: train: [real, {pool: NAME, per_class: N}]");
  if (train->kind != AM_NODE_LIST || train->count == 0)
    return am_node_fail(train, "expected a list, such as [real]");
  AM_TRY(AM_NEW_ARRAY(&arm->part, train->count));
  for (int64_t i = 0; i < train->count; i++) {
    am_arm_part *part = &arm->part[i];
    AM_TRY(read_part(e, train->item[i], part));
    arm->part_count = i + 1;
    for (int64_t j = 0; j < i; j++)
      if (arm->part[j].kind == part->kind && (part->kind != AM_PART_POOL || arm->part[j].pool == part->pool))
        return am_node_fail(train->item[i], "this part comes twice");
  }
  return AM_OK;
}

// ---- arms ----

// `train:` of the experiment with the arm's `override:`, bound.
static am_err read_training(const am_experiment *e, const am_node *override, am_arm_def *arm) {
  static const char *const also[] = {"optimizer", NULL};
  am_node *train = NULL;
  AM_TRY(am_section(e->tree, "train", &train));
  if (train) {
    AM_TRY(am_node_copy(train, &arm->train_tree));
  } else {
    AM_TRY(am_node_new_map(e->file, &arm->train_tree));
  }
  if (override) AM_TRY(am_node_merge(arm->train_tree, override));
  AM_TRY(am_bind(arm->train_tree, &am_train_schema, also, &arm->train));
  AM_TRY(am_optimizer_bind(am_node_get(arm->train_tree, "optimizer"), &arm->optimizer));
  return am_check_slices(arm->train_tree, arm->train.batch_size, arm->train.slices);
}

// The transforms must suit the images of the data set: found out now, not when the arm is trained.
static am_err check_augment(const am_experiment *e, const am_arm_def *arm) {
  const am_split_cfg *data = &e->draw[0].split[0].cfg;
  am_pipeline *check = NULL;
  AM_TRY(am_pipeline_new(arm->augment, data->channels, data->size, data->size, NULL, NULL, &check));
  am_pipeline_free(check);
  return AM_OK;
}

static am_err read_arm(const am_experiment *e, const char *name, const am_node *n, am_arm_def *arm) {
  static const char *const keys[] = {"train", "augment", "override", "stand_in", NULL};
  am_node *override = NULL;
  arm->name = name;
  if (n->kind != AM_NODE_MAP) return am_node_fail(n, "expected a map: {train: [real]}");
  AM_TRY(am_node_check_keys(n, keys));
  AM_TRY(read_parts(e, n, arm));
  arm->augment = am_node_get(n, "augment");
  AM_TRY(check_augment(e, arm));
  AM_TRY(am_section(n, "override", &override));
  AM_TRY(read_training(e, override, arm));
  const am_node *stand_in = am_node_get(n, "stand_in");
  arm->stand_in = "";
  return stand_in ? am_node_str(stand_in, &arm->stand_in) : AM_OK;
}

static bool has_pool(const am_arm_def *arm) {
  for (int64_t i = 0; i < arm->part_count; i++)
    if (arm->part[i].kind == AM_PART_POOL) return true;
  return false;
}

// The arm with real images repeated in the place, and the number, of generated ones.
static am_err make_control(const am_experiment *e, const am_node *n, const am_arm_def *of,
                           am_arm_def *control) {
  am_arm_part repeated = {.kind = AM_PART_DUPLICATES};
  am_node *override = NULL;
  AM_TRY(am_str_format(&control->name_owned, "%s (duplicates)", of->name));
  control->name = control->name_owned;
  control->control_of = of->name;
  control->augment = of->augment;
  control->stand_in = "";
  AM_TRY(AM_NEW_ARRAY(&control->part, of->part_count));
  for (int64_t i = 0; i < of->part_count; i++) {
    if (of->part[i].kind == AM_PART_REAL)
      control->part[control->part_count++] = of->part[i];
    else
      repeated.per_class += of->part[i].per_class;
  }
  control->part[control->part_count++] = repeated;
  AM_TRY(am_section(n, "override", &override));
  return read_training(e, override, control);
}

am_err am_read_arms(am_experiment *e) {
  am_node *section = NULL;
  AM_TRY(am_section(e->tree, "arms", &section));
  if (!section || section->count == 0)
    return am_node_fail(section ? section : e->tree, "there is no entry in \"arms\"");
  AM_TRY(AM_NEW_ARRAY(&e->arm, 2 * section->count));
  for (int64_t i = 0; i < section->count; i++) {
    e->arm_count++;
    AM_TRY(read_arm(e, section->key[i], section->item[i], &e->arm[e->arm_count - 1]));
  }
  int64_t given = e->arm_count;
  for (int64_t i = 0; i < given && e->cfg.controls; i++) {
    if (!has_pool(&e->arm[i])) continue;
    e->arm_count++;
    AM_TRY(make_control(e, section->item[i], &e->arm[i], &e->arm[e->arm_count - 1]));
  }
  return AM_OK;
}

// ---- evaluate ----

static am_err find_metric(const am_node *where, const char *name, const am_metric **out) {
  const char *names[64];
  int64_t count = 0;
  *out = am_metric_find(name);
  if (*out) return AM_OK;
  for (const am_metric *const *m = am_metric_all(); *m && count < 64; m++) names[count++] = (*m)->name;
  return am_fail_unknown(where, "metric", name, names, count);
}

static am_err find_split(const am_experiment *e, const am_node *where, const char *name, int64_t *out) {
  const am_draw_def *d = &e->draw[0];
  const char *names[64];
  int64_t count = 0;
  for (int64_t s = 0; s < d->split_count; s++) {
    if (count < 64) names[count++] = d->split[s].name;
    if (strcmp(d->split[s].name, name) != 0) continue;
    *out = s;
    return AM_OK;
  }
  return am_fail_unknown(where, "split", name, names, count);
}

static am_err read_metrics(am_experiment *e, const am_node *list) {
  const char **name = NULL;
  am_err err = AM_OK;
  int64_t count = 0;
  AM_TRY(am_node_words(list, &name, &count));
  AM_GO(done, AM_NEW_ARRAY(&e->metric, count));
  for (int64_t i = 0; i < count; i++) {
    AM_GO(done, find_metric(list->kind == AM_NODE_LIST ? list->item[i] : list, name[i], &e->metric[i]));
    e->metric_count = i + 1;
  }
done:
  free(name);
  return err;
}

// Without a list: every split but train.
static am_err read_evaluated(am_experiment *e, const am_node *list) {
  const am_draw_def *d = &e->draw[0];
  const char **name = NULL;
  am_err err = AM_OK;
  int64_t count = d->split_count - 1;
  if (list) AM_TRY(am_node_words(list, &name, &count));
  AM_GO(done, AM_NEW_ARRAY(&e->evaluated, count));
  for (int64_t i = 0; i < count; i++) {
    e->evaluated[i] = i + 1;
    if (list)
      AM_GO(done,
            find_split(e, list->kind == AM_NODE_LIST ? list->item[i] : list, name[i], &e->evaluated[i]));
    e->evaluated_count = i + 1;
  }
done:
  free(name);
  return err;
}

static am_err read_watch(am_experiment *e) {
  const am_node *n = am_node_get(e->tree, "watch");
  if (!*e->cfg.watch) return AM_OK;
  AM_TRY(find_split(e, n, e->cfg.watch, &e->watch));
  return e->watch ? AM_OK : am_node_fail(n, "the training set is in the curves anyway; name another split");
}

am_err am_read_evaluate(am_experiment *e) {
  static const char *const keys[] = {"metrics", "splits", NULL};
  AM_TRY(read_watch(e));
  const am_node *n = am_node_get(e->tree, "evaluate");
  if (!n) return am_node_fail(e->tree, "the key \"evaluate\" is missing: evaluate: [loss, accuracy]");
  if (n->kind != AM_NODE_MAP) {
    AM_TRY(read_metrics(e, n));
    return read_evaluated(e, NULL);
  }
  AM_TRY(am_node_check_keys(n, keys));
  const am_node *metrics = am_node_get(n, "metrics");
  if (!metrics) return am_node_fail(n, "the key \"metrics\" is missing");
  AM_TRY(read_metrics(e, metrics));
  return read_evaluated(e, am_node_get(n, "splits"));
}

// ---- published ----

typedef struct {
  const char *split, *reason;
  double tolerance;
} published_head;

static am_err check_arm(const am_experiment *e, const am_node *where, const char *name) {
  const char **names = NULL;
  am_err err = AM_OK;
  AM_TRY(AM_NEW_ARRAY(&names, e->arm_count));
  bool found = false;
  for (int64_t i = 0; i < e->arm_count; i++) {
    names[i] = e->arm[i].name;
    found = found || strcmp(names[i], name) == 0;
  }
  if (!found) err = am_fail_unknown(where, "arm", name, names, e->arm_count);
  free(names);
  return err;
}

// A value alone, or {value, tolerance, reason}.
static am_err read_value(const am_node *n, am_published_def *p) {
  static const char *const keys[] = {"value", "tolerance", "reason", NULL};
  if (n->kind != AM_NODE_MAP) return am_node_f64(n, &p->value);
  AM_TRY(am_node_check_keys(n, keys));
  const am_node *value = am_node_get(n, "value"), *tolerance = am_node_get(n, "tolerance");
  const am_node *reason = am_node_get(n, "reason");
  if (!value) return am_node_fail(n, "the key \"value\" is missing");
  AM_TRY(am_node_f64(value, &p->value));
  if (tolerance) AM_TRY(am_node_f64(tolerance, &p->tolerance));
  return reason ? am_node_str(reason, &p->reason) : AM_OK;
}

static am_err add_published(am_experiment *e, int64_t *capacity, const published_head *head, const char *arm,
                            const char *metric, const am_node *metric_node, const am_node *value) {
  const am_metric *known = NULL;
  am_published_def p = {.arm = arm,
                        .split = head->split,
                        .metric = metric,
                        .reason = head->reason,
                        .tolerance = head->tolerance};
  AM_TRY(find_metric(metric_node, metric, &known));
  AM_TRY(read_value(value, &p));
  bool evaluated = false;
  for (int64_t i = 0; i < e->metric_count; i++) evaluated = evaluated || e->metric[i] == known;
  if (!evaluated) return am_node_fail(metric_node, "metric \"%s\" is not in `evaluate`", metric);
  AM_TRY(AM_GROW(&e->published, capacity, e->published_count + 1));
  e->published[e->published_count++] = p;
  return AM_OK;
}

static am_err read_published_entry(am_experiment *e, const am_node *n, int64_t *capacity) {
  static const char *const keys[] = {"arm",    "arms",      "split",  "metric", "value",
                                     "values", "tolerance", "reason", NULL};
  if (n->kind != AM_NODE_MAP)
    return am_node_fail(n, "expected a map: {arm: ..., split: ..., metric: ..., value: ...}");
  AM_TRY(am_node_check_keys(n, keys));
  published_head head = {.split = "test", .reason = "", .tolerance = e->cfg.tolerance};
  const am_node *split = am_node_get(n, "split"), *reason = am_node_get(n, "reason");
  const am_node *tolerance = am_node_get(n, "tolerance"), *values = am_node_get(n, "values");
  const am_node *metric = am_node_get(n, "metric"), *value = am_node_get(n, "value");
  const am_node *arm = am_node_get(n, "arm") ? am_node_get(n, "arm") : am_node_get(n, "arms");
  int64_t split_index = 0, arm_count = 0;
  if (!arm) return am_node_fail(n, "the key \"arm\" is missing");
  if (split) AM_TRY(am_node_str(split, &head.split));
  AM_TRY(find_split(e, split ? split : n, head.split, &split_index));
  bool evaluated = false;
  for (int64_t i = 0; i < e->evaluated_count; i++) evaluated = evaluated || e->evaluated[i] == split_index;
  if (!evaluated) return am_node_fail(split ? split : n, "split \"%s\" is not in `evaluate`", head.split);
  if (reason) AM_TRY(am_node_str(reason, &head.reason));
  if (tolerance) AM_TRY(am_node_f64(tolerance, &head.tolerance));
  if (values ? (metric || value || values->kind != AM_NODE_MAP) : (!metric || !value))
    return am_node_fail(n, "give either metric and value, or values: {METRIC: VALUE}");

  const char **arms = NULL, *metric_name = NULL;
  am_err err = AM_OK;
  AM_TRY(am_node_words(arm, &arms, &arm_count));
  for (int64_t a = 0; a < arm_count; a++) {
    AM_GO(done, check_arm(e, arm->kind == AM_NODE_LIST ? arm->item[a] : arm, arms[a]));
    if (values) {
      for (int64_t i = 0; i < values->count; i++)
        AM_GO(done,
              add_published(e, capacity, &head, arms[a], values->key[i], values->item[i], values->item[i]));
    } else {
      AM_GO(done, am_node_str(metric, &metric_name));
      AM_GO(done, add_published(e, capacity, &head, arms[a], metric_name, metric, value));
    }
  }
done:
  free(arms);
  return err;
}

am_err am_read_published(am_experiment *e) {
  const am_node *list = am_node_get(e->tree, "published");
  int64_t capacity = 0;
  if (!list || list->kind == AM_NODE_NULL) return AM_OK;
  if (list->kind != AM_NODE_LIST) return am_node_fail(list, "expected a list");
  for (int64_t i = 0; i < list->count; i++) AM_TRY(read_published_entry(e, list->item[i], &capacity));
  return AM_OK;
}
