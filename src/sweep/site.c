#include "sweep/site.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "sweep/experiment_internal.h"

#define AM_FIELD_OF am_site_cfg
static const am_field profile_fields[] = {AM_FIELDS(AM_SITE_FIELDS)};
#undef AM_FIELD_OF
static const am_schema profile_schema =
    AM_SCHEMA("profile", "how jobs are asked for on one cluster", am_site_cfg, profile_fields);

// ---- checks ----

static const char LETTERS[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
static const char DIGITS[] = "0123456789";

// A module's name goes through `module`, which on many sites evaluates what it prints.
static am_err check_module(const am_node *at, const char *word) {
  for (const char *p = word; *p; p++)
    if (!strchr(LETTERS, *p) && !strchr(DIGITS, *p) && (p == word || !strchr("._+-/:@", *p)))
      return am_node_fail(at, "\"%s\" is no module's name: letters, digits and . _ + - / : @ only", word);
  return *word ? AM_OK : am_node_fail(at, "a module needs a name");
}

// What `submit` says itself may not be said again, and a word that is no option would be taken for the script.
static am_err check_sbatch(const am_node *at, const char *word) {
  static const char *const taken[] = {"--array",         "--dependency",
                                      "--job-name",      "--parsable",
                                      "--wrap",          "--output",
                                      "--error",         "--chdir",
                                      "--signal",        "--requeue",
                                      "--no-requeue",    "--ntasks",
                                      "--nodes",         "--time",
                                      "--test-only",     "--open-mode",
                                      "--hold",          "--wait",
                                      "--clusters",      "--ntasks-per-node",
                                      "--cpus-per-task", NULL};
  if (!am_str_starts(word, "--") || !word[2])
    return am_node_fail(at, "\"%s\" is no option of sbatch: write it as one word, as in --mail-type=END",
                        word);
  size_t name = strcspn(word, "=");
  for (int i = 0; taken[i]; i++)
    if (strlen(taken[i]) == name && memcmp(taken[i], word, name) == 0)
      return am_node_fail(at, "%s is set by augmint submit, from the other keys of the profile", taken[i]);
  return AM_OK;
}

// In the words of slurm/job.sh this one ends a group.
static am_err check_launch(const am_node *at, const char *word) {
  return strcmp(word, "--") ? AM_OK
                            : am_node_fail(at, "a lone \"--\" ends the launcher's words in the job script");
}

static am_err check_name(const am_node *at, const char *name) {
  for (const char *p = name; *p; p++)
    if (!strchr(LETTERS, *p) && *p != '_' && (p == name || !strchr(DIGITS, *p)))
      return am_node_fail_key(at, "\"%s\" is no name of a variable: letters, digits and _ only", name);
  return *name ? AM_OK : am_node_fail_key(at, "a variable needs a name");
}

// ---- reading ----

static am_err read_list(const am_node *tree, const char *key, am_err (*check)(const am_node *, const char *),
                        am_site_words *out) {
  const am_node *n = am_node_get(tree, key);
  if (!n || n->kind == AM_NODE_NULL) return AM_OK;
  AM_TRY(am_node_words(n, &out->word, &out->count));
  for (int64_t i = 0; i < out->count && check; i++)
    AM_TRY(check(n->kind == AM_NODE_LIST ? n->item[i] : n, out->word[i]));
  return AM_OK;
}

static am_err read_environment(const am_node *tree, am_site_words *out) {
  am_node *map = NULL;
  AM_TRY(am_section(tree, "environment", &map));
  if (!map) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&out->word, map->count));
  for (int64_t i = 0; i < map->count; i++) {
    const char *value = NULL;
    char *word = NULL;
    AM_TRY(check_name(map->item[i], map->key[i]));
    AM_TRY(am_node_str(map->item[i], &value));
    AM_TRY(am_str_format(&word, "%s=%s", map->key[i], value));
    out->word[out->count++] = word;
  }
  return AM_OK;
}

static am_err read_all(am_site *p) {
  static const char *const also[] = {
#define AM_SITE_KEY(name, doc) #name,
      AM_SITE_LISTS(AM_SITE_KEY)
#undef AM_SITE_KEY
          "environment",
      NULL};
  AM_TRY(am_bind(p->tree, &profile_schema, also, &p->cfg));
  AM_TRY(read_list(p->tree, "modules", check_module, &p->modules));
  AM_TRY(read_list(p->tree, "container", NULL, &p->container));
  AM_TRY(read_list(p->tree, "sbatch", check_sbatch, &p->sbatch));
  AM_TRY(read_list(p->tree, "launch", check_launch, &p->launch));
  AM_TRY(read_environment(p->tree, &p->environment));
  const am_site_cfg *c = &p->cfg;
  if (c->gpus_per_node && am_node_get(p->tree, "ranks_per_node"))
    return am_node_fail(
        am_node_get(p->tree, "ranks_per_node"),
        "with gpus_per_node, the ranks of a node are gpus_per_node x ranks_per_gpu: leave it out");
  if (!c->gpus_per_node && c->ranks_per_gpu > 1)
    return am_node_fail(am_node_get(p->tree, "ranks_per_gpu"),
                        "there are no GPUs to share: gpus_per_node is 0");
  if (c->signal_sec >= c->time_limit * 60)
    return am_node_fail(am_node_get(p->tree, "signal_sec") ? am_node_get(p->tree, "signal_sec") : p->tree,
                        "signal_sec is %lld, all of the time limit of %lld minutes", (long long)c->signal_sec,
                        (long long)c->time_limit);
  return AM_OK;
}

am_err am_site_from_node(am_node *tree_take, am_site **out) {
  am_site *p = NULL;
  am_err err = AM_NEW(&p);
  if (err) {
    am_node_free(tree_take);
    return err;
  }
  p->tree = tree_take;
  err = read_all(p);
  if (err) {
    am_site_free(p);
    return err;
  }
  *out = p;
  return AM_OK;
}

am_err am_site_load(const char *path, am_site **out) {
  am_node *tree = NULL;
  AM_TRY(am_yaml_read(path, &tree));
  return am_site_from_node(tree, out);
}

void am_site_free(am_site *p) {
  if (!p) return;
  for (int64_t i = 0; i < p->environment.count; i++) free((char *)p->environment.word[i]);
  free(p->environment.word);
#define AM_SITE_FREE(name, doc) free(p->name.word);
  AM_SITE_LISTS(AM_SITE_FREE)
#undef AM_SITE_FREE
  am_node_free(p->tree);
  free(p);
}

int64_t am_site_node_ranks(const am_site *p) {
  return p->cfg.gpus_per_node ? p->cfg.gpus_per_node * p->cfg.ranks_per_gpu : p->cfg.ranks_per_node;
}

int64_t am_site_job_ranks(const am_site *p) { return p->cfg.nodes * am_site_node_ranks(p); }

am_err am_site_describe(am_str *out) {
  if (out->length) AM_TRY(am_str_printf(out, "\n"));
  AM_TRY(am_schema_print(&profile_schema, out));
#define AM_SITE_LINE(name, doc) AM_TRY(am_str_printf(out, "  %-15s %s\n", #name, doc));
  AM_SITE_LISTS(AM_SITE_LINE)
#undef AM_SITE_LINE
  return am_str_printf(out, "  %-15s %s\n", "environment", "map: variables of the job: {OMP_PLACES: cores}");
}
