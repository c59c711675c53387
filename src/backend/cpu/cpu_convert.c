// Values into memory: fill, cast between types, random numbers.
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_internal.h"
#include "base/rng.h"

// ---- one value ----

static bool is_integer(am_dtype t) { return t == AM_I32 || t == AM_I64 || t == AM_U8; }

static float bf16_value(uint16_t half) {
  const uint32_t bits = (uint32_t)half << 16;
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

// The upper half of an f32, to the nearest, ties to even. What double loses on the way to f32 is
// kept in the lowest bit (round to odd), so that it is rounded only once.
static uint16_t bf16_of(double value) {
  const float x = (float)value;
  uint32_t bits;
  memcpy(&bits, &x, sizeof bits);
  if (isnan(value)) return (uint16_t)(bits >> 16 | 0x40);
  if (!isinf(x) && (double)x != value) {
    if (fabs((double)x) > fabs(value)) bits--;
    bits |= 1;
  }
  return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static int64_t integer_of(double value) {
  if (isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  return value < -0x1p63 ? INT64_MIN : (int64_t)value;
}

static int64_t read_integer(const am_view *v, int64_t i) {
  switch (v->dtype) {
    case AM_I32: return ((const int32_t *)v->data)[i];
    case AM_U8: return ((const uint8_t *)v->data)[i];
    default: return ((const int64_t *)v->data)[i];
  }
}
static double read_real(const am_view *v, int64_t i) {
  switch (v->dtype) {
    case AM_F32: return ((const float *)v->data)[i];
    case AM_F64: return ((const double *)v->data)[i];
    case AM_BF16: return bf16_value(((const uint16_t *)v->data)[i]);
    default: return (double)read_integer(v, i);
  }
}
static void write_integer(const am_view *v, int64_t i, int64_t value) {
  switch (v->dtype) {
    case AM_I32: ((int32_t *)v->data)[i] = (int32_t)am_clamp_i64(value, INT32_MIN, INT32_MAX); break;
    case AM_U8: ((uint8_t *)v->data)[i] = (uint8_t)am_clamp_i64(value, 0, UINT8_MAX); break;
    default: ((int64_t *)v->data)[i] = value; break;
  }
}
static void write_real(const am_view *v, int64_t i, double value) {
  switch (v->dtype) {
    case AM_F32: ((float *)v->data)[i] = (float)value; break;
    case AM_F64: ((double *)v->data)[i] = value; break;
    case AM_BF16: ((uint16_t *)v->data)[i] = bf16_of(value); break;
    default: write_integer(v, i, integer_of(value)); break;
  }
}

// ---- cast and fill ----

typedef struct {
  const am_view *in, *out;
  double value;
} convert_args;

// Between integers nothing passes through double, which would round a large i64.
static void cast_integers(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) write_integer(k->out, i, read_integer(k->in, i));
}
static void cast_reals(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) write_real(k->out, i, read_real(k->in, i));
}
// The casts of every step: image bytes to f32.
AM_CPU_KERNEL static void cast_u8_to_f32(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  const uint8_t *restrict x = k->in->data;
  float *restrict y = k->out->data;
  for (int64_t i = begin; i < end; i++) y[i] = x[i];
}

am_err am_cpu_cast(void *ctx, const am_dtype_desc *desc, const am_view *in, am_view *out) {
  const convert_args args = {&in[0], &out[0], 0};
  const bool integers = is_integer(in[0].dtype) && is_integer(out[0].dtype);
  const bool pixels = in[0].dtype == AM_U8 && out[0].dtype == AM_F32;
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN,
             pixels ? cast_u8_to_f32 : integers ? cast_integers : cast_reals, &args);
  return AM_OK;
}

static void fill_range(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) write_real(k->out, i, k->value);
}
AM_CPU_KERNEL static void fill_f32_range(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  float *restrict y = k->out->data;
  const float value = (float)k->value;
  for (int64_t i = begin; i < end; i++) y[i] = value;
}

am_err am_cpu_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  const convert_args args = {NULL, &out[0], desc->value};
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN, out[0].dtype == AM_F32 ? fill_f32_range : fill_range, &args);
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
      ((float *)k->out->data)[i] = (float)v;
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
