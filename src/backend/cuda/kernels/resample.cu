// upfirdn2d, interpolation and its gradient. A thread has one place of the result in hand (spot.h) and adds up what it reads,
// in a fixed order and in f32: deterministic.
#include "backend/cuda/kernels/spot.h"
#include "tensor/resample_rules.h"

// Adds what lies at element `at`, times a weight.
AM_ON_CARD void add_weighted(am_pack *sum, const void *x, am_dtype t, int64_t at, am_spot s, bool wide, float weight) {
  const am_pack p = am_pack_load(x, t, at, s.channels, wide);
  for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum->v[l] += weight * p.v[l];
}

// ---- upsample, filter, downsample ----

typedef struct {
  am_images m;
  am_fir_axis row, col;
  int64_t ho, wo;
  bool flip_filter;
  float gain;
  const void *x;
  const float *filter;
  void *y;
} fir_args;

AM_ON_CARD void upfirdn_kernel(const fir_args *a, am_dtype t) {
  const int64_t step = am_spot_step(&a->m), taps = a->row.taps * a->col.taps;
  AM_CUDA_FOR(i, am_spots(&a->m, t, a->ho * a->wo)) {
    const am_spot s = am_spot_of(&a->m, t, i, a->ho, a->wo);
    const am_fir_span v = am_fir_at(&a->row, s.row), u = am_fir_at(&a->col, s.column);
    const int64_t plane = am_spot_plane(&a->m, s, a->row.in * a->col.in);
    am_pack sum = {{0}};
    for (int64_t j = 0; j < v.count; j++) {
      for (int64_t k = 0; k < u.count; k++) {
        const int64_t tap = (v.tap + j * a->row.up) * a->col.taps + u.tap + k * a->col.up;
        const int64_t place = (v.pixel + j) * a->col.in + u.pixel + k;
        const float weight = a->filter[a->flip_filter ? tap : taps - 1 - tap];
        add_weighted(&sum, a->x, t, plane + place * step, s, a->m.wide, weight);
      }
    }
    for (int l = 0; l < AM_PACK_WIDTH(t); l++) sum.v[l] *= a->gain;
    const int64_t to = am_spot_plane(&a->m, s, a->ho * a->wo) + (s.row * a->wo + s.column) * step;
    am_pack_store(a->y, t, to, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(upfirdn_kernel, fir_args)

// ---- interpolation ----

typedef struct {
  am_images m;
  am_resample_axis row, col;
  const void *x;
  void *y;
} resample_args;

AM_ON_CARD void resample_kernel(const resample_args *a, am_dtype t) {
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, a->row.out * a->col.out)) {
    const am_spot s = am_spot_of(&a->m, t, i, a->row.out, a->col.out);
    const am_resample_place v = am_resample_at(&a->row, s.row), u = am_resample_at(&a->col, s.column);
    const int64_t plane = am_spot_plane(&a->m, s, a->row.in * a->col.in);
    am_pack sum = {{0}};
    for (int64_t j = v.first; j <= v.second; j++) {
      for (int64_t k = u.first; k <= u.second; k++) {
        const float weight = (float)(am_resample_weight(v, j) * am_resample_weight(u, k));
        add_weighted(&sum, a->x, t, plane + (j * a->col.in + k) * step, s, a->m.wide, weight);
      }
    }
    const int64_t to = am_spot_plane(&a->m, s, a->row.out * a->col.out) + (s.row * a->col.out + s.column) * step;
    am_pack_store(a->y, t, to, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(resample_kernel, resample_args)

// A pixel takes from those that read it, which follow each other along both axes.
AM_ON_CARD void resample_grad_kernel(const resample_args *a, am_dtype t) {
  const int64_t step = am_spot_step(&a->m);
  AM_CUDA_FOR(i, am_spots(&a->m, t, a->row.in * a->col.in)) {
    const am_spot s = am_spot_of(&a->m, t, i, a->row.in, a->col.in);
    const int64_t plane = am_spot_plane(&a->m, s, a->row.out * a->col.out), left = am_resample_reader(&a->col, s.column);
    am_pack sum = {{0}};
    for (int64_t j = am_resample_reader(&a->row, s.row); j < a->row.out; j++) {
      const am_resample_place v = am_resample_at(&a->row, j);
      if (v.first > s.row) break;
      for (int64_t k = left; k < a->col.out; k++) {
        const am_resample_place u = am_resample_at(&a->col, k);
        if (u.first > s.column) break;
        const float weight = (float)(am_resample_weight(v, s.row) * am_resample_weight(u, s.column));
        add_weighted(&sum, a->x, t, plane + (j * a->col.out + k) * step, s, a->m.wide, weight);
      }
    }
    const int64_t to = am_spot_plane(&a->m, s, a->row.in * a->col.in) + (s.row * a->col.in + s.column) * step;
    am_pack_store(a->y, t, to, s.channels, a->m.wide, sum);
  }
}
AM_TYPED_KERNEL(resample_grad_kernel, resample_args)

// ---- launches ----

cudaError_t am_cuda_launch_upfirdn(cudaStream_t stream, am_cuda_upfirdn p, const void *x, const float *filter, void *y) {
  const am_upfirdn2d_desc *d = &p.desc;
  const am_fir_axis row = {p.h, p.kh, d->up_h, d->down_h, d->pad_top}, col = {p.w, p.kw, d->up_w, d->down_w, d->pad_left};
  const fir_args a = {am_images_of(p.channels_last, p.type, p.n, p.c, x, y), row, col, p.ho, p.wo, d->flip_filter,
                      (float)d->gain, x, filter, y};
  return AM_TYPED_LAUNCH(upfirdn_kernel, p.type, stream, am_spots(&a.m, p.type, p.ho * p.wo), a);
}

static resample_args resample_args_of(am_cuda_resample p, const void *x, void *y) {
  const resample_args a = {am_images_of(p.channels_last, p.type, p.n, p.c, x, y), am_resample_axis_of(p.kind, p.h, p.ho),
                           am_resample_axis_of(p.kind, p.w, p.wo), x, y};
  return a;
}

cudaError_t am_cuda_launch_resample(cudaStream_t stream, am_cuda_resample p, const void *x, void *y) {
  const resample_args a = resample_args_of(p, x, y);
  return AM_TYPED_LAUNCH(resample_kernel, p.type, stream, am_spots(&a.m, p.type, p.ho * p.wo), a);
}

cudaError_t am_cuda_launch_resample_grad(cudaStream_t stream, am_cuda_resample p, const void *dy, void *dx) {
  const resample_args a = resample_args_of(p, dy, dx);
  return AM_TYPED_LAUNCH(resample_grad_kernel, p.type, stream, am_spots(&a.m, p.type, p.h * p.w), a);
}
