// augmint submit: what experiments are missing, as Slurm jobs.
#include "app/submitting.h"

static am_err run(am_app *app) {
  am_experiment_options experiment = {.noted = true};
  const char *profile = NULL;
  bool dry_run = false, go = false;
  const am_option options[] = {
      AM_EXPERIMENT_OPTIONS(&experiment),
      {"--profile", AM_OPTION_TEXT, &profile, "P", "the site: a file, or a name in slurm/profiles"},
      {"--dry-run", AM_OPTION_FLAG, &dry_run, NULL, "print the jobs and commands, submit nothing"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 1, AM_WORDS_MAX, &go));
  if (!go) return AM_OK;
  AM_CHECK(
      profile, AM_ERR_CONFIG,
      "submit needs --profile: slurm/profiles has examples, slurm/README.md says how a site is described");
  return am_submit_files(app, &experiment, profile, dry_run);
}

const am_command am_cmd_submit = {
    .name = "submit",
    .usage = "EXPERIMENT.yaml... --profile P [--dry-run] [--tiny] [--set KEY=VALUE]...",
    .doc = "submit what experiments are missing to Slurm",
    .help =
        "One job array for each kind of stage, which waits for the arrays that make its inputs, and one job "
        "that\n"
        "collects the tables in the end. Short stages are packed into one job. Several files share the "
        "stages that\n"
        "they have in common. What is done, or in the queue already, is not submitted again: after a loss of "
        "any\n"
        "kind, the same command submits the rest. Jobs write to RESULTS/slurm/<id>/log/.\n"
        "  augmint submit experiments/cows-horses/table1.yaml --profile mysite --data /scratch/images "
        "--dry-run\n",
    .run = run};
