// augmint report: the tables again, from the store or from results.h5 alone.
#include <stdlib.h>

#include "app/session.h"
#include "base/path.h"
#include "report/collect.h"

// RESULTS/<experiment>/ or its results.h5: nothing else is needed, so results may come from anywhere.
// *where: the folder that was written.
static am_err render_again(const char *path, am_str *text, char **where) {
  am_err err = AM_OK;
  am_results *r = NULL;
  char *file = NULL, *dir = NULL;
  bool is_dir = am_path_is_dir(path);
  AM_GO(done, is_dir ? am_path_join(path, "results.h5", &file) : am_str_format(&file, "%s", path));
  int folder = (int)(am_path_name(file) - file);
  AM_GO(done, am_str_format(&dir, "%.*s", folder ? folder : 2, folder ? file : "./"));
  AM_GO(done, am_results_read(file, &r));
  AM_GO(done, am_report_write(r, dir));
  AM_GO(done, am_report_text(r, text));
  *where = dir;
  dir = NULL;
done:
  am_results_free(r);
  free(file);
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

static am_err run(am_app *app) {
  am_err err = AM_OK;
  am_experiment_options experiment = {0};
  const am_option options[] = {AM_EXPERIMENT_OPTIONS(&experiment)};
  am_str text = {0};
  char *where = NULL;
  bool go = false;
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, 1, &go));
  if (!go) return AM_OK;
  const char *what = app->argv[0];
  bool finished = am_path_is_dir(what) || am_str_ends(what, ".h5");
  AM_GO(done, finished ? render_again(what, &text, &where) : collect_again(app, &experiment, &text, &where));
  fprintf(app->out, "%s\nwritten to %s: table.txt .md .csv .tex, spent.csv, report.html\n", am_str_get(&text), where);
done:
  free(where);
  am_str_fini(&text);
  return err;
}

const am_command am_cmd_report = {
    .name = "report",
    .usage = "EXPERIMENT.yaml|RESULTS/NAME [--tiny] [--set KEY=VALUE]",
    .doc = "write the tables and report.html again, and print the table",
    .help =
        "With an experiment: collects what the store has, finished or not, into RESULTS/<name>/results.h5 "
        "and\n"
        "renders it. With a folder of results or a results.h5: renders that file, which needs nothing else.\n"
        "Writes table.txt, table.md, table.csv, table.tex, spent.csv and report.html beside results.h5.\n",
    .run = run};
