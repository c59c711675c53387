#include "app/overview.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/next.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

// ---- choosing ----

static am_err choose_device(const am_app *app, const am_rates *rates, const char *on,
                            char out[AM_DEVICE_TYPE]) {
  am_device *device = NULL;
  char here[AM_DEVICE_TYPE];
  const char *found = NULL;
  if (on) {
    found = am_rates_device(rates, on);
    AM_CHECK(found, AM_ERR_CONFIG,
             "--on \"%s\": nothing was measured on such a device; see %s/calibration.json", on,
             app->results_dir);
  } else {
    AM_TRY(am_app_device(app, 0, &device));
    found = am_rates_device(rates, am_device_type(device, here));
    am_device_close(device);
    if (!found) found = am_rates_device(rates, "");
  }
  snprintf(out, AM_DEVICE_TYPE, "%s", found ? found : "");
  return AM_OK;
}

// Whether this plan has a stage that nobody is at, that no job is to make, and that needs nothing parked.
static am_err has_loose(const am_plan *p, const am_queue *q, bool *loose) {
  bool *stuck = NULL;
  AM_TRY(AM_NEW_ARRAY(&stuck, p->count));
  for (int64_t i = 0; i < p->count && !*loose; i++) {
    const am_stage *st = &p->stage[i];
    bool open = st->state != AM_STATE_DONE && st->state != AM_STATE_RUNNING;
    stuck[i] = st->state == AM_STATE_PARKED;
    for (int64_t k = 0; k < st->input_count && !stuck[i]; k++) stuck[i] = stuck[st->input[k]];
    *loose = open && !stuck[i] && !am_queue_find(q, st->address);
  }
  free(stuck);
  return AM_OK;
}

// Slurm is asked only where something was submitted. Elsewhere than on the cluster it does not answer.
static am_err look_at_queue(const am_app *app, am_overview *v) {
  am_err err = am_queue_look(app->results_dir, &v->queue);
  v->queue_unknown = err == AM_ERR_UNSUPPORTED || err == AM_ERR_IO;
  if (v->queue_unknown) {
    AM_WARN("%s: what is in the queue is not known", am_err_last()->message);
    am_err_clear();
    return AM_OK;
  }
  for (int64_t i = 0; i < v->outlook.count && !err; i++) {
    const am_stage *st = v->outlook.stage[i].stage;
    v->queued += st->state != AM_STATE_DONE && am_queue_find(&v->queue, st->address);
  }
  for (int64_t i = 0; i < v->all->count && !err; i++)
    err = has_loose(v->all->item[i].plan, &v->queue, &v->loose);
  return err;
}

am_err am_overview_new(const am_app *app, const am_sessions *all, const am_experiment_options *options,
                       const char *on, const char *limit, am_overview *out) {
  am_err err = AM_OK;
  am_overview v = {.all = all, .options = options};
  am_plan **plan = NULL;
  AM_CHECK(!limit || am_clock_parse_span(limit, &v.limit_sec), AM_ERR_CONFIG,
           "--time-limit is minutes, H:M:S, D-H:M:S, 90m or 2h, not \"%s\"", limit);
  const am_rates *rates = all->item[0].rates;
  AM_GO(done, AM_NEW_ARRAY(&plan, all->count));
  for (int64_t i = 0; i < all->count; i++) plan[i] = all->item[i].plan;
  AM_GO(done, choose_device(app, rates, on, v.device));
  AM_GO(done, am_outlook_new(plan, all->count, rates, v.device, v.limit_sec, &v.outlook));
  AM_GO(done, look_at_queue(app, &v));
  *out = v;
  v = (am_overview){0};
done:
  am_overview_fini(&v);
  free(plan);
  return err;
}

void am_overview_fini(am_overview *v) {
  am_outlook_fini(&v->outlook);
  am_queue_fini(&v->queue);
}

// ---- printing ----

static const am_stage_state columns[] = {AM_STATE_DONE,    AM_STATE_RUNNING, AM_STATE_MISSING,
                                         AM_STATE_WAITING, AM_STATE_FAILED,  AM_STATE_PARKED};

void am_overview_print_kinds(const am_app *app, const am_overview *v) {
  char span[32];
  fprintf(app->out, "\n%-9s %7s", "stage", "all");
  for (int i = 0; i < AM_COUNT_OF(columns); i++) fprintf(app->out, " %7s", am_state_name(columns[i]));
  fprintf(app->out, "  device time left\n");
  for (int k = 0; k < AM_STAGE_KINDS; k++) {
    const am_outlook_kind *kind = &v->outlook.kind[k];
    if (!kind->all) continue;
    fprintf(app->out, "%-9s %7lld", am_stage_name((am_stage_kind)k), (long long)kind->all);
    for (int i = 0; i < AM_COUNT_OF(columns); i++)
      fprintf(app->out, " %7lld", (long long)kind->state[columns[i]]);
    am_clock_span(kind->left_sec, span);
    if (kind->state[AM_STATE_DONE] == kind->all)
      fprintf(app->out, "  -\n");
    else if (kind->unknown == kind->all - kind->state[AM_STATE_DONE])
      fprintf(app->out, "  ?\n");
    else
      fprintf(app->out, "  %s%s\n", kind->unknown ? "more than " : "", span);
  }
}

void am_overview_print_time(const am_app *app, const am_overview *v) {
  const am_outlook *o = &v->outlook;
  int64_t left = o->count - o->state[AM_STATE_DONE];
  char span[32], chain[32];
  fprintf(app->out, "\n");
  if (left == 0) {
    fprintf(app->out, "device time left: none, all %lld stages are done\n", (long long)o->count);
    return;
  }
  am_clock_span(o->left_sec, span);
  am_clock_span(o->chain_sec, chain);
  if (o->unknown < left)
    fprintf(app->out, "device time left: %s%s = %.2f device-hours, %s%s on any number of devices\n",
            o->unknown ? "more than " : "about ", span, o->left_sec / 3600, "at least ", chain);
  if (o->unknown < left) fprintf(app->out, "  judged by what such stages took on %s\n", v->device);
  if (o->unknown)
    fprintf(app->out,
            "%s of %lld stages: not known yet. `augmint plan ... --calibrate` runs a few steps of each\n",
            o->unknown < left ? "  and" : "device time left", (long long)o->unknown);
}

// ---- jobs ----

// Stages of this overview that a job will make.
typedef struct {
  const am_queued_stage *first;
  const char *id;  // of the first
  int64_t stages;
} job_line;

static int by_job(const void *a, const void *b) {
  const am_slurm_job *x = ((const job_line *)a)->first->job, *y = ((const job_line *)b)->first->job;
  return (x > y) - (x < y);
}

am_err am_overview_print_jobs(const am_app *app, const am_overview *v) {
  enum { SHOWN = 20 };
  job_line *line = NULL;
  char text[AM_QUEUE_TEXT];
  int64_t count = 0, jobs = 0;
  if (v->queued == 0) return AM_OK;
  AM_TRY(AM_NEW_ARRAY(&line, v->outlook.count));
  for (int64_t i = 0; i < v->outlook.count; i++) {
    const am_stage *st = v->outlook.stage[i].stage;
    const am_queued_stage *found = st->state == AM_STATE_DONE ? NULL : am_queue_find(&v->queue, st->address);
    if (found) line[count++] = (job_line){found, st->id, 1};
  }
  qsort(line, (size_t)count, sizeof *line, by_job);
  for (int64_t i = 0; i < count; i++) {
    if (jobs && line[jobs - 1].first->job == line[i].first->job)
      line[jobs - 1].stages++;
    else
      line[jobs++] = line[i];
  }
  fprintf(app->out, "\nin the queue: %lld stages in %lld jobs\n", (long long)v->queued, (long long)jobs);
  for (int64_t i = 0; i < jobs && i < SHOWN; i++) {
    fprintf(app->out, "  %s: %s", am_queue_describe(line[i].first, text), line[i].id);
    if (line[i].stages > 1) fprintf(app->out, " and %lld more", (long long)(line[i].stages - 1));
    fprintf(app->out, "\n");
  }
  if (jobs > SHOWN) fprintf(app->out, "  ... and %lld more\n", (long long)(jobs - SHOWN));
  free(line);
  return AM_OK;
}

// ---- what to do next ----

static bool is_named(const am_overview *v, const char *name) {
  for (int64_t i = 0; i < v->all->count; i++)
    if (strcmp(v->all->item[i].e->folder, name) == 0) return true;
  return false;
}

// The last submission that serves one of these experiments, whose jobs are in the queue or were not long ago.
static const am_submission *last_submission(const am_overview *v) {
  for (int64_t i = v->queue.submissions.count - 1; i >= 0; i--) {
    const am_submission *s = v->queue.submissions.item[i];
    for (int64_t f = 0; f < s->file_count; f++)
      if (is_named(v, s->file[f].name)) return s;
  }
  return NULL;
}

static bool is_done(const am_plan *p) {
  for (int64_t i = 0; i < p->count; i++)
    if (p->stage[i].state != AM_STATE_DONE) return false;
  return true;
}

static am_err say_submit(const am_app *app, const am_overview *v, const am_submission *s) {
  am_err err = AM_OK;
  am_argv profile = {0};
  char *words = NULL;
  AM_GO(done, am_argv_add(&profile, "--profile"));
  AM_GO(done, am_argv_add(&profile, "%s", s->profile));
  AM_GO(done, am_argv_quote(&profile, &words));
  AM_GO(done,
        am_next_say(app, v->options, "next: ", "submit", words, "   (submits what has no job in the queue)"));
done:
  free(words);
  am_argv_fini(&profile);
  return err;
}

// A line for each file, as run takes one.
static am_err say_run(const am_app *app, const am_overview *v, const char *before) {
  for (int64_t i = 0; i < v->all->count; i++) {
    char *line = NULL;
    if (is_done(v->all->item[i].plan)) continue;
    AM_TRY(am_next_command(app, v->options, "run", app->argv[i], NULL, &line));
    fprintf(app->out, "%smpirun -n RANKS %s\n", before, line);
    free(line);
    before = "      ";
  }
  fprintf(app->out, "      RANKS: processes, one a device or core, of which there are %ld here%s\n",
          sysconf(_SC_NPROCESSORS_ONLN),
          v->outlook.state[AM_STATE_RUNNING] ? "; nothing is done twice beside the running ones" : "");
  return AM_OK;
}

static am_err say_open(const am_app *app, const am_overview *v) {
  const am_submission *submitted = last_submission(v);
  const int64_t *state = v->outlook.state;
  if (submitted && v->loose) return say_submit(app, v, submitted);
  if (v->queued)
    return am_next_say(app, v->options, "next: nothing to do, jobs will make the rest; they are ended by ",
                       "cancel", NULL, "");
  if (state[AM_STATE_MISSING] + state[AM_STATE_FAILED]) {
    if (v->queue_unknown)
      fprintf(app->out, "next: ask where squeue answers, as jobs may be in the queue; or, beside them,\n");
    return say_run(app, v, v->queue_unknown ? "      " : "next: ");
  }
  if (state[AM_STATE_RUNNING])
    fprintf(app->out, "next: nothing to do, what is left waits for the running stages\n");
  return AM_OK;
}

am_err am_overview_print_next(const am_app *app, const am_overview *v) {
  const int64_t *state = v->outlook.state;
  char before[160];
  fprintf(app->out, "\n");
  if (state[AM_STATE_DONE] == v->outlook.count)
    return am_next_say(app, v->options, "next: ", "report", NULL, "");
  AM_TRY(say_open(app, v));
  if (!state[AM_STATE_PARKED]) return AM_OK;
  snprintf(before, sizeof before,
           "%sremove the cause of the %lld parked ones (augmint status shows it), then: ",
           state[AM_STATE_MISSING] + state[AM_STATE_FAILED] + state[AM_STATE_RUNNING] ? "      " : "next: ",
           (long long)state[AM_STATE_PARKED]);
  return am_next_say(app, v->options, before, "retry", NULL, "");
}
