// Max and average pooling, on plain and C16 memory alike: a plane is h x w places of `lanes` values.
// Images of bf16, channels last, are taken sixteen channels at a time: such a strip of an image, widened,
// is a plane of C16.
#include <math.h>
#include <string.h>

#include "backend/cpu/cpu_bf16.h"

typedef struct {
  int64_t h, w, ho, wo;
  am_pool2d_desc desc;
} pool_plane;

typedef struct {
  pool_plane plane;
  const float *x;        // what is read: the input, or the gradient of the output
  const int32_t *index;
  float *y;
  int32_t *chosen;
} pool_args;

// The part of a window that lies inside the input.
typedef struct { int64_t y0, y1, x0, x1; } window;
static window window_at(const pool_plane *p, int64_t oy, int64_t ox) {
  const int64_t y = oy * p->desc.stride_h - p->desc.pad_h, x = ox * p->desc.stride_w - p->desc.pad_w;
  return (window){am_max_i64(y, 0), am_min_i64(y + p->desc.kernel_h, p->h),
                  am_max_i64(x, 0), am_min_i64(x + p->desc.kernel_w, p->w)};
}

// What an average divides by: padding counts when include_pad.
static float window_size(const pool_plane *p, int64_t oy, int64_t ox) {
  if (p->desc.include_pad) return (float)(p->desc.kernel_h * p->desc.kernel_w);
  const window v = window_at(p, oy, ox);
  return (float)((v.y1 - v.y0) * (v.x1 - v.x0));
}

static pool_plane plane_of(const am_pool2d_desc *desc, const am_view *large, const am_view *small) {
  return (pool_plane){.h = large->shape.dim[2], .w = large->shape.dim[3],
                      .ho = small->shape.dim[2], .wo = small->shape.dim[3], .desc = *desc};
}

// ---- one row, one place of a plane ----

// The maxima of one row of windows, tap by tap: the first in row-major order, a NaN before all others,
// as in PyTorch.
#define MAX_ROW(name, lanes)                                                                             \
  AM_CPU_KERNEL static void name(const pool_plane *p, const float *restrict x, int64_t oy,               \
                                 float *restrict y, int32_t *restrict chosen) {                          \
    const window v = window_at(p, oy, 0);                                                                \
    const int64_t stride = p->desc.stride_w;                                                             \
    for (int64_t ox = 0; ox < p->wo; ox++) {                                                             \
      const int32_t first = (int32_t)(v.y0 * p->w + window_at(p, oy, ox).x0);                            \
      for (int j = 0; j < lanes; j++) {                                                                  \
        y[ox * lanes + j] = -INFINITY;                                                                   \
        chosen[ox * lanes + j] = first;                                                                  \
      }                                                                                                  \
    }                                                                                                    \
    for (int64_t iy = v.y0; iy < v.y1; iy++) {                                                           \
      for (int64_t kx = -p->desc.pad_w; kx < p->desc.kernel_w - p->desc.pad_w; kx++) {                   \
        const int64_t from = kx < 0 ? am_ceil_div(-kx, stride) : 0;                                      \
        const int64_t stop = kx < p->w ? am_min_i64(p->wo, (p->w - 1 - kx) / stride + 1) : 0;            \
        for (int64_t ox = from; ox < stop; ox++) {                                                       \
          const int32_t here = (int32_t)(iy * p->w + ox * stride + kx);                                  \
          const float *restrict value = x + (int64_t)here * lanes;                                       \
          float *restrict best = y + ox * lanes;                                                         \
          int32_t *restrict at = chosen + ox * lanes;                                                    \
          _Pragma("omp simd") for (int j = 0; j < lanes; j++) {                                          \
            const bool better = (value[j] > best[j]) | (value[j] != value[j]);                           \
            best[j] = better ? value[j] : best[j];                                                       \
            at[j] = better ? here : at[j];                                                               \
          }                                                                                              \
        }                                                                                                \
      }                                                                                                  \
    }                                                                                                    \
  }
MAX_ROW(max_row_plain, 1)
MAX_ROW(max_row_c16, AM_CPU_LANES)

#define AVERAGE_AT(name, lanes)                                                                          \
  AM_CPU_KERNEL static void name(const pool_plane *p, const float *restrict x, int64_t oy, int64_t ox,   \
                                 float *restrict y) {                                                    \
    const window v = window_at(p, oy, ox);                                                               \
    const float size = window_size(p, oy, ox);                                                           \
    float sum[lanes] = {0};                                                                              \
    for (int64_t iy = v.y0; iy < v.y1; iy++) {                                                           \
      for (int64_t ix = v.x0; ix < v.x1; ix++) {                                                         \
        const float *restrict from = x + (iy * p->w + ix) * lanes;                                       \
        for (int j = 0; j < lanes; j++) sum[j] += from[j];                                               \
      }                                                                                                  \
    }                                                                                                    \
    for (int j = 0; j < lanes; j++) y[j] = sum[j] / size;                                                \
  }
AVERAGE_AT(average_at_plain, 1)
AVERAGE_AT(average_at_c16, AM_CPU_LANES)

#define AVERAGE_GRAD_AT(name, lanes)                                                                     \
  AM_CPU_KERNEL static void name(const pool_plane *p, const float *restrict dy, int64_t oy, int64_t ox,  \
                                 float *restrict dx) {                                                   \
    const window v = window_at(p, oy, ox);                                                               \
    const float size = window_size(p, oy, ox);                                                           \
    float share[lanes];                                                                                  \
    for (int j = 0; j < lanes; j++) share[j] = dy[j] / size;                                             \
    for (int64_t iy = v.y0; iy < v.y1; iy++) {                                                           \
      for (int64_t ix = v.x0; ix < v.x1; ix++) {                                                         \
        float *restrict to = dx + (iy * p->w + ix) * lanes;                                              \
        for (int j = 0; j < lanes; j++) to[j] += share[j];                                               \
      }                                                                                                  \
    }                                                                                                    \
  }
AVERAGE_GRAD_AT(average_grad_at_plain, 1)
AVERAGE_GRAD_AT(average_grad_at_c16, AM_CPU_LANES)

// ---- ranges of planes ----

#define FOR_EACH_OUTPUT(p)                   \
  for (int64_t oy = 0; oy < (p)->ho; oy++)   \
    for (int64_t ox = 0; ox < (p)->wo; ox++)

#define POOL_RANGES(suffix, lanes)                                                                        \
  static void max_##suffix(const void *arg, int64_t begin, int64_t end) {                                 \
    const pool_args *k = arg;                                                                             \
    const pool_plane *p = &k->plane;                                                                      \
    for (int64_t b = begin; b < end; b++) {                                                               \
      for (int64_t oy = 0; oy < p->ho; oy++) {                                                            \
        const int64_t o = (b * p->ho + oy) * p->wo * lanes;                                               \
        max_row_##suffix(p, k->x + b * p->h * p->w * lanes, oy, k->y + o, k->chosen + o);                 \
      }                                                                                                   \
    }                                                                                                     \
  }                                                                                                       \
  static void average_##suffix(const void *arg, int64_t begin, int64_t end) {                             \
    const pool_args *k = arg;                                                                             \
    const pool_plane *p = &k->plane;                                                                      \
    for (int64_t b = begin; b < end; b++) {                                                               \
      FOR_EACH_OUTPUT(p)                                                                                  \
        average_at_##suffix(p, k->x + b * p->h * p->w * lanes, oy, ox,                                    \
                            k->y + ((b * p->ho + oy) * p->wo + ox) * lanes);                              \
    }                                                                                                     \
  }                                                                                                       \
  static void average_grad_##suffix(const void *arg, int64_t begin, int64_t end) {                        \
    const pool_args *k = arg;                                                                             \
    const pool_plane *p = &k->plane;                                                                      \
    for (int64_t b = begin; b < end; b++) {                                                               \
      float *dx = k->y + b * p->h * p->w * lanes;                                                         \
      memset(dx, 0, (size_t)(p->h * p->w * lanes) * sizeof *dx);                                          \
      FOR_EACH_OUTPUT(p)                                                                                  \
        average_grad_at_##suffix(p, k->x + ((b * p->ho + oy) * p->wo + ox) * lanes, oy, ox, dx);          \
    }                                                                                                     \
  }                                                                                                       \
  static void scatter_##suffix(const void *arg, int64_t begin, int64_t end) {                             \
    const pool_args *k = arg;                                                                             \
    const pool_plane *p = &k->plane;                                                                      \
    const int64_t small = p->ho * p->wo * lanes, large = p->h * p->w * lanes;                             \
    memset(k->y + begin * large, 0, (size_t)((end - begin) * large) * sizeof *k->y);                      \
    for (int64_t b = begin; b < end; b++) {                                                               \
      float *dx = k->y + b * large;                                                                       \
      for (int64_t o = b * small; o < (b + 1) * small; o += lanes) {                                      \
        for (int j = 0; j < lanes; j++) dx[(int64_t)k->index[o + j] * lanes + j] += k->x[o + j];          \
      }                                                                                                   \
    }                                                                                                     \
  }                                                                                                       \
  static void gather_##suffix(const void *arg, int64_t begin, int64_t end) {                              \
    const pool_args *k = arg;                                                                             \
    const pool_plane *p = &k->plane;                                                                      \
    const int64_t small = p->ho * p->wo * lanes, large = p->h * p->w * lanes;                             \
    for (int64_t b = begin; b < end; b++) {                                                               \
      const float *x = k->x + b * large;                                                                  \
      for (int64_t o = b * small; o < (b + 1) * small; o += lanes) {                                      \
        for (int j = 0; j < lanes; j++) k->y[o + j] = x[(int64_t)k->index[o + j] * lanes + j];            \
      }                                                                                                   \
    }                                                                                                     \
  }
POOL_RANGES(plain, 1)
POOL_RANGES(c16, AM_CPU_LANES)

// ---- strips of bf16 ----

typedef struct {
  pool_plane plane;
  int64_t channels, strips, workers;  // strips: of all images; workers share them
  bool to_small;                      // reads the unpooled array, writes the pooled one
  const am_bf16 *x;
  const int32_t *index;               // NULL: none
  am_bf16 *y;
  int32_t *chosen;                    // NULL: none
  am_cpu_range_fn range;              // for one plane of C16
  char *memory;                       // for each worker: a strip of both arrays and of indices
} strip_args;

static int64_t strip_bytes(const pool_plane *p) {
  const int64_t large = p->h * p->w, small = p->ho * p->wo;
  return (large * (int64_t)sizeof(float) + small * (int64_t)(sizeof(float) + sizeof(int32_t))) * AM_CPU_LANES;
}

AM_CPU_BF16_TARGET static void widen_strip(const am_bf16 *x, int64_t places, int64_t c, int64_t count, float *y) {
  for (int64_t s = 0; s < places; s++) {
    *(am_cpu_lanes *)(y + s * AM_CPU_LANES) = am_cpu_widen_part(x + s * c, count);
  }
}
AM_CPU_BF16_TARGET static void narrow_strip(const float *x, int64_t places, int64_t c, int64_t count, am_bf16 *y) {
  for (int64_t s = 0; s < places; s++) {
    am_cpu_narrow_part(AM_CPU_LOAD(x + s * AM_CPU_LANES), y + s * c, count);
  }
}
// Indices of a strip, `from` and `to` a place apart in each array; the lanes beyond count are place 0.
static void copy_indices(const int32_t *src, int64_t from, int32_t *dst, int64_t to, int64_t places,
                         int64_t count) {
  for (int64_t s = 0; s < places; s++) memcpy(dst + s * to, src + s * from, (size_t)count * sizeof *dst);
}

static void pool_strip(const strip_args *k, int64_t strip, char *memory) {
  const pool_plane *p = &k->plane;
  const int64_t per_image = am_ceil_div(k->channels, AM_CPU_LANES), c = k->channels;
  const int64_t image = strip / per_image, first = strip % per_image * AM_CPU_LANES;
  const int64_t count = am_min_i64(AM_CPU_LANES, c - first);
  const int64_t large = p->h * p->w, small = p->ho * p->wo;
  const int64_t in = k->to_small ? large : small, out = k->to_small ? small : large;
  float *x = (float *)memory, *y = x + in * AM_CPU_LANES;
  int32_t *index = (int32_t *)(y + out * AM_CPU_LANES);
  widen_strip(k->x + image * in * c + first, in, c, count, x);
  if (k->index) {
    memset(index, 0, (size_t)(small * AM_CPU_LANES) * sizeof *index);
    copy_indices(k->index + image * small * c + first, c, index, AM_CPU_LANES, small, count);
  }
  k->range(&(pool_args){.plane = *p, .x = x, .y = y, .index = index, .chosen = index}, 0, 1);
  narrow_strip(y, out, c, count, k->y + image * out * c + first);
  if (k->chosen) copy_indices(index, AM_CPU_LANES, k->chosen + image * small * c + first, c, small, count);
}

static void strip_range(const void *arg, int64_t begin, int64_t end) {
  const strip_args *k = arg;
  for (int64_t w = begin; w < end; w++) {
    for (int64_t s = k->strips * w / k->workers; s < k->strips * (w + 1) / k->workers; s++) {
      pool_strip(k, s, k->memory + w * strip_bytes(&k->plane));
    }
  }
}

// large is the unpooled array, whichever of x and y it is.
static am_err over_strips(am_cpu *cpu, const pool_args *args, const am_view *x, const am_view *large,
                          am_view *y, am_cpu_range_fn range) {
  strip_args k = {.plane = args->plane, .channels = large->shape.dim[1], .to_small = x == large, .x = x->data,
                  .index = args->index, .y = y->data, .chosen = args->chosen, .range = range};
  k.strips = large->shape.dim[0] * am_ceil_div(k.channels, AM_CPU_LANES);
  k.workers = am_min_i64(cpu->threads, k.strips);
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_STRIPS, k.workers * strip_bytes(&k.plane), 1, &k.memory));
  am_cpu_for(cpu, k.workers, 1, strip_range, &k);
  return AM_OK;
}

// ---- maxima of rows of bf16 ----

typedef struct {
  pool_plane plane;
  int64_t channels;
  const am_bf16 *x;
  am_bf16 *y;
  int32_t *chosen;
} max_args;

// One place, up to 16 channels from c on: MAX_ROW's rule.
AM_CPU_BF16_INLINE void max_at(const max_args *k, const am_bf16 *image, window v, int64_t place, int64_t c) {
  const int64_t count = am_min_i64(AM_CPU_LANES, k->channels - c), w = k->plane.w;
  am_cpu_words best = (am_cpu_words)((am_cpu_lanes){0} - INFINITY);
  am_cpu_words at = (am_cpu_words){0} + (uint32_t)(v.y0 * w + v.x0);
  for (int64_t iy = v.y0; iy < v.y1; iy++) {
    for (int64_t ix = v.x0; ix < v.x1; ix++) {
      const uint32_t here = (uint32_t)(iy * w + ix);
      const am_cpu_lanes value = am_cpu_widen_part(image + here * k->channels + c, count);
      const am_cpu_words better = (am_cpu_words)((value > (am_cpu_lanes)best) | (value != value));
      best = ((am_cpu_words)value & better) | (best & ~better);
      at = (here & better) | (at & ~better);
    }
  }
  am_cpu_narrow_part((am_cpu_lanes)best, k->y + place * k->channels + c, count);
  memcpy(k->chosen + place * k->channels + c, &at, (size_t)count * sizeof *k->chosen);
}

// Rows of results, of all images.
AM_CPU_BF16_TARGET static void max_range(const void *arg, int64_t begin, int64_t end) {
  const max_args *k = arg;
  const pool_plane *p = &k->plane;
  for (int64_t r = begin; r < end; r++) {
    const am_bf16 *image = k->x + r / p->ho * p->h * p->w * k->channels;
    for (int64_t ox = 0; ox < p->wo; ox++) {
      const window v = window_at(p, r % p->ho, ox);
      for (int64_t c = 0; c < k->channels; c += AM_CPU_LANES) max_at(k, image, v, r * p->wo + ox, c);
    }
  }
}

// ---- maxima alone ----
// As unsigned numbers of 16 bits that are ordered like the values: -inf is 0, and every NaN is above +inf.

typedef uint16_t keys __attribute__((vector_size(64)));
typedef int16_t signs __attribute__((vector_size(64)));
enum { KEYS = 32, KEY_OF_NOTHING = 0x7f81 };

AM_CPU_BF16_INLINE keys mirrored(keys x) { return x ^ ((keys)((signs)x >> 15) & 0x7fff); }

AM_CPU_BF16_INLINE keys load_keys(const am_bf16 *x, int64_t count) {
  keys k = {0};
  if (count >= KEYS) memcpy(&k, x, sizeof k);
  else memcpy(&k, x, (size_t)count * sizeof *x);
  return mirrored(k) + KEY_OF_NOTHING;
}
AM_CPU_BF16_INLINE void store_keys(keys k, am_bf16 *y, int64_t count) {
  k = mirrored(k - KEY_OF_NOTHING);
  if (count >= KEYS) memcpy(y, &k, sizeof k);
  else memcpy(y, &k, (size_t)count * sizeof *y);
}

// Rows of results, of all images.
AM_CPU_BF16_TARGET static void value_range(const void *arg, int64_t begin, int64_t end) {
  const max_args *k = arg;
  const pool_plane *p = &k->plane;
  const int64_t channels = k->channels;
  for (int64_t r = begin; r < end; r++) {
    const am_bf16 *image = k->x + r / p->ho * p->h * p->w * channels;
    for (int64_t ox = 0; ox < p->wo; ox++) {
      const window v = window_at(p, r % p->ho, ox);
      for (int64_t c = 0; c < channels; c += KEYS) {
        keys best = {0};
        for (int64_t iy = v.y0; iy < v.y1; iy++) {
          const am_bf16 *x = image + (iy * p->w + v.x0) * channels + c;
          for (int64_t i = v.x0; i < v.x1; i++, x += channels) {
            const keys here = load_keys(x, channels - c), better = (keys)(here > best);
            best = (here & better) | (best & ~better);
          }
        }
        store_keys(best, k->y + (r * p->wo + ox) * channels + c, channels - c);
      }
    }
  }
}

// ---- the ops ----

// x to y; planes of `large` (the unpooled one of both) are shared between threads.
static am_err over_planes(am_cpu *cpu, const am_view *x, const am_view *large, am_view *y,
                          am_cpu_range_fn plain, am_cpu_range_fn c16, const pool_args *args) {
  if (large->dtype == AM_BF16) return over_strips(cpu, args, x, large, y, c16);
  const am_cpu_image im = am_cpu_image_of(large);
  am_cpu_for(cpu, im.n * im.blocks, am_cpu_grain(im.spatial * im.lanes), am_cpu_is_c16(large) ? c16 : plain,
             args);
  return AM_OK;
}

static am_err max_rows(am_cpu *cpu, const am_pool2d_desc *desc, const am_view *x, am_view *y, int32_t *chosen,
                       am_cpu_range_fn range) {
  const max_args k = {.plane = plane_of(desc, x, y), .channels = x->shape.dim[1], .x = x->data, .y = y->data,
                      .chosen = chosen};
  const int64_t each = k.plane.wo * k.channels * desc->kernel_h * desc->kernel_w;
  am_cpu_for(cpu, x->shape.dim[0] * k.plane.ho, am_cpu_grain(each), range, &k);
  return AM_OK;
}

static am_err max_planes(am_cpu *cpu, const am_pool2d_desc *desc, const am_view *x, am_view *y, int32_t *chosen) {
  const pool_args k = {.plane = plane_of(desc, x, y), .x = x->data, .y = y->data, .chosen = chosen};
  return over_planes(cpu, x, x, y, max_plain, max_c16, &k);
}

am_err am_cpu_max_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  if (in[0].dtype == AM_BF16) return max_rows(ctx, desc, &in[0], &out[0], out[1].data, max_range);
  return max_planes(ctx, desc, &in[0], &out[0], out[1].data);
}

am_err am_cpu_max_pool2d_values(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  int32_t *chosen = NULL;
  if (in[0].dtype == AM_BF16) return max_rows(ctx, desc, &in[0], &out[0], NULL, value_range);
  AM_TRY(am_cpu_scratch(ctx, AM_CPU_SCRATCH_STRIPS, am_cpu_count(&out[0]), sizeof *chosen, &chosen));
  return max_planes(ctx, desc, &in[0], &out[0], chosen);
}

// Indices are values that dispatch cannot check.
AM_CPU_KERNEL static bool all_inside(const int32_t *restrict index, int64_t count, uint32_t plane) {
  int outside = 0;
  for (int64_t i = 0; i < count; i++) outside |= (uint32_t)index[i] >= plane;
  return !outside;
}
static am_err check_index(const am_view *index, const am_view *large) {
  const int64_t plane = large->shape.dim[2] * large->shape.dim[3];
  AM_CHECK(all_inside(index->data, am_cpu_count(index), (uint32_t)am_min_i64(plane, INT32_MAX)), AM_ERR_ARG,
           "an index lies outside its plane of %lld elements", (long long)plane);
  return AM_OK;
}

am_err am_cpu_pool_scatter(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(check_index(&in[1], &out[0]));
  const pool_args args = {.plane = plane_of(desc, &out[0], &in[0]), .x = in[0].data, .index = in[1].data,
                          .y = out[0].data};
  return over_planes(ctx, &in[0], &out[0], &out[0], scatter_plain, scatter_c16, &args);
}

am_err am_cpu_pool_gather(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(check_index(&in[1], &in[0]));
  const pool_args args = {.plane = plane_of(desc, &in[0], &in[1]), .x = in[0].data, .index = in[1].data,
                          .y = out[0].data};
  return over_planes(ctx, &in[0], &in[0], &out[0], gather_plain, gather_c16, &args);
}

am_err am_cpu_avg_pool2d(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  const pool_args args = {.plane = plane_of(desc, &in[0], &out[0]), .x = in[0].data, .y = out[0].data};
  return over_planes(ctx, &in[0], &in[0], &out[0], average_plain, average_c16, &args);
}

am_err am_cpu_avg_pool2d_grad(void *ctx, const am_pool2d_desc *desc, const am_view *in, am_view *out) {
  const pool_args args = {.plane = plane_of(desc, &out[0], &in[0]), .x = in[0].data, .y = out[0].data};
  return over_planes(ctx, &in[0], &out[0], &out[0], average_grad_plain, average_grad_c16, &args);
}
