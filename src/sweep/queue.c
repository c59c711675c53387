#include "sweep/queue.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

// ---- joining ----

// The array that is called so, and its submission.
typedef struct {
  const char *name;
  int64_t submission, array;
} named_array;

static int by_name(const void *a, const void *b) {
  return strcmp(((const named_array *)a)->name, ((const named_array *)b)->name);
}

static am_err list_names(const am_submissions *all, named_array **out, int64_t *count) {
  int64_t total = 0;
  named_array *list = NULL;
  for (int64_t s = 0; s < all->count; s++) total += all->item[s]->array_count;
  AM_TRY(AM_NEW_ARRAY(&list, total));
  *count = 0;
  for (int64_t s = 0; s < all->count; s++)
    for (int64_t a = 0; a < all->item[s]->array_count; a++)
      list[(*count)++] = (named_array){all->item[s]->array[a].name, s, a};
  qsort(list, (size_t)total, sizeof *list, by_name);
  *out = list;
  return AM_OK;
}

static am_err ask(const named_array *name, int64_t count, am_slurm_jobs *out) {
  const char **words = NULL;
  AM_TRY(AM_NEW_ARRAY(&words, count));
  for (int64_t i = 0; i < count; i++) words[i] = name[i].name;
  am_err err = am_slurm_queue(words, count, out);
  free(words);
  return err;
}

static am_err add_stages(am_queue *q, int64_t j) {
  const am_slurm_job *job = &q->jobs.job[j];
  const am_submission *s = q->submissions.item[q->place[j][0]];
  const am_submitted_array *tasks = am_submission_tasks(s, q->place[j][1]);
  if (job->task < 0 || job->task >= tasks->task_count) return AM_OK;
  const am_submitted_task *t = &tasks->task[job->task];
  for (int64_t i = 0; i < t->count; i++) {
    AM_TRY(AM_GROW(&q->stage, &q->capacity, q->count + 1));
    q->stage[q->count++] = (am_queued_stage){
        .address = t->address[i], .submission = s, .array = q->place[j][1], .task = job->task, .job = job};
  }
  return AM_OK;
}

static bool is_running(const am_queued_stage *s) { return strcmp(s->job->state, "PENDING") != 0; }

static int by_address(const void *a, const void *b) {
  const am_queued_stage *x = a, *y = b;
  int order = strcmp(x->address, y->address);
  if (order) return order;
  if (is_running(x) != is_running(y)) return is_running(x) ? -1 : 1;
  return (x->job > y->job) - (x->job < y->job);
}

am_err am_queue_look(const char *results_dir, am_queue *out) {
  am_err err = AM_OK;
  am_queue q = {0};
  named_array *name = NULL;
  int64_t names = 0;
  AM_GO(done, am_submissions_read(results_dir, &q.submissions));
  AM_GO(done, list_names(&q.submissions, &name, &names));
  if (names) AM_GO(done, ask(name, names, &q.jobs));
  AM_GO(done, AM_NEW_ARRAY(&q.place, q.jobs.count));
  for (int64_t j = 0; j < q.jobs.count; j++) {
    const named_array wanted = {.name = q.jobs.job[j].name};
    const named_array *found = bsearch(&wanted, name, (size_t)names, sizeof *name, by_name);
    q.place[j][0] = found ? found->submission : -1;
    q.place[j][1] = found ? found->array : -1;
    if (found) AM_GO(done, add_stages(&q, j));
  }
  if (q.count) qsort(q.stage, (size_t)q.count, sizeof *q.stage, by_address);
  *out = q;
  q = (am_queue){0};
done:
  am_queue_fini(&q);
  free(name);
  return err;
}

void am_queue_fini(am_queue *q) {
  free(q->stage);
  free(q->place);
  am_slurm_jobs_fini(&q->jobs);
  am_submissions_fini(&q->submissions);
  *q = (am_queue){0};
}

// ---- asking ----

const am_queued_stage *am_queue_find(const am_queue *q, const char *address) {
  int64_t low = 0, high = q->count;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    if (strcmp(q->stage[middle].address, address) < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return low < q->count && strcmp(q->stage[low].address, address) == 0 ? &q->stage[low] : NULL;
}

const char *am_queue_describe(const am_queued_stage *s, char text[AM_QUEUE_TEXT]) {
  char job[48];
  if (s->job->task >= 0)
    snprintf(job, sizeof job, "job %lld_%lld", (long long)s->job->job, (long long)s->job->task);
  else
    snprintf(job, sizeof job, "job %lld", (long long)s->job->job);
  if (is_running(s))
    snprintf(text, AM_QUEUE_TEXT, "%s on %.100s, %s",
             strcmp(s->job->state, "RUNNING") ? s->job->state : "running",
             *s->job->nodes ? s->job->nodes : "no node", job);
  else
    snprintf(text, AM_QUEUE_TEXT, "waiting (%.100s), %s", s->job->reason, job);
  return text;
}

bool am_queue_has(const am_queue *q, int64_t submission) {
  for (int64_t j = 0; j < q->jobs.count; j++)
    if (q->place[j][0] == submission) return true;
  return false;
}
