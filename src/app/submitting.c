#define _XOPEN_SOURCE 700  // realpath
#include "app/submitting.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "app/next.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "sweep/submit.h"

enum { LOCK_PATIENCE_SEC = 60, ENDING_PATIENCE_SEC = 90, ENDING_PAUSE_SEC = 2 };

static void sleep_sec(int seconds) { nanosleep(&(struct timespec){.tv_sec = seconds}, NULL); }

// ---- the lock ----

am_err am_submit_lock(const am_app *app, am_lease **out) {
  am_err err = AM_OK;
  char *dir = NULL, *path = NULL, who[AM_LEASE_TEXT];
  am_lease_watch watch = {0};
  am_lease_holder holder = {0};
  *out = NULL;
  AM_GO(done, am_path_join(app->results_dir, "slurm", &dir));
  AM_GO(done, am_path_mkdirs(dir));
  AM_GO(done, am_path_join(dir, "lease", &path));
  for (int waited = 0;; waited++) {
    AM_GO(done, am_lease_take(path, AM_LEASE_EXPIRY_SEC, 1, &watch, out, &holder));
    if (*out) break;
    am_lease_describe(&holder, who);
    AM_CHECK_GO(done, waited < LOCK_PATIENCE_SEC, AM_ERR_BUSY,
                "jobs of %s are being submitted or cancelled by %s; try again", app->results_dir, who);
    if (waited == 0) AM_INFO("waiting for %s, who submits or cancels jobs of %s", who, app->results_dir);
    sleep_sec(1);
  }
done:
  free(dir);
  free(path);
  return err;
}

// ---- paths ----

// Jobs run elsewhere, so every path is a full one.
static am_err absolute(const char *path, char **out) {
  char real[PATH_MAX], here[PATH_MAX];
  if (realpath(path, real)) return am_mem_strdup(real, out);
  AM_CHECK(getcwd(here, sizeof here), AM_ERR_IO, "the current folder has no path");
  return am_path_join(here, path, out);
}

typedef struct {
  char *results_dir, *data_dir, *manifest_dir, *program, *script, *profile;  // owned
  char **file;                                                               // owned: of each experiment
} full_paths;

static void paths_fini(full_paths *p, int64_t files) {
  for (int64_t i = 0; p->file && i < files; i++) free(p->file[i]);
  free(p->file);
  free(p->results_dir);
  free(p->data_dir);
  free(p->manifest_dir);
  free(p->program);
  free(p->script);
  free(p->profile);
}

static am_err find_beside(const char *relative, char **out) {
  char path[PATH_MAX];
  AM_CHECK(am_app_find(relative, path), AM_ERR_CONFIG, "there is no %s, neither here nor beside the program",
           relative);
  return absolute(path, out);
}

am_err am_submit_find_profile(const char *name, char **out) {
  char *relative = NULL;
  char path[PATH_MAX];
  if (strchr(name, '/') || am_str_ends(name, ".yaml")) return absolute(name, out);
  AM_TRY(am_str_format(&relative, "slurm/profiles/%s.yaml", name));
  bool there = am_app_find(relative, path);
  free(relative);
  AM_CHECK(there, AM_ERR_CONFIG,
           "there is no slurm/profiles/%s.yaml, neither here nor beside the program: copy cpu-site.yaml or "
           "gpu-site.yaml there and change what differs (slurm/README.md), or give the path of a profile",
           name);
  return absolute(path, out);
}

static am_err find_paths(const am_app *app, const char *profile, full_paths *out) {
  AM_TRY(absolute(app->results_dir, &out->results_dir));
  AM_TRY(absolute(app->data_dir, &out->data_dir));
  AM_TRY(absolute(app->manifest_dir, &out->manifest_dir));
  AM_TRY(absolute("/proc/self/exe", &out->program));
  AM_TRY(find_beside("slurm/job.sh", &out->script));
  AM_TRY(am_submit_find_profile(profile, &out->profile));
  AM_TRY(AM_NEW_ARRAY(&out->file, app->argc));
  for (int i = 0; i < app->argc; i++) AM_TRY(absolute(app->argv[i], &out->file[i]));
  return AM_OK;
}

// ---- what was and will be ----

static bool is_ending(const am_queue *q) {
  for (int64_t j = 0; j < q->jobs.count; j++)
    if (q->place[j][0] >= 0 && strcmp(q->jobs.job[j].state, "COMPLETING") == 0) return true;
  return false;
}

// A job that is ending is neither there nor gone: it may be cancelled or about to be requeued.
static am_err look_at_queue(const char *results_dir, bool dry_run, am_queue *q) {
  for (int waited = 0;; waited += ENDING_PAUSE_SEC) {
    am_err err = am_queue_look(results_dir, q);
    if (err == AM_ERR_UNSUPPORTED && dry_run) {
      AM_WARN("%s; the queue is taken as empty", am_err_last()->message);
      am_err_clear();
      *q = (am_queue){0};
      return AM_OK;
    }
    AM_TRY(err);
    if (dry_run || !is_ending(q) || waited >= ENDING_PATIENCE_SEC) return AM_OK;
    if (waited == 0) AM_INFO("waiting for jobs that are ending");
    am_queue_fini(q);
    sleep_sec(ENDING_PAUSE_SEC);
  }
}

// Submissions without jobs are not asked about again. Another user's may be unwritable, and stays as it is.
static void close_old(am_queue *q) {
  for (int64_t i = 0; i < q->submissions.count; i++) {
    if (am_queue_has(q, i)) continue;
    q->submissions.item[i]->closed = true;
    if (am_submission_write(q->submissions.item[i]) != AM_OK) am_err_clear();
  }
}

am_err am_submit_close_old(const am_app *app) {
  am_err err = AM_OK;
  am_lease *lock = NULL;
  am_submissions open = {0};
  am_queue queue = {0};
  AM_GO(done, am_submissions_read(app->results_dir, &open));
  if (open.count == 0) goto done;
  AM_GO(done, am_submit_lock(app, &lock));
  AM_GO(done, am_queue_look(app->results_dir, &queue));
  close_old(&queue);
done:
  am_lease_release(lock);
  am_queue_fini(&queue);
  am_submissions_fini(&open);
  return err;
}

static void say_count(FILE *out, const am_sessions *all, const am_submit_count *c) {
  for (int64_t i = 0; i < all->count; i++) fprintf(out, "%s%s", i ? ", " : "", all->item[i].e->folder);
  fprintf(out, ": %lld stages done, %lld in the queue", (long long)c->done, (long long)c->queued);
  if (c->parked) fprintf(out, ", %lld parked", (long long)c->parked);
  if (c->blocked) fprintf(out, ", %lld that need a parked one", (long long)c->blocked);
  fprintf(out, ", %lld to submit\n", (long long)c->submitted);
  if (c->parked)
    fprintf(out,
            "parked stages failed again and again: status says how; remove the cause, then retry tries them again\n");
}

static void say_arrays(FILE *out, const am_submission *s) {
  fprintf(out, "%5s  %-9s %6s %7s %6s %8s  %s\n", "array", "stage", "tasks", "stages", "ranks", "minutes",
          "after");
  for (int64_t a = 0; a < s->array_count; a++) {
    const am_submitted_array *array = &s->array[a], *tasks = am_submission_tasks(s, a);
    int64_t stages = 0;
    for (int64_t t = 0; t < tasks->task_count; t++) stages += tasks->task[t].count;
    fprintf(out, "%5lld  %-9s %6lld %7lld %6lld %8lld  ", (long long)a, array->kind,
            (long long)(tasks->task_count ? tasks->task_count : 1), (long long)stages,
            (long long)array->ranks, (long long)array->minutes);
    if (strcmp(array->kind, "collect") == 0) {
      fprintf(out, "all\n");
      continue;
    }
    for (int64_t i = 0; i < array->after_count; i++)
      fprintf(out, "%s%lld", i ? " " : "", (long long)array->after[i]);
    for (int64_t i = 0; i < array->wait_count; i++) fprintf(out, " job %lld", (long long)array->wait[i]);
    fprintf(out, "%s%s\n", array->after_count + array->wait_count ? "" : "-",
            array->of == a ? "" : ", what it did not finish");
  }
}

static am_err say_commands(FILE *out, const am_submit *job, const am_submission *s) {
  fprintf(out, "\nscript: %s\n", job->script);
  for (int64_t a = 0; a < s->array_count; a++) {
    am_argv argv = {0};
    char *line = NULL;
    am_err err = am_submit_command(job, s, a, &argv);
    if (!err) err = am_argv_quote(&argv, &line);
    if (!err) fprintf(out, "%s\n", line);
    free(line);
    am_argv_fini(&argv);
    AM_TRY(err);
  }
  fprintf(out, "\ndry run: nothing was submitted (@N stands for the number of array N)\n");
  return AM_OK;
}

static int64_t submitted_jobs(const am_submission *s) {
  int64_t n = 0;
  for (int64_t a = 0; a < s->array_count; a++) n += s->array[a].job != 0;
  return n;
}

static am_err submit_and_say(const am_app *app, const am_experiment_options *options, const am_submit *job,
                             am_submission *s) {
  am_err err = am_submit_jobs(job, s);
  if (err) {
    am_err_prefix("%lld of %lld arrays are submitted; run the same command again for the rest",
                  (long long)submitted_jobs(s), (long long)s->array_count);
    return err;
  }
  fprintf(app->out, "\nsubmitted: jobs");
  for (int64_t a = 0; a < s->array_count; a++) fprintf(app->out, " %lld", (long long)s->array[a].job);
  fprintf(app->out, "; what they are and their logs: %s\n", s->dir);
  AM_TRY(am_next_say(app, options, "next: ", "status", NULL, "   (who is at what)"));
  return am_next_say(app, options, "      ", "cancel", NULL, "   (ends them; what is done stays)");
}

static am_err say_nothing(const am_app *app, const am_experiment_options *options, const am_submit_count *c) {
  const char *command = c->queued || c->parked ? "status" : "report";
  fprintf(app->out, "nothing to submit: %s\n",
          c->queued   ? "what is missing is in the queue"
          : c->parked ? "what is missing is parked, or needs what is"
                      : "all stages are done");
  return am_next_say(app, options, "next: ", command, NULL, "");
}

static am_err submit_with(const am_app *app, const am_experiment_options *options, am_sessions *all,
                          const am_submit *job, bool dry_run) {
  am_err err = AM_OK;
  am_lease *lock = NULL;
  am_queue queue = {0};
  am_submission *s = NULL;
  am_submit_count count = {0};
  if (!dry_run) AM_GO(done, am_submit_lock(app, &lock));
  AM_GO(done, look_at_queue(job->results_dir, dry_run, &queue));
  // After the queue: what has left it in the meantime is done or missing.
  for (int64_t i = 0; i < all->count; i++) AM_GO(done, am_plan_look(all->item[i].plan, all->item[i].store));
  AM_GO(done, am_submit_plan(job, &queue, &s, &count));
  say_count(app->out, all, &count);
  if (!dry_run) close_old(&queue);
  if (!s) {
    AM_GO(done, say_nothing(app, options, &count));
    goto done;
  }
  say_arrays(app->out, s);
  if (dry_run)
    AM_GO(done, say_commands(app->out, job, s));
  else
    AM_GO(done, submit_and_say(app, options, job, s));
done:
  am_lease_release(lock);
  am_submission_free(s);
  am_queue_fini(&queue);
  return err;
}

am_err am_submit_files(const am_app *app, const am_experiment_options *options, const char *profile,
                       bool dry_run) {
  am_err err = AM_OK;
  full_paths path = {0};
  am_site *p = NULL;
  am_sessions all = {0};
  am_submit_file *file = NULL;
  AM_GO(done, find_paths(app, profile, &path));
  AM_GO(done, am_site_load(path.profile, &p));
  AM_GO(done, am_sessions_open(app, options, !dry_run, &all));
  AM_GO(done, AM_NEW_ARRAY(&file, all.count));
  for (int64_t i = 0; i < all.count; i++)
    file[i] = (am_submit_file){all.item[i].plan, path.file[i], path.data_dir, path.manifest_dir};
  am_submit job = {.file = file,
                   .file_count = all.count,
                   .profile = p,
                   .profile_path = path.profile,
                   .results_dir = path.results_dir,
                   .program = path.program,
                   .script = path.script,
                   .device = strcmp(app->device_kind, "auto") ? app->device_kind : p->cfg.device};
  AM_GO(done, submit_with(app, options, &all, &job, dry_run));
done:
  free(file);
  am_sessions_close(&all);
  am_site_free(p);
  paths_fini(&path, app->argc);
  return err;
}
