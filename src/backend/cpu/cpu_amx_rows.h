// Shared by the two halves of the convolutions on AMX tiles: cpu_amx_pack.c makes the right factor of the product,
// cpu_amx_rows.c its left one and the result.
#ifndef AM_BACKEND_CPU_AMX_ROWS_H
#define AM_BACKEND_CPU_AMX_ROWS_H

#include "backend/cpu/cpu_amx.h"

enum {
  AM_AMX_PANEL = 2 * AM_AMX_WORDS,  // words of 32 rows and 32 columns of the right factor
  AM_AMX_MAX_TAPS = 128
};

// A convolution without groups of x (n, h, w, ci) whose results go to every second, ... pixel of an array.
typedef struct {
  am_cpu_conv f;            // pads may be negative
  bool turned;              // of a gradient of images
  int64_t taps, depth;      // depth: numbers under a tap: channels, or what a whole row of taps covers of a few channels
  int64_t tap[AM_AMX_MAX_TAPS];       // where each of them lies in the plain kernel
  int64_t steps;            // of up to DEPTH numbers under a tap
  int64_t out_h, out_w;     // of the array
  int64_t top, left, step_h, step_w;  // where the results go
} am_amx_part;

// *packed: w (plain f32, the whole kernel, of `kernel` taps) as the right factor, 64-byte aligned: for 32 output
// channels, 32 rows after the other, two neighbouring rows paired. Steps run through the taps of 32 channels, then
// through those of the next 32. Valid until the next call, and as long as the context when w has a stamp.
AM_MUST_USE am_err am_cpu_amx_packed_of(am_cpu *cpu, const am_amx_part *part, int64_t kernel, const am_view *w,
                                        const am_amx_word **packed);

#endif
