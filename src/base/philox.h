// Philox4x32-10 (Salmon et al., SC 2011) and what becomes of its words, for the processor (base/rng.c) and for cards: there
// AM_PHILOX_FN says how a function is declared.
#ifndef AM_BASE_PHILOX_H
#define AM_BASE_PHILOX_H

#include <math.h>
#include <stdint.h>

#ifndef AM_PHILOX_FN
#define AM_PHILOX_FN static inline
#endif

AM_PHILOX_FN void am_philox_block(const uint32_t key[2], const uint32_t counter[4], uint32_t out[4]) {
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

// [0, 1), 53 random bits.
AM_PHILOX_FN double am_philox_uniform(uint64_t word) { return (double)(word >> 11) * 0x1p-53; }

// Two numbers of N(0, 1) from two of [0, 1): Box and Muller.
AM_PHILOX_FN void am_philox_normals(double first, double second, double out[2]) {
  double angle = 6.283185307179586 * second;
  double radius = sqrt(-2.0 * log(1.0 - first));
  out[0] = radius * cos(angle);
  out[1] = radius * sin(angle);
}

#endif
