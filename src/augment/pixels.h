// The arithmetic of the transforms for given parameters, as torchvision.transforms.functional does
// it on float tensors. All work in place on `image` unless they name a scratch image, which needs
// room for the result; its content is lost.
#ifndef AM_AUGMENT_PIXELS_H
#define AM_AUGMENT_PIXELS_H

#include "augment/augment.h"

// ---- photometric.c: results clamped to [0, 1]; one-channel images keep their saturation and hue ----
void am_adjust_brightness(am_planar *image, float factor);  // factor * x
void am_adjust_contrast(am_planar *image, float factor);    // blended with the mean of the grey image
void am_adjust_saturation(am_planar *image, float factor);  // blended with the grey image
void am_adjust_hue(am_planar *image, float turn);           // turn in [-0.5, 0.5] of the hue circle
// kernel odd, at most AM_BLUR_KERNEL; both sides of the image longer than kernel/2; edges reflected
// without repeating the last pixel.
void am_blur_weights(int64_t kernel, double sigma, float *weight);
void am_gaussian_blur(am_planar *image, am_planar *scratch, int64_t kernel, const float *weight);

// ---- geometric.c ----
void am_flip_horizontal(am_planar *image);
void am_flip_vertical(am_planar *image);
// A window that may reach beyond the image: `fill` there.
void am_crop(am_planar *image, am_planar *scratch, const am_rect *window, float fill);
// Counter-clockwise about the centre, same size, `fill` outside. The matrix is that of am_rule_rotated.
void am_rotation_matrix(double degrees, int64_t height, int64_t width, float matrix[4]);
void am_rotate(am_planar *image, am_planar *scratch, const float matrix[4], bool bilinear, float fill);

// ---- apply.c ----
// A step with its parameters, on an image of its size. rng: what AM_STEP_NOISE goes on drawing from. scratch may be NULL for
// steps on normalised images.
void am_apply_step(const am_augment_step *step, const float *param, am_planar *image, am_planar *scratch,
                   am_rng *rng);

#endif
