// Shared by the kernels of batch normalisation: channels as runs of values, sums over runs.
#ifndef AM_BACKEND_CPU_NORM_H
#define AM_BACKEND_CPU_NORM_H

#include "backend/cpu/cpu_internal.h"

// Sixteen floats anywhere in memory; spelled out, because sums kept in arrays are not taken into
// registers by every compiler.
typedef float am_cpu_lanes __attribute__((vector_size(64), aligned(4), may_alias));
#define AM_CPU_LOAD(x) (*(const am_cpu_lanes *)(x))

enum { AM_CPU_SUM_PIECE = 32 };  // terms that are added up in f32, what they come to in f64

// Two sums. Plain runs fold into 16 lanes by position, C16 runs by channel.
typedef struct { double a[AM_CPU_LANES], b[AM_CPU_LANES]; } am_cpu_lane_sums;

static inline void am_cpu_add_piece(am_cpu_lane_sums *sums, const am_cpu_lanes *a, const am_cpu_lanes *b) {
  for (int j = 0; j < AM_CPU_LANES; j++) {
    sums->a[j] += (*a)[j];
    sums->b[j] += (*b)[j];
  }
}

// Plain memory: the lanes of a run belong to one channel and are added up.
static inline void am_cpu_fold_lanes(am_cpu_lane_sums *sums) {
  for (int width = AM_CPU_LANES / 2; width > 0; width /= 2) {
    for (int j = 0; j < width; j++) {
      sums->a[j] += sums->a[j + width];
      sums->b[j] += sums->b[j + width];
    }
  }
}

// The last values of a run that do not fill the lanes, with those of `rest` behind them.
static inline const float *am_cpu_padded(const float *x, int64_t count, const float rest[AM_CPU_LANES],
                                         float out[AM_CPU_LANES]) {
  for (int64_t j = 0; j < AM_CPU_LANES; j++) out[j] = j < count ? x[j] : rest[j];
  return out;
}

// The values of channel block b in image i lie from here on, spatial * lanes of them.
static inline int64_t am_cpu_run_at(const am_cpu_image *im, int64_t i, int64_t b) {
  return (i * im->blocks + b) * im->spatial * im->lanes;
}

// The grain for blocks of channels: however short, a block costs as much as some hundred elements (sums in double, a root).
enum { AM_CPU_NORM_LEAST = 256 };
static inline int64_t am_cpu_norm_grain(const am_cpu_image *im) {
  return am_cpu_grain(am_max_i64(AM_CPU_NORM_LEAST, im->n * im->spatial * im->lanes));
}

// The constants of the channels of block b, one per lane.
static inline void am_cpu_spread(const am_cpu_image *im, const float *per_channel, int64_t b,
                                 float lane[AM_CPU_LANES]) {
  for (int64_t j = 0; j < AM_CPU_LANES; j++) lane[j] = per_channel[im->lanes == 1 ? b : b * AM_CPU_LANES + j];
}

// leaky_relu; without activation a slope of 1, which changes nothing.
static inline float am_cpu_slope(am_activation act) { return act.on ? (float)act.slope : 1.0f; }
static inline float am_cpu_activate(float v, float slope) { return v > 0 ? v : slope * v; }

#endif
