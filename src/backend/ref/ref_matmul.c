#include "backend/ref/ref.h"

am_err am_ref_matmul(void *ctx, const am_matmul_desc *desc, const am_view *in, am_view *out) {
  const am_view *a = &in[0], *b = &in[1];
  int row = out->shape.ndim - 2, col = out->shape.ndim - 1;
  int64_t m = out->shape.dim[row], n = out->shape.dim[col];
  int64_t k = a->shape.dim[desc->transpose_a ? row : col];
  int64_t matrices = out->shape.ndim == 3 ? out->shape.dim[0] : 1;
  for (int64_t t = 0; t < matrices; t++) {
    for (int64_t i = 0; i < m; i++) {
      for (int64_t j = 0; j < n; j++) {
        double sum = 0;
        for (int64_t l = 0; l < k; l++) {
          int64_t at_a = desc->transpose_a ? l * m + i : i * k + l;
          int64_t at_b = desc->transpose_b ? j * k + l : l * n + j;
          sum += am_ref_get(a, t * m * k + at_a) * am_ref_get(b, t * k * n + at_b);
        }
        am_ref_put(out, (t * m + i) * n + j, sum);
      }
    }
  }
  return AM_OK;
}

