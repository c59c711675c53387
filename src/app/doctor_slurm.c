// doctor --slurm: whether Slurm answers, and whether it grants what a profile asks of it. Its commands only tell; nothing
// is submitted.
#include <stdlib.h>
#include <string.h>

#include "app/doctor.h"
#include "app/submitting.h"
#include "base/child.h"
#include "base/clock.h"
#include "config/node.h"
#include "sweep/site.h"

// ---- asking ----

// Runs the words of a command; false, with what it said, when it did not end well.
static am_err ask(const char *const *words, am_child *out, bool *fine) {
  am_err err = AM_OK;
  am_argv argv = {0};
  *fine = false;
  for (int i = 0; words[i]; i++) AM_GO(done, am_argv_add(&argv, "%s", words[i]));
  err = am_child_run(&argv, out);
  if (err == AM_ERR_UNSUPPORTED) {  // no such program
    am_err_clear();
    err = AM_OK;
    goto done;
  }
  *fine = !err && out->status == 0;
done:
  am_argv_fini(&argv);
  return err;
}

// Why a program did not tell: its last line, or that there is none.
enum { SAID = 256 };
static const char *said(am_child *c, const char *program, char text[SAID]) {
  if (c->diag) {
    snprintf(text, SAID, "%s: %s", program, am_child_complaint(c));
  } else {
    snprintf(text, SAID, "there is no %s in PATH", program);
  }
  return text;
}

static void trim(char *text) {
  size_t length = strlen(text);
  while (length && strchr(" \t\r\n", text[length - 1])) text[--length] = '\0';
}

// The value of "Key     = value" in scontrol show config; "" when there is none.
static void config_value(const char *config, const char *key, char *out, size_t bytes) {
  out[0] = '\0';
  for (const char *line = config; *line; line += strcspn(line, "\n"), line += *line == '\n') {
    size_t name = strcspn(line, " =\n");
    if (name != strlen(key) || strncmp(line, key, name) != 0) continue;
    const char *value = line + name + strspn(line + name, " =");
    snprintf(out, bytes, "%.*s", (int)strcspn(value, "\n"), value);
    trim(out);
    return;
  }
}

// ---- what the whole cluster says ----

static am_err check_version(am_doctor *d, bool *there) {
  am_err err = AM_OK;
  am_child c = {0};
  char text[SAID];
  AM_GO(done, ask((const char *const[]){"sinfo", "--version", NULL}, &c, there));
  if (*there) {
    trim(c.out);
    am_doctor_ok(d, "slurm", "%s", c.out);
  } else if (d->asked) {
    am_doctor_fail(d, "slurm", "log in to the cluster or load its module; without one: mpirun -n RANKS augmint run FILE",
                   "%s", said(&c, "sinfo", text));
  } else {
    am_doctor_ok(d, "slurm", "not here; experiments run by mpirun -n RANKS augmint run FILE");
  }
done:
  am_child_fini(&c);
  return err;
}

static void check_array_size(am_doctor *d, const char *config, const am_site *site) {
  char text[64];
  int64_t size = 0;
  config_value(config, "MaxArraySize", text, sizeof text);
  if (!am_text_is_integer(text, &size)) {
    am_doctor_warn(d, "arrays", "look for MaxArraySize in `scontrol show config` and write it to max_array",
                   "MaxArraySize is \"%s\"", text);
    return;
  }
  char advice[96];
  snprintf(advice, sizeof advice, "max_array: %lld in the profile", (long long)size);
  am_doctor_require(d, !site || site->cfg.max_array <= size, "arrays", advice, "MaxArraySize %lld, the profile has max_array %lld",
                    (long long)size, (long long)(site ? site->cfg.max_array : size));
}

static void check_requeue(am_doctor *d, const char *config, const am_site *site) {
  char text[64];
  config_value(config, "JobRequeue", text, sizeof text);
  bool wanted = site && site->cfg.requeue;
  am_doctor_prefer(d, !wanted || strcmp(text, "0") != 0, "requeue", "requeue: false in the profile, unless the site grants --requeue",
                   "JobRequeue %s%s", *text ? text : "is not told", wanted ? ", the profile wants it" : "");
}

static am_err check_config(am_doctor *d, const am_site *site, bool *answers) {
  am_err err = AM_OK;
  am_child c = {0};
  AM_GO(done, ask((const char *const[]){"scontrol", "show", "config", NULL}, &c, answers));
  if (*answers) {
    check_array_size(d, c.out, site);
    check_requeue(d, c.out, site);
  } else {
    char text[SAID];
    am_doctor_fail(d, "controller", "wait for slurmctld or ask the site; jobs that run go on without it", "%s",
                   said(&c, "scontrol", text));
  }
done:
  am_child_fini(&c);
  return err;
}

static bool has_word(const char *text, const char *word) {
  size_t length = strlen(word);
  for (const char *at = text ? strstr(text, word) : NULL; at; at = strstr(at + 1, word)) {
    bool begins = at == text || strchr(" \t\n:,", at[-1]), ends = !at[length] || strchr(" \t\n,", at[length]);
    if (begins && ends) return true;
  }
  return false;
}

static am_err check_launcher(am_doctor *d, const am_site *site) {
  am_err err = AM_OK;
  am_child c = {0};
  bool fine = false;
  const char *wanted = site && *site->cfg.mpi ? site->cfg.mpi : "pmix";
  if (site && strcmp(site->cfg.launcher, "srun") != 0) {
    am_doctor_ok(d, "launcher", "%s, as the profile says", site->cfg.launcher);
    return AM_OK;
  }
  AM_GO(done, ask((const char *const[]){"srun", "--mpi=list", NULL}, &c, &fine));
  // Some versions print the list on standard error.
  bool has = fine && (has_word(c.out, wanted) || has_word(c.diag, wanted));
  am_doctor_require(d, has, "launcher", "launcher: mpirun in the profile, or ask the site for Slurm's PMIx plugin",
                    has ? "srun --mpi=%s" : "srun --mpi=list does not have %s", wanted);
done:
  am_child_fini(&c);
  return err;
}

// ---- partitions ----

enum { PARTITION, LIMIT, NODES, CPUS, MEMORY, GRES, AVAILABLE, FIELDS };
static const char sinfo_format[] = "--format=%P|%l|%D|%c|%m|%G|%a";

// Cuts a line at its bars; false when there are too few.
static bool cut(char *line, char *field[FIELDS]) {
  for (int i = 0; i < FIELDS; i++) {
    field[i] = line;
    char *bar = line ? strchr(line, '|') : NULL;
    if (!line || (!bar && i < FIELDS - 1)) return false;
    if (bar) *bar = '\0';
    line = bar ? bar + 1 : NULL;
  }
  return true;
}

// The default one is marked by a star, which is taken off.
static bool is_wanted(char *name, const am_site *site) {
  size_t length = strlen(name);
  bool is_default = length && name[length - 1] == '*';
  if (is_default) name[length - 1] = '\0';
  return site && *site->cfg.partition ? !strcmp(name, site->cfg.partition) : is_default;
}

// GPUs in "gpu:a100:4(S:0-1),mps:400"; those of `kind` ("gpu", "gpu:a100") alone.
static int64_t gpus_in(const char *gres, const char *kind) {
  const char *at = strstr(gres, kind);
  if (!at) return 0;
  size_t bytes = strcspn(at, ",(");
  const char *colon = at;
  for (size_t i = 0; i < bytes; i++) {
    if (at[i] == ':') colon = at + i;
  }
  int64_t count = strtoll(colon + (*colon == ':'), NULL, 10);
  return count ? count : 1;
}

// One limit: what the partition has, "64+" being the least of several kinds of nodes.
static void check_limit(am_doctor *d, const char *what, const char *key, int64_t asked, int64_t has, bool mixed) {
  char advice[160];
  snprintf(advice, sizeof advice, "%s: at most %lld in the profile%s", key, (long long)has,
           mixed ? ", or `constraint` for the larger nodes" : "");
  if (asked > has && mixed) {
    am_doctor_warn(d, what, advice, "the profile asks for %lld; some nodes have %lld", (long long)asked, (long long)has);
  } else {
    am_doctor_require(d, asked <= has, what, advice, "the profile asks for %lld of %lld", (long long)asked, (long long)has);
  }
}

static void check_time(am_doctor *d, const char *limit, int64_t minutes) {
  double sec = 0;
  if (!am_clock_parse_span(limit, &sec)) {  // "infinite"
    am_doctor_ok(d, "time", "the profile asks for %lld minutes of %s", (long long)minutes, limit);
    return;
  }
  check_limit(d, "time", "time_limit", minutes, (int64_t)(sec / 60), false);
}

static void check_partition(am_doctor *d, char *field[FIELDS], const am_site *site) {
  am_doctor_require(d, !strcmp(field[AVAILABLE], "up"), "partition", "choose another `partition`, or wait until it is up",
                    "%s is %s: %s nodes of %s cores, %s MiB, %s, limit %s", field[PARTITION], field[AVAILABLE], field[NODES],
                    field[CPUS], field[MEMORY], strcmp(field[GRES], "(null)") ? field[GRES] : "no GPUs", field[LIMIT]);
  if (!site) return;
  const am_site_cfg *c = &site->cfg;
  int64_t ranks = am_site_node_ranks(site);
  check_time(d, field[LIMIT], c->time_limit);
  check_limit(d, "nodes", "nodes", c->nodes, strtoll(field[NODES], NULL, 10), false);
  check_limit(d, "cores", "ranks_per_node x cores", ranks * c->cores, strtoll(field[CPUS], NULL, 10), strchr(field[CPUS], '+'));
  if (c->memory)
    check_limit(d, "memory", "ranks_per_node x memory", ranks * c->memory, strtoll(field[MEMORY], NULL, 10),
                strchr(field[MEMORY], '+'));
  if (c->gpus_per_node) check_limit(d, "GPUs", "gpus_per_node", c->gpus_per_node, gpus_in(field[GRES], c->gres), false);
}

// sinfo has a line for each kind of nodes of a partition.
static am_err check_partitions(am_doctor *d, const am_site *site) {
  am_err err = AM_OK;
  am_child c = {0};
  bool fine = false, found = false;
  AM_GO(done, ask((const char *const[]){"sinfo", "--noheader", sinfo_format, NULL}, &c, &fine));
  for (char *line = c.out; fine && line && *line;) {
    char *end = line + strcspn(line, "\n"), *field[FIELDS];
    char *next = *end ? end + 1 : end;
    *end = '\0';
    if (cut(line, field) && is_wanted(field[PARTITION], site)) {
      check_partition(d, field, site);
      found = true;
    }
    line = next;
  }
  if (!fine) {
    char text[SAID];
    am_doctor_fail(d, "partition", "ask the site why sinfo does not answer", "%s", said(&c, "sinfo", text));
  } else if (!found) {
    am_doctor_fail(d, "partition", "`sinfo` lists them: name one in the profile", "there is no %s",
                   site && *site->cfg.partition ? site->cfg.partition : "default partition");
  }
done:
  am_child_fini(&c);
  return err;
}

// ---- all of it ----

static am_err load_profile(am_doctor *d, am_site **site) {
  char *path = NULL;
  if (!d->profile) {
    am_doctor_warn(d, "profile", "--profile P compares the site with slurm/profiles/P.yaml", "no profile was named");
    return AM_OK;
  }
  AM_TRY(am_submit_find_profile(d->profile, &path));
  am_err err = am_site_load(path, site);
  if (!err) am_doctor_ok(d, "profile", "%s", path);
  free(path);
  return err;
}

am_err am_doctor_slurm(am_doctor *d) {
  am_err err = AM_OK;
  am_site *site = NULL;
  bool there = false, answers = false;
  if (d->ranks > 1) {  // ranks of MPI start no programs
    if (d->asked) am_doctor_warn(d, "slurm", "augmint doctor --slurm without mpirun or srun", "not asked by %d ranks", d->ranks);
    return AM_OK;
  }
  AM_TRY(check_version(d, &there));
  if (!there) return AM_OK;
  if (!d->asked) {
    am_doctor_ok(d, "slurm", "augmint doctor --slurm --profile P asks it for limits");
    return AM_OK;
  }
  AM_GO(done, load_profile(d, &site));
  AM_GO(done, check_config(d, site, &answers));
  if (answers) AM_GO(done, check_partitions(d, site));
  AM_GO(done, check_launcher(d, site));
done:
  am_site_free(site);
  return err;
}
