// augmint status: done, running, failed and missing, from the store alone.
#include <stdlib.h>
#include <string.h>

#include "app/session.h"

enum { SHOWN_FAILURES = 20 };

static void print_counts(FILE *out, const am_session *s) {
  fprintf(out, "%-10s %8s %8s %8s %8s\n", "stage", "done", "running", "failed", "missing");
  for (int kind = 0; kind < AM_STAGE_KINDS; kind++) {
    int64_t done = 0, running = 0, failed = 0, missing = 0;
    for (int64_t i = 0; i < s->plan->count; i++) {
      const am_stage *st = &s->plan->stage[i];
      if ((int)st->kind != kind) continue;
      if (st->state == AM_STATE_DONE)
        done++;
      else if (st->state == AM_STATE_RUNNING)
        running++;
      else if (st->state == AM_STATE_FAILED || st->state == AM_STATE_PARKED)
        failed++;
      else
        missing++;
    }
    if (done + running + failed + missing == 0) continue;
    fprintf(out, "%-10s %8lld %8lld %8lld %8lld\n", am_stage_name((am_stage_kind)kind), (long long)done,
            (long long)running, (long long)failed, (long long)missing);
  }
}

// The last attempts that failed, each with its message.
static void print_failures(FILE *out, const am_plan *p) {
  int shown = 0;
  for (int64_t i = 0; i < p->count; i++) {
    if (!p->stage[i].error) continue;
    if (shown++ == SHOWN_FAILURES) {
      fprintf(out, "... and more\n");
      return;
    }
    fprintf(out, "failed: %s\n", p->stage[i].error);
  }
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options options = {0};
  am_session s = {0};
  const am_option table[] = {AM_EXPERIMENT_OPTIONS(&options)};
  bool go = false;
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 1, 1, &go));
  if (!go) return AM_OK;
  AM_GO(done, am_session_open(app, &options, false, NULL, &s));
  fprintf(app->out, "%s%s\n", s.e->cfg.name, s.e->tiny ? " (tiny)" : "");
  print_counts(app->out, &s);
  print_failures(app->out, s.plan);
done:
  am_session_close(&s);
  return err;
}

const am_command am_cmd_status = {
    .name = "status",
    .usage = "EXPERIMENT.yaml [--tiny]",
    .doc = "which stages are done, running, failed, missing",
    .run = run,
};
