#include "sweep/cost.h"

#include <math.h>
#include <stdlib.h>

#include "autograd/ops.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "sweep/stage_internal.h"
#include "sweep/stage_text.h"

enum { PASSES = 3, TRIAL_BATCH = 16 };
static const double PREPARE_SEC = 0.002;  // one image: read, decode, resize
// Forward passes that a step is worth. A backward pass counts as two. A step of a GAN has the
// discriminator forward and backward three times, and the generator once.
static const double TRAIN_PASSES = 3, FIT_GENERATOR_PASSES = 4, FIT_DISCRIMINATOR_PASSES = 9;

static am_err forward_once(am_model *m, am_graph *g, int64_t batch, double *seconds) {
  am_err err = AM_OK;
  am_pass pass = {.graph = g};
  am_tensor *x = NULL, *y = NULL;
  am_shape shape = m->def->role == AM_ROLE_GENERATOR
                       ? AM_SHAPE(batch, m->cfg.latent)
                       : AM_SHAPE(batch, m->cfg.channels, m->cfg.size, m->cfg.size);
  double start = am_clock_sec();
  AM_GO(done, am_fill(g, AM_F32, shape, 0, &x));
  AM_GO(done, am_model_forward(m, &pass, x, &y));
  AM_GO(done, am_device_sync(am_graph_device(g)));
  *seconds = am_clock_sec() - start;
done:
  am_graph_reset(g);
  return err;
}

// Seconds of a forward pass per image: the best of a few.
static am_err time_network(const am_stage_env *env, const am_model_def *def, const am_network_cfg *network,
                           int64_t batch, double *per_image) {
  am_err err = AM_OK;
  am_model *m = NULL;
  am_graph *g = NULL;
  double best = INFINITY;
  AM_GO(done, am_stage_network(env, def, network, 0, &m));
  AM_GO(done, am_params_commit(m->params, env->device, AM_F32, 0));
  AM_GO(done, am_graph_new(env->device, &g));
  am_graph_record(g, false);
  for (int i = 0; i < PASSES; i++) {
    double seconds = 0;
    AM_GO(done, forward_once(m, g, batch, &seconds));
    if (seconds < best) best = seconds;
  }
  *per_image = best / (double)batch;
done:
  am_graph_free(g);
  am_model_free(m);
  return err;
}

typedef struct {
  double *generator, *discriminator, *model;  // seconds per image; parts of one array
} network_times;

static am_err time_all(const am_stage_env *env, network_times t) {
  const am_experiment *e = env->plan->e;
  for (int64_t i = 0; i < e->generator_count; i++) {
    const am_generator_def *g = &e->generator[i];
    int64_t batch = am_min_i64(g->fit.batch_size, TRIAL_BATCH);
    am_err err = time_network(env, g->generator, &g->network, batch, &t.generator[i]);
    if (!err) err = time_network(env, g->discriminator, &g->network, batch, &t.discriminator[i]);
    if (err) am_err_prefix("%s: generators.%s", e->file, g->name);
    AM_TRY(err);
  }
  for (int64_t i = 0; i < e->model_count; i++) {
    const am_classifier_def *c = &e->model[i];
    am_err err = time_network(env, c->def, &c->network, TRIAL_BATCH, &t.model[i]);
    if (err) am_err_prefix("%s: models.%s", e->file, c->name);
    AM_TRY(err);
  }
  return AM_OK;
}

// Seconds for a unit of work.
static double unit_cost(const am_stage *st, network_times t) {
  switch (st->kind) {
    case AM_STAGE_PREPARE:
      return PREPARE_SEC;
    case AM_STAGE_GENERATE:
      return t.generator[st->generator];
    case AM_STAGE_FIT:
      return FIT_GENERATOR_PASSES * t.generator[st->generator] +
             FIT_DISCRIMINATOR_PASSES * t.discriminator[st->generator];
    case AM_STAGE_TRAIN:
      return TRAIN_PASSES * t.model[st->model];
    case AM_STAGE_EVALUATE:
      return t.model[st->model];
  }
  return 0;
}

// Rank 0 knows the costs; everybody gets them.
static am_err share_costs(am_plan *p, am_comm *comm) {
  double *cost = NULL;
  AM_TRY(AM_NEW_ARRAY(&cost, p->count));
  for (int64_t i = 0; i < p->count; i++) cost[i] = p->stage[i].cost;
  am_err err = am_comm_bcast(comm, cost, (size_t)p->count * sizeof *cost, 0);
  for (int64_t i = 0; i < p->count && !err; i++) p->stage[i].cost = p->stage[i].expected_sec = cost[i];
  free(cost);
  return err;
}

am_err am_plan_weigh(am_plan *p, am_device *device, const am_rates *rates, am_comm *comm) {
  am_err err = AM_OK;
  am_stage_env env = {.plan = p, .device = device};
  const am_experiment *e = p->e;
  int64_t count = 2 * e->generator_count + e->model_count;
  double *seconds = NULL;
  err = AM_NEW_ARRAY(&seconds, count);
  network_times t = {seconds, seconds + e->generator_count, seconds + 2 * e->generator_count};
  if (!err) err = time_all(&env, t);
  AM_GO(done, am_agree(comm, err));
  char type[AM_DEVICE_TYPE];
  if (rates) am_plan_expect(p, rates, am_device_type(device, type));
  for (int64_t i = 0; i < p->count; i++) {
    am_stage *st = &p->stage[i];
    st->cost = st->expected_sec > 0 ? st->expected_sec : am_stage_units(p, st) * unit_cost(st, t);
  }
  AM_GO(done, share_costs(p, comm));
done:
  free(seconds);
  return err;
}
