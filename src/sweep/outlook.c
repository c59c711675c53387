#include "sweep/outlook.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

static void add_bytes(am_outlook *o, const am_plan *p, const am_stage *st, const am_rates *rates) {
  int64_t shards = am_stage_bytes(p, st);
  double bytes = 0;
  if (shards)
    o->shard_bytes += shards;
  else if (rates && am_rates_find(rates, AM_RATES_BYTES, st->rate, &bytes))
    o->other_bytes += (int64_t)(bytes * am_stage_size_units(p, st));
  else
    o->bytes_unknown++;
}

static void add(am_outlook *o, am_plan *p, am_stage *st, const am_rates *rates, double limit_sec) {
  am_outlook_kind *k = &o->kind[st->kind];
  o->stage[o->count++] = (am_outlook_stage){.plan = p, .stage = st};
  k->all++;
  k->state[st->state]++;
  o->state[st->state]++;
  if (st->state == AM_STATE_DONE) return;
  k->left_sec += st->expected_sec;
  k->unknown += st->expected_sec <= 0;
  k->longest_sec = st->expected_sec > k->longest_sec ? st->expected_sec : k->longest_sec;
  k->too_long += limit_sec > 0 && st->expected_sec > limit_sec;
  add_bytes(o, p, st, rates);
}

static bool has_been_added(am_plan *const *plan, int64_t before, const char *address) {
  for (int64_t i = 0; i < before; i++)
    if (am_plan_find(plan[i], address) >= 0) return true;
  return false;
}

// When each stage of one plan could end, were there devices for all.
static am_err longest_chain(const am_plan *p, double *sec) {
  double *end = NULL;
  AM_TRY(AM_NEW_ARRAY(&end, p->count));
  for (int64_t i = 0; i < p->count; i++) {
    const am_stage *st = &p->stage[i];
    for (int64_t k = 0; k < st->input_count; k++)
      end[i] = end[st->input[k]] > end[i] ? end[st->input[k]] : end[i];
    if (st->state != AM_STATE_DONE) end[i] += st->expected_sec;
    *sec = end[i] > *sec ? end[i] : *sec;
  }
  free(end);
  return AM_OK;
}

am_err am_outlook_new(am_plan *const *plan, int64_t count, const am_rates *rates, const char *device,
                      double limit_sec, am_outlook *out) {
  am_err err = AM_OK;
  am_outlook o = {0};
  int64_t stages = 0;
  for (int64_t i = 0; i < count; i++) stages += plan[i]->count;
  AM_GO(done, AM_NEW_ARRAY(&o.stage, stages));
  for (int64_t i = 0; i < count; i++) {
    if (rates) am_plan_expect(plan[i], rates, device);
    for (int64_t k = 0; k < plan[i]->count; k++) {
      if (has_been_added(plan, i, plan[i]->stage[k].address))
        o.shared++;
      else
        add(&o, plan[i], &plan[i]->stage[k], rates, limit_sec);
    }
    AM_GO(done, longest_chain(plan[i], &o.chain_sec));
  }
  for (int k = 0; k < AM_STAGE_KINDS; k++) {
    o.left_sec += o.kind[k].left_sec;
    o.unknown += o.kind[k].unknown;
  }
  *out = o;
  o = (am_outlook){0};
done:
  am_outlook_fini(&o);
  return err;
}

void am_outlook_fini(am_outlook *o) {
  free(o->stage);
  *o = (am_outlook){0};
}
