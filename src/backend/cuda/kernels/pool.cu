// Max and average pooling. A thread has one place of the result in hand: one channel of it, or with channels last a pack of
// channels that lie together.
#include "backend/cuda/kernels/spot.h"

typedef struct {
  am_cuda_pool p;
  const void *x;
  const int32_t *index;
  void *y;
  int32_t *chosen;
  am_images m;
} pool_args;

// Places beside a pack of channels, n of them.
AM_ON_CARD void load_places(const int32_t *from, am_dtype t, int n, bool wide, int place[AM_PACK_MOST]) {
  for (int l = 0; l < AM_PACK_WIDTH(t); l += 4) {
    am_chunk c = {{0}};
    if (wide) c = am_chunk_load(from + l);
    for (int k = 0; k < 4; k++) place[l + k] = wide ? (int)c.word[k] : l + k < n ? from[l + k] : -1;
  }
}
AM_ON_CARD void store_places(int32_t *to, am_dtype t, int n, bool wide, const int place[AM_PACK_MOST]) {
  for (int l = 0; l < AM_PACK_WIDTH(t); l += 4) {
    am_chunk c;
    for (int k = 0; k < 4; k++) c.word[k] = (uint32_t)place[l + k];
    if (wide) am_chunk_store(to + l, c);
    for (int k = 0; k < 4 && !wide; k++) {
      if (l + k < n) to[l + k] = place[l + k];
    }
  }
}

// The part of a plane under one window. Never empty: a pad is at most half a window.
typedef struct {
  int64_t h0, h1, w0, w1;
} window;
AM_ON_CARD window window_at(const am_cuda_pool *p, int64_t row, int64_t col) {
  const int64_t top = row * p->desc.stride_h - p->desc.pad_h, left = col * p->desc.stride_w - p->desc.pad_w;
  window v;
  v.h0 = top > 0 ? top : 0;
  v.w0 = left > 0 ? left : 0;
  v.h1 = top + p->desc.kernel_h < p->h ? top + p->desc.kernel_h : p->h;
  v.w1 = left + p->desc.kernel_w < p->w ? left + p->desc.kernel_w : p->w;
  return v;
}
AM_ON_CARD float size_of(const am_cuda_pool *p, window v) {
  return (float)(p->desc.include_pad ? p->desc.kernel_h * p->desc.kernel_w : (v.h1 - v.h0) * (v.w1 - v.w0));
}
// The windows that hold a pixel: whose first row is at most its own and whose last is at least that; likewise columns.
AM_ON_CARD window windows_over(const am_cuda_pool *p, int64_t row, int64_t col) {
  const int64_t y = row + p->desc.pad_h, x = col + p->desc.pad_w;
  const int64_t below = y / p->desc.stride_h + 1, right = x / p->desc.stride_w + 1;
  window v;
  v.h0 = y < p->desc.kernel_h ? 0 : (y - p->desc.kernel_h) / p->desc.stride_h + 1;
  v.w0 = x < p->desc.kernel_w ? 0 : (x - p->desc.kernel_w) / p->desc.stride_w + 1;
  v.h1 = below < p->ho ? below : p->ho;
  v.w1 = right < p->wo ? right : p->wo;
  return v;
}

AM_ON_CARD am_pack pack_of(am_dtype t, float value) {
  am_pack p = {{0}};
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) p.v[l] = value;
  return p;
}

AM_ON_CARD void max_pool_kernel(const pool_args *a, am_dtype t) {
  const am_cuda_pool *p = &a->p;
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, p->ho * p->wo)) {
    const am_spot s = am_spot_of(&a->m, t, i, p->ho, p->wo);
    const window v = window_at(p, s.row, s.column);
    const int64_t plane = am_spot_plane(&a->m, s, p->h * p->w);
    const int64_t to = am_spot_plane(&a->m, s, p->ho * p->wo) + (s.row * p->wo + s.column) * step;
    const int first = (int)(v.h0 * p->w + v.w0);
    am_pack max = am_pack_load(a->x, t, plane + first * step, s.channels, a->m.wide);
    int best[AM_PACK_MOST];
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) best[l] = first;
    for (int64_t row = v.h0; row < v.h1; row++) {
      for (int64_t col = v.w0; col < v.w1; col++) {
        const int place = (int)(row * p->w + col);
        const am_pack value = am_pack_load(a->x, t, plane + place * step, s.channels, a->m.wide);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
          if (!(value.v[l] > max.v[l] || value.v[l] != value.v[l])) continue;
          max.v[l] = value.v[l];
          best[l] = place;
        }
      }
    }
    am_pack_store(a->y, t, to, s.channels, a->m.wide, max);
    if (a->chosen) store_places(a->chosen + to, t, s.channels, a->m.wide, best);
  }
}
AM_TYPED_KERNEL(max_pool_kernel, pool_args)

AM_ON_CARD void gather_kernel(const pool_args *a, am_dtype t) {
  const am_cuda_pool *p = &a->p;
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, p->n * p->c * p->ho * p->wo) {
    const am_spot s = am_spot_of(&a->m, t, i, p->ho, p->wo);
    const int64_t place = a->index[i];
    const bool inside = place >= 0 && place < p->h * p->w;
    am_put(a->y, t, i, inside ? am_get(a->x, t, am_spot_plane(&a->m, s, p->h * p->w) + place * step) : NAN);
  }
}
AM_TYPED_KERNEL(gather_kernel, pool_args)

AM_ON_CARD void scatter_kernel(const pool_args *a, am_dtype t) {
  const am_cuda_pool *p = &a->p;
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, p->h * p->w)) {
    const am_spot s = am_spot_of(&a->m, t, i, p->h, p->w);
    const window over = windows_over(p, s.row, s.column);
    const int64_t from = am_spot_plane(&a->m, s, p->ho * p->wo);
    const int place = (int)(s.row * p->w + s.column);
    am_pack sum = pack_of(t, 0);
    for (int64_t row = over.h0; row < over.h1; row++) {
      for (int64_t col = over.w0; col < over.w1; col++) {
        const int64_t at = from + (row * p->wo + col) * step;
        const am_pack dy = am_pack_load(a->x, t, at, s.channels, a->m.wide);
        int chosen[AM_PACK_MOST];
        load_places(a->index + at, t, s.channels, a->m.wide, chosen);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) {
          if (l < s.channels && chosen[l] == place) sum.v[l] += dy.v[l];
        }
      }
    }
    am_pack_store(a->y, t, am_spot_plane(&a->m, s, p->h * p->w) + place * step, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(scatter_kernel, pool_args)

AM_ON_CARD void avg_pool_kernel(const pool_args *a, am_dtype t) {
  const am_cuda_pool *p = &a->p;
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, p->ho * p->wo)) {
    const am_spot s = am_spot_of(&a->m, t, i, p->ho, p->wo);
    const window v = window_at(p, s.row, s.column);
    const int64_t plane = am_spot_plane(&a->m, s, p->h * p->w);
    am_pack sum = pack_of(t, 0);
    for (int64_t row = v.h0; row < v.h1; row++) {
      for (int64_t col = v.w0; col < v.w1; col++) {
        const am_pack x = am_pack_load(a->x, t, plane + (row * p->w + col) * step, s.channels, a->m.wide);
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum.v[l] += x.v[l];
      }
    }
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum.v[l] /= size_of(p, v);
    const int64_t to = am_spot_plane(&a->m, s, p->ho * p->wo) + (s.row * p->wo + s.column) * step;
    am_pack_store(a->y, t, to, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(avg_pool_kernel, pool_args)

AM_ON_CARD void avg_pool_grad_kernel(const pool_args *a, am_dtype t) {
  const am_cuda_pool *p = &a->p;
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, p->h * p->w)) {
    const am_spot s = am_spot_of(&a->m, t, i, p->h, p->w);
    const window over = windows_over(p, s.row, s.column);
    const int64_t from = am_spot_plane(&a->m, s, p->ho * p->wo);
    am_pack sum = pack_of(t, 0);
    for (int64_t row = over.h0; row < over.h1; row++) {
      for (int64_t col = over.w0; col < over.w1; col++) {
        const am_pack dy = am_pack_load(a->x, t, from + (row * p->wo + col) * step, s.channels, a->m.wide);
        const float size = size_of(p, window_at(p, row, col));
        for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum.v[l] += dy.v[l] / size;
      }
    }
    const int64_t to = am_spot_plane(&a->m, s, p->h * p->w) + (s.row * p->w + s.column) * step;
    am_pack_store(a->y, t, to, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(avg_pool_grad_kernel, pool_args)

// ---- launches ----

static pool_args args_of(am_cuda_pool p, const void *x, const int32_t *index, void *y, int32_t *chosen) {
  am_images m = am_images_of(p.channels_last, p.type, p.n, p.c, x, y);
  m.wide = m.wide && am_cuda_aligned(index) && am_cuda_aligned(chosen);
  const pool_args a = {p, x, index, y, chosen, m};
  return a;
}

cudaError_t am_cuda_launch_max_pool(cudaStream_t stream, am_cuda_pool p, const void *x, void *y, int32_t *chosen) {
  const pool_args a = args_of(p, x, NULL, y, chosen);
  return AM_TYPED_LAUNCH(max_pool_kernel, p.type, stream, am_spots(&a.m, p.type, p.ho * p.wo), a);
}

cudaError_t am_cuda_launch_pool_gather(cudaStream_t stream, am_cuda_pool p, const void *x, const int32_t *index, void *y) {
  pool_args a = args_of(p, x, index, y, NULL);
  a.m.wide = false;  // places differ from channel to channel
  return AM_TYPED_LAUNCH(gather_kernel, p.type, stream, am_spots(&a.m, p.type, p.ho * p.wo), a);
}

cudaError_t am_cuda_launch_pool_scatter(cudaStream_t stream, am_cuda_pool p, const void *dy, const int32_t *index, void *dx) {
  const pool_args a = args_of(p, dy, index, dx, NULL);
  return AM_TYPED_LAUNCH(scatter_kernel, p.type, stream, am_spots(&a.m, p.type, p.h * p.w), a);
}

cudaError_t am_cuda_launch_avg_pool(cudaStream_t stream, am_cuda_pool p, const void *x, void *y) {
  const pool_args a = args_of(p, x, NULL, y, NULL);
  return AM_TYPED_LAUNCH(avg_pool_kernel, p.type, stream, am_spots(&a.m, p.type, p.ho * p.wo), a);
}

cudaError_t am_cuda_launch_avg_pool_grad(cudaStream_t stream, am_cuda_pool p, const void *dy, void *dx) {
  const pool_args a = args_of(p, dy, NULL, dx, NULL);
  return AM_TYPED_LAUNCH(avg_pool_grad_kernel, p.type, stream, am_spots(&a.m, p.type, p.h * p.w), a);
}
