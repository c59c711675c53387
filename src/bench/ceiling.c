#include "bench/ceiling.h"

#include <dnnl.h>
#include <math.h>
#include <omp.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "bench/machine.h"

enum { PASSES = 6, GEMM_SIZE = 2048, GEMM_TINY = 32, STREAM_TINY = 4096, THREADS_MAX = 1024 };
static const int64_t STREAM_BYTES = (int64_t)512 << 20;  // of each array: beyond any cache's share

#define TRY_DNNL(call)                                                                            \
  do {                                                                                            \
    dnnl_status_t status_ = (call);                                                               \
    AM_CHECK_GO(done, status_ == dnnl_success, AM_ERR_DEVICE, "oneDNN refused %s (status %d)", #call, \
                (int)status_);                                                                    \
  } while (0)

// ---- products ----

// 2.x and 3.x differ in how a memory descriptor is held and an operation described.
#if DNNL_VERSION_MAJOR >= 3
typedef dnnl_memory_desc_t held_md;
typedef const_dnnl_memory_desc_t lent_md;
static lent_md lend(const held_md *md) { return *md; }
static dnnl_status_t make_md(held_md *md, int64_t n, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_create_with_tag(md, 2, (dnnl_dims_t){n, n}, type, tag);
}
static void drop_md(held_md *md) { dnnl_memory_desc_destroy(*md); }
static size_t md_bytes(lent_md md) { return dnnl_memory_desc_get_size(md); }
static dnnl_status_t make_product(dnnl_engine_t engine, const held_md *plain, const held_md *any,
                                  dnnl_primitive_desc_t *pd) {
  return dnnl_matmul_primitive_desc_create(pd, engine, *plain, *any, NULL, *plain, NULL);
}
#else
typedef dnnl_memory_desc_t held_md;
typedef const dnnl_memory_desc_t *lent_md;
static dnnl_status_t make_md(held_md *md, int64_t n, dnnl_data_type_t type, dnnl_format_tag_t tag) {
  return dnnl_memory_desc_init_by_tag(md, 2, (dnnl_dims_t){n, n}, type, tag);
}
static lent_md lend(const held_md *md) { return md; }
static void drop_md(held_md *md) { (void)md; }
static size_t md_bytes(lent_md md) { return dnnl_memory_desc_get_size(md); }
static dnnl_status_t make_product(dnnl_engine_t engine, const held_md *plain, const held_md *any,
                                  dnnl_primitive_desc_t *pd) {
  dnnl_matmul_desc_t desc;
  dnnl_status_t status = dnnl_matmul_desc_init(&desc, plain, any, NULL, plain);
  return status ? status : dnnl_primitive_desc_create(pd, &desc, NULL, engine, NULL);
}
#endif

typedef struct {
  dnnl_engine_t engine;
  dnnl_stream_t stream;
  dnnl_primitive_desc_t pd;
  dnnl_primitive_t product;
  dnnl_memory_t memory[3];  // source, weights, result
  void *data[3];            // owned
} gemm;

// Memory full of ones, whatever its layout.
static am_err make_ones(gemm *g, int i, lent_md md, dnnl_data_type_t type) {
  am_err err = AM_OK;
  size_t bytes = md_bytes(md);
  AM_GO(done, am_mem_alloc_aligned(&g->data[i], (int64_t)bytes, 1));
  for (size_t k = 0; type == dnnl_f32 && k < bytes / sizeof(float); k++) ((float *)g->data[i])[k] = 1;
  for (size_t k = 0; type == dnnl_bf16 && k < bytes / 2; k++) ((uint16_t *)g->data[i])[k] = 0x3f80;
  TRY_DNNL(dnnl_memory_create(&g->memory[i], md, g->engine, g->data[i]));
done:
  return err;
}

static am_err gemm_open(gemm *g, int64_t n, dnnl_data_type_t type) {
  am_err err = AM_OK;
  held_md md[2];
  int made = 0;
  TRY_DNNL(dnnl_engine_create(&g->engine, dnnl_cpu, 0));
  TRY_DNNL(dnnl_stream_create(&g->stream, g->engine, dnnl_stream_default_flags));
  for (; made < 2; made++) TRY_DNNL(make_md(&md[made], n, type, made ? dnnl_format_tag_any : dnnl_ab));
  TRY_DNNL(make_product(g->engine, &md[0], &md[1], &g->pd));
  TRY_DNNL(dnnl_primitive_create(&g->product, g->pd));
  AM_GO(done, make_ones(g, 0, lend(&md[0]), type));
  AM_GO(done, make_ones(g, 1, dnnl_primitive_desc_query_md(g->pd, dnnl_query_weights_md, 0), type));
  AM_GO(done, make_ones(g, 2, lend(&md[0]), type));
done:
  while (made > 0) drop_md(&md[--made]);
  return err;
}

static void gemm_close(gemm *g) {
  for (int i = 0; i < 3; i++) {
    if (g->memory[i]) dnnl_memory_destroy(g->memory[i]);
    free(g->data[i]);
  }
  if (g->product) dnnl_primitive_destroy(g->product);
  if (g->pd) dnnl_primitive_desc_destroy(g->pd);
  if (g->stream) dnnl_stream_destroy(g->stream);
  if (g->engine) dnnl_engine_destroy(g->engine);
}

static am_err gemm_run(gemm *g) {
  am_err err = AM_OK;
  const dnnl_exec_arg_t args[] = {
      {DNNL_ARG_SRC, g->memory[0]}, {DNNL_ARG_WEIGHTS, g->memory[1]}, {DNNL_ARG_DST, g->memory[2]}};
  TRY_DNNL(dnnl_primitive_execute(g->product, g->stream, AM_COUNT_OF(args), args));
  TRY_DNNL(dnnl_stream_wait(g->stream));
done:
  return err;
}

static float first_of(const gemm *g, dnnl_data_type_t type) {
  if (type == dnnl_f32) return *(float *)g->data[2];
  uint32_t bits = (uint32_t)*(uint16_t *)g->data[2] << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

static am_err measure_product(int64_t n, dnnl_data_type_t type, double *flops_per_sec) {
  am_err err = AM_OK;
  gemm g = {0};
  double best = INFINITY;
  AM_GO(done, gemm_open(&g, n, type));
  for (int i = 0; i < PASSES; i++) {
    double began = am_clock_sec();
    AM_GO(done, gemm_run(&g));
    best = fmin(best, am_clock_sec() - began);
  }
  // n is a power of two: exact in both types.
  AM_CHECK_GO(done, first_of(&g, type) == (float)n, AM_ERR_NUMERIC, "oneDNN's product of ones is %g, expected %g",
              first_of(&g, type), (double)n);
  *flops_per_sec = 2.0 * (double)n * (double)n * (double)n / best;
done:
  gemm_close(&g);
  return err;
}

// ---- memory ----

// One copy of a loop per instruction set, picked when the program is loaded; sanitizers cannot instrument that.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(AM_INVARIANTS)
#define VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORISED
#endif

VECTORISED static uint64_t sum_words(const uint64_t *from, int64_t count) {
  uint64_t sum = 0;
  for (int64_t i = 0; i < count; i++) sum += from[i];
  return sum;
}

VECTORISED static void add_words(uint64_t *restrict to, const uint64_t *restrict from, int64_t count) {
  for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

typedef enum { READ, COPY, UPDATE, KINDS } pass_kind;

// One pass by all threads; the sum of READ, else 0.
static uint64_t pass_over(pass_kind kind, uint64_t *to, const uint64_t *from, int64_t count) {
  uint64_t sum = 0;
#pragma omp parallel reduction(+ : sum)
  {
    int64_t share = am_ceil_div(count, omp_get_num_threads());
    int64_t first = am_min_i64(share * omp_get_thread_num(), count), mine = am_min_i64(share, count - first);
    if (kind == READ) sum += sum_words(from + first, mine);
    if (kind == COPY) memcpy(to + first, from + first, (size_t)mine * sizeof *to);
    if (kind == UPDATE) add_words(to + first, from + first, mine);
  }
  return sum;
}

static am_err measure_memory(int64_t bytes, am_bench_rates *out) {
  static const int ways[KINDS] = {1, 2, 3};
  am_err err = AM_OK;
  uint64_t *from = NULL, *to = NULL;
  int64_t count = bytes / (int64_t)sizeof *from;
  double best[KINDS] = {INFINITY, INFINITY, INFINITY};
  AM_GO(done, am_mem_alloc_aligned(&from, count, sizeof *from));
  AM_GO(done, am_mem_alloc_aligned(&to, count, sizeof *to));
  for (int64_t i = 0; i < count; i++) from[i] = (uint64_t)i;
  const uint64_t expected = (uint64_t)count * (uint64_t)(count - 1) / 2;
  for (int i = 0; i < PASSES; i++) {
    for (pass_kind kind = READ; kind < KINDS; kind++) {
      double began = am_clock_sec();
      uint64_t sum = pass_over(kind, to, from, count);
      best[kind] = fmin(best[kind], am_clock_sec() - began);
      AM_CHECK_GO(done, kind != READ || sum == expected, AM_ERR_NUMERIC, "memory gave back other bytes than were written");
    }
    AM_CHECK_GO(done, to[count - 1] == 2 * from[count - 1], AM_ERR_NUMERIC, "memory took other bytes than were written");
  }
  out->read_bytes = ways[READ] * (double)bytes / best[READ];
  out->copy_bytes = ways[COPY] * (double)bytes / best[COPY];
  out->update_bytes = ways[UPDATE] * (double)bytes / best[UPDATE];
done:
  free(from);
  free(to);
  return err;
}

am_err am_bench_rates_measure(int threads, bool tiny, am_bench_rates *out) {
  am_machine machine;
  am_bench_rates rates = {0};
  am_machine_read(&machine);
  const int64_t n = tiny ? GEMM_TINY : GEMM_SIZE;
  // An eighth of what is free is enough to be beyond the caches of a machine so small.
  const int64_t room = (int64_t)(machine.available_gib / 8 * (1 << 30)) / 4096 * 4096;
  omp_set_num_threads((int)am_clamp_i64(threads, 1, THREADS_MAX));
  AM_TRY(measure_product(n, dnnl_f32, &rates.f32_flops));
  if (am_machine_has_bf16(&machine)) AM_TRY(measure_product(n, dnnl_bf16, &rates.bf16_flops));
  AM_TRY(measure_memory(tiny ? STREAM_TINY : am_clamp_i64(room, STREAM_TINY, STREAM_BYTES), &rates));
  *out = rates;
  return AM_OK;
}
