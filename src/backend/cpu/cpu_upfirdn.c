// upfirdn2d: sums over the taps of the filter that meet pixels, for sixteen values at a time and in the order of the taps.
//
// Where channels lie side by side (C16; bf16, channels last) the sixteen are channels of one place. In plain planes they are
// places of one row: with up and down without common factors, every up-th value of a row has the same taps and reads pixels
// that are `down` apart. So a plane is first copied to rows that hold every down-th pixel, with zeros around them.
#include <string.h>

#include "backend/cpu/cpu_bf16.h"
#include "tensor/resample_rules.h"

typedef struct {
  am_fir_axis rows, cols;
  int64_t ho, wo;
  int64_t channels;     // that lie side by side
  const float *filter;  // as it lies on the image, with its gain
  const void *x;
  void *y;
} fir;

// ---- one run of values ----

typedef struct {
  int64_t rows, row_step;  // of pixels
  int64_t cols;
  const int64_t *offset;           // of the pixels of a row
  const float *filter;             // its first tap
  int64_t filter_row, filter_col;  // steps
} fir_taps;

// x: the pixel under the first tap. Pairs of sixteen first, so that two sums are under way at a time.
#define FIR_RUN(name, attribute, type, load, store, load_part, store_part)                                            \
  __attribute__((always_inline)) attribute static inline void name(const fir_taps *t, const type *x, int64_t length,  \
                                                                   type *y) {                                         \
    int64_t j = 0;                                                                                                    \
    for (; j + 2 * AM_CPU_LANES <= length; j += 2 * AM_CPU_LANES) {                                                   \
      am_cpu_lanes sum = {0}, next = {0};                                                                             \
      for (int64_t m = 0; m < t->rows; m++) {                                                                         \
        const float *weight = t->filter + m * t->filter_row;                                                          \
        for (int64_t q = 0; q < t->cols; q++, weight += t->filter_col) {                                              \
          const type *from = x + m * t->row_step + t->offset[q] + j;                                                  \
          sum += *weight * load(from);                                                                                \
          next += *weight * load(from + AM_CPU_LANES);                                                                \
        }                                                                                                             \
      }                                                                                                               \
      store(sum, y + j);                                                                                              \
      store(next, y + j + AM_CPU_LANES);                                                                              \
    }                                                                                                                 \
    for (; j < length; j += AM_CPU_LANES) {                                                                           \
      am_cpu_lanes sum = {0};                                                                                         \
      for (int64_t m = 0; m < t->rows; m++) {                                                                         \
        const float *weight = t->filter + m * t->filter_row;                                                          \
        for (int64_t q = 0; q < t->cols; q++, weight += t->filter_col)                                                \
          sum += *weight * load_part(x + m * t->row_step + t->offset[q] + j, length - j);                             \
      }                                                                                                               \
      store_part(sum, y + j, length - j);                                                                             \
    }                                                                                                                 \
  }
// f32 has whole sixteens: C16, and rows with room behind them.
#define STORE_LANES(v, y) (*(am_cpu_lanes *)(y) = (v))
#define LOAD_WHOLE(x, count) AM_CPU_LOAD(x)
#define STORE_WHOLE(v, y, count) STORE_LANES(v, y)
FIR_RUN(run_f32, , float, AM_CPU_LOAD, STORE_LANES, LOAD_WHOLE, STORE_WHOLE)
FIR_RUN(run_bf16, AM_CPU_BF16_TARGET, am_bf16, am_cpu_widen, am_cpu_narrow, am_cpu_widen_part, am_cpu_narrow_part)

// ---- channels side by side ----

typedef struct {
  fir k;
  const am_fir_span *place;  // of each column of the result
  const int64_t *offset;
} lane_args;

// Rows of the result, of all images.
#define FIR_LANES(name, attribute, type, run)                                                                     \
  attribute static void name(const void *arg, int64_t begin, int64_t end) {                                       \
    const lane_args *a = arg;                                                                                     \
    const fir *k = &a->k;                                                                                         \
    const int64_t c = k->channels, width = k->cols.in * c;                                                        \
    for (int64_t r = begin; r < end; r++) {                                                                       \
      const am_fir_span v = am_fir_at(&k->rows, r % k->ho);                                                       \
      const type *x = (const type *)k->x + (r / k->ho * k->rows.in + v.pixel) * width;                            \
      type *y = (type *)k->y + r * k->wo * c;                                                                     \
      for (int64_t ox = 0; ox < k->wo; ox++) {                                                                    \
        const am_fir_span *u = &a->place[ox];                                                                     \
        const fir_taps t = {v.count, width, u->count, a->offset, k->filter + v.tap * k->cols.taps + u->tap,       \
                            k->rows.up * k->cols.taps, k->cols.up};                                               \
        run(&t, x + u->pixel * c, c, y + ox * c);                                                                 \
      }                                                                                                           \
    }                                                                                                             \
  }
FIR_LANES(lanes_f32, AM_CPU_KERNEL, float, run_f32)
FIR_LANES(lanes_bf16, AM_CPU_BF16_TARGET, am_bf16, run_bf16)

static am_err over_lanes(am_cpu *cpu, const fir *k, int64_t images, am_cpu_range_fn range) {
  am_fir_span *place = NULL;
  const int64_t bytes = k->wo * (int64_t)sizeof *place + k->cols.taps * (int64_t)sizeof(int64_t);
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLACES, bytes, 1, &place));
  int64_t *offset = (int64_t *)(place + k->wo);
  for (int64_t i = 0; i < k->wo; i++) place[i] = am_fir_at(&k->cols, i);
  for (int64_t q = 0; q < k->cols.taps; q++) offset[q] = q * k->channels;
  const lane_args a = {*k, place, offset};
  const int64_t taps = am_ceil_div(k->rows.taps, k->rows.up) * am_ceil_div(k->cols.taps, k->cols.up);
  am_cpu_for(cpu, images * k->ho, am_cpu_grain(k->wo * k->channels * taps), range, &a);
  return AM_OK;
}

// ---- plain planes ----

// The values of a row whose places have the same remainder.
typedef struct {
  int64_t tap, count, results;
} fir_phase;

typedef struct {
  fir k;
  int64_t planes, workers;
  int64_t phases, strides;  // up and down without common factors
  int64_t margin, length;   // zeros before the pixels of a copied row; of all of it
  int64_t run;              // room for the results of a phase
  const fir_phase *phase;
  const int64_t *offset;  // of the taps of each phase in turn, `most` for each
  int64_t most;
  float *memory;  // for each worker: the copied rows, then the results of the phases
  int64_t each;
} plane_args;

static int64_t floor_div(int64_t a, int64_t b) { return a >= 0 ? a / b : -((b - 1 - a) / b); }

static int64_t common_factor(int64_t a, int64_t b) { return b == 0 ? a : common_factor(b, a % b); }

// Every stride-th pixel of a row, from the first on.
__attribute__((always_inline)) static inline void every(const float *restrict x, int64_t stride,
                                                        int64_t count, float *restrict y) {
  if (stride == 1) {
    memcpy(y, x, (size_t)count * sizeof *y);
  } else if (stride == 2) {
    for (int64_t i = 0; i < count; i++) y[i] = x[2 * i];
  } else {
    for (int64_t i = 0; i < count; i++) y[i] = x[i * stride];
  }
}

// The pixels of a plane; what lies around them is zero already.
__attribute__((always_inline)) static inline void copy_plane(const plane_args *a, const float *x,
                                                             float *rows) {
  const int64_t w = a->k.cols.in;
  for (int64_t i = 0; i < a->k.rows.in; i++) {
    for (int64_t e = 0; e < a->strides && e < w; e++) {
      const int64_t count = am_min_i64(am_ceil_div(w - e, a->strides), a->length - a->margin);
      every(x + i * w + e, a->strides, count, rows + (i * a->strides + e) * a->length + a->margin);
    }
  }
}

// Results of the phases into a row.
__attribute__((always_inline)) static inline void weave(const plane_args *a, const float *restrict runs,
                                                        float *restrict y) {
  if (a->phases == 1) {
    memcpy(y, runs, (size_t)a->k.wo * sizeof *y);
  } else if (a->phases == 2) {
    const int64_t pairs = a->k.wo / 2;
    for (int64_t j = 0; j < pairs; j++) {
      y[2 * j] = runs[j];
      y[2 * j + 1] = runs[a->run + j];
    }
    if (a->k.wo % 2) y[2 * pairs] = runs[pairs];
  } else {
    for (int64_t p = 0; p < a->phases; p++)
      for (int64_t j = 0; j < a->phase[p].results; j++) y[j * a->phases + p] = runs[p * a->run + j];
  }
}

AM_CPU_KERNEL static void plane_range(const void *arg, int64_t begin, int64_t end) {
  const plane_args *a = arg;
  const fir *k = &a->k;
  for (int64_t w = begin; w < end; w++) {
    const int64_t row_step = a->strides * a->length;
    float *rows = a->memory + w * a->each, *runs = rows + k->rows.in * row_step;
    memset(rows, 0, (size_t)(k->rows.in * row_step) * sizeof *rows);
    for (int64_t b = a->planes * w / a->workers; b < a->planes * (w + 1) / a->workers; b++) {
      copy_plane(a, (const float *)k->x + b * k->rows.in * k->cols.in, rows);
      for (int64_t oy = 0; oy < k->ho; oy++) {
        const am_fir_span v = am_fir_at(&k->rows, oy);
        for (int64_t p = 0; p < a->phases; p++) {
          const float *filter = k->filter + v.tap * k->cols.taps + a->phase[p].tap;
          const fir_taps t = {v.count, row_step, a->phase[p].count, a->offset + p * a->most,
                              filter, k->rows.up * k->cols.taps, k->cols.up};
          run_f32(&t, rows + v.pixel * row_step, a->run, runs + p * a->run);
        }
        weave(a, runs, (float *)k->y + (b * k->ho + oy) * k->wo);
      }
    }
  }
}

// Taps of the phases, and the first and last place that they read, counted in strides.
static void settle_phases(plane_args *a, fir_phase *phase, int64_t *offset) {
  const am_fir_axis *x = &a->k.cols;
  int64_t last = 0;
  a->margin = 0;
  for (int64_t p = 0; p < a->phases; p++) {
    const int64_t start = p * x->down - x->pad, tap = start - floor_div(start, x->up) * x->up;
    phase[p].tap = tap == 0 ? 0 : x->up - tap;
    phase[p].count = phase[p].tap < x->taps ? (x->taps - 1 - phase[p].tap) / x->up + 1 : 0;
    if (phase[p].count == 0) phase[p].tap = 0;
    phase[p].results = (a->k.wo - 1 - p) / a->phases + 1;
    for (int64_t q = 0; q < phase[p].count; q++) {
      const int64_t place = floor_div((start + phase[p].tap) / x->up + q, a->strides);
      a->margin = am_max_i64(a->margin, -place);
      last = am_max_i64(last, place);
    }
  }
  a->length = a->margin + last + a->run;
  for (int64_t p = 0; p < a->phases; p++) {
    const int64_t first = (p * x->down - x->pad + phase[p].tap) / x->up;
    for (int64_t q = 0; q < phase[p].count; q++) {
      const int64_t place = floor_div(first + q, a->strides), row = first + q - place * a->strides;
      offset[p * a->most + q] = row * a->length + a->margin + place;
    }
  }
}

static am_err over_planes(am_cpu *cpu, const fir *k, int64_t planes) {
  const int64_t factor = common_factor(k->cols.up, k->cols.down);
  plane_args a = {.k = *k, .planes = planes, .most = am_ceil_div(k->cols.taps, k->cols.up)};
  a.phases = am_min_i64(k->cols.up / factor, k->wo);
  a.strides = k->cols.down / factor;
  a.run = am_ceil_div(am_ceil_div(k->wo, a.phases), AM_CPU_LANES) * AM_CPU_LANES;
  a.workers = am_clamp_i64(planes / am_cpu_grain(k->ho * k->wo * k->rows.taps), 1, cpu->threads);
  fir_phase *phase = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_PLACES,
                        a.phases * ((int64_t)sizeof *phase + a.most * (int64_t)sizeof *a.offset), 1, &phase));
  int64_t *offset = (int64_t *)(phase + a.phases);
  settle_phases(&a, phase, offset);
  a.phase = phase;
  a.offset = offset;
  a.each = k->rows.in * a.strides * a.length + a.phases * a.run;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_LINES, a.workers * a.each, sizeof *a.memory, &a.memory));
  am_cpu_for(cpu, a.workers, 1, plane_range, &a);
  return AM_OK;
}

// ---- the op ----

// The filter as it lies on the image, times the gain.
static am_err lay_filter(am_cpu *cpu, const am_upfirdn2d_desc *desc, const am_view *filter,
                         const float **out) {
  const int64_t count = am_cpu_count(filter);
  const float *given = filter->data;
  float *laid = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, count, sizeof *laid, &laid));
  for (int64_t i = 0; i < count; i++) {
    laid[i] = (float)(given[desc->flip_filter ? i : count - 1 - i] * desc->gain);
  }
  *out = laid;
  return AM_OK;
}

am_err am_cpu_upfirdn2d(void *ctx, const am_upfirdn2d_desc *desc, const am_view *in, am_view *out) {
  const am_shape *x = &in[0].shape, *f = &in[1].shape, *y = &out[0].shape;
  const bool c16 = am_cpu_is_c16(&in[0]) || am_cpu_is_c16(&out[0]), rows = in[0].dtype == AM_BF16;
  fir k = {.rows = {x->dim[2], f->dim[0], desc->up_h, desc->down_h, desc->pad_top},
           .cols = {x->dim[3], f->dim[1], desc->up_w, desc->down_w, desc->pad_left},
           .ho = y->dim[2], .wo = y->dim[3], .channels = rows ? x->dim[1] : c16 ? AM_CPU_LANES : 1,
           .x = in[0].data, .y = out[0].data};
  const int64_t images = x->dim[0] * x->dim[1] / k.channels;
  AM_TRY(lay_filter(ctx, desc, &in[1], &k.filter));
  if (rows) return over_lanes(ctx, &k, images, lanes_bf16);
  return c16 ? over_lanes(ctx, &k, images, lanes_f32) : over_planes(ctx, &k, images);
}
