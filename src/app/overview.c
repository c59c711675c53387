#include "app/overview.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

// ---- choosing ----

static am_err choose_device(const am_app *app, const am_rates *rates, const char *on,
                            char out[AM_DEVICE_TYPE]) {
  am_device *device = NULL;
  char here[AM_DEVICE_TYPE];
  const char *found = NULL;
  if (on) {
    found = am_rates_device(rates, on);
    AM_CHECK(found, AM_ERR_CONFIG,
             "--on \"%s\": nothing was measured on such a device; see %s/calibration.json", on,
             app->results_dir);
  } else {
    AM_TRY(am_app_device(app, 0, &device));
    found = am_rates_device(rates, am_device_type(device, here));
    am_device_close(device);
    if (!found) found = am_rates_device(rates, "");
  }
  snprintf(out, AM_DEVICE_TYPE, "%s", found ? found : "");
  return AM_OK;
}

am_err am_overview_new(const am_app *app, const am_sessions *all, const char *on, const char *limit,
                       am_overview *out) {
  am_err err = AM_OK;
  am_overview v = {0};
  am_plan **plan = NULL;
  AM_CHECK(!limit || am_clock_parse_span(limit, &v.limit_sec), AM_ERR_CONFIG,
           "--time-limit is minutes, H:M:S, D-H:M:S, 90m or 2h, not \"%s\"", limit);
  const am_rates *rates = all->item[0].rates;
  AM_GO(done, AM_NEW_ARRAY(&plan, all->count));
  for (int64_t i = 0; i < all->count; i++) plan[i] = all->item[i].plan;
  AM_GO(done, choose_device(app, rates, on, v.device));
  AM_GO(done, am_outlook_new(plan, all->count, rates, v.device, v.limit_sec, &v.outlook));
  *out = v;
  v = (am_overview){0};
done:
  am_overview_fini(&v);
  free(plan);
  return err;
}

void am_overview_fini(am_overview *v) { am_outlook_fini(&v->outlook); }

// ---- printing ----

static const am_stage_state columns[] = {AM_STATE_DONE,    AM_STATE_RUNNING, AM_STATE_MISSING,
                                         AM_STATE_WAITING, AM_STATE_FAILED,  AM_STATE_PARKED};

void am_overview_print_kinds(const am_app *app, const am_overview *v) {
  char span[32];
  fprintf(app->out, "\n%-9s %7s", "stage", "all");
  for (int i = 0; i < AM_COUNT_OF(columns); i++) fprintf(app->out, " %7s", am_state_name(columns[i]));
  fprintf(app->out, "  device time left\n");
  for (int k = 0; k < AM_STAGE_KINDS; k++) {
    const am_outlook_kind *kind = &v->outlook.kind[k];
    if (!kind->all) continue;
    fprintf(app->out, "%-9s %7lld", am_stage_name((am_stage_kind)k), (long long)kind->all);
    for (int i = 0; i < AM_COUNT_OF(columns); i++)
      fprintf(app->out, " %7lld", (long long)kind->state[columns[i]]);
    am_clock_span(kind->left_sec, span);
    if (kind->state[AM_STATE_DONE] == kind->all)
      fprintf(app->out, "  -\n");
    else if (kind->unknown == kind->all - kind->state[AM_STATE_DONE])
      fprintf(app->out, "  ?\n");
    else
      fprintf(app->out, "  %s%s\n", kind->unknown ? "more than " : "", span);
  }
}

void am_overview_print_time(const am_app *app, const am_overview *v) {
  const am_outlook *o = &v->outlook;
  int64_t left = o->count - o->state[AM_STATE_DONE];
  char span[32], chain[32];
  fprintf(app->out, "\n");
  if (left == 0) {
    fprintf(app->out, "device time left: none, all %lld stages are done\n", (long long)o->count);
    return;
  }
  am_clock_span(o->left_sec, span);
  am_clock_span(o->chain_sec, chain);
  if (o->unknown < left)
    fprintf(app->out, "device time left: %s%s = %.2f device-hours, %s%s on any number of devices\n",
            o->unknown ? "more than " : "about ", span, o->left_sec / 3600, "at least ", chain);
  if (o->unknown < left) fprintf(app->out, "  judged by what such stages took on %s\n", v->device);
  if (o->unknown)
    fprintf(app->out,
            "%s of %lld stages: not known yet. `augmint plan ... --calibrate` runs a few steps of each\n",
            o->unknown < left ? "  and" : "device time left", (long long)o->unknown);
}

static void print_files(const am_app *app) {
  for (int i = 0; i < app->argc; i++) fprintf(app->out, " %s", app->argv[i]);
}

void am_overview_print_next(const am_app *app, const am_overview *v) {
  const int64_t *state = v->outlook.state;
  int64_t open = state[AM_STATE_MISSING] + state[AM_STATE_FAILED];
  fprintf(app->out, "\nnext: ");
  if (state[AM_STATE_DONE] == v->outlook.count) {
    fprintf(app->out, "augmint report");
    print_files(app);
    fprintf(app->out, "\n");
    return;
  }
  if (open) {
    fprintf(app->out, "mpirun -n RANKS augmint run%s", app->argc > 1 ? " EACH of" : "");
    print_files(app);
    fprintf(app->out, "%s\n",
            state[AM_STATE_RUNNING] ? "   (beside the running ones; nothing is done twice)" : "");
  } else if (state[AM_STATE_RUNNING]) {
    fprintf(app->out, "nothing to do: what is left waits for the running stages\n");
  }
  if (state[AM_STATE_PARKED]) {
    fprintf(app->out,
            "%sremove the cause of the %lld parked ones (augmint status shows it), then: augmint retry",
            open || state[AM_STATE_RUNNING] ? "      " : "", (long long)state[AM_STATE_PARKED]);
    print_files(app);
    fprintf(app->out, "\n");
  }
}
