#include "app/calibrate.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/path.h"
#include "sweep/cost.h"
#include "sweep/runner.h"

// Batches of a training in miniature. What a stage costs besides its steps counts in, so times are rather
// too long than too short.
enum { BATCHES = 4 };
#define EPOCHS "2"

// ---- the miniature ----

static am_err put(am_node *map, const char *key, const char *text) {
  am_node *n = NULL;
  AM_TRY(am_node_new_scalar(text, false, &n));
  return am_node_put(map, key, n);
}

static am_err put_epochs(am_node *owner, const char *recipe, bool only_if_there) {
  am_node *n = am_node_get(owner, recipe);
  if (!n && only_if_there) return AM_OK;
  if (!n) {
    AM_TRY(am_node_new_map("", &n));
    AM_TRY(am_node_put(owner, recipe, n));
    n = am_node_get(owner, recipe);
  }
  return put(n, "epochs", EPOCHS);
}

// Real images alone, so that a training needs no pool; what it costs does not depend on where images come from.
static am_err shrink_arm(am_node *arm) {
  am_node *list = NULL, *real = NULL;
  am_err err = am_node_new_list("", &list);
  if (!err) err = am_node_new_scalar("real", false, &real);
  if (!err) err = am_node_append(list, real);
  if (err) am_node_free(list);
  AM_TRY(err);
  AM_TRY(am_node_put(arm, "train", list));
  am_node *over = am_node_get(arm, "override");
  if (over) am_node_remove(over, "epochs");
  return AM_OK;
}

// Images of each class that make a few of the largest batches.
static int64_t images_per_class(const am_session *s) {
  int64_t classes = am_plan_source(s->plan, 0, 0)->class_count, most = 1;
  for (int64_t i = 0; i < s->e->arm_count; i++)
    most = am_max_i64(most, am_ceil_div(s->e->arm[i].train.batch_size, classes));
  for (int64_t i = 0; i < s->e->generator_count; i++)
    most = am_max_i64(most, s->e->generator[i].fit.batch_size);
  return BATCHES * most;
}

static am_err shrink_data(am_node *data, const am_session *s) {
  char count[24];
  snprintf(count, sizeof count, "%lld", (long long)images_per_class(s));
  am_node_remove(data, "draws");
  for (int64_t i = 0; i < s->plan->split_count; i++) {
    am_node *split = am_node_get(data, s->e->draw[0].split[i].name);
    if (split) AM_TRY(put(split, "per_class", count));
  }
  return AM_OK;
}

static am_err shrink(const am_session *s, am_node *tree) {
  static const char *const without[] = {"matrix",   "zip",       "include", "exclude", "tiny",
                                        "defaults", "published", "notes",   "controls"};
  for (int i = 0; i < AM_COUNT_OF(without); i++) am_node_remove(tree, without[i]);
  AM_TRY(put(tree, "seeds", "1"));
  AM_TRY(put_epochs(tree, "train", false));
  am_node *arms = am_node_get(tree, "arms"), *generators = am_node_get(tree, "generators");
  for (int64_t i = 0; arms && i < arms->count; i++) AM_TRY(shrink_arm(arms->item[i]));
  for (int64_t i = 0; generators && i < generators->count; i++)
    AM_TRY(put_epochs(generators->item[i], "fit", true));
  return shrink_data(am_node_get(tree, "data"), s);
}

static am_err write_miniature(const am_session *s, const char *path) {
  am_err err = AM_OK;
  am_node *tree = NULL;
  am_str text = {0};
  AM_GO(done, am_node_copy(s->e->tree, &tree));
  AM_GO(done, shrink(s, tree));
  AM_GO(done, am_node_print(tree, &text));
  AM_GO(done, am_file_write(path, text.text, (size_t)text.length));
done:
  am_str_fini(&text);
  am_node_free(tree);
  return err;
}

// ---- running it ----

// One stage of each rate that is not known here yet, and what it needs.
static am_err choose(const am_plan *p, const am_rates *rates, const char *device, bool **out) {
  bool *wanted = NULL;
  double sec = 0;
  AM_TRY(AM_NEW_ARRAY(&wanted, p->count));
  for (int64_t i = 0; i < p->count; i++) {
    bool seen = am_rates_find(rates, device, p->stage[i].rate, &sec);
    for (int64_t k = 0; k < i && !seen; k++)
      seen = wanted[k] && strcmp(p->stage[k].rate, p->stage[i].rate) == 0;
    wanted[i] = !seen;
  }
  for (int64_t i = p->count - 1; i >= 0; i--)
    for (int64_t k = 0; k < p->stage[i].input_count && wanted[i]; k++) wanted[p->stage[i].input[k]] = true;
  *out = wanted;
  return AM_OK;
}

static am_err run_miniature(const am_app *app, const am_session *mini, am_rates *rates) {
  am_err err = AM_OK;
  am_device *device = NULL;
  bool *wanted = NULL;
  char type[AM_DEVICE_TYPE];
  am_run_summary summary = {0};
  AM_GO(done, am_app_device(app, mini->e->cfg.threads, &device));
  AM_GO(done,
        am_plan_weigh(mini->plan, device, rates, app->world));  // the first pass of a network pays for more
  AM_GO(done, choose(mini->plan, rates, am_device_type(device, type), &wanted));
  am_runner runner = {.plan = mini->plan,
                      .rates = rates,
                      .store = mini->store,
                      .dirs = mini->dirs,
                      .device = device,
                      .world = app->world,
                      .wanted = wanted};
  AM_GO(done, am_run_local(&runner, &summary));
done:
  free(wanted);
  am_device_close(device);
  return err;
}

am_err am_calibrate(const am_app *app, const am_session *s, am_rates *rates) {
  am_err err = AM_OK;
  am_session mini = {0};
  char *dir = NULL, *file = NULL;
  AM_CHECK(am_comm_size(app->world) == 1, AM_ERR_CONFIG,
           "--calibrate is for one rank: start it without mpirun");
  AM_GO(done, am_str_format(&dir, "%s/calibrate.%ld", app->results_dir, (long)getpid()));
  AM_GO(done, am_path_mkdirs(dir));
  AM_GO(done, am_path_join(dir, "miniature.yaml", &file));
  AM_GO(done, write_miniature(s, file));
  AM_INFO("%s: a few steps of each kind of stage ...", s->e->cfg.name);
  am_app there = *app;
  there.results_dir = dir;
  there.argv = &file;
  there.argc = 1;
  err = am_session_open(&there, &(am_experiment_options){0}, true, NULL, &mini);
  if (!err) err = run_miniature(&there, &mini, rates);
  if (err == AM_ERR_STOPPED || err == AM_ERR_NOMEM) goto done;
  if (err) AM_WARN("%s cannot be tried in miniature: %s", s->e->cfg.name, am_err_last()->message);
  err = AM_OK;
done:
  am_session_close(&mini);
  if (dir && am_path_remove_tree(dir) != AM_OK) AM_WARN("%s could not be removed", dir);
  free(dir);
  free(file);
  return err;
}
