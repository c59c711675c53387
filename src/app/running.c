#include "app/running.h"

#include <stdlib.h>
#include <string.h>

#include "app/missing.h"
#include "app/next.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "base/version.h"
#include "report/collect.h"

static am_err say_header(const am_app *app, const am_session *s) {
  const am_plan *p = s->plan;
  int64_t kind[AM_STAGE_KINDS] = {0}, done = 0;
  am_str text = {0};
  for (int64_t i = 0; i < p->count; i++) {
    kind[p->stage[i].kind]++;
    done += p->stage[i].state == AM_STATE_DONE;
  }
  am_err err = AM_OK;
  for (int k = 0; k < AM_STAGE_KINDS && !err; k++)
    if (kind[k])
      err = am_str_printf(&text, "%s%s %lld", text.length ? ", " : "", am_stage_name(k), (long long)kind[k]);
  int ranks = am_comm_size(app->world);
  AM_INFO("augmint %s: %s%s on %d %s", AM_VERSION, s->e->cfg.name, s->e->tiny ? " (tiny)" : "", ranks,
          ranks == 1 ? "rank" : "ranks");
  AM_INFO("plan: %lld stages (%s), %lld done", (long long)p->count, am_str_get(&text), (long long)done);
  am_str_fini(&text);
  return err;
}

static bool all_done(const am_plan *p) {
  for (int64_t i = 0; i < p->count; i++)
    if (p->stage[i].state != AM_STATE_DONE) return false;
  return true;
}

// The table of results.h5 when this program made it from exactly this plan; *text stays empty otherwise.
static am_err read_table(const am_app *app, const am_session *s, am_str *text) {
  am_err err = AM_OK;
  am_results *r = NULL;
  char *path = NULL;
  AM_GO(done, am_str_format(&path, "%s/%s/results.h5", app->results_dir, s->e->folder));
  if (!am_path_exists(path)) goto done;
  if (am_results_read(path, &r) != AM_OK) {
    AM_WARN("%s; it is written again", am_err_last()->message);
    am_err_clear();
    goto done;
  }
  const char *made_by = am_results_attr(r, "provenance");
  if (strstr(made_by, s->plan->address) && strstr(made_by, am_commit)) AM_GO(done, am_report_text(r, text));
done:
  am_results_free(r);
  free(path);
  return err;
}

static bool fell_short(const am_run_summary *s) { return s->failed + s->parked + s->blocked > 0; }

static am_err say_end(const am_app *app, const am_experiment_options *options, const am_session *s,
                      const am_run_summary *summary, const char *table) {
  char span[32];
  am_clock_span(summary->seconds, span);
  fprintf(app->out, "%s\n", table);
  fprintf(app->out, "results: %s/%s/ (table.txt .md .csv .tex, spent.csv, report.html, results.h5)\n",
          app->results_dir, s->e->folder);
  if (summary->made == 0 && !fell_short(summary)) {
    fprintf(app->out, "nothing to do: all %lld stages were done already\n", (long long)s->plan->count);
    return AM_OK;
  }
  fprintf(app->out, "done: %lld stages in %s\n", (long long)summary->made, span);
  if (fell_short(summary))
    AM_TRY(am_next_say(app, options, "next: ", "status", NULL, "   (why, and what to do)"));
  AM_CHECK(
      !fell_short(summary), AM_ERR_NUMERIC,
      "%lld stages failed, %lld are parked and %lld could not be done without them; the table shows which",
      (long long)summary->failed, (long long)summary->parked, (long long)summary->blocked);
  return AM_OK;
}

static am_err finish(const am_app *app, const am_experiment_options *options, am_session *s,
                     const am_run_summary *summary) {
  am_err err = AM_OK;
  am_str table = {0};
  bool untouched = summary->made == 0 && !fell_short(summary);
  if (untouched) AM_GO(done, read_table(app, s, &table));
  if (table.length == 0) {
    AM_GO(done, am_plan_look(s->plan, s->store));
    AM_GO(done, am_collect_and_write(s->plan, s->store, app->results_dir, &table));
  }
  AM_GO(done, say_end(app, options, s, summary, am_str_get(&table)));
done:
  am_str_fini(&table);
  return err;
}

am_err am_run_file(const am_app *app, const am_experiment_options *options, double lease_sec) {
  am_err err = AM_OK;
  am_session s = {0};
  am_run_summary summary = {0};
  AM_GO(done, am_session_open(app, options, true, app->world, &s));
  am_store_set_expiry(s.store, lease_sec);
  AM_GO(done, say_header(app, &s));
  // Rank 0 decides whether there is anything to do; the others may see a store that has just changed.
  int64_t work = am_comm_rank(app->world) == 0 && !all_done(s.plan);
  AM_GO(done, am_comm_max_i64(app->world, &work));
  if (work) AM_GO(done, am_missing_do(app, &s, &(am_missing){0}, &summary));
  if (am_comm_rank(app->world) == 0) AM_GO(done, finish(app, options, &s, &summary));
done:
  am_session_close(&s);
  return err;
}
