// Interpolation and its gradient: sums of neighbouring pixels with weights of their own, along columns first, which leaves
// one row in f32, then along that row. An image is planes of places of `lanes` values: 1, the 16 of C16, or all the channels
// of bf16. The nearest pixel is copied as it is.
#include <string.h>

#include "backend/cpu/cpu_bf16.h"
#include "tensor/resample_rules.h"

// What `count` places of the result are made of: place i of neighbours from first[i] on, with the weights from begin[i] to
// begin[i + 1].
typedef struct {
  int64_t length, count;  // of the pixels that are read; of places
  bool paired;            // two weights everywhere, where a second one of 0 may belong to nothing
  int32_t *first, *begin;
  float *weight;
} places;

typedef struct {
  places rows, cols;
  int64_t planes, lanes, workers;
  const void *x;
  void *y;
  float *memory;  // for each worker a row and the pixel behind it
  int64_t each;
} resampling;

// ---- places ----

// Every place of the larger side is in two sums at most.
static int64_t places_bytes(const am_resample_axis *a, int64_t count) {
  return (2 * count + 1) * (int64_t)sizeof(int32_t) + 2 * a->out * (int64_t)sizeof(float);
}

static places places_in(char *memory, int64_t length, int64_t count, bool paired) {
  places p = {.length = length, .count = count, .paired = paired, .first = (int32_t *)memory};
  p.begin = p.first + count;
  p.weight = (float *)(p.begin + count + 1);
  return p;
}

static void forward_places(const am_resample_axis *a, places *p) {
  int32_t used = 0;
  for (int64_t o = 0; o < a->out; o++) {
    const am_resample_place at = am_resample_at(a, o);
    p->first[o] = (int32_t)at.first;
    p->begin[o] = used;
    p->weight[used++] = (float)(1 - at.weight);
    if (p->paired || at.second > at.first) p->weight[used++] = (float)at.weight;
  }
  p->begin[a->out] = used;
}

static void gradient_places(const am_resample_axis *a, places *p) {
  int32_t used = 0;
  for (int64_t i = 0; i < a->in; i++) {
    int64_t o = am_resample_reader(a, i);
    p->first[i] = (int32_t)o;
    p->begin[i] = used;
    for (; o < a->out; o++) {
      const am_resample_place at = am_resample_at(a, o);
      if (at.first > i) break;
      p->weight[used++] = (float)am_resample_weight(at, i);
    }
  }
  p->begin[a->in] = used;
}

// ---- the nearest pixel ----

#define PICK_ROW(name, type)                                                                                            \
  __attribute__((always_inline)) static inline void name(const resampling *k, const type *restrict x, type *restrict y) { \
    const int64_t lanes = k->lanes, count = k->cols.count;                                                              \
    if (lanes == AM_CPU_LANES) {                                                                                        \
      for (int64_t o = 0; o < count; o++)                                                                               \
        memcpy(y + o * AM_CPU_LANES, x + k->cols.first[o] * AM_CPU_LANES, AM_CPU_LANES * sizeof *y);                    \
    } else if (lanes > 1) {                                                                                             \
      for (int64_t o = 0; o < count; o++)                                                                               \
        memcpy(y + o * lanes, x + k->cols.first[o] * lanes, (size_t)lanes * sizeof *y);                                 \
    } else if (count == 2 * k->cols.length) {                                                                           \
      for (int64_t i = 0; i < k->cols.length; i++) y[2 * i] = y[2 * i + 1] = x[i];                                      \
    } else {                                                                                                            \
      for (int64_t o = 0; o < count; o++) y[o] = x[k->cols.first[o]];                                                   \
    }                                                                                                                   \
  }
PICK_ROW(pick_row_32, uint32_t)
PICK_ROW(pick_row_16, uint16_t)

// Rows of the result, of all planes. Those that show the same one are copied from each other.
#define PICK_RANGE(name, type, pick_row)                                                                               \
  AM_CPU_KERNEL static void name(const void *arg, int64_t begin, int64_t end) {                                        \
    const resampling *k = arg;                                                                                         \
    const int64_t width = k->cols.count * k->lanes;                                                                    \
    const type *before = NULL;                                                                                         \
    for (int64_t r = begin; r < end; r++) {                                                                            \
      const int64_t row = r / k->rows.count * k->rows.length + k->rows.first[r % k->rows.count];                       \
      const type *x = (const type *)k->x + row * k->cols.length * k->lanes;                                            \
      type *y = (type *)k->y + r * width;                                                                              \
      if (x == before) memcpy(y, y - width, (size_t)width * sizeof *y);                                                \
      else pick_row(k, x, y);                                                                                          \
      before = x;                                                                                                      \
    }                                                                                                                  \
  }
PICK_RANGE(pick_32, uint32_t, pick_row_32)
PICK_RANGE(pick_16, uint16_t, pick_row_16)

// ---- sums ----

// y[0..length) = the sums over q of weight[q] * x[q*step + ..].
#define SUM_RUN(name, attribute, from, to, load, store, rest)                                                          \
  __attribute__((always_inline)) attribute static inline void name(const from *x, int64_t step, const float *weight,   \
                                                                   int64_t terms, int64_t length, to *y) {             \
    int64_t j = 0;                                                                                                     \
    for (; j + AM_CPU_LANES <= length; j += AM_CPU_LANES) {                                                            \
      am_cpu_lanes sum = {0};                                                                                          \
      if (terms == 2) {                                                                                                \
        sum = weight[0] * load(x + j) + weight[1] * load(x + step + j);                                                \
      } else {                                                                                                         \
        for (int64_t q = 0; q < terms; q++) sum += weight[q] * load(x + q * step + j);                                 \
      }                                                                                                                \
      store(sum, y + j);                                                                                               \
    }                                                                                                                  \
    if (j < length) rest(x + j, step, weight, terms, length - j, y + j);                                               \
  }

// Fewer than sixteen, as narrow planes have them.
__attribute__((always_inline)) static inline void rest_f32(const float *x, int64_t step, const float *weight,
                                                           int64_t terms, int64_t count, float *y) {
  for (int64_t j = 0; j < count; j++) {
    float sum = 0;
    for (int64_t q = 0; q < terms; q++) sum += weight[q] * x[q * step + j];
    y[j] = sum;
  }
}
#define REST(name, from, to, load, store)                                                                              \
  AM_CPU_BF16_INLINE void name(const from *x, int64_t step, const float *weight, int64_t terms, int64_t count, to *y) { \
    am_cpu_lanes sum = {0};                                                                                            \
    for (int64_t q = 0; q < terms; q++) {                                                                              \
      am_cpu_lanes v = {0};                                                                                            \
      load(v, x + q * step, count);                                                                                    \
      sum += weight[q] * v;                                                                                            \
    }                                                                                                                  \
    store(sum, y, count);                                                                                              \
  }
#define LOAD_F32_PART(v, x, count) memcpy(&v, (x), (size_t)(count) * sizeof(float))
#define STORE_F32_PART(v, y, count) memcpy((y), &v, (size_t)(count) * sizeof(float))
#define LOAD_BF16_PART(v, x, count) v = am_cpu_widen_part(x, count)
REST(rest_widened, am_bf16, float, LOAD_BF16_PART, STORE_F32_PART)
REST(rest_narrowed, float, am_bf16, LOAD_F32_PART, am_cpu_narrow_part)

#define STORE_F32(v, y) (*(am_cpu_lanes *)(y) = (v))
SUM_RUN(sum_f32, , float, float, AM_CPU_LOAD, STORE_F32, rest_f32)
SUM_RUN(widen_sum, AM_CPU_BF16_TARGET, am_bf16, float, am_cpu_widen, STORE_F32, rest_widened)
SUM_RUN(narrow_sum, AM_CPU_BF16_TARGET, float, am_bf16, AM_CPU_LOAD, am_cpu_narrow, rest_narrowed)

// One value at a place.
__attribute__((always_inline)) static inline void sum_plain(const places *p, const float *restrict x, float *restrict y) {
  const float *weight = p->weight;
  if (p->paired) {
    for (int64_t o = 0; o < p->count; o++) {
      y[o] = weight[2 * o] * x[p->first[o]] + weight[2 * o + 1] * x[p->first[o] + 1];
    }
    return;
  }
  for (int64_t o = 0; o < p->count; o++) {
    float sum = 0;
    for (int64_t q = p->begin[o]; q < p->begin[o + 1]; q++) sum += weight[q] * x[p->first[o] + q - p->begin[o]];
    y[o] = sum;
  }
}

// Rows of the result, of all planes. side: values at a place, where there are several.
#define SUM_RANGE(name, attribute, type, side, sum_rows, sum_place)                                                    \
  attribute static void name(const void *arg, int64_t begin, int64_t end) {                                            \
    const resampling *k = arg;                                                                                         \
    const places *v = &k->rows, *u = &k->cols;                                                                         \
    const int64_t width = u->length * k->lanes, total = k->planes * v->count;                                          \
    for (int64_t w = begin; w < end; w++) {                                                                            \
      float *line = k->memory + w * k->each;                                                                           \
      memset(line + width, 0, (size_t)k->lanes * sizeof *line);                                                        \
      for (int64_t r = total * w / k->workers; r < total * (w + 1) / k->workers; r++) {                                \
        const int64_t o = r % v->count;                                                                                \
        const type *x = (const type *)k->x + (r / v->count * v->length + v->first[o]) * width;                         \
        type *y = (type *)k->y + r * u->count * k->lanes;                                                              \
        sum_rows(x, width, v->weight + v->begin[o], v->begin[o + 1] - v->begin[o], width, line);                       \
        if (k->lanes == 1 && sizeof(type) == sizeof(float)) {                                                          \
          sum_plain(u, line, (float *)y);                                                                              \
          continue;                                                                                                    \
        }                                                                                                              \
        for (int64_t i = 0; i < u->count; i++)                                                                         \
          sum_place(line + u->first[i] * (side), (side), u->weight + u->begin[i], u->begin[i + 1] - u->begin[i],       \
                    (side), y + i * (side));                                                                           \
      }                                                                                                                \
    }                                                                                                                  \
  }
SUM_RANGE(sums_f32, AM_CPU_KERNEL, float, AM_CPU_LANES, sum_f32, sum_f32)
SUM_RANGE(sums_bf16, AM_CPU_BF16_TARGET, am_bf16, k->lanes, widen_sum, narrow_sum)

// ---- the ops ----

static am_err over_rows(am_cpu *cpu, resampling *k, bool bf16) {
  enum { APART = 32 };  // no two workers write to the same lines of the cache
  const int64_t each = (k->cols.length + k->cols.count) * k->lanes;
  k->workers = am_clamp_i64(k->planes * k->rows.count / am_cpu_grain(each), 1, cpu->threads);
  k->each = (am_ceil_div((k->cols.length + 1) * k->lanes, APART) + 1) * APART;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_LINES, k->workers * k->each, sizeof *k->memory, &k->memory));
  am_cpu_for(cpu, k->workers, 1, bf16 ? sums_bf16 : sums_f32, k);
  return AM_OK;
}

// Planes of x to planes of y, whichever of the two is the image that was interpolated.
static am_err resample(am_cpu *cpu, am_resample_kind kind, bool forward, const am_view *x, am_view *y) {
  const am_shape *large = forward ? &x->shape : &y->shape, *result = forward ? &y->shape : &x->shape;
  const am_resample_axis row = am_resample_axis_of(kind, large->dim[2], result->dim[2]);
  const am_resample_axis col = am_resample_axis_of(kind, large->dim[3], result->dim[3]);
  const bool bf16 = x->dtype == AM_BF16, c16 = am_cpu_is_c16(x) || am_cpu_is_c16(y);
  const bool paired = forward && kind == AM_RESAMPLE_BILINEAR;
  const int64_t row_bytes = places_bytes(&row, y->shape.dim[2]);
  const int64_t col_bytes = places_bytes(&col, y->shape.dim[3]);
  resampling k = {.lanes = bf16 ? x->shape.dim[1] : c16 ? AM_CPU_LANES : 1, .x = x->data, .y = y->data};
  char *memory = NULL;
  k.planes = x->shape.dim[0] * x->shape.dim[1] / k.lanes;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLACES, row_bytes + col_bytes, 1, &memory));
  k.rows = places_in(memory, x->shape.dim[2], y->shape.dim[2], false);
  k.cols = places_in(memory + row_bytes, x->shape.dim[3], y->shape.dim[3], paired);
  (forward ? forward_places : gradient_places)(&row, &k.rows);
  (forward ? forward_places : gradient_places)(&col, &k.cols);
  if (!forward || kind == AM_RESAMPLE_BILINEAR) return over_rows(cpu, &k, bf16);
  const int64_t grain = am_cpu_grain(k.cols.count * k.lanes);
  am_cpu_for(cpu, k.planes * k.rows.count, grain, bf16 ? pick_16 : pick_32, &k);
  return AM_OK;
}

am_err am_cpu_resample2d(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  return resample(ctx, desc->kind, true, &in[0], &out[0]);
}

am_err am_cpu_resample2d_grad(void *ctx, const am_resample2d_desc *desc, const am_view *in, am_view *out) {
  return resample(ctx, desc->kind, false, &in[0], &out[0]);
}
