// The program: global options, one command, one error message, one exit code. Nothing else in the
// tree prints errors, exits or aborts.
#include <stdlib.h>
#include <string.h>

#include "app/command.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/version.h"

// A command of rank 0 alone may take as long as it needs.
static const double PATIENT_SEC = 365.0 * 86400;

static const am_command *const commands[] = {
#define AM_COMMAND_ROW(name) &am_cmd_##name,
    AM_COMMAND_LIST(AM_COMMAND_ROW)
#undef AM_COMMAND_ROW
};

typedef struct {
  bool help, version;
  int verbose;
} switches;

static am_err print_help(FILE *out, const am_option *globals, int count) {
  fprintf(out,
          "augmint: does training on generated images help an image classifier?\n\n"
          "usage: augmint COMMAND [words] [options]        augmint COMMAND --help says more\n"
          "       mpirun -n 4 augmint run EXPERIMENT.yaml  one rank a core or device\n\ncommands:\n");
  for (int i = 0; i < AM_COUNT_OF(commands); i++)
    fprintf(out, "  %-9s %s\n", commands[i]->name, commands[i]->doc);
  am_str text = {0};
  am_err err = am_options_describe(globals, count, &text);
  if (!err) fprintf(out, "\noptions of every command:\n%s", am_str_get(&text));
  am_str_fini(&text);
  fprintf(out,
          "\na first session:\n"
          "  augmint doctor                                   what this machine can do\n"
          "  augmint plan experiments/quickstart.yaml         what would be done, and what it costs\n"
          "  mpirun -n 2 augmint run experiments/quickstart.yaml\n"
          "  augmint report experiments/quickstart.yaml       the tables again\n"
          "on a Slurm cluster (slurm/README.md):\n"
          "  augmint submit experiments/quickstart.yaml --profile mysite\n"
          "  augmint status experiments/quickstart.yaml\n\n"
          "exit codes: 0 done, 1 failed, 2 bad configuration, 75 stopped by a signal with progress saved\n");
  return err;
}

static am_err find_command(const char *name, const am_command **out) {
  const char *names[AM_COUNT_OF(commands)];
  for (int i = 0; i < AM_COUNT_OF(commands); i++) {
    names[i] = commands[i]->name;
    if (strcmp(name, names[i]) == 0) {
      *out = commands[i];
      return AM_OK;
    }
  }
  const char *nearest = am_str_nearest(name, names, AM_COUNT_OF(commands));
  if (nearest) return AM_FAIL(AM_ERR_CONFIG, "unknown command %s: did you mean %s?", name, nearest);
  return AM_FAIL(AM_ERR_CONFIG, "unknown command %s: augmint --help lists them", name);
}

static am_err check_device_kind(const char *kind) {
  static const char *const kinds[] = {"auto", "cpu", "cuda", "cuda:eager", "ref", "guard", "guard:cpu", "guard:ref"};
  for (int i = 0; i < AM_COUNT_OF(kinds); i++)
    if (strcmp(kind, kinds[i]) == 0) return AM_OK;
  return AM_FAIL(AM_ERR_CONFIG, "--device is auto, cpu, cuda, cuda:eager, ref or guard, not \"%s\"", kind);
}

// A command of rank 0 alone may take as long as it needs; the others wait at the end.
static am_err run_command(am_app *app) {
  if (app->command->all_ranks) return app->command->run(app);
  am_comm_deadline(app->world, PATIENT_SEC);
  return am_comm_rank(app->world) == 0 ? app->command->run(app) : AM_OK;
}

static am_err program(am_app *app, int argc, char **argv) {
  switches on = {0};
  char manifests[PATH_MAX];
  const am_option globals[] = {
      {"--results", AM_OPTION_TEXT, &app->results_dir, "DIR",
       "everything that is written goes below (results)"},
      {"--data", AM_OPTION_TEXT, &app->data_dir, "DIR",
       "image sets: DIR/<manifest>/ (AUGMINT_DATA, else data)"},
      {"--manifests", AM_OPTION_TEXT, &app->manifest_dir, "DIR",
       "descriptions of image sets (data/manifests)"},
      {"--device", AM_OPTION_TEXT, &app->device_kind, "KIND",
       "auto (cpu), cpu, cuda (not yet run on a card; cuda:eager: no CUDA graphs), ref (plain loops), guard (checks every operation)"},
      {"--threads", AM_OPTION_I64, &app->threads, "N",
       "CPU threads of each rank; part of a result's meaning"},
      {"-v", AM_OPTION_COUNT, &on.verbose, NULL, "say more (twice: much more)"},
      {"--version", AM_OPTION_FLAG, &on.version, NULL, "print the version"},
  };
  const int global_count = (int)AM_COUNT_OF(globals);
  am_app_find("data/manifests", manifests);
  app->manifest_dir = manifests;
  AM_TRY(am_options_parse(globals, global_count, true, &argc, argv));
  am_log_init(am_comm_rank(app->world), on.verbose > 1 ? AM_LOG_TRACE
                                        : on.verbose   ? AM_LOG_DEBUG
                                                       : AM_LOG_INFO);
  AM_CHECK(app->threads >= 0 && app->threads <= 1024, AM_ERR_CONFIG, "--threads is 1 to 1024, not %lld",
           (long long)app->threads);
  AM_TRY(check_device_kind(app->device_kind));
  AM_TRY(am_fault_init(getenv("AUGMINT_FAULT"), am_comm_rank(app->world)));
  if (on.version) {
    fprintf(app->out, "augmint %s (commit %s)\n", AM_VERSION, am_commit);
    return AM_OK;
  }
  if (argc == 0 || strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "help") == 0) {
    AM_TRY(print_help(app->out, globals, global_count));
    AM_CHECK(argc > 0, AM_ERR_CONFIG, "no command given");
    return AM_OK;
  }
  AM_TRY(find_command(argv[0], &app->command));
  app->argc = argc - 1;
  app->argv = argv + 1;
  return run_command(app);
}

int main(int argc, char **argv) {
  am_app app = {
      .program = argc ? argv[0] : "augmint", .results_dir = "results", .data_dir = getenv("AUGMINT_DATA"), .device_kind = "auto", .out = stdout};
  if (!app.data_dir || !app.data_dir[0]) app.data_dir = "data";
  am_log_init(0, AM_LOG_INFO);
  am_err err = am_comm_init(&argc, &argv, false, &app.world);
  if (err) {
    am_err_print(stderr, am_err_last(), true);
    return am_err_exit_code(err);
  }
  int rank = am_comm_rank(app.world);
  if (rank != 0) app.out = fopen("/dev/null", "w");
  am_signal_install();

  err = am_comm_settle(app.world, program(&app, argc - 1, argv + 1));
  int code = am_err_exit_code(err);
  if (err && am_peer_should_print()) am_err_print(stderr, am_err_last(), getenv("AUGMINT_TRACE") != NULL);
  if (app.out && (fflush(app.out) != 0 || ferror(app.out)) && !err) {
    fprintf(stderr, "error: standard output could not be written\n");
    code = 1;
  }
  am_log_close();
  if (am_comm_finish(app.world)) {
    am_comm_abort(app.world, code ? code : 1);
    return code ? code : 1;
  }
  if (rank != 0 && app.out) fclose(app.out);
  return code;
}
