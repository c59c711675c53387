// augmint report: the tables again, from the store or from results.h5 alone; and several experiments at equal budget.
#include <stdlib.h>
#include <string.h>

#include "app/session.h"
#include "base/mem.h"
#include "base/path.h"
#include "report/collect.h"
#include "report/compare.h"

typedef struct {
  am_experiment_options experiment;
  const char *budget, *out_dir;
} report_options;

// ---- one experiment ----

// A folder of results, or a results.h5: nothing else is needed, so results may come from anywhere.
static bool is_finished(const char *what) { return am_path_is_dir(what) || am_str_ends(what, ".h5"); }

static am_err read_again(const char *path, am_results **out) {
  char *file = NULL;
  AM_TRY(am_path_is_dir(path) ? am_path_join(path, "results.h5", &file) : am_str_format(&file, "%s", path));
  am_err err = am_results_read(file, out);
  free(file);
  return err;
}

// *where: the folder that was written.
static am_err render_again(const char *path, am_str *text, char **where) {
  am_err err = AM_OK;
  am_results *r = NULL;
  char *dir = NULL;
  int folder = am_path_is_dir(path) ? (int)strlen(path) : (int)(am_path_name(path) - path);
  AM_GO(done, am_str_format(&dir, "%.*s", folder ? folder : 2, folder ? path : "./"));
  AM_GO(done, read_again(path, &r));
  AM_GO(done, am_report_write(r, dir));
  AM_GO(done, am_report_text(r, text));
  *where = dir;
  dir = NULL;
done:
  am_results_free(r);
  free(dir);
  return err;
}

static am_err collect_again(const am_app *app, const am_experiment_options *options, am_str *text,
                            char **where) {
  am_err err = AM_OK;
  am_session s = {0};
  AM_GO(done, am_session_open(app, options, true, NULL, &s));
  AM_GO(done, am_collect_and_write(s.plan, s.store, app->results_dir, text));
  AM_GO(done, am_str_format(where, "%s/%s/", app->results_dir, s.e->folder));
done:
  am_session_close(&s);
  return err;
}

// ---- several, or the arms of one, at equal budget ----

static am_err budget_of(const char *name, am_budget *out) {
  int64_t count = 0;
  while (am_budget_names[count]) count++;
  for (int64_t b = 0; b < count; b++) {
    if (strcmp(name, am_budget_names[b]) != 0) continue;
    *out = (am_budget)b;
    return AM_OK;
  }
  return AM_FAIL(AM_ERR_CONFIG, "--budget %s: expected epochs, steps or device-hours; did you mean %s?", name,
                 am_str_nearest(name, am_budget_names, count));
}

// What the store has of one experiment, as it stands.
static am_err collect_one(const am_app *app, const char *file, const am_experiment_options *options, am_results **out) {
  am_err err = AM_OK;
  am_session s = {0};
  am_app one = *app;
  am_results *r = NULL;
  one.argc = 1;
  one.argv = (char *[]){(char *)file};
  AM_GO(done, am_session_open(&one, options, false, NULL, &s));
  AM_GO(done, am_collect(s.plan, s.store, &r));
  AM_GO(done, am_results_compute_rows(r, s.e->arm[s.e->reference].name));
  *out = r;
  r = NULL;
done:
  am_results_free(r);
  am_session_close(&s);
  return err;
}

// RESULTS/compare-steps-A+B: names of experiments that were collected are names of folders; foreign ones are looked at.
static am_err comparison_folder(const am_app *app, const report_options *o, am_results *const *in, char **out) {
  if (o->out_dir) return am_str_format(out, "%s", o->out_dir);
  am_err err = AM_OK;
  am_str path = {0};
  AM_GO(done, am_str_printf(&path, "%s/compare-%s", app->results_dir, o->budget));
  for (int i = 0; i < app->argc; i++) {
    const char *name = am_results_attr(in[i], "name");
    AM_CHECK_GO(done, *name && !strchr(name, '/'), AM_ERR_CONFIG, "%s: its name is \"%s\", which cannot name a folder: "
                "say --out DIR", app->argv[i], name);
    AM_GO(done, am_str_printf(&path, "%s%s", i ? "+" : "-", name));
  }
  AM_GO(done, am_str_take(&path, out));
done:
  am_str_fini(&path);
  return err;
}

static am_err write_comparison(am_results *r, const char *dir, am_str *text) {
  char *file = NULL;
  AM_TRY(am_path_mkdirs(dir));
  AM_TRY(am_path_join(dir, "results.h5", &file));
  am_err err = am_results_write(r, file);
  free(file);
  AM_TRY(err);
  AM_TRY(am_report_write(r, dir));
  return am_report_text(r, text);
}

static am_err compare(const am_app *app, const report_options *o, am_str *text, char **where) {
  am_err err = AM_OK;
  am_results **in = NULL, *r = NULL;
  am_budget budget = AM_BUDGET_EPOCHS;
  AM_TRY(budget_of(o->budget, &budget));
  AM_TRY(AM_NEW_ARRAY(&in, app->argc));
  for (int i = 0; i < app->argc; i++) {
    const char *what = app->argv[i];
    AM_GO(done, is_finished(what) ? read_again(what, &in[i]) : collect_one(app, what, &o->experiment, &in[i]));
  }
  AM_GO(done, am_results_compare(in, app->argc, budget, &r));
  AM_GO(done, comparison_folder(app, o, in, where));
  AM_GO(done, write_comparison(r, *where, text));
done:
  for (int i = 0; i < app->argc; i++) am_results_free(in[i]);
  free(in);
  am_results_free(r);
  return err;
}

// ---- the command ----

static am_err run(am_app *app) {
  am_err err = AM_OK;
  report_options o = {0};
  const am_option options[] = {
      AM_EXPERIMENT_OPTIONS(&o.experiment),
      {"--budget", AM_OPTION_TEXT, &o.budget, "WHAT", "compare at equal epochs, steps or device-hours"},
      {"--out", AM_OPTION_TEXT, &o.out_dir, "DIR", "where a comparison goes, instead of RESULTS/compare-..."}};
  am_str text = {0};
  char *where = NULL;
  bool go = false;
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, INT_MAX, &go));
  if (!go) return AM_OK;
  AM_CHECK(o.budget || app->argc == 1, AM_ERR_CONFIG,
           "%d experiments are compared at an equal budget: say --budget epochs, steps or device-hours", app->argc);
  AM_CHECK(o.budget || !o.out_dir, AM_ERR_CONFIG, "--out is for comparisons: say --budget, too");
  if (o.budget) {
    AM_GO(done, compare(app, &o, &text, &where));
  } else if (is_finished(app->argv[0])) {
    AM_GO(done, render_again(app->argv[0], &text, &where));
  } else {
    AM_GO(done, collect_again(app, &o.experiment, &text, &where));
  }
  fprintf(app->out, "%s\nwritten to %s: table.txt .md .csv .tex, spent.csv, report.html\n", am_str_get(&text), where);
done:
  free(where);
  am_str_fini(&text);
  return err;
}

const am_command am_cmd_report = {
    .name = "report",
    .usage = "EXPERIMENT.yaml|RESULTS/NAME ... [--budget WHAT] [--tiny] [--set KEY=VALUE]",
    .doc = "write the tables and report.html again, and print the table; compare experiments",
    .help =
        "With an experiment: collects what the store has, finished or not, into RESULTS/<name>/results.h5 "
        "and\n"
        "renders it. With a folder of results or a results.h5: renders that file, which needs nothing else.\n"
        "Writes table.txt, table.md, table.csv, table.tex, spent.csv and report.html beside results.h5.\n"
        "\n"
        "With --budget: one table of several experiments, or of the arms of one, at the largest budget that every\n"
        "training spent. Device-hours are training, fits and generation, each whole for every training. A training\n"
        "that spent more gives what its watched split showed at the last epoch within the budget; what was not\n"
        "recorded there (`watch: SPLIT` records it) is `not comparable`, and the notes say why.\n",
    .run = run};
