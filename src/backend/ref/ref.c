#include "backend/ref/ref.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

static am_err ref_open(const am_device_cfg *cfg, void **ctx) {
  AM_CHECK(cfg->threads == 1, AM_ERR_CONFIG, "device ref computes with one thread, not %d", cfg->threads);
  *ctx = NULL;  // plain loops keep no state
  return AM_OK;
}

static void ref_close(void *ctx) { (void)ctx; }

static am_err ref_describe(void *ctx, char *text, size_t bytes) {
  snprintf(text, bytes, "ref (plain loops, 1 thread)");
  return AM_OK;
}

static am_err ref_alloc(void *ctx, size_t bytes, void **out) {
  return am_mem_alloc_aligned(out, (int64_t)bytes, 1);
}

static void ref_release(void *ctx, void *memory, size_t bytes) { free(memory); }

static am_err ref_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  memcpy(host, device, bytes);
  return AM_OK;
}

static am_err ref_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  memcpy(device, host, bytes);
  return AM_OK;
}

static am_err ref_sync(void *ctx) { return AM_OK; }

static const char *ref_lacks(void *ctx, am_op op, am_dtype dtype) {
  return dtype == AM_F32 || dtype == AM_F64 ? NULL : "it computes in f32 and f64";
}

const am_backend am_backend_ref = {
  .name = "ref",
  .host_memory = true,
  .open = ref_open,
  .close = ref_close,
  .describe = ref_describe,
  .alloc = ref_alloc,
  .release = ref_release,
  .to_host = ref_to_host,
  .from_host = ref_from_host,
  .sync = ref_sync,
  .lacks = ref_lacks,
#define REF_SLOT(op, desc_type, inputs, outputs, in_place) .op = am_ref_##op,
  AM_OP_LIST(REF_SLOT)
#undef REF_SLOT
};
