// augmint gc: removes what no experiment refers to.
#include <stdlib.h>
#include <string.h>

#include "app/next.h"
#include "app/submitting.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "sweep/gc.h"

enum { SHOWN = 20 };

typedef struct {
  am_experiment_options experiment;
  const char *min_age;
  double min_age_sec;
  bool remove, list;
} gc_options;

// The files of the command line, and what they and the notes refer to.
typedef struct {
  am_sessions all;
  const am_plan **plan;  // owned
  am_references references;
} gc_scope;

static void scope_fini(gc_scope *s) {
  am_references_fini(&s->references);
  free(s->plan);
  am_sessions_close(&s->all);
}

// A submission without jobs in the queue refers to nothing. Where Slurm cannot be asked, it still does.
static am_err close_old(const am_app *app) {
  am_err err = am_submit_close_old(app);
  if (err != AM_ERR_UNSUPPORTED && err != AM_ERR_IO) return err;
  AM_WARN("%s: every submission in %s/slurm is taken to be at work", am_err_last()->message,
          app->results_dir);
  am_err_clear();
  return AM_OK;
}

static am_err check_known(const am_app *app, const am_references *r) {
  for (int64_t i = 0; i < r->by_count; i++)
    AM_CHECK(
        r->by[i].known, AM_ERR_CONFIG,
        "%s/%s%s does not say which stages it refers to (it was made before such notes were kept): name its "
        "experiment file, too, or remove that folder if nobody needs it",
        app->results_dir, r->by[i].submission ? "slurm/" : "", r->by[i].name);
  return AM_OK;
}

static am_err open_scope(const am_app *app, const am_experiment_options *options, gc_scope *out) {
  if (app->argc) AM_TRY(am_sessions_open(app, options, false, &out->all));
  AM_TRY(AM_NEW_ARRAY(&out->plan, out->all.count));
  for (int64_t i = 0; i < out->all.count; i++) out->plan[i] = out->all.item[i].plan;
  AM_TRY(close_old(app));
  AM_TRY(am_references_read(app->results_dir, out->plan, out->all.count, &out->references));
  return check_known(app, &out->references);
}

// ---- printing ----

static const char *size_text(int64_t bytes, char out[32]) {
  static const char *const unit[] = {"KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes / 1024;
  int i = 0;
  for (; value >= 1000 && i < 3; i++) value /= 1024;
  snprintf(out, 32, "%.1f %s", value, unit[i]);
  return out;
}

static void print_kept(const am_app *app, const am_references *r, const am_wastes *w, const char *min_age) {
  char size[32];
  fprintf(app->out, "kept: %lld artefacts, %s, to which these refer:\n", (long long)w->kept,
          size_text(w->kept_bytes, size));
  for (int64_t i = 0; i < r->by_count && i < SHOWN; i++)
    fprintf(app->out, "  %s%s: %lld stages\n", r->by[i].submission ? "submission " : "", r->by[i].name,
            (long long)r->by[i].stages);
  if (r->by_count > SHOWN) fprintf(app->out, "  ... and %lld more\n", (long long)(r->by_count - SHOWN));
  if (r->by_count == 0)
    fprintf(app->out, "  nothing: no experiment was named, and none was run into %s\n", app->results_dir);
  if (w->busy) fprintf(app->out, "left alone: %lld stages that somebody is at\n", (long long)w->busy);
  if (w->young)
    fprintf(app->out,
            "left alone: %lld that nothing refers to, but that changed less than %s ago (--min-age)\n",
            (long long)w->young, min_age);
}

// Sums over addresses: what goes, or went.
typedef struct {
  int64_t addresses, number[AM_WASTE_KINDS], bytes;
  double oldest_sec;
} tally;

static void add_to(tally *t, const am_waste *w) {
  t->addresses++;
  t->bytes += w->bytes;
  for (int k = 0; k < AM_WASTE_KINDS; k++) t->number[k] += w->number[k];
  if (w->age_sec < 1e17 && w->age_sec > t->oldest_sec) t->oldest_sec = w->age_sec;
}

static void print_tally(const am_app *app, const char *verb, const tally *t) {
  static const char *const what[AM_WASTE_KINDS] = {
      [AM_WASTE_ARTEFACT] = "artefacts that no experiment refers to",
      [AM_WASTE_PART] = "unfinished stages that no experiment refers to",
      [AM_WASTE_LEFTOVER] = "left-overs of stages that are finished",
      [AM_WASTE_FAILURE] = "notes of failures that no experiment asks about",
      [AM_WASTE_LEASE] = "leases of processes that are gone"};
  char size[32], age[32];
  am_clock_span(t->oldest_sec, age);
  fprintf(app->out, "\n%s: %s, the oldest from %s ago\n", verb, size_text(t->bytes, size), age);
  for (int k = 0; k < AM_WASTE_KINDS; k++)
    if (t->number[k]) fprintf(app->out, "  %6lld %s\n", (long long)t->number[k], what[k]);
}

static void print_one(const am_app *app, const am_waste *w) {
  char size[32], age[32];
  am_clock_span(w->age_sec, age);
  fprintf(app->out, "%s  %10s  %8s  %s\n", w->address, size_text(w->bytes, size),
          w->age_sec < 1e17 ? age : "-", w->number[AM_WASTE_ARTEFACT] ? w->id : "(left over)");
}

// ---- removing ----

// What cannot be removed, perhaps because it is another user's, is said and counted.
static am_err remove_all(const am_app *app, const am_gc *gc, const am_wastes *w, bool list) {
  tally sum = {0};
  int64_t failed = 0;
  am_progress progress = {0};
  for (int64_t i = 0; i < w->count; i++) {
    am_waste gone = {0};
    if (am_gc_remove(gc, w->item[i].address, &gone) != AM_OK) {
      failed++;
      AM_WARN("%.12s: %s", w->item[i].address, am_err_last()->message);
      am_err_clear();
    } else if (gone.id) {
      add_to(&sum, &gone);
      if (list) print_one(app, &gone);
    }
    free(gone.id);
    if (am_progress_due(&progress)) AM_INFO("%lld of %lld looked at", (long long)i, (long long)w->count);
  }
  print_tally(app, "removed", &sum);
  if (sum.addresses + failed < w->count)
    fprintf(app->out, "%lld stay: somebody came for them meanwhile\n",
            (long long)(w->count - sum.addresses - failed));
  AM_CHECK(
      failed == 0, AM_ERR_IO,
      "%lld could not be removed; what is left is sound: their owner, or you when the reason is gone, can "
      "run the same again",
      (long long)failed);
  return AM_OK;
}

static am_err say_next(const am_app *app, const gc_options *o, const am_wastes *w) {
  tally sum = {0};
  for (int64_t i = 0; i < w->count; i++) {
    add_to(&sum, &w->item[i]);
    if (o->list) print_one(app, &w->item[i]);
  }
  if (w->count == 0) {
    fprintf(app->out, "\nnothing to remove\n");
    return AM_OK;
  }
  print_tally(app, "would be removed", &sum);
  fprintf(app->out, "nothing was removed; --list says what it is in detail\n");
  char more[128];
  snprintf(more, sizeof more, "--min-age %s --remove", o->min_age);
  return am_next_say(app, &o->experiment, "next: ", "gc", more, "");
}

// An empty list more likely says that this is another folder than was meant.
static am_err check_referred(const am_app *app, const gc_options *o, const am_references *r) {
  AM_CHECK(!o->remove || r->by_count, AM_ERR_CONFIG,
           "nothing in %s says what refers to its store, so all of it would go: name the experiments' files, "
           "or remove "
           "%s/store by hand",
           app->results_dir, app->results_dir);
  return AM_OK;
}

// One gc at a time: *lease when it removes; who else does it, if it only looks.
static am_err take_turn(const am_app *app, bool remove, am_lease **lease, bool *other) {
  am_err err = AM_OK;
  char *path = NULL, who[AM_LEASE_TEXT];
  am_lease_watch watch = {0};
  am_lease_holder holder;
  AM_GO(done, am_path_join(app->results_dir, "store/gc.lease", &path));
  if (remove)
    AM_GO(done, am_lease_take(path, AM_LEASE_EXPIRY_SEC, 1, &watch, lease, &holder));
  else
    AM_GO(done, am_lease_look(path, NULL, &holder, other));
  AM_CHECK_GO(done, !remove || *lease, AM_ERR_BUSY,
              "another gc of %s is at work, by %s: try again when it has ended", app->results_dir,
              am_lease_describe(&holder, who));
done:
  free(path);
  return err;
}

// Inputs of a stage whose experiment has no note cannot be told from what nobody needs. Another gc holds what it
// removes.
static am_err check_strangers(const am_app *app, const am_wastes *w, bool other_gc) {
  AM_CHECK(
      w->strange == 0 || other_gc, AM_ERR_BUSY,
      "somebody is at %lld stages in %s that belong to no experiment known here, and may need others: name "
      "its file as well, or try again when it has ended",
      (long long)w->strange, app->results_dir);
  return AM_OK;
}

static am_err collect_garbage(const am_app *app, const gc_options *o) {
  am_err err = AM_OK;
  gc_scope scope = {0};
  am_store *store = NULL;
  am_wastes wastes = {0};
  am_lease *lease = NULL;
  bool other_gc = false;
  AM_GO(done, am_store_open(app->results_dir, o->remove, &store));
  AM_GO(done, take_turn(app, o->remove, &lease, &other_gc));
  AM_GO(done, open_scope(app, &o->experiment, &scope));
  AM_GO(done, check_referred(app, o, &scope.references));
  am_gc gc = {.store = store,
              .results_dir = app->results_dir,
              .plan = scope.plan,
              .plan_count = scope.all.count,
              .min_age_sec = o->min_age_sec,
              .references = &scope.references};
  AM_GO(done, am_gc_find(store, &scope.references, o->min_age_sec, &wastes));
  print_kept(app, &scope.references, &wastes, o->min_age);
  AM_GO(done, check_strangers(app, &wastes, other_gc));
  AM_GO(done, o->remove && wastes.count ? remove_all(app, &gc, &wastes, o->list) : say_next(app, o, &wastes));
done:
  am_lease_release(lease);
  am_wastes_fini(&wastes);
  scope_fini(&scope);
  am_store_close(store);
  return err;
}

static am_err run(am_app *app) {
  gc_options o = {.min_age = "1d"};
  bool go = false;
  const am_option options[] = {
      AM_EXPERIMENT_OPTIONS(&o.experiment),
      {"--remove", AM_OPTION_FLAG, &o.remove, NULL,
       "remove it; without this word, gc only says what it would remove"},
      {"--list", AM_OPTION_FLAG, &o.list, NULL, "say each address, its size, its age and what it is"},
      {"--min-age", AM_OPTION_TEXT, &o.min_age, "T",
       "leave what changed less than this ago: 2h, 90m, 7d (1d)"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_CHECK(strcmp(o.min_age, "0") == 0 || am_clock_parse_span(o.min_age, &o.min_age_sec), AM_ERR_CONFIG,
           "--min-age is 0, 90m, 2h or 7d, not \"%s\"", o.min_age);
  char *dir = NULL;
  AM_TRY(am_path_join(app->results_dir, "store", &dir));
  bool there = am_path_is_dir(dir);
  free(dir);
  if (there) return collect_garbage(app, &o);
  fprintf(app->out, "there is no %s/store: nothing to remove\n", app->results_dir);
  return AM_OK;
}

const am_command am_cmd_gc = {
    .name = "gc",
    .usage = "[EXPERIMENT.yaml...] [--remove] [--min-age T]",
    .doc = "remove what no experiment refers to",
    .help =
        "Kept is what these refer to: the files that are named, every experiment as it was last run, "
        "submitted or\n"
        "reported into RESULTS (RESULTS/<name>/stages.txt), and submissions with jobs in the queue. So after "
        "an\n"
        "experiment was edited and run again, what only its earlier version needed goes; to give up an "
        "experiment,\n"
        "remove its folder RESULTS/<name> first. Also goes what a kill left of stages that are finished: "
        "work\n"
        "folders, leases. What somebody is at stays, and what changed less than a day ago (--min-age).\n"
        "Others may run meanwhile: what they need they get back, or make again.\n"
        "  augmint gc                                        # says what could go\n"
        "  augmint gc experiments/old.yaml --remove          # and keeps what old.yaml refers to, too\n",
    .run = run};
