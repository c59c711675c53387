#include "sweep/references.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "sweep/submission.h"

static const size_t NOTE_BYTES = (size_t)256 << 20;  // a million stages
static const char NOTE[] = "stages.txt";

// ---- writing ----

static am_err describe(const am_plan *const *plan, int64_t count, am_str *out) {
  for (int64_t i = 0; i < count; i++)
    for (int64_t k = 0; k < plan[i]->count; k++)
      AM_TRY(am_str_printf(out, "%s  %s\n", plan[i]->stage[k].address, plan[i]->stage[k].id));
  return AM_OK;
}

static bool says(const char *path, const am_str *text) {
  char *now = NULL;
  size_t bytes = 0;
  if (!am_path_exists(path)) return false;
  bool same = am_file_read(path, NOTE_BYTES, &now, &bytes) == AM_OK && bytes == (size_t)text->length &&
              memcmp(now, am_str_get(text), bytes) == 0;
  if (!now) am_err_clear();
  free(now);
  return same;
}

am_err am_references_note(const char *dir, const am_plan *const *plan, int64_t count) {
  am_err err = AM_OK;
  am_str text = {0};
  char *path = NULL;
  AM_GO(done, describe(plan, count, &text));
  AM_GO(done, am_path_join(dir, NOTE, &path));
  if (says(path, &text)) goto done;
  AM_GO(done, am_path_mkdirs(dir));
  AM_GO(done, am_file_write(path, am_str_get(&text), (size_t)text.length));
done:
  free(path);
  am_str_fini(&text);
  return err;
}

// ---- reading ----

static am_err add_address(am_references *r, const char *address) {
  AM_TRY(AM_GROW(&r->noted, &r->capacity, r->count + 1));
  snprintf(r->noted[r->count++], AM_SHA256_HEX, "%.*s", AM_SHA256_HEX - 1, address);
  return AM_OK;
}

static am_err add_referrer(am_references *r, const char *name, am_referrer **out) {
  AM_TRY(AM_GROW(&r->by, &r->by_capacity, r->by_count + 1));
  *out = &r->by[r->by_count];
  **out = (am_referrer){.known = true, .first = r->count};
  AM_TRY(am_mem_strdup(name, &(*out)->name));
  r->by_count++;
  return AM_OK;
}

static am_err parse_note(const char *path, const char *text, am_references *r, int64_t *stages) {
  while (*text) {
    size_t line = strcspn(text, "\n");
    AM_CHECK(
        strspn(text, "0123456789abcdef") == AM_SHA256_HEX - 1 && text[AM_SHA256_HEX - 1] == ' ' && text[line],
        AM_ERR_DATA, "%s is not a list of stages, from \"%.40s\" on: run its experiment again", path, text);
    AM_TRY(add_address(r, text));
    ++*stages;
    text += line + 1;
  }
  return AM_OK;
}

static am_err read_note(const char *path, am_references *r, int64_t *stages) {
  char *text = NULL;
  size_t bytes = 0;
  AM_TRY(am_file_read(path, NOTE_BYTES, &text, &bytes));
  am_err err = parse_note(path, text, r, stages);
  free(text);
  return err;
}

// What lies below RESULTS, or RESULTS/slurm, and has a note or the file that should have one beside it.
typedef am_err (*visit_fn)(void *user, const char *dir, const char *note, const char *beside);

static am_err visit_one(const char *dir, const char *file, visit_fn each, void *user) {
  am_err err = AM_OK;
  char *note = NULL, *beside = NULL;
  AM_GO(done, am_path_join(dir, NOTE, &note));
  AM_GO(done, am_path_join(dir, file, &beside));
  AM_GO(done, each(user, dir, note, beside));
done:
  free(note);
  free(beside);
  return err;
}

static am_err visit(const char *parent, const char *file, visit_fn each, void *user) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *dir = NULL;
  if (am_path_is_dir(parent)) AM_GO(done, am_dir_read(parent, &list));
  for (int64_t i = 0; i < list.count; i++) {
    AM_GO(done, am_path_join(parent, list.name[i], &dir));
    AM_GO(done, visit_one(dir, file, each, user));
    free(dir);
    dir = NULL;
  }
done:
  free(dir);
  am_dir_list_fini(&list);
  return err;
}

static am_err visit_all(const char *results_dir, visit_fn experiment, visit_fn submission, void *user) {
  char *slurm = NULL;
  AM_TRY(visit(results_dir, "results.h5", experiment, user));
  AM_TRY(am_path_join(results_dir, "slurm", &slurm));
  am_err err = visit(slurm, "submission.json", submission, user);
  free(slurm);
  return err;
}

static am_err read_experiment(void *user, const char *dir, const char *note, const char *table) {
  am_references *r = user;
  am_referrer *by = NULL;
  bool noted = am_path_exists(note);
  if (!noted && !am_path_exists(table)) return AM_OK;
  AM_TRY(add_referrer(r, am_path_name(dir), &by));
  by->known = noted;
  return noted ? read_note(note, r, &by->stages) : AM_OK;
}

static am_err read_submission(void *user, const char *dir, const char *note, const char *file) {
  am_references *r = user;
  am_referrer *by = NULL;
  am_submission *s = NULL;
  if (!am_path_exists(file)) return AM_OK;
  AM_TRY(am_submission_read(dir, &s));
  bool closed = s->closed;
  am_submission_free(s);
  if (closed) return AM_OK;
  AM_TRY(add_referrer(r, am_path_name(dir), &by));
  by->submission = true;
  by->known = am_path_exists(note);
  return by->known ? read_note(note, r, &by->stages) : AM_OK;
}

// A plan speaks for its experiment, beside what is noted of it.
static am_err add_plan(am_references *r, const am_plan *p) {
  am_referrer *by = NULL;
  for (int64_t i = 0; i < r->by_count; i++)
    if (!r->by[i].submission && strcmp(r->by[i].name, p->e->folder) == 0) r->by[i].known = true;
  AM_TRY(add_referrer(r, p->e->file, &by));
  by->stages = p->count;
  for (int64_t k = 0; k < p->count; k++) AM_TRY(add_address(r, p->stage[k].address));
  return AM_OK;
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

// ---- what was read, and whether it still stands ----

static am_err stamp(am_str *out, const char *path) {
  struct stat st;
  if (stat(path, &st) != 0) return AM_OK;
  return am_str_printf(out, "%s %lld %lld %lld.%09ld\n", path, (long long)st.st_ino, (long long)st.st_size,
                       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

static am_err stamp_both(void *user, const char *dir, const char *note, const char *beside) {
  (void)dir;
  AM_TRY(stamp(user, note));
  return stamp(user, beside);
}

static am_err look(const char *results_dir, char **out) {
  am_str text = {0};
  am_err err = visit_all(results_dir, stamp_both, stamp_both, &text);
  if (!err) err = am_str_take(&text, out);
  am_str_fini(&text);
  return err;
}

am_err am_references_read(const char *results_dir, const am_plan *const *plan, int64_t count,
                          am_references *out) {
  am_err err = AM_OK;
  am_references r = {0};
  AM_GO(done, look(results_dir, &r.seen));
  AM_GO(done, visit_all(results_dir, read_experiment, read_submission, &r));
  for (int64_t i = 0; i < count; i++) AM_GO(done, add_plan(&r, plan[i]));
  AM_GO(done, AM_NEW_ARRAY(&r.address, r.count));
  if (r.count) memcpy(r.address, r.noted, (size_t)r.count * sizeof *r.noted);
  if (r.count) qsort(r.address, (size_t)r.count, sizeof *r.address, by_text);
  *out = r;
  r = (am_references){0};
done:
  am_references_fini(&r);
  return err;
}

void am_references_fini(am_references *r) {
  for (int64_t i = 0; i < r->by_count; i++) free(r->by[i].name);
  free(r->by);
  free(r->noted);
  free(r->address);
  free(r->seen);
  *r = (am_references){0};
}

bool am_references_has(const am_references *r, const char *address) {
  return r->count && bsearch(address, r->address, (size_t)r->count, sizeof *r->address, by_text);
}

am_err am_references_changed(const am_references *r, const char *results_dir, bool *changed) {
  char *now = NULL;
  AM_TRY(look(results_dir, &now));
  *changed = strcmp(now, r->seen) != 0;
  free(now);
  return AM_OK;
}
