// Weight gradients of bf16 convolutions on AMX tiles, where oneDNN 2.6 is slow.
//
//   dw[o][tap][i] = sum over the output's places p of dy[p][o] * x[p under tap][i]
//
// is a product of matrices with the places as the inner side. AMX multiplies a tile of 16 rows of 32 numbers
// by one of 16 rows of 16 pairs of numbers: both factors need two neighbouring places side by side. Places
// are taken in chunks. dy's part of a chunk is paired and transposed once; of x, 32 channels under one tap at a
// time are paired into a panel that stays in the first-level cache while all of dy passes by. Four tiles of
// dw are in registers. Chunks come one after the other and threads share panels, so nothing depends on threads.
#define _GNU_SOURCE  // syscall
#include <unistd.h>

#include "backend/cpu/cpu_amx.h"

enum {
  STEP = AM_AMX_DEPTH,     // places of a tile
  CHUNK = 512,             // most places of a chunk
  TILE = AM_AMX_ROWS,
  TILE_WORDS = AM_AMX_WORDS,
  BLOCK = AM_AMX_BLOCK,    // output and input channels that are in registers
  PAIRED = 64              // channels that are transposed together
};
typedef am_amx_word word;

// 1x1 kernels and strides are where oneDNN spends its time elsewhere; in 3x3 of stride 1 it is good until
// weights outweigh images. Measured on Sapphire Rapids, one thread, GFLOP/s of oneDNN 2.6.3 against this:
// 3x3, 64 channels at 32 px 667 : 410, 128 at 16 px 682 : 620, 256 at 8 px 422 : 765, 512 at 4 px 145 : 780,
// at 2 px 47 : 1130; of stride 2, 64 to 128 at 32 px 322 : 465, 256 to 512 at 8 px 89 : 880; 1x1, 2048 to 512
// at 7 px 99 : 880, 64 to 256 at 56 px 239 : 256; of stride 2, 256 to 512 at 8 px 62 : 500.
enum { MIN_CHANNELS = 256 };

bool am_cpu_amx_grad_weight_suits(const am_cpu *cpu, am_op op, const am_cpu_conv *c) {
  const bool channels = c->ci % BLOCK == 0 && c->co % BLOCK == 0;
  const bool dense = c->dilation_h == 1 && c->dilation_w == 1;
  const bool strided = c->stride_h > 1 || c->stride_w > 1;
  const bool slow = strided || c->kh * c->kw == 1 || am_min_i64(c->ci, c->co) >= MIN_CHANNELS;
  return cpu->amx && c->bf16 && op == AM_OP_conv2d_grad_weight && channels && dense && c->kh <= TILE &&
         c->kw <= TILE && slow;
}

#if defined(__x86_64__) && defined(__GNUC__)

#include <sys/syscall.h>

// Linux hands out the tile registers on request.
bool am_cpu_amx_request(void) {
  enum { ARCH_REQ_XCOMP_PERM = 0x1023, XFEATURE_XTILEDATA = 18 };
  return syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA) == 0;
}

// ---- places ----

typedef struct {
  const am_cpu_conv *c;
  const am_bf16 *x, *dy, *zero;  // zero: a row of zeros
  float *dw;                     // (co, taps, ci)
  bool first_chunk;
  int64_t count, steps;          // places of the chunk, and tiles along them
  const am_bf16 *dy_row;         // of the chunk's first place
  word *dy_tiles;                // (steps, co, 16)
  int32_t *corner;               // of each place: the pixel under its first tap, wherever that lies
  uint16_t *inside_h, *inside_w; // bit k: row (column) k of its taps lies in the image
} chunk_args;

typedef struct { int64_t image, y, x; } place;

// Bit k: position + k lies in 0..length-1.
static uint16_t inside(int64_t position, int64_t length, int64_t taps) {
  unsigned bits = 0;
  for (int64_t k = 0; k < taps; k++) bits |= (unsigned)(position + k >= 0 && position + k < length) << k;
  return (uint16_t)bits;
}

static void note_places(chunk_args *k, place *at) {
  const am_cpu_conv *c = k->c;
  for (int64_t i = 0; i < k->steps * STEP; i++) {
    const int64_t y = at->y * c->stride_h - c->pad_h, x = at->x * c->stride_w - c->pad_w;
    k->corner[i] = (int32_t)((at->image * c->h + y) * c->w + x);
    k->inside_h[i] = i < k->count ? inside(y, c->h, c->kh) : 0;
    k->inside_w[i] = inside(x, c->w, c->kw);
    if (i + 1 > k->count || ++at->x < c->wo) continue;
    at->x = 0;
    if (++at->y < c->ho) continue;
    at->y = 0;
    at->image++;
  }
}

// ---- packing ----

// Sixteen channels of two places side by side.
AM_AMX_TARGET static inline am_cpu_words paired(const am_bf16 *a, const am_bf16 *b) {
  return __builtin_convertvector(*(const am_cpu_halves *)a, am_cpu_words) |
         __builtin_convertvector(*(const am_cpu_halves *)b, am_cpu_words) << 16;
}

// Rows of dy as tiles: row o of step s holds the 32 places of channel o.
AM_AMX_TARGET static void pack_dy(const void *arg, int64_t begin, int64_t end) {
  const chunk_args *k = arg;
  const int64_t co = k->c->co;
  word pairs[TILE * PAIRED];
  for (int64_t s = begin; s < end; s++) {
    for (int64_t o = 0; o < co; o += PAIRED) {
      const int64_t width = am_min_i64(PAIRED, co - o);
      for (int64_t i = 0; i < TILE; i++) {
        const int64_t p = s * STEP + 2 * i;
        const am_bf16 *a = p < k->count ? k->dy_row + p * co : k->zero;
        const am_bf16 *b = p + 1 < k->count ? k->dy_row + (p + 1) * co : k->zero;
        for (int64_t j = 0; j < width; j += TILE) *(am_cpu_words *)(pairs + i * PAIRED + j) = paired(a + o + j, b + o + j);
      }
      am_cpu_transpose(TILE, width, pairs, PAIRED, k->dy_tiles + (s * co + o) * TILE, TILE);
    }
  }
}

// The rows of x under a tap; outside the image zeros.
static void find_rows(const chunk_args *k, int64_t ky, int64_t kx, const am_bf16 **row) {
  const am_cpu_conv *c = k->c;
  for (int64_t i = 0; i < k->steps * STEP; i++) {
    const bool in = k->inside_h[i] >> ky & k->inside_w[i] >> kx & 1;
    row[i] = in ? k->x + (k->corner[i] + ky * c->w + kx) * c->ci : k->zero;
  }
}

// Two tiles of x side by side for each step: (steps, 2, 16 pairs, 16 channels).
AM_AMX_TARGET static void pack_x(const am_bf16 *const *row, int64_t steps, int64_t channel, word *panel) {
  for (int64_t s = 0; s < steps; s++) {
    word *to = panel + s * 2 * TILE_WORDS;
    for (int64_t i = 0; i < TILE; i++, row += 2, to += TILE) {
      *(am_cpu_words *)to = paired(row[0] + channel, row[1] + channel);
      *(am_cpu_words *)(to + TILE_WORDS) = paired(row[0] + channel + TILE, row[1] + channel + TILE);
    }
  }
}

// ---- products ----

// Adds a block of 32 x 32 elements of dw, or sets it. Not inlined: the compiler knows nothing of what is in
// tiles.
AM_AMX_TARGET __attribute__((noinline)) static void multiply(const word *dy, int64_t dy_step, const word *panel,
                                                          int64_t steps, float *dw, int64_t dw_row, bool set) {
  const int64_t pitch = dw_row * (int64_t)sizeof(float);
  am_amx_begin_sums(dw, pitch, set);
  for (int64_t s = 0; s < steps; s++, dy += dy_step, panel += 2 * TILE_WORDS) {
    _tile_loadd(6, panel, AM_AMX_ROW_BYTES);
    _tile_loadd(4, dy, AM_AMX_ROW_BYTES);
    _tile_loadd(7, panel + TILE_WORDS, AM_AMX_ROW_BYTES);
    _tile_loadd(5, dy + TILE_WORDS, AM_AMX_ROW_BYTES);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
  }
  am_amx_end_sums(dw, pitch);
}

// Panels are numbered tap by tap, 32 input channels each. The tiles' shape is put back as it was found.
AM_AMX_TARGET static void panel_range(const void *arg, int64_t begin, int64_t end) {
  const chunk_args *k = arg;
  const am_cpu_conv *c = k->c;
  const int64_t per_tap = c->ci / BLOCK, dw_row = c->kh * c->kw * c->ci;
  const am_bf16 *row[CHUNK];
  word panel[CHUNK / STEP * 2 * TILE_WORDS] __attribute__((aligned(64)));
  am_amx_config before;
  am_amx_begin(&before);
  for (int64_t p = begin, tap = -1; p < end; p++) {
    if (p / per_tap != tap) {
      tap = p / per_tap;
      find_rows(k, tap / c->kw, tap % c->kw, row);
    }
    const int64_t channel = p % per_tap * BLOCK;
    pack_x(row, k->steps, channel, panel);
    for (int64_t o = 0; o < c->co; o += BLOCK) {
      multiply(k->dy_tiles + o * TILE, c->co * TILE, panel, k->steps, k->dw + o * dw_row + tap * c->ci + channel,
               dw_row, k->first_chunk);
    }
  }
  am_amx_end(&before);
}

am_err am_cpu_amx_grad_weight(am_cpu *cpu, const am_cpu_conv *c, const am_bf16 *x, const am_bf16 *dy, float *dw) {
  const int64_t places = c->n * c->ho * c->wo, panels = c->kh * c->kw * c->ci / BLOCK;
  const int64_t most = c->co > 1024 ? CHUNK / 2 : CHUNK;  // dy's part of a chunk stays in the second-level cache
  const int64_t zeros = am_max_i64(c->ci, c->co);
  chunk_args k = {.c = c, .x = x, .dy = dy, .dw = dw};
  place at = {0, 0, 0};
  am_bf16 *zero = NULL;
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_TILES, CHUNK * c->co, sizeof(am_bf16), &k.dy_tiles));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_PLACES, CHUNK, sizeof(int32_t) + 2 * sizeof(uint16_t), &k.corner));
  AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_AMX_ZERO, zeros, sizeof *zero, &zero));
  memset(zero, 0, (size_t)zeros * sizeof *zero);
  k.inside_h = (uint16_t *)(k.corner + CHUNK);
  k.inside_w = k.inside_h + CHUNK;
  k.zero = zero;
  for (int64_t first = 0; first < places; first += most) {
    k.first_chunk = first == 0;
    k.count = am_min_i64(most, places - first);
    k.steps = am_ceil_div(k.count, STEP);
    k.dy_row = dy + first * c->co;
    note_places(&k, &at);
    am_cpu_for(cpu, k.steps, am_cpu_grain(STEP * c->co), pack_dy, &k);
    am_cpu_for(cpu, panels, 1, panel_range, &k);
  }
  return AM_OK;
}

#else

bool am_cpu_amx_request(void) { return false; }
am_err am_cpu_amx_grad_weight(am_cpu *cpu, const am_cpu_conv *c, const am_bf16 *x, const am_bf16 *dy, float *dw) {
  return AM_FAIL(AM_ERR_INTERNAL, "AMX on another processor");
}

#endif
