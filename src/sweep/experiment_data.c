// The `data:` section: splits, and draws that change them.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "sweep/experiment_internal.h"

static const char *const not_splits[] = {"normalize", "draws"};

static bool is_split_key(const char *key) {
  for (int i = 0; i < 2; i++)
    if (strcmp(key, not_splits[i]) == 0) return false;
  return true;
}

// objects: {cow: 1, horse: [2, 3]} -> "1" and "2,3", by class.
static am_err read_objects(const am_node *objects, am_split_def *s) {
  if (!s->class_name) return am_node_fail(objects, "objects need `classes` beside them");
  if (objects->kind != AM_NODE_MAP) return am_node_fail(objects, "expected a map from class to object ids");
  AM_TRY(AM_NEW_ARRAY(&s->object, s->class_count));
  for (int64_t i = 0; i < objects->count; i++) {
    int64_t k = 0;
    while (k < s->class_count && strcmp(s->class_name[k], objects->key[i]) != 0) k++;
    if (k == s->class_count)
      return am_fail_unknown(objects->item[i], "class", objects->key[i], s->class_name, s->class_count);
    const char **id = NULL;
    int64_t count = 0;
    am_str text = {0};
    AM_TRY(am_node_words(objects->item[i], &id, &count));
    am_err err = AM_OK;
    for (int64_t j = 0; j < count && !err; j++) err = am_str_printf(&text, "%s%s", j ? "," : "", id[j]);
    free(id);
    if (!err) err = am_str_take(&text, (char **)&s->object[k]);
    am_str_fini(&text);
    AM_TRY(err);
  }
  return AM_OK;
}

static am_err read_split(const am_node *n, const char *name, am_split_def *s) {
  static const char *const also[] = {"classes", "objects", NULL};
  if (n->kind != AM_NODE_MAP) return am_node_fail(n, "expected a map: {manifest: ..., size: ...}");
  s->name = name;
  AM_TRY(am_bind(n, &am_split_schema, also, &s->cfg));
  if (s->cfg.short_side && strcmp(s->cfg.shape, "crop") != 0)
    return am_node_fail(am_node_get(n, "short_side"), "shape \"%s\" has no use for it: only \"crop\" has",
                        s->cfg.shape);
  if (s->cfg.short_side && s->cfg.short_side < s->cfg.size)
    return am_node_fail(am_node_get(n, "short_side"), "%lld, less than the size of %lld",
                        (long long)s->cfg.short_side, (long long)s->cfg.size);
  if (s->cfg.channels == 2) return am_node_fail(am_node_get(n, "channels"), "2, expected 1 or 3");
  const am_node *classes = am_node_get(n, "classes"), *objects = am_node_get(n, "objects");
  if (classes) {
    AM_TRY(am_node_words(classes, &s->class_name, &s->class_count));
    if (s->class_count < 2) return am_node_fail(classes, "a classifier needs at least two classes");
    for (int64_t i = 0; i < s->class_count; i++)
      for (int64_t j = 0; j < i; j++)
        if (strcmp(s->class_name[i], s->class_name[j]) == 0)
          return am_node_fail(classes, "class \"%s\" comes twice", s->class_name[i]);
  }
  return objects ? read_objects(objects, s) : AM_OK;
}

// What a further split does not say, it shares with train; objects and the manifest's split are its own.
static am_err inherit(am_node *split, const am_node *train) {
  static const char *const shared[] = {"manifest", "classes", "size",       "channels",
                                       "resize",   "shape",   "short_side", "unreadable"};
  for (int i = 0; i < AM_COUNT_OF(shared); i++) {
    const am_node *value = am_node_get(train, shared[i]);
    if (!value || am_node_get(split, shared[i])) continue;
    am_node *copy = NULL;
    AM_TRY(am_node_copy(value, &copy));
    AM_TRY(am_node_put(split, shared[i], copy));
  }
  return AM_OK;
}

// All splits of a draw are seen by one network: one size, one kind of image, one list of classes.
static am_err check_splits(const am_draw_def *d, const am_node *where) {
  const am_split_def *train = &d->split[0];
  for (int64_t i = 1; i < d->split_count; i++) {
    const am_split_def *s = &d->split[i];
    if (s->cfg.size != train->cfg.size)
      return am_node_fail(am_node_get(where, s->name), "size is %lld, train has %lld", (long long)s->cfg.size,
                          (long long)train->cfg.size);
    if (s->cfg.channels != train->cfg.channels)
      return am_node_fail(am_node_get(where, s->name), "channels is %lld, train has %lld",
                          (long long)s->cfg.channels, (long long)train->cfg.channels);
    if (!s->class_name || !train->class_name)
      continue;  // the manifest's classes are compared once they are known
    bool same = s->class_count == train->class_count;
    for (int64_t k = 0; k < s->class_count && same; k++)
      same = strcmp(s->class_name[k], train->class_name[k]) == 0;
    if (!same) return am_node_fail(am_node_get(where, s->name), "classes differ from those of train");
  }
  return AM_OK;
}

// Reads the splits of one draw out of d->tree, train first.
static am_err read_splits(am_draw_def *d) {
  am_node *data = d->tree, *train = am_node_get(data, "train");
  int64_t at = 1;
  if (!train) return am_node_fail(data, "the split \"train\" is missing");
  AM_TRY(AM_NEW_ARRAY(&d->split, data->count));
  d->split_count = 1;
  AM_TRY(read_split(train, "train", &d->split[0]));
  for (int64_t i = 0; i < data->count; i++) {
    if (!is_split_key(data->key[i]) || data->item[i] == train) continue;
    AM_TRY(am_check_path_name(data->item[i], data->key[i]));
    if (data->item[i]->kind == AM_NODE_MAP) AM_TRY(inherit(data->item[i], train));
    d->split_count = at + 1;
    AM_TRY(read_split(data->item[i], data->key[i], &d->split[at++]));
  }
  if (d->split_count < 2) return am_node_fail(data, "there is no split to evaluate on: add `test`");
  return check_splits(d, data);
}

// The data section with one entry of draws merged over its splits.
static am_err merge_draw(const am_node *data, const am_node *entry, am_draw_def *d) {
  AM_TRY(am_node_copy(data, &d->tree));
  am_node_remove(d->tree, "draws");
  if (!entry) {
    d->name = "all";
    return AM_OK;
  }
  if (entry->kind != AM_NODE_MAP)
    return am_node_fail(entry, "expected a map: {name: ..., train: {...}, test: {...}}");
  const am_node *name = am_node_get(entry, "name");
  if (!name) return am_node_fail(entry, "a draw needs a name");
  AM_TRY(am_node_str(name, &d->name));
  AM_TRY(am_check_path_name(name, d->name));
  for (int64_t i = 0; i < entry->count; i++) {
    if (entry->item[i] == name) continue;
    am_node *split = is_split_key(entry->key[i]) ? am_node_get(d->tree, entry->key[i]) : NULL;
    if (!split) {
      const char *const *known = (const char *const *)d->tree->key;
      return am_fail_unknown(entry->item[i], "split", entry->key[i], known, d->tree->count);
    }
    AM_TRY(am_node_merge(split, entry->item[i]));
  }
  return AM_OK;
}

// ---- normalize ----

static am_err read_number(const am_node *n, const am_field *f, double *out) {
  AM_TRY(am_node_f64(n, out));
  if (*out >= f->min && *out <= f->max) return AM_OK;
  return am_node_fail(n, "%g, expected %g to %g", *out, f->min, f->max);
}

// One number for all channels, or a list.
static am_err read_channels(const am_node *n, const am_field *f, int64_t channels, double out[3]) {
  double all = 0;
  if (n && n->kind == AM_NODE_LIST) {
    if (n->count != channels)
      return am_node_fail(n, "a list of %lld numbers, images have %lld channels", (long long)n->count,
                          (long long)channels);
    for (int64_t c = 0; c < channels; c++) AM_TRY(read_number(n->item[c], f, &out[c]));
    return AM_OK;
  }
  am_text_is_number(f->default_text, &all);
  if (n && n->kind != AM_NODE_NULL) AM_TRY(read_number(n, f, &all));
  for (int64_t c = 0; c < channels; c++) out[c] = all;
  return AM_OK;
}

// After the splits, whose images have a number of channels.
static am_err read_normalize(am_experiment *e, const am_node *data) {
  static const char *const keys[] = {"mean", "sd", NULL};
  double *const out[] = {e->normalize.mean, e->normalize.sd};
  am_node *n = NULL;
  AM_TRY(am_section(data, "normalize", &n));
  if (n) AM_TRY(am_node_check_keys(n, keys));
  for (int i = 0; i < 2; i++)
    AM_TRY(read_channels(am_node_get(n, keys[i]), &am_normalize_schema.field[i],
                         e->draw[0].split[0].cfg.channels, out[i]));
  return AM_OK;
}

am_err am_read_data(am_experiment *e, const am_node *data) {
  const am_node *draws = am_node_get(data, "draws");
  if (draws && (draws->kind != AM_NODE_LIST || draws->count == 0))
    return am_node_fail(draws, "expected a list of draws: [{name: ..., train: {...}}]");
  int64_t count = draws ? draws->count : 1;
  AM_TRY(AM_NEW_ARRAY(&e->draw, count));
  for (int64_t i = 0; i < count; i++) {
    e->draw_count = i + 1;
    AM_TRY(merge_draw(data, draws ? draws->item[i] : NULL, &e->draw[i]));
    AM_TRY(read_splits(&e->draw[i]));
    for (int64_t j = 0; j < i; j++)
      if (strcmp(e->draw[i].name, e->draw[j].name) == 0)
        return am_node_fail(draws->item[i], "two draws are named \"%s\"", e->draw[i].name);
    const am_split_cfg *first = &e->draw[0].split[0].cfg, *mine = &e->draw[i].split[0].cfg;
    if (mine->size != first->size || mine->channels != first->channels)
      return am_node_fail(draws->item[i],
                          "draws with images of different size or channels cannot share one table");
  }
  return read_normalize(e, data);
}
