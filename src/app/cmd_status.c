// augmint status: what is done and who is at the rest, from the store alone.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/next.h"
#include "app/overview.h"
#include "base/clock.h"
#include "sweep/references.h"

enum { SHOWN = 20 };

// "  1h04m so far, about 20m left" or what its silence means.
static void print_progress(FILE *out, const am_stage *st) {
  const am_lease_holder *h = st->holder;
  char so_far[32], left[32], silent[32];
  double elapsed = difftime(time(NULL), (time_t)h->since);
  am_clock_span(elapsed, so_far);
  am_clock_span(h->silent_sec, silent);
  am_clock_span(st->expected_sec / (h->ranks > 0 ? h->ranks : 1) - elapsed, left);
  if (h->silent_sec > h->expiry_sec)
    fprintf(out, "silent for %s: lost, it seems; the next augmint run takes it over\n", silent);
  else if (st->expected_sec > 0)
    fprintf(out, "%s so far, about %s left, on %d %s\n", so_far, left, h->ranks,
            h->ranks == 1 ? "rank" : "ranks");
  else
    fprintf(out, "%s so far, on %d %s\n", so_far, h->ranks, h->ranks == 1 ? "rank" : "ranks");
}

static void print_running(const am_app *app, const am_outlook *o) {
  int64_t shown = 0;
  char who[AM_LEASE_TEXT];
  for (int64_t i = 0; i < o->count; i++) {
    const am_stage *st = o->stage[i].stage;
    if (st->state != AM_STATE_RUNNING) continue;
    if (shown++ == 0) fprintf(app->out, "\nrunning:\n");
    if (shown > SHOWN) continue;
    fprintf(app->out, "  %s: %s\n    ", st->id, am_lease_describe(st->holder, who));
    print_progress(app->out, st);
  }
  if (shown > SHOWN) fprintf(app->out, "  ... and %lld more\n", (long long)(shown - SHOWN));
}

// The stages of one state, each with the message of its last failure.
static void print_failures(const am_app *app, const am_outlook *o, am_stage_state state, const char *title) {
  int64_t shown = 0;
  for (int64_t i = 0; i < o->count; i++) {
    const am_stage *st = o->stage[i].stage;
    if (st->state != state) continue;
    if (shown++ == 0) fprintf(app->out, "\n%s\n", title);
    if (shown > SHOWN) continue;
    fprintf(app->out, "  %s\n", st->error);
  }
  if (shown > SHOWN) fprintf(app->out, "  ... and %lld more\n", (long long)(shown - SHOWN));
}

static int64_t ranks_at_work(const am_outlook *o) {
  int64_t ranks = 0;
  for (int64_t i = 0; i < o->count; i++)
    if (o->stage[i].stage->state == AM_STATE_RUNNING) ranks += o->stage[i].stage->holder->ranks;
  return ranks;
}

static void print_eta(const am_app *app, const am_outlook *o) {
  int64_t ranks = ranks_at_work(o);
  char span[32];
  if (ranks == 0 || o->unknown) return;
  double even = o->left_sec / (double)ranks;
  am_clock_span(even > o->chain_sec ? even : o->chain_sec, span);
  fprintf(app->out, "with the %lld ranks at work now: about %s more\n", (long long)ranks, span);
}

// ---- everything that was run into RESULTS ----

static am_err print_referrer(const am_app *app, const am_references *r, const am_referrer *by,
                             am_store_view *view) {
  int64_t done = 0, failed = 0, leased = 0;
  for (int64_t i = 0; i < by->stages; i++) {
    am_store_sight sight;
    AM_TRY(am_store_view_find(view, r->noted[by->first + i], &sight));
    done += sight.done;
    failed += !sight.done && sight.failed;
    leased += !sight.done && sight.leased;
  }
  fprintf(app->out, "%-32s %7lld %7lld %7lld %7lld\n", by->name, (long long)by->stages, (long long)done,
          (long long)leased, (long long)failed);
  return AM_OK;
}

static am_err print_all(const am_app *app, const am_experiment_options *options) {
  am_err err = AM_OK;
  am_references r = {0};
  am_store *store = NULL;
  am_store_view view = {0};
  AM_GO(done, am_store_open(app->results_dir, false, &store));
  am_store_view_init(&view, store);
  AM_GO(done, am_references_read(app->results_dir, NULL, 0, &r));
  if (r.by_count)
    fprintf(app->out, "%-32s %7s %7s %7s %7s\n", app->results_dir, "stages", "done", "held", "failed");
  for (int64_t i = 0; i < r.by_count; i++)
    if (!r.by[i].submission) AM_GO(done, print_referrer(app, &r, &r.by[i], &view));
  if (!r.by_count) fprintf(app->out, "nothing was run into %s yet\n", app->results_dir);
  fprintf(app->out, "\n");
  AM_GO(done, am_next_say(app, options, "next: ", r.by_count ? "status" : "plan", "FILE",
                          r.by_count ? "   (who is at an experiment, and what to do)"
                                     : "   (what an experiment would do)"));
done:
  am_references_fini(&r);
  am_store_view_fini(&view);
  am_store_close(store);
  return err;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options options = {0};
  const char *on = NULL;
  am_sessions all = {0};
  am_overview v = {0};
  const am_option table[] = {AM_EXPERIMENT_OPTIONS(&options),
                             {"--on", AM_OPTION_TEXT, &on, "DEVICE",
                              "judge by what was measured on this kind of device (part of its name)"}};
  bool go = false;
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 0, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  if (app->argc == 0) return print_all(app, &options);
  AM_GO(done, am_sessions_open(app, &options, false, &all));
  AM_GO(done, am_overview_new(app, &all, &options, on, NULL, &v));
  for (int64_t i = 0; i < all.count; i++)
    fprintf(app->out, "%s%s%s", i ? ", " : "", all.item[i].e->cfg.name, all.item[i].e->tiny ? " (tiny)" : "");
  fprintf(app->out, "\n");
  am_overview_print_kinds(app, &v);
  print_running(app, &v.outlook);
  AM_GO(done, am_overview_print_jobs(app, &v));
  print_failures(app, &v.outlook, AM_STATE_FAILED, "failed, tried again by the next run:");
  print_failures(app, &v.outlook, AM_STATE_PARKED,
                 "parked, failed three times in this way and not tried again until augmint retry:");
  am_overview_print_time(app, &v);
  print_eta(app, &v.outlook);
  AM_GO(done, am_overview_print_next(app, &v));
done:
  am_overview_fini(&v);
  am_sessions_close(&all);
  return err;
}

const am_command am_cmd_status = {
    .name = "status",
    .usage = "[EXPERIMENT.yaml...] [--tiny]",
    .doc = "what is done, who is at the rest since when, what failed and why",
    .help =
        "Reads the store, and asks squeue about what was submitted: no job is disturbed, so it works while "
        "they\n"
        "run, on any host that sees RESULTS. Its last lines say what to do next. Without a file: what was\n"
        "run or submitted into RESULTS, and how much of it is done.\n",
    .run = run,
};
