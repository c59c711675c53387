#include "app/session.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/path.h"
#include "sweep/references.h"

static am_err note_references(const am_app *app, const am_session *s) {
  char *dir = NULL;
  AM_TRY(am_path_join(app->results_dir, s->e->folder, &dir));
  am_err err = am_references_note(dir, (const am_plan *const[]){s->plan}, 1);
  free(dir);
  return err;
}

// Everything but the look at the store.
static am_err open_file(const am_app *app, const char *file, const am_experiment_options *options,
                        bool create, am_comm *comm, am_session *out) {
  am_err err = AM_OK;
  am_session s = {.dirs = {.data_dir = app->data_dir, .manifest_dir = app->manifest_dir}};
  am_source *source = NULL;
  char *rates = NULL;
  am_given *given = NULL;
  bool first = !comm || am_comm_rank(comm) == 0;
  AM_GO(done, am_experiment_load(file,
                                 &(am_experiment_overrides){.tiny = options->tiny,
                                                            .set = options->set.word,
                                                            .set_count = options->set.count,
                                                            .threads = app->threads},
                                 &s.e));
  // One rank makes the folder; the others find it.
  err = first ? am_store_open(app->results_dir, create, &s.store) : AM_OK;
  if (comm) err = am_agree(comm, err);
  AM_GO(done, err);
  if (!first) AM_GO(done, am_store_open(app->results_dir, false, &s.store));
  if (create || am_path_is_dir(app->results_dir)) {
    AM_GO(done, am_path_join(app->results_dir, "cache", &s.cache_dir));
    s.dirs.cache_dir = s.cache_dir;
  }
  AM_GO(done, am_path_join(app->results_dir, "calibration.json", &rates));
  AM_GO(done, am_rates_load(rates, &s.rates));
  AM_GO(done, am_sources_look(s.e, &s.dirs, comm, &source));
  err = am_given_look(s.e, source, &s.dirs, comm, &given);
  if (err) am_sources_free(source, s.e->draw_count * s.e->draw[0].split_count);
  AM_GO(done, err);
  AM_GO(done, am_plan_new(s.e, source, given, &s.plan));
  err = first && create && options->noted ? note_references(app, &s) : AM_OK;
  if (comm) err = am_agree(comm, err);
  AM_GO(done, err);
  *out = s;
  s = (am_session){0};
done:
  free(rates);
  am_session_close(&s);
  return err;
}

am_err am_session_open(const am_app *app, const am_experiment_options *options, bool create, am_comm *comm,
                       am_session *out) {
  AM_TRY(open_file(app, app->argv[0], options, create, comm, out));
  am_err err = am_plan_look(out->plan, out->store);
  if (err) am_session_close(out);
  return err;
}

void am_session_close(am_session *s) {
  am_plan_free(s->plan);
  am_experiment_free(s->e);
  am_store_close(s->store);
  free(s->cache_dir);
  am_rates_free(s->rates);
  *s = (am_session){0};
}

static am_err check_folders(const am_app *app, const am_sessions *all) {
  for (int64_t i = 0; i < all->count; i++)
    for (int64_t k = 0; k < i; k++)
      AM_CHECK(strcmp(all->item[k].e->folder, all->item[i].e->folder) != 0, AM_ERR_CONFIG,
               "%s and %s are both called %s and would write to one folder", app->argv[k], app->argv[i],
               all->item[i].e->folder);
  return AM_OK;
}

am_err am_sessions_open(const am_app *app, const am_experiment_options *options, bool create,
                        am_sessions *out) {
  am_err err = AM_OK;
  am_sessions all = {0};
  am_store_view view = {0};
  AM_GO(done, AM_NEW_ARRAY(&all.item, app->argc));
  for (; all.count < app->argc; all.count++)
    AM_GO(done, open_file(app, app->argv[all.count], options, create, NULL, &all.item[all.count]));
  AM_GO(done, check_folders(app, &all));
  am_store_view_init(&view, all.item[0].store);
  for (int64_t i = 0; i < all.count; i++) AM_GO(done, am_plan_look_at(all.item[i].plan, &view));
  *out = all;
  all = (am_sessions){0};
done:
  am_store_view_fini(&view);
  am_sessions_close(&all);
  return err;
}

void am_sessions_close(am_sessions *all) {
  for (int64_t i = 0; i < all->count; i++) am_session_close(&all->item[i]);
  free(all->item);
  *all = (am_sessions){0};
}
