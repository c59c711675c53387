// Between layouts: plain (n, c, spatial), channels last (n, spatial, c), C16 (n, c/16, spatial, 16).
#include <string.h>

#include "backend/cpu/cpu_nest.h"

// Four bytes of any type: f32, or the i32 indices of max_pool2d.
typedef uint32_t word __attribute__((may_alias));

typedef struct {
  am_cpu_image im;
  const word *src;
  word *dst;
} block_args;

// 16 channels by 16 places at a time: both sides are read and written in whole cache lines.
AM_CPU_KERNEL static void block_tile(word *restrict dst, const word *restrict src, int64_t spatial, int64_t places) {
  for (int64_t s = 0; s < places; s++) {
    for (int64_t j = 0; j < AM_CPU_LANES; j++) dst[s * AM_CPU_LANES + j] = src[j * spatial + s];
  }
}
AM_CPU_KERNEL static void unblock_tile(word *restrict dst, const word *restrict src, int64_t spatial,
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

void am_cpu_block_c16(const am_cpu *cpu, am_cpu_image im, const void *plain, void *blocked) {
  const block_args args = {im, plain, blocked};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), block_range, &args);
}
void am_cpu_unblock_c16(const am_cpu *cpu, am_cpu_image im, const void *blocked, void *plain) {
  const block_args args = {im, blocked, plain};
  am_cpu_for(cpu, im.n * im.c / AM_CPU_LANES, am_cpu_grain(AM_CPU_LANES * im.spatial), unblock_range, &args);
}

am_err am_cpu_reorder(void *ctx, const am_layout_desc *desc, const am_view *in, am_view *out) {
  const am_layout from = in[0].layout, to = out[0].layout;
  const size_t size = am_dtype_size(in[0].dtype);
  if (from == to) {
    memcpy(out[0].data, in[0].data, (size_t)am_cpu_count(&in[0]) * size);
  } else if (size == sizeof(word) && from == AM_LAYOUT_PLAIN && to == AM_LAYOUT_C16) {
    am_cpu_block_c16(ctx, am_cpu_image_of(&in[0]), in[0].data, out[0].data);
  } else if (size == sizeof(word) && from == AM_LAYOUT_C16 && to == AM_LAYOUT_PLAIN) {
    am_cpu_unblock_c16(ctx, am_cpu_image_of(&in[0]), in[0].data, out[0].data);
  } else {
    const am_cpu_nest nest = am_cpu_nest_reorder(&out[0], &in[0]);
    am_cpu_nest_copy(ctx, &nest, out[0].data, in[0].data, size);
  }
  return AM_OK;
}
