// The table of ops, and what several of them share.
#include <math.h>
#include <string.h>

#include "augment/ops_internal.h"

static const am_schema normalize_schema = {.name = "normalize", .doc = "(x - mean)/sd, as for evaluation"};
static const am_augment_op op_normalize = {
    .name = "normalize", .doc = "Normalize, which happens with or without it", .schema = &normalize_schema};

static const am_augment_op *const ops[] = {
    &am_op_horizontal_flip, &am_op_vertical_flip,  &am_op_random_crop,
    &am_op_center_crop,     &am_op_resize,         &am_op_random_resized_crop,
    &am_op_rotation,        &am_op_color_jitter,   &am_op_gaussian_blur,
    &op_normalize,          &am_op_random_erasing, NULL};

const am_augment_op *const *am_augment_all(void) { return ops; }

const am_augment_op *am_augment_find(const char *name) {
  for (int i = 0; ops[i]; i++) {
    if (strcmp(ops[i]->name, name) == 0) return ops[i];
  }
  return NULL;
}

void am_draw_sides(am_rng *rng, const am_rect_range *range, double area, int64_t *first, int64_t *second) {
  double part = area * am_rng_range(rng, range->scale_min, range->scale_max);
  double ratio = exp(am_rng_range(rng, log(range->ratio_min), log(range->ratio_max)));
  *first = (int64_t)nearbyint(sqrt(part * ratio));
  *second = (int64_t)nearbyint(sqrt(part / ratio));
}

am_err am_check_rect_range(const am_node *where, const am_rect_range *range) {
  if (range->scale_min > range->scale_max)
    return am_node_fail(where, "scale_min is %g, above scale_max %g", range->scale_min, range->scale_max);
  if (range->ratio_min > range->ratio_max)
    return am_node_fail(where, "ratio_min is %g, above ratio_max %g", range->ratio_min, range->ratio_max);
  return AM_OK;
}
