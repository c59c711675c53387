#include "sweep/pack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static const double MINUTE_SEC = 60;
// A job asks for this many times what it is expected to take, and START_MIN more for starting up: a
// short request starts sooner, and one that was too short is requeued.
static const double TIME_FACTOR = 3;
enum { START_MIN = 10, ROUND_MIN = 5 };

// ---- which stages, once each ----

typedef struct {
  const char *address;  // borrowed
  int64_t file, stage, array;
} placed_stage;

// All wanted stages in order of address; of equal ones the first file's.
typedef struct {
  placed_stage *item;
  int64_t count;
} placed_list;

static int by_address(const void *a, const void *b) {
  const placed_stage *x = a, *y = b;
  int order = strcmp(x->address, y->address);
  if (order) return order;
  return x->file != y->file ? (x->file > y->file) - (x->file < y->file)
                            : (x->stage > y->stage) - (x->stage < y->stage);
}

static am_err list_wanted(const am_pack_file *file, int64_t files, placed_list *out) {
  int64_t total = 0, kept = 0;
  for (int64_t f = 0; f < files; f++) total += file[f].plan->count;
  AM_TRY(AM_NEW_ARRAY(&out->item, total));
  for (int64_t f = 0; f < files; f++)
    for (int64_t i = 0; i < file[f].plan->count; i++)
      if (file[f].wanted[i])
        out->item[out->count++] =
            (placed_stage){.address = file[f].plan->stage[i].address, .file = f, .stage = i, .array = -1};
  qsort(out->item, (size_t)out->count, sizeof *out->item, by_address);
  for (int64_t i = 0; i < out->count; i++)
    if (i == 0 || strcmp(out->item[i].address, out->item[kept - 1].address) != 0)
      out->item[kept++] = out->item[i];
  out->count = kept;
  return AM_OK;
}

static placed_stage *find_placed(const placed_list *list, const char *address) {
  int64_t low = 0, high = list->count;
  while (low < high) {
    int64_t middle = (low + high) / 2;
    int order = strcmp(list->item[middle].address, address);
    if (order == 0) return &list->item[middle];
    if (order < 0)
      low = middle + 1;
    else
      high = middle;
  }
  return NULL;
}

// ---- units ----

typedef struct {
  am_stage_kind kind;
  int level;
  int64_t file, width;
  double seconds;  // on `width` ranks; 0: unknown
  int64_t *stage;  // owned
  int64_t count, capacity;
} unit;

typedef struct {
  unit *item;
  int64_t count, capacity;
} unit_list;

static void units_fini(unit_list *u) {
  for (int64_t i = 0; i < u->count; i++) free(u->item[i].stage);
  free(u->item);
}

// The stage that leads the unit: an evaluation goes with its training when that is placed, too.
static int64_t leader(const am_plan *p, int64_t i, const int64_t *unit_of) {
  const am_stage *st = &p->stage[i];
  bool joins = st->kind == AM_STAGE_EVALUATE && st->input_count && unit_of[st->input[0]] >= 0;
  return joins ? st->input[0] : i;
}

static am_err add_stage(unit *u, const am_stage *st, int64_t i) {
  AM_TRY(AM_GROW(&u->stage, &u->capacity, u->count + 1));
  // Work that nobody has timed keeps the whole unit unknown.
  bool known = st->expected_sec > 0 && (u->count == 0 || u->seconds > 0);
  u->seconds = known ? u->seconds + st->expected_sec / (double)u->width : 0;
  u->stage[u->count++] = i;
  return AM_OK;
}

// Units of one file, in the plan's order, in which inputs come first.
static am_err list_units(const am_pack_file *file, int64_t f, const placed_list *placed, int64_t ranks,
                         unit_list *out) {
  am_err err = AM_OK;
  const am_plan *p = file[f].plan;
  int64_t *unit_of = NULL;
  AM_GO(done, AM_NEW_ARRAY(&unit_of, p->count));
  for (int64_t i = 0; i < p->count; i++) {
    unit_of[i] = -1;
    const am_stage *st = &p->stage[i];
    const placed_stage *mine = file[f].wanted[i] ? find_placed(placed, st->address) : NULL;
    if (!mine || mine->file != f || mine->stage != i) continue;
    int64_t first = leader(p, i, unit_of);
    if (first == i) {
      AM_GO(done, AM_GROW(&out->item, &out->capacity, out->count + 1));
      unit_of[i] = out->count++;
      out->item[unit_of[i]] =
          (unit){.kind = st->kind, .level = st->level, .file = f, .width = am_min_i64(st->slices, ranks)};
    }
    unit_of[i] = unit_of[first];
    AM_GO(done, add_stage(&out->item[unit_of[i]], st, i));
  }
done:
  free(unit_of);
  return err;
}

// Units that are packed together stand together, longest first.
static int compare_buckets(const unit *x, const unit *y) {
  if (x->level != y->level) return x->level < y->level ? -1 : 1;
  if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
  if (x->width != y->width) return x->width > y->width ? -1 : 1;
  return (x->file > y->file) - (x->file < y->file);
}

static int by_bucket(const void *a, const void *b) {
  const unit *x = a, *y = b;
  int order = compare_buckets(x, y);
  if (order) return order;
  if (x->seconds != y->seconds) return x->seconds > y->seconds ? -1 : 1;
  return (x->stage[0] > y->stage[0]) - (x->stage[0] < y->stage[0]);
}

// ---- tasks ----

typedef struct {
  const am_site *profile;
  placed_list *placed;
  const am_pack_file *file;
  am_packing *out;
} packer;

// An unknown unit counts as one whole job's length, so that none is packed behind another.
static double weight_of(const packer *k, const unit *u) {
  return u->seconds > 0 ? u->seconds : (double)k->profile->cfg.job_length * MINUTE_SEC;
}

// Seconds that a task of `units` units with this sum of weights takes on `slots` groups of ranks.
static double span_of(double weight, double longest, int64_t slots) {
  return fmax(longest, weight / (double)slots);
}

static int64_t minutes_for(const am_site *p, double seconds, bool known) {
  if (!known) return p->cfg.time_limit;
  double minutes = START_MIN + TIME_FACTOR * seconds / MINUTE_SEC;
  if (minutes >= (double)p->cfg.time_limit) return p->cfg.time_limit;
  return am_min_i64(p->cfg.time_limit, ((int64_t)minutes / ROUND_MIN + 1) * ROUND_MIN);
}

// The array that takes another task of this kind; a new one when there is none or it is full.
static am_err array_for(packer *k, const unit *u, int64_t ranks, int64_t minutes, am_job_array **out) {
  am_packing *all = k->out;
  for (int64_t i = 0; i < all->count; i++) {
    am_job_array *a = &all->array[i];
    if (a->kind != u->kind || a->level != u->level || a->ranks != ranks || a->minutes != minutes) continue;
    if (a->count == k->profile->cfg.max_array) continue;
    *out = a;
    return AM_OK;
  }
  AM_TRY(AM_GROW(&all->array, &all->capacity, all->count + 1));
  *out = &all->array[all->count++];
  **out = (am_job_array){.kind = u->kind, .level = u->level, .ranks = ranks, .minutes = minutes};
  return AM_OK;
}

static am_err put_task(packer *k, const unit *u, int64_t ranks, int64_t minutes, am_task *task_take) {
  am_job_array *a = NULL;
  am_err err = array_for(k, u, ranks, minutes, &a);
  if (!err) err = AM_GROW(&a->task, &a->capacity, a->count + 1);
  if (err) {
    free(task_take->stage);
    return err;
  }
  a->task[a->count++] = *task_take;
  return AM_OK;
}

// Deals the units of one bucket, longest first, each to the task with the least work so far.
static am_err pack_bucket(packer *k, const unit *u, int64_t count) {
  am_err err = AM_OK;
  am_task *task = NULL;
  double *load = NULL, total = 0;
  int64_t *units = NULL, slots = am_site_job_ranks(k->profile) / u->width, most = 0;
  bool known = true;
  for (int64_t i = 0; i < count; i++) {
    total += weight_of(k, &u[i]);
    known = known && u[i].seconds > 0;
  }
  double room = (double)slots * (double)k->profile->cfg.job_length * MINUTE_SEC;
  int64_t tasks = am_min_i64(count, am_max_i64(1, (int64_t)ceil(total / room)));
  AM_GO(done, AM_NEW_ARRAY(&task, tasks));
  AM_GO(done, AM_NEW_ARRAY(&load, tasks));
  AM_GO(done, AM_NEW_ARRAY(&units, tasks));
  for (int64_t i = 0; i < count; i++) {
    int64_t least = 0;
    for (int64_t t = 1; t < tasks; t++)
      if (load[t] < load[least]) least = t;
    am_task *to = &task[least];
    load[least] += weight_of(k, &u[i]);
    most = am_max_i64(most, ++units[least]);
    to->file = u->file;
    for (int64_t s = 0; s < u[i].count; s++) {
      AM_GO(done, AM_GROW(&to->stage, &to->capacity, to->count + 1));
      to->stage[to->count++] = u[i].stage[s];
    }
  }
  slots = am_min_i64(slots, most);
  double longest = 0;
  for (int64_t t = 0; t < tasks; t++) {
    double span = span_of(load[t], weight_of(k, u), slots);
    task[t].seconds = known ? span : 0;
    longest = fmax(longest, span);
  }
  for (int64_t t = 0; t < tasks; t++) {
    am_task take = task[t];
    task[t] = (am_task){0};
    AM_GO(done, put_task(k, u, slots * u->width, minutes_for(k->profile, longest, known), &take));
  }
done:
  for (int64_t t = 0; task && t < tasks; t++) free(task[t].stage);
  free(task);
  free(load);
  free(units);
  return err;
}

// ---- which array waits for which ----

static void note_arrays(packer *k) {
  for (int64_t a = 0; a < k->out->count; a++)
    for (int64_t t = 0; t < k->out->array[a].count; t++) {
      const am_task *task = &k->out->array[a].task[t];
      for (int64_t s = 0; s < task->count; s++)
        find_placed(k->placed, k->file[task->file].plan->stage[task->stage[s]].address)->array = a;
    }
}

static am_err add_needs(packer *k, int64_t a) {
  am_job_array *array = &k->out->array[a];
  AM_TRY(AM_NEW_ARRAY(&array->needs, k->out->count));
  for (int64_t t = 0; t < array->count; t++) {
    const am_plan *p = k->file[array->task[t].file].plan;
    for (int64_t s = 0; s < array->task[t].count; s++) {
      const am_stage *st = &p->stage[array->task[t].stage[s]];
      for (int64_t i = 0; i < st->input_count; i++) {
        const placed_stage *input = find_placed(k->placed, p->stage[st->input[i]].address);
        bool fresh = input && input->array != a;
        for (int64_t n = 0; n < array->need_count && fresh; n++) fresh = array->needs[n] != input->array;
        if (fresh) array->needs[array->need_count++] = input->array;
      }
    }
  }
  return AM_OK;
}

am_err am_pack(const am_pack_file *file, int64_t file_count, const am_site *profile, am_packing *out) {
  am_err err = AM_OK;
  placed_list placed = {0};
  unit_list units = {0};
  am_packing made = {0};
  packer k = {.profile = profile, .placed = &placed, .file = file, .out = &made};
  AM_GO(done, list_wanted(file, file_count, &placed));
  for (int64_t f = 0; f < file_count; f++)
    AM_GO(done, list_units(file, f, &placed, am_site_job_ranks(profile), &units));
  if (units.count) qsort(units.item, (size_t)units.count, sizeof *units.item, by_bucket);
  for (int64_t i = 0, end = 0; i < units.count; i = end) {
    for (end = i; end < units.count && compare_buckets(&units.item[i], &units.item[end]) == 0;) end++;
    AM_GO(done, pack_bucket(&k, &units.item[i], end - i));
  }
  note_arrays(&k);
  for (int64_t a = 0; a < made.count; a++) AM_GO(done, add_needs(&k, a));
  *out = made;
  made = (am_packing){0};
done:
  am_packing_fini(&made);
  units_fini(&units);
  free(placed.item);
  return err;
}

void am_packing_fini(am_packing *p) {
  for (int64_t a = 0; a < p->count; a++) {
    for (int64_t t = 0; t < p->array[a].count; t++) free(p->array[a].task[t].stage);
    free(p->array[a].task);
    free(p->array[a].needs);
  }
  free(p->array);
  *p = (am_packing){0};
}
