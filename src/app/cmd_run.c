// augmint run: does what an experiment is missing and prints its table.
#include "app/running.h"

static am_err run(am_app *app) {
  am_experiment_options options = {.noted = true};
  int64_t lease_sec = (int64_t)AM_LEASE_EXPIRY_SEC;
  const am_option table[] = {
      AM_EXPERIMENT_OPTIONS(&options),
      {"--lease-sec", AM_OPTION_I64, &lease_sec, "N",
       "other jobs take over what this one has held in silence for so long (90)"},
  };
  bool go = false;
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 1, 1, &go));
  if (!go) return AM_OK;
  AM_CHECK(lease_sec >= 1 && lease_sec <= 86400, AM_ERR_CONFIG, "--lease-sec is 1 to 86400, not %lld",
           (long long)lease_sec);
  return am_run_file(app, &options, (double)lease_sec);
}

const am_command am_cmd_run = {
    .name = "run",
    .usage = "EXPERIMENT.yaml [--tiny] [--set KEY=VALUE]...",
    .doc = "do what an experiment is missing, print its table",
    .help =
        "Finished stages are never run again; a run that was stopped or killed goes on where it was. Under\n"
        "mpirun or srun the stages are spread over the ranks, which changes no number. Several runs may\n"
        "share RESULTS: each stage is done by one of them, and what a lost one held is taken over.\n"
        "Writes RESULTS/<name>/ (tables, results.h5, report.html, links to the pools' shards) and\n"
        "RESULTS/store/ (every artefact by address).\n",
    .all_ranks = true,
    .run = run,
};
