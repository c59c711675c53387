#include "sweep/gc.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"

// A holder on another machine that has been silent for so many times its expiry is taken to be gone.
static const double SILENT_EXPIRIES = 10;

// ---- the names of one address ----

typedef enum {
  NAME_OTHER,
  NAME_ARTEFACT,
  NAME_PART,
  NAME_GONE,
  NAME_FAILED,
  NAME_TEMPORARY,
  NAME_LEASE
} name_kind;

static name_kind kind_of(const char *name) {
  const char *suffix = name + AM_SHA256_HEX - 1;
  if (!*suffix) return NAME_ARTEFACT;
  if (am_str_starts(suffix, ".part.")) return NAME_PART;
  if (am_str_starts(suffix, ".gone.")) return NAME_GONE;
  if (strcmp(suffix, ".failed") == 0) return NAME_FAILED;
  if (am_str_starts(suffix, ".failed.tmp.")) return NAME_TEMPORARY;
  bool lease = am_str_starts(suffix, ".lease") && (!suffix[6] || suffix[6] == '.');
  return lease ? NAME_LEASE : NAME_OTHER;
}

static bool is_address(const char *name) { return strspn(name, "0123456789abcdef") == AM_SHA256_HEX - 1; }

// One address in the listing of its folder, and what is known of it.
typedef struct {
  const am_store *store;
  char address[AM_SHA256_HEX];
  const char *folder;
  const am_dir_list *list;
  int64_t first, end;
  bool done, referenced;
  bool part_stays;  // and with it the lease, which says what the checkpoint cost
} place;

static place place_at(const am_store *store, const am_references *references, const char *folder,
                      const am_dir_list *list, int64_t first) {
  place at = {.store = store, .folder = folder, .list = list, .first = first, .end = first};
  snprintf(at.address, sizeof at.address, "%.*s", AM_SHA256_HEX - 1, list->name[first]);
  at.done = am_store_has(store, at.address);
  at.referenced = am_references_has(references, at.address);
  for (; at.end < list->count && am_str_starts(list->name[at.end], at.address); at.end++)
    if (kind_of(list->name[at.end]) == NAME_PART) at.part_stays = !at.done && at.referenced;
  return at;
}

// What becomes of one name; false: it stays.
static bool is_waste(const place *at, name_kind name, am_waste_kind *out) {
  bool asked_for = at->referenced && !at->done;
  switch (name) {
    case NAME_ARTEFACT:  // a folder without DONE is none
      *out = at->done ? AM_WASTE_ARTEFACT : AM_WASTE_LEFTOVER;
      return !at->done || !at->referenced;
    case NAME_PART:
      *out = at->done ? AM_WASTE_LEFTOVER : AM_WASTE_PART;
      return !asked_for;
    case NAME_FAILED:
      *out = AM_WASTE_FAILURE;
      return !asked_for;
    case NAME_LEASE:
      *out = AM_WASTE_LEASE;
      return !at->part_stays;
    case NAME_GONE:
    case NAME_TEMPORARY:
      *out = AM_WASTE_LEFTOVER;
      return true;
    default:
      return false;
  }
}

// ---- who is at it ----

static am_err lease_path(const place *at, char **out) {
  return am_str_format(out, "%s/%s.lease", at->folder, at->address);
}

static bool is_silent(const am_lease_holder *h, double min_age_sec) {
  return h->silent_sec > SILENT_EXPIRIES * h->expiry_sec && h->silent_sec >= min_age_sec;
}

static am_err is_busy(const place *at, double min_age_sec, bool *busy) {
  char *path = NULL;
  am_lease_holder holder;
  AM_TRY(lease_path(at, &path));
  am_err err = am_lease_look(path, NULL, &holder, busy);
  free(path);
  if (!err && *busy && is_silent(&holder, min_age_sec)) *busy = false;
  return err;
}

// The lease of the address, or NULL when somebody has it. A silent holder is taken over as by somebody who
// has been watching it.
static am_err claim(const place *at, double min_age_sec, am_lease **out) {
  am_err err = AM_OK;
  am_lease_watch watch = {0};
  am_lease_holder holder;
  char *path = NULL;
  bool there = false;
  AM_GO(done, lease_path(at, &path));
  AM_GO(done, am_lease_look(path, NULL, &holder, &there));
  if (there && is_silent(&holder, min_age_sec)) {
    memcpy(watch.token, holder.token, sizeof watch.token);
    watch.beat = holder.beat;
    watch.since_sec = am_clock_sec() - 2 * holder.expiry_sec - 1;
  }
  AM_GO(done, am_lease_take(path, AM_LEASE_EXPIRY_SEC, 1, &watch, out, &holder));
done:
  free(path);
  return err;
}

// ---- weighing ----

// mine: the lease of the address is held by this process, and is neither young nor waste.
static am_err weigh(const place *at, bool mine, am_waste *out) {
  am_err err = AM_OK;
  double now = (double)time(NULL);
  char *path = NULL;
  *out = (am_waste){.age_sec = 1e18};
  memcpy(out->address, at->address, sizeof out->address);
  if (mine) out->number[AM_WASTE_LEASE]--;
  for (int64_t i = at->first; i < at->end; i++) {
    name_kind name = kind_of(at->list->name[i]);
    am_waste_kind kind;
    int64_t bytes = 0;
    double newest = 0;
    if (!is_waste(at, name, &kind)) continue;
    out->number[kind]++;
    AM_GO(done, am_path_join(at->folder, at->list->name[i], &path));
    AM_GO(done, am_path_tree_facts(path, &bytes, &newest));
    free(path);
    path = NULL;
    if (mine && kind == AM_WASTE_LEASE) continue;
    out->bytes += bytes;
    if (now - newest < out->age_sec) out->age_sec = now - newest;
  }
  out->number[AM_WASTE_LEASE] = am_max_i64(0, out->number[AM_WASTE_LEASE]);
  if (out->number[AM_WASTE_ARTEFACT]) out->id = am_store_text(at->store, at->address, "stage");
  if (!out->id) AM_GO(done, am_mem_strdup("", &out->id));
done:
  free(path);
  return err;
}

static bool is_nothing(const am_waste *w) {
  for (int k = 0; k < AM_WASTE_KINDS; k++)
    if (w->number[k]) return false;
  return true;
}

// ---- finding ----

static am_err count_kept(const place *at, am_wastes *w) {
  char *path = NULL;
  int64_t bytes = 0;
  w->kept++;
  AM_TRY(am_store_path(at->store, at->address, NULL, &path));
  am_err err = am_path_tree_bytes(path, &bytes);
  free(path);
  w->kept_bytes += bytes;
  return err;
}

static am_err find_one(const place *at, double min_age_sec, am_wastes *w) {
  bool busy = false;
  am_waste found;
  if (at->done && at->referenced) AM_TRY(count_kept(at, w));
  AM_TRY(is_busy(at, min_age_sec, &busy));
  w->busy += busy;
  w->strange += busy && !at->referenced;
  if (busy) return AM_OK;
  AM_TRY(weigh(at, false, &found));
  bool young = !is_nothing(&found) && found.age_sec < min_age_sec;
  w->young += young;
  if (is_nothing(&found) || young) {
    free(found.id);
    return AM_OK;
  }
  am_err err = AM_GROW(&w->item, &w->capacity, w->count + 1);
  if (err) free(found.id);
  if (!err) w->item[w->count++] = found;
  return err;
}

static am_err find_in(const am_store *store, const am_references *references, double min_age_sec,
                      const char *folder, am_wastes *w) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  if (!am_path_is_dir(folder)) return AM_OK;
  AM_GO(done, am_dir_read(folder, &list));
  for (int64_t i = 0; i < list.count;) {
    if (!is_address(list.name[i])) {
      i++;
      continue;
    }
    place at = place_at(store, references, folder, &list, i);
    AM_GO(done, find_one(&at, min_age_sec, w));
    i = at.end;
  }
done:
  am_dir_list_fini(&list);
  return err;
}

am_err am_gc_find(const am_store *store, const am_references *references, double min_age_sec,
                  am_wastes *out) {
  am_err err = AM_OK;
  am_wastes w = {0};
  char *folder = NULL, start[3];
  for (int i = 0; i < 256; i++) {
    snprintf(start, sizeof start, "%02x", i);
    AM_GO(done, am_store_folder(store, start, &folder));
    AM_GO(done, find_in(store, references, min_age_sec, folder, &w));
    free(folder);
    folder = NULL;
  }
  *out = w;
  w = (am_wastes){0};
done:
  free(folder);
  am_wastes_fini(&w);
  return err;
}

void am_wastes_fini(am_wastes *w) {
  for (int64_t i = 0; i < w->count; i++) free(w->item[i].id);
  free(w->item);
  *w = (am_wastes){0};
}

// ---- removing ----

static am_err refresh(const am_gc *gc) {
  bool changed = false;
  am_references fresh;
  AM_TRY(am_references_changed(gc->references, gc->results_dir, &changed));
  if (!changed) return AM_OK;
  AM_TRY(am_references_read(gc->results_dir, gc->plan, gc->plan_count, &fresh));
  am_references_fini(gc->references);
  *gc->references = fresh;
  return AM_OK;
}

// Renamed, the artefact is there no more; a run that noted it before it looked gets it back.
static am_err remove_artefact(const am_gc *gc, const place *at, const am_lease *lease, bool *removed) {
  am_err err = AM_OK;
  char *path = NULL, *gone = NULL;
  AM_GO(done, am_store_path(gc->store, at->address, NULL, &path));
  AM_GO(done, am_str_format(&gone, "%s.gone.%s", path, am_lease_token(lease)));
  am_fault_point();
  AM_GO(done, am_path_rename(path, gone));
  am_fault_point();
  err = refresh(gc);
  *removed = !err && !am_references_has(gc->references, at->address);
  if (!*removed && am_path_rename(gone, path) != AM_OK) AM_WARN("%s", am_err_last()->message);
  if (*removed) err = am_path_remove_tree(gone);
done:
  free(path);
  free(gone);
  return err;
}

static am_err remove_names(const place *at, name_kind which) {
  am_err err = AM_OK;
  char *path = NULL;
  for (int64_t i = at->first; i < at->end && !err; i++) {
    am_waste_kind kind;
    name_kind name = kind_of(at->list->name[i]);
    if (name != which || !is_waste(at, name, &kind)) continue;
    am_fault_point();
    err = am_path_join(at->folder, at->list->name[i], &path);
    if (!err) err = am_path_remove_tree(path);
    free(path);
    path = NULL;
  }
  return err;
}

static am_err remove_all(const am_gc *gc, const place *at, const am_lease *lease, bool *removed) {
  static const name_kind order[] = {NAME_PART, NAME_GONE, NAME_TEMPORARY, NAME_FAILED};
  *removed = true;
  if (at->done && !at->referenced) AM_TRY(remove_artefact(gc, at, lease, removed));
  if (!at->done) AM_TRY(remove_names(at, NAME_ARTEFACT));
  for (int i = 0; i < AM_COUNT_OF(order) && *removed; i++) AM_TRY(remove_names(at, order[i]));
  return AM_OK;
}

// While the lease is ours, every other name of a lease is of its chain, which goes when it is given up, or of one
// that was cut short.
static am_err release(const place *at, am_lease *lease) {
  bool held = am_lease_held(lease);
  am_err err = AM_OK;
  char first[AM_SHA256_HEX + 8], *path = NULL;
  am_lease_release(lease);
  snprintf(first, sizeof first, "%s.lease", at->address);
  for (int64_t i = at->first; i < at->end && held && !err; i++) {
    if (kind_of(at->list->name[i]) != NAME_LEASE || strcmp(at->list->name[i], first) == 0) continue;
    err = am_path_join(at->folder, at->list->name[i], &path);
    if (!err) err = am_path_remove_tree(path);
    free(path);
    path = NULL;
  }
  return err;
}

// The address in the listing, seen anew.
static am_err look_again(const am_gc *gc, const char *address, const char *folder, am_dir_list *list,
                         place *out) {
  int64_t i = 0;
  AM_TRY(refresh(gc));
  AM_TRY(am_dir_read(folder, list));
  while (i < list->count && !am_str_starts(list->name[i], address)) i++;
  AM_CHECK(i < list->count, AM_ERR_IO,
           "%s: the lease of %.12s is not seen there: is the file system consistent?", folder, address);
  *out = place_at(gc->store, gc->references, folder, list, i);
  return AM_OK;
}

am_err am_gc_remove(const am_gc *gc, const char *address, am_waste *gone) {
  am_err err = AM_OK;
  am_lease *lease = NULL;
  am_dir_list list = {0};
  char *folder = NULL;
  bool removed = false;
  am_waste found = {0};
  place at = {.store = gc->store};
  *gone = (am_waste){0};
  snprintf(at.address, sizeof at.address, "%s", address);
  AM_GO(done, am_store_folder(gc->store, address, &folder));
  at.folder = folder;
  AM_GO(done, claim(&at, gc->min_age_sec, &lease));
  if (!lease) goto done;
  AM_GO(done, look_again(gc, address, folder, &list, &at));
  AM_GO(done, weigh(&at, true, &found));
  if (found.age_sec < gc->min_age_sec) goto done;
  AM_GO(done, remove_all(gc, &at, lease, &removed));
  if (!removed) goto done;
  *gone = found;
  found = (am_waste){0};
done:
  if (lease) {
    am_err ended = release(&at, lease);
    err = err ? err : ended;
  }
  free(found.id);
  free(folder);
  am_dir_list_fini(&list);
  return err;
}
