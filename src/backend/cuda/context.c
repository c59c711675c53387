// Context, memory and op table of the cuda backend.
#include <stdio.h>
#include <string.h>

#include "backend/cuda/conv_graph.h"
#include "backend/cuda/cuda_context.h"
#include "backend/plugin.h"
#include "base/mem.h"

am_err am_cuda_fail(const char *call, cudaError_t status) {
  (void)cudaGetLastError();  // the next call shall not report this one again
  const am_err code = status == cudaErrorMemoryAllocation ? AM_ERR_NOMEM : AM_ERR_DEVICE;
  return AM_FAIL(code, "CUDA: %s gave %s (%s)", call, cudaGetErrorName(status), cudaGetErrorString(status));
}

// ---- which card ----

// What stands against using any card: said in the words of whoever has to change it.
static am_err count_cards(int *count) {
  int driver = 0, runtime = 0;
  const cudaError_t status = cudaGetDeviceCount(count);
  if (status == cudaSuccess && *count > 0) return AM_OK;
  (void)cudaGetLastError();
  (void)cudaDriverGetVersion(&driver);
  (void)cudaRuntimeGetVersion(&runtime);
  AM_CHECK(driver > 0, AM_ERR_UNSUPPORTED,
           "device cuda: no NVIDIA driver on this machine (libcuda.so.1); a container needs --nv or --gpus");
  AM_CHECK(status != cudaErrorInsufficientDriver, AM_ERR_UNSUPPORTED,
           "device cuda: the driver knows CUDA %d.%d, this build needs %d.%d or a newer driver of the same generation",
           driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
  const char *visible = getenv("CUDA_VISIBLE_DEVICES");
  AM_CHECK(status == cudaErrorNoDevice || status == cudaSuccess, AM_ERR_UNSUPPORTED, "device cuda: %s",
           cudaGetErrorString(status));
  return AM_FAIL(AM_ERR_UNSUPPORTED, "device cuda: the driver shows no card (CUDA_VISIBLE_DEVICES is %s); a job asks Slurm "
                 "for one with --gres=gpu:1", visible ? visible : "not set");
}

// Kernels are built for these and newer ones.
enum { LEAST_MAJOR = 8 };

static am_err choose_card(am_cuda *g, int index) {
  int count = 0;
  AM_TRY(count_cards(&count));
  AM_CHECK(index >= 0, AM_ERR_CONFIG, "device cuda: card %d, expected one from 0", index);
  index %= count;
  g->index = index;
  AM_TRY_CUDA(cudaSetDevice(index));
  AM_TRY_CUDA(cudaDeviceGetAttribute(&g->major, cudaDevAttrComputeCapabilityMajor, index));
  AM_TRY_CUDA(cudaDeviceGetAttribute(&g->minor, cudaDevAttrComputeCapabilityMinor, index));
  AM_CHECK(g->major >= LEAST_MAJOR, AM_ERR_UNSUPPORTED, "device cuda: card %d has compute capability %d.%d, at least %d.0 is needed",
           index, g->major, g->minor, LEAST_MAJOR);
  return AM_OK;
}

// ---- context ----

static const am_backend backend_cuda;

static void cuda_close(void *ctx) {
  am_cuda *g = ctx;
  if (!g) return;
  if (g->stream) (void)cudaStreamSynchronize(g->stream);
  am_plan_cache_clear(&g->products);
  am_plan_cache_clear(&g->convolutions);
  if (g->dnn) (void)cudnnDestroy(g->dnn);
  am_cuda_close_copies(g);
  am_cuda_close_recorder(g);
  am_temps_fini(&g->temps);
  if (g->lt) (void)cublasLtDestroy(g->lt);
  if (g->workspace) (void)cudaFree(g->workspace);
  if (g->pool) (void)cudaMemPoolDestroy(g->pool);
  if (g->began) (void)cudaEventDestroy(g->began);
  if (g->ended) (void)cudaEventDestroy(g->ended);
  if (g->stream) (void)cudaStreamDestroy(g->stream);
  free(g);
}

// Freed memory stays with the process: asking the driver for it again costs more than any kernel.
static am_err open_pool(am_cuda *g) {
  const struct cudaMemPoolProps props = {.allocType = cudaMemAllocationTypePinned,
                                         .location = {.type = cudaMemLocationTypeDevice, .id = g->index}};
  uint64_t keep = UINT64_MAX;
  AM_TRY_CUDA(cudaMemPoolCreate(&g->pool, &props));
  AM_TRY_CUDA(cudaMemPoolSetAttribute(g->pool, cudaMemPoolAttrReleaseThreshold, &keep));
  return AM_OK;
}

static am_err open_dnn(am_cuda *g) {
  AM_TRY_DNN(cudnnCreate(&g->dnn));
  AM_TRY_DNN(cudnnSetStream(g->dnn, g->stream));
  return AM_OK;
}

static am_err cuda_open(const am_device_cfg *cfg, void **ctx) {
  am_err err = AM_OK;
  am_cuda *g = NULL;
  AM_GO(done, AM_NEW(&g));
  g->measured = cfg->measured;
  g->products.release = am_cuda_matmul_plan_free;
  g->convolutions.release = am_cuda_conv_release;
  g->temps = (am_temps){.backend = &backend_cuda, .ctx = g};
  AM_GO(done, choose_card(g, cfg->index));
  AM_GO_CUDA(done, cudaStreamCreateWithFlags(&g->stream, cudaStreamNonBlocking));
  AM_GO_CUDA(done, cudaEventCreate(&g->began));
  AM_GO_CUDA(done, cudaEventCreate(&g->ended));
  AM_GO(done, open_pool(g));
  AM_GO(done, am_cuda_open_copies(g));
  AM_GO(done, am_cuda_open_recorder(g));
  AM_GO_CUDA(done, cudaMalloc(&g->workspace, AM_CUDA_WORKSPACE_BYTES));
  AM_CHECK_GO(done, cublasLtCreate(&g->lt) == CUBLAS_STATUS_SUCCESS, AM_ERR_DEVICE, "cuBLASLt does not start on card %d",
              g->index);
  AM_GO(done, open_dnn(g));
  *ctx = g;
  g = NULL;
done:
  cuda_close(g);
  return err;
}

static am_err cuda_describe(void *ctx, char *text, size_t bytes) {
  const am_cuda *g = ctx;
  struct cudaDeviceProp p;
  int runtime = 0, driver = 0;
  AM_TRY_CUDA(cudaGetDeviceProperties(&p, g->index));
  AM_TRY_CUDA(cudaRuntimeGetVersion(&runtime));
  AM_TRY_CUDA(cudaDriverGetVersion(&driver));
  snprintf(text, bytes, "cuda (%s, %d.%d, %.0f GiB, CUDA %d.%d, driver for %d.%d%s)", p.name, g->major, g->minor,
           (double)p.totalGlobalMem / (1 << 30), runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10,
           g->measured ? ", engines by timing" : "");
  return AM_OK;
}

// ---- memory ----

static am_err cuda_alloc(void *ctx, size_t bytes, void **out) {
  const am_cuda *g = ctx;
  AM_CHECK(!g->record.under_way, AM_ERR_INTERNAL, "%zu bytes are asked for while a step is recorded", bytes);
  AM_TRY_CUDA(cudaMallocFromPoolAsync(out, bytes ? bytes : 1, g->pool, g->stream));
  return AM_OK;
}

static void cuda_release(void *ctx, void *memory, size_t bytes) {
  const am_cuda *g = ctx;
  (void)cudaFreeAsync(memory, g->stream);
}

static am_err cuda_sync(void *ctx) {
  const am_cuda *g = ctx;
  AM_TRY(am_cuda_wait_for_sums(g));
  AM_TRY_CUDA(cudaStreamSynchronize(g->stream));
  return AM_OK;
}

static am_err cuda_time_begin(void *ctx) {
  const am_cuda *g = ctx;
  AM_TRY_CUDA(cudaEventRecord(g->began, g->stream));
  return AM_OK;
}

static am_err cuda_time_end(void *ctx, double *sec) {
  const am_cuda *g = ctx;
  float ms = 0;
  AM_TRY_CUDA(cudaEventRecord(g->ended, g->stream));
  AM_TRY(am_cuda_wait_for(g, g->ended));
  AM_TRY_CUDA(cudaEventElapsedTime(&ms, g->began, g->ended));
  *sec = (double)ms / 1e3;
  return AM_OK;
}

static am_err cuda_alloc_host(void *ctx, size_t bytes, void **out) {
  AM_TRY_CUDA(cudaHostAlloc(out, bytes, cudaHostAllocDefault));
  return AM_OK;
}

static void cuda_release_host(void *ctx, void *memory) { (void)cudaFreeHost(memory); }

cudaStream_t am_cuda_stream(const am_cuda *g) { return g->stream; }
bool am_cuda_tf32(const am_cuda *g) { return g->tf32; }

am_temps *am_cuda_temps(am_cuda *g) { return &g->temps; }

// ---- the table ----

#define ONE(op, desc_type, types) +1
_Static_assert(0 AM_CUDA_KERNEL_OPS(ONE) AM_CUDA_LIBRARY_OPS(ONE) == AM_OP_COUNT, "an op is missing, or listed twice");
#undef ONE

// Cards of compute capability 8.0 and newer have it, which are all that there are here.
static void cuda_set_tf32(void *ctx, bool on) {
  am_cuda *g = ctx;
  g->tf32 = on;
}

static const char *cuda_lacks(void *ctx, am_op op, am_dtype dtype) {
  switch (op) {
#define HAS_OP(op, desc_type, types) \
  case AM_OP_##op: return am_cuda_lacks_type(types, dtype);
    AM_CUDA_KERNEL_OPS(HAS_OP)
    AM_CUDA_LIBRARY_OPS(HAS_OP)
#undef HAS_OP
    default: return "it is no op";
  }
}

static const am_backend backend_cuda = {
    .name = "cuda",
    .measures = true,
    .open = cuda_open,
    .close = cuda_close,
    .describe = cuda_describe,
    .alloc = cuda_alloc,
    .release = cuda_release,
    .to_host = am_cuda_to_host,
    .from_host = am_cuda_from_host,
    .fetch = am_cuda_fetch_begin,
    .fetched = am_cuda_fetched,
    .fetch_end = am_cuda_fetch_end,
    .collective = &am_cuda_collective,
    .recorder = &am_cuda_recorder,
    .augment = am_cuda_augment,
    .sync = cuda_sync,
    .time_begin = cuda_time_begin,
    .time_end = cuda_time_end,
    .alloc_host = cuda_alloc_host,
    .release_host = cuda_release_host,
    .lacks = cuda_lacks,
    .set_tf32 = cuda_set_tf32,
    .choose_layout = am_cuda_choose_layout,
#define CUDA_SLOT(op, desc_type, types) .op = am_cuda_##op,
    AM_CUDA_KERNEL_OPS(CUDA_SLOT)
    AM_CUDA_LIBRARY_OPS(CUDA_SLOT)
#undef CUDA_SLOT
};

const am_plugin am_plugin_entry = {.abi = AM_PLUGIN_ABI, .backend = &backend_cuda};
