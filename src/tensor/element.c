#include "tensor/element.h"

#include <math.h>
#include <string.h>

#include "base/num.h"

static double bf16_value(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The upper half of an f32. What double loses on the way to f32 is kept in the lowest bit (round to
// odd), so that rounding to bf16 sees it.
static uint16_t bf16_of(double value) {
  float narrow = (float)value;
  uint32_t bits;
  memcpy(&bits, &narrow, sizeof bits);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);  // stays a NaN when its low half is dropped
  if (!isinf(narrow) && (double)narrow != value) {
    if (fabs((double)narrow) > fabs(value)) bits--;
    bits |= 1;
  }
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int64_t integer_of(double value) {
  if (isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

bool am_dtype_is_integer(am_dtype t) { return t == AM_I32 || t == AM_I64 || t == AM_U8; }

int64_t am_element_get_integer(const am_view *v, int64_t i) {
  switch (v->dtype) {
    case AM_I32: return ((const int32_t *)v->data)[i];
    case AM_U8: return ((const uint8_t *)v->data)[i];
    default: return ((const int64_t *)v->data)[i];
  }
}

void am_element_put_integer(const am_view *v, int64_t i, int64_t value) {
  switch (v->dtype) {
    case AM_I32: ((int32_t *)v->data)[i] = (int32_t)am_clamp_i64(value, INT32_MIN, INT32_MAX); break;
    case AM_U8: ((uint8_t *)v->data)[i] = (uint8_t)am_clamp_i64(value, 0, UINT8_MAX); break;
    default: ((int64_t *)v->data)[i] = value; break;
  }
}

double am_element_get(const am_view *v, int64_t i) {
  switch (v->dtype) {
    case AM_F32: return ((const float *)v->data)[i];
    case AM_F64: return ((const double *)v->data)[i];
    case AM_BF16: return bf16_value(((const uint16_t *)v->data)[i]);
    default: return (double)am_element_get_integer(v, i);
  }
}

void am_element_put(const am_view *v, int64_t i, double value) {
  switch (v->dtype) {
    case AM_F32: ((float *)v->data)[i] = (float)value; break;
    case AM_F64: ((double *)v->data)[i] = value; break;
    case AM_BF16: ((uint16_t *)v->data)[i] = bf16_of(value); break;
    default: am_element_put_integer(v, i, integer_of(value)); break;
  }
}
