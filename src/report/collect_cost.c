// What the stages behind a cell took: its training, and the fits and blocks of pools that it learned from.
#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "report/collect_internal.h"
#include "sweep/stage_text.h"

double am_collect_device_seconds(am_collector *c, int64_t stage) {
  const am_stage *st = &c->plan->stage[stage];
  double *sec = &c->device_seconds[stage];
  if (*sec < 0 && st->state != AM_STATE_DONE) *sec = NAN;
  if (*sec < 0)
    *sec = am_store_number(c->store, st->address, "seconds") * am_store_number(c->store, st->address, "ranks");
  return *sec;
}

// Adds what `stage` needs, each stage once, to the sum of its kind.
static void add_inputs(am_collector *c, int64_t stage, bool *seen, double sum[AM_STAGE_KINDS]) {
  const am_stage *st = &c->plan->stage[stage];
  for (int64_t i = 0; i < st->input_count; i++) {
    int64_t input = st->input[i];
    if (seen[input]) continue;
    seen[input] = true;
    double sec = am_collect_device_seconds(c, input);
    if (isfinite(sec)) sum[c->plan->stage[input].kind] += sec;
    add_inputs(c, input, seen, sum);
  }
}

am_err am_collect_cell_cost(am_collector *c, const am_cell *cell, int64_t row) {
  const am_plan *p = c->plan;
  am_frame *f = am_results_frame(c->results, "cells");
  double sum[AM_STAGE_KINDS] = {0};
  bool *seen = NULL;
  AM_TRY(AM_NEW_ARRAY(&seen, p->count));
  add_inputs(c, cell->train, seen, sum);
  free(seen);
  int64_t epochs = am_arm_epochs(p, cell->arm, cell->draw);
  am_frame_set_i64(f, row, "epochs", epochs);
  am_frame_set_i64(f, row, "steps", epochs * am_arm_updates(p, cell->arm, cell->draw));
  am_frame_set_f64(f, row, "seconds", am_store_number(c->store, p->stage[cell->train].address, "seconds"));
  am_frame_set_f64(f, row, "device_seconds", am_collect_device_seconds(c, cell->train));
  am_frame_set_f64(f, row, "fit_device_seconds", sum[AM_STAGE_FIT]);
  am_frame_set_f64(f, row, "generate_device_seconds", sum[AM_STAGE_GENERATE]);
  return AM_OK;
}
