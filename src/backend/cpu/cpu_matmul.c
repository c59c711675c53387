// Matrix products by oneDNN's sgemm, which packs nothing that it need not and, unlike a BLAS of the
// distribution, always has kernels for the instruction set at hand.
#include <string.h>

#include "backend/cpu/cpu_internal.h"

am_err am_cpu_matmul(void *ctx, const am_matmul_desc *desc, const am_view *in, am_view *out) {
  const am_shape a = in[0].shape, b = in[1].shape, c = out[0].shape;
  const int first = c.ndim - 2;  // the matrix axes are the last two
  const int64_t batch = first ? c.dim[0] : 1, m = c.dim[first], n = c.dim[first + 1];
  const int64_t k = desc->transpose_a ? a.dim[first] : a.dim[first + 1];
  if (batch * m * n == 0) return AM_OK;
  if (k == 0) {
    memset(out[0].data, 0, (size_t)(batch * m * n) * sizeof(float));
    return AM_OK;
  }
  am_cpu_use_threads(ctx);
  for (int64_t i = 0; i < batch; i++) {
    AM_TRY_DNNL(dnnl_sgemm(desc->transpose_a ? 'T' : 'N', desc->transpose_b ? 'T' : 'N', m, n, k, 1.0f,
                           (const float *)in[0].data + i * m * k, a.dim[first + 1],
                           (const float *)in[1].data + i * k * n, b.dim[first + 1], 0.0f,
                           (float *)out[0].data + i * m * n, n));
  }
  return AM_OK;
}
