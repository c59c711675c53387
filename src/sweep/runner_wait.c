// What other jobs do with the stages that this one needs.
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "sweep/runner_internal.h"

static const double LOOK_SEC_FIRST = 0.1, LOOK_SEC_MOST = 2, SAY_SEC = 30;

bool am_runner_ready(const am_plan *p, const am_stage *st) {
  if (st->state != AM_STATE_MISSING) return false;
  for (int64_t k = 0; k < st->input_count; k++)
    if (p->stage[st->input[k]].state != AM_STATE_DONE) return false;
  return true;
}

static bool is_over(am_stage_state state) { return state >= AM_STATE_LATE; }

// What one rank tells the others about a stage.
typedef struct {
  int32_t state;
  bool watched;
  am_lease_watch seen;
} news;

typedef struct {
  const am_runner *r;
  bool *needed;        // owned: wanted, or an input of something needed that is not done
  news *news;          // owned
  int64_t held_count;
  int64_t held;  // one of them, for the message
  am_lease_holder holder;
} lookout;

static am_err look_at(lookout *l, int64_t i) {
  am_err err = AM_OK;
  am_stage *st = &l->r->plan->stage[i];
  news *n = &l->news[i];
  am_lease_holder holder;
  bool held = false;
  int64_t failures = 0;
  char *why = NULL;
  if (am_store_has(l->r->store, st->address)) {
    n->state = AM_STATE_DONE;
    return AM_OK;
  }
  AM_GO(done, am_store_observe(l->r->store, st->address, &holder, &held, &n->seen));
  n->watched = true;
  n->state = held ? AM_STATE_RUNNING : AM_STATE_MISSING;
  if (held) {
    l->held_count++;
    l->held = i;
    l->holder = holder;
    goto done;
  }
  // Who let it go may have failed.
  AM_GO(done, am_store_failure(l->r->store, st->address, &failures, &why));
  if (failures > st->failures) n->state = failures < AM_PARKED ? AM_STATE_FAILED : AM_STATE_PARKED;
  // It may have been finished between the two looks.
  if (am_store_has(l->r->store, st->address)) n->state = AM_STATE_DONE;
done:
  free(why);
  return err;
}

// Rank 0, from the last level up to the first.
static am_err look_around(lookout *l) {
  const am_plan *p = l->r->plan;
  l->held_count = 0;
  for (int64_t i = 0; i < p->count; i++) l->needed[i] = am_runner_wants(l->r, i);
  for (int64_t i = p->count - 1; i >= 0; i--) {
    const am_stage *st = &p->stage[i];
    l->news[i] = (news){.state = (int32_t)st->state};
    if (!l->needed[i] || is_over(st->state)) continue;
    AM_TRY(look_at(l, i));
    if (is_over((am_stage_state)l->news[i].state)) continue;
    for (int64_t k = 0; k < st->input_count; k++) l->needed[st->input[k]] = true;
  }
  return AM_OK;
}

// Rank 0's picture becomes everybody's.
static am_err share_news(lookout *l) {
  am_plan *p = l->r->plan;
  AM_TRY(am_comm_bcast(l->r->world, l->news, (size_t)p->count * sizeof *l->news, 0));
  for (int64_t i = 0; i < p->count; i++) {
    p->stage[i].state = (am_stage_state)l->news[i].state;
    if (l->news[i].watched) AM_TRY(am_store_set_watch(l->r->store, p->stage[i].address, &l->news[i].seen));
  }
  return AM_OK;
}

static bool something_ready(const am_runner *r) {
  for (int64_t i = 0; i < r->plan->count; i++)
    if (am_runner_wants(r, i) && am_runner_ready(r->plan, &r->plan->stage[i])) return true;
  return false;
}

static void say(const lookout *l, double *said_sec) {
  char who[AM_LEASE_TEXT];
  if (l->held_count == 0 || am_clock_sec() < *said_sec) return;
  *said_sec = am_clock_sec() + SAY_SEC;
  AM_INFO("waiting for %lld %s of other jobs: %s is held by %s", (long long)l->held_count,
          l->held_count == 1 ? "stage" : "stages", l->r->plan->stage[l->held].id,
          am_lease_describe(&l->holder, who));
}

am_err am_runner_wait(const am_runner *r, bool *more) {
  am_err err = AM_OK;
  lookout l = {.r = r};
  double pause_sec = LOOK_SEC_FIRST, said_sec = 0;
  bool first = am_comm_rank(r->world) == 0;
  AM_GO(done, AM_NEW_ARRAY(&l.needed, r->plan->count));
  AM_GO(done, AM_NEW_ARRAY(&l.news, r->plan->count));
  for (;;) {
    unsigned stop = 0, mine = am_signal_seen() ? 1u : 0;
    if (first && r->end_sec > 0 && am_clock_sec() > r->end_sec) mine |= 2u;
    err = first ? look_around(&l) : AM_OK;
    AM_GO(done, am_agree_flags(r->world, err, mine, &stop));
    AM_CHECK_GO(done, !(stop & 1u), AM_ERR_STOPPED, "stopped by a signal; run the same command again to go on");
    AM_CHECK_GO(done, !stop, AM_ERR_STOPPED,
                "time is up while other jobs hold what this one needs; run the same command again to go on");
    AM_GO(done, share_news(&l));
    AM_GO(done, am_comm_bcast(r->world, &l.held_count, sizeof l.held_count, 0));
    *more = something_ready(r);
    if (*more || l.held_count == 0) break;
    if (first) say(&l, &said_sec);
    am_clock_sleep(pause_sec);
    if (pause_sec < LOOK_SEC_MOST) pause_sec *= 1.5;
  }
done:
  free(l.needed);
  free(l.news);
  return err;
}
