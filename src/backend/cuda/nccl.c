// Sums between cards by NCCL: each group has a stream of its own, tied to the stream of the ops by events, so that sums go on
// beside backward and neither the host nor a kernel that needs none of them waits.
//
// Communicators are non-blocking. A call of NCCL may only begin something; no other call on the communicator may follow before
// ncclCommGetAsyncError gives ncclSuccess, and only then is a sum queued on the stream. So an event is recorded behind a sum
// after a poll said done, never before.
#include <nccl.h>
#include <string.h>

#include "backend/cuda/cuda_context.h"
#include "base/mem.h"

_Static_assert(sizeof(ncclUniqueId) == AM_GROUP_ID_BYTES, "an id of NCCL is the name of a group");

struct am_cuda_group {
  am_cuda *card;  // borrowed
  am_device_waiter waiter;
  ncclComm_t comm;      // owned; NULL once aborted
  cudaStream_t stream;  // owned
  cudaEvent_t final;    // owned: on the card's stream, before a sum
  cudaEvent_t summed;   // owned: on the group's stream, after all sums
  bool pending;         // summed is recorded, and was not seen to have come
  am_cuda_group *next;  // among the card's open groups
};

static am_err check(const am_cuda_group *g, const char *call, ncclResult_t result) {
  if (result == ncclSuccess || result == ncclInProgress) return AM_OK;
  return AM_FAIL(AM_ERR_DEVICE, "NCCL: %s gave %s (%s)", call, ncclGetErrorString(result),
                 ncclGetLastError(g ? g->comm : NULL));
}

#define AM_TRY_NCCL(g, call) AM_TRY(check((g), #call, (call)))

// ---- who and where ----

static am_err card_text(void *ctx, char text[AM_CARD_TEXT]) {
  const am_cuda *g = ctx;
  AM_TRY_CUDA(cudaDeviceGetPCIBusId(text, AM_CARD_TEXT, g->index));
  return AM_OK;
}

static am_err make_id(void *ctx, unsigned char id[AM_GROUP_ID_BYTES]) {
  ncclUniqueId made;
  AM_TRY_NCCL(NULL, ncclGetUniqueId(&made));
  memcpy(id, &made, sizeof made);
  return AM_OK;
}

// ---- waiting ----

// An am_device_poll.
static am_err group_poll(void *group, bool *done) {
  am_cuda_group *g = group;
  ncclResult_t state = ncclSuccess;
  AM_CHECK(g->comm, AM_ERR_DEVICE, "NCCL: this group of cards was given up");
  AM_TRY_NCCL(g, ncclCommGetAsyncError(g->comm, &state));
  AM_TRY(check(g, "a sum, or meeting the other cards,", state));
  *done = state == ncclSuccess;
  return AM_OK;
}

static void group_abort(void *group) {
  am_cuda_group *g = group;
  if (g->comm) (void)ncclCommAbort(g->comm);
  g->comm = NULL;
  g->pending = false;
}

typedef struct {
  am_cuda_group *group;  // borrowed
  cudaEvent_t event;     // borrowed
} awaited;

// An am_device_poll. *done: the event came.
static am_err event_came(void *self, bool *done) {
  const awaited *a = self;
  bool ready = false;
  const cudaError_t status = cudaEventQuery(a->event);
  *done = status == cudaSuccess;
  if (*done) return AM_OK;
  if (status != cudaErrorNotReady) return am_cuda_fail("cudaEventQuery", status);
  (void)cudaGetLastError();  // "not ready" is no error of the next launch
  return group_poll(a->group, &ready);
}

static am_err look_until(am_cuda_group *g, cudaEvent_t event) {
  awaited a = {.group = g, .event = event};
  const am_err err = g->waiter.until(g->waiter.user, event_came, &a);
  if (err) group_abort(g);  // the kernels that wait for a lost card end, and with them whatever is queued behind
  return err;
}

static am_err wait_for_sums(am_cuda_group *g) {
  if (!g->pending) return AM_OK;
  g->pending = false;
  return look_until(g, g->summed);
}

am_err am_cuda_wait_for_sums(const am_cuda *g) {
  for (am_cuda_group *group = g->groups; group; group = group->next) AM_TRY(wait_for_sums(group));
  return AM_OK;
}

am_err am_cuda_wait_for(const am_cuda *g, cudaEvent_t event) {
  for (am_cuda_group *group = g->groups; group; group = group->next) {
    if (group->pending) return look_until(group, event);
  }
  AM_TRY_CUDA(cudaEventSynchronize(event));
  return AM_OK;
}

// ---- a group ----

static void group_free(am_cuda_group *g) {
  if (!g) return;
  group_abort(g);
  if (g->stream) (void)cudaStreamSynchronize(g->stream);
  if (g->final) (void)cudaEventDestroy(g->final);
  if (g->summed) (void)cudaEventDestroy(g->summed);
  if (g->stream) (void)cudaStreamDestroy(g->stream);
  free(g);
}

// Sums go before the ops of backward where both could run.
static am_err open_stream(am_cuda_group *g) {
  int least = 0, greatest = 0;
  AM_TRY_CUDA(cudaDeviceGetStreamPriorityRange(&least, &greatest));
  AM_TRY_CUDA(cudaStreamCreateWithPriority(&g->stream, cudaStreamNonBlocking, greatest));
  AM_TRY_CUDA(cudaEventCreateWithFlags(&g->final, cudaEventDisableTiming));
  AM_TRY_CUDA(cudaEventCreateWithFlags(&g->summed, cudaEventDisableTiming));
  return AM_OK;
}

static am_err group_open(void *ctx, const unsigned char id[AM_GROUP_ID_BYTES], int rank, int size,
                         const am_device_waiter *waiter, void **group) {
  am_err err = AM_OK;
  am_cuda_group *g = NULL;
  ncclUniqueId name;
  ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
  config.blocking = 0;
  memcpy(&name, id, sizeof name);
  AM_TRY(AM_NEW(&g));
  g->card = ctx;
  g->waiter = *waiter;
  AM_GO(failed, open_stream(g));
  AM_GO(failed,
        check(g, "ncclCommInitRankConfig", ncclCommInitRankConfig(&g->comm, size, name, rank, &config)));
  g->next = g->card->groups;
  g->card->groups = g;
  *group = g;
  return AM_OK;
failed:
  group_free(g);
  return err;
}

static am_err group_all_reduce(void *group, float *data, int64_t count) {
  am_cuda_group *g = group;
  AM_CHECK(g->comm, AM_ERR_DEVICE, "NCCL: this group of cards was given up");
  AM_TRY_CUDA(cudaEventRecord(g->final, g->card->stream));
  AM_TRY_CUDA(cudaStreamWaitEvent(g->stream, g->final, 0));
  AM_TRY_NCCL(g, ncclAllReduce(data, data, (size_t)count, ncclFloat32, ncclSum, g->comm, g->stream));
  return AM_OK;
}

static am_err group_join(void *group) {
  am_cuda_group *g = group;
  AM_TRY_CUDA(cudaEventRecord(g->summed, g->stream));
  AM_TRY_CUDA(cudaStreamWaitEvent(g->card->stream, g->summed, 0));
  g->pending = true;
  return AM_OK;
}

// The others may still read this card's part of the last sum: they are waited for before it goes.
static am_err leave(am_cuda_group *g) {
  AM_TRY(wait_for_sums(g));
  AM_TRY_NCCL(g, ncclCommFinalize(g->comm));
  AM_TRY(g->waiter.until(g->waiter.user, group_poll, g));
  AM_TRY_NCCL(g, ncclCommDestroy(g->comm));
  g->comm = NULL;
  return AM_OK;
}

static void group_close(void *group) {
  am_cuda_group *g = group, **at = &g->card->groups;
  while (*at != g) at = &(*at)->next;
  *at = g->next;
  if (g->comm) (void)leave(g);  // or else it is aborted
  group_free(g);
}

const am_backend_collective am_cuda_collective = {.card = card_text,
                                                  .make_id = make_id,
                                                  .open = group_open,
                                                  .poll = group_poll,
                                                  .all_reduce = group_all_reduce,
                                                  .join = group_join,
                                                  .abort = group_abort,
                                                  .close = group_close};
