#include "sweep/submit.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/references.h"

// The collecting job reads; it needs little.
enum { COLLECT_MIN = 60 };
// A stop is answered at the next step; what has not stopped so long before the end is requeued as it is.
enum { LAST_SEC = 20, LEAST_GRACE_SEC = 5 };

// ---- which stages ----

typedef enum { FATE_DONE, FATE_QUEUED, FATE_PARKED, FATE_BLOCKED, FATE_SUBMIT } fate;

// A plan lists inputs before what needs them.
static fate fate_of(const am_plan *p, int64_t i, const am_queue *queue, const fate *earlier) {
  const am_stage *st = &p->stage[i];
  if (st->state == AM_STATE_DONE) return FATE_DONE;
  if (am_queue_find(queue, st->address)) return FATE_QUEUED;
  if (st->state == AM_STATE_PARKED) return FATE_PARKED;
  for (int64_t k = 0; k < st->input_count; k++)
    if (earlier[st->input[k]] == FATE_PARKED || earlier[st->input[k]] == FATE_BLOCKED) return FATE_BLOCKED;
  return FATE_SUBMIT;
}

typedef struct {
  fate **fate;    // [file][stage]
  bool **wanted;  // likewise
} choice;

static void choice_fini(choice *c, int64_t files) {
  for (int64_t f = 0; f < files; f++) {
    if (c->fate) free(c->fate[f]);
    if (c->wanted) free(c->wanted[f]);
  }
  free(c->fate);
  free(c->wanted);
}

static am_err choose(const am_submit *job, const am_queue *queue, choice *out) {
  AM_TRY(AM_NEW_ARRAY(&out->fate, job->file_count));
  AM_TRY(AM_NEW_ARRAY(&out->wanted, job->file_count));
  for (int64_t f = 0; f < job->file_count; f++) {
    const am_plan *p = job->file[f].plan;
    AM_TRY(AM_NEW_ARRAY(&out->fate[f], p->count));
    AM_TRY(AM_NEW_ARRAY(&out->wanted[f], p->count));
    for (int64_t i = 0; i < p->count; i++) {
      out->fate[f][i] = fate_of(p, i, queue, out->fate[f]);
      out->wanted[f][i] = out->fate[f][i] == FATE_SUBMIT;
    }
  }
  return AM_OK;
}

typedef struct {
  const char *address;
  fate fate;
} counted;

static int by_address(const void *a, const void *b) {
  return strcmp(((const counted *)a)->address, ((const counted *)b)->address);
}

static am_err count_fates(const am_submit *job, const choice *c, am_submit_count *out) {
  counted *list = NULL;
  int64_t total = 0, n = 0;
  for (int64_t f = 0; f < job->file_count; f++) total += job->file[f].plan->count;
  AM_TRY(AM_NEW_ARRAY(&list, total));
  for (int64_t f = 0; f < job->file_count; f++)
    for (int64_t i = 0; i < job->file[f].plan->count; i++)
      list[n++] = (counted){job->file[f].plan->stage[i].address, c->fate[f][i]};
  if (n) qsort(list, (size_t)n, sizeof *list, by_address);
  int64_t *to[] = {[FATE_DONE] = &out->done,
                   [FATE_QUEUED] = &out->queued,
                   [FATE_PARKED] = &out->parked,
                   [FATE_BLOCKED] = &out->blocked,
                   [FATE_SUBMIT] = &out->submitted};
  *out = (am_submit_count){0};
  for (int64_t i = 0; i < n; i++)
    if (i == 0 || strcmp(list[i].address, list[i - 1].address) != 0) ++*to[list[i].fate];
  free(list);
  return AM_OK;
}

// ---- from arrays of stages to a submission ----

static am_err copy_task(const am_submit *job, const am_task *from, am_submitted_task *to) {
  to->file = from->file;
  AM_TRY(AM_NEW_ARRAY(&to->address, from->count));
  for (int64_t i = 0; i < from->count; i++)
    memcpy(to->address[to->count++], job->file[from->file].plan->stage[from->stage[i]].address,
           AM_SHA256_HEX);
  return AM_OK;
}

static am_err add_number(int64_t **list, int64_t *count, int64_t number) {
  for (int64_t i = 0; i < *count; i++)
    if ((*list)[i] == number) return AM_OK;
  int64_t capacity = *count;
  AM_TRY(AM_GROW(list, &capacity, *count + 1));
  (*list)[(*count)++] = number;
  return AM_OK;
}

// Jobs of earlier submissions that make inputs of this task.
static am_err add_waits(const am_submit *job, const am_queue *queue, const am_task *task,
                        am_submitted_array *to) {
  const am_plan *p = job->file[task->file].plan;
  for (int64_t s = 0; s < task->count; s++) {
    const am_stage *st = &p->stage[task->stage[s]];
    for (int64_t i = 0; i < st->input_count; i++) {
      const am_queued_stage *input = am_queue_find(queue, p->stage[st->input[i]].address);
      if (input) AM_TRY(add_number(&to->wait, &to->wait_count, input->job->job));
    }
  }
  return AM_OK;
}

typedef struct {
  const am_submit *job;
  const am_queue *queue;
  am_submission *s;
  int64_t capacity;  // of s->array
} builder;

// The name follows when the id is known (name_arrays).
static am_err new_array(builder *b, const char *kind, am_submitted_array **out) {
  AM_TRY(AM_GROW(&b->s->array, &b->capacity, b->s->array_count + 1));
  am_submitted_array *a = &b->s->array[b->s->array_count];
  *a = (am_submitted_array){.of = b->s->array_count, .ranks = 1, .minutes = 1};
  b->s->array_count++;
  *out = a;
  return am_mem_strdup(kind, &a->kind);
}

// first[k]: the submission's array for array k of the packing; its follow-ups come right behind it.
static am_err add_array(builder *b, const am_job_array *from, const int64_t *first, int64_t follow_ups) {
  am_submitted_array *a = NULL;
  AM_TRY(new_array(b, am_stage_name(from->kind), &a));
  int64_t of = a->of;
  a->level = from->level;
  a->ranks = from->ranks;
  a->minutes = from->minutes;
  AM_TRY(AM_NEW_ARRAY(&a->task, from->count));
  for (int64_t t = 0; t < from->count; t++) {
    AM_TRY(copy_task(b->job, &from->task[t], &a->task[a->task_count++]));
    AM_TRY(add_waits(b->job, b->queue, &from->task[t], a));
  }
  for (int64_t n = 0; n < from->need_count; n++)
    for (int64_t k = 0; k <= follow_ups; k++)
      AM_TRY(add_number(&a->after, &a->after_count, first[from->needs[n]] + k));
  for (int64_t k = 1; k <= follow_ups; k++) {
    am_submitted_array *next = NULL;
    AM_TRY(new_array(b, am_stage_name(from->kind), &next));
    next->of = of;
    next->level = from->level;
    next->ranks = from->ranks;
    next->minutes = from->minutes;
    AM_TRY(add_number(&next->after, &next->after_count, of + k - 1));
  }
  return AM_OK;
}

// Whether a collecting job for this file waits already.
static bool is_collected(const am_submit *job, int64_t f, const am_queue *queue) {
  for (int64_t j = 0; j < queue->jobs.count; j++) {
    if (queue->place[j][0] < 0) continue;
    const am_submission *s = queue->submissions.item[queue->place[j][0]];
    if (strcmp(s->array[queue->place[j][1]].kind, "collect") != 0) continue;
    for (int64_t i = 0; i < s->file_count; i++)
      if (strcmp(s->file[i].name, job->file[f].plan->e->folder) == 0) return true;
  }
  return false;
}

// After everything of this submission, and after what earlier ones still do for the same files.
static am_err add_collect(builder *b) {
  am_submitted_array *a = NULL;
  int64_t arrays = b->s->array_count;
  AM_TRY(new_array(b, "collect", &a));
  a->level = AM_STAGE_LEVELS;
  a->minutes = am_min_i64(COLLECT_MIN, b->job->profile->cfg.time_limit);
  for (int64_t k = 0; k < arrays; k++) AM_TRY(add_number(&a->after, &a->after_count, k));
  for (int64_t f = 0; f < b->job->file_count; f++) {
    const am_plan *p = b->job->file[f].plan;
    for (int64_t i = 0; i < p->count; i++) {
      const am_queued_stage *st = am_queue_find(b->queue, p->stage[i].address);
      if (st) AM_TRY(add_number(&a->wait, &a->wait_count, st->job->job));
    }
  }
  return AM_OK;
}

// "20240501-120000-3fa2": in order of time, and never the same twice, whoever else submits where.
static am_err make_id(const am_submit *job, char **out) {
  char now[32], text[AM_SHA256_HEX];
  char *seed = NULL;
  am_clock_utc(now);
  AM_TRY(am_str_format(&seed, "%s %.9f %ld %s", now, am_clock_sec(), (long)getpid(), job->results_dir));
  am_err err = am_sha256_bytes(seed, strlen(seed), text);
  free(seed);
  AM_TRY(err);
  return am_str_format(out, "%.4s%.2s%.2s-%.2s%.2s%.2s-%.4s", now, now + 5, now + 8, now + 11, now + 14,
                       now + 17, text);
}

static am_err name_arrays(const am_submit *job, am_submission *s) {
  const char *folder = job->file[0].plan->e->folder;
  for (int64_t a = 0; a < s->array_count; a++) {
    am_submitted_array *array = &s->array[a];
    if (strcmp(array->kind, "collect") == 0)
      AM_TRY(am_str_format(&array->name, "%s.%s.collect", folder, s->id));
    else if (array->of != a)
      AM_TRY(am_str_format(&array->name, "%s.%s.%lld.f%lld", folder, s->id, (long long)array->of,
                           (long long)(a - array->of)));
    else
      AM_TRY(am_str_format(&array->name, "%s.%s.%lld", folder, s->id, (long long)a));
  }
  return AM_OK;
}

static am_err add_files(const am_submit *job, am_submission *s) {
  AM_TRY(AM_NEW_ARRAY(&s->file, job->file_count));
  for (int64_t f = 0; f < job->file_count; f++) {
    const am_submit_file *from = &job->file[f];
    am_submitted_file *to = &s->file[s->file_count++];
    to->tiny = from->plan->e->tiny;
    AM_TRY(am_mem_strdup(from->plan->e->folder, &to->name));
    AM_TRY(am_mem_strdup(from->path, &to->path));
    AM_TRY(am_str_format(&to->experiment, "%s/experiment-%lld.yaml", s->dir, (long long)f));
    AM_TRY(am_mem_strdup(from->data_dir, &to->data_dir));
    AM_TRY(am_mem_strdup(from->manifest_dir, &to->manifest_dir));
  }
  return AM_OK;
}

static am_err build(builder *b, const am_packing *packing) {
  const am_submit *job = b->job;
  am_submission *s = b->s;
  int64_t follow_ups = job->profile->cfg.requeue ? 0 : job->profile->cfg.follow_ups, *first = NULL;
  am_err err = AM_OK;
  AM_TRY(make_id(job, &s->id));
  AM_TRY(am_str_format(&s->dir, "%s/slurm/%s", job->results_dir, s->id));
  AM_TRY(am_mem_strdup(job->profile_path, &s->profile));
  AM_TRY(am_mem_strdup(job->device, &s->device));
  AM_TRY(add_files(job, s));
  AM_TRY(AM_NEW_ARRAY(&first, packing->count));
  for (int64_t a = 0; a < packing->count && !err; a++) {
    first[a] = s->array_count;
    err = add_array(b, &packing->array[a], first, follow_ups);
  }
  free(first);
  AM_TRY(err);
  AM_TRY(add_collect(b));
  return name_arrays(job, s);
}

am_err am_submit_plan(const am_submit *job, const am_queue *queue, am_submission **out,
                      am_submit_count *count) {
  am_err err = AM_OK;
  choice c = {0};
  am_packing packing = {0};
  am_pack_file *file = NULL;
  builder b = {.job = job, .queue = queue};
  *out = NULL;
  AM_GO(done, choose(job, queue, &c));
  AM_GO(done, count_fates(job, &c, count));
  bool collected = true;
  for (int64_t f = 0; f < job->file_count; f++) collected = collected && is_collected(job, f, queue);
  if (!count->submitted && (!count->queued || collected)) goto done;
  AM_GO(done, AM_NEW_ARRAY(&file, job->file_count));
  for (int64_t f = 0; f < job->file_count; f++) file[f] = (am_pack_file){job->file[f].plan, c.wanted[f]};
  AM_GO(done, am_pack(file, job->file_count, job->profile, &packing));
  AM_GO(done, AM_NEW(&b.s));
  AM_GO(done, build(&b, &packing));
  *out = b.s;
  b.s = NULL;
done:
  am_submission_free(b.s);
  am_packing_fini(&packing);
  choice_fini(&c, job->file_count);
  free(file);
  return err;
}

// ---- the sbatch command ----

static am_err add_text(am_argv *v, const char *option, const char *value) {
  return *value ? am_argv_add(v, "%s=%s", option, value) : AM_OK;
}

static am_err add_words(am_argv *v, const am_site_words *words) {
  for (int64_t i = 0; i < words->count; i++) AM_TRY(am_argv_add(v, "%s", words->word[i]));
  return AM_OK;
}

static am_err add_size(const am_site *p, const am_submitted_array *a, am_argv *v) {
  const am_site_cfg *c = &p->cfg;
  int64_t per_node = am_site_node_ranks(p), nodes = am_ceil_div(a->ranks, per_node);
  AM_TRY(am_argv_add(v, "--nodes=%lld", (long long)nodes));
  AM_TRY(am_argv_add(v, "--ntasks=%lld", (long long)a->ranks));
  if (nodes > 1) AM_TRY(am_argv_add(v, "--ntasks-per-node=%lld", (long long)am_ceil_div(a->ranks, nodes)));
  AM_TRY(am_argv_add(v, "--cpus-per-task=%lld", (long long)c->cores));
  if (c->memory) AM_TRY(am_argv_add(v, "--mem-per-cpu=%lldM", (long long)am_ceil_div(c->memory, c->cores)));
  if (c->gpus_per_node && strcmp(a->kind, "collect") != 0)
    AM_TRY(am_argv_add(v, "--gres=%s:%lld", c->gres,
                       (long long)am_ceil_div(am_min_i64(a->ranks, per_node), c->ranks_per_gpu)));
  return am_argv_add(v, "--time=%lld", (long long)a->minutes);
}

static am_err add_dependency(const am_submission *s, int64_t array, am_argv *v) {
  const am_submitted_array *a = &s->array[array];
  bool follows = a->of != array;
  am_str list = {0};
  am_err err = AM_OK;
  for (int64_t i = 0; i < a->after_count + a->wait_count && !err; i++) {
    int64_t job = i < a->after_count ? s->array[a->after[i]].job : a->wait[i - a->after_count];
    err = job ? am_str_printf(&list, ":%lld", (long long)job)
              : am_str_printf(&list, ":@%lld", (long long)a->after[i]);  // --dry-run
  }
  if (!err && list.length)
    err = am_argv_add(v, "--dependency=%s%s", follows ? "afternotok" : "afterany", am_str_get(&list));
  if (!err && follows) err = am_argv_add(v, "--kill-on-invalid-dep=yes");
  am_str_fini(&list);
  return err;
}

// The words of slurm/job.sh, in the order in which it takes them.
static am_err add_script(const am_submit *job, const am_submission *s, int64_t array, am_argv *v) {
  const am_site *p = job->profile;
  const am_submitted_array *a = &s->array[array];
  bool collects = strcmp(a->kind, "collect") == 0;
  AM_TRY(am_argv_add(v, "%s", job->script));
  AM_TRY(am_argv_add(v, "%s", s->dir));
  AM_TRY(am_argv_add(v, "%lld", (long long)array));
  AM_TRY(am_argv_add(v, "%lld", (long long)a->minutes));
  AM_TRY(am_argv_add(v, "%lld", (long long)am_max_i64(LEAST_GRACE_SEC, p->cfg.signal_sec - LAST_SEC)));
  AM_TRY(am_argv_add(v, "%lld", (long long)(p->cfg.requeue && !collects ? p->cfg.restarts : 0)));
  AM_TRY(add_words(v, &p->modules));
  AM_TRY(am_argv_add(v, "--"));
  AM_TRY(add_words(v, &p->environment));
  AM_TRY(am_argv_add(v, "--"));
  if (!collects) {
    AM_TRY(am_argv_add(v, "%s", p->cfg.launcher));
    if (strcmp(p->cfg.launcher, "srun") == 0) {
      if (*p->cfg.mpi) AM_TRY(am_argv_add(v, "--mpi=%s", p->cfg.mpi));
      AM_TRY(am_argv_add(v, "--kill-on-bad-exit=1"));
      AM_TRY(am_argv_add(v, "--cpus-per-task=%lld", (long long)p->cfg.cores));
    }
    AM_TRY(add_words(v, &p->launch));
  }
  AM_TRY(am_argv_add(v, "--"));
  AM_TRY(add_words(v, &p->container));
  return am_argv_add(v, "%s", *p->cfg.program ? p->cfg.program : job->program);
}

am_err am_submit_command(const am_submit *job, const am_submission *s, int64_t array, am_argv *out) {
  const am_site_cfg *c = &job->profile->cfg;
  const am_submitted_array *a = &s->array[array];
  int64_t tasks = am_submission_tasks(s, array)->task_count;
  AM_TRY(am_argv_add(out, "sbatch"));
  AM_TRY(am_argv_add(out, "--parsable"));
  AM_TRY(am_argv_add(out, "--job-name=%s", a->name));
  if (tasks) {
    char most[32] = "";
    if (c->max_running) snprintf(most, sizeof most, "%%%lld", (long long)c->max_running);
    AM_TRY(am_argv_add(out, "--array=0-%lld%s", (long long)(tasks - 1), most));
  }
  AM_TRY(add_text(out, "--partition", c->partition));
  AM_TRY(add_text(out, "--account", c->account));
  AM_TRY(add_text(out, "--qos", c->qos));
  AM_TRY(add_text(out, "--constraint", c->constraint));
  AM_TRY(add_size(job->profile, a, out));
  AM_TRY(am_argv_add(out, "--signal=B:USR1@%lld", (long long)c->signal_sec));
  AM_TRY(am_argv_add(out, c->requeue ? "--requeue" : "--no-requeue"));
  AM_TRY(add_dependency(s, array, out));
  // The script writes its own log: sbatch would read a % in the path as a placeholder.
  AM_TRY(am_argv_add(out, "--chdir=%s", s->dir));
  AM_TRY(am_argv_add(out, "--output=/dev/null"));
  AM_TRY(add_words(out, &job->profile->sbatch));
  return add_script(job, s, array, out);
}

// ---- submitting ----

// The experiment as it is now, merged and expanded; it reads back as the same plan.
static am_err freeze(const am_experiment *e, const char *path) {
  am_err err = AM_OK;
  am_str text = {0};
  AM_GO(done, am_node_print(e->tree, &text));
  // A tiny run is marked as such by its flag, which wants a section of that name.
  if (e->tiny) AM_GO(done, am_str_printf(&text, "tiny: {}\n"));
  AM_GO(done, am_file_write(path, am_str_get(&text), (size_t)text.length));
done:
  am_str_fini(&text);
  return err;
}

static am_err note_references(const am_submit *job, const char *dir) {
  const am_plan **plan = NULL;
  AM_TRY(AM_NEW_ARRAY(&plan, job->file_count));
  for (int64_t f = 0; f < job->file_count; f++) plan[f] = job->file[f].plan;
  am_err err = am_references_note(dir, plan, job->file_count);
  free(plan);
  return err;
}

static am_err submit_one(const am_submit *job, am_submission *s, int64_t array) {
  am_err err = AM_OK;
  am_argv argv = {0};
  AM_GO(done, am_submit_command(job, s, array, &argv));
  AM_GO(done, am_slurm_submit(&argv, s->array[array].name, &s->array[array].job));
  AM_GO(done, am_submission_write(s));
done:
  am_argv_fini(&argv);
  return err;
}

am_err am_submit_jobs(const am_submit *job, am_submission *s) {
  AM_TRY(am_path_mkdirs(s->dir));
  for (int64_t f = 0; f < s->file_count; f++) AM_TRY(freeze(job->file[f].plan->e, s->file[f].experiment));
  AM_TRY(note_references(job, s->dir));
  AM_TRY(am_submission_write(s));
  for (int64_t a = 0; a < s->array_count; a++) AM_TRY(submit_one(job, s, a));
  return AM_OK;
}
