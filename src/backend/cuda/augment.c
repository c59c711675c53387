// Online transforms on the card: room for images on their way.
#include "backend/cuda/cuda_internal.h"

am_err am_cuda_augment(void *ctx, const am_augment_program *p, const uint8_t *bytes, const float *params, int64_t count,
                       float *out) {
  am_cuda *g = ctx;
  float *room = NULL;
  AM_TRY(am_temps_take(am_cuda_temps(g), am_cuda_augment_room(p, count), &room));
  const cudaError_t status = am_cuda_launch_augment(am_cuda_stream(g), p, bytes, params, count, room, out);
  am_temps_end(am_cuda_temps(g));
  AM_TRY_CUDA(status);
  return AM_OK;
}
