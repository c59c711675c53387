// augmint plan: the stages of an experiment, what is done, what the rest will cost.
#include <math.h>
#include <stdlib.h>

#include "app/session.h"
#include "base/clock.h"
#include "base/path.h"

typedef struct {
  int64_t total, state[AM_STATES];
  double cost_left, cost_timed, seconds_timed;
} kind_sum;

static void sum_up(const am_session *s, kind_sum sum[AM_STAGE_KINDS]) {
  for (int64_t i = 0; i < s->plan->count; i++) {
    const am_stage *st = &s->plan->stage[i];
    kind_sum *k = &sum[st->kind];
    k->total++;
    k->state[st->state]++;
    if (st->state != AM_STATE_DONE) {
      k->cost_left += st->cost;
      continue;
    }
    double seconds = am_store_number(s->store, st->address, "seconds");
    if (isnan(seconds)) continue;
    k->cost_timed += st->cost;
    k->seconds_timed += seconds;
  }
}

// What is left, judged by what stages of the same kind took; "?" before one is done.
static bool estimate(const kind_sum *k, double *seconds) {
  if (k->cost_left <= 0) {
    *seconds = 0;
    return true;
  }
  if (k->cost_timed <= 0) return false;
  *seconds = k->cost_left * k->seconds_timed / k->cost_timed;
  return true;
}

static void print_kinds(FILE *out, const kind_sum sum[AM_STAGE_KINDS]) {
  double total = 0;
  bool known = true;
  char span[32];
  fprintf(out, "\n%-10s %8s %8s %8s %8s  %s\n", "stage", "all", "done", "failed", "missing",
          "device time left");
  for (int k = 0; k < AM_STAGE_KINDS; k++) {
    double seconds = 0;
    if (!sum[k].total) continue;
    bool mine = estimate(&sum[k], &seconds);
    known = known && mine;
    total += seconds;
    am_clock_span(seconds, span);
    fprintf(out, "%-10s %8lld %8lld %8lld %8lld  %s\n", am_stage_name((am_stage_kind)k),
            (long long)sum[k].total, (long long)sum[k].state[AM_STATE_DONE],
            (long long)(sum[k].state[AM_STATE_FAILED] + sum[k].state[AM_STATE_PARKED]),
            (long long)(sum[k].total - sum[k].state[AM_STATE_DONE] - sum[k].state[AM_STATE_FAILED] -
                        sum[k].state[AM_STATE_PARKED]),
            mine ? span : "? (none is done yet)");
  }
  am_clock_span(total, span);
  fprintf(out, "\ndevice time left: %s%s\n", known ? "" : "more than ", span);
}

static am_err print_disk(const am_app *app, const am_plan *p) {
  int64_t have = 0;
  fprintf(app->out, "disk for missing shards: %.1f MiB", (double)am_plan_bytes(p) / (1 << 20));
  if (am_path_is_dir(app->results_dir)) {
    AM_TRY(am_path_free_bytes(app->results_dir, &have));
    fprintf(app->out, " (%.1f GiB are free)", (double)have / (1 << 30));
  }
  fprintf(app->out, "\n");
  return AM_OK;
}

static void print_stages(FILE *out, const am_plan *p) {
  fprintf(out, "\n");
  for (int64_t i = 0; i < p->count; i++)
    fprintf(out, "%.12s  %-7s  %s\n", p->stage[i].address, am_state_name(p->stage[i].state), p->stage[i].id);
}

static void print_sources(FILE *out, const am_plan *p) {
  for (int64_t d = 0; d < p->e->draw_count; d++) {
    fprintf(out, "data %s:", p->e->draw[d].name);
    for (int64_t s = 0; s < p->split_count; s++)
      fprintf(out, "%s %s %lld images", s ? "," : "", p->e->draw[d].split[s].name,
              (long long)am_plan_source(p, d, s)->images);
    fprintf(out, "\n");
  }
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options options = {0};
  bool stages = false, show = false, go = false;
  am_session s = {0};
  am_str text = {0};
  const am_option table[] = {
      AM_EXPERIMENT_OPTIONS(&options),
      {"--stages", AM_OPTION_FLAG, &stages, NULL, "list every stage with its address and state"},
      {"--show", AM_OPTION_FLAG, &show, NULL, "print the merged and expanded configuration instead"},
  };
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 1, 1, &go));
  if (!go) return AM_OK;
  AM_GO(done, am_session_open(app, &options, false, NULL, &s));
  if (show) {
    AM_GO(done, am_node_print(s.e->tree, &text));
    fprintf(app->out, "%s", am_str_get(&text));
    goto done;
  }
  kind_sum sum[AM_STAGE_KINDS] = {{0}};
  sum_up(&s, sum);
  fprintf(app->out, "%s%s: %s\n", s.e->cfg.name, s.e->tiny ? " (tiny)" : "", s.e->cfg.question);
  fprintf(app->out, "%lld arms x %lld models x %lld draws x %lld seeds = %lld cells\n",
          (long long)s.e->arm_count, (long long)s.e->model_count, (long long)s.e->draw_count,
          (long long)s.e->cfg.seeds, (long long)s.plan->cell_count);
  print_sources(app->out, s.plan);
  print_kinds(app->out, sum);
  AM_GO(done, print_disk(app, s.plan));
  if (stages) print_stages(app->out, s.plan);
done:
  am_str_fini(&text);
  am_session_close(&s);
  return err;
}

const am_command am_cmd_plan = {
    .name = "plan",
    .usage = "EXPERIMENT.yaml [--tiny] [--stages] [--show]",
    .doc = "what an experiment is made of, what is done, what the rest costs",
    .run = run,
};
