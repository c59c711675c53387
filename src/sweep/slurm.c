#include "sweep/slurm.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/str.h"
#include "config/node.h"

// A restart of slurmctld takes some seconds.
enum { ATTEMPTS = 6, PAUSE_SEC = 5 };
enum { NAMES_BYTES = 100000, CANCEL_AT_ONCE = 400 };

static void pause_between(void) { nanosleep(&(struct timespec){.tv_sec = PAUSE_SEC}, NULL); }

// What Slurm says when the controller is away or busy; everything else is a refusal.
static bool is_passing(const am_child *c) {
  static const char *const signs[] = {
      "Unable to contact",           "timed out",     "temporarily", "Connection refused",
      "Zero Bytes were transmitted", "in backup mode"};
  for (int i = 0; i < AM_COUNT_OF(signs); i++)
    if (strstr(c->diag, signs[i])) return true;
  return false;
}

// Runs a command until Slurm answers. *c is filled whenever AM_OK comes back.
static am_err run_patiently(const am_argv *argv, am_child *c) {
  for (int attempt = 1;; attempt++) {
    AM_TRY(am_child_run(argv, c));
    if (c->status == 0 || !is_passing(c) || attempt == ATTEMPTS) return AM_OK;
    AM_WARN("%s: %s; trying again", argv->word[0], am_child_complaint(c));
    am_child_fini(c);
    pause_between();
  }
}

static am_err fail_of(const am_argv *argv, am_child *c) {
  const char *why = am_child_complaint(c);
  bool too_long = strstr(c->diag, "Invalid job array specification");
  return AM_FAIL(AM_ERR_IO, "%s ended with status %d: %s%s", argv->word[0], c->status,
                 *why ? why : "no message",
                 too_long ? "; set max_array in the profile to the site's MaxArraySize (scontrol show config)" : "");
}

// ---- squeue ----

static bool next_part(char **rest, const char **part) {
  char *bar = *rest ? strchr(*rest, '|') : NULL;
  *part = *rest;
  if (bar) *bar = 0;
  *rest = bar ? bar + 1 : NULL;
  return *part != NULL;
}

// "name|job|task|state|nodes|reason"; the reason is last, as it is free text.
static am_err parse_job(char *line_take, am_slurm_jobs *out) {
  am_slurm_job j = {.line = line_take, .task = -1};
  const char *job = NULL, *task = NULL;
  char *rest = line_take;
  bool fine = next_part(&rest, &j.name) && next_part(&rest, &job) && next_part(&rest, &task) &&
              next_part(&rest, &j.state) && next_part(&rest, &j.nodes) && rest;
  j.reason = rest;
  fine = fine && am_text_is_integer(job, &j.job);
  if (fine && !am_text_is_integer(task, &j.task)) j.task = -1;  // "N/A"
  am_err err =
      fine ? AM_GROW(&out->job, &out->capacity, out->count + 1)
           : AM_FAIL(AM_ERR_DATA, "squeue wrote a line that is not understood: \"%.200s\"", line_take);
  if (err) {
    free(line_take);
    return err;
  }
  out->job[out->count++] = j;
  return AM_OK;
}

static am_err parse_queue(const char *text, am_slurm_jobs *out) {
  while (*text) {
    int length = (int)strcspn(text, "\n");
    char *line = NULL;
    if (length) {
      AM_TRY(am_str_format(&line, "%.*s", length, text));
      AM_TRY(parse_job(line, out));
    }
    text += length + (text[length] == '\n');
  }
  return AM_OK;
}

am_err am_slurm_queue(const char *const *names, int64_t count, am_slurm_jobs *out) {
  am_err err = AM_OK;
  am_argv argv = {0};
  am_str list = {0};
  am_child c = {0};
  am_slurm_jobs jobs = {0};
  for (int64_t i = 0; i < count; i++) AM_GO(done, am_str_printf(&list, "%s%s", i ? "," : "", names[i]));
  AM_GO(done, am_argv_add(&argv, "squeue"));
  AM_GO(done, am_argv_add(&argv, "--noheader"));
  AM_GO(done, am_argv_add(&argv, "--array"));
  AM_GO(done, am_argv_add(&argv, "--format=%%j|%%F|%%K|%%T|%%N|%%r"));
  // Too many names for a command line: everything is read and the caller looks for its own.
  if (list.length < NAMES_BYTES) AM_GO(done, am_argv_add(&argv, "--name=%s", am_str_get(&list)));
  AM_GO(done, run_patiently(&argv, &c));
  if (c.status != 0) {
    err = fail_of(&argv, &c);
    goto done;
  }
  AM_GO(done, parse_queue(c.out, &jobs));
  *out = jobs;
  jobs = (am_slurm_jobs){0};
done:
  am_slurm_jobs_fini(&jobs);
  am_child_fini(&c);
  am_str_fini(&list);
  am_argv_fini(&argv);
  return err;
}

void am_slurm_jobs_fini(am_slurm_jobs *jobs) {
  for (int64_t i = 0; i < jobs->count; i++) free(jobs->job[i].line);
  free(jobs->job);
  *jobs = (am_slurm_jobs){0};
}

// ---- sbatch ----

static am_err find_by_name(const char *name, int64_t *job) {
  am_slurm_jobs jobs = {0};
  *job = 0;
  AM_TRY(am_slurm_queue(&name, 1, &jobs));
  for (int64_t i = 0; i < jobs.count; i++)
    if (strcmp(jobs.job[i].name, name) == 0) *job = jobs.job[i].job;
  am_slurm_jobs_fini(&jobs);
  return AM_OK;
}

am_err am_slurm_submit(const am_argv *sbatch, const char *name, int64_t *job) {
  am_err err = AM_OK;
  am_child c = {0};
  for (int attempt = 1;; attempt++) {
    AM_GO(done, am_child_run(sbatch, &c));
    if (c.status == 0) {
      c.out[strcspn(c.out, ";\n")] = 0;  // --parsable: "12" or "12;cluster"
      AM_CHECK_GO(done, am_text_is_integer(c.out, job), AM_ERR_DATA,
                  "sbatch wrote \"%.100s\", not a job's number", c.out);
      goto done;
    }
    if (!is_passing(&c) || attempt == ATTEMPTS) {
      err = fail_of(sbatch, &c);
      goto done;
    }
    AM_WARN("sbatch: %s; trying again", am_child_complaint(&c));
    am_child_fini(&c);
    pause_between();
    AM_GO(done, find_by_name(name, job));
    if (*job) goto done;
  }
done:
  am_child_fini(&c);
  return err;
}

// ---- scancel ----

am_err am_slurm_cancel(const char *const *jobs, int64_t count) {
  for (int64_t first = 0; first < count; first += CANCEL_AT_ONCE) {
    am_err err = AM_OK;
    am_argv argv = {0};
    am_child c = {0};
    AM_GO(done, am_argv_add(&argv, "scancel"));
    for (int64_t i = first; i < am_min_i64(count, first + CANCEL_AT_ONCE); i++)
      AM_GO(done, am_argv_add(&argv, "%s", jobs[i]));
    AM_GO(done, run_patiently(&argv, &c));
    if (c.status != 0 && !strstr(c.diag, "Invalid job id") && !strstr(c.diag, "already completing"))
      err = fail_of(&argv, &c);
  done:
    am_child_fini(&c);
    am_argv_fini(&argv);
    AM_TRY(err);
  }
  return AM_OK;
}
