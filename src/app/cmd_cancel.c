// augmint cancel: ends the jobs of experiments.
#include <stdlib.h>
#include <string.h>

#include "app/next.h"
#include "app/submitting.h"
#include "base/mem.h"
#include "sweep/queue.h"

// Folders of the experiments that were named.
typedef struct {
  char **name;
  int64_t count;
} folders;

static am_err read_folders(const am_app *app, const am_experiment_options *options, folders *out) {
  AM_TRY(AM_NEW_ARRAY(&out->name, app->argc));
  for (int i = 0; i < app->argc; i++) {
    am_experiment *e = NULL;
    AM_TRY(am_experiment_load(app->argv[i],
                              &(am_experiment_overrides){.tiny = options->tiny,
                                                         .set = options->set.word,
                                                         .set_count = options->set.count,
                                                         .threads = app->threads},
                              &e));
    am_err err = am_mem_strdup(e->folder, &out->name[out->count]);
    am_experiment_free(e);
    AM_TRY(err);
    out->count++;
  }
  return AM_OK;
}

static bool is_named(const folders *f, const char *name) {
  for (int64_t i = 0; i < f->count; i++)
    if (strcmp(f->name[i], name) == 0) return true;
  return false;
}

// A task belongs to one file. The collecting job goes when all of its files do.
static bool is_meant(const am_queue *q, int64_t j, const folders *f) {
  if (q->place[j][0] < 0) return false;
  const am_submission *s = q->submissions.item[q->place[j][0]];
  const am_submitted_array *tasks = am_submission_tasks(s, q->place[j][1]);
  int64_t task = q->jobs.job[j].task;
  if (task >= 0 && task < tasks->task_count) return is_named(f, s->file[tasks->task[task].file].name);
  for (int64_t i = 0; i < s->file_count; i++)
    if (!is_named(f, s->file[i].name)) return false;
  return true;
}

// What waits goes before what runs, and what was submitted last goes first: nothing starts meanwhile.
static int by_order(const void *a, const void *b) {
  const am_slurm_job *x = *(const am_slurm_job *const *)a, *y = *(const am_slurm_job *const *)b;
  bool x_waits = strcmp(x->state, "PENDING") == 0, y_waits = strcmp(y->state, "PENDING") == 0;
  if (x_waits != y_waits) return x_waits ? -1 : 1;
  if (x->job != y->job) return x->job > y->job ? -1 : 1;
  return (x->task < y->task) - (x->task > y->task);
}

static am_err cancel_jobs(const am_slurm_job **job, int64_t count) {
  am_err err = AM_OK;
  am_argv words = {0};
  for (int64_t i = 0; i < count; i++)
    AM_GO(done, job[i]->task < 0
                    ? am_argv_add(&words, "%lld", (long long)job[i]->job)
                    : am_argv_add(&words, "%lld_%lld", (long long)job[i]->job, (long long)job[i]->task));
  AM_GO(done, am_slurm_cancel((const char *const *)words.word, words.count));
done:
  am_argv_fini(&words);
  return err;
}

static am_err cancel(const am_app *app, const am_experiment_options *options, const folders *f) {
  am_err err = AM_OK;
  am_queue q = {0};
  const am_slurm_job **job = NULL;
  int64_t count = 0, running = 0;
  AM_GO(done, am_queue_look(app->results_dir, &q));
  AM_GO(done, AM_NEW_ARRAY(&job, q.jobs.count));
  for (int64_t j = 0; j < q.jobs.count; j++) {
    if (!is_meant(&q, j, f)) continue;
    job[count++] = &q.jobs.job[j];
    running += strcmp(q.jobs.job[j].state, "PENDING") != 0;
  }
  if (count == 0) {
    fprintf(app->out, "none of its jobs is in the queue, so there is nothing to cancel\n");
    AM_GO(done, am_next_say(app, options, "next: ", "status", NULL, "   (what is done, and what to do)"));
    goto done;
  }
  qsort(job, (size_t)count, sizeof *job, by_order);
  AM_GO(done, cancel_jobs(job, count));
  fprintf(app->out, "cancelled: %lld jobs, of which %lld had started; finished stages and checkpoints stay\n",
          (long long)count, (long long)running);
  AM_GO(done, am_next_say(app, options, "next: ", "submit", "--profile P", "   (goes on from there)"));
done:
  free(job);
  am_queue_fini(&q);
  return err;
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options experiment = {0};
  folders f = {0};
  am_lease *lock = NULL;
  bool go = false;
  const am_option options[] = {AM_EXPERIMENT_OPTIONS(&experiment)};
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_GO(done, read_folders(app, &experiment, &f));
  AM_GO(done, am_submit_lock(app, &lock));
  AM_GO(done, cancel(app, &experiment, &f));
done:
  am_lease_release(lock);
  for (int64_t i = 0; i < f.count; i++) free(f.name[i]);
  free(f.name);
  return err;
}

const am_command am_cmd_cancel = {.name = "cancel",
                                  .usage = "EXPERIMENT.yaml... [--tiny]",
                                  .doc = "end the Slurm jobs of experiments",
                                  .help =
                                      "Jobs that run save their progress if they can. A collecting job that "
                                      "also serves experiments that are not\n"
                                      "named stays.\n",
                                  .run = run};
