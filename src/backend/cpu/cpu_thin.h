// Products of a large matrix w (rows, depth), row-major, with a thin one of a few columns: what the
// convolutions of one or two small images come to. Their time goes into reading w from memory, or into
// writing it, which is done once here, ahead of its use; a general product packs it first.
#ifndef AM_BACKEND_CPU_THIN_H
#define AM_BACKEND_CPU_THIN_H

#include "backend/cpu/cpu_internal.h"

// Whether the products are done here: with AVX-512, 16 columns, for the first also 32, and a w that no
// cache near the core holds. Measured on Sapphire Rapids, w not in cache, ms for (512, 4096) x 16: 0.6 and
// 0.9 against 1.4 and 1.7 by oneDNN's sgemm; x 32: 0.9 and 1.9 against 1.2 and 1.9.
bool am_cpu_thin_forward_fits(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count);
bool am_cpu_thin_backward_fits(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count);

// y (rows, count) = w col, col (depth, count) without gaps; the rows of y are y_stride apart.
void am_cpu_thin_forward(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count, const float *w,
                         const float *col, float *y, int64_t y_stride);
// col_rows (count, depth) = y^T w, y (rows, count) with its rows y_stride apart.
void am_cpu_thin_backward(const am_cpu *cpu, int64_t rows, int64_t depth, int64_t count, const float *w,
                          const float *y, int64_t y_stride, float *col_rows);

#endif
