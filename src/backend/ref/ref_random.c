#include "backend/ref/ref.h"
#include "base/rng.h"

am_err am_ref_random(void *ctx, const am_random_desc *desc, const am_view *in, am_view *out) {
  int64_t rows = out->shape.ndim > 0 ? out->shape.dim[0] : 1;
  int64_t width = am_shape_count(out->shape) / rows;
  for (int64_t r = 0; r < rows; r++) {
    am_rng rng = am_rng_at(desc->seed, (am_rng_purpose)desc->purpose, desc->index + (uint64_t)r);
    for (int64_t e = 0; e < width; e++) {
      double draw = desc->kind == AM_RAND_UNIFORM ? am_rng_uniform(&rng) : am_rng_normal(&rng);
      am_ref_put(out, r * width + e, draw);
    }
  }
  return AM_OK;
}
