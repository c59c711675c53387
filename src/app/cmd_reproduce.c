// augmint reproduce: the experiment for a table or figure of a paper, by its name there.
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "app/papers.h"
#include "app/running.h"
#include "app/submitting.h"
#include "base/log.h"

enum { WORDS_MOST = 4 };

typedef struct {
  am_experiment_options experiment;
  const char *profile;
  bool dry_run, markdown;
} reproduce_options;

// P4 Table I, in as many words as the shell made of it.
static am_err join(const am_app *app, am_str *out) {
  for (int i = 0; i < app->argc; i++) AM_TRY(am_str_printf(out, "%s%s", i ? " " : "", app->argv[i]));
  return AM_OK;
}

static bool is_paper(const am_papers *p, const char *word) {
  for (int64_t i = 0; i < p->index->count; i++)
    if (strcasecmp(word, p->index->key[i]) == 0) return true;
  return false;
}

static am_err list(const am_app *app, const am_papers *p, const reproduce_options *o, const char *paper) {
  if (o->markdown) {
    am_papers_print_markdown(p, app->out);
    return AM_OK;
  }
  AM_TRY(am_papers_print(p, paper, app->out));
  int64_t i = 0;
  while (i < p->count && !p->item[i].file_count) i++;
  if (i < p->count)
    fprintf(app->out,
            "\nnext: augmint reproduce %s/\"%s\" --tiny   (a miniature, in seconds; at the paper's size "
            "without)\n",
            p->item[i].paper, p->item[i].where);
  return AM_OK;
}

// Submitting is the work of one rank.
static am_err submit(const am_app *app, const reproduce_options *o) {
  am_err err = AM_OK;
  if (am_comm_rank(app->world) == 0) err = am_submit_files(app, &o->experiment, o->profile, o->dry_run);
  return am_agree(app->world, err);
}

static am_err reproduce(const am_app *app, const am_papers *p, const reproduce_options *o, const char *text) {
  const am_paper_item *item = NULL;
  const char *file = NULL;
  char path[PATH_MAX];
  AM_TRY(am_papers_find(p, text, &item, &file));
  fprintf(app->out, "%s, %s (%s)%s%s: %s\n", item->paper, item->where, item->what,
          *item->with ? ", with " : "", item->with, file);
  snprintf(path, sizeof path, "%s", file);
  am_app here = *app;
  here.argv = (char *[]){path, NULL};
  here.argc = 1;
  return o->profile ? submit(&here, o) : am_run_file(&here, &o->experiment, AM_LEASE_EXPIRY_SEC);
}

static am_err run(am_app *app) {
  am_err err = AM_OK;
  reproduce_options o = {.experiment = {.noted = true}};
  am_papers papers = {0};
  am_str text = {0};
  bool go = false;
  const am_option options[] = {
      AM_EXPERIMENT_OPTIONS(&o.experiment),
      {"--profile", AM_OPTION_TEXT, &o.profile, "P", "submit it to Slurm instead, as augmint submit does"},
      {"--dry-run", AM_OPTION_FLAG, &o.dry_run, NULL, "with --profile: print the jobs, submit nothing"},
      {"--markdown", AM_OPTION_FLAG, &o.markdown, NULL, "list all as the table of experiments/README.md"},
  };
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, WORDS_MOST, &go));
  if (!go) return AM_OK;
  AM_CHECK(!o.dry_run || o.profile, AM_ERR_CONFIG,
           "--dry-run goes with --profile; `augmint plan` shows what `run` would do");
  AM_GO(done, am_papers_load(&papers));
  AM_GO(done, join(app, &text));
  const char *word = am_str_get(&text);
  bool listing = !*word || is_paper(&papers, word);
  AM_GO(done, listing ? list(app, &papers, &o, *word ? word : NULL) : reproduce(app, &papers, &o, word));
done:
  am_str_fini(&text);
  am_papers_fini(&papers);
  return err;
}

const am_command am_cmd_reproduce = {
    .name = "reproduce",
    .usage = "[PAPER[/TABLE]] [--tiny] [--set KEY=VALUE]... [--profile P]",
    .doc = "plan, run and report a table or figure of a paper by its name there",
    .help =
        "Without words: every table and figure of the papers, with its experiment or `planned`. Case, spaces "
        "and the\n"
        "kind of numbers do not matter: P4/table1, p4/\"Table I\", P4/TableI. Options are those of run; "
        "under mpirun\n"
        "the stages are spread over the ranks.\n"
        "  augmint reproduce P4\n"
        "  mpirun -n 4 augmint reproduce P4/table1 --data /scratch/images\n"
        "  augmint reproduce P4/table1 --data /scratch/images --profile mysite\n",
    .all_ranks = true,
    .run = run,
};
