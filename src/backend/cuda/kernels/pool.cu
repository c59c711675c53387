// Max and average pooling, one thread for each element of the result.
#include "backend/cuda/kernels/launch.h"

// The part of a plane under one window. Never empty: a pad is at most half a window.
typedef struct {
  int64_t h0, h1, w0, w1;
} window;
AM_ON_CARD window window_at(am_cuda_pool p, int64_t row, int64_t col) {
  const int64_t top = row * p.desc.stride_h - p.desc.pad_h, left = col * p.desc.stride_w - p.desc.pad_w;
  window v;
  v.h0 = top > 0 ? top : 0;
  v.w0 = left > 0 ? left : 0;
  v.h1 = top + p.desc.kernel_h < p.h ? top + p.desc.kernel_h : p.h;
  v.w1 = left + p.desc.kernel_w < p.w ? left + p.desc.kernel_w : p.w;
  return v;
}
AM_ON_CARD float size_of(am_cuda_pool p, window v) {
  return (float)(p.desc.include_pad ? p.desc.kernel_h * p.desc.kernel_w : (v.h1 - v.h0) * (v.w1 - v.w0));
}

AM_KERNEL max_pool_kernel(am_cuda_pool p, const float *x, float *y, int32_t *chosen) {
  AM_CUDA_FOR(i, p.planes * p.ho * p.wo) {
    const window v = window_at(p, i / p.wo % p.ho, i % p.wo);
    const float *plane = x + i / (p.ho * p.wo) * p.h * p.w;
    int64_t best = v.h0 * p.w + v.w0;
    float max = plane[best];
    for (int64_t row = v.h0; row < v.h1; row++) {
      for (int64_t col = v.w0; col < v.w1; col++) {
        const float value = plane[row * p.w + col];
        if (value > max || value != value) {
          max = value;
          best = row * p.w + col;
        }
      }
    }
    y[i] = max;
    if (chosen) chosen[i] = (int32_t)best;
  }
}

AM_KERNEL gather_kernel(am_cuda_pool p, const float *x, const int32_t *index, float *y) {
  AM_CUDA_FOR(i, p.planes * p.ho * p.wo) {
    const int64_t place = index[i];
    y[i] = place >= 0 && place < p.h * p.w ? x[i / (p.ho * p.wo) * p.h * p.w + place] : NAN;
  }
}

// Every element looks through all places of its plane: an index may say anything.
AM_KERNEL scatter_kernel(am_cuda_pool p, const float *dy, const int32_t *index, float *dx) {
  AM_CUDA_FOR(i, p.planes * p.h * p.w) {
    const int64_t first = i / (p.h * p.w) * p.ho * p.wo, place = i % (p.h * p.w);
    float sum = 0;
    for (int64_t o = 0; o < p.ho * p.wo; o++) {
      if (index[first + o] == place) sum += dy[first + o];
    }
    dx[i] = sum;
  }
}

AM_KERNEL avg_pool_kernel(am_cuda_pool p, const float *x, float *y) {
  AM_CUDA_FOR(i, p.planes * p.ho * p.wo) {
    const window v = window_at(p, i / p.wo % p.ho, i % p.wo);
    const float *plane = x + i / (p.ho * p.wo) * p.h * p.w;
    float sum = 0;
    for (int64_t row = v.h0; row < v.h1; row++) {
      for (int64_t col = v.w0; col < v.w1; col++) sum += plane[row * p.w + col];
    }
    y[i] = sum / size_of(p, v);
  }
}

AM_KERNEL avg_pool_grad_kernel(am_cuda_pool p, const float *dy, float *dx) {
  AM_CUDA_FOR(i, p.planes * p.h * p.w) {
    const int64_t y = i / p.w % p.h + p.desc.pad_h, x = i % p.w + p.desc.pad_w;
    const int64_t first = i / (p.h * p.w) * p.ho * p.wo;
    // The windows whose first row is at most y and whose last is at least y.
    const int64_t from_row = y < p.desc.kernel_h ? 0 : (y - p.desc.kernel_h) / p.desc.stride_h + 1;
    const int64_t from_col = x < p.desc.kernel_w ? 0 : (x - p.desc.kernel_w) / p.desc.stride_w + 1;
    float sum = 0;
    for (int64_t row = from_row; row < p.ho && row * p.desc.stride_h <= y; row++) {
      for (int64_t col = from_col; col < p.wo && col * p.desc.stride_w <= x; col++)
        sum += dy[first + row * p.wo + col] / size_of(p, window_at(p, row, col));
    }
    dx[i] = sum;
  }
}

cudaError_t am_cuda_launch_max_pool(cudaStream_t stream, am_cuda_pool p, const float *x, float *y, int32_t *chosen) {
  return AM_CUDA_LAUNCH(max_pool_kernel, stream, p.planes * p.ho * p.wo, p, x, y, chosen);
}

cudaError_t am_cuda_launch_pool_gather(cudaStream_t stream, am_cuda_pool p, const float *x, const int32_t *index, float *y) {
  return AM_CUDA_LAUNCH(gather_kernel, stream, p.planes * p.ho * p.wo, p, x, index, y);
}

cudaError_t am_cuda_launch_pool_scatter(cudaStream_t stream, am_cuda_pool p, const float *dy, const int32_t *index, float *dx) {
  return AM_CUDA_LAUNCH(scatter_kernel, stream, p.planes * p.h * p.w, p, dy, index, dx);
}

cudaError_t am_cuda_launch_avg_pool(cudaStream_t stream, am_cuda_pool p, const float *x, float *y) {
  return AM_CUDA_LAUNCH(avg_pool_kernel, stream, p.planes * p.ho * p.wo, p, x, y);
}

cudaError_t am_cuda_launch_avg_pool_grad(cudaStream_t stream, am_cuda_pool p, const float *dy, float *dx) {
  return AM_CUDA_LAUNCH(avg_pool_grad_kernel, stream, p.planes * p.h * p.w, p, dy, dx);
}
