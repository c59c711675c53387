#include "augment/spread.h"

#include <math.h>

#include "base/clones.h"
#include "base/num.h"

// Division by multiplication with the reciprocal and one step of correction by the remainder, which a fused
// multiply-add gives exactly (Markstein, IBM J. Res. Dev. 34, 1990). That this rounds as a division does is
// not taken on trust: there are 256 values, and each is tried.
AM_INLINE float divide(float x, float by, float reciprocal) {
  float q = x * reciprocal;
  return __builtin_fmaf(__builtin_fmaf(-by, q, x), reciprocal, q);
}
AM_INLINE float normalize(float v, const am_spread *c) {
  return divide(divide(v, 255.0f, 1.0f / 255.0f) - c->mean, c->sd, c->reciprocal);
}

// Where there is no such instruction the table is faster.
static bool has_fma(void) {
#if defined(__x86_64__)
  return __builtin_cpu_supports("fma");
#else
  return true;
#endif
}

am_spread am_spread_for(float mean, float sd) {
  am_spread s = {.mean = mean, .sd = sd, .reciprocal = 1.0f / sd, .exact = has_fma()};
  for (int v = 0; v < 256; v++) {
    s.table[v] = ((float)v / 255.0f - mean) / sd;
    s.exact = s.exact && normalize((float)v, &s) == s.table[v];
  }
  return s;
}

enum { BLOCK = 64 };

// count pixels, at most BLOCK: first apart by channel, then each channel in one run.
AM_INLINE void spread_block(const uint8_t *restrict in, int64_t channels, int64_t count, int64_t plane,
                            const am_spread *channel, float *restrict out) {
  for (int64_t c = 0; c < channels; c++) {
    uint8_t value[BLOCK];
    float *restrict to = out + c * plane;
    for (int64_t k = 0; k < count; k++) value[k] = in[k * channels + c];
    for (int64_t k = 0; k < count; k++) to[k] = normalize((float)value[k], &channel[c]);
  }
}

// A run of pixels in whole blocks, with the number of channels known to the compiler.
AM_CLONES static void spread_run(const uint8_t *in, int64_t channels, int64_t count, int64_t plane,
                                 const am_spread *channel, float *out) {
  int64_t whole = count - count % BLOCK;
  for (int64_t k = 0; k < whole; k += BLOCK) {
    if (channels == 3) {
      spread_block(in + k * 3, 3, BLOCK, plane, channel, out + k);
    } else {
      spread_block(in + k, 1, BLOCK, plane, channel, out + k);
    }
  }
  spread_block(in + whole * channels, channels, count - whole, plane, channel, out + whole);
}

static void look_up_run(const uint8_t *in, int64_t channels, int64_t count, int64_t plane,
                        const am_spread *channel, float *out) {
  for (int64_t c = 0; c < channels; c++)
    for (int64_t k = 0; k < count; k++) out[c * plane + k] = channel[c].table[in[k * channels + c]];
}

void am_spread_image(const am_image_part *in, const am_spread *channel, float *out) {
  int64_t plane = in->height * in->width, runs = in->height, count = in->width;
  bool exact = true;
  for (int64_t c = 0; c < in->channels; c++) exact = exact && channel[c].exact;
  if (in->stride == in->width * in->channels) {  // lines without gaps are one run
    runs = 1;
    count = plane;
  }
  for (int64_t y = 0; y < runs; y++) {
    const uint8_t *line = in->pixel + y * in->stride;
    if (exact) {
      spread_run(line, in->channels, count, plane, channel, out + y * count);
    } else {
      look_up_run(line, in->channels, count, plane, channel, out + y * count);
    }
  }
}
