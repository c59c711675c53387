#include "sweep/store.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "base/str.h"
#include "config/node.h"

static const size_t SMALL_FILE_BYTES = (size_t)64 << 20;
#define FAILURES "failures "

// A lease that others hold.
typedef struct {
  char address[AM_SHA256_HEX];
  am_lease_watch watch;
} watched;

struct am_store {
  char *dir;  // owned: RESULTS/store
  double expiry_sec;
  watched *watched;  // owned
  int64_t watched_count, watched_capacity;
};

struct am_artefact {
  am_store *store;  // borrowed
  char address[AM_SHA256_HEX];
  char *part, *out, *checkpoint;  // owned
  am_lease *lease;                // owned
  int ranks;
  double start_sec, spent;  // spent: by predecessors
};

// ---- finding ----

static void share_with_group(const char *dir) {
  struct stat st;
  mode_t before = umask(077);
  umask(stat(dir, &st) == 0 ? before & ~(st.st_mode & 070) : before);
}

am_err am_store_open(const char *results_dir, bool create, am_store **out) {
  am_err err = AM_OK;
  am_store *s = NULL;
  AM_GO(done, AM_NEW(&s));
  s->expiry_sec = AM_LEASE_EXPIRY_SEC;
  AM_GO(done, am_path_join(results_dir, "store", &s->dir));
  if (create) {
    AM_GO(done, am_path_mkdirs(s->dir));
    if (access(s->dir, W_OK | X_OK) != 0) AM_GO(done, am_path_fail("cannot write to the store", s->dir));
    share_with_group(s->dir);
  }
  *out = s;
  s = NULL;
done:
  am_store_close(s);
  return err;
}

void am_store_close(am_store *s) {
  if (!s) return;
  free(s->dir);
  free(s->watched);
  free(s);
}

void am_store_set_expiry(am_store *s, double seconds) { s->expiry_sec = seconds; }

static am_err path_of(const am_store *s, const char *address, const char *suffix, char **out) {
  return am_str_format(out, "%s/%.2s/%s%s", s->dir, address, address, suffix);
}

am_err am_store_folder(const am_store *s, const char *address, char **out) {
  return am_str_format(out, "%s/%.2s", s->dir, address);
}

am_err am_store_path(const am_store *s, const char *address, const char *name, char **out) {
  if (!name) return path_of(s, address, "", out);
  return am_str_format(out, "%s/%.2s/%s/%s", s->dir, address, address, name);
}

bool am_store_has(const am_store *s, const char *address) {
  char *path = NULL;
  if (am_store_path(s, address, "DONE", &path) != AM_OK) return false;
  bool there = am_path_exists(path);
  free(path);
  return there;
}

// "failures N", then the message.
am_err am_store_failure(const am_store *s, const char *address, int64_t *count, char **text) {
  am_err err = AM_OK;
  char *path = NULL, *all = NULL;
  size_t bytes = 0;
  *count = 0;
  *text = NULL;
  AM_GO(done, path_of(s, address, ".failed", &path));
  if (!am_path_exists(path)) goto done;
  AM_GO(done, am_file_read(path, SMALL_FILE_BYTES, &all, &bytes));
  char *message = strchr(all, '\n');
  bool fine =
      message && am_str_starts(all, FAILURES) && sscanf(all + strlen(FAILURES), "%9" SCNd64, count) == 1;
  AM_CHECK_GO(done, fine && *count > 0, AM_ERR_DATA, "%s is not a record of failures: remove it", path);
  AM_GO(done, am_mem_strdup(message + 1, text));
done:
  free(path);
  free(all);
  return err;
}

am_err am_store_add_failure(am_store *s, const char *address, const char *text) {
  am_err err = AM_OK;
  char *path = NULL, *before = NULL, *record = NULL;
  int64_t count = 0;
  AM_GO(done, am_store_failure(s, address, &count, &before));
  if (!before || strcmp(before, text) != 0) count = 0;
  AM_GO(done, path_of(s, address, ".failed", &path));
  AM_GO(done, am_str_format(&record, FAILURES "%lld\n%s", (long long)count + 1, text));
  AM_GO(done, am_file_write(path, record, strlen(record)));
done:
  free(path);
  free(before);
  free(record);
  return err;
}

am_err am_store_forgive(am_store *s, const char *address) {
  char *path = NULL;
  AM_TRY(path_of(s, address, ".failed", &path));
  am_err err = am_path_remove_tree(path);
  free(path);
  return err;
}

// The tree of provenance.json, or NULL: an unreadable note is not worth an error.
static am_node *read_provenance(const am_store *s, const char *address) {
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  am_node *tree = NULL;
  am_err err = am_store_path(s, address, "provenance.json", &path);
  if (!err && am_path_exists(path)) {
    err = am_file_read(path, SMALL_FILE_BYTES, &text, &bytes);
    if (!err) err = am_yaml_parse(path, text, bytes, &tree);
  }
  if (err) am_err_clear();
  free(text);
  free(path);
  return err ? NULL : tree;
}

double am_store_number(const am_store *s, const char *address, const char *key) {
  am_node *tree = read_provenance(s, address);
  double value = NAN;
  const am_node *n = am_node_get(tree, key);
  if (!n || n->kind != AM_NODE_SCALAR || !am_text_is_number(n->text, &value)) value = NAN;
  am_node_free(tree);
  return value;
}

char *am_store_text(const am_store *s, const char *address, const char *key) {
  am_node *tree = read_provenance(s, address);
  const am_node *n = am_node_get(tree, key);
  char *text = NULL;
  if (n && n->kind == AM_NODE_SCALAR && am_mem_strdup(n->text, &text) != AM_OK) am_err_clear();
  am_node_free(tree);
  return text;
}

static am_err list_one(const am_store *s, const char *folder, char (**address)[AM_SHA256_HEX], int64_t *count,
                       int64_t *capacity) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL;
  AM_GO(done, am_path_join(s->dir, folder, &path));
  if (!am_path_is_dir(path)) goto done;
  AM_GO(done, am_dir_read(path, &list));
  for (int64_t i = 0; i < list.count; i++) {
    const char *name = list.name[i];
    if (strlen(name) != AM_SHA256_HEX - 1 || !am_store_has(s, name)) continue;
    AM_GO(done, AM_GROW(address, capacity, *count + 1));
    memcpy((*address)[(*count)++], name, AM_SHA256_HEX);
  }
done:
  am_dir_list_fini(&list);
  free(path);
  return err;
}

am_err am_store_list(const am_store *s, char (**address)[AM_SHA256_HEX], int64_t *count) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  int64_t capacity = 0;
  *address = NULL;
  *count = 0;
  if (!am_path_is_dir(s->dir)) return AM_OK;
  AM_GO(done, am_dir_read(s->dir, &list));
  for (int64_t i = 0; i < list.count; i++) AM_GO(done, list_one(s, list.name[i], address, count, &capacity));
done:
  if (err) {
    free(*address);
    *address = NULL;
    *count = 0;
  }
  am_dir_list_fini(&list);
  return err;
}

// ---- leases ----

am_err am_store_holder(const am_store *s, const char *address, am_lease_holder *holder, bool *held) {
  char *path = NULL;
  AM_TRY(path_of(s, address, ".lease", &path));
  am_err err = am_lease_look(path, NULL, holder, held);
  free(path);
  return err;
}

static am_err watch_of(am_store *s, const char *address, am_lease_watch **out) {
  int64_t i = 0;
  while (i < s->watched_count && strcmp(s->watched[i].address, address) != 0) i++;
  if (i == s->watched_count) {
    AM_TRY(AM_GROW(&s->watched, &s->watched_capacity, i + 1));
    snprintf(s->watched[i].address, AM_SHA256_HEX, "%s", address);
    s->watched_count++;
  }
  *out = &s->watched[i].watch;
  return AM_OK;
}

am_err am_store_observe(am_store *s, const char *address, am_lease_holder *holder, bool *held,
                        am_lease_watch *seen) {
  am_lease_watch *watch = NULL;
  char *path = NULL;
  AM_TRY(watch_of(s, address, &watch));
  AM_TRY(path_of(s, address, ".lease", &path));
  am_err err = am_lease_look(path, watch, holder, held);
  free(path);
  *seen = *watch;
  seen->since_sec = am_clock_sec() - watch->since_sec;
  return err;
}

am_err am_store_set_watch(am_store *s, const char *address, const am_lease_watch *seen) {
  am_lease_watch *watch = NULL;
  AM_TRY(watch_of(s, address, &watch));
  *watch = *seen;
  watch->since_sec = am_clock_sec() - seen->since_sec;
  return AM_OK;
}

// ---- making one ----

static void artefact_free(am_artefact *a) {
  if (!a) return;
  am_lease_release(a->lease);
  free(a->part);
  free(a->out);
  free(a->checkpoint);
  free(a);
}

// The names of checkpoints rise with what they hold: the last one is how far a claimant came.
static am_err progress_of(const char *part, char **out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL;
  AM_GO(done, am_path_join(part, "checkpoint", &path));
  if (!am_path_is_dir(path)) goto done;
  AM_GO(done, am_dir_read(path, &list));
  if (list.count) AM_GO(done, am_mem_strdup(list.name[list.count - 1], out));
done:
  free(path);
  am_dir_list_fini(&list);
  return err;
}

// The folders of those who were at this artefact before: paths, in *out.
static am_err predecessors(const am_artefact *a, const char *folder, am_dir_list *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char prefix[AM_SHA256_HEX + 8];
  snprintf(prefix, sizeof prefix, "%s.part.", a->address);
  AM_GO(done, am_dir_read(folder, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (!am_str_starts(list.name[i], prefix) || strcmp(list.name[i], am_path_name(a->part)) == 0) continue;
    AM_GO(done, AM_GROW(&out->name, &out->capacity, out->count + 1));
    AM_GO(done, am_path_join(folder, list.name[i], &out->name[out->count]));
    out->count++;
  }
done:
  am_dir_list_fini(&list);
  return err;
}

static am_err write_in(const char *dir, const char *name, const char *text) {
  char *path = NULL;
  AM_TRY(am_path_join(dir, name, &path));
  am_err err = am_file_write(path, text, strlen(text));
  free(path);
  return err;
}

static am_err write_spent(const am_artefact *a, double rank_sec) {
  char number[AM_NUMBER_TEXT];
  return rank_sec > 0 ? write_in(a->part, "spent", am_number_text(rank_sec, number)) : AM_OK;
}

// What the note in the part says and, of one that died, the time it had its lease.
static am_err inherit_cost(am_artefact *a, const char *part) {
  am_err err = AM_OK;
  char *path = NULL, *text = NULL;
  size_t bytes = 0;
  const am_lease_holder *dead = am_lease_predecessor(a->lease);
  AM_GO(done, am_path_join(part, "spent", &path));
  if (am_path_exists(path)) AM_GO(done, am_file_read(path, SMALL_FILE_BYTES, &text, &bytes));
  if (text && !am_text_is_number(text, &a->spent)) a->spent = 0;
  if (dead->pid && am_str_ends(part, dead->token)) a->spent += dead->held_sec * dead->ranks;
  AM_GO(done, write_spent(a, a->spent));
done:
  free(path);
  free(text);
  return err;
}

// Takes the checkpoint of whoever came furthest and removes the rest of what they left. What cannot be
// taken or removed costs time and space, no more: it may be another user's.
static am_err inherit(am_artefact *a, const char *folder) {
  am_err err = AM_OK;
  am_dir_list parts = {0};
  char *best = NULL, *progress = NULL, *from = NULL;
  int64_t heir_of = -1;
  AM_GO(done, predecessors(a, folder, &parts));
  for (int64_t i = 0; i < parts.count; i++) {
    AM_GO(done, progress_of(parts.name[i], &progress));
    if (progress && (!best || strcmp(progress, best) > 0)) {
      free(best);
      best = progress;
      progress = NULL;
      heir_of = i;
    }
    free(progress);
    progress = NULL;
  }
  if (heir_of >= 0) {
    AM_GO(done, am_path_join(parts.name[heir_of], "checkpoint", &from));
    if (am_path_rename(from, a->checkpoint) != AM_OK)
      AM_WARN("the checkpoint of %.12s is not taken over: %s", a->address, am_err_last()->message);
    else
      AM_GO(done, inherit_cost(a, parts.name[heir_of]));
  }
  for (int64_t i = 0; i < parts.count; i++)
    if (am_path_remove_tree(parts.name[i]) != AM_OK) AM_WARN("%s", am_err_last()->message);
done:
  free(best);
  free(progress);
  free(from);
  am_dir_list_fini(&parts);
  return err;
}

am_err am_artefact_begin(am_store *s, const char *address, int ranks, am_artefact **out,
                         am_lease_holder *holder) {
  am_err err = AM_OK;
  am_artefact *a = NULL;
  am_lease_watch *watch = NULL;
  am_lease_holder somebody;
  char *lease = NULL, *folder = NULL;
  *out = NULL;
  AM_GO(done, AM_NEW(&a));
  a->store = s;
  a->ranks = ranks;
  a->start_sec = am_clock_sec();
  snprintf(a->address, sizeof a->address, "%s", address);
  AM_GO(done, am_store_folder(s, address, &folder));
  AM_GO(done, am_path_mkdirs(folder));
  AM_GO(done, path_of(s, address, ".lease", &lease));
  AM_GO(done, watch_of(s, address, &watch));
  AM_GO(done, am_lease_take(lease, s->expiry_sec, ranks, watch, &a->lease, holder ? holder : &somebody));
  if (!a->lease) goto done;
  AM_GO(done, am_str_format(&a->part, "%s/%s.part.%s", folder, address, am_lease_token(a->lease)));
  AM_GO(done, am_path_join(a->part, "out", &a->out));
  AM_GO(done, am_path_join(a->part, "checkpoint", &a->checkpoint));
  AM_GO(done, am_path_mkdirs(a->out));
  AM_GO(done, inherit(a, folder));
  AM_GO(done, am_path_mkdirs(a->checkpoint));
  *out = a;
  a = NULL;
done:
  artefact_free(a);
  free(lease);
  free(folder);
  return err;
}

const char *am_artefact_dir(const am_artefact *a) { return a->out; }
const char *am_artefact_checkpoint(const am_artefact *a) { return a->checkpoint; }
am_err am_artefact_bytes(const am_artefact *a, int64_t *bytes) { return am_path_tree_bytes(a->out, bytes); }
double am_artefact_spent(const am_artefact *a) { return a->spent; }
bool am_artefact_held(const am_artefact *a) { return am_lease_held(a->lease); }

void am_artefact_abandon(am_artefact *a) {
  if (!a) return;
  am_err_record record = *am_err_last();
  if (am_path_remove_tree(a->out) != AM_OK) AM_WARN("%s could not be removed", a->out);
  bool saved = am_path_exists(a->checkpoint) && rmdir(a->checkpoint) != 0;  // goes only when it is empty
  bool heirs = saved && am_artefact_held(a);  // else whoever took over has taken the checkpoint, too
  double mine = (am_clock_sec() - a->start_sec) * a->ranks;
  if (heirs && write_spent(a, a->spent + mine) != AM_OK) AM_WARN("%s", am_err_last()->message);
  if (!heirs && am_path_remove_tree(a->part) != AM_OK) AM_WARN("%s could not be removed", a->part);
  am_err_restore(&record);
  artefact_free(a);
}

// "<sha256>  <name>" for every file of the folder, in byte order of the names.
static am_err list_files(const char *dir, am_str *out) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL, hex[AM_SHA256_HEX];
  AM_GO(done, am_dir_read(dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (strcmp(list.name[i], "MANIFEST") == 0 || strcmp(list.name[i], "DONE") == 0) continue;
    AM_GO(done, am_path_join(dir, list.name[i], &path));
    AM_GO(done, am_sha256_file(path, hex));
    AM_GO(done, am_str_printf(out, "%s  %s\n", hex, list.name[i]));
    free(path);
    path = NULL;
  }
done:
  free(path);
  am_dir_list_fini(&list);
  return err;
}

// A folder without DONE does not exist. It is set aside first: what is renamed away is never somebody's
// finished work, and of two that publish at once one finds the place taken.
static am_err publish(const am_artefact *a, bool *published) {
  am_err err = AM_OK;
  char *final = NULL, *aside = NULL;
  AM_GO(done, path_of(a->store, a->address, "", &final));
  AM_GO(done, am_path_join(a->part, "aside", &aside));
  *published = !am_store_has(a->store, a->address) && am_artefact_held(a);
  if (*published) {
    if (am_path_exists(final)) AM_GO(done, am_path_rename(final, aside));
    err = am_path_rename(a->out, final);
    if (err && am_store_has(a->store, a->address)) *published = false, err = AM_OK;
    AM_GO(done, err);
  }
  AM_GO(done, am_path_remove_tree(a->part));
  if (*published) AM_GO(done, am_store_forgive(a->store, a->address));
done:
  free(final);
  free(aside);
  return err;
}

am_err am_artefact_commit(am_artefact *a, const char *stage_text, const char *provenance, bool *published) {
  am_err err = AM_OK;
  am_str manifest = {0};
  char hex[AM_SHA256_HEX];
  *published = false;
  AM_GO(done, write_in(a->out, "stage.json", stage_text));
  AM_GO(done, write_in(a->out, "provenance.json", provenance));
  AM_GO(done, list_files(a->out, &manifest));
  AM_GO(done, write_in(a->out, "MANIFEST", am_str_get(&manifest)));
  AM_GO(done, am_sha256_bytes(manifest.text, (size_t)manifest.length, hex));
  am_fault_point();
  AM_GO(done, write_in(a->out, "DONE", hex));
  am_fault_point();
  AM_GO(done, publish(a, published));
done:
  // Whoever took over has removed this claimant's folder.
  if (err && !am_artefact_held(a)) *published = false, err = AM_OK;
  am_str_fini(&manifest);
  am_artefact_abandon(a);
  return err;
}

// ---- verifying ----

static am_err read_in(const am_store *s, const char *address, const char *name, char **text, size_t *bytes) {
  char *path = NULL;
  AM_TRY(am_store_path(s, address, name, &path));
  am_err err = am_file_read(path, SMALL_FILE_BYTES, text, bytes);
  free(path);
  return err;
}

am_err am_store_verify(const am_store *s, const char *address) {
  am_err err = AM_OK;
  char *dir = NULL, *stage = NULL, *manifest = NULL, *done_text = NULL, hex[AM_SHA256_HEX];
  size_t stage_bytes = 0, manifest_bytes = 0, done_bytes = 0;
  am_str now = {0};
  AM_GO(done, am_store_path(s, address, NULL, &dir));
  AM_GO(done, read_in(s, address, "stage.json", &stage, &stage_bytes));
  AM_GO(done, am_sha256_bytes(stage, stage_bytes, hex));
  AM_CHECK_GO(done, strcmp(hex, address) == 0, AM_ERR_DATA,
              "%s: stage.json has the hash %.12s..., not the folder's name", dir, hex);
  AM_GO(done, read_in(s, address, "MANIFEST", &manifest, &manifest_bytes));
  AM_GO(done, read_in(s, address, "DONE", &done_text, &done_bytes));
  AM_GO(done, am_sha256_bytes(manifest, manifest_bytes, hex));
  AM_CHECK_GO(done, strcmp(hex, done_text) == 0, AM_ERR_DATA, "%s: MANIFEST was changed after it was written",
              dir);
  AM_GO(done, list_files(dir, &now));
  // Both list the files in byte order: the first line that differs names the file.
  const char *was = manifest, *is = am_str_get(&now);
  while (*was || *is) {
    size_t was_line = strcspn(was, "\n"), is_line = strcspn(is, "\n");
    if (was_line != is_line || memcmp(was, is, was_line) != 0) {
      err = AM_FAIL(AM_ERR_DATA,
                    "%s: files are changed, missing or new: MANIFEST says \"%.*s\", the folder has \"%.*s\"",
                    dir, (int)was_line, was, (int)is_line, is);
      goto done;
    }
    was += was_line + (was[was_line] == '\n');
    is += is_line + (is[is_line] == '\n');
  }
done:
  am_str_fini(&now);
  free(dir);
  free(stage);
  free(manifest);
  free(done_text);
  return err;
}
