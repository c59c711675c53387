// bf16 in memory, f32 in registers: sixteen numbers at a time.
//
// Narrowing rounds to the nearest, ties to even; a NaN stays a quiet NaN and what is subnormal becomes
// zero. That is what the processor's own instruction (vcvtneps2bf16) does, and am_cpu_narrow_any gives
// the same bits with integers on every machine.
#ifndef AM_BACKEND_CPU_BF16_H
#define AM_BACKEND_CPU_BF16_H

#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

#include "backend/cpu/cpu_norm.h"

// A kernel that runs only where cpu->bf16 holds.
#if defined(__x86_64__) && defined(__GNUC__)
#define AM_CPU_BF16_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16")))
#else
#define AM_CPU_BF16_TARGET
#endif
#define AM_CPU_BF16_INLINE AM_CPU_BF16_TARGET __attribute__((always_inline)) static inline

typedef uint16_t am_bf16;  // the upper half of an f32
typedef am_bf16 am_cpu_halves __attribute__((vector_size(32), aligned(2), may_alias));
typedef uint32_t am_cpu_words __attribute__((vector_size(64), aligned(4), may_alias));

__attribute__((always_inline)) static inline void am_cpu_narrow_any(const am_cpu_lanes *v, am_bf16 *y) {
  const am_cpu_words bits = *(const am_cpu_words *)v;
  const am_cpu_words nearest = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  const am_cpu_words nan = (am_cpu_words)((bits & 0x7fffffff) > 0x7f800000);
  const am_cpu_words small = (am_cpu_words)((bits & 0x7f800000) == 0);
  const am_cpu_words number = (nearest & ~small) | (bits >> 16 & 0x8000 & small);
  const am_cpu_words half = (number & ~nan) | ((bits >> 16 | 0x40) & nan);
  *(am_cpu_halves *)y = __builtin_convertvector(half, am_cpu_halves);
}

AM_CPU_BF16_INLINE am_cpu_lanes am_cpu_widen(const am_bf16 *x) {
  return (am_cpu_lanes)(__builtin_convertvector(*(const am_cpu_halves *)x, am_cpu_words) << 16);
}

AM_CPU_BF16_INLINE void am_cpu_narrow(am_cpu_lanes v, am_bf16 *y) {
#if defined(__x86_64__) && defined(__GNUC__)
  *(am_cpu_halves *)y = (am_cpu_halves)_mm512_cvtneps_pbh((__m512)v);
#else
  am_cpu_narrow_any(&v, y);
#endif
}

// v > 0 ? a : b
AM_CPU_BF16_INLINE am_cpu_lanes am_cpu_positive(am_cpu_lanes v, am_cpu_lanes a, am_cpu_lanes b) {
#if defined(__x86_64__) && defined(__GNUC__)
  const __mmask16 positive = _mm512_cmp_ps_mask((__m512)v, _mm512_setzero_ps(), _CMP_GT_OQ);
  return (am_cpu_lanes)_mm512_mask_mov_ps((__m512)b, positive, (__m512)a);
#else
  const am_cpu_words positive = (am_cpu_words)(v > 0);
  return (am_cpu_lanes)(((am_cpu_words)a & positive) | ((am_cpu_words)b & ~positive));
#endif
}

// Widening and narrowing for the first `count`, at least 1; the others are 0, or not written.
AM_CPU_BF16_INLINE am_cpu_lanes am_cpu_widen_part(const am_bf16 *x, int64_t count) {
  am_bf16 part[AM_CPU_LANES] = {0};
  if (count >= AM_CPU_LANES) return am_cpu_widen(x);
  memcpy(part, x, (size_t)count * sizeof *x);
  return am_cpu_widen(part);
}
AM_CPU_BF16_INLINE void am_cpu_narrow_part(am_cpu_lanes v, am_bf16 *y, int64_t count) {
  am_bf16 part[AM_CPU_LANES];
  if (count >= AM_CPU_LANES) {
    am_cpu_narrow(v, y);
    return;
  }
  am_cpu_narrow(v, part);
  memcpy(y, part, (size_t)count * sizeof *y);
}

// Images whose channels lie side by side: (n * spatial) rows of c numbers.
static inline bool am_cpu_is_rows(const am_view *v) {
  return v->layout == AM_LAYOUT_NHWC || (v->layout == AM_LAYOUT_PLAIN && am_cpu_image_of(v).spatial == 1);
}

// Whole arrays, in any case: without the processor's instruction where it has none (cpu_convert.c).
void am_cpu_widen_all(const am_cpu *cpu, const am_bf16 *x, float *y, int64_t count);
void am_cpu_narrow_all(const am_cpu *cpu, const float *x, am_bf16 *y, int64_t count);

// ---- ops in bf16 ----

// Convolutions without groups on rows; the names are the forward op's, the one that `op` computes is written.
AM_MUST_USE am_err am_cpu_conv_plain_bf16(am_cpu *cpu, am_op op, const am_cpu_conv *c, am_bf16 *x, float *w,
                                          am_bf16 *y);

// AMX tiles: whether this process may use them (cpu_amx_grad_weight.c).
bool am_cpu_amx_request(void);
// Weight gradients; dw is (co, kh, kw, ci).
bool am_cpu_amx_grad_weight_suits(const am_cpu *cpu, am_op op, const am_cpu_conv *c);
AM_MUST_USE am_err am_cpu_amx_grad_weight(am_cpu *cpu, const am_cpu_conv *c, const am_bf16 *x, const am_bf16 *dy,
                                          float *dw);
// The other convolutions (cpu_amx_rows.c): conv2d, conv2d_affine(_add), and conv2d_grad_input, where x is dy, y is dx.
typedef struct {
  const float *scale, *shift;  // of each channel
  const am_bf16 *residual;     // like y; may be NULL
  float slope;
} am_cpu_amx_finish;
void am_cpu_amx_forget(am_cpu *cpu);  // packed weights
bool am_cpu_amx_rows_suits(const am_cpu *cpu, am_op op, const am_cpu_conv *c);
// y = act(sums * scale + shift [+ residual]), or the sums where finish is NULL. w: plain f32, of the forward op's shape;
// with a stamp its packed form is kept for the next call.
AM_MUST_USE am_err am_cpu_amx_rows(am_cpu *cpu, am_op op, const am_cpu_conv *c, const am_bf16 *x, const am_view *w,
                                   const am_cpu_amx_finish *finish, am_bf16 *y);

// Any shape and layout; kinds without a loop of their own run wide.
am_err am_cpu_unary_bf16(am_cpu *cpu, const am_unary_desc *desc, const am_view *in, am_view *out);
am_err am_cpu_binary_bf16(am_cpu *cpu, const am_binary_desc *desc, const am_view *in, am_view *out);

// Images that are rows (am_cpu_is_rows).
am_err am_cpu_batch_norm_bf16(am_cpu *cpu, const am_norm_desc *desc, const am_view *in, const am_view *residual,
                              am_view *out);
// act(x * scale + shift [+ residual]); scale NULL: 1, residual may be NULL. out may be x.
am_err am_cpu_scale_shift_bf16(am_cpu *cpu, const am_view *x, const am_view *scale, const am_view *shift,
                               const am_bf16 *residual, am_activation act, am_view *out);
am_err am_cpu_bias_act_grad_bf16(am_cpu *cpu, am_activation act, const am_view *in, am_view *out);
// The operands of the two gradients: y and dresidual with a residual, else beta.
typedef struct {
  const am_view *dy, *x, *y, *gamma, *beta, *mean, *inv_std;
  am_view *dx, *dresidual, *dgamma, *dbeta;
} am_cpu_norm_grad;
am_err am_cpu_batch_norm_grad_bf16(am_cpu *cpu, const am_norm_desc *desc, const am_cpu_norm_grad *g);

#endif
