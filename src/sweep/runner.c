#include "sweep/runner.h"

#include <math.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "sweep/runner_internal.h"

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

// What ranks tell each other before a stage.
enum { STOP = 1u, LATE = 2u };

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

// Whether there is time for a stage, by the clock of the group's first rank.
static bool is_late(const am_runner *r, const am_stage *st, int width) {
  double now = am_clock_sec(), left = r->end_sec - now;
  if (r->end_sec <= 0 || left >= 0.5 * (r->end_sec - r->start_sec)) return false;
  return left <= 0 || st->expected_sec / width > left;
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
    am_stage *st = &r->plan->stage[todo[n]];
    unsigned mine_now = am_signal_seen() ? STOP : 0, any = 0;
    if (am_comm_rank(group) == 0 && is_late(r, st, width)) mine_now |= LATE;
    AM_GO(done, am_agree_flags(group, AM_OK, mine_now, &any));
    AM_CHECK_GO(done, !(any & STOP), AM_ERR_STOPPED,
                "stopped by a signal; run the same command again to go on");
    if (any & LATE)
      st->state = AM_STATE_LATE;
    else
      AM_GO(done, am_runner_make(r, &env, st));
    say_progress(&clock, st);
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

// The wanted stages of a level that can be done.
static int64_t collect_todo(const am_runner *r, int level, int64_t *todo) {
  int64_t count = 0;
  for (int64_t i = 0; i < r->plan->count; i++) {
    const am_stage *st = &r->plan->stage[i];
    if (st->level == level && am_runner_wants(r, i) && am_runner_ready(r->plan, st)) todo[count++] = i;
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

static void say_level(const am_plan *p, const int64_t *todo, int64_t count, const char *words, double seconds) {
  int64_t held = 0;
  char span[32];
  for (int64_t i = 0; i < count; i++) held += p->stage[todo[i]].state == AM_STATE_RUNNING;
  am_clock_span(seconds, span);
  if (held)
    AM_INFO("%s: %s, %lld of them left to other jobs", words, span, (long long)held);
  else
    AM_INFO("%s: done in %s", words, span);
}

static am_err run_level(const am_runner *r, int level, am_run_summary *summary) {
  am_err err = AM_OK;
  am_plan *p = r->plan;
  int64_t *todo = NULL, *same = NULL;
  am_str words = {0};
  AM_GO(done, AM_NEW_ARRAY(&todo, p->count));
  AM_GO(done, AM_NEW_ARRAY(&same, p->count));
  int64_t count = collect_todo(r, level, todo);
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
  say_level(p, todo, count, am_str_get(&words), am_clock_sec() - start);
  for (int64_t i = 0; i < count; i++) summary->made += p->stage[todo[i]].state == AM_STATE_DONE;
done:
  am_str_fini(&words);
  free(todo);
  free(same);
  return err;
}

// Rank 0 looks at the store, so that all ranks plan from one picture. What failed is tried again, unless
// it is parked; what is held may be free by the time it is asked for.
static am_err agree_on_states(const am_runner *r) {
  am_err err = AM_OK;
  am_plan *p = r->plan;
  uint8_t *state = NULL;
  AM_TRY(AM_NEW_ARRAY(&state, p->count));
  err = am_comm_rank(r->world) == 0 ? am_plan_look(p, r->store) : AM_OK;
  for (int64_t i = 0; i < p->count && !err; i++)
    state[i] = p->stage[i].state >= AM_STATE_PARKED ? (uint8_t)p->stage[i].state : AM_STATE_MISSING;
  AM_GO(done, am_agree(r->world, err));
  AM_GO(done, am_comm_bcast(r->world, state, (size_t)p->count, 0));
  for (int64_t i = 0; i < p->count; i++) p->stage[i].state = (am_stage_state)state[i];
done:
  free(state);
  return err;
}

static am_err sum_up(const am_runner *r, am_run_summary *summary) {
  int64_t late = 0;
  for (int64_t i = 0; i < r->plan->count; i++) {
    am_stage_state state = r->plan->stage[i].state;
    if (!am_runner_wants(r, i)) continue;
    summary->failed += state == AM_STATE_FAILED;
    summary->parked += state == AM_STATE_PARKED;
    summary->blocked += state < AM_STATE_LATE;
    late += state == AM_STATE_LATE;
  }
  AM_CHECK(late == 0, AM_ERR_STOPPED,
           "%lld %s not fit into the time that is left; run the same command again to go on", (long long)late,
           late == 1 ? "stage does" : "stages do");
  return AM_OK;
}

am_err am_run_local(const am_runner *r, am_run_summary *summary) {
  double start = am_clock_sec();
  bool more = true;
  *summary = (am_run_summary){0};
  AM_TRY(agree_on_states(r));
  while (more) {
    for (int level = 0; level < AM_STAGE_LEVELS; level++) AM_TRY(run_level(r, level, summary));
    AM_TRY(am_runner_wait(r, &more));
  }
  summary->seconds = am_clock_sec() - start;
  return sum_up(r, summary);
}
