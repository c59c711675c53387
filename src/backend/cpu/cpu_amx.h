// Shared by the kernels on AMX tiles: eight registers of 16 rows of 64 bytes, and one instruction that
// multiplies a tile of 16 rows of 32 bf16 numbers by one of 16 rows of 16 pairs of them, and adds up in f32.
#ifndef AM_BACKEND_CPU_AMX_H
#define AM_BACKEND_CPU_AMX_H

#include "backend/cpu/cpu_bf16.h"

enum {
  AM_AMX_ROWS = 16,                               // of a tile
  AM_AMX_DEPTH = 32,                              // numbers that one instruction multiplies along
  AM_AMX_WORDS = AM_AMX_ROWS * AM_AMX_ROWS,       // pairs in a tile
  AM_AMX_BLOCK = 2 * AM_AMX_ROWS,                 // rows and columns of results that are in registers
  AM_AMX_ROW_BYTES = AM_AMX_ROWS * sizeof(uint32_t)
};
typedef uint32_t am_amx_word __attribute__((may_alias));  // two numbers side by side

#if defined(__x86_64__) && defined(__GNUC__)

#define AM_AMX_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,amx-tile,amx-bf16")))

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t row_bytes[16];
  uint8_t rows[16];
} am_amx_config;

// Gives all tiles their full size; *before is what to put back.
AM_AMX_TARGET static inline void am_amx_begin(am_amx_config *before) {
  am_amx_config ours = {.palette = 1};
  for (int i = 0; i < 8; i++) {
    ours.row_bytes[i] = AM_AMX_ROW_BYTES;
    ours.rows[i] = AM_AMX_ROWS;
  }
  _tile_storeconfig(before);
  // Fenced: to gcc 12 the instruction reads the first 8 bytes, and the others need not have been written.
  __asm__ volatile("" : : "r"(&ours) : "memory");
  _tile_loadconfig(&ours);
}
AM_AMX_TARGET static inline void am_amx_end(const am_amx_config *before) {
  __asm__ volatile("" : : "r"(before) : "memory");
  _tile_loadconfig(before);
}

// A block of 32 x 32 sums in tiles 0 to 3; `pitch` bytes between its rows. Zero, from memory, or to it.
AM_AMX_TARGET __attribute__((always_inline)) static inline void am_amx_begin_sums(const float *sums, int64_t pitch,
                                                                                  bool zero) {
  const float *below = (const float *)((const char *)sums + AM_AMX_ROWS * pitch);
  __asm__ volatile("" ::: "memory");  // to the compiler the loads of tiles are no reads of memory
  if (zero) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  } else {
    _tile_loadd(0, sums, pitch);
    _tile_loadd(1, sums + AM_AMX_ROWS, pitch);
    _tile_loadd(2, below, pitch);
    _tile_loadd(3, below + AM_AMX_ROWS, pitch);
  }
}
AM_AMX_TARGET __attribute__((always_inline)) static inline void am_amx_end_sums(float *sums, int64_t pitch) {
  float *below = (float *)((char *)sums + AM_AMX_ROWS * pitch);
  _tile_stored(0, sums, pitch);
  _tile_stored(1, sums + AM_AMX_ROWS, pitch);
  _tile_stored(2, below, pitch);
  _tile_stored(3, below + AM_AMX_ROWS, pitch);
  __asm__ volatile("" ::: "memory");
}

#endif

#endif
