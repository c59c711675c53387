// Steps on floats, as the host does them: a device does the same in backend/cuda/kernels/augment.cu.
#include "augment/pixels.h"

static void jitter(const float *param, am_planar *image) {
  for (int k = 0; k < 4; k++) {
    float factor = param[2 * k + 1];
    switch ((am_jitter_kind)param[2 * k]) {
      case AM_JITTER_NONE:
        break;
      case AM_JITTER_BRIGHTNESS:
        am_adjust_brightness(image, factor);
        break;
      case AM_JITTER_CONTRAST:
        am_adjust_contrast(image, factor);
        break;
      case AM_JITTER_SATURATION:
        am_adjust_saturation(image, factor);
        break;
      case AM_JITTER_HUE:
        am_adjust_hue(image, factor);
        break;
    }
  }
}

static void crop(const am_augment_step *step, const float *param, am_planar *image, am_planar *scratch) {
  am_rect r = {
      .top = (int64_t)param[0], .left = (int64_t)param[1], .width = step->width, .height = step->height};
  am_crop(image, scratch, &r, step->fill);
}

// noise NULL: `fill`.
static void erase(const am_augment_step *step, const float *param, am_planar *image, am_rng *noise) {
  int64_t top = (int64_t)param[0], left = (int64_t)param[1], height = (int64_t)param[2],
          width = (int64_t)param[3];
  for (int64_t c = 0; c < image->channels; c++) {
    for (int64_t y = top; y < top + height; y++) {
      float *row = image->pixel + (c * image->height + y) * image->width + left;
      for (int64_t x = 0; x < width; x++) row[x] = noise ? (float)am_rng_normal(noise) : step->fill;
    }
  }
}

void am_apply_step(const am_augment_step *step, const float *param, am_planar *image, am_planar *scratch,
                   am_rng *rng) {
  switch (step->kind) {
    case AM_STEP_JITTER:
      jitter(param, image);
      break;
    case AM_STEP_BLUR:
      am_gaussian_blur(image, scratch, step->kernel, param);
      break;
    case AM_STEP_ROTATE:
      am_rotate(image, scratch, param, step->bilinear, step->fill);
      break;
    case AM_STEP_FLIP_HORIZONTAL:
      if (param[0] != 0) am_flip_horizontal(image);
      break;
    case AM_STEP_FLIP_VERTICAL:
      if (param[0] != 0) am_flip_vertical(image);
      break;
    case AM_STEP_CROP:
      crop(step, param, image, scratch);
      break;
    case AM_STEP_ERASE:
      erase(step, param, image, NULL);
      break;
    case AM_STEP_NOISE:
      erase(step, param, image, rng);
      break;
  }
}
