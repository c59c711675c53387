// One stage of a run: the lease, the work, the record of what became of it.
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/num.h"
#include "base/version.h"
#include "sweep/runner_internal.h"

// These say that this configuration cannot be computed; anything else concerns the whole job.
static bool is_recorded(am_err code) {
  return code == AM_ERR_NUMERIC || code == AM_ERR_ARG || code == AM_ERR_UNSUPPORTED;
}

// These say something about the stage, though they end the job: tried too often, it is parked.
static bool is_counted(am_err code) {
  return is_recorded(code) || code == AM_ERR_DATA || code == AM_ERR_DEVICE || code == AM_ERR_INTERNAL;
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

// Remembers why a stage failed.
static am_err record_failure(const am_runner *r, am_stage *st) {
  am_err_record why = *am_err_last();
  char *text = NULL;
  AM_TRY(am_store_add_failure(r->store, st->address, why.message));
  AM_TRY(am_store_failure(r->store, st->address, &st->failures, &text));
  free(text);
  AM_WARN("failed%s: %s", st->failures < AM_PARKED ? "" : " again, and parked", why.message);
  if (st->failures >= AM_PARKED)
    AM_WARN("%s failed %lld times in the same way and is not tried again until `augmint retry`", st->id,
            (long long)st->failures);
  am_err_restore(&why);
  return AM_OK;
}

// What the first rank of a group found when it tried to take the artefact.
enum { FINISHED = 1u, HELD = 2u, PARKED = 4u };

// *found = 0: the artefact is ours, and path is where every rank finds its checkpoint.
static am_err begin(const am_runner *r, const am_stage_env *env, const am_stage *st, am_artefact **a,
                    char path[PATH_MAX], unsigned *found) {
  am_err err = AM_OK;
  am_lease_holder holder;
  char who[AM_LEASE_TEXT];
  unsigned mine = 0;
  if (am_comm_rank(env->group) == 0) {
    err = am_artefact_begin(r->store, st->address, am_comm_size(env->group), a, &holder);
    if (err) am_err_prefix("%s", st->id);
    if (!err && am_store_has(r->store, st->address)) mine = FINISHED;
    if (!err && !*a && !mine) {
      mine = HELD;
      AM_DEBUG("%s: left to %s", st->id, am_lease_describe(&holder, who));
    }
    if (*a) snprintf(path, PATH_MAX, "%s", am_artefact_checkpoint(*a));
  }
  AM_TRY(am_agree_flags(env->group, err, mine, found));
  return *found ? AM_OK : am_comm_bcast(env->group, path, PATH_MAX, 0);
}

static void note_cost(const am_runner *r, const am_stage *st, double rank_sec, int64_t bytes) {
  char device[AM_DEVICE_TYPE];
  double units = am_stage_units(r->plan, st), size_units = am_stage_size_units(r->plan, st);
  if (!r->rates || units <= 0) return;
  am_rates_note(r->rates, am_device_type(r->device, device), st->rate, rank_sec / units);
  am_rates_note(r->rates, AM_RATES_BYTES, st->rate, (double)bytes / size_units);
}

static am_err publish(const am_runner *r, const am_stage_env *env, const am_stage *st, am_artefact *a_take,
                      double seconds, bool *published) {
  am_err err = AM_OK;
  char *why = NULL;
  int64_t bytes = 0;
  int ranks = am_comm_size(env->group);
  seconds += am_artefact_spent(a_take) / ranks;
  AM_GO(done, am_artefact_bytes(a_take, &bytes));
  AM_GO(done, provenance(r, env, st, seconds, &why));
  am_artefact *a = a_take;
  a_take = NULL;  // the commit frees it
  AM_GO(done, am_artefact_commit(a, st->text, why, published));
  if (!*published) AM_DEBUG("made %s in vain: somebody took it over meanwhile", st->id);
  if (!*published) goto done;
  AM_DEBUG("made %s in %.1f s", st->id, seconds);
  note_cost(r, st, seconds * ranks, bytes);
done:
  am_artefact_abandon(a_take);
  free(why);
  return err;
}

// After an error of the group. The first rank knows whether somebody took over while this process was
// stopped, which is then the reason, and whether the failure is one too many.
static am_err fail(const am_runner *r, const am_stage_env *env, am_stage *st, const am_artefact *a,
                   am_err code) {
  am_err err = AM_OK;
  unsigned mine = 0, found = 0;
  am_err_record why = *am_err_last();
  if (a) {
    if (!am_artefact_held(a))
      mine = HELD;
    else if (is_counted(code))
      err = record_failure(r, st);
    if (!mine && st->failures >= AM_PARKED) mine = PARKED;
  }
  AM_TRY(am_agree_flags(env->group, err, mine, &found));
  st->state = found & HELD ? AM_STATE_RUNNING : found & PARKED ? AM_STATE_PARKED : AM_STATE_FAILED;
  if (found & HELD || is_recorded(code)) return AM_OK;
  am_err_restore(&why);
  return code;
}

am_err am_runner_make(const am_runner *r, const am_stage_env *env, am_stage *st) {
  am_err err = AM_OK;
  am_artefact *a = NULL;
  char checkpoint[PATH_MAX] = "";
  unsigned found = 0, lost = 0;
  double start = am_clock_sec();
  AM_GO(done, begin(r, env, st, &a, checkpoint, &found));
  if (found) {
    st->state = found & FINISHED ? AM_STATE_DONE : AM_STATE_RUNNING;
    goto done;
  }
  if (a) AM_DEBUG("begins %s on %d ranks", st->id, am_comm_size(env->group));
  am_fault_point();
  err = am_stage_run(env, st, a ? am_artefact_dir(a) : NULL, checkpoint);
  err = am_agree(env->group, err);
  if (err && err != AM_ERR_STOPPED && err != AM_ERR_PEER) {
    name_stage(st);
    AM_GO(done, fail(r, env, st, a, err));
    goto done;
  }
  AM_GO(done, err);
  if (a) {
    bool published = false;
    err = publish(r, env, st, a, am_clock_sec() - start, &published);
    a = NULL;
    lost = !err && !published && !am_store_has(r->store, st->address) ? HELD : 0;
  }
  AM_GO(done, am_agree_flags(env->group, err, lost, &found));
  st->state = found ? AM_STATE_RUNNING : AM_STATE_DONE;
done:
  am_artefact_abandon(a);
  return err;
}
