// Values into memory: fill, cast between types, random numbers.
#include <string.h>

#include "backend/cpu/cpu_internal.h"
#include "base/rng.h"

// ---- bf16: the upper half of an f32, rounded to the nearest, ties to even ----

static uint16_t bf16_of(float x) {
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (x != x) return (uint16_t)(bits >> 16 | 0x40);  // a NaN stays one
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static float bf16_value(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// ---- cast ----

typedef struct {
  const am_view *in, *out;
} cast_args;

// Every type goes through one that holds all its values: double, or int64 between integers.
#define READ_AS(wide, value)                                                                   \
  switch (in->dtype) {                                                                         \
    case AM_F32: value = (wide)((const float *)in->data)[i]; break;                            \
    case AM_F64: value = (wide)((const double *)in->data)[i]; break;                           \
    case AM_BF16: value = (wide)bf16_value(((const uint16_t *)in->data)[i]); break;            \
    case AM_I32: value = (wide)((const int32_t *)in->data)[i]; break;                          \
    case AM_I64: value = (wide)((const int64_t *)in->data)[i]; break;                          \
    default: value = (wide)((const uint8_t *)in->data)[i]; break;                              \
  }

static void cast_to_integers(const void *arg, int64_t begin, int64_t end) {
  const am_view *in = ((const cast_args *)arg)->in, *out = ((const cast_args *)arg)->out;
  for (int64_t i = begin; i < end; i++) {
    int64_t value;
    READ_AS(int64_t, value);
    switch (out->dtype) {
      case AM_I32: ((int32_t *)out->data)[i] = (int32_t)value; break;
      case AM_I64: ((int64_t *)out->data)[i] = value; break;
      default: ((uint8_t *)out->data)[i] = (uint8_t)value; break;
    }
  }
}

static void cast_to_reals(const void *arg, int64_t begin, int64_t end) {
  const am_view *in = ((const cast_args *)arg)->in, *out = ((const cast_args *)arg)->out;
  for (int64_t i = begin; i < end; i++) {
    double value;
    READ_AS(double, value);
    switch (out->dtype) {
      case AM_F32: ((float *)out->data)[i] = (float)value; break;
      case AM_F64: ((double *)out->data)[i] = value; break;
      default: ((uint16_t *)out->data)[i] = bf16_of((float)value); break;
    }
  }
}

am_err am_cpu_cast(void *ctx, const am_dtype_desc *desc, const am_view *in, am_view *out) {
  const cast_args args = {&in[0], &out[0]};
  const bool real = out[0].dtype == AM_F32 || out[0].dtype == AM_F64 || out[0].dtype == AM_BF16;
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN, real ? cast_to_reals : cast_to_integers, &args);
  return AM_OK;
}

// ---- fill ----

#define FILL_AS(type, v)                                      \
  do {                                                        \
    type *y = out[0].data;                                    \
    const type value = (v);                                   \
    for (int64_t i = 0; i < count; i++) y[i] = value;         \
  } while (0)
am_err am_cpu_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  const int64_t count = am_cpu_count(&out[0]);
  if (desc->value == 0) {
    memset(out[0].data, 0, (size_t)count * am_dtype_size(out[0].dtype));
    return AM_OK;
  }
  switch (out[0].dtype) {
    case AM_F32: FILL_AS(float, (float)desc->value); break;
    case AM_F64: FILL_AS(double, desc->value); break;
    case AM_BF16: FILL_AS(uint16_t, bf16_of((float)desc->value)); break;
    case AM_I32: FILL_AS(int32_t, (int32_t)desc->value); break;
    case AM_I64: FILL_AS(int64_t, (int64_t)desc->value); break;
    default: FILL_AS(uint8_t, (uint8_t)desc->value); break;
  }
  return AM_OK;
}

// ---- random ----

typedef struct {
  const am_random_desc *desc;
  am_view *out;
  int64_t length;  // elements of a row
} random_args;

static void random_rows(const void *arg, int64_t begin, int64_t end) {
  const random_args *k = arg;
  const am_random_desc *desc = k->desc;
  for (int64_t r = begin; r < end; r++) {
    am_rng rng = am_rng_at(desc->seed, (am_rng_purpose)desc->purpose, desc->index + (uint64_t)r);
    for (int64_t i = r * k->length; i < (r + 1) * k->length; i++) {
      const double v = desc->kind == AM_RAND_NORMAL ? am_rng_normal(&rng) : am_rng_uniform(&rng);
      if (desc->dtype == AM_F64) ((double *)k->out->data)[i] = v;
      else ((float *)k->out->data)[i] = (float)v;
    }
  }
}

am_err am_cpu_random(void *ctx, const am_random_desc *desc, const am_view *in, am_view *out) {
  const int64_t rows = desc->shape.ndim > 0 ? desc->shape.dim[0] : 1;
  const int64_t count = am_cpu_count(&out[0]);
  if (count == 0) return AM_OK;
  const random_args args = {desc, &out[0], count / rows};
  am_cpu_for(ctx, rows, am_cpu_grain(args.length * 16), random_rows, &args);
  return AM_OK;
}
