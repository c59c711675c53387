// Loop nests: how several arrays are walked together in the order of the first.
//
// A nest has dimensions from outer to inner and, for each, one stride (in elements) per operand.
// Operand 0 is the output. Dimensions of length 1 are dropped and neighbours that every operand
// walks without a gap are merged, so that the common cases come out as one long row.
#ifndef AM_BACKEND_CPU_NEST_H
#define AM_BACKEND_CPU_NEST_H

#include "backend/cpu/cpu_internal.h"

enum { AM_CPU_NEST_OPERANDS = 3, AM_CPU_NEST_DIMS = AM_MAX_DIM + 1 };
typedef struct {
  int ndim;  // at least 1
  int64_t dim[AM_CPU_NEST_DIMS];
  int64_t stride[AM_CPU_NEST_DIMS][AM_CPU_NEST_OPERANDS];
} am_cpu_nest;

// Adds a dimension inside those there are, merging as far as possible.
void am_cpu_nest_push(am_cpu_nest *nest, int64_t dim, const int64_t stride[AM_CPU_NEST_OPERANDS]);
// Makes an empty nest (a single element) one row of length 1.
void am_cpu_nest_finish(am_cpu_nest *nest);

// out and inputs that broadcast to its shape. When out is not plain, an input is either of out's shape
// and layout, or plain with one value per (image and) channel or in all.
am_cpu_nest am_cpu_nest_broadcast(const am_view *out, const am_view *in, int inputs);

// All elements of an array in one layout (operand 0) and of the same array in another (operand 1).
am_cpu_nest am_cpu_nest_reorder(const am_view *out, const am_view *in);

// Rows are runs along the last dimension, numbered from outer to inner. Gives the offsets of row
// `at` and how many rows, up to `end`, follow it with one stride per operand (that of the last but
// one dimension). The nest has at least two dimensions.
int64_t am_cpu_nest_rows(const am_cpu_nest *nest, int64_t at, int64_t end,
                         int64_t offset[AM_CPU_NEST_OPERANDS]);
// Copies operand 1 to operand 0, elements of `size` bytes.
void am_cpu_nest_copy(const am_cpu *cpu, const am_cpu_nest *nest, void *dst, const void *src, size_t size);

#endif
