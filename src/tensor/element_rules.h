// The rules of tensor/element.h, for the processor (element.c) and for cards: there AM_ELEMENT_FN says how a function is
// declared. `data` is an array of elements of `type`.
#ifndef AM_TENSOR_ELEMENT_RULES_H
#define AM_TENSOR_ELEMENT_RULES_H

#include <math.h>
#include <string.h>

#include "tensor/tensor.h"

#ifndef AM_ELEMENT_FN
#define AM_ELEMENT_FN static inline
#endif

AM_ELEMENT_FN float am_rule_bf16_value(uint16_t half) {
  uint32_t bits = (uint32_t)half << 16;
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

// The upper half of an f32, rounded to the nearest even. A NaN stays one when its low half is dropped.
AM_ELEMENT_FN uint16_t am_rule_bf16_of_f32(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// What double loses on the way to f32 is kept in the lowest bit (round to odd), so that rounding to bf16 sees it.
AM_ELEMENT_FN uint16_t am_rule_bf16_of(double value) {
  float narrow = (float)value;
  if (!isnan(value) && !isinf(narrow) && (double)narrow != value) {
    uint32_t bits;
    memcpy(&bits, &narrow, sizeof bits);
    if (fabs((double)narrow) > fabs(value)) bits--;
    bits |= 1;
    memcpy(&narrow, &bits, sizeof narrow);
  }
  return am_rule_bf16_of_f32(narrow);
}

AM_ELEMENT_FN int64_t am_rule_integer_of(double value) {
  if (isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

AM_ELEMENT_FN int64_t am_rule_clamp(int64_t value, int64_t least, int64_t most) {
  return value < least ? least : value > most ? most : value;
}

AM_ELEMENT_FN int64_t am_rule_get_integer(const void *data, am_dtype type, int64_t i) {
  switch (type) {
    case AM_I32: return ((const int32_t *)data)[i];
    case AM_U8: return ((const uint8_t *)data)[i];
    default: return ((const int64_t *)data)[i];
  }
}

AM_ELEMENT_FN void am_rule_put_integer(void *data, am_dtype type, int64_t i, int64_t value) {
  switch (type) {
    case AM_I32: ((int32_t *)data)[i] = (int32_t)am_rule_clamp(value, INT32_MIN, INT32_MAX); break;
    case AM_U8: ((uint8_t *)data)[i] = (uint8_t)am_rule_clamp(value, 0, UINT8_MAX); break;
    default: ((int64_t *)data)[i] = value; break;
  }
}

AM_ELEMENT_FN double am_rule_get(const void *data, am_dtype type, int64_t i) {
  switch (type) {
    case AM_F32: return ((const float *)data)[i];
    case AM_F64: return ((const double *)data)[i];
    case AM_BF16: return am_rule_bf16_value(((const uint16_t *)data)[i]);
    default: return (double)am_rule_get_integer(data, type, i);
  }
}

AM_ELEMENT_FN void am_rule_put(void *data, am_dtype type, int64_t i, double value) {
  switch (type) {
    case AM_F32: ((float *)data)[i] = (float)value; break;
    case AM_F64: ((double *)data)[i] = value; break;
    case AM_BF16: ((uint16_t *)data)[i] = am_rule_bf16_of(value); break;
    default: am_rule_put_integer(data, type, i, am_rule_integer_of(value)); break;
  }
}

#endif
