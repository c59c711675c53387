// augmint verify: re-reads finished artefacts: addresses, file hashes, every image's checksum.
#include <stdlib.h>
#include <string.h>

#include "app/next.h"
#include "base/log.h"
#include "base/path.h"
#include "data/shard.h"

typedef struct {
  int64_t checked, bad;
  am_progress progress;
} tally;

static am_err verify_shards(const char *dir) {
  am_err err = AM_OK;
  am_dir_list list = {0};
  char *path = NULL;
  am_shard *shard = NULL;
  AM_GO(done, am_dir_read(dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (!am_str_starts(list.name[i], "block-") || !am_str_ends(list.name[i], ".h5")) continue;
    AM_GO(done, am_path_join(dir, list.name[i], &path));
    AM_GO(done, am_shard_open(path, &shard));
    AM_GO(done, am_shard_verify(shard));
    am_shard_close(shard);
    shard = NULL;
    free(path);
    path = NULL;
  }
done:
  am_shard_close(shard);
  free(path);
  am_dir_list_fini(&list);
  return err;
}

static am_err verify_one(const am_store *store, const char *address) {
  char *dir = NULL;
  AM_TRY(am_store_verify(store, address));
  AM_TRY(am_store_path(store, address, NULL, &dir));
  am_err err = verify_shards(dir);
  free(dir);
  return err;
}

// A bad artefact is printed and counted; checking goes on.
static void check(const am_app *app, const am_store *store, const char *address, const char *id, tally *t) {
  t->checked++;
  if (verify_one(store, address) != AM_OK) {
    t->bad++;
    fprintf(app->out, "bad: %s%s%s\n", id, *id ? ": " : "", am_err_last()->message);
    am_err_clear();
  }
  if (am_progress_due(&t->progress)) AM_INFO("%lld artefacts checked", (long long)t->checked);
}

static am_err check_plan(am_app *app, const am_experiment_options *options, tally *t) {
  am_session s = {0};
  int64_t missing = 0;
  AM_TRY(am_session_open(app, options, false, NULL, &s));
  for (int64_t i = 0; i < s.plan->count; i++) {
    const am_stage *st = &s.plan->stage[i];
    if (st->state == AM_STATE_DONE)
      check(app, s.store, st->address, st->id, t);
    else
      missing++;
  }
  am_session_close(&s);
  if (!missing) return AM_OK;
  fprintf(app->out, "%lld stages are not done\n", (long long)missing);
  return am_next_say(app, options, "next: ", "status", NULL, "   (what is missing, and what to do)");
}

static am_err check_store(am_app *app, tally *t) {
  am_store *store = NULL;
  char(*address)[AM_SHA256_HEX] = NULL;
  int64_t count = 0;
  AM_TRY(am_store_open(app->results_dir, false, &store));
  am_err err = am_store_list(store, &address, &count);
  for (int64_t i = 0; i < count && !err; i++) check(app, store, address[i], "", t);
  free(address);
  am_store_close(store);
  return err;
}

static am_err run(am_app *app) {
  am_experiment_options options = {0};
  tally t = {0};
  const am_option table[] = {AM_EXPERIMENT_OPTIONS(&options)};
  bool go = false;
  AM_TRY(am_command_begin(app, table, AM_COUNT_OF(table), 0, 1, &go));
  if (!go) return AM_OK;
  AM_TRY(app->argc ? check_plan(app, &options, &t) : check_store(app, &t));
  fprintf(app->out, "%lld artefacts verified, %lld bad\n", (long long)(t.checked - t.bad), (long long)t.bad);
  AM_CHECK(t.bad == 0, AM_ERR_DATA,
           "%lld artefacts are not what was written: remove the folders named above, and the next run makes them "
           "again",
           (long long)t.bad);
  return AM_OK;
}

const am_command am_cmd_verify = {
    .name = "verify",
    .usage = "[EXPERIMENT.yaml] [--tiny]",
    .doc = "re-read finished artefacts: addresses, file hashes, image checksums",
    .help = "Without an experiment, everything in RESULTS/store.\n",
    .run = run,
};
