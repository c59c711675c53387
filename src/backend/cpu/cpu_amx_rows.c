// Convolutions of bf16 images, and gradients of their images, on AMX tiles.
//
//   y[place][o] = sum over taps t and channels i of x[pixel under tap t][i] * w[o][t][i]
//
// is a product of matrices whose left factor is never written down where that can be avoided: a tile of it is 16
// places of 32 channels, read from the image as it lies in memory, one row of a tile after the other.
//
//   DIRECT    one tap, no stride: the places of x are rows of the factor already.
//   PADDED    no stride: some rows of an image are copied with zeros between them, each row's right border being the
//             next one's left one. The places of y and the pixels under a tap are then two runs of one distance;
//             what is computed at the borders is dropped.
//   GATHERED  everything else: the pixels under a place are copied side by side.
//
// The right factor is packed once: for 32 output channels, 32 rows after the other, two neighbouring rows paired.
// It is cut into pieces that stay in the first-level cache while a chunk of places passes by. Each result is added up
// by one thread in one order, so nothing depends on threads.
//
// A gradient of images is the convolution of dy with the kernel turned around and its channels swapped. With a
// stride of 2, every second pixel of dx lies under other taps than its neighbour: dx falls apart into 2 x 2 parts,
// each of which is a convolution of its own without a stride.
#include <stdlib.h>

#include "backend/cpu/cpu_amx.h"
#include "base/mem.h"

enum {
  DEPTH = AM_AMX_DEPTH,
  TILE = AM_AMX_ROWS,
  BLOCK = AM_AMX_BLOCK,
  PANEL = 2 * AM_AMX_WORDS,  // words of 32 rows and 32 columns of the right factor
  PIECE = 20,                // most panels that stay in the first-level cache
  GROUP_PANELS = 256,        // that stay in the second-level cache
  MAX_PLACES = 512,          // of a chunk
  CHUNK_BYTES = 1 << 20,     // of the left factor, so that it stays in the second-level cache
  KEPT_BYTES = 1 << 30,      // of packed weights
  MAX_TAPS = 128
};
typedef am_amx_word word;

// ---- geometry ----

static bool has_stride(const am_cpu_conv *c) { return c->stride_h > 1 || c->stride_w > 1; }

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
  return is_forward(op) && c->ci % DEPTH == 0 && pays;
}

#if defined(__x86_64__) && defined(__GNUC__)

// A convolution without groups of x (n, h, w, ci) whose results go to every second, ... pixel of an array.
typedef struct {
  am_cpu_conv f;            // pads may be negative
  bool turned;              // of a gradient of images
  int64_t tap[MAX_TAPS];    // of the plain kernel, for each tap of f
  int64_t steps;            // of DEPTH numbers along the inner side
  int64_t out_h, out_w;     // of the array
  int64_t top, left, step_h, step_w;  // where the results go
} conv_part;

static conv_part forward_part(const am_cpu_conv *c) {
  conv_part p = {.f = *c, .out_h = c->ho, .out_w = c->wo, .step_h = 1, .step_w = 1};
  for (int64_t t = 0; t < c->kh * c->kw; t++) p.tap[t] = t;
  p.steps = c->kh * c->kw * c->ci / DEPTH;
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
static conv_part gradient_part(const am_cpu_conv *c, int64_t top, int64_t left) {
  const side v = side_of(top, c->h, c->kh, c->stride_h, c->pad_h);
  const side h = side_of(left, c->w, c->kw, c->stride_w, c->pad_w);
  conv_part p = {.turned = true, .out_h = c->h, .out_w = c->w, .top = top, .left = left, .step_h = c->stride_h,
            .step_w = c->stride_w};
  p.f = (am_cpu_conv){.n = c->n, .ci = c->co, .h = c->ho, .w = c->wo, .co = c->ci, .ho = v.pixels, .wo = h.pixels,
                      .kh = v.taps, .kw = h.taps, .stride_h = 1, .stride_w = 1, .pad_h = v.pad, .pad_w = h.pad,
                      .dilation_h = 1, .dilation_w = 1, .groups = 1, .bf16 = 1};
  for (int64_t ky = 0, t = 0; ky < v.taps; ky++) {
    for (int64_t kx = 0; kx < h.taps; kx++, t++)
      p.tap[t] = (v.largest - ky * c->stride_h) * c->kw + h.largest - kx * c->stride_w;
  }
  p.steps = v.taps * h.taps * c->co / DEPTH;
  return p;
}

// ---- packing the right factor ----

typedef struct {
  const conv_part *p;
  const float *w;
  int64_t kernel;  // taps of w
  word *packed;
} pack_args;

// 32 channels at one distance, of one output channel under one tap: a row of pairs.
AM_CPU_BF16_TARGET static void take_row(const float *w, int64_t distance, word *row) {
  const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const __m512i at = _mm512_mullo_epi32(lanes, _mm512_set1_epi32((int)distance));
  const float *upper = w + TILE * distance;
  const __m512 a = distance == 1 ? _mm512_loadu_ps(w) : _mm512_i32gather_ps(at, w, sizeof *w);
  const __m512 b = distance == 1 ? _mm512_loadu_ps(upper) : _mm512_i32gather_ps(at, upper, sizeof *w);
  _mm512_storeu_si512(row, (__m512i)_mm512_cvtne2ps_pbh(b, a));
}

// Steps run through the taps of 32 channels, then through those of the next 32.
static void pack_range(const void *arg, int64_t begin, int64_t end) {
  const pack_args *k = arg;
  const conv_part *p = k->p;
  const int64_t taps = p->f.kh * p->f.kw;
  const int64_t inner = p->turned ? p->f.co * k->kernel : k->kernel;
  const int64_t outer = p->turned ? k->kernel : p->f.ci * k->kernel;
  word rows[AM_AMX_WORDS];
  for (int64_t half = begin; half < end; half++) {
    const int64_t first = half * TILE, count = am_min_i64(TILE, p->f.co - first);
    if (count < TILE) memset(rows, 0, sizeof rows);
    for (int64_t s = 0; s < p->steps; s++) {
      const float *w = k->w + first * outer + s / taps * DEPTH * inner + p->tap[s % taps];
      for (int64_t o = 0; o < count; o++) take_row(w + o * outer, inner, rows + o * TILE);
      word *to = k->packed + (half / 2 * p->steps + s) * PANEL + half % 2 * AM_AMX_WORDS;
      am_cpu_transpose(TILE, TILE, rows, TILE, to, TILE);
    }
  }
}

static void pack(const am_cpu *cpu, const conv_part *p, int64_t kernel, const float *w, word *packed) {
  const pack_args k = {.p = p, .w = w, .kernel = kernel, .packed = packed};
  am_cpu_for(cpu, am_ceil_div(p->f.co, BLOCK) * 2, am_cpu_grain(p->steps * DEPTH * TILE), pack_range, &k);
}

// What the weights of a network that is not trained were packed to, as long as they stay what they are.
struct am_cpu_packed {
  am_cpu_packed *next;  // owned
  const float *w;       // borrowed, only compared
  am_shape shape;
  uint64_t stamp;
  word *data;  // owned, 64-byte aligned
};

void am_cpu_amx_forget(am_cpu *cpu) {
  while (cpu->packed) {
    am_cpu_packed *p = cpu->packed;
    cpu->packed = p->next;
    free(p->data);
    free(p);
  }
  cpu->packed_bytes = 0;
}

static am_err packed_new(am_cpu *cpu, const am_view *w, size_t bytes, am_cpu_packed **out) {
  am_err err = AM_OK;
  am_cpu_packed *p = NULL;
  if (cpu->packed_bytes + bytes > KEPT_BYTES) am_cpu_amx_forget(cpu);
  AM_GO(done, AM_NEW(&p));
  p->data = aligned_alloc(64, bytes);
  AM_CHECK_GO(done, p->data, AM_ERR_NOMEM, "no memory for %zu bytes of packed weights", bytes);
  p->w = w->data;
  p->shape = w->shape;
  p->next = cpu->packed;
  cpu->packed = p;
  cpu->packed_bytes += bytes;
  *out = p;
  p = NULL;
done:
  free(p);
  return err;
}

// *packed: w as the right factor. Gradients are asked for once in the life of some weights: theirs is not kept.
static am_err packed_of(am_cpu *cpu, const conv_part *part, int64_t kernel, const am_view *w, const word **packed) {
  const size_t bytes = (size_t)(am_ceil_div(part->f.co, BLOCK) * part->steps * PANEL) * sizeof(word);
  if (!w->stamp || part->turned) {
    word *now = NULL;
    AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_WEIGHTS, (int64_t)bytes, 1, &now));
    pack(cpu, part, kernel, w->data, now);
    *packed = now;
    return AM_OK;
  }
  am_cpu_packed *p = cpu->packed;
  while (p && (p->w != w->data || !am_shape_equal(p->shape, w->shape))) p = p->next;
  if (!p) AM_TRY(packed_new(cpu, w, bytes, &p));
  if (p->stamp != w->stamp) pack(cpu, part, kernel, w->data, p->data);
  p->stamp = w->stamp;
  *packed = p->data;
  return AM_OK;
}

// ---- the left factor ----

typedef enum { DIRECT, PADDED, GATHERED } source_kind;

typedef struct {
  conv_part part;
  source_kind kind;
  const am_bf16 *x;
  const word *packed;
  const am_cpu_amx_finish *finish;  // NULL: results are stored as they are
  am_bf16 *y;
  int64_t blocks, piece;     // of output channels; steps between two visits of the sums
  int64_t pitch;             // numbers between two places of the left factor
  int64_t width;             // PADDED: places between two rows of the image
  int64_t chunks, per_image; // chunks; PADDED: of an image, which has its chunks for itself
  int64_t chunk;             // places, or rows of an image, of a chunk
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

static chunk_span padded_chunk(const rows_args *k, int64_t index, am_bf16 *left) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t image = index / k->per_image, first = index % k->per_image * k->chunk;
  const int64_t rows = am_min_i64(k->chunk, f->ho - first), border = f->pad_w * f->ci, row = k->width * f->ci;
  for (int64_t r = 0; r < rows + f->kh - 1; r++, left += row) {
    const int64_t y = first + r - f->pad_h;
    if (y < 0 || y >= f->h) {
      zero_run(left, row);
      continue;
    }
    zero_run(left, border);
    copy_run(left + border, k->x + (image * f->h + y) * f->w * f->ci, f->w * f->ci);
    zero_run(left + border + f->w * f->ci, am_max_i64(0, row - border - f->w * f->ci));
  }
  zero_run(left, border);
  return (chunk_span){.base = left - (rows + f->kh - 1) * row, .places = (rows - 1) * k->width + f->wo,
                      .first = (image * f->ho + first) * f->wo};
}

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

// Rows of sums to y, 32 channels from o on; `at` is the first pixel, the others lie step pixels apart.
AM_CPU_BF16_INLINE void store_rows(const rows_args *k, const float *sums, int64_t at, int64_t count, int64_t o,
                                   const bool finishes, const bool adds) {
  const int64_t co = k->part.f.co, apart = k->part.step_w * co;
  const am_cpu_amx_finish *fin = k->finish;
  const am_cpu_lanes none = {0};
  const am_cpu_lanes scale[] = {finishes ? AM_CPU_LOAD(fin->scale + o) : none,
                                finishes ? AM_CPU_LOAD(fin->scale + o + TILE) : none};
  const am_cpu_lanes shift[] = {finishes ? AM_CPU_LOAD(fin->shift + o) : none,
                                finishes ? AM_CPU_LOAD(fin->shift + o + TILE) : none};
  const am_bf16 *residual = adds ? fin->residual + at * co + o : NULL;
  am_bf16 *y = k->y + at * co + o;
  for (int64_t r = 0; r < count; r++, sums += BLOCK, y += apart) {
    am_cpu_lanes v[] = {AM_CPU_LOAD(sums), AM_CPU_LOAD(sums + TILE)};
    for (int h = 0; h < 2 && finishes; h++) {
      v[h] = v[h] * scale[h] + shift[h];
      if (adds) v[h] += am_cpu_widen(residual + r * apart + h * TILE);
      v[h] = am_cpu_positive(v[h], v[h], v[h] * fin->slope);
    }
    _mm512_storeu_si512(y, (__m512i)_mm512_cvtne2ps_pbh((__m512)v[1], (__m512)v[0]));
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
  if (o + BLOCK > k->part.f.co) store_few(k, sums, at, count, o);
  else if (!k->finish) store_rows(k, sums, at, count, o, false, false);
  else if (!k->finish->residual) store_rows(k, sums, at, count, o, true, false);
  else store_rows(k, sums, at, count, o, true, true);
}

// Places from..from+count of a chunk; those between two rows of an image are dropped.
AM_CPU_BF16_TARGET static void store(const rows_args *k, const chunk_span *span, const float *sums, int64_t from,
                                     int64_t count, int64_t o) {
  const conv_part *p = &k->part;
  const int64_t wo = p->f.wo, width = k->kind == PADDED ? k->width : wo;
  if (k->kind != PADDED && p->step_h * p->step_w == 1) {
    store_run(k, sums, span->first + from, count, o);
    return;
  }
  // PADDED chunks begin with a row; others begin somewhere in one.
  const int64_t before = k->kind == PADDED ? 0 : span->first % wo, first_row = span->first / wo;
  for (int64_t at = from + before, end = at + count; at < end;) {
    const int64_t row = first_row + at / width, x = at % width;
    const int64_t run = am_min_i64(end - at, width - x), kept = am_min_i64(run, wo - x);
    const int64_t image = row / p->f.ho, y = p->top + row % p->f.ho * p->step_h;
    const int64_t pixel = (image * p->out_h + y) * p->out_w + p->left + x * p->step_w;
    if (kept > 0) store_run(k, sums, pixel, kept, o);
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

// Copying the pixels of 9 taps costs about as much as 40 / co of the products (measured on Sapphire Rapids); the
// other way computes at the borders.
enum { COPY_COST = 40 };

// PADDED: from a pixel of x to the one below it; a border on both sides is the next row's as well.
static int64_t width_of(const am_cpu_conv *f) {
  return f->w + am_max_i64(f->pad_w, f->wo + f->kw - 1 - f->pad_w - f->w);
}

static source_kind kind_of(const am_cpu_conv *f) {
  const double wasted = (double)width_of(f) * (double)(f->ho + 1) / ((double)f->wo * (double)f->ho) - 1;
  const bool aligned = f->ho == f->h && f->wo == f->w;
  if (has_stride(f)) return GATHERED;
  if (f->kh * f->kw == 1 && f->pad_h == 0 && f->pad_w == 0 && aligned) return DIRECT;
  const bool fits = f->pad_w >= 0 && f->pad_h >= 0 && f->pad_w < f->kw && f->pad_h < f->kh &&
                    width_of(f) >= f->wo && width_of(f) <= MAX_PLACES;
  return fits && wasted <= (double)COPY_COST / (double)f->co ? PADDED : GATHERED;
}

static void cut_places(rows_args *k) {
  const am_cpu_conv *f = &k->part.f;
  const int64_t places = f->n * f->ho * f->wo;
  k->pitch = k->kind == GATHERED ? k->part.steps * DEPTH : f->ci;
  const int64_t room = CHUNK_BYTES / (k->pitch * (int64_t)sizeof(am_bf16));
  if (k->kind == PADDED) {
    k->width = width_of(f);
    const int64_t most = am_max_i64(1, am_min_i64(room, MAX_PLACES) / k->width);
    k->per_image = am_ceil_div(f->ho, most);
    k->chunk = am_ceil_div(f->ho, k->per_image);
    k->chunks = f->n * k->per_image;
    k->left_room = ((k->chunk + f->kh) * k->width + f->kw + BLOCK) * f->ci;
  } else {
    k->chunk = am_max_i64(BLOCK, am_min_i64(room, MAX_PLACES) / BLOCK * BLOCK);
    k->chunks = am_ceil_div(places, k->chunk);
    k->left_room = k->chunk * k->pitch;
  }
  k->left_room = am_ceil_div(k->left_room, DEPTH) * DEPTH;  // whole cache lines
  k->groups = k->threads == 1 ? 1 : am_min_i64(k->blocks, am_ceil_div(4 * k->threads, k->chunks));
}

static void note_offsets(rows_args *k) {
  const int64_t taps = k->part.f.kh * k->part.f.kw;
  for (int64_t s = 0; s < k->part.steps; s++) {
    const int64_t tap = s % taps, ky = tap / k->part.f.kw, kx = tap % k->part.f.kw;
    const int64_t pixel = k->kind == PADDED ? ky * k->width + kx : tap;
    k->offset[s] = pixel * k->part.f.ci + s / taps * DEPTH;
  }
}

static am_err run(am_cpu *cpu, rows_args *k, int64_t kernel, const am_view *w) {
  const conv_part *p = &k->part;
  k->kind = kind_of(&p->f);
  k->blocks = am_ceil_div(p->f.co, BLOCK);
  k->piece = am_ceil_div(p->steps, am_ceil_div(p->steps, PIECE));
  cut_places(k);
  AM_TRY(packed_of(cpu, p, kernel, w, &k->packed));
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

void am_cpu_amx_forget(am_cpu *cpu) { (void)cpu; }

am_err am_cpu_amx_rows(am_cpu *cpu, am_op op, const am_cpu_conv *c, const am_bf16 *x, const am_view *w,
                       const am_cpu_amx_finish *finish, am_bf16 *y) {
  return AM_FAIL(AM_ERR_INTERNAL, "AMX on another processor");
}

#endif
