// Values into memory: fill, cast between types, random numbers.
#include "backend/cpu/cpu_bf16.h"
#include "base/rng.h"
#include "tensor/element.h"

// ---- f32 and bf16 ----

typedef struct {
  const void *x;
  void *y;
} bf16_args;

AM_CPU_KERNEL static void widen_range(const void *arg, int64_t begin, int64_t end) {
  const bf16_args *k = arg;
  const am_bf16 *restrict x = k->x;
  uint32_t *restrict y = k->y;
  for (int64_t i = begin; i < end; i++) y[i] = (uint32_t)x[i] << 16;
}

#define NARROW_RANGE(name, attribute, narrow)                              \
  attribute static void name(const void *arg, int64_t begin, int64_t end) { \
    const bf16_args *k = arg;                                              \
    const float *x = k->x;                                                 \
    am_bf16 *y = k->y;                                                     \
    int64_t i = begin;                                                     \
    for (; i + AM_CPU_LANES <= end; i += AM_CPU_LANES) {                   \
      const am_cpu_lanes v = AM_CPU_LOAD(x + i);                           \
      narrow(v, y + i);                                                    \
    }                                                                      \
    if (i == end) return;                                                  \
    am_cpu_lanes v = {0};                                                  \
    am_bf16 part[AM_CPU_LANES];                                            \
    memcpy(&v, x + i, (size_t)(end - i) * sizeof *x);                      \
    narrow(v, part);                                                       \
    memcpy(y + i, part, (size_t)(end - i) * sizeof *y);                    \
  }
#define NARROW_ANY(v, y) am_cpu_narrow_any(&(v), y)
NARROW_RANGE(narrow_range, AM_CPU_BF16_TARGET, am_cpu_narrow)
NARROW_RANGE(narrow_range_any, AM_CPU_KERNEL, NARROW_ANY)

void am_cpu_widen_all(const am_cpu *cpu, const am_bf16 *x, float *y, int64_t count) {
  const bf16_args args = {x, y};
  am_cpu_for(cpu, count, AM_CPU_GRAIN, widen_range, &args);
}

void am_cpu_narrow_all(const am_cpu *cpu, const float *x, am_bf16 *y, int64_t count) {
  const bf16_args args = {x, y};
  am_cpu_for(cpu, count, AM_CPU_GRAIN, cpu->bf16 ? narrow_range : narrow_range_any, &args);
}

// Plain images of f32 to rows of channels in bf16, in one pass.
typedef struct {
  am_cpu_image im;
  const float *x;
  am_bf16 *y;
} image_args;

// Places begin..end of all images: the planes are read side by side.
AM_CPU_KERNEL static void image_range(const void *arg, int64_t begin, int64_t end) {
  const image_args *k = arg;
  const int64_t c = k->im.c, spatial = k->im.spatial;
  for (int64_t at = begin; at < end;) {
    const int64_t image = at / spatial, place = at % spatial;
    const int64_t count = am_min_i64(am_min_i64(AM_CPU_LANES, spatial - place), end - at);
    for (int64_t j = 0; j < c; j++) {
      const float *x = k->x + (image * c + j) * spatial + place;
      am_bf16 *y = k->y + at * c + j, half[AM_CPU_LANES];
      am_cpu_lanes v = {0};
      memcpy(&v, x, (size_t)count * sizeof *x);
      am_cpu_narrow_any(&v, half);
      for (int64_t i = 0; i < count; i++) y[i * c] = half[i];
    }
    at += count;
  }
}

#if defined(__x86_64__) && defined(__GNUC__)
// Photographs: three planes at once, sixteen pixels after the other.
AM_CPU_BF16_TARGET static void rgb_range(const void *arg, int64_t begin, int64_t end) {
  enum { CHANNELS = 3, NUMBERS = CHANNELS * AM_CPU_LANES, HALF = 2 * AM_CPU_LANES };
  const image_args *k = arg;
  const int64_t spatial = k->im.spatial;
  uint16_t at[2 * HALF] = {0};  // of each number in red, green (the first operand), blue (the second one)
  for (int i = 0; i < NUMBERS; i++) at[i] = (uint16_t)(i % CHANNELS * AM_CPU_LANES + i / CHANNELS);
  const __m512i first = _mm512_loadu_si512(at), second = _mm512_loadu_si512(at + HALF);
  while (begin < end) {
    const int64_t image = begin / spatial, stop = am_min_i64(end, (image + 1) * spatial);
    const float *x = k->x + image * CHANNELS * spatial - image * spatial;
    for (; begin + AM_CPU_LANES <= stop; begin += AM_CPU_LANES) {
      const __m512 red = _mm512_loadu_ps(x + begin), green = _mm512_loadu_ps(x + spatial + begin);
      const __m512 blue = _mm512_loadu_ps(x + 2 * spatial + begin);
      const __m512i both = (__m512i)_mm512_cvtne2ps_pbh(green, red);
      const __m512i last = _mm512_castsi256_si512((__m256i)_mm512_cvtneps_pbh(blue));
      am_bf16 *y = k->y + begin * CHANNELS;
      _mm512_storeu_si512(y, _mm512_permutex2var_epi16(both, first, last));
      _mm256_storeu_si256((void *)(y + HALF), _mm512_castsi512_si256(_mm512_permutex2var_epi16(both, second, last)));
    }
    if (begin < stop) image_range(arg, begin, stop);
    begin = stop;
  }
}
#else
#define rgb_range image_range
#endif

static void cast_image(const am_cpu *cpu, const am_view *in, am_view *out) {
  const image_args args = {am_cpu_image_of(in), in->data, out->data};
  const bool rgb = cpu->bf16 && args.im.c == 3;
  am_cpu_for(cpu, args.im.n * args.im.spatial, am_cpu_grain(args.im.c), rgb ? rgb_range : image_range, &args);
}

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
  const int64_t count = am_cpu_count(&out[0]);
  if (in[0].layout != out[0].layout) {
    cast_image(ctx, &in[0], &out[0]);
  } else if (in[0].dtype == AM_F32 && out[0].dtype == AM_BF16) {
    am_cpu_narrow_all(ctx, in[0].data, out[0].data, count);
  } else if (in[0].dtype == AM_BF16 && out[0].dtype == AM_F32) {
    am_cpu_widen_all(ctx, in[0].data, out[0].data, count);
  } else {
    am_cpu_for(ctx, count, AM_CPU_GRAIN, pixels ? cast_u8_to_f32 : integers ? cast_integers : cast_reals,
               &args);
  }
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
