// Random numbers as a pure function: Philox4x32-10 (Salmon et al., SC 2011).
//
// A stream is named by (seed, purpose, index) and numbers are drawn from it in order. No stream
// depends on rank, thread, batch position or arrival order, so neither does any result.
//   key     = seed (64 bit)
//   counter = {draw block, purpose, index low, index high}
#ifndef AM_BASE_RNG_H
#define AM_BASE_RNG_H

#include <stdint.h>

// What a stream is for. Append only: the numbers are part of every stored result.
typedef enum {
  AM_RNG_INIT = 1,       // index = parameter number: initial weights
  AM_RNG_ORDER = 2,      // index = epoch: order of the training set
  AM_RNG_AUGMENT = 3,    // index = epoch * 2^32 + sample: online transforms of one sample
  AM_RNG_LATENT = 4,     // index = sample index in a pool: latent vector of a generated image
  AM_RNG_NOISE = 5,      // index = step * 2^20 + row: latents and noise inside a fit
  AM_RNG_LABEL_NOISE = 6,// index = step * 2^20 + row
  AM_RNG_DROPOUT = 7,    // index = step * 2^20 + row
  AM_RNG_SPLIT = 8,      // index = class: seeded choice of subsets
  AM_RNG_SIGNS = 9,      // index = image: the drawn data set
  AM_RNG_SAMPLER = 10,   // index = epoch: weighted draws
  AM_RNG_BOOTSTRAP = 11, // index = repetition
  AM_RNG_TEST = 12       // unit tests
} am_rng_purpose;

typedef struct {
  uint32_t key[2];
  uint32_t counter[4];
  uint32_t block[4];    // the current four outputs
  int used;             // how many of them are spent
  double spare_normal;  // second value of a Box-Muller pair
  int has_spare;
} am_rng;

// The stream (seed, purpose, index), positioned at its first draw.
am_rng am_rng_at(uint64_t seed, am_rng_purpose purpose, uint64_t index);
// One block of the raw generator: out = philox4x32-10(key, counter).
void am_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]);

uint32_t am_rng_u32(am_rng *rng);
uint64_t am_rng_u64(am_rng *rng);
double am_rng_uniform(am_rng *rng);                          // [0, 1), 53 random bits
double am_rng_range(am_rng *rng, double lo, double hi);      // [lo, hi)
int64_t am_rng_below(am_rng *rng, int64_t bound);            // {0 .. bound-1}, unbiased
double am_rng_normal(am_rng *rng);                           // N(0, 1), Box-Muller
// order[0..n) = a uniform permutation of 0..n-1 (Fisher-Yates).
void am_rng_permutation(am_rng *rng, int64_t *order, int64_t n);

// A new seed from a seed and a word, for parts that are seeded by name ("gan/cow").
uint64_t am_seed_derive(uint64_t seed, const char *word);

#endif
