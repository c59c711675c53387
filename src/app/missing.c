#include "app/missing.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/path.h"
#include "sweep/cost.h"

// Left free on the disk beyond what the missing shards need.
static const int64_t SPARE_BYTES = (int64_t)64 << 20;

static am_err check_disk(const am_app *app, const am_plan *p) {
  int64_t need = am_plan_bytes(p), have = 0;
  AM_TRY(am_path_free_bytes(app->results_dir, &have));
  AM_CHECK(have >= need + SPARE_BYTES, AM_ERR_IO, "%s has %lld MiB free, the missing shards need %lld MiB",
           app->results_dir, (long long)(have >> 20), (long long)((need + SPARE_BYTES) >> 20));
  return AM_OK;
}

static am_err open_log(const am_app *app, const am_session *s, const char *log_dir) {
  char *dir = NULL;
  AM_TRY(log_dir ? am_str_format(&dir, "%s", log_dir)
                 : am_str_format(&dir, "%s/%s/log", app->results_dir, s->e->folder));
  am_err err = am_path_mkdirs(dir);
  if (!err) err = am_log_open(dir, AM_LOG_DEBUG);
  free(dir);
  return err;
}

static am_err check_type(const am_device *device, const char *precision, const char *what, const char *name) {
  am_dtype compute;
  const am_err err = am_compute_type(device, precision, &compute);
  if (err) am_err_prefix("%s %s", what, name);
  return err;
}

static am_err check_precision(const am_experiment *e, const am_device *device) {
  for (int64_t i = 0; i < e->arm_count; i++)
    AM_TRY(check_type(device, e->arm[i].train.precision, "arm", e->arm[i].name));
  for (int64_t i = 0; i < e->generator_count; i++)
    AM_TRY(check_type(device, e->generator[i].fit.precision, "generator", e->generator[i].name));
  return AM_OK;
}

// The ranks compute together: a sum of gradients, or a pool, is of one kind of device. Collective.
static am_err check_kinds(const am_app *app, const am_device *device) {
  char kind[32] = "", first[32];
  snprintf(kind, sizeof kind, "%s", am_device_kind(device));
  memcpy(first, kind, sizeof first);
  AM_TRY(am_comm_bcast(app->world, first, sizeof first, 0));
  am_err err = strcmp(first, kind) == 0 ? AM_OK
                                        : AM_FAIL(AM_ERR_CONFIG,
                                                  "this rank computes on %s, rank 0 on %s: --device says one "
                                                  "kind for all",
                                                  kind, first);
  return am_agree(app->world, err);
}

am_err am_missing_do(const am_app *app, am_session *s, const am_missing *what, am_run_summary *summary) {
  am_err err = AM_OK;
  am_device *device = NULL;
  err = open_log(app, s, what->log_dir);
  if (!err) err = check_disk(app, s->plan);
  if (!err) err = am_app_device(app, s->e->cfg.threads, &device);
  if (!err) err = check_precision(s->e, device);
  AM_GO(done, am_agree(app->world, err));
  AM_GO(done, check_kinds(app, device));
  AM_GO(done, am_plan_weigh(s->plan, device, s->rates, app->world));
  AM_INFO("device: %s", am_device_describe(device));
  am_runner runner = {.plan = s->plan,
                      .rates = s->rates,
                      .store = s->store,
                      .dirs = s->dirs,
                      .device = device,
                      .world = app->world,
                      .wanted = what->wanted,
                      .start_sec = am_clock_sec(),
                      .end_sec = what->end_sec};
  AM_GO(done, am_run_local(&runner, summary));
done:
  am_device_close(device);
  return err;
}
