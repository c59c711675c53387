// Convolutions of bf16 images, and gradients of their images, on AMX tiles.
//
//   y[place][o] = sum over taps t and channels i of x[pixel under tap t][i] * w[o][t][i]
//
// is a product of matrices whose left factor is never written down where that can be avoided: a tile of it is 16
// places of 32 channels, read from the image as it lies in memory, one row of a tile after the other.
//
//   DIRECT    one tap, no stride: the places of x are rows of the factor already.
//   PADDED    rows of images are copied with zeros between them, each row's right border being the next one's left
//             one, and an image's lower border the next one's upper one. The places of y and the pixels under a tap
//             are then two runs of one distance; what is computed at the borders is dropped. With a stride of 2,
//             even and odd rows are copied apart. A few channels, as those of photographs, are taken together with
//             the pixels beside them: as many as a row of taps covers count as the channels of one.
//   GATHERED  everything else: the pixels under a place are copied side by side.
//
// The right factor is packed once: for 32 output channels, 32 rows after the other, two neighbouring rows paired.
// It is cut into pieces that stay in the first-level cache while a chunk of places passes by. Each result is added up
// by one thread in one order, so nothing depends on threads.
//
// A gradient of images is the convolution of dy with the kernel turned around and its channels swapped. With a
// stride of 2, every second pixel of dx lies under other taps than its neighbour: dx falls apart into 2 x 2 parts,
// each of which is a convolution of its own without a stride.
#include "backend/cpu/cpu_amx_rows.h"

enum {
  DEPTH = AM_AMX_DEPTH,
  TILE = AM_AMX_ROWS,
  BLOCK = AM_AMX_BLOCK,
  PANEL = AM_AMX_PANEL,
  PIECE = 20,                // most panels that stay in the first-level cache
  GROUP_PANELS = 256,        // that stay in the second-level cache
  MAX_PLACES = 512,          // of a chunk
  CHUNK_BYTES = 1 << 20,     // of the left factor, so that it stays in the second-level cache
  MAX_TAPS = AM_AMX_MAX_TAPS
};
typedef am_amx_word word;

// ---- geometry ----

static bool has_stride(const am_cpu_conv *c) { return c->stride_h > 1 || c->stride_w > 1; }

// Pixels of a few channels whose numbers under a row of taps, side by side, are no more than a step takes.
static bool takes_rows_of_taps(const am_cpu_conv *c) {
  const bool padded = c->pad_h < c->kh && c->pad_w < c->kw && c->kh <= PIECE;
  return c->ci % DEPTH != 0 && c->kw * c->ci <= DEPTH && padded;
}

static bool is_forward(am_op op) {
  return op == AM_OP_conv2d || op == AM_OP_conv2d_affine || op == AM_OP_conv2d_affine_add;
}

// Evaluation keeps packed weights and finishes results on their way out. In training oneDNN 2.6 is as good or
// better where images outweigh weights. Measured on Sapphire Rapids, one thread, ms of oneDNN : this. Forward 3x3,
// 64 channels at 32 px 6.4 : 7.7, 256 at 8 px 7.2 : 7.3, 512 at 4 px 25 : 11, at 2 px 23 : 3.3; 1x1, 512 to 128 at
// 28 px 1.4 : 1.5, 256 to 1024 at 14 px 1.4 : 1.2; gradients, 64 at 32 px 6.8 : 7.5, 128 at 16 px 7.8 : 6.5, 512 at
// 4 px 33 : 11, of stride 2 from 256 to 512 channels at 8 px 20 : 5.8.
bool am_cpu_amx_rows_suits(const am_cpu *cpu, am_op op, const am_cpu_conv *c) {
  const bool dense = c->dilation_h == 1 && c->dilation_w == 1 && c->groups == 1 && c->kh * c->kw <= MAX_TAPS;
  if (!cpu->amx || !c->bf16 || !dense) return false;
  if (op == AM_OP_conv2d_grad_input)
    return c->co % DEPTH == 0 && (c->ci >= 128 || c->kh * c->kw == 1 || has_stride(c));
  const bool pays = op != AM_OP_conv2d || c->co >= 512 || c->ho * c->wo <= 16 || c->co >= 4 * c->ci;
  return is_forward(op) && (c->ci % DEPTH == 0 || takes_rows_of_taps(c)) && pays;
}

#if defined(__x86_64__) && defined(__GNUC__)

static am_amx_part forward_part(const am_cpu_conv *c) {
  const bool wide = takes_rows_of_taps(c);
  am_amx_part p = {.f = *c, .out_h = c->ho, .out_w = c->wo, .step_h = 1, .step_w = 1, .taps = c->kh * (wide ? 1 : c->kw),
                   .depth = c->ci * (wide ? c->kw : 1)};
  for (int64_t t = 0; t < p.taps; t++) p.tap[t] = t * (wide ? c->kw : 1);
  p.steps = p.taps * am_ceil_div(p.depth, DEPTH);
  return p;
}

// Along one side: the pixels first, first + stride, ... of dx lie under the taps largest, largest - stride, ..., and
// dy's places under them begin at (first + pad - largest) / stride.
typedef struct { int64_t pixels, taps, largest, pad; } side;
static side side_of(int64_t first, int64_t length, int64_t kernel, int64_t stride, int64_t pad) {
  const int64_t smallest = (first + pad) % stride, taps = am_ceil_div(am_max_i64(0, kernel - smallest), stride);
  const int64_t largest = smallest + (taps - 1) * stride;
  return (side){.pixels = am_ceil_div(length - first, stride), .taps = taps, .largest = largest,
                .pad = (largest - first - pad) / stride};
}

// The part of dx that begins at pixel (top, left). Without taps it is zero.
static am_amx_part gradient_part(const am_cpu_conv *c, int64_t top, int64_t left) {
  const side v = side_of(top, c->h, c->kh, c->stride_h, c->pad_h);
  const side h = side_of(left, c->w, c->kw, c->stride_w, c->pad_w);
  am_amx_part p = {.turned = true, .out_h = c->h, .out_w = c->w, .top = top, .left = left, .step_h = c->stride_h,
                   .step_w = c->stride_w, .taps = v.taps * h.taps, .depth = c->co};
  p.f = (am_cpu_conv){.n = c->n, .ci = c->co, .h = c->ho, .w = c->wo, .co = c->ci, .ho = v.pixels, .wo = h.pixels,
                      .kh = v.taps, .kw = h.taps, .stride_h = 1, .stride_w = 1, .pad_h = v.pad, .pad_w = h.pad,
                      .dilation_h = 1, .dilation_w = 1, .groups = 1, .bf16 = 1};
  for (int64_t ky = 0, t = 0; ky < v.taps; ky++) {
    for (int64_t kx = 0; kx < h.taps; kx++, t++)
      p.tap[t] = (v.largest - ky * c->stride_h) * c->kw + h.largest - kx * c->stride_w;
  }
  p.steps = p.taps * c->co / DEPTH;
  return p;
}

// ---- the left factor ----

typedef enum { DIRECT, PADDED, GATHERED } source_kind;

typedef struct {
  am_amx_part part;
  source_kind kind;
  const am_bf16 *x;
  const word *packed;
  const am_cpu_amx_finish *finish;  // NULL: results are stored as they are
  am_bf16 *y;
  int64_t blocks, piece;     // of output channels; steps between two visits of the sums
  int64_t pitch;             // numbers between two places of the left factor
  int64_t height, width;     // places between two images, and between two rows; PADDED: with their borders
  int64_t chunks, chunk;     // places of a chunk; PADDED: rows of places
  int64_t groups;            // that the output channels are dealt in, so that there is work for all threads
  int64_t *offset;           // of each step: from a place to its numbers
  am_bf16 *left;             // of each thread
  float *sums;               // of each thread: (places, BLOCK)
  int64_t left_room, threads;
} rows_args;

// A chunk of places while it passes.
typedef struct {
  const am_bf16 *base;  // the first place's numbers
  int64_t places;       // to be computed
  int64_t first;        // the first place
} chunk_span;

static void copy_run(am_bf16 *to, const am_bf16 *from, int64_t count) {
  memcpy(to, from, (size_t)count * sizeof *to);
}
static void zero_run(am_bf16 *to, int64_t count) { memset(to, 0, (size_t)count * sizeof *to); }

// ---- PADDED ----
// Rows of the left factor are stacked, image upon image, `height` places apart. With a stride s, image row y lies in
// the plane (y + pad) % s, at (y + pad) / s: under tap ky are the rows of plane ky % s, ky / s further down.

static int64_t planes_of(const am_cpu_conv *f) { return am_min_i64(f->stride_h, f->kh); }
// Rows of a plane that the lowest taps reach beyond those of the uppermost.
static int64_t overhang_of(const am_cpu_conv *f) { return (f->kh - 1) / f->stride_h; }

// Of the pixels along one side those that lie under a tap, with the ones between them.
static int64_t pixels_used(int64_t length, int64_t places, int64_t kernel, int64_t stride, int64_t pad) {
  return am_min_i64(length, (places - 1) * stride + kernel - pad);
}
static int64_t height_of(const am_cpu_conv *f) {
  const int64_t used = pixels_used(f->h, f->ho, f->kh, f->stride_h, f->pad_h);
  int64_t height = f->ho;
  for (int64_t plane = 0; plane < planes_of(f); plane++) {
    const int64_t before = am_ceil_div(am_max_i64(0, f->pad_h - plane), f->stride_h);
    const int64_t rows = am_max_i64(0, am_ceil_div(used + f->pad_h - plane, f->stride_h) - before);
    const int64_t reach = f->ho + (f->kh - 1 - plane) / f->stride_h;
    height = am_max_i64(height, am_max_i64(before + rows, reach - before));
  }
  return height;
}
// Pixels between two rows, a multiple of the stride: a border on both sides is the next row's as well. Where rows of
// taps are taken whole, a step reads on behind them, not into the next row: a NaN there, times a weight of 0, is one.
static int64_t row_pixels(const am_cpu_conv *f) {
  const int64_t used = pixels_used(f->w, f->wo, f->kw, f->stride_w, f->pad_w), last = (f->wo - 1) * f->stride_w;
  const int64_t reach = takes_rows_of_taps(f) ? last + am_ceil_div(DEPTH, f->ci) : last + f->kw - f->pad_w;
  return am_ceil_div(am_max_i64(f->pad_w + used, reach), f->stride_w) * f->stride_w;
}
static int64_t width_of(const am_cpu_conv *f) { return row_pixels(f) / f->stride_w; }

static int64_t rows_of_plane(const rows_args *k) { return k->chunk + overhang_of(&k->part.f); }

// Row `at` of a plane of all images.
static void copy_padded_row(const rows_args *k, int64_t plane, int64_t at, am_bf16 *to) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t image = at / k->height, y = at % k->height * f->stride_h + plane - f->pad_h;
  const int64_t row = row_pixels(f) * f->ci, border = f->pad_w * f->ci;
  const int64_t used = pixels_used(f->w, f->wo, f->kw, f->stride_w, f->pad_w) * f->ci;
  if (image >= f->n || y < 0 || y >= pixels_used(f->h, f->ho, f->kh, f->stride_h, f->pad_h)) {
    zero_run(to, row);
    return;
  }
  zero_run(to, border);
  copy_run(to + border, k->x + (image * f->h + y) * f->w * f->ci, used);
  zero_run(to + border + used, row - border - used);
}

static chunk_span padded_chunk(const rows_args *k, int64_t index, am_bf16 *left) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t all = (f->n - 1) * k->height + f->ho, first = index * k->chunk;
  const int64_t rows = am_min_i64(k->chunk, all - first), row = row_pixels(f) * f->ci;
  for (int64_t plane = 0; plane < planes_of(f); plane++) {
    am_bf16 *to = left + plane * rows_of_plane(k) * row;
    for (int64_t r = 0; r < rows + overhang_of(f); r++) copy_padded_row(k, plane, first + r, to + r * row);
    zero_run(to + (rows + overhang_of(f)) * row, f->pad_w * f->ci);
  }
  return (chunk_span){.base = left, .places = (rows - 1) * k->width + f->wo, .first = first * k->width};
}

// ---- GATHERED, DIRECT ----

// The pixels under one row of taps, at image row y from column x on.
static void gather_row(const am_cpu_conv *f, const am_bf16 *image, int64_t y, int64_t x, am_bf16 *to) {
  const int64_t before = am_min_i64(f->kw, am_max_i64(0, -x)), end = am_max_i64(before, am_min_i64(f->kw, f->w - x));
  if (y < 0 || y >= f->h) {
    zero_run(to, f->kw * f->ci);
    return;
  }
  zero_run(to, before * f->ci);
  copy_run(to + before * f->ci, image + (y * f->w + x + before) * f->ci, (end - before) * f->ci);
  zero_run(to + end * f->ci, (f->kw - end) * f->ci);
}

static chunk_span gathered_chunk(const rows_args *k, int64_t index, am_bf16 *left) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t places = f->n * f->ho * f->wo, first = index * k->chunk, count = am_min_i64(k->chunk, places - first);
  for (int64_t p = 0; p < count; p++) {
    const int64_t image = (first + p) / (f->ho * f->wo), at = (first + p) % (f->ho * f->wo);
    const int64_t y = at / f->wo * f->stride_h - f->pad_h, x = at % f->wo * f->stride_w - f->pad_w;
    am_bf16 *to = left + p * k->pitch;
    for (int64_t ky = 0; ky < f->kh; ky++)
      gather_row(f, k->x + image * f->h * f->w * f->ci, y + ky, x, to + ky * f->kw * f->ci);
  }
  return (chunk_span){.base = left, .places = count, .first = first};
}

// Tiles are read whole: the last places of x are read from a copy that has room behind it.
static chunk_span direct_chunk(const rows_args *k, int64_t index, am_bf16 *left) {
  const int64_t places = k->part.f.n * k->part.f.ho * k->part.f.wo, first = index * k->chunk;
  const int64_t count = am_min_i64(k->chunk, places - first);
  const am_bf16 *base = k->x + first * k->part.f.ci;
  if (first + am_ceil_div(count, TILE) * TILE > places) {
    copy_run(left, base, count * k->part.f.ci);
    base = left;
  }
  return (chunk_span){.base = base, .places = count, .first = first};
}

// ---- results ----

typedef enum { PLAIN, LINEAR, RELU, LEAKY } finish_kind;

// Rows of sums to y, 32 channels from o on; `at` is the first pixel, the others lie step pixels apart.
AM_CPU_BF16_INLINE void store_rows(const rows_args *k, const float *sums, int64_t at, int64_t count, int64_t o,
                                   const finish_kind kind, const bool adds) {
  const int64_t co = k->part.f.co, apart = k->part.step_w * co;
  const am_cpu_amx_finish *fin = k->finish;
  const __m512 none = _mm512_setzero_ps();
  __m512 scale[] = {none, none}, shift[] = {none, none};
  for (int h = 0; h < 2 && kind != PLAIN; h++) {
    scale[h] = _mm512_loadu_ps(fin->scale + o + h * TILE);
    shift[h] = _mm512_loadu_ps(fin->shift + o + h * TILE);
  }
  const am_bf16 *residual = adds ? fin->residual + at * co + o : NULL;
  am_bf16 *y = k->y + at * co + o;
  for (int64_t r = 0; r < count; r++, sums += BLOCK, y += apart) {
    __m512 v[] = {_mm512_loadu_ps(sums), _mm512_loadu_ps(sums + TILE)};
    for (int h = 0; h < 2 && kind != PLAIN; h++) {
      v[h] = _mm512_fmadd_ps(v[h], scale[h], shift[h]);
      if (adds) v[h] = _mm512_add_ps(v[h], (__m512)am_cpu_widen(residual + r * apart + h * TILE));
      if (kind == RELU) v[h] = _mm512_max_ps(none, v[h]);  // the second one where one is a NaN
      const am_cpu_lanes u = (am_cpu_lanes)v[h];
      if (kind == LEAKY) v[h] = (__m512)am_cpu_positive(u, u, u * fin->slope);
    }
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh(v[1], v[0]));
  }
}

// The same where there are less than 32 channels.
AM_CPU_BF16_TARGET static void store_few(const rows_args *k, const float *sums, int64_t at, int64_t count,
                                         int64_t o) {
  const am_cpu_amx_finish *fin = k->finish;
  for (int64_t r = 0; r < count; r++, sums += BLOCK) {
    for (int64_t i = o; i < k->part.f.co; i++) {
      const int64_t to = (at + r * k->part.step_w) * k->part.f.co + i;
      float v = sums[i - o];
      if (fin) v = v * fin->scale[i] + fin->shift[i];
      if (fin && fin->residual) v += am_cpu_widen_part(fin->residual + to, 1)[0];
      am_cpu_narrow_part((am_cpu_lanes){fin ? am_cpu_activate(v, fin->slope) : v}, k->y + to, 1);
    }
  }
}

AM_CPU_BF16_TARGET static void store_run(const rows_args *k, const float *sums, int64_t at, int64_t count,
                                         int64_t o) {
  const am_cpu_amx_finish *fin = k->finish;
  const finish_kind kind = !fin ? PLAIN : fin->slope == 1 ? LINEAR : fin->slope == 0 ? RELU : LEAKY;
  if (o + BLOCK > k->part.f.co) store_few(k, sums, at, count, o);
  else if (kind == PLAIN) store_rows(k, sums, at, count, o, PLAIN, false);
  else if (kind == LINEAR && !fin->residual) store_rows(k, sums, at, count, o, LINEAR, false);
  else if (kind == RELU && !fin->residual) store_rows(k, sums, at, count, o, RELU, false);
  else if (kind == RELU) store_rows(k, sums, at, count, o, RELU, true);
  else if (!fin->residual) store_rows(k, sums, at, count, o, LEAKY, false);
  else store_rows(k, sums, at, count, o, LEAKY, true);
}

// Places from..from+count of a chunk; those between two rows of an image are dropped.
AM_CPU_BF16_TARGET static void store(const rows_args *k, const chunk_span *span, const float *sums, int64_t from,
                                     int64_t count, int64_t o) {
  const am_amx_part *p = &k->part;
  if (k->kind != PADDED && p->step_h * p->step_w == 1) {
    store_run(k, sums, span->first + from, count, o);
    return;
  }
  for (int64_t at = span->first + from, end = at + count; at < end;) {
    const int64_t row = at / k->width, x = at % k->width;
    const int64_t run = am_min_i64(end - at, k->width - x), kept = am_min_i64(run, p->f.wo - x);
    const int64_t image = row / k->height, y = row % k->height;
    const int64_t pixel = (image * p->out_h + p->top + y * p->step_h) * p->out_w + p->left + x * p->step_w;
    if (kept > 0 && y < p->f.ho) store_run(k, sums, pixel, kept, o);
    sums += run * BLOCK;
    at += run;
  }
}

// ---- products ----

// Adds `steps` panels to a block of 32 x 32 sums, or 16 x 32 where there are no more places, or sets it. Not
// inlined: the compiler knows nothing of what is in tiles.
AM_AMX_TARGET __attribute__((noinline)) static void multiply(const am_bf16 *left, int64_t pitch,
                                                             const int64_t *offset, const word *panel,
                                                             int64_t steps, bool two, bool set, float *sums) {
  enum { SUMS_PITCH = BLOCK * sizeof(float) };
  const int64_t bytes = pitch * (int64_t)sizeof *left;
  am_amx_begin_sums(sums, SUMS_PITCH, set);
  for (int64_t s = 0; s < steps; s++, panel += PANEL) {
    const am_bf16 *at = left + offset[s];
    _tile_loadd(4, at, bytes);
    _tile_loadd(6, panel, AM_AMX_ROW_BYTES);
    _tile_loadd(7, panel + AM_AMX_WORDS, AM_AMX_ROW_BYTES);
    if (two) _tile_loadd(5, at + TILE * pitch, bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if (!two) continue;
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  am_amx_end_sums(sums, SUMS_PITCH);
}

// What the next places add comes from far away while these are computed.
static void fetch_residual(const rows_args *k, const chunk_span *span, int64_t from, int64_t o) {
  if (k->kind != DIRECT || !k->finish || !k->finish->residual) return;
  const am_bf16 *residual = k->finish->residual + (span->first + from) * k->part.f.co + o;
  const int64_t count = am_min_i64(BLOCK, span->places - from);
  for (int64_t r = 0; r < count; r++) __builtin_prefetch(residual + r * k->part.f.co);
}

// A chunk's results of some blocks of output channels. A short product goes along the places, and whole rows of y
// are written one after the other; a long one is cut into pieces, and sums wait for the next piece.
static void blocks_of(const rows_args *k, const chunk_span *span, int64_t begin, int64_t end, float *sums) {
  const bool cut = k->piece < k->part.steps;
  const int64_t group = cut ? 1 : am_max_i64(1, GROUP_PANELS / k->part.steps);
  for (int64_t first = begin; first < end; first += group) {
    const int64_t last = am_min_i64(end, first + group);
    for (int64_t s = 0; s < k->part.steps; s += k->piece) {
      const int64_t steps = am_min_i64(k->piece, k->part.steps - s);
      for (int64_t p = 0; p < span->places; p += BLOCK) {
        const int64_t left = am_min_i64(BLOCK, span->places - p);
        float *to = cut ? sums + p * BLOCK : sums;
        for (int64_t b = first; b < last; b++) {
          if (s + steps == k->part.steps) fetch_residual(k, span, p + BLOCK, b * BLOCK);
          const word *panel = k->packed + (b * k->part.steps + s) * PANEL;
          multiply(span->base + p * k->pitch, k->pitch, k->offset + s, panel, steps, left > TILE, s == 0, to);
          if (s + steps == k->part.steps) store(k, span, to, p, left, b * BLOCK);
        }
      }
    }
  }
}

static void slot_range(const void *arg, int64_t begin, int64_t end) {
  const rows_args *k = arg;
  const int64_t items = k->chunks * k->groups;
  am_amx_config before;
  am_amx_begin(&before);
  for (int64_t slot = begin; slot < end; slot++) {
    am_bf16 *left = k->left + slot * k->left_room;
    float *sums = k->sums + slot * MAX_PLACES * BLOCK;
    chunk_span span = {0};
    for (int64_t i = items * slot / k->threads, have = -1; i < items * (slot + 1) / k->threads; i++) {
      const int64_t chunk = i / k->groups, group = i % k->groups;
      if (chunk != have) {
        span = k->kind == PADDED     ? padded_chunk(k, chunk, left)
               : k->kind == GATHERED ? gathered_chunk(k, chunk, left)
                                     : direct_chunk(k, chunk, left);
        have = chunk;
      }
      blocks_of(k, &span, k->blocks * group / k->groups, k->blocks * (group + 1) / k->groups, sums);
    }
  }
  am_amx_end(&before);
}

// ---- a plan ----

// PADDED computes at the borders what is dropped; GATHERED copies every pixel once for each tap above it, and so large
// a factor sees the weights more often. Measured with AMX, two threads, ms of PADDED : GATHERED, and of results
// that are dropped to those that are kept: 512 channels at 7 px (0.3) 1.4 : 2.3, at 4 px (0.6) 4.8 : 6.6, with a stride
// of 2 from 256 channels at 4 px (1.2) 1.7 : 1.4.
static source_kind kind_of(const am_amx_part *p) {
  const am_cpu_conv *f = &p->f;
  const bool aligned = f->ho == f->h && f->wo == f->w;
  if (takes_rows_of_taps(f)) return PADDED;
  if (!has_stride(f) && p->taps == 1 && f->pad_h == 0 && f->pad_w == 0 && aligned) return DIRECT;
  const bool fits = f->pad_w >= 0 && f->pad_h >= 0 && f->pad_w < f->kw && f->pad_h < f->kh && width_of(f) <= MAX_PLACES;
  return fits && p->taps > 1 && height_of(f) * width_of(f) <= 2 * f->ho * f->wo ? PADDED : GATHERED;
}

static void cut_places(rows_args *k) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t room = CHUNK_BYTES / (int64_t)sizeof(am_bf16);
  k->height = f->ho;
  k->width = f->wo;
  if (k->kind == PADDED) {
    k->pitch = f->stride_w * f->ci;
    k->height = height_of(f);
    k->width = width_of(f);
    const int64_t row = row_pixels(f) * f->ci, rows = (f->n - 1) * k->height + f->ho;
    const int64_t most = am_max_i64(1, am_min_i64(room / (planes_of(f) * row), MAX_PLACES / k->width));
    k->chunks = am_ceil_div(rows, most);
    k->chunk = am_ceil_div(rows, k->chunks);
    k->left_room = (planes_of(f) * rows_of_plane(k) + 1) * row + BLOCK * k->pitch + f->kw * f->ci + DEPTH;
  } else {
    k->pitch = k->kind == GATHERED ? k->part.steps * DEPTH : f->ci;
    const int64_t places = f->n * f->ho * f->wo;
    const int64_t most = am_max_i64(BLOCK, am_min_i64(room / k->pitch, MAX_PLACES) / BLOCK * BLOCK);
    k->chunk = am_ceil_div(am_ceil_div(places, am_ceil_div(places, most)), BLOCK) * BLOCK;
    k->chunks = am_ceil_div(places, k->chunk);
    k->left_room = k->chunk * k->pitch;
  }
  k->left_room = am_ceil_div(k->left_room, DEPTH) * DEPTH;  // whole cache lines
  k->groups = k->threads == 1 ? 1 : am_min_i64(k->blocks, am_ceil_div(4 * k->threads, k->chunks));
}

static void note_offsets(rows_args *k) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t row = row_pixels(f), kw = k->part.taps / f->kh;
  for (int64_t s = 0; s < k->part.steps; s++) {
    const int64_t tap = s % k->part.taps, ky = tap / kw, kx = tap % kw;
    const int64_t in_plane = ky % f->stride_h * rows_of_plane(k) + ky / f->stride_h;
    const int64_t pixel = k->kind == PADDED ? in_plane * row + kx : tap;
    k->offset[s] = pixel * f->ci + s / k->part.taps * DEPTH;
  }
}

static am_err run(am_cpu *cpu, rows_args *k, int64_t kernel, const am_view *w) {
  const am_amx_part *p = &k->part;
  k->kind = kind_of(p);
  k->blocks = am_ceil_div(p->f.co, BLOCK);
  k->piece = am_ceil_div(p->steps, am_ceil_div(p->steps, PIECE));
  cut_places(k);
  AM_TRY(am_cpu_amx_packed_of(cpu, p, kernel, w, &k->packed));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_TILES, k->threads * k->left_room, sizeof *k->left, &k->left));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_PLACES, k->threads * MAX_PLACES * BLOCK, sizeof *k->sums, &k->sums));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_ZERO, p->steps, sizeof *k->offset, &k->offset));
  note_offsets(k);
  am_cpu_for(cpu, k->threads, 1, slot_range, k);
  return AM_OK;
}

static am_err run_parts(am_cpu *cpu, const am_cpu_conv *c, const am_bf16 *dy, const am_view *w, am_bf16 *dx) {
  // Pixels that no part writes: those under no tap.
  if (c->kh < c->stride_h || c->kw < c->stride_w)
    memset(dx, 0, (size_t)(c->n * c->h * c->w * c->ci) * sizeof *dx);
  for (int64_t top = 0; top < am_min_i64(c->stride_h, c->h); top++) {
    for (int64_t left = 0; left < am_min_i64(c->stride_w, c->w); left++) {
      rows_args k = {.part = gradient_part(c, top, left), .x = dy, .y = dx, .threads = cpu->threads};
      if (k.part.steps > 0) AM_TRY(run(cpu, &k, c->kh * c->kw, w));
    }
  }
  return AM_OK;
}

am_err am_cpu_amx_rows(am_cpu *cpu, am_op op, const am_cpu_conv *c, const am_bf16 *x, const am_view *w,
                       const am_cpu_amx_finish *finish, am_bf16 *y) {
  if (op == AM_OP_conv2d_grad_input) return run_parts(cpu, c, x, w, y);
  rows_args k = {.part = forward_part(c), .x = x, .finish = finish, .y = y, .threads = cpu->threads};
  return run(cpu, &k, c->kh * c->kw, w);
}

#else

am_err am_cpu_amx_rows(am_cpu *cpu, am_op op, const am_cpu_conv *c, const am_bf16 *x, const am_view *w,
                       const am_cpu_amx_finish *finish, am_bf16 *y) {
  return AM_FAIL(AM_ERR_INTERNAL, "AMX on another processor");
}

#endif
