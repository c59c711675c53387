// Steps as CUDA graphs: what the stream is given between begin and end is captured, made into one executable graph, and
// launched by one call.
//
// A graph is made of kernels with fixed arguments, so what differs from launch to launch stands in the card's memory: inputs
// and results of the step, and by how much the indices of its ops that draw have moved.
#include <stdlib.h>

#include "backend/cuda/cuda_context.h"
#include "base/mem.h"

typedef struct {
  cudaGraphExec_t exec;  // owned
  bool draws;            // has ops that draw
} recording;

am_err am_cuda_open_recorder(am_cuda *g) {
  AM_TRY_CUDA(cudaMalloc((void **)&g->record.moved, sizeof *g->record.moved));
  return AM_OK;
}

void am_cuda_close_recorder(am_cuda *g) {
  if (g->record.moved) (void)cudaFree(g->record.moved);
}

const uint64_t *am_cuda_moved(am_cuda *g) {
  if (!g->record.under_way) return NULL;
  g->record.draws = true;
  return g->record.moved;
}

// Recordings name the memory of temporaries and what libraries keep with their plans.
static void count_recordings(am_cuda *g, int by) {
  g->record.count += by;
  g->temps.keep = g->products.keep = g->convolutions.keep = g->record.count > 0;
}

// Relaxed: this process captures nothing else, and what a library loads on its way is no part of the step.
static am_err cuda_begin(void *ctx) {
  am_cuda *g = ctx;
  AM_TRY_CUDA(cudaStreamBeginCapture(g->stream, cudaStreamCaptureModeRelaxed));
  g->record.under_way = true;
  g->record.draws = false;
  count_recordings(g, 1);
  return AM_OK;
}

static am_err instantiate(am_cuda *g, cudaGraph_t graph, recording **out) {
  am_err err = AM_OK;
  recording *r = NULL;
  AM_GO(done, AM_NEW(&r));
  r->draws = g->record.draws;
  AM_GO_CUDA(done, cudaGraphInstantiate(&r->exec, graph, 0));
  AM_GO_CUDA(done, cudaGraphUpload(r->exec, g->stream));
  *out = r;
  r = NULL;
done:
  if (r && r->exec) (void)cudaGraphExecDestroy(r->exec);
  free(r);
  return err;
}

static am_err cuda_end(void *ctx, void **out) {
  am_err err = AM_OK;
  am_cuda *g = ctx;
  recording *r = NULL;
  cudaGraph_t graph = NULL;
  g->record.under_way = false;
  AM_GO_CUDA(done, cudaStreamEndCapture(g->stream, &graph));
  AM_GO(done, instantiate(g, graph, &r));
  *out = r;
done:
  if (graph) (void)cudaGraphDestroy(graph);
  if (!r) count_recordings(g, -1);
  return err;
}

static am_err cuda_launch(void *ctx, void *recorded, uint64_t moved) {
  am_cuda *g = ctx;
  const recording *r = recorded;
  if (r->draws) AM_TRY(am_cuda_from_host(g, g->record.moved, &moved, sizeof moved));
  AM_TRY_CUDA(cudaGraphLaunch(r->exec, g->stream));
  return AM_OK;
}

// A graph that is still running is destroyed when it has ended.
static void cuda_free(void *ctx, void *recorded) {
  recording *r = recorded;
  (void)cudaGraphExecDestroy(r->exec);
  count_recordings(ctx, -1);
  free(r);
}

const am_backend_recorder am_cuda_recorder = {
    .begin = cuda_begin, .end = cuda_end, .launch = cuda_launch, .free = cuda_free};
