// Context, memory and op table of the cpu backend.
#define _DEFAULT_SOURCE  // madvise
#include "backend/cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/cpu_bf16.h"
#include "base/fault.h"
#include "base/mem.h"

enum { HUGE_PAGE_BYTES = 2 << 20 };

// ---- context ----

static void cpu_close(void *ctx) {
  am_cpu *cpu = ctx;
  if (!cpu) return;
  am_cpu_conv_plans_free(cpu);
  am_cpu_amx_forget(cpu);
  for (int i = 0; i < AM_CPU_SCRATCH_SLOTS; i++) free(cpu->scratch[i].data);
  if (cpu->stream) dnnl_stream_destroy(cpu->stream);
  if (cpu->engine) dnnl_engine_destroy(cpu->engine);
  free(cpu);
}

// The numbers of oneDNN's instruction sets are bit masks: a wider set contains the narrower.
static bool has_isa(dnnl_cpu_isa_t isa) { return (dnnl_get_effective_cpu_isa() & isa) == isa; }

static am_err cpu_open(const am_device_cfg *cfg, void **ctx) {
  am_err err = AM_OK;
  am_cpu *cpu = NULL;
  AM_GO(done, AM_NEW(&cpu));
  cpu->threads = cfg->threads > 0 ? cfg->threads : 1;
  cpu->avx512 = has_isa(dnnl_cpu_isa_avx512_core);
  cpu->bf16 = has_isa(dnnl_cpu_isa_avx512_core_bf16);
  cpu->amx = has_isa(dnnl_cpu_isa_avx512_core_amx) && am_cpu_amx_request();
  am_cpu_use_threads(cpu);
  AM_GO_DNNL(done, dnnl_engine_create(&cpu->engine, dnnl_cpu, 0));
  AM_GO_DNNL(done, dnnl_stream_create(&cpu->stream, cpu->engine, dnnl_stream_in_order));
  *ctx = cpu;
  cpu = NULL;
done:
  cpu_close(cpu);
  return err;
}

static const char *isa_text(void) {
  if (has_isa(dnnl_cpu_isa_avx512_core_amx)) return "AVX-512 with bf16 and AMX";
  if (has_isa(dnnl_cpu_isa_avx512_core_bf16)) return "AVX-512 with bf16";
  if (has_isa(dnnl_cpu_isa_avx512_core)) return "AVX-512";
  return has_isa(dnnl_cpu_isa_avx2) ? "AVX2" : "no AVX2";
}

static am_err cpu_describe(void *ctx, char *text, size_t bytes) {
  const am_cpu *cpu = ctx;
  const dnnl_version_t *v = dnnl_version();
  snprintf(text, bytes, "cpu (oneDNN %d.%d.%d, %s, %d thread%s)", v->major, v->minor, v->patch, isa_text(),
           cpu->threads, cpu->threads == 1 ? "" : "s");
  return AM_OK;
}

static const char *cpu_lacks(void *ctx, am_op op, am_dtype dtype) {
  const am_cpu *cpu = ctx;
  if (dtype == AM_F32) return NULL;
  if (dtype != AM_BF16) return "it computes in f32 and bf16";
  if (am_op_in_place(op)) return "parameters are kept and updated in f32";
  return cpu->bf16 ? NULL : "this processor, as oneDNN sees it, has no bf16 instructions (avx512_bf16)";
}

// ---- memory ----

// Large arrays start on a huge page and ask for more: an activation of a few hundred MB walks
// through far fewer page-table entries.
static am_err cpu_alloc(void *ctx, size_t bytes, void **out) {
  AM_CHECK(!am_fault_hit(AM_FAULT_ALLOC), AM_ERR_NOMEM, "out of memory (injected fault)");
  size_t align = bytes >= HUGE_PAGE_BYTES ? HUGE_PAGE_BYTES : 64;
  AM_CHECK(bytes <= PTRDIFF_MAX - align, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
  size_t room = am_align_up(bytes ? bytes : 1, align);
  void *p = aligned_alloc(align, room);
  AM_CHECK(p, AM_ERR_NOMEM, "out of memory: %zu bytes were asked for", bytes);
  if (align == HUGE_PAGE_BYTES) (void)madvise(p, room, MADV_HUGEPAGE);  // a wish: refusal changes nothing
  *out = p;
  return AM_OK;
}

static void cpu_release(void *ctx, void *memory, size_t bytes) { free(memory); }

static am_err cpu_to_host(void *ctx, void *host, const void *device, size_t bytes) {
  if (bytes) memcpy(host, device, bytes);
  return AM_OK;
}

static am_err cpu_from_host(void *ctx, void *device, const void *host, size_t bytes) {
  if (bytes) memcpy(device, host, bytes);
  return AM_OK;
}

static am_err cpu_sync(void *ctx) { return AM_OK; }

// ---- scratch ----

am_err am_cpu_scratch(am_cpu *cpu, am_cpu_scratch_slot slot, int64_t count, size_t size, void *pp) {
  am_cpu_block *block = &cpu->scratch[slot];
  size_t bytes = 0;
  AM_CHECK(count >= 0 && am_mul_size((size_t)count, size, &bytes), AM_ERR_NOMEM,
           "out of memory: %lld items of %zu bytes were asked for", (long long)count, size);
  if (bytes > block->bytes || !block->data) {
    free(block->data);
    *block = (am_cpu_block){0};
    AM_TRY(cpu_alloc(cpu, bytes, &block->data));
    block->bytes = bytes;
  }
  memcpy(pp, &block->data, sizeof block->data);
  return AM_OK;
}

// ---- geometry ----

am_cpu_image am_cpu_image_of(const am_view *v) {
  const am_shape *s = &v->shape;
  am_cpu_image im = {.n = s->dim[0], .c = s->ndim > 1 ? s->dim[1] : 1, .spatial = 1, .w = 1};
  for (int i = 2; i < s->ndim; i++) im.spatial *= s->dim[i];
  im.h = s->ndim == 4 ? s->dim[2] : im.spatial;
  im.w = s->ndim == 4 ? s->dim[3] : 1;
  im.lanes = am_cpu_is_c16(v) ? AM_CPU_LANES : 1;
  im.blocks = im.c / im.lanes;
  return im;
}

// ---- the table ----

// In products, normalisation and updates, numbers below 1e-38 count as zero. They turn up there in
// earnest (second moments of small gradients, a saturated discriminator), change nothing that
// matters, and cost an Intel core over a hundred cycles each. Elementwise ops keep them, and so does
// the caller's own arithmetic.
static bool flushes(am_op op) {
  switch (op) {
    case AM_OP_matmul:
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input:
    case AM_OP_conv2d_grad_weight:
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add:
    case AM_OP_batch_norm:
    case AM_OP_batch_norm_grad:
    case AM_OP_batch_norm_add:
    case AM_OP_batch_norm_add_grad:
    case AM_OP_sgd_step:
    case AM_OP_adam_step: return true;
    default: return false;
  }
}

// Whether the op takes bf16 as it is: it only moves elements, or has kernels for it.
static bool takes_bf16(am_op op, const void *desc, const am_view *in) {
  switch (op) {
    case AM_OP_broadcast_to:
    case AM_OP_permute:
    case AM_OP_slice:
    case AM_OP_pad:
    case AM_OP_concat:
    case AM_OP_gather_rows:
    case AM_OP_reorder:
    case AM_OP_cast:
    case AM_OP_fill:
    case AM_OP_unary:
    case AM_OP_binary:
    case AM_OP_dropout: return true;
    case AM_OP_conv2d:
    case AM_OP_conv2d_grad_input:
    case AM_OP_conv2d_grad_weight: return ((const am_conv2d_desc *)desc)->groups == 1;
    case AM_OP_conv2d_affine:
    case AM_OP_conv2d_affine_add: return ((const am_conv2d_affine_desc *)desc)->conv.groups == 1;
    case AM_OP_max_pool2d:
    case AM_OP_max_pool2d_values:
    case AM_OP_pool_scatter:
    case AM_OP_pool_gather:
    case AM_OP_avg_pool2d:
    case AM_OP_avg_pool2d_grad:
    case AM_OP_upfirdn2d:
    case AM_OP_resample2d:
    case AM_OP_resample2d_grad:
    case AM_OP_batch_norm:
    case AM_OP_batch_norm_grad:
    case AM_OP_batch_norm_add:
    case AM_OP_batch_norm_add_grad:
    case AM_OP_scale_shift:
    case AM_OP_bias_act:
    case AM_OP_bias_act_grad: return am_cpu_is_rows(&in[0]);
    default: return false;
  }
}

static bool runs_wide(am_op op, const void *desc, const am_view *in, const am_view *out) {
  return (am_op_inputs(op) > 0 ? in : out)->dtype == AM_BF16 && !takes_bf16(op, desc, in);
}

#define AM_CPU_RUN(op, desc_type, inputs, outputs, in_place)                                      \
  static am_err run_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out) {     \
    const unsigned before = am_cpu_float_mode();                                                  \
    if (flushes(AM_OP_##op)) am_cpu_set_float_mode(before | AM_CPU_FLUSH);                        \
    const am_err err = runs_wide(AM_OP_##op, desc, in, out)                                       \
                           ? am_cpu_run_wide(ctx, AM_OP_##op, desc, in, out)                      \
                           : am_cpu_##op(ctx, desc, in, out);                                     \
    am_cpu_set_float_mode(before);                                                                \
    return err;                                                                                   \
  }
AM_OP_LIST(AM_CPU_RUN)
#undef AM_CPU_RUN

const am_backend am_backend_cpu = {
    .name = "cpu",
    .host_memory = true,
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .to_host = cpu_to_host,
    .from_host = cpu_from_host,
    .sync = cpu_sync,
    .lacks = cpu_lacks,
    .choose_layout = am_cpu_choose_layout,
#define AM_CPU_SLOT(op, desc_type, inputs, outputs, in_place) .op = run_##op,
    AM_OP_LIST(AM_CPU_SLOT)
#undef AM_CPU_SLOT
};
