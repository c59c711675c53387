#include "base/rng.h"

#include "base/philox.h"

void am_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) { am_philox_block(key, counter, out); }

am_rng am_rng_at(uint64_t seed, am_rng_purpose purpose, uint64_t index) {
  return (am_rng){.key = {(uint32_t)seed, (uint32_t)(seed >> 32)},
                  .counter = {0, (uint32_t)purpose, (uint32_t)index, (uint32_t)(index >> 32)},
                  .used = 4};
}

uint32_t am_rng_u32(am_rng *rng) {
  if (rng->used == 4) {
    am_philox(rng->key, rng->counter, rng->block);
    rng->counter[0]++;
    rng->used = 0;
  }
  return rng->block[rng->used++];
}

uint64_t am_rng_u64(am_rng *rng) {
  uint64_t low = am_rng_u32(rng);
  return low | (uint64_t)am_rng_u32(rng) << 32;
}

double am_rng_uniform(am_rng *rng) { return am_philox_uniform(am_rng_u64(rng)); }

double am_rng_range(am_rng *rng, double lo, double hi) {
  return lo + (hi - lo) * am_rng_uniform(rng);
}

int64_t am_rng_below(am_rng *rng, int64_t bound) {
  if (bound <= 1) return 0;
  uint64_t n = (uint64_t)bound;
  uint64_t limit = UINT64_MAX - UINT64_MAX % n;  // reject the uneven tail
  uint64_t x;
  do {
    x = am_rng_u64(rng);
  } while (x >= limit);
  return (int64_t)(x % n);
}

double am_rng_normal(am_rng *rng) {
  if (rng->has_spare) {
    rng->has_spare = 0;
    return rng->spare_normal;
  }
  double pair[2];
  const double first = am_rng_uniform(rng);
  am_philox_normals(first, am_rng_uniform(rng), pair);
  rng->spare_normal = pair[1];
  rng->has_spare = 1;
  return pair[0];
}

void am_rng_permutation(am_rng *rng, int64_t *order, int64_t n) {
  for (int64_t i = 0; i < n; i++) order[i] = i;
  for (int64_t i = n - 1; i > 0; i--) {
    int64_t j = am_rng_below(rng, i + 1);
    int64_t t = order[i];
    order[i] = order[j];
    order[j] = t;
  }
}

uint64_t am_seed_derive(uint64_t seed, const char *word) {
  // FNV-1a over the word picks a counter; Philox mixes it with the seed.
  uint64_t h = 0xcbf29ce484222325u;
  for (const unsigned char *p = (const unsigned char *)word; *p; p++) {
    h = (h ^ *p) * 0x100000001b3u;
  }
  uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
  uint32_t counter[4] = {(uint32_t)h, (uint32_t)(h >> 32), 0x5eed, 0};
  uint32_t out[4];
  am_philox(key, counter, out);
  return (uint64_t)out[1] << 32 | out[0];
}
