// The cuda backend's own kernels as plain loops on this machine's processor, as a plug-in in place of backends/cuda.so: so that
// what they compute, and how ops come to launches, is tested where there is no card. What only a card shows (races, launches,
// libraries, speed) it does not.
#include <stdlib.h>
#include <string.h>

#include "backend/cuda/cuda_internal.h"
#include "backend/plugin.h"
#include "base/mem.h"

struct am_cuda {
  am_temps temps;
};
static const am_backend backend_on_host;

const uint64_t *on_host_moved;  // of the whole process, for tests: as while a step is recorded

am_err am_cuda_fail(const char *call, cudaError_t status) { return AM_FAIL(AM_ERR_DEVICE, "%s gave %d", call, (int)status); }
cudaStream_t am_cuda_stream(const am_cuda *g) { return NULL; }
bool am_cuda_tf32(const am_cuda *g) { return false; }
const uint64_t *am_cuda_moved(am_cuda *g) { return on_host_moved; }
am_temps *am_cuda_temps(am_cuda *g) { return &g->temps; }

static am_err host_open(const am_device_cfg *cfg, void **ctx) {
  am_cuda *g = NULL;
  AM_TRY(AM_NEW(&g));
  g->temps = (am_temps){.backend = &backend_on_host, .ctx = g};
  *ctx = g;
  return AM_OK;
}
static void host_close(void *ctx) {
  am_cuda *g = ctx;
  am_temps_fini(&g->temps);
  free(g);
}
static am_err host_describe(void *ctx, char *text, size_t bytes) {
  snprintf(text, bytes, "cuda (kernels as loops on the host, for tests)");
  return AM_OK;
}
static am_err host_alloc(void *ctx, size_t bytes, void **out) { return am_mem_alloc_aligned(out, (int64_t)bytes, 1); }
static void host_release(void *ctx, void *memory, size_t bytes) { free(memory); }
static am_err host_copy(void *ctx, void *to, const void *from, size_t bytes) {
  if (bytes) memcpy(to, from, bytes);
  return AM_OK;
}
static am_err host_sync(void *ctx) { return AM_OK; }

static const char *host_lacks(void *ctx, am_op op, am_dtype dtype) {
  switch (op) {
#define HAS_OP(op, desc_type, types) \
  case AM_OP_##op: return am_cuda_lacks_type(types, dtype);
    AM_CUDA_KERNEL_OPS(HAS_OP)
#undef HAS_OP
    default: return "it is not one of the backend's own kernels";
  }
}

static const am_backend backend_on_host = {
    .name = "cuda",
    .open = host_open,
    .close = host_close,
    .describe = host_describe,
    .alloc = host_alloc,
    .release = host_release,
    .to_host = host_copy,
    .from_host = host_copy,
    .sync = host_sync,
    .augment = am_cuda_augment,
    .lacks = host_lacks,
    .choose_layout = am_cuda_choose_layout,
#define HOST_SLOT(op, desc_type, types) .op = am_cuda_##op,
    AM_CUDA_KERNEL_OPS(HOST_SLOT)
#undef HOST_SLOT
};

const am_plugin am_plugin_entry = {.abi = AM_PLUGIN_ABI, .backend = &backend_on_host};
