// Between layouts: plain (n, c, spatial), channels last (n, spatial, c), C16 (n, c/16, spatial, 16).
#include <string.h>

#include "backend/cpu/cpu_internal.h"

typedef struct {
  am_cpu_image im;
  const float *src;
  float *dst;
} block_args;

// 16 channels by 16 places at a time: both sides are read and written in whole cache lines.
AM_CPU_KERNEL static void block_tile(float *restrict dst, const float *restrict src, int64_t spatial, int64_t places) {
  for (int64_t s = 0; s < places; s++) {
    for (int64_t j = 0; j < AM_CPU_LANES; j++) dst[s * AM_CPU_LANES + j] = src[j * spatial + s];
  }
}
AM_CPU_KERNEL static void unblock_tile(float *restrict dst, const float *restrict src, int64_t spatial,
                                       int64_t places) {
  for (int64_t j = 0; j < AM_CPU_LANES; j++) {
    for (int64_t s = 0; s < places; s++) dst[j * spatial + s] = src[s * AM_CPU_LANES + j];
  }
}

static void block_range(const void *arg, int64_t begin, int64_t end) {
  const block_args *k = arg;
  const int64_t spatial = k->im.spatial;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * AM_CPU_LANES * spatial;
    for (int64_t s = 0; s < spatial; s += AM_CPU_LANES) {
      block_tile(k->dst + first + s * AM_CPU_LANES, k->src + first + s, spatial,
                 am_min_i64(AM_CPU_LANES, spatial - s));
    }
  }
}
static void unblock_range(const void *arg, int64_t begin, int64_t end) {
  const block_args *k = arg;
  const int64_t spatial = k->im.spatial;
  for (int64_t b = begin; b < end; b++) {
    const int64_t first = b * AM_CPU_LANES * spatial;
    for (int64_t s = 0; s < spatial; s += AM_CPU_LANES) {
      unblock_tile(k->dst + first + s, k->src + first + s * AM_CPU_LANES, spatial,
                   am_min_i64(AM_CPU_LANES, spatial - s));
    }
  }
}

void am_cpu_block_c16(const am_cpu *cpu, am_cpu_image im, const float *plain, float *blocked) {
  const block_args args = {im, plain, blocked};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), block_range, &args);
}
void am_cpu_unblock_c16(const am_cpu *cpu, am_cpu_image im, const float *blocked, float *plain) {
  const block_args args = {im, blocked, plain};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), unblock_range, &args);
}

// Channels last is not a layout this backend computes in; it only has to come and go.
static void transpose_images(am_cpu_image im, const float *src, float *dst, bool to_channels_last) {
  for (int64_t i = 0; i < im.n; i++) {
    for (int64_t s = 0; s < im.spatial; s++) {
      for (int64_t c = 0; c < im.c; c++) {
        const int64_t plain = (i * im.c + c) * im.spatial + s, last = (i * im.spatial + s) * im.c + c;
        if (to_channels_last) dst[last] = src[plain];
        else dst[plain] = src[last];
      }
    }
  }
}

static void to_plain(const am_cpu *cpu, am_cpu_image im, am_layout from, const float *src, float *dst) {
  if (from == AM_LAYOUT_C16) am_cpu_unblock_c16(cpu, im, src, dst);
  else transpose_images(im, src, dst, false);
}
static void from_plain(const am_cpu *cpu, am_cpu_image im, am_layout to, const float *src, float *dst) {
  if (to == AM_LAYOUT_C16) am_cpu_block_c16(cpu, im, src, dst);
  else transpose_images(im, src, dst, true);
}

// Elements are 4 bytes wide: f32, or the i32 indices of max_pool2d, whose bits move unchanged.
am_err am_cpu_reorder(void *ctx, const am_layout_desc *desc, const am_view *in, am_view *out) {
  am_cpu *cpu = ctx;
  const am_layout from = in[0].layout, to = out[0].layout;
  if (from == to) {
    memcpy(out[0].data, in[0].data, (size_t)am_cpu_count(&in[0]) * am_dtype_size(in[0].dtype));
    return AM_OK;
  }
  AM_CHECK(am_dtype_size(in[0].dtype) == sizeof(float), AM_ERR_UNSUPPORTED, "reorder: type %s on the cpu backend",
           am_dtype_name(in[0].dtype));
  const am_cpu_image im = am_cpu_image_of(&in[0]);
  const float *src = in[0].data;
  if (from != AM_LAYOUT_PLAIN && to != AM_LAYOUT_PLAIN) {
    float *plain = NULL;
    AM_TRY(am_cpu_scratch(cpu, AM_CPU_SCRATCH_A, am_cpu_count(&in[0]), sizeof *plain, &plain));
    to_plain(cpu, im, from, src, plain);
    src = plain;
  }
  if (to == AM_LAYOUT_PLAIN) to_plain(cpu, im, from, src, out[0].data);
  else from_plain(cpu, im, to, src, out[0].data);
  return AM_OK;
}
