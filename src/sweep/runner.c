#include "sweep/runner.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/version.h"

// ---- one stage ----

// These say that this configuration cannot be computed; anything else concerns the whole job.
static bool is_recorded(am_err code) {
  return code == AM_ERR_NUMERIC || code == AM_ERR_ARG || code == AM_ERR_UNSUPPORTED;
}

static am_err put(am_node *map, const char *key, const char *text, bool quoted) {
  am_node *n = NULL;
  AM_TRY(am_node_new_scalar(text, quoted, &n));
  return am_node_put(map, key, n);
}

static am_err provenance(const am_runner *r, const am_stage_env *env, const am_stage *st, double seconds,
                         char **out) {
  am_err err = AM_OK;
  am_node *map = NULL;
  am_str text = {0};
  char now[32], number[AM_NUMBER_TEXT], ranks[16];
  am_clock_utc(now);
  snprintf(ranks, sizeof ranks, "%d", am_comm_size(env->group));
  AM_GO(done, am_node_new_map("", &map));
  AM_GO(done, put(map, "stage", st->id, true));
  AM_GO(done, put(map, "program", "augmint " AM_VERSION, true));
  AM_GO(done, put(map, "commit", am_commit, true));
  AM_GO(done, put(map, "compiler", __VERSION__, true));
  AM_GO(done, put(map, "host", am_comm_host(r->world), true));
  AM_GO(done, put(map, "device", am_device_describe(r->device), true));
  AM_GO(done, put(map, "ranks", ranks, false));
  AM_GO(done, put(map, "finished", now, true));
  AM_GO(done, put(map, "seconds", am_number_text(seconds, number), false));
  AM_GO(done, am_node_canonical(map, &text));
  AM_GO(done, am_str_take(&text, out));
done:
  am_node_free(map);
  am_str_fini(&text);
  return err;
}

// The message of an error says which stage it comes from, once.
static void name_stage(const am_stage *st) {
  if (!strstr(am_err_last()->message, st->id)) am_err_prefix("%s", st->id);
}

// Remembers why a stage failed; the run goes on.
static am_err record_failure(const am_runner *r, am_stage *st, bool leader) {
  name_stage(st);
  am_err_record why = *am_err_last();
  st->state = AM_STATE_FAILED;
  if (!leader) return AM_OK;
  AM_WARN("failed: %s", why.message);
  return am_store_set_failure(r->store, st->address, why.message);
}

// The group's first rank takes the artefact; *skip when it was finished meanwhile by somebody else.
static am_err begin(const am_runner *r, const am_stage_env *env, const am_stage *st, am_artefact **a,
                    bool *skip) {
  bool leader = am_comm_rank(env->group) == 0;
  am_err err = leader ? am_artefact_begin(r->store, st->address, a) : AM_OK;
  if (err) am_err_prefix("%s", st->id);
  unsigned finished = !err && leader && am_store_has(r->store, st->address) ? 1u : 0, any = 0;
  AM_TRY(am_agree_flags(env->group, err, finished, &any));
  *skip = any != 0;
  return AM_OK;
}

// Collective(env->group).
static am_err run_stage(const am_runner *r, const am_stage_env *env, am_stage *st) {
  am_err err = AM_OK;
  am_artefact *a = NULL;
  char *checkpoint = NULL, *why = NULL;
  bool skip = false, leader = am_comm_rank(env->group) == 0;
  double start = am_clock_sec();
  AM_GO(done, begin(r, env, st, &a, &skip));
  if (skip) {
    st->state = AM_STATE_DONE;
    goto done;
  }
  AM_GO(done, am_store_checkpoint_path(r->store, st->address, &checkpoint));
  am_fault_point();
  err = am_stage_run(env, st, leader ? am_artefact_dir(a) : NULL, checkpoint);
  err = am_agree(env->group, err);
  if (is_recorded(err)) {
    err = record_failure(r, st, leader);
    goto done;
  }
  if (err && err != AM_ERR_STOPPED && err != AM_ERR_PEER) name_stage(st);
  AM_GO(done, err);
  if (leader) {
    double seconds = am_clock_sec() - start;
    err = provenance(r, env, st, seconds, &why);
    if (!err) {
      am_artefact *mine = a;
      a = NULL;  // the commit frees it
      err = am_artefact_commit(mine, st->text, why);
    }
    if (!err) AM_DEBUG("%s: %.1f s", st->id, seconds);
  }
  AM_GO(done, am_agree(env->group, err));
  st->state = AM_STATE_DONE;
done:
  am_artefact_abandon(a);
  free(checkpoint);
  free(why);
  return err;
}

// ---- a level ----

static const am_plan *sorted_plan;  // for by_cost; one thread, one sort at a time

static int by_cost(const void *a, const void *b) {
  int64_t i = *(const int64_t *)a, j = *(const int64_t *)b;
  double x = sorted_plan->stage[i].cost, y = sorted_plan->stage[j].cost;
  if (x != y) return x > y ? -1 : 1;
  return i < j ? -1 : i > j;
}

// Deals the stages to groups, longest first, each to the least loaded group: owner[n] of todo[n].
static am_err deal(const am_plan *p, int64_t *todo, int64_t count, int groups, int *owner) {
  double *load = NULL;
  AM_TRY(AM_NEW_ARRAY(&load, groups));
  sorted_plan = p;
  qsort(todo, (size_t)count, sizeof *todo, by_cost);
  for (int64_t n = 0; n < count; n++) {
    int least = 0;
    for (int g = 1; g < groups; g++)
      if (load[g] < load[least]) least = g;
    owner[n] = least;
    load[least] += p->stage[todo[n]].cost;
  }
  free(load);
  return AM_OK;
}

typedef struct {
  am_progress progress;
  double start;
  int64_t done, total;  // of this rank
  double cost_done, cost_total;
} level_clock;

static void say_progress(level_clock *clock, const am_stage *st) {
  clock->done++;
  clock->cost_done += st->cost;
  if (clock->done == clock->total || !am_progress_due(&clock->progress)) return;
  char eta[32];
  double spent = am_clock_sec() - clock->start;
  am_clock_span(
      spent * (clock->cost_total - clock->cost_done) / (clock->cost_done > 0 ? clock->cost_done : 1), eta);
  AM_INFO("  %lld/%lld on this rank, eta %s: %s", (long long)clock->done, (long long)clock->total, eta,
          st->id);
}

// Runs the stages of one width on groups of that many ranks. Local errors that end the job come
// back at once, without meeting the other groups.
static am_err run_width(const am_runner *r, int64_t *todo, int64_t count, int width) {
  am_err err = AM_OK;
  am_comm *group = NULL;
  int *owner = NULL;
  int size = am_comm_size(r->world), groups = size / width, mine = am_comm_rank(r->world) / width;
  AM_GO(done, AM_NEW_ARRAY(&owner, count));
  AM_GO(done, deal(r->plan, todo, count, groups, owner));
  AM_GO(done, am_comm_split(r->world, mine < groups ? mine : -1, &group));
  if (!group) goto done;
  am_stage_env env = {
      .plan = r->plan, .store = r->store, .dirs = r->dirs, .device = r->device, .group = group};
  level_clock clock = {.start = am_clock_sec()};
  for (int64_t n = 0; n < count; n++) {
    if (owner[n] != mine) continue;
    clock.total++;
    clock.cost_total += r->plan->stage[todo[n]].cost;
  }
  for (int64_t n = 0; n < count; n++) {
    if (owner[n] != mine) continue;
    bool stop = false;
    AM_GO(done, am_signal_agreed(group, &stop));
    AM_CHECK_GO(done, !stop, AM_ERR_STOPPED, "stopped by a signal; run the same command again to go on");
    AM_GO(done, run_stage(r, &env, &r->plan->stage[todo[n]]));
    say_progress(&clock, &r->plan->stage[todo[n]]);
  }
done:
  if (group && err != AM_ERR_PEER) am_comm_free(group);
  free(owner);
  return err;
}

// What each rank knows about the stages it ran, put together: done or failed anywhere counts.
static am_err share_states(const am_runner *r) {
  am_err err = AM_OK;
  am_plan *p = r->plan;
  int size = am_comm_size(r->world);
  uint8_t *mine = NULL, *all = NULL;
  AM_GO(done, AM_NEW_ARRAY(&mine, p->count));
  AM_GO(done, AM_NEW_ARRAY(&all, p->count * size));
  for (int64_t i = 0; i < p->count; i++) mine[i] = (uint8_t)p->stage[i].state;
  AM_GO(done, am_comm_all_gather(r->world, mine, (size_t)p->count, all));
  for (int64_t i = 0; i < p->count; i++)
    for (int rank = 0; rank < size; rank++)
      p->stage[i].state = (am_stage_state)am_max_i64((int64_t)p->stage[i].state, all[rank * p->count + i]);
done:
  free(mine);
  free(all);
  return err;
}

// The stages of a level that are missing and can be done; the others with a failed input fail, too.
static int64_t collect_todo(const am_runner *r, int level, int64_t *todo, am_run_summary *summary) {
  am_plan *p = r->plan;
  int64_t count = 0;
  for (int64_t i = 0; i < p->count; i++) {
    am_stage *st = &p->stage[i];
    if (st->level != level || st->state != AM_STATE_MISSING) continue;
    bool ready = true;
    for (int64_t k = 0; k < st->input_count && ready; k++)
      ready = p->stage[st->input[k]].state == AM_STATE_DONE;
    if (ready)
      todo[count++] = i;
    else
      summary->blocked++;
  }
  return count;
}

static int width_of(const am_runner *r, const am_stage *st) {
  return (int)am_min_i64(st->slices, am_comm_size(r->world));
}

// "prepare 2, fit 4"
static am_err describe_todo(const am_plan *p, const int64_t *todo, int64_t count, am_str *out) {
  for (int kind = 0; kind < AM_STAGE_KINDS; kind++) {
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++) n += p->stage[todo[i]].kind == (am_stage_kind)kind;
    if (n)
      AM_TRY(am_str_printf(out, "%s%s %lld", out->length ? ", " : "", am_stage_name((am_stage_kind)kind),
                           (long long)n));
  }
  return AM_OK;
}

static am_err run_level(const am_runner *r, int level, am_run_summary *summary) {
  am_err err = AM_OK;
  am_plan *p = r->plan;
  int64_t *todo = NULL, *same = NULL;
  am_str words = {0};
  AM_GO(done, AM_NEW_ARRAY(&todo, p->count));
  AM_GO(done, AM_NEW_ARRAY(&same, p->count));
  int64_t count = collect_todo(r, level, todo, summary);
  if (count == 0) goto done;
  AM_GO(done, describe_todo(p, todo, count, &words));
  double start = am_clock_sec();
  AM_INFO("%s ...", am_str_get(&words));
  for (int width = am_comm_size(r->world); width >= 1; width--) {
    int64_t n = 0;
    for (int64_t i = 0; i < count; i++)
      if (width_of(r, &p->stage[todo[i]]) == width) same[n++] = todo[i];
    if (n == 0) continue;
    err = run_width(r, same, n, width);
    // A stop is met by all; any other error leaves at once, and am_comm_settle tells the others.
    if (err && err != AM_ERR_STOPPED) goto done;
    AM_GO(done, am_agree(r->world, err));
  }
  AM_GO(done, share_states(r));
  char span[32];
  am_clock_span(am_clock_sec() - start, span);
  AM_INFO("%s: done in %s", am_str_get(&words), span);
  for (int64_t i = 0; i < count; i++) {
    if (p->stage[todo[i]].state == AM_STATE_DONE) summary->made++;
    if (p->stage[todo[i]].state == AM_STATE_FAILED) summary->failed++;
  }
done:
  am_str_fini(&words);
  free(todo);
  free(same);
  return err;
}

// Rank 0 looks at the store, so that all ranks plan from one picture; what failed is tried again.
static am_err agree_on_states(const am_runner *r) {
  am_err err = AM_OK;
  am_plan *p = r->plan;
  uint8_t *state = NULL;
  AM_TRY(AM_NEW_ARRAY(&state, p->count));
  err = am_comm_rank(r->world) == 0 ? am_plan_look(p, r->store) : AM_OK;
  for (int64_t i = 0; i < p->count && !err; i++) state[i] = p->stage[i].state == AM_STATE_DONE;
  AM_GO(done, am_agree(r->world, err));
  AM_GO(done, am_comm_bcast(r->world, state, (size_t)p->count, 0));
  for (int64_t i = 0; i < p->count; i++) p->stage[i].state = state[i] ? AM_STATE_DONE : AM_STATE_MISSING;
done:
  free(state);
  return err;
}

am_err am_run_local(const am_runner *r, am_run_summary *summary) {
  double start = am_clock_sec();
  *summary = (am_run_summary){0};
  AM_TRY(agree_on_states(r));
  for (int level = 0; level < AM_STAGE_LEVELS; level++) AM_TRY(run_level(r, level, summary));
  summary->seconds = am_clock_sec() - start;
  return AM_OK;
}
