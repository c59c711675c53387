// Floating-point elements of a file as those of a network.
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "weights/weights_internal.h"

static float f32_from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static float f32_from_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return f32_from_bits(sign | 0x7f800000 | fraction << 13);  // inf, nan
  if (exponent) return f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float tiny = (float)fraction * 0x1p-24f;  // subnormal or zero
  return sign ? -tiny : tiny;
}

// 1 sign, 4 exponent (bias 7), 3 fraction bits; no infinities, all ones is not a number
// (Micikevicius et al. 2022, arXiv 2209.05433).
static float f32_from_e4m3(uint8_t bits) {
  int exponent = bits >> 3 & 15, fraction = bits & 7;
  float size = exponent ? ldexpf(8 + (float)fraction, exponent - 10) : ldexpf((float)fraction, -9);
  if (exponent == 15 && fraction == 7) size = NAN;
  return bits & 0x80 ? -size : size;
}

// Element i of a floating-point entry. The data may be unaligned.
static double element_at(const am_st_entry *e, int64_t i) {
  const char *at = (const char *)e->data + (size_t)i * am_st_dtype_size(e->dtype);
  uint8_t byte;
  uint16_t half;
  float single;
  double wide;
  switch (e->dtype) {
    case AM_ST_F8_E4M3:
      memcpy(&byte, at, sizeof byte);
      return f32_from_e4m3(byte);
    case AM_ST_F8_E5M2:  // the upper half of an f16
      memcpy(&byte, at, sizeof byte);
      return f32_from_f16((uint16_t)(byte << 8));
    case AM_ST_F16:
      memcpy(&half, at, sizeof half);
      return f32_from_f16(half);
    case AM_ST_BF16:
      memcpy(&half, at, sizeof half);
      return f32_from_bits((uint32_t)half << 16);
    case AM_ST_F32:
      memcpy(&single, at, sizeof single);
      return single;
    default:
      memcpy(&wide, at, sizeof wide);
      return wide;
  }
}

bool am_st_converts(am_st_dtype t) {
  return t == AM_ST_F8_E4M3 || t == AM_ST_F8_E5M2 || t == AM_ST_F16 || t == AM_ST_BF16 || t == AM_ST_F32 ||
         t == AM_ST_F64;
}

am_err am_st_convert(const am_st_entry *e, am_dtype want, void **out) {
  int64_t count = am_shape_count(e->shape);
  char *bytes = NULL;
  AM_TRY(am_mem_alloc(&bytes, count, am_dtype_size(want)));
  *out = bytes;
  if ((want == AM_F32 && e->dtype == AM_ST_F32) || (want == AM_F64 && e->dtype == AM_ST_F64)) {
    memcpy(bytes, e->data, e->bytes);
  } else if (want == AM_F32) {
    for (int64_t i = 0; i < count; i++) ((float *)*out)[i] = (float)element_at(e, i);
  } else {
    for (int64_t i = 0; i < count; i++) ((double *)*out)[i] = element_at(e, i);
  }
  return AM_OK;
}
