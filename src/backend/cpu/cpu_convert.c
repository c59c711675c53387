// Values into memory: fill, cast between types, random numbers.
#include "backend/cpu/cpu_internal.h"
#include "base/rng.h"
#include "tensor/element.h"

// ---- cast and fill ----

typedef struct {
  const am_view *in, *out;
  double value;
} convert_args;

// Between integers nothing passes through double, which would round a large i64.
static void cast_integers(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) am_element_put_integer(k->out, i, am_element_get_integer(k->in, i));
}
static void cast_reals(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) am_element_put(k->out, i, am_element_get(k->in, i));
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
  const bool integers = am_dtype_is_integer(in[0].dtype) && am_dtype_is_integer(out[0].dtype);
  const bool pixels = in[0].dtype == AM_U8 && out[0].dtype == AM_F32;
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN,
             pixels ? cast_u8_to_f32 : integers ? cast_integers : cast_reals, &args);
  return AM_OK;
}

static void fill_range(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  for (int64_t i = begin; i < end; i++) am_element_put(k->out, i, k->value);
}
AM_CPU_KERNEL static void fill_f32_range(const void *arg, int64_t begin, int64_t end) {
  const convert_args *k = arg;
  float *restrict y = k->out->data;
  const float value = (float)k->value;
  for (int64_t i = begin; i < end; i++) y[i] = value;
}

am_err am_cpu_fill(void *ctx, const am_fill_desc *desc, const am_view *in, am_view *out) {
  const convert_args args = {NULL, &out[0], desc->value};
  am_cpu_for(ctx, am_cpu_count(&out[0]), AM_CPU_GRAIN, out[0].dtype == AM_F32 ? fill_f32_range : fill_range,
             &args);
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
