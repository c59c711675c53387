#include "app/next.h"

#include <stdlib.h>
#include <string.h>

#include "base/child.h"

static am_err add_option(am_argv *v, const char *name, const char *value) {
  AM_TRY(am_argv_add(v, "%s", name));
  return am_argv_add(v, "%s", value);
}

// What differs from what a command takes without being told.
static am_err add_globals(const am_app *app, am_argv *v) {
  const char *data = getenv("AUGMINT_DATA");
  char manifests[PATH_MAX];
  am_app_find("data/manifests", manifests);
  if (!data || !*data) data = "data";
  if (strcmp(app->results_dir, "results") != 0) AM_TRY(add_option(v, "--results", app->results_dir));
  if (strcmp(app->data_dir, data) != 0) AM_TRY(add_option(v, "--data", app->data_dir));
  if (strcmp(app->manifest_dir, manifests) != 0) AM_TRY(add_option(v, "--manifests", app->manifest_dir));
  if (strcmp(app->device_kind, "auto") != 0) AM_TRY(add_option(v, "--device", app->device_kind));
  if (app->threads) AM_TRY(am_argv_add(v, "--threads=%lld", (long long)app->threads));
  return AM_OK;
}

am_err am_next_command(const am_app *app, const am_experiment_options *options, const char *command,
                       const char *file, const char *more, char **line) {
  am_err err = AM_OK;
  am_argv v = {0};
  char *words = NULL;
  AM_GO(done, am_argv_add(&v, "%s", app->program));
  AM_GO(done, am_argv_add(&v, "%s", command));
  if (file) AM_GO(done, am_argv_add(&v, "%s", file));
  for (int i = 0; i < app->argc && !file; i++) AM_GO(done, am_argv_add(&v, "%s", app->argv[i]));
  if (options->tiny) AM_GO(done, am_argv_add(&v, "--tiny"));
  for (int i = 0; i < options->set.count; i++) AM_GO(done, add_option(&v, "--set", options->set.word[i]));
  AM_GO(done, add_globals(app, &v));
  AM_GO(done, am_argv_quote(&v, &words));
  AM_GO(done, am_str_format(line, "%s%s%s", words, more ? " " : "", more ? more : ""));
done:
  free(words);
  am_argv_fini(&v);
  return err;
}

am_err am_next_say(const am_app *app, const am_experiment_options *options, const char *before,
                   const char *command, const char *more, const char *after) {
  char *line = NULL;
  AM_TRY(am_next_command(app, options, command, NULL, more, &line));
  fprintf(app->out, "%s%s%s\n", before, line, after);
  free(line);
  return AM_OK;
}
