#include "backend/cuda/conv_measure.h"

#include <math.h>

#include "base/log.h"

// No more engines, as each must be made ready first. Several calls in a row, so that the host's work between them counts for
// less; of several rows the shortest counts.
enum { CANDIDATES = 5, CALLS = 4, ROWS = 3 };

typedef struct {
  am_cuda *g;                           // borrowed
  am_cuda_conv_plan *plan[CANDIDATES];  // owned, but for the first
  double msec[CANDIDATES];              // of a call
  int count;
  void *workspace;         // borrowed: the context's, or of the op's temporaries
  cudaEvent_t begin, end;  // owned
} contest;

static am_err find_others(contest *c, const am_cuda_conv *k, am_cuda_conv_way way) {
  const am_cuda_planner here = {.handle = c->g->dnn};
  while (c->count < CANDIDATES) {
    am_cuda_conv_plan *next = NULL;
    AM_TRY(am_cuda_conv_plan_new(&here, k, way, am_cuda_conv_plan_place(c->plan[c->count - 1]) + 1, &next));
    if (!next) break;
    c->plan[c->count++] = next;
  }
  return AM_OK;
}

static am_err open_contest(contest *c) {
  size_t most = 0;
  for (int i = 0; i < c->count; i++) {
    const size_t bytes = am_cuda_conv_plan_bytes(c->plan[i]);
    most = bytes > most ? bytes : most;
  }
  AM_TRY_CUDA(cudaEventCreate(&c->begin));
  AM_TRY_CUDA(cudaEventCreate(&c->end));
  c->workspace = c->g->workspace;
  return most > AM_CUDA_WORKSPACE_BYTES ? am_temps_take(&c->g->temps, most, &c->workspace) : AM_OK;
}

static void close_contest(contest *c) {
  for (int i = 1; i < c->count; i++) am_cuda_conv_plan_free(c->plan[i]);
  if (c->begin) (void)cudaEventDestroy(c->begin);
  if (c->end) (void)cudaEventDestroy(c->end);
}

static am_err time_row(contest *c, const am_cuda_conv_plan *p, const am_cuda_conv_data *data, double *msec) {
  float row = 0;
  AM_TRY_CUDA(cudaEventRecord(c->begin, c->g->stream));
  for (int i = 0; i < CALLS; i++) AM_TRY(am_cuda_conv_plan_run(c->g->dnn, p, data, c->workspace));
  AM_TRY_CUDA(cudaEventRecord(c->end, c->g->stream));
  AM_TRY(am_cuda_wait_for(c->g, c->end));
  AM_TRY_CUDA(cudaEventElapsedTime(&row, c->begin, c->end));
  *msec = (double)row / CALLS;
  return AM_OK;
}

// The first call loads the engine's code and does not count.
static am_err time_all(contest *c, const am_cuda_conv_data *data) {
  for (int i = 0; i < c->count; i++) {
    AM_TRY(am_cuda_conv_plan_run(c->g->dnn, c->plan[i], data, c->workspace));
    c->msec[i] = INFINITY;
    for (int r = 0; r < ROWS; r++) {
      double msec = 0;
      AM_TRY(time_row(c, c->plan[i], data, &msec));
      c->msec[i] = fmin(c->msec[i], msec);
    }
  }
  return AM_OK;
}

am_err am_cuda_conv_measure(am_cuda *g, const am_cuda_conv *k, am_cuda_conv_way way,
                            const am_cuda_conv_data *data, am_cuda_conv_plan **plan) {
  am_err err = AM_OK;
  char text[AM_CUDA_CONV_TEXT];
  contest c = {.g = g, .plan = {*plan}, .count = 1};
  AM_GO(done, find_others(&c, k, way));
  AM_GO(done, open_contest(&c));
  AM_GO(done, time_all(&c, data));
  const int best = am_cuda_conv_fastest(c.msec, c.count);
  AM_DEBUG("%s of %s: engine %d of %d by timing, %.4f ms, the first %.4f ms", am_op_name((am_op)k->op),
           am_cuda_conv_text(k, text), best + 1, c.count, c.msec[best], c.msec[0]);
  *plan = c.plan[best];
  c.plan[best] = c.plan[0];  // the loser, freed with the others; the winner is nobody's but the caller's
  c.plan[0] = *plan;
done:
  if (err) (void)cudaStreamSynchronize(g->stream);  // a plan is not freed while it runs
  close_contest(&c);
  return err;
}
