// The commands of the program (those on an experiment share app/session.h). Each is one am_command in its own cmd_<name>.c, listed in
// AM_COMMAND_LIST; main.c finds it, gives it an am_app, prints its error once and makes the exit
// code.
//
//   static am_err run(am_app *app) {
//     const char *out_dir = NULL;
//     const am_option options[] = {{"--out", AM_OPTION_TEXT, &out_dir, "DIR", "where the images go"}};
//     bool go = false;
//     AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, 1, &go));
//     if (!go) return AM_OK;                       // --help was asked for and given
//     fprintf(app->out, "%s\n", app->argv[0]);     // the positional words
//     ...
//   }
//   const am_command am_cmd_export = {
//     .name = "export", .usage = "SHARDS --out DIR [options]", .doc = "write the images of shards as files",
//     .help = "More lines, shown by `augmint export --help`.\n", .run = run};
#ifndef AM_APP_COMMAND_H
#define AM_APP_COMMAND_H

#include <limits.h>
#include <stdio.h>

#include "app/options.h"
#include "base/num.h"
#include "dist/comm.h"
#include "tensor/device.h"

typedef struct am_command am_command;

// What every command is given.
typedef struct {
  const am_command *command;
  am_comm *world;            // borrowed
  const char *program;       // as it was called
  const char *results_dir;   // --results: everything that is written goes below
  const char *data_dir;      // --data, AUGMINT_DATA: a manifest's files are in DIR/<manifest>/
  const char *manifest_dir;  // --manifests
  const char *device_kind;   // --device: auto, cpu, cuda, ref, guard
  int64_t threads;           // --threads; 0: what the experiment says, else 1
  FILE *out;                 // standard output on rank 0, nowhere on the others
  int argc;                  // after am_command_begin: the positional words
  char **argv;
} am_app;

struct am_command {
  const char *name, *usage, *doc, *help;
  // true: all ranks run it and return the same error (am_agree). false: rank 0 runs it alone and
  // the others wait.
  bool all_ranks;
  AM_MUST_USE am_err (*run)(am_app *app);
};

// In the order in which --help shows them.
#define AM_COMMAND_LIST(X) \
  X(run)                   \
  X(plan)                  \
  X(status)                \
  X(submit)                \
  X(cancel)                \
  X(retry)                 \
  X(gc)                    \
  X(reproduce)             \
  X(report)                \
  X(verify)                \
  X(schema)                \
  X(doctor)                \
  X(data)                  \
  X(sample)                \
  X(augment)               \
  X(export)                \
  X(predict)               \
  X(weights)               \
  X(bench)                 \
  X(work)

#define AM_COMMAND_EXTERN(name) extern const am_command am_cmd_##name;
AM_COMMAND_LIST(AM_COMMAND_EXTERN)
#undef AM_COMMAND_EXTERN

// Parses what follows the command's name: options out of argv, min..max positional words left in
// app->argv. *go is false after --help, which is printed here. Errors: AM_ERR_CONFIG.
AM_MUST_USE am_err am_command_begin(am_app *app, const am_option *options, int count, int min_words,
                                    int max_words, bool *go);

// Where something of the source tree lies ("slurm/job.sh"): below the current folder, else in the tree that
// holds the program. False: in neither; path is then as for the current folder.
bool am_app_find(const char *relative, char path[PATH_MAX]);

// The device of --device and --threads; `threads` is what the configuration says (0: nothing). auto: cpu, until cuda
// has been checked on a card. The ranks of a host take its cards in turn. Local.
AM_MUST_USE am_err am_app_device(const am_app *app, int64_t threads, am_device **out);

#endif
