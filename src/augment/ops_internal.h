// The ops of the table in ops.c, by the file that defines them.
#ifndef AM_AUGMENT_OPS_INTERNAL_H
#define AM_AUGMENT_OPS_INTERNAL_H

#include "augment/augment.h"

extern const am_augment_op am_op_horizontal_flip, am_op_vertical_flip, am_op_random_crop, am_op_center_crop,
    am_op_resize, am_op_random_resized_crop, am_op_rotation;                               // ops_geometry.c
extern const am_augment_op am_op_color_jitter, am_op_gaussian_blur, am_op_random_erasing;  // ops_colour.c

// How torchvision draws a rectangle: an area uniform in scale times `area`, an aspect ratio whose logarithm is
// uniform. *first / *second is the ratio; both rounded half to even.
typedef struct {
  double scale_min, scale_max, ratio_min, ratio_max;
} am_rect_range;
void am_draw_sides(am_rng *rng, const am_rect_range *range, double area, int64_t *first, int64_t *second);
enum { AM_RECT_ATTEMPTS = 10 };
// Refuses ranges that end before they begin.
AM_MUST_USE am_err am_check_rect_range(const am_node *where, const am_rect_range *range);

#endif
