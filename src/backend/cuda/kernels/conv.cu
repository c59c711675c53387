// What convolutions need beside cuDNN: kernels in its order and type, and the end of an affine one.
#include "backend/cuda/kernels/walk.h"

AM_KERNEL pack_kernel(const float *w, am_cuda_walk from, void *y, am_dtype to, int64_t count) {
  AM_CUDA_FOR(i, count) am_rule_put(y, to, i, w[am_cuda_place(&from, i)]);
}

AM_KERNEL finish_kernel(am_cuda_finish f, int64_t count) {
  const float slope = (float)f.act.slope;
  AM_CUDA_FOR(i, count) {
    const int64_t c = i / f.step % f.channels;
    float v = (float)am_rule_get(f.y, f.type, i) * f.scale[c] + f.shift[c];
    if (f.residual) v += (float)am_rule_get(f.residual, f.type, i);
    am_rule_put(f.y, f.type, i, f.act.on && !(v > 0) ? v * slope : v);
  }
}

cudaError_t am_cuda_launch_pack(cudaStream_t stream, const float *w, am_cuda_walk from, void *y, am_dtype to, int64_t count) {
  return AM_CUDA_LAUNCH(pack_kernel, stream, count, w, from, y, to, count);
}

cudaError_t am_cuda_launch_finish(cudaStream_t stream, am_cuda_finish f, int64_t count) {
  return AM_CUDA_LAUNCH(finish_kernel, stream, count, f, count);
}
