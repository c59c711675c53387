// augmint retry: forgets failures, so that those stages are tried again.
#include "app/next.h"
#include "app/submitting.h"

static am_err forgive(const am_app *app, am_session *s, int64_t *count) {
  for (int64_t i = 0; i < s->plan->count; i++) {
    am_stage *st = &s->plan->stage[i];
    if (st->failures == 0 || st->state == AM_STATE_DONE) continue;
    AM_TRY(am_store_forgive(s->store, st->address));
    fprintf(app->out, "forgiven: %s\n", st->id);
    ++*count;
  }
  return AM_OK;
}

static am_err forgive_all(const am_app *app, const am_experiment_options *options, int64_t *count) {
  am_sessions all = {0};
  AM_TRY(am_sessions_open(app, options, true, &all));
  am_err err = AM_OK;
  for (int64_t i = 0; i < all.count && !err; i++) err = forgive(app, &all.item[i], count);
  am_sessions_close(&all);
  return err;
}

static am_err run(am_app *app) {
  am_experiment_options experiment = {.noted = true};
  const char *profile = NULL;
  bool go = false;
  int64_t count = 0;
  const am_option options[] = {
      AM_EXPERIMENT_OPTIONS(&experiment),
      {"--profile", AM_OPTION_TEXT, &profile, "P", "submit them at once, as augmint submit does"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_TRY(forgive_all(app, &experiment, &count));
  if (count == 0) {
    fprintf(app->out, "no stage has failed\n");
    return am_next_say(app, &experiment, "next: ", "status", NULL, "   (what is missing, and what to do)");
  }
  if (profile) return am_submit_files(app, &experiment, profile, false);
  return am_next_say(app, &experiment, "next: ", "status", NULL, "   (how they are tried again)");
}

const am_command am_cmd_retry = {
    .name = "retry",
    .usage = "EXPERIMENT.yaml... [--profile P] [--tiny] [--set KEY=VALUE]...",
    .doc = "try failed and parked stages again",
    .help =
        "A stage that fails the same way three times is parked and left alone. This forgets the failures; "
        "what is\n"
        "done stays done. `augmint status` shows them with their messages: mend the reason first.\n",
    .run = run};
