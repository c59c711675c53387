// Values into memory: casts, fills, random numbers.
#include "backend/cuda/kernels/launch.h"

#define AM_ELEMENT_FN AM_ON_CARD
#define AM_PHILOX_FN AM_ON_CARD
#include "base/philox.h"
#include "tensor/element_rules.h"

// Between integers nothing passes through double, which would round a large i64.
AM_KERNEL cast_integers(const void *x, am_dtype from, void *y, am_dtype to, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put_integer(y, to, i, am_rule_get_integer(x, from, i));
}
AM_KERNEL cast_reals(const void *x, am_dtype from, void *y, am_dtype to, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put(y, to, i, am_rule_get(x, from, i));
}
AM_KERNEL fill_kernel(double value, void *y, am_dtype type, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put(y, type, i, value);
}

// Element e of a row is draw e of the row's stream: half a block of Philox for a number of [0, 1), and both halves for two
// of N(0, 1).
AM_KERNEL random_kernel(am_random_desc d, int64_t width, float *y, int64_t count) {
  AM_CUDA_FOR(i, count) {
    const uint64_t row = d.index + (uint64_t)(i / width), e = (uint64_t)(i % width);
    const uint32_t key[2] = {(uint32_t)d.seed, (uint32_t)(d.seed >> 32)};
    const uint32_t counter[4] = {(uint32_t)(e / 2), (uint32_t)d.purpose, (uint32_t)row, (uint32_t)(row >> 32)};
    uint32_t word[4];
    double pair[2];
    am_philox_block(key, counter, word);
    const double first = am_philox_uniform(word[0] | (uint64_t)word[1] << 32);
    const double second = am_philox_uniform(word[2] | (uint64_t)word[3] << 32);
    am_philox_normals(first, second, pair);
    if (d.kind == AM_RAND_NORMAL) y[i] = (float)pair[e % 2];
    else y[i] = (float)(e % 2 ? second : first);
  }
}

cudaError_t am_cuda_launch_cast(cudaStream_t stream, const void *x, am_dtype from, void *y, am_dtype to, bool integers,
                                int64_t count) {
  return integers ? AM_CUDA_LAUNCH(cast_integers, stream, count, x, from, y, to, count)
                  : AM_CUDA_LAUNCH(cast_reals, stream, count, x, from, y, to, count);
}

cudaError_t am_cuda_launch_fill(cudaStream_t stream, double value, void *y, am_dtype type, int64_t count) {
  return AM_CUDA_LAUNCH(fill_kernel, stream, count, value, y, type, count);
}

cudaError_t am_cuda_launch_random(cudaStream_t stream, am_random_desc d, int64_t width, float *y, int64_t count) {
  return AM_CUDA_LAUNCH(random_kernel, stream, count, d, width, y, count);
}
