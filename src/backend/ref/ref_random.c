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

am_err am_ref_dropout(void *ctx, const am_dropout_desc *desc, const am_view *in, am_view *out) {
  const bool single = in->dtype == AM_F32;
  const int64_t rows = in->shape.ndim > 0 ? in->shape.dim[0] : 1;
  const int64_t width = am_shape_count(in->shape) / rows;
  const double scale = single ? (float)(1 / (1 - desc->p)) : 1 / (1 - desc->p);
  for (int64_t r = 0; r < rows; r++) {
    am_rng rng = am_rng_at(desc->seed, (am_rng_purpose)desc->purpose, desc->index + (uint64_t)r);
    for (int64_t i = r * width; i < (r + 1) * width; i++) {
      const double draw = am_rng_uniform(&rng);
      const bool kept = (single ? (float)draw : draw) > desc->p;
      am_ref_put(out, i, am_ref_get(in, i) * (kept ? scale : 0));
    }
  }
  return AM_OK;
}
