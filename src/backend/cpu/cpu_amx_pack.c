// Weights of convolutions as the right factor of a product on AMX tiles.
#include <stdlib.h>

#include "backend/cpu/cpu_amx_rows.h"
#include "base/mem.h"

enum {
  DEPTH = AM_AMX_DEPTH,
  TILE = AM_AMX_ROWS,
  BLOCK = AM_AMX_BLOCK,
  PANEL = AM_AMX_PANEL,
  KEPT_BYTES = 1 << 30  // of packed weights
};
typedef am_amx_word word;

#if defined(__x86_64__) && defined(__GNUC__)

typedef struct {
  const am_amx_part *p;
  const float *w;
  int64_t kernel;  // taps of w
  word *packed;
} pack_args;

// 32 channels at one distance, of one output channel under one tap: a row of pairs.
AM_CPU_BF16_TARGET static void take_row(const float *w, int64_t distance, word *row) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)distance));
  const float *upper = w + TILE * distance;
  const __m512 a = distance == 1 ? _mm512_loadu_ps(w) : _mm512_i32gather_ps(at, w, sizeof *w);
  const __m512 b = distance == 1 ? _mm512_loadu_ps(upper) : _mm512_i32gather_ps(at, upper, sizeof *w);
  _mm512_storeu_si512(row, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

// The numbers under a row of taps, a pixel's few channels beside the next pixel's: tap by tap, `kernel` taps apart.
AM_CPU_BF16_TARGET static void take_few(const am_amx_part *p, const float *w, int64_t kernel, word *row) {
  float under[DEPTH] = {0};
  for (int64_t j = 0; j < p->depth; j++) under[j] = w[j % p->f.ci * kernel + j / p->f.ci];
  take_row(under, 1, row);
}

static void pack_range(const void *arg, int64_t begin, int64_t end) {
  const pack_args *k = arg;
  const am_amx_part *p = k->p;
  const int64_t inner = p->turned ? p->f.co * k->kernel : k->kernel;
  const int64_t outer = p->turned ? k->kernel : p->f.ci * k->kernel;
  word rows[AM_AMX_WORDS];
  for (int64_t half = begin; half < end; half++) {
    const int64_t first = half * TILE, count = am_min_i64(TILE, p->f.co - first);
    if (count < TILE) memset(rows, 0, sizeof rows);
    for (int64_t s = 0; s < p->steps; s++) {
      const float *w = k->w + first * outer + s / p->taps * DEPTH * inner + p->tap[s % p->taps];
      for (int64_t o = 0; o < count; o++) {
        if (p->f.ci % DEPTH) take_few(p, w + o * outer, inner, rows + o * TILE);
        else take_row(w + o * outer, inner, rows + o * TILE);
      }
      word *to = k->packed + (half / 2 * p->steps + s) * PANEL + half % 2 * AM_AMX_WORDS;
      am_cpu_transpose(TILE, TILE, rows, TILE, to, TILE);
    }
  }
}

static void pack(const am_cpu *cpu, const am_amx_part *p, int64_t kernel, const float *w, word *packed) {
  const pack_args k = {.p = p, .w = w, .kernel = kernel, .packed = packed};
  am_cpu_for(cpu, am_ceil_div(p->f.co, BLOCK) * 2, am_cpu_grain(p->steps * DEPTH * TILE), pack_range, &k);
}

// What the weights of a network that is not trained were packed to, as long as they stay what they are.
struct am_cpu_packed {
  am_cpu_packed *next;  // owned
  const float *w;       // borrowed, only compared
  am_shape shape;
  uint64_t stamp;
  word *data;  // owned, 64-byte aligned
};

void am_cpu_amx_forget(am_cpu *cpu) {
  while (cpu->packed) {
    am_cpu_packed *p = cpu->packed;
    cpu->packed = p->next;
    free(p->data);
    free(p);
  }
  cpu->packed_bytes = 0;
}

static am_err packed_new(am_cpu *cpu, const am_view *w, size_t bytes, am_cpu_packed **out) {
  am_err err = AM_OK;
  am_cpu_packed *p = NULL;
  if (cpu->packed_bytes + bytes > KEPT_BYTES) am_cpu_amx_forget(cpu);
  AM_GO(done, AM_NEW(&p));
  p->data = aligned_alloc(64, bytes);
  AM_CHECK_GO(done, p->data, AM_ERR_NOMEM, "no memory for %zu bytes of packed weights", bytes);
  p->w = w->data;
  p->shape = w->shape;
  p->next = cpu->packed;
  cpu->packed = p;
  cpu->packed_bytes += bytes;
  *out = p;
  p = NULL;
done:
  free(p);
  return err;
}

// *packed: w as the right factor. Gradients are asked for once in the life of some weights: theirs is not kept.
am_err am_cpu_amx_packed_of(am_cpu *cpu, const am_amx_part *part, int64_t kernel, const am_view *w, const word **packed) {
  const size_t bytes = (size_t)(am_ceil_div(part->f.co, BLOCK) * part->steps * PANEL) * sizeof(word);
  if (!w->stamp || part->turned) {
    word *now = NULL;
    AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, (int64_t)bytes, 1, &now));
    pack(cpu, part, kernel, w->data, now);
    *packed = now;
    return AM_OK;
  }
  am_cpu_packed *p = cpu->packed;
  while (p && (p->w != w->data || !am_shape_equal(p->shape, w->shape))) p = p->next;
  if (!p) AM_TRY(packed_new(cpu, w, bytes, &p));
  if (p->stamp != w->stamp) pack(cpu, part, kernel, w->data, p->data);
  p->stamp = w->stamp;
  *packed = p->data;
  return AM_OK;
}

#else

void am_cpu_amx_forget(am_cpu *cpu) { (void)cpu; }

#endif
