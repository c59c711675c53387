// Integer arithmetic that cannot wrap, and the small helpers that go with sizes.
// Counts and indices are int64_t, size_t holds bytes.
#ifndef AM_BASE_NUM_H
#define AM_BASE_NUM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// *out = a * b (or a + b); false on overflow or a negative factor, *out is then untouched.
static inline bool am_mul_i64(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (a < 0 || b < 0 || __builtin_mul_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}
static inline bool am_add_i64(int64_t a, int64_t b, int64_t *out) {
  int64_t r;
  if (__builtin_add_overflow(a, b, &r)) return false;
  *out = r;
  return true;
}
static inline bool am_mul_size(size_t a, size_t b, size_t *out) {
  return !__builtin_mul_overflow(a, b, out);
}

static inline int64_t am_min_i64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t am_max_i64(int64_t a, int64_t b) { return a > b ? a : b; }
static inline int64_t am_clamp_i64(int64_t x, int64_t lo, int64_t hi) {
  return x < lo ? lo : x > hi ? hi : x;
}
static inline int64_t am_ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
static inline size_t am_align_up(size_t bytes, size_t power_of_two) {
  return (bytes + power_of_two - 1) & ~(power_of_two - 1);
}

#define AM_COUNT_OF(array) ((int64_t)(sizeof(array) / sizeof((array)[0])))

#endif
