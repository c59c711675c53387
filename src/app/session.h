// What the commands on an experiment share: its file, its plan, the store.
#ifndef AM_APP_SESSION_H
#define AM_APP_SESSION_H

#include "app/command.h"
#include "sweep/plan.h"
#include "sweep/rates.h"
#include "sweep/store.h"

typedef struct {
  bool tiny;
  am_words set;
  bool noted;  // RESULTS/<name>/stages.txt shall say what it refers to (sweep/references.h)
} am_experiment_options;
#define AM_EXPERIMENT_OPTIONS(e)                                                                            \
  {"--tiny", AM_OPTION_FLAG, &(e)->tiny, NULL, "with the small overrides of the file's `tiny:` section"}, { \
    "--set", AM_OPTION_WORDS, &(e)->set, "KEY=VALUE", "override one key, as train.epochs=2 (repeatable)"    \
  }

typedef struct {
  am_experiment *e;
  am_plan *plan;  // looked at
  am_store *store;
  am_source_dirs dirs;
  char *cache_dir;  // owned
  am_rates *rates;  // owned: RESULTS/calibration.json
} am_session;

// Reads the experiment file app->argv[0], looks at its data and at the store. `create`: the results
// folder is made and must be writable. comm: collective over these ranks; NULL: this rank alone.
AM_MUST_USE am_err am_session_open(const am_app *app, const am_experiment_options *options, bool create,
                                   am_comm *comm, am_session *out);
void am_session_close(am_session *s);

// Several files at once, which share the store and what they have in common.
typedef struct {
  am_session *item;  // owned: one for each file
  int64_t count;
} am_sessions;
// Opens each word of app->argv, on this rank alone. Errors: AM_ERR_CONFIG two files that write to one folder.
AM_MUST_USE am_err am_sessions_open(const am_app *app, const am_experiment_options *options, bool create,
                                    am_sessions *out);
void am_sessions_close(am_sessions *all);

#endif
