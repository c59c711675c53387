// From a file to the merged tree, and from the tree to the top level of the struct.
#include "sweep/experiment.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "sweep/expand.h"
#include "sweep/experiment_internal.h"

enum { DEFAULTS_DEPTH = 8 };

// ---- small readers ----

am_err am_section(const am_node *map, const char *key, am_node **out) {
  *out = am_node_get(map, key);
  if (*out && (*out)->kind == AM_NODE_NULL) *out = NULL;
  if (*out && (*out)->kind != AM_NODE_MAP) {
    char text[AM_NODE_TEXT];
    return am_node_fail(*out, "expected a map, not %s", am_node_describe(*out, text));
  }
  return AM_OK;
}

am_err am_check_path_name(const am_node *where, const char *name) {
  enum { LONGEST = 100 };
  size_t length = strlen(name);
  bool fine = length > 0 && length <= LONGEST && name[0] != '.' && name[0] != '-';
  for (size_t i = 0; i < length && fine; i++)
    fine = strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-", name[i]) != NULL;
  if (fine) return AM_OK;
  return am_node_fail(where, "\"%s\" becomes part of a path: letters, digits and . _ + - only, at most %d",
                      name, LONGEST);
}

am_err am_fail_unknown(const am_node *where, const char *what, const char *word, const char *const *names,
                       int64_t count) {
  const char *nearest = am_str_nearest(word, names, count);
  if (nearest) return am_node_fail(where, "there is no %s \"%s\"; did you mean \"%s\"?", what, word, nearest);
  am_str known = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < count && !err; i++) err = am_str_printf(&known, "%s%s", i ? ", " : "", names[i]);
  if (!err) {
    err = am_node_fail(where, "there is no %s \"%s\"%s%.400s", what, word, count ? "; there are: " : "",
                       am_str_get(&known));
  }
  am_str_fini(&known);
  return err;
}

am_err am_check_slices(const am_node *where, int64_t batch_size, int64_t slices) {
  if (slices <= batch_size) return AM_OK;
  return am_node_fail(where, "batch_size %lld cannot be cut into %lld slices", (long long)batch_size,
                      (long long)slices);
}

// ---- merging ----

static am_err defaults_path(const char *path, const char *defaults, char **out) {
  char *folder = NULL;
  am_err err = am_mem_strdup(path, &folder);
  if (err) return err;
  char *slash = strrchr(folder, '/');
  if (slash) {
    *slash = 0;
    err = am_path_join(folder, defaults, out);
  } else {
    err = am_mem_strdup(defaults, out);
  }
  free(folder);
  return err;
}

// The file over its defaults, which may have defaults of their own.
static am_err read_merged(const char *path, int depth, am_node **out) {
  am_err err = AM_OK;
  am_node *tree = NULL, *base = NULL;
  char *base_path = NULL;
  AM_GO(done, am_yaml_read(path, &tree));
  if (tree->kind != AM_NODE_MAP) {
    err = am_node_fail(tree, "an experiment is a map of keys");
    goto done;
  }
  const am_node *defaults = am_node_get(tree, "defaults");
  if (defaults) {
    const char *name = NULL;
    AM_GO(done, am_node_str(defaults, &name));
    if (depth == DEFAULTS_DEPTH) {
      err = am_node_fail(defaults, "defaults of defaults go deeper than %d files", DEFAULTS_DEPTH);
      goto done;
    }
    AM_GO(done, defaults_path(path, name, &base_path));
    AM_GO(done, read_merged(base_path, depth + 1, &base));
    am_node_remove(tree, "defaults");
    AM_GO(done, am_node_merge(base, tree));
    am_node_free(tree);
    tree = base;
    base = NULL;
  }
  *out = tree;
  tree = NULL;
done:
  am_node_free(tree);
  am_node_free(base);
  free(base_path);
  return err;
}

static am_err apply_overrides(am_node *tree, const am_experiment_overrides *over) {
  am_err err = AM_OK;
  am_node *tiny = NULL;
  AM_TRY(am_section(tree, "tiny", &tiny));
  if (over->tiny && !tiny)
    return am_node_fail(tree, "the file has no `tiny:` section, so it cannot be run with --tiny");
  if (over->tiny) {
    am_node *copy = NULL;
    AM_TRY(am_node_copy(tiny, &copy));
    err = am_node_merge(tree, copy);
    am_node_free(copy);
    AM_TRY(err);
  }
  am_node_remove(tree, "tiny");
  for (int i = 0; i < over->set_count; i++) AM_TRY(am_node_set(tree, over->set[i]));
  if (over->threads > 0) {
    char assignment[48];
    snprintf(assignment, sizeof assignment, "threads=%lld", (long long)over->threads);
    AM_TRY(am_node_set(tree, assignment));
  }
  return AM_OK;
}

// ---- the top level ----

static am_err read_head(am_experiment *e) {
  static const char *const also[] = {"paper", "data",  "generators", "pools",     "arms", "models",
                                     "train", "notes", "evaluate",   "published", NULL};
  am_node *paper = NULL;
  AM_TRY(am_bind(e->tree, &am_experiment_schema, also, &e->cfg));
  AM_TRY(am_check_path_name(am_node_get(e->tree, "name"), e->cfg.name));
  AM_TRY(am_section(e->tree, "paper", &paper));
  AM_TRY(am_bind(paper, &am_paper_schema, NULL, &e->paper));
  am_node *notes = am_node_get(e->tree, "notes");
  if (notes && notes->kind != AM_NODE_NULL) AM_TRY(am_node_words(notes, &e->note, &e->note_count));
  return am_str_format(&e->folder, "%s%s", e->cfg.name, e->tiny ? "-tiny" : "");
}

static am_err find_reference(am_experiment *e) {
  if (!*e->cfg.reference) return AM_OK;
  for (int64_t i = 0; i < e->arm_count; i++) {
    if (strcmp(e->arm[i].name, e->cfg.reference) != 0) continue;
    e->reference = i;
    return AM_OK;
  }
  return am_node_fail(am_node_get(e->tree, "reference"), "there is no arm \"%s\"", e->cfg.reference);
}

am_err am_experiment_load(const char *path, const am_experiment_overrides *over, am_experiment **out) {
  am_err err = AM_OK;
  am_experiment *e = NULL;
  am_node *data = NULL;
  AM_GO(done, AM_NEW(&e));
  e->tiny = over->tiny;
  AM_GO(done, read_merged(path, 0, &e->tree));
  e->file = e->tree->file;
  AM_GO(done, apply_overrides(e->tree, over));
  AM_GO(done, am_expand(e->tree));
  AM_GO(done, read_head(e));
  AM_GO(done, am_section(e->tree, "data", &data));
  if (!data) {
    err = am_node_fail(e->tree, "the key \"data\" is missing");
    goto done;
  }
  AM_GO(done, am_read_data(e, data));
  AM_GO(done, am_read_generators(e));
  AM_GO(done, am_read_pools(e));
  AM_GO(done, am_read_models(e));
  AM_GO(done, am_read_arms(e));
  AM_GO(done, find_reference(e));
  AM_GO(done, am_read_evaluate(e));
  AM_GO(done, am_read_published(e));
  *out = e;
  e = NULL;
done:
  am_experiment_free(e);
  return err;
}

static void split_fini(am_split_def *s) {
  for (int64_t k = 0; s->object && k < s->class_count; k++) free((char *)s->object[k]);
  free(s->object);
  free(s->class_name);
}

void am_experiment_free(am_experiment *e) {
  if (!e) return;
  for (int64_t d = 0; d < e->draw_count; d++) {
    for (int64_t s = 0; s < e->draw[d].split_count; s++) split_fini(&e->draw[d].split[s]);
    free(e->draw[d].split);
    am_node_free(e->draw[d].tree);
  }
  for (int64_t i = 0; i < e->arm_count; i++) {
    free(e->arm[i].part);
    free(e->arm[i].name_owned);
    am_node_free(e->arm[i].train_tree);
  }
  for (int64_t i = 0; i < e->model_count; i++) am_finetune_fini(&e->model[i].finetune);
  free(e->draw);
  free(e->generator);
  free(e->pool);
  free(e->arm);
  free(e->model);
  free(e->metric);
  free(e->evaluated);
  free(e->published);
  free(e->note);
  free(e->folder);
  am_node_free(e->tree);
  free(e);
}
