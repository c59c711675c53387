#include "app/session.h"

#include <stdlib.h>

#include "base/path.h"

am_err am_session_open(const am_app *app, const am_experiment_options *options, bool create, am_comm *comm,
                       am_session *out) {
  am_err err = AM_OK;
  am_session s = {.dirs = {.data_dir = app->data_dir, .manifest_dir = app->manifest_dir}};
  am_source *source = NULL;
  am_given *given = NULL;
  bool first = !comm || am_comm_rank(comm) == 0;
  AM_GO(done, am_experiment_load(app->argv[0],
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
  AM_GO(done, am_path_join(app->results_dir, "calibration.json", &s.rates));
  AM_GO(done, am_sources_look(s.e, &s.dirs, comm, &source));
  err = am_given_look(s.e, source, &s.dirs, comm, &given);
  if (err) am_sources_free(source, s.e->draw_count * s.e->draw[0].split_count);
  AM_GO(done, err);
  AM_GO(done, am_plan_new(s.e, source, given, &s.plan));
  AM_GO(done, am_plan_look(s.plan, s.store));
  *out = s;
  s = (am_session){0};
done:
  am_session_close(&s);
  return err;
}

void am_session_close(am_session *s) {
  am_plan_free(s->plan);
  am_experiment_free(s->e);
  am_store_close(s->store);
  free(s->cache_dir);
  free(s->rates);
  *s = (am_session){0};
}
