// Clipping by the global norm of the gradients.
#include <math.h>

#include "base/mem.h"
#include "base/num.h"
#include "nn/optim.h"
#include "tensor/backend.h"

enum { CLIP_CHUNK = 1 << 18 };  // elements brought to the host at a time

static double sum_of_squares(const void *host, am_dtype dtype, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    double v = dtype == AM_F64 ? ((const double *)host)[i] : (double)((const float *)host)[i];
    sum += v * v;
  }
  return sum;
}

// One f64 sum from the first element to the last: the same number on every rank and device.
static am_err grad_norm(am_tensor *grads, double *norm) {
  am_err err = AM_OK;
  char *host = NULL;
  am_tensor *part = NULL;
  double sum = 0;
  int64_t total = am_tensor_count(grads);
  AM_TRY(am_mem_alloc(&host, CLIP_CHUNK, am_dtype_size(grads->dtype)));
  for (int64_t at = 0; at < total; at += CLIP_CHUNK) {
    int64_t count = am_min_i64(CLIP_CHUNK, total - at);
    AM_GO(done, am_tensor_view(grads, at, AM_SHAPE(count), &part));
    AM_GO(done, am_tensor_to_host(part, host));
    sum += sum_of_squares(host, grads->dtype, count);
    am_tensor_release(part);
    part = NULL;
  }
  *norm = sqrt(sum);
done:
  am_tensor_release(part);
  free(host);
  return err;
}

am_err am_clip_grad_norm(am_params *ps, double max_norm, double *norm) {
  am_err err = AM_OK;
  am_tensor *grads = am_params_grads(ps), *copy = NULL;
  double before = 0;
  AM_TRY(grad_norm(grads, &before));
  *norm = before;
  if (!(before > max_norm)) return AM_OK;
  am_unary_desc scale = {.kind = AM_UN_AFFINE, .a = max_norm / (before + 1e-6)};
  AM_GO(done, am_dispatch(grads->device, AM_OP_unary, &scale, &grads, &copy));
  AM_GO(done, am_dispatch(grads->device, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &copy, &grads));
done:
  am_tensor_release(copy);
  return err;
}
