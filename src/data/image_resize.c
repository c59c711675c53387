// Resizing as Pillow does it, bit for bit, and fast.
//
// Both passes are sums of whole runs of bytes times one weight each: the pass down adds lines, the
// pass across turns 16 lines at a time on their side, so that what is one column of pixels becomes
// one run. Integer sums have no rounding, so their order and the instruction set do not show.
#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/num.h"
#include "data/image.h"

static const char *const kind_name[] = {[AM_RESIZE_NEAREST] = "nearest",
                                        [AM_RESIZE_BILINEAR] = "bilinear",
                                        [AM_RESIZE_BICUBIC] = "bicubic",
                                        [AM_RESIZE_LANCZOS] = "lanczos",
                                        [AM_RESIZE_BOX] = "box"};

const char *am_resize_kind_name(am_resize_kind kind) { return kind_name[kind]; }

bool am_resize_kind_find(const char *word, am_resize_kind *out) {
  for (int k = 0; k < AM_COUNT_OF(kind_name); k++) {
    if (strcmp(kind_name[k], word) != 0) continue;
    *out = (am_resize_kind)k;
    return true;
  }
  return false;
}

// ---- filters: weight at distance x from the centre, in units of the larger pixel ----

static double box(double x) { return x > -0.5 && x <= 0.5 ? 1.0 : 0.0; }

static double bilinear(double x) {
  x = fabs(x);
  return x < 1.0 ? 1.0 - x : 0.0;
}

// Keys' cubic with a = -1/2 (Keys, IEEE ASSP 1981, eq. 4).
static double bicubic(double x) {
  const double a = -0.5;
  x = fabs(x);
  if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1;
  if (x < 2.0) return (((x - 5) * x + 8) * x - 4) * a;
  return 0.0;
}

static double sinc(double x) {
  if (x == 0.0) return 1.0;
  x *= 3.14159265358979323846;
  return sin(x) / x;
}
static double lanczos(double x) { return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3) : 0.0; }

typedef struct {
  double (*weight)(double x);
  double support;  // the weight is 0 beyond it
} filter;
static const filter filters[] = {
    [AM_RESIZE_BOX] = {box, 0.5},
    [AM_RESIZE_BILINEAR] = {bilinear, 1.0},
    [AM_RESIZE_BICUBIC] = {bicubic, 2.0},
    [AM_RESIZE_LANCZOS] = {lanczos, 3.0},
};

// ---- one axis: for each output position the input range and its fixed-point weights ----

enum { WEIGHT_BITS = 32 - 8 - 2 };  // 8-bit samples, two bits of room for overshoot

typedef struct {
  int64_t in, out;  // positions
  double from, to;  // the part of the input that becomes the output
  int64_t taps;     // room for weights per output position
  int32_t *first;   // (out): first input position
  int32_t *count;   // (out): how many of the taps are used
  int32_t *weight;  // (out, taps)
  double *exact;    // (taps): weights of one position before rounding
} axis;

static double axis_scale(const axis *a) { return (a->to - a->from) / (double)a->out; }
// The filter widens when shrinking: antialiasing.
static double axis_stretch(const axis *a) { return fmax(axis_scale(a), 1.0); }
// An axis that keeps its size is skipped, as in Pillow: weights could only copy it.
static bool axis_copies(const axis *a) { return a->in == a->out && a->from == 0 && a->to == (double)a->in; }

// Weights of output position i, normalised in f64, then rounded to fixed point half away from zero.
static void fill_weights(axis *a, const filter *f, int64_t i) {
  double stretch = axis_stretch(a), support = f->support * stretch, inverse = 1.0 / stretch, sum = 0;
  double center = a->from + ((double)i + 0.5) * axis_scale(a);
  int64_t first = am_max_i64(0, (int64_t)(center - support + 0.5));
  int64_t end = am_min_i64(a->in, (int64_t)(center + support + 0.5));
  for (int64_t x = first; x < end; x++) {
    a->exact[x - first] = f->weight(((double)x - center + 0.5) * inverse);
    sum += a->exact[x - first];
  }
  a->first[i] = (int32_t)first;
  a->count[i] = (int32_t)(end - first);
  for (int64_t x = 0; x < end - first; x++) {
    double w = (sum != 0.0 ? a->exact[x] / sum : a->exact[x]) * (1 << WEIGHT_BITS);
    a->weight[i * a->taps + x] = (int32_t)(w < 0 ? w - 0.5 : w + 0.5);
  }
}

// ---- sums of runs ----

static const int32_t half = 1 << (WEIGHT_BITS - 1);

AM_INLINE uint8_t to_u8(int32_t sum) {
  int32_t v = sum >> WEIGHT_BITS;
  v = v < 0 ? 0 : v;
  return (uint8_t)(v > 255 ? 255 : v);
}

// A handful of runs: the sums stay in registers. `runs` is a constant wherever this is called.
AM_INLINE void add_few(int runs, const uint8_t *restrict in, int64_t stride, const int32_t *weight,
                       int64_t bytes, uint8_t *restrict out) {
  int32_t w[4] = {0};
  for (int t = 0; t < runs; t++) w[t] = weight[t];
  for (int64_t i = 0; i < bytes; i++) {
    int32_t sum = half;
    for (int t = 0; t < runs; t++) sum += in[t * stride + i] * w[t];
    out[i] = to_u8(sum);
  }
}

AM_INLINE void add_many(int64_t runs, const uint8_t *restrict in, int64_t stride, const int32_t *weight,
                        int64_t bytes, int32_t *restrict sum, uint8_t *restrict out) {
  for (int64_t i = 0; i < bytes; i++) sum[i] = half;
  int64_t t = 0;
  for (; t + 4 <= runs; t += 4, in += 4 * stride) {
    int32_t a = weight[t], b = weight[t + 1], c = weight[t + 2], d = weight[t + 3];
    for (int64_t i = 0; i < bytes; i++) {
      sum[i] += in[i] * a + in[stride + i] * b + in[2 * stride + i] * c + in[3 * stride + i] * d;
    }
  }
  for (; t < runs; t++, in += stride) {
    int32_t a = weight[t];
    for (int64_t i = 0; i < bytes; i++) sum[i] += in[i] * a;
  }
  for (int64_t i = 0; i < bytes; i++) out[i] = to_u8(sum[i]);
}

// out = the sum of `runs` runs of `bytes`, `stride` apart, times their weights. sum: scratch (bytes).
AM_INLINE void add_runs(int64_t runs, const uint8_t *in, int64_t stride, const int32_t *weight, int64_t bytes,
                        int32_t *sum, uint8_t *out) {
  switch (runs) {
    case 1:
      add_few(1, in, stride, weight, bytes, out);
      return;
    case 2:
      add_few(2, in, stride, weight, bytes, out);
      return;
    case 3:
      add_few(3, in, stride, weight, bytes, out);
      return;
    case 4:
      add_few(4, in, stride, weight, bytes, out);
      return;
    default:
      add_many(runs, in, stride, weight, bytes, sum, out);
  }
}

// ---- down: lines ----

typedef struct {
  const uint8_t *pixel;
  int64_t stride, width, height, channels;
} lines;

AM_CLONES static void resize_down(const lines *in, const axis *a, int32_t *sum, uint8_t *out) {
  int64_t bytes = in->width * in->channels;
  for (int64_t y = 0; y < a->out; y++) {
    add_runs(a->count[y], in->pixel + a->first[y] * in->stride, in->stride, a->weight + y * a->taps, bytes,
             sum, out + y * bytes);
  }
}

// ---- across: 16 lines on their side ----

enum { SIDE = 16 };
typedef uint8_t tile_row __attribute__((vector_size(SIDE), aligned(1), may_alias));

// Interleaving row i with row i + 8, four times over, is the transposition of a 16 x 16 tile.
AM_INLINE void turn_tile(tile_row row[SIDE]) {
  tile_row mixed[SIDE];
  for (int pass = 0; pass < 4; pass++) {
    for (int i = 0; i < SIDE / 2; i++) {
      mixed[2 * i] =
          __builtin_shufflevector(row[i], row[i + 8], 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
      mixed[2 * i + 1] = __builtin_shufflevector(row[i], row[i + 8], 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13,
                                                 29, 14, 30, 15, 31);
    }
    memcpy(row, mixed, sizeof mixed);
  }
}

// bytes of each line -> (bytes, SIDE). The last tile overlaps the one before.
AM_CLONES static void lay_down(const uint8_t *const line[SIDE], int64_t bytes, uint8_t *out) {
  tile_row row[SIDE];
  for (int64_t i = 0; i < bytes && bytes < SIDE; i++)
    for (int k = 0; k < SIDE; k++) out[i * SIDE + k] = line[k][i];
  for (int64_t next = 0; next < bytes && bytes >= SIDE; next += SIDE) {
    int64_t i = am_min_i64(next, bytes - SIDE);
    for (int k = 0; k < SIDE; k++) row[k] = *(const tile_row *)(line[k] + i);
    turn_tile(row);
    memcpy(out + i * SIDE, row, sizeof row);
  }
}

AM_CLONES static void stand_up(const uint8_t *in, int64_t bytes, uint8_t *const line[SIDE]) {
  tile_row row[SIDE];
  for (int64_t i = 0; i < bytes && bytes < SIDE; i++)
    for (int k = 0; k < SIDE; k++) line[k][i] = in[i * SIDE + k];
  for (int64_t next = 0; next < bytes && bytes >= SIDE; next += SIDE) {
    int64_t i = am_min_i64(next, bytes - SIDE);
    memcpy(row, in + i * SIDE, sizeof row);
    turn_tile(row);
    for (int k = 0; k < SIDE; k++) *(tile_row *)(line[k] + i) = row[k];
  }
}

// The pixels of a column are one run of channels*SIDE bytes; that of RGB is worth a copy of the loop.
AM_CLONES static void resize_lying(const uint8_t *in, int64_t run, const axis *a, int32_t *sum,
                                   uint8_t *out) {
  enum { RGB = 3 * SIDE };
  for (int64_t x = 0; x < a->out; x++) {
    const uint8_t *from = in + a->first[x] * run;
    const int32_t *weight = a->weight + x * a->taps;
    if (run == RGB) {
      add_runs(a->count[x], from, RGB, weight, RGB, sum, out + x * RGB);
    } else {
      add_runs(a->count[x], from, run, weight, run, sum, out + x * run);
    }
  }
}

typedef struct {
  uint8_t *in, *out;  // (width in, channels, SIDE), (width out, channels, SIDE)
  uint8_t *spare;     // a line of the result that nobody wants
  int32_t *sum;
} lying;

static void resize_across(const lines *in, const axis *a, const lying *work, uint8_t *out) {
  int64_t in_bytes = in->width * in->channels, out_bytes = a->out * in->channels;
  for (int64_t y = 0; y < in->height; y += SIDE) {
    const uint8_t *from[SIDE];
    uint8_t *to[SIDE];
    for (int64_t k = 0; k < SIDE; k++) {
      from[k] = in->pixel + am_min_i64(y + k, in->height - 1) * in->stride;
      to[k] = y + k < in->height ? out + (y + k) * out_bytes : work->spare;
    }
    lay_down(from, in_bytes, work->in);
    resize_lying(work->in, in->channels * SIDE, a, work->sum, work->out);
    stand_up(work->out, out_bytes, to);
  }
}

// ---- both ----

// Everything one call needs, in one block of memory.
typedef struct {
  axis across, down;
  lying lying;
  int32_t *sum;     // one line
  uint8_t *middle;  // between the passes
} plan;

// Pillow 13's choice: lines first where the height loses more than twice the pixels the width does.
static bool down_first(const plan *p) {
  int64_t fewer_lines = p->down.in - p->down.out;
  return fewer_lines > 0 && fewer_lines > 2 * (p->across.in - p->across.out);
}

// Takes `count` items of `size` bytes from the block; a first round with base NULL only adds up.
typedef struct {
  char *base;
  size_t used;
  bool fits;
} block;
static void *take(block *b, int64_t count, size_t size) {
  int64_t bytes = 0;
  b->fits = b->fits && am_mul_i64(count, (int64_t)size, &bytes) && bytes < PTRDIFF_MAX / 16;
  size_t at = b->used;
  if (b->fits) b->used += am_align_up((size_t)bytes, 64);
  b->fits = b->fits && b->used < PTRDIFF_MAX / 2;
  return b->base && b->fits ? b->base + at : NULL;
}

static void take_axis(block *b, const filter *f, axis *a) {
  a->taps = (int64_t)ceil(f->support * axis_stretch(a)) * 2 + 1;
  a->first = take(b, a->out, sizeof *a->first);
  a->count = take(b, a->out, sizeof *a->count);
  a->weight = take(b, a->out, (size_t)a->taps * sizeof *a->weight);
  a->exact = take(b, a->taps, sizeof *a->exact);
  for (int64_t i = 0; b->base && i < a->out; i++) fill_weights(a, f, i);
}

static void take_plan(block *b, const filter *f, int64_t channels, plan *p) {
  int64_t out_line = p->across.out * channels, in_line = p->across.in * channels;
  take_axis(b, f, &p->across);
  take_axis(b, f, &p->down);
  p->lying.in = take(b, in_line, SIDE);
  p->lying.out = take(b, out_line, SIDE);
  p->lying.spare = take(b, out_line, 1);
  p->lying.sum = take(b, channels * SIDE, sizeof *p->lying.sum);
  p->sum = take(b, am_max_i64(in_line, out_line), sizeof *p->sum);
  p->middle = down_first(p) ? take(b, p->down.out, (size_t)in_line) : take(b, p->down.in, (size_t)out_line);
}

// Only the lines that the pass down will look at go through the pass across.
static void run_plan(const plan *p, const lines *in, uint8_t *out) {
  if (axis_copies(&p->down)) {
    resize_across(in, &p->across, &p->lying, out);
  } else if (axis_copies(&p->across)) {
    resize_down(in, &p->down, p->sum, out);
  } else if (down_first(p)) {
    lines middle = {p->middle, in->width * in->channels, in->width, p->down.out, in->channels};
    resize_down(in, &p->down, p->sum, p->middle);
    resize_across(&middle, &p->across, &p->lying, out);
  } else {
    int64_t last = p->down.out - 1, first = p->down.first[0], end = p->down.first[last] + p->down.count[last];
    lines used = {in->pixel + first * in->stride, in->stride, in->width, end - first, in->channels};
    lines middle = {p->middle, p->across.out * in->channels, p->across.out, in->height, in->channels};
    resize_across(&used, &p->across, &p->lying, p->middle + first * middle.stride);
    resize_down(&middle, &p->down, p->sum, out);
  }
}

static am_err resize_filtered(const filter *f, plan *p, const lines *in, am_scratch *work, uint8_t *out) {
  block measure = {.fits = true}, memory = {.fits = true};
  take_plan(&measure, f, in->channels, p);
  AM_CHECK(measure.fits, AM_ERR_NOMEM, "cannot resize %lld x %lld px to %lld x %lld px", (long long)in->width,
           (long long)in->height, (long long)p->across.out, (long long)p->down.out);
  AM_TRY(am_scratch_get(work, measure.used, &memory.base));
  take_plan(&memory, f, in->channels, p);
  run_plan(p, in, out);
  return AM_OK;
}

// ---- nearest ----

// The position is accumulated, not multiplied, so that rounding falls as in Pillow.
static void nearest_table(const axis *a, int64_t *table) {
  double step = axis_scale(a), at = a->from + 0.5 * step;
  for (int64_t i = 0; i < a->out; i++, at += step) table[i] = am_min_i64((int64_t)at, a->in - 1);
}

static am_err resize_nearest(const plan *p, const lines *in, am_scratch *work, uint8_t *out) {
  int64_t *column = NULL, c = in->channels, width = p->across.out, height = p->down.out;
  AM_TRY(am_scratch_get(work, (size_t)(width + height) * sizeof *column, &column));
  int64_t *line = column + width;
  nearest_table(&p->across, column);
  nearest_table(&p->down, line);
  for (int64_t y = 0; y < height; y++) {
    const uint8_t *from = in->pixel + line[y] * in->stride;
    for (int64_t x = 0; x < width; x++, out += c) memcpy(out, from + column[x] * c, (size_t)c);
  }
  return AM_OK;
}

// ---- the functions of image.h ----

am_image_part am_image_whole(const am_image *image) {
  return (am_image_part){.pixel = image->pixel,
                         .stride = image->width * image->channels,
                         .width = image->width,
                         .height = image->height,
                         .channels = image->channels};
}

am_err am_image_resize_part(const am_image_part *in, const am_image_box *box, int64_t width, int64_t height,
                            am_resize_kind kind, am_scratch *work, am_image *out) {
  am_image_box all = {0, 0, (double)in->width, (double)in->height}, b = box ? *box : all;
  AM_CHECK(b.left >= 0 && b.top >= 0 && b.right <= all.right && b.bottom <= all.bottom && b.left < b.right &&
               b.top < b.bottom,
           AM_ERR_ARG, "the box (%g, %g) to (%g, %g) is not inside an image of %lld x %lld px", b.left, b.top,
           b.right, b.bottom, (long long)in->width, (long long)in->height);
  AM_TRY(am_image_reserve(out, width, height, in->channels));
  plan p = {.across = {.in = in->width, .out = width, .from = b.left, .to = b.right},
            .down = {.in = in->height, .out = height, .from = b.top, .to = b.bottom}};
  lines all_lines = {in->pixel, in->stride, in->width, in->height, in->channels};
  if (kind == AM_RESIZE_NEAREST) return resize_nearest(&p, &all_lines, work, out->pixel);
  if (!axis_copies(&p.across) || !axis_copies(&p.down))
    return resize_filtered(&filters[kind], &p, &all_lines, work, out->pixel);
  for (int64_t y = 0, bytes = width * in->channels; y < height; y++)
    memcpy(out->pixel + y * bytes, in->pixel + y * in->stride, (size_t)bytes);
  return AM_OK;
}

am_err am_image_resize(const am_image *in, int64_t width, int64_t height, am_resize_kind kind,
                       am_image *out) {
  am_image_part whole = am_image_whole(in);
  am_scratch work = {0};
  am_image result = {0};
  am_err err = am_image_resize_part(&whole, NULL, width, height, kind, &work, &result);
  am_scratch_fini(&work);
  if (err) {
    am_image_fini(&result);
    return err;
  }
  *out = result;
  return AM_OK;
}

am_err am_image_short_side(int64_t width, int64_t height, int64_t side, int64_t *new_width,
                           int64_t *new_height) {
  int64_t small = am_min_i64(width, height), large = am_max_i64(width, height), other = 0;
  AM_CHECK(side > 0 && small > 0 && am_mul_i64(side, large, &other), AM_ERR_ARG,
           "cannot resize a %lld x %lld px image to a short side of %lld px", (long long)width,
           (long long)height, (long long)side);
  *new_width = width <= height ? side : other / small;
  *new_height = width <= height ? other / small : side;
  return AM_OK;
}

am_err am_image_resize_short(const am_image *in, int64_t side, am_resize_kind kind, am_image *out) {
  int64_t width = 0, height = 0;
  AM_TRY(am_image_short_side(in->width, in->height, side, &width, &height));
  return am_image_resize(in, width, height, kind, out);
}
