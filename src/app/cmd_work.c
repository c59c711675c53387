// augmint work: the stages of one task of a submitted array, or its collecting job. What slurm/job.sh runs.
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "app/missing.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "report/collect.h"
#include "sweep/submission.h"

// ---- from the words to a session ----

static am_err read_number(const char *what, const char *text, int64_t count, int64_t *out) {
  AM_CHECK(am_text_is_integer(text, out) && *out >= 0 && *out < count, AM_ERR_CONFIG,
           "the submission has %lld %ss, counted from 0: there is no %s %s", (long long)count, what, what,
           text);
  return AM_OK;
}

// The submission lies in RESULTS/slurm/<id>.
static am_err results_of(const char *dir, char **out) {
  int64_t length = (int64_t)strlen(dir);
  for (int up = 0; up < 2; up++)
    while (length > 0 && dir[--length] != '/') continue;
  AM_CHECK(length > 0, AM_ERR_CONFIG, "%s is not the full path of a submission: RESULTS/slurm/<id>", dir);
  return am_str_format(out, "%.*s", (int)length, dir);
}

static am_err open_file(const am_app *app, const am_submission *s, const am_submitted_file *f,
                        const char *results_dir, bool create, am_comm *comm, am_session *out) {
  char *word[] = {f->experiment, NULL};
  am_app here = *app;
  here.results_dir = results_dir;
  here.data_dir = f->data_dir;
  here.manifest_dir = f->manifest_dir;
  here.argv = word;
  here.argc = 1;
  return am_session_open(&here, &(am_experiment_options){.tiny = f->tiny}, create, comm, out);
}

// ---- which stages ----

// The task's stages and everything below them: what should have been made before is made here when nobody did.
static am_err mark_wanted(const am_plan *p, const am_submitted_task *task, bool *wanted) {
  for (int64_t k = 0; k < task->count; k++) {
    int64_t i = 0;
    while (i < p->count && strcmp(p->stage[i].address, task->address[k]) != 0) i++;
    AM_CHECK(i < p->count, AM_ERR_CONFIG,
             "%s has no stage %.12s any more: the data, their manifests or the program changed since it was "
             "submitted; run `augmint submit` again",
             p->e->cfg.name, task->address[k]);
    wanted[i] = true;
  }
  for (int64_t i = p->count - 1; i >= 0; i--)
    for (int64_t k = 0; k < p->stage[i].input_count && wanted[i]; k++) wanted[p->stage[i].input[k]] = true;
  return AM_OK;
}

// Whether another attempt could do more: something wanted is not done, not parked, and needs nothing parked.
static bool has_left(const am_plan *p, const bool *wanted, bool *stuck) {
  bool left = false;
  for (int64_t i = 0; i < p->count; i++) {
    stuck[i] = p->stage[i].state == AM_STATE_PARKED;
    for (int64_t k = 0; k < p->stage[i].input_count && !stuck[i]; k++) stuck[i] = stuck[p->stage[i].input[k]];
    left = left || (wanted[i] && !stuck[i] && p->stage[i].state != AM_STATE_DONE);
  }
  return left;
}

static am_err say_left(const am_plan *p, const bool *wanted) {
  bool *stuck = NULL;
  AM_TRY(AM_NEW_ARRAY(&stuck, p->count));
  bool left = has_left(p, wanted, stuck);
  free(stuck);
  AM_CHECK(left, AM_ERR_NUMERIC, "nothing is left that another attempt could do");
  return AM_OK;
}

// ---- the work ----

typedef struct {
  const am_submission *s;
  int64_t array, task;
  const char *results_dir;
  int64_t until;  // seconds since 1970; 0: no end
  bool left;
} work;

static am_err do_task(const am_app *app, const work *w) {
  am_err err = AM_OK;
  const am_submitted_task *task = &am_submission_tasks(w->s, w->array)->task[w->task];
  am_session s = {0};
  am_run_summary sum = {0};
  bool *wanted = NULL;
  char *log_dir = NULL;
  AM_GO(done, open_file(app, w->s, &w->s->file[task->file], w->results_dir, !w->left,
                        w->left ? NULL : app->world, &s));
  AM_GO(done, AM_NEW_ARRAY(&wanted, s.plan->count));
  AM_GO(done, mark_wanted(s.plan, task, wanted));
  if (w->left) {
    AM_GO(done, say_left(s.plan, wanted));
    goto done;
  }
  AM_GO(done, am_str_format(&log_dir, "%s/log/%lld-%lld.ranks", w->s->dir, (long long)w->array,
                            (long long)w->task));
  double end = w->until ? am_clock_sec() + difftime((time_t)w->until, time(NULL)) : 0;
  am_app here = *app;
  here.results_dir = w->results_dir;
  if (strcmp(app->device_kind, "auto") == 0) here.device_kind = w->s->device;
  AM_GO(done, am_missing_do(&here, &s, &(am_missing){log_dir, wanted, end}, &sum));
  AM_INFO("made %lld stages", (long long)sum.made);
  AM_CHECK_GO(done, sum.failed + sum.parked + sum.blocked == 0, AM_ERR_NUMERIC,
              "%lld stages failed, %lld are parked and %lld could not be done without them",
              (long long)sum.failed, (long long)sum.parked, (long long)sum.blocked);
done:
  free(log_dir);
  free(wanted);
  am_session_close(&s);
  return err;
}

static am_err collect_file(const am_app *app, const work *w, const am_submitted_file *f, int64_t *missing) {
  am_err err = AM_OK;
  am_session s = {0};
  am_str table = {0};
  AM_GO(done, open_file(app, w->s, f, w->results_dir, true, NULL, &s));
  AM_GO(done, am_collect_and_write(s.plan, s.store, w->results_dir, &table));
  fprintf(app->out, "%s\nwritten to %s/%s/\n", am_str_get(&table), w->results_dir, s.e->folder);
  for (int64_t i = 0; i < s.plan->count; i++) *missing += s.plan->stage[i].state != AM_STATE_DONE;
done:
  am_str_fini(&table);
  am_session_close(&s);
  return err;
}

static am_err collect(const am_app *app, const work *w) {
  int64_t missing = 0;
  for (int64_t f = 0; f < w->s->file_count; f++) AM_TRY(collect_file(app, w, &w->s->file[f], &missing));
  AM_CHECK(missing == 0, AM_ERR_NUMERIC,
           "%lld stages are not done; `augmint status` says why, `augmint submit` goes on",
           (long long)missing);
  return AM_OK;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_submission *s = NULL;
  char *results_dir = NULL;
  work w = {0};
  const am_option options[] = {
      {"--until", AM_OPTION_I64, &w.until, "SECONDS",
       "the job ends then (since 1970): no stage starts that would not end"},
      {"--left", AM_OPTION_FLAG, &w.left, NULL,
       "do nothing; exit 0 when another attempt could do more, else 1"},
  };
  bool go = false;
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 3, 3, &go));
  if (!go) return AM_OK;
  AM_GO(done, am_submission_read(app->argv[0], &s));
  AM_GO(done, results_of(app->argv[0], &results_dir));
  w.s = s;
  w.results_dir = results_dir;
  AM_GO(done, read_number("array", app->argv[1], s->array_count, &w.array));
  if (strcmp(s->array[w.array].kind, "collect") == 0) {
    if (am_comm_rank(app->world) == 0 && !w.left) AM_GO(done, collect(app, &w));
    AM_CHECK_GO(done, !w.left, AM_ERR_NUMERIC, "a collecting job is not repeated");
    goto done;
  }
  AM_GO(done, read_number("task", app->argv[2], am_submission_tasks(s, w.array)->task_count, &w.task));
  AM_GO(done, do_task(app, &w));
done:
  am_submission_free(s);
  free(results_dir);
  return err;
}

const am_command am_cmd_work = {
    .name = "work",
    .usage = "RESULTS/slurm/ID ARRAY TASK [--until SECONDS]",
    .doc = "what a submitted job runs: the stages of one task",
    .help =
        "slurm/job.sh calls this under srun or mpirun; by hand it repeats what that job did. Stages that "
        "other\n"
        "jobs hold are waited for, finished ones are skipped, and missing inputs are made as well.\n",
    .all_ranks = true,
    .run = run,
};
