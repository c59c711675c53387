#include "sweep/submission.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"

static const size_t FILE_BYTES = (size_t)256 << 20;  // a million stages
static const char FILE_NAME[] = "submission.json";

// ---- memory ----

static void array_fini(am_submitted_array *a) {
  for (int64_t t = 0; t < a->task_count; t++) free(a->task[t].address);
  free(a->name);
  free(a->kind);
  free(a->after);
  free(a->wait);
  free(a->task);
}

void am_submission_free(am_submission *s) {
  if (!s) return;
  for (int64_t i = 0; i < s->file_count; i++) {
    am_submitted_file *f = &s->file[i];
    char *text[] = {f->name, f->path, f->experiment, f->data_dir, f->manifest_dir};
    for (size_t k = 0; k < sizeof text / sizeof *text; k++) free(text[k]);
  }
  for (int64_t i = 0; i < s->array_count; i++) array_fini(&s->array[i]);
  free(s->dir);
  free(s->id);
  free(s->profile);
  free(s->device);
  free(s->file);
  free(s->array);
  free(s);
}

const am_submitted_array *am_submission_tasks(const am_submission *s, int64_t array) {
  return &s->array[s->array[array].of];
}

// ---- writing ----

static json_t *file_to_json(const am_submitted_file *f) {
  return json_pack("{s:s, s:s, s:s, s:s, s:s, s:b}", "name", f->name, "path", f->path, "experiment",
                   f->experiment, "data", f->data_dir, "manifests", f->manifest_dir, "tiny", f->tiny);
}

static json_t *task_to_json(const am_submitted_task *t) {
  json_t *stages = json_array();
  for (int64_t i = 0; i < t->count; i++) json_array_append_new(stages, json_string(t->address[i]));
  return json_pack("{s:I, s:o}", "file", (json_int_t)t->file, "stages", stages);
}

static json_t *numbers_to_json(const int64_t *number, int64_t count) {
  json_t *list = json_array();
  for (int64_t i = 0; i < count; i++) json_array_append_new(list, json_integer(number[i]));
  return list;
}

static json_t *array_to_json(const am_submitted_array *a) {
  json_t *tasks = json_array();
  for (int64_t i = 0; i < a->task_count; i++) json_array_append_new(tasks, task_to_json(&a->task[i]));
  return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:o, s:o, s:o}", "name", a->name, "kind", a->kind,
                   "level", (json_int_t)a->level, "ranks", (json_int_t)a->ranks, "minutes",
                   (json_int_t)a->minutes, "of", (json_int_t)a->of, "job", (json_int_t)a->job, "after",
                   numbers_to_json(a->after, a->after_count), "wait", numbers_to_json(a->wait, a->wait_count),
                   "tasks", tasks);
}

am_err am_submission_write(const am_submission *s) {
  am_err err = AM_OK;
  char *path = NULL, *text = NULL;
  json_t *files = json_array(), *arrays = json_array();
  for (int64_t i = 0; i < s->file_count; i++) json_array_append_new(files, file_to_json(&s->file[i]));
  for (int64_t i = 0; i < s->array_count; i++) json_array_append_new(arrays, array_to_json(&s->array[i]));
  bool whole = (int64_t)json_array_size(files) == s->file_count;
  json_t *root = json_pack("{s:s, s:s, s:s, s:b, s:o, s:o}", "id", s->id, "profile", s->profile, "device",
                           s->device, "closed", s->closed, "files", files, "arrays", arrays);
  // jansson refuses a text that is not UTF-8, and only paths can be such a text.
  AM_CHECK_GO(done, root && whole, AM_ERR_ARG,
              "%s cannot be described in JSON: the paths of experiments, data and results must be UTF-8",
              s->dir);
  text = json_dumps(root, JSON_INDENT(1));
  AM_CHECK_GO(done, text, AM_ERR_NOMEM, "out of memory writing %s", FILE_NAME);
  AM_GO(done, am_path_join(s->dir, FILE_NAME, &path));
  AM_GO(done, am_file_write(path, text, strlen(text)));
done:
  json_decref(root);
  free(text);
  free(path);
  return err;
}

// ---- reading ----

// Where one is in the file, for messages.
typedef struct {
  const char *path;
  am_submission *s;
} reader;

static am_err fail_at(const reader *r, const char *key, const char *expected) {
  return AM_FAIL(AM_ERR_DATA, "%s: \"%s\" is missing or is not %s; remove the folder if its jobs are gone",
                 r->path, key, expected);
}

static am_err get_text(const reader *r, const json_t *map, const char *key, char **out) {
  const char *text = json_string_value(json_object_get(map, key));
  return text ? am_mem_strdup(text, out) : fail_at(r, key, "text");
}

static am_err get_int(const reader *r, const json_t *map, const char *key, int64_t min, int64_t max,
                      int64_t *out) {
  const json_t *n = json_object_get(map, key);
  if (!json_is_integer(n) || json_integer_value(n) < min || json_integer_value(n) > max)
    return fail_at(r, key, "a number in its range");
  *out = json_integer_value(n);
  return AM_OK;
}

static am_err get_list(const reader *r, const json_t *map, const char *key, json_t **out) {
  *out = json_object_get(map, key);
  return json_is_array(*out) ? AM_OK : fail_at(r, key, "a list");
}

static am_err get_numbers(const reader *r, const json_t *map, const char *key, int64_t max, int64_t **out,
                          int64_t *count) {
  json_t *list = NULL;
  AM_TRY(get_list(r, map, key, &list));
  AM_TRY(AM_NEW_ARRAY(out, (int64_t)json_array_size(list)));
  for (size_t i = 0; i < json_array_size(list); i++) {
    const json_t *n = json_array_get(list, i);
    if (!json_is_integer(n) || json_integer_value(n) < 0 || json_integer_value(n) > max)
      return fail_at(r, key, "a list of numbers in their range");
    (*out)[(*count)++] = json_integer_value(n);
  }
  return AM_OK;
}

static am_err read_file(const reader *r, const json_t *map, am_submitted_file *f) {
  f->tiny = json_is_true(json_object_get(map, "tiny"));
  AM_TRY(get_text(r, map, "name", &f->name));
  AM_TRY(get_text(r, map, "path", &f->path));
  AM_TRY(get_text(r, map, "experiment", &f->experiment));
  AM_TRY(get_text(r, map, "data", &f->data_dir));
  return get_text(r, map, "manifests", &f->manifest_dir);
}

static am_err read_task(const reader *r, const json_t *map, am_submitted_task *t) {
  json_t *stages = NULL;
  AM_TRY(get_int(r, map, "file", 0, r->s->file_count - 1, &t->file));
  AM_TRY(get_list(r, map, "stages", &stages));
  AM_TRY(AM_NEW_ARRAY(&t->address, (int64_t)json_array_size(stages)));
  for (size_t i = 0; i < json_array_size(stages); i++) {
    const char *address = json_string_value(json_array_get(stages, i));
    if (!address || strlen(address) != AM_SHA256_HEX - 1) return fail_at(r, "stages", "a list of addresses");
    memcpy(t->address[t->count++], address, AM_SHA256_HEX);
  }
  return AM_OK;
}

static am_err read_array(const reader *r, const json_t *map, int64_t arrays, am_submitted_array *a) {
  json_t *tasks = NULL;
  AM_TRY(get_text(r, map, "name", &a->name));
  AM_TRY(get_text(r, map, "kind", &a->kind));
  AM_TRY(get_int(r, map, "level", 0, AM_STAGE_LEVELS, &a->level));
  AM_TRY(get_int(r, map, "ranks", 1, INT32_MAX, &a->ranks));
  AM_TRY(get_int(r, map, "minutes", 1, INT32_MAX, &a->minutes));
  AM_TRY(get_int(r, map, "of", 0, arrays - 1, &a->of));
  AM_TRY(get_int(r, map, "job", 0, INT64_MAX, &a->job));
  AM_TRY(get_numbers(r, map, "after", arrays - 1, &a->after, &a->after_count));
  AM_TRY(get_numbers(r, map, "wait", INT64_MAX, &a->wait, &a->wait_count));
  AM_TRY(get_list(r, map, "tasks", &tasks));
  AM_TRY(AM_NEW_ARRAY(&a->task, (int64_t)json_array_size(tasks)));
  for (size_t i = 0; i < json_array_size(tasks); i++)
    AM_TRY(read_task(r, json_array_get(tasks, i), &a->task[a->task_count++]));
  return AM_OK;
}

static am_err read_all(const reader *r, const json_t *root) {
  am_submission *s = r->s;
  json_t *files = NULL, *arrays = NULL;
  s->closed = json_is_true(json_object_get(root, "closed"));
  AM_TRY(get_text(r, root, "id", &s->id));
  AM_TRY(get_text(r, root, "profile", &s->profile));
  AM_TRY(get_text(r, root, "device", &s->device));
  AM_TRY(get_list(r, root, "files", &files));
  AM_TRY(get_list(r, root, "arrays", &arrays));
  int64_t file_count = (int64_t)json_array_size(files), array_count = (int64_t)json_array_size(arrays);
  AM_TRY(AM_NEW_ARRAY(&s->file, file_count));
  while (s->file_count < file_count) {
    const json_t *map = json_array_get(files, (size_t)s->file_count);
    AM_TRY(read_file(r, map, &s->file[s->file_count++]));
  }
  AM_TRY(AM_NEW_ARRAY(&s->array, array_count));
  while (s->array_count < array_count) {
    const json_t *map = json_array_get(arrays, (size_t)s->array_count);
    AM_TRY(read_array(r, map, array_count, &s->array[s->array_count++]));
  }
  return AM_OK;
}

am_err am_submission_read(const char *dir, am_submission **out) {
  am_err err = AM_OK;
  am_submission *s = NULL;
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  json_t *root = NULL;
  json_error_t why;
  AM_GO(done, am_path_join(dir, FILE_NAME, &path));
  AM_GO(done, am_file_read(path, FILE_BYTES, &text, &bytes));
  root = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, &why);
  AM_CHECK_GO(done, root, AM_ERR_DATA, "%s:%d: %s; remove the folder if its jobs are gone", path, why.line,
              why.text);
  AM_GO(done, AM_NEW(&s));
  AM_GO(done, am_mem_strdup(dir, &s->dir));
  AM_GO(done, read_all(&(reader){path, s}, root));
  *out = s;
  s = NULL;
done:
  am_submission_free(s);
  json_decref(root);
  free(text);
  free(path);
  return err;
}

static am_err read_one(const char *folder, const char *id, am_submissions *out) {
  am_err err = AM_OK;
  char *dir = NULL, *file = NULL;
  am_submission *s = NULL;
  AM_GO(done, am_path_join(folder, id, &dir));
  AM_GO(done, am_path_join(dir, FILE_NAME, &file));
  if (!am_path_exists(file)) goto done;
  AM_GO(done, am_submission_read(dir, &s));
  if (s->closed) goto done;
  AM_GO(done, AM_GROW(&out->item, &out->capacity, out->count + 1));
  out->item[out->count++] = s;
  s = NULL;
done:
  am_submission_free(s);
  free(dir);
  free(file);
  return err;
}

am_err am_submissions_read(const char *results_dir, am_submissions *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  am_submissions all = {0};
  char *folder = NULL;
  AM_GO(done, am_path_join(results_dir, "slurm", &folder));
  if (am_path_is_dir(folder)) AM_GO(done, am_dir_read(folder, &list));
  for (int64_t i = 0; i < list.count; i++) AM_GO(done, read_one(folder, list.name[i], &all));
  *out = all;
  all = (am_submissions){0};
done:
  am_submissions_fini(&all);
  am_dir_list_fini(&list);
  free(folder);
  return err;
}

void am_submissions_fini(am_submissions *all) {
  for (int64_t i = 0; i < all->count; i++) am_submission_free(all->item[i]);
  free(all->item);
  *all = (am_submissions){0};
}
