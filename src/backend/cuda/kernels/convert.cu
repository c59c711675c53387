// Values into memory: casts, fills, random numbers; and dropout, which draws its own.
#include "backend/cuda/kernels/launch.h"

#define AM_PHILOX_FN AM_ON_CARD
#include "base/philox.h"

// Between integers nothing passes through double, which would round a large i64.
AM_KERNEL cast_integers(const void *x, am_dtype from, void *y, am_dtype to, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put_integer(y, to, i, am_rule_get_integer(x, from, i));
}
AM_KERNEL cast_reals(const void *x, am_dtype from, void *y, am_dtype to, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put(y, to, i, am_rule_get(x, from, i));
}

// Between f32 and bf16: a pack of bf16 is two of f32.
AM_KERNEL widen_kernel(const void *x, void *y, int64_t count, bool wide) {
  AM_CUDA_FOR(j, AM_PACKS(AM_BF16, count)) {
    const int n = am_pack_left(AM_BF16, j, count);
    const int64_t first = j * AM_PACK_WIDTH(AM_BF16);
    const am_pack p = am_pack_load(x, AM_BF16, first, n, wide);
    for (int half = 0; half < 2; half++) {
      am_pack part = {{0}};
      for (int l = 0; l < 4; l++) part.v[l] = p.v[4 * half + l];
      am_pack_store(y, AM_F32, first + 4 * half, n - 4 * half < 4 ? n - 4 * half : 4, wide, part);
    }
  }
}
AM_KERNEL narrow_kernel(const void *x, void *y, int64_t count, bool wide) {
  AM_CUDA_FOR(j, AM_PACKS(AM_BF16, count)) {
    const int n = am_pack_left(AM_BF16, j, count);
    const int64_t first = j * AM_PACK_WIDTH(AM_BF16);
    am_pack p = {{0}};
    for (int half = 0; half < 2; half++) {
      const am_pack part = am_pack_load(x, AM_F32, first + 4 * half, n - 4 * half < 4 ? n - 4 * half : 4, wide);
      for (int l = 0; l < 4; l++) p.v[4 * half + l] = part.v[l];
    }
    am_pack_store(y, AM_BF16, first, n, wide, p);
  }
}

// A value that fills 16 bytes, over and over.
AM_KERNEL fill_chunks(am_chunk pattern, void *y, int64_t bytes) {
  AM_CUDA_FOR(j, (bytes + 15) / 16) {
    if (bytes - 16 * j >= 16) {
      am_chunk_store((char *)y + 16 * j, pattern);
    } else {
      for (int64_t b = 16 * j; b < bytes; b++) ((uint8_t *)y)[b] = (uint8_t)(pattern.word[b % 16 / 4] >> b % 4 * 8);
    }
  }
}
AM_KERNEL fill_elements(double value, void *y, am_dtype type, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put(y, type, i, value);
}

// Block number `block` of a stream: its draws 2 * block and the next one.
typedef struct {
  uint64_t draw[2];
} drawn_pair;
AM_ON_CARD drawn_pair draw_pair(uint64_t seed, int purpose, uint64_t row, int64_t block) {
  const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  const uint32_t counter[4] = {(uint32_t)block, (uint32_t)purpose, (uint32_t)row, (uint32_t)(row >> 32)};
  uint32_t word[4];
  drawn_pair pair;
  am_philox_block(key, counter, word);
  pair.draw[0] = word[0] | (uint64_t)word[1] << 32;
  pair.draw[1] = word[2] | (uint64_t)word[3] << 32;
  return pair;
}

// Element e of a row is draw e of the row's stream: half a block of Philox for a number of [0, 1), and both halves for two
// of N(0, 1). A thread takes a block.
AM_KERNEL random_kernel(am_random_desc d, const uint64_t *moved, int64_t width, int64_t rows, void *y) {
  const int64_t blocks = (width + 1) / 2;
  const uint64_t first = d.index + (moved ? *moved : 0);
  AM_CUDA_FOR(i, rows * blocks) {
    const uint64_t row = first + (uint64_t)(i / blocks);
    const int64_t e = i % blocks * 2, at = i / blocks * width + e;
    const drawn_pair drawn = draw_pair(d.seed, d.purpose, row, e / 2);
    double pair[2] = {am_philox_uniform(drawn.draw[0]), am_philox_uniform(drawn.draw[1])};
    if (d.kind == AM_RAND_NORMAL) am_philox_normals(pair[0], pair[1], pair);
    am_rule_put(y, d.dtype, at, pair[0]);
    if (e + 1 < width) am_rule_put(y, d.dtype, at + 1, pair[1]);
  }
}

// A thread takes a pack of neighbours. Two of them share a block of Philox where they are one in the stream as well; with
// channels last, or across the ends of odd rows, they are not, and each has a block of its own.
typedef struct {
  am_cuda_drop d;
  const void *x;
  void *y;
  int64_t count;
  bool wide, paired;
} dropout_args;
AM_ON_CARD void dropout_kernel(const dropout_args *a, am_dtype t) {
  const int64_t c = a->d.c, step = a->d.step;
  const uint64_t index = a->d.desc.index + (a->d.moved ? *a->d.moved : 0);
  AM_CUDA_FOR(j, AM_PACKS(t, a->count)) {
    const int n = am_pack_left(t, j, a->count);
    const int64_t first = j * AM_PACK_WIDTH(t), place = first / c;
    int64_t row = place / step, at = place % step, channel = first % c;
    am_pack p = am_pack_load(a->x, t, first, n, a->wide);
    drawn_pair drawn = {{0}};
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      const int64_t e = channel * step + at;
      if (l % 2 == 0 || !a->paired) drawn = draw_pair(a->d.desc.seed, a->d.desc.purpose, index + (uint64_t)row, e / 2);
      p.v[l] *= (e % 2 ? drawn.draw[1] : drawn.draw[0]) >> 11 >= a->d.rule.least ? a->d.rule.scale : 0;
      if (++channel < c) continue;
      channel = 0;
      if (++at < step) continue;
      at = 0;
      row++;
    }
    am_pack_store(a->y, t, first, n, a->wide, p);
  }
}
AM_TYPED_KERNEL(dropout_kernel, dropout_args)

cudaError_t am_cuda_launch_cast(cudaStream_t stream, const void *x, am_dtype from, void *y, am_dtype to, bool integers,
                                int64_t count) {
  const bool wide = am_cuda_aligned(x) && am_cuda_aligned(y);
  if (from == AM_F32 && to == AM_BF16) return AM_CUDA_LAUNCH(narrow_kernel, stream, AM_PACKS(to, count), x, y, count, wide);
  if (from == AM_BF16 && to == AM_F32) return AM_CUDA_LAUNCH(widen_kernel, stream, AM_PACKS(from, count), x, y, count, wide);
  return integers ? AM_CUDA_LAUNCH(cast_integers, stream, count, x, from, y, to, count)
                  : AM_CUDA_LAUNCH(cast_reals, stream, count, x, from, y, to, count);
}

cudaError_t am_cuda_launch_fill(cudaStream_t stream, double value, void *y, am_dtype type, int64_t count) {
  if (!am_cuda_aligned(y)) return AM_CUDA_LAUNCH(fill_elements, stream, count, value, y, type, count);
  const int64_t size = type == AM_U8 ? 1 : type == AM_BF16 ? 2 : type == AM_F64 || type == AM_I64 ? 8 : 4;
  double room[2];
  am_chunk pattern;
  for (int64_t i = 0; i < 16 / size; i++) am_rule_put(room, type, i, value);
  memcpy(&pattern, room, sizeof pattern);
  return AM_CUDA_LAUNCH(fill_chunks, stream, (count * size + 15) / 16, pattern, y, count * size);
}

cudaError_t am_cuda_launch_random(cudaStream_t stream, am_random_desc d, const uint64_t *moved, int64_t width, void *y,
                                  int64_t count) {
  return AM_CUDA_LAUNCH(random_kernel, stream, count / width * ((width + 1) / 2), d, moved, width, count / width, y);
}

cudaError_t am_cuda_launch_dropout(cudaStream_t stream, am_cuda_drop d, am_dtype type, const void *x, void *y, int64_t count) {
  const dropout_args a = {d, x, y, count, am_cuda_aligned(x) && am_cuda_aligned(y), d.c == 1 && d.step % 2 == 0};
  return AM_TYPED_LAUNCH(dropout_kernel, type, stream, AM_PACKS(type, count), a);
}
