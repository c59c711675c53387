#include "base/rng.h"

#include <math.h>

void am_philox(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
  uint32_t k0 = key[0], k1 = key[1];
  uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
  for (int round = 0; round < 10; round++) {
    uint64_t p0 = (uint64_t)0xD2511F53u * c0;
    uint64_t p1 = (uint64_t)0xCD9E8D57u * c2;
    uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
    uint32_t n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
    c1 = (uint32_t)p1;
    c3 = (uint32_t)p0;
    c0 = n0;
    c2 = n2;
    k0 += 0x9E3779B9u;  // Weyl constants of the paper
    k1 += 0xBB67AE85u;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
}

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

double am_rng_uniform(am_rng *rng) { return (double)(am_rng_u64(rng) >> 11) * 0x1p-53; }

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
  double u = 1.0 - am_rng_uniform(rng);  // (0, 1]
  double angle = 6.283185307179586 * am_rng_uniform(rng);
  double radius = sqrt(-2.0 * log(u));
  rng->spare_normal = radius * sin(angle);
  rng->has_spare = 1;
  return radius * cos(angle);
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
