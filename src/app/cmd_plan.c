// augmint plan: the stages of experiments, what is done, what the rest will cost.
#include <stdlib.h>

#include "app/calibrate.h"
#include "app/overview.h"
#include "base/clock.h"
#include "base/path.h"

static void print_experiment(FILE *out, const am_session *s) {
  const am_plan *p = s->plan;
  fprintf(out, "%s%s: %s\n", s->e->cfg.name, s->e->tiny ? " (tiny)" : "", s->e->cfg.question);
  fprintf(out, "  %lld arms x %lld models x %lld draws x %lld seeds = %lld cells\n",
          (long long)s->e->arm_count, (long long)s->e->model_count, (long long)s->e->draw_count,
          (long long)s->e->cfg.seeds, (long long)p->cell_count);
  for (int64_t d = 0; d < p->e->draw_count; d++) {
    fprintf(out, "  data %s:", p->e->draw[d].name);
    for (int64_t k = 0; k < p->split_count; k++)
      fprintf(out, "%s %s %lld images", k ? "," : "", p->e->draw[d].split[k].name,
              (long long)am_plan_source(p, d, k)->images);
    fprintf(out, "\n");
  }
}

static double mebi(int64_t bytes) { return (double)bytes / (1 << 20); }

static am_err print_disk(const am_app *app, const am_outlook *o) {
  int64_t have = 0;
  fprintf(app->out, "disk: %.1f MiB for shards, %.1f MiB for networks and predictions%s",
          mebi(o->shard_bytes), mebi(o->other_bytes), o->bytes_unknown ? " as far as they are known" : "");
  if (am_path_is_dir(app->results_dir)) {
    AM_TRY(am_path_free_bytes(app->results_dir, &have));
    fprintf(app->out, "; %.1f GiB are free in %s", (double)have / (1 << 30), app->results_dir);
    if (have < o->shard_bytes + o->other_bytes)
      fprintf(app->out, "\nwarning: that is not enough: free some (augmint gc) or choose other --results");
  }
  fprintf(app->out, "\n");
  return AM_OK;
}

// Of what does not fit into a job, some goes on in the next one and some can not.
static void print_too_long(const am_app *app, const am_overview *v) {
  char longest[32], limit[32];
  am_clock_span(v->limit_sec, limit);
  for (int k = 0; k < AM_STAGE_KINDS; k++) {
    const am_outlook_kind *kind = &v->outlook.kind[k];
    bool resumes = k == AM_STAGE_FIT || k == AM_STAGE_TRAIN;
    if (!kind->too_long) continue;
    am_clock_span(kind->longest_sec, longest);
    fprintf(app->out,
            "warning: %lld %s stages are expected to take up to %s on one rank, longer than %s: %s\n",
            (long long)kind->too_long, am_stage_name((am_stage_kind)k), longest, limit,
            resumes ? "they save checkpoints and go on in the next job; more ranks help where slices > 1"
            : k == AM_STAGE_GENERATE
                ? "they cannot be interrupted: give the pool a smaller block, or the job more time"
                : "they cannot be interrupted: give the job more time");
  }
}

static void print_stages(const am_app *app, const am_outlook *o) {
  char span[32];
  fprintf(app->out, "\n");
  for (int64_t i = 0; i < o->count; i++) {
    const am_stage *st = o->stage[i].stage;
    am_clock_span(st->expected_sec, span);
    fprintf(app->out, "%.12s  %-7s  %6s  %s\n", st->address, am_state_name(st->state),
            st->expected_sec > 0 ? span : "?", st->id);
  }
}

static am_err show_config(const am_app *app, const am_sessions *all) {
  am_str text = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < all->count && !err; i++) err = am_node_print(all->item[i].e->tree, &text);
  if (!err) fprintf(app->out, "%s", am_str_get(&text));
  am_str_fini(&text);
  return err;
}

static am_err print_plan(const am_app *app, const am_sessions *all, const am_overview *v, bool stages) {
  for (int64_t i = 0; i < all->count; i++) print_experiment(app->out, &all->item[i]);
  if (v->outlook.shared)
    fprintf(app->out, "%lld stages are shared between these files and done once\n",
            (long long)v->outlook.shared);
  am_overview_print_kinds(app, v);
  am_overview_print_time(app, v);
  print_too_long(app, v);
  AM_TRY(print_disk(app, &v->outlook));
  if (stages) print_stages(app, &v->outlook);
  return am_overview_print_next(app, v);
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options options = {0};
  const char *limit = NULL, *on = NULL;
  bool stages = false, show = false, calibrate = false, go = false;
  am_sessions all = {0};
  am_overview v = {0};
  const am_option table[] = {
      AM_EXPERIMENT_OPTIONS(&options),
      {"--stages", AM_OPTION_FLAG, &stages, NULL,
       "list every stage with its address, state and expected time"},
      {"--time-limit", AM_OPTION_TEXT, &limit, "T",
       "of a job (2:00:00, 2h): warns about stages that do not fit"},
      {"--on", AM_OPTION_TEXT, &on, "DEVICE",
       "judge by what was measured on this kind of device (part of its name)"},
      {"--calibrate", AM_OPTION_FLAG, &calibrate, NULL, "first run a few steps of each kind of stage here"},
      {"--show", AM_OPTION_FLAG, &show, NULL, "print the merged and expanded configuration instead"},
  };
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 1, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_GO(done, am_sessions_open(app, &options, calibrate, &all));
  if (show) {
    AM_GO(done, show_config(app, &all));
    goto done;
  }
  for (int64_t i = 0; i < all.count && calibrate; i++)
    AM_GO(done, am_calibrate(app, &all.item[i], all.item[0].rates));
  AM_GO(done, am_overview_new(app, &all, &options, on, limit, &v));
  AM_GO(done, print_plan(app, &all, &v, stages));
done:
  am_overview_fini(&v);
  am_sessions_close(&all);
  return err;
}

const am_command am_cmd_plan = {
    .name = "plan",
    .usage = "EXPERIMENT.yaml... [--stages] [--time-limit T] [--calibrate]",
    .doc = "what experiments are made of, what is done, what the rest costs",
    .help =
        "Several files are planned together: what they share is made, and counted, once. States: done; "
        "running "
        "(somebody\n"
        "holds it); missing (could start); waiting (for what it needs); failed (tried again by the next "
        "run); "
        "parked\n"
        "(failed three times in the same way: see augmint status). Device time is judged by stages that were "
        "done before,\n"
        "with any file, on the same kind of device: RESULTS/calibration.json.\n",
    .run = run,
};
