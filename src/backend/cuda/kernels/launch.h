// For the .cu files: loops over elements and over teams of threads, launches that fit them, and elements of either type.
//
// Kernels are written in what C and CUDA have in common: a C compiler makes plain loops of them, so that
// their arithmetic is tested where there is no card (tests/ops/test_agree.c).
//   AM_CUDA_FOR(i, count)     elements that any number of threads may share; AM_CUDA_STRIDE: from one of a thread to its next
//   AM_UNROLL(times)          before a loop, so many turns of which shall have their loads under way together
//   AM_TEAM_FOR(g, teams)     one block, a team, for each g; in it AM_MEMBER_FOR(t) is what each of its threads does, and
//                             AM_TEAM_WAIT() stands between what members write to AM_TEAM_SHARED memory and what others read
//                             of it. What a member keeps from one AM_MEMBER_FOR to the next is shared memory, too.
// A kernel's body is a function of its arguments and of the type of its elements, from which AM_TYPED_KERNEL makes one kernel
// for f32 and one for bf16. On the card fused multiply-adds are off, as on the host: the same source, the same sums.
#ifndef AM_BACKEND_CUDA_LAUNCH_H
#define AM_BACKEND_CUDA_LAUNCH_H

#include <math.h>
#include <string.h>

#include "backend/cuda/kernels/kernels.h"

typedef struct {
  uint32_t word[4];
} am_chunk;  // 16 bytes

#ifndef __CUDACC__  // a C compiler

#define AM_KERNEL static void
#define AM_ON_CARD static inline
#define AM_ON_BOTH static inline
#define AM_CUDA_FOR(i, count) for (int64_t i = 0; i < (count); i++)
#define AM_CUDA_STRIDE ((int64_t)1)
#define AM_UNROLL(times)
#define AM_CUDA_LAUNCH(kernel, stream, count, ...) \
  ((void)(stream), (count) > 0 ? (kernel(__VA_ARGS__), cudaSuccess) : cudaSuccess)

#define AM_TEAM_FOR(g, teams) for (int64_t g = 0; g < (teams); g++)
#define AM_MEMBER_FOR(t) for (int t = 0; t < AM_CUDA_THREADS; t++)
#define AM_TEAM_SHARED
#define AM_TEAM_WAIT() ((void)0)
#define AM_TEAM_LAUNCH AM_CUDA_LAUNCH

AM_ON_CARD am_chunk am_chunk_load(const void *from) {
  am_chunk c;
  memcpy(&c, from, sizeof c);
  return c;
}
AM_ON_CARD void am_chunk_store(void *to, am_chunk c) { memcpy(to, &c, sizeof c); }

#else

#define AM_KERNEL static __global__ void
#define AM_ON_CARD static __device__ __forceinline__
#define AM_ON_BOTH static __host__ __device__ __forceinline__

// Enough blocks to fill the largest card several times over; each thread then takes several elements.
enum { AM_CUDA_MOST_BLOCKS = 4096 };

#define AM_CUDA_FOR(i, count)                                                   \
  for (int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x; i < (count); \
       i += AM_CUDA_STRIDE)
#define AM_CUDA_STRIDE (gridDim.x * (int64_t)blockDim.x)
#define AM_PRAGMA(text) _Pragma(#text)
#define AM_UNROLL(times) AM_PRAGMA(unroll times)

static inline unsigned am_cuda_blocks(int64_t count) {
  const int64_t most = AM_CUDA_MOST_BLOCKS;
  return (unsigned)(count < most ? count : most);
}

// The launch's own status; nothing is launched for no elements.
#define AM_TEAM_LAUNCH(kernel, stream, teams, ...)                                                                       \
  ((teams) > 0 ? (kernel<<<am_cuda_blocks(teams), AM_CUDA_THREADS, 0, (stream)>>>(__VA_ARGS__), cudaGetLastError())      \
               : cudaSuccess)
#define AM_CUDA_LAUNCH(kernel, stream, count, ...) \
  AM_TEAM_LAUNCH(kernel, stream, ((count) + AM_CUDA_THREADS - 1) / AM_CUDA_THREADS, __VA_ARGS__)

#define AM_TEAM_FOR(g, teams) for (int64_t g = blockIdx.x; g < (teams); g += gridDim.x)
#define AM_MEMBER_FOR(t) for (int t = (int)threadIdx.x; t < AM_CUDA_THREADS; t += AM_CUDA_THREADS)
#define AM_TEAM_SHARED __shared__
#define AM_TEAM_WAIT() __syncthreads()

AM_ON_CARD am_chunk am_chunk_load(const void *from) {
  const uint4 u = *(const uint4 *)from;
  am_chunk c;
  c.word[0] = u.x;
  c.word[1] = u.y;
  c.word[2] = u.z;
  c.word[3] = u.w;
  return c;
}
AM_ON_CARD void am_chunk_store(void *to, am_chunk c) {
  *(uint4 *)to = make_uint4(c.word[0], c.word[1], c.word[2], c.word[3]);
}

#endif

#define AM_ELEMENT_FN AM_ON_BOTH
#include "tensor/element_rules.h"

// name(args, type), a function on the card, as the kernels name_f32 and name_bf16.
#define AM_TYPED_KERNEL(name, args_type)                     \
  AM_KERNEL name##_f32(args_type a) { name(&a, AM_F32); }    \
  AM_KERNEL name##_bf16(args_type a) { name(&a, AM_BF16); }
#define AM_TYPED_LAUNCH(name, type, stream, count, args)                         \
  ((type) == AM_BF16 ? AM_CUDA_LAUNCH(name##_bf16, stream, count, args) \
                     : AM_CUDA_LAUNCH(name##_f32, stream, count, args))
#define AM_TYPED_TEAMS(name, type, stream, teams, args)                         \
  ((type) == AM_BF16 ? AM_TEAM_LAUNCH(name##_bf16, stream, teams, args) \
                     : AM_TEAM_LAUNCH(name##_f32, stream, teams, args))

// ---- elements, in f32 ----

AM_ON_CARD float am_get(const void *x, am_dtype t, int64_t i) {
  return t == AM_BF16 ? am_rule_bf16_value(((const uint16_t *)x)[i]) : ((const float *)x)[i];
}
AM_ON_CARD void am_put(void *y, am_dtype t, int64_t i, float value) {
  if (t == AM_BF16) ((uint16_t *)y)[i] = am_rule_bf16_of_f32(value);
  else ((float *)y)[i] = value;
}

// As many neighbours as lie in 16 bytes: what a thread takes at a time.
enum { AM_PACK_MOST = 8 };
#define AM_PACK_WIDTH(t) ((t) == AM_BF16 ? 8 : 4)
typedef struct {
  float v[AM_PACK_MOST];
} am_pack;

AM_ON_CARD float am_float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}
AM_ON_CARD uint32_t am_bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

// n elements from `first` on, the rest 0. wide: x is aligned to 16 bytes and so is `first`.
AM_ON_CARD am_pack am_pack_load(const void *x, am_dtype t, int64_t first, int n, bool wide) {
  am_pack p = {{0}};
  if (wide && n == AM_PACK_WIDTH(t)) {
    const am_chunk c = am_chunk_load((const char *)x + first * (t == AM_BF16 ? 2 : 4));
    for (int k = 0; k < 4; k++) {
      if (t == AM_BF16) {
        p.v[2 * k] = am_float_of_bits(c.word[k] << 16);
        p.v[2 * k + 1] = am_float_of_bits(c.word[k] & 0xffff0000u);
      } else {
        p.v[k] = am_float_of_bits(c.word[k]);
      }
    }
  } else {
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = l < n ? am_get(x, t, first + l) : 0;
  }
  return p;
}

AM_ON_CARD void am_pack_store(void *y, am_dtype t, int64_t first, int n, bool wide, am_pack p) {
  if (wide && n == AM_PACK_WIDTH(t)) {
    am_chunk c;
    for (int k = 0; k < 4; k++) {
      c.word[k] = t == AM_BF16 ? am_rule_bf16_of_f32(p.v[2 * k]) | (uint32_t)am_rule_bf16_of_f32(p.v[2 * k + 1]) << 16
                               : am_bits_of_float(p.v[k]);
    }
    am_chunk_store((char *)y + first * (t == AM_BF16 ? 2 : 4), c);
  } else {
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
      if (l < n) am_put(y, t, first + l, p.v[l]);
    }
  }
}

// Pack j of `count` elements: where it begins and how many are left for it.
#define AM_PACKS(t, count) (((count) + AM_PACK_WIDTH(t) - 1) / AM_PACK_WIDTH(t))
AM_ON_CARD int am_pack_left(am_dtype t, int64_t j, int64_t count) {
  const int64_t left = count - j * AM_PACK_WIDTH(t);
  return left < AM_PACK_WIDTH(t) ? (int)left : AM_PACK_WIDTH(t);
}

// What belongs to the channels of the elements from `first` on, where a pack begins: one number for the whole pack, or
// neighbours, or found one by one.
AM_ON_CARD am_pack am_channel_pack(const float *of, am_cuda_channels k, am_dtype t, int64_t first) {
  const int64_t c = first / k.step % k.c;
  am_pack p = {{0}};
  if (k.step % AM_PACK_WIDTH(t) == 0) {
    const float one = of[c];
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = one;
  } else if (k.step == 1 && k.c % AM_PACK_WIDTH(t) == 0) {
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = of[c + l];
  } else {
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = of[(first + l) / k.step % k.c];
  }
  return p;
}
// Whether all packs that a thread takes have the same channels, so that it need read what belongs to them but once: threads
// that lie side by side find those numbers in the same banks of the cache, one after the other.
AM_ON_CARD bool am_channels_stay(am_cuda_channels k, am_dtype t) {
  return k.step == 1 && AM_CUDA_STRIDE * AM_PACK_WIDTH(t) % k.c == 0;
}
// Threads for `count` elements of images: several packs each, where that leaves enough of them to fill a card.
static inline int64_t am_channel_threads(am_dtype t, int64_t count) {
  enum { EACH = 4, MANY = 1 << 18 };
  const int64_t packs = AM_PACKS(t, count);
  return packs < MANY ? packs : packs / EACH;
}

// ---- teams ----

// Teams that `outputs` need.
AM_ON_BOTH int64_t am_team_groups(const am_cuda_team *m, int64_t outputs) {
  const int side = AM_CUDA_THREADS / m->lanes;
  return (outputs + side - 1) / side;
}
AM_ON_CARD int am_team_lane(const am_cuda_team *m, int t) { return t / m->lane_stride % m->lanes; }
// Which of the outputs that team g has in hand thread t works for.
AM_ON_CARD int64_t am_team_output(const am_cuda_team *m, int64_t g, int t) {
  const int side = AM_CUDA_THREADS / m->lanes;
  return g * side + t / m->output_stride % side;
}
// value[r][t] of the members of each output, for each of the rows r, in a tree that depends on nothing but their number; the
// sum is its lane 0's.
AM_ON_CARD void am_team_sums(const am_cuda_team *m, int rows, double *value) {
  for (int half = m->lanes / 2; half > 0; half /= 2) {
    AM_TEAM_WAIT();
    AM_MEMBER_FOR(t) {
      if (am_team_lane(m, t) >= half) continue;
      for (int at = t; at < rows * AM_CUDA_THREADS; at += AM_CUDA_THREADS) value[at] += value[at + half * m->lane_stride];
    }
  }
  AM_TEAM_WAIT();
}
AM_ON_CARD void am_team_sum(const am_cuda_team *m, double *value) { am_team_sums(m, 1, value); }

#endif
