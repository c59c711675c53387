// Online transforms of a batch as a device does them: a program, the same for every image, and each image's parameters.
//
// Workers of the loader do what is cheap and what is random: they move bytes, and draw parameters from their streams
// (augment/augment.h). The device turns bytes into floats in [0, 1], runs the steps that compute with floats,
// normalises, and runs the steps on normalised images. Everything transcendental (the weights of a blur, the sine of
// an angle) is a parameter, so what is left are sums, products, divisions and comparisons in one order, and a device gives the
// bits of the host. The arithmetic of one pixel: tensor/augment_rules.h.
#ifndef AM_TENSOR_AUGMENT_H
#define AM_TENSOR_AUGMENT_H

#include "tensor/tensor.h"

enum { AM_AUGMENT_CHANNELS = 3 };  // images have 1 or 3
enum { AM_AUGMENT_STEPS = 16, AM_BLUR_KERNEL = 63, AM_AUGMENT_PARAMS = 64 /* of one step, at most */ };

// What a step computes, and its parameters.
typedef enum {
  AM_STEP_JITTER,  // 4 times {am_jitter_kind, factor}: in this order
  AM_STEP_BLUR,    // the `kernel` weights; edges are reflected without repeating the last pixel
  AM_STEP_ROTATE,  // 4: the matrix of am_rule_rotated; `fill` outside
  AM_STEP_FLIP_HORIZONTAL,
  AM_STEP_FLIP_VERTICAL,  // 1: 0 leaves the image as it is
  AM_STEP_CROP,           // 2: top and left of the result, which may reach beyond the image; `fill` there
  AM_STEP_ERASE,          // 4: top, left, height (0: none) and width of what becomes `fill`
  AM_STEP_NOISE           // likewise, but it becomes noise, drawn pixel by pixel: on the host only
} am_step_kind;
typedef enum {
  AM_JITTER_NONE,
  AM_JITTER_BRIGHTNESS,
  AM_JITTER_CONTRAST,
  AM_JITTER_SATURATION,
  AM_JITTER_HUE
} am_jitter_kind;

typedef struct {
  am_step_kind kind;
  int64_t in_height, in_width;  // of the image that it gets
  int64_t height, width;        // of its result
  int64_t params, first;        // how many it has, and where they begin among those of an image
  int64_t kernel;               // blur: odd, less than twice as long as each side
  bool bilinear;                // rotate; else the nearest pixel
  float fill;
} am_augment_step;

typedef struct am_augment_program {
  int64_t channels, in_height, in_width;  // of the bytes: (h, w, c)
  int64_t height, width;                  // of the result: (c, h, w)
  int64_t room;                           // floats of the largest image on the way
  int64_t params;                         // of an image
  int64_t steps, float_steps;             // all, and those before the normalisation
  am_augment_step step[AM_AUGMENT_STEPS];
  float mean[AM_AUGMENT_CHANNELS], sd[AM_AUGMENT_CHANNELS];  // (x - mean)/sd
} am_augment_program;

// Whether dev runs programs: where its memory is not the host's, and its backend can.
bool am_device_augments(const am_device *dev);
// bytes u8 (count, in_height, in_width, channels) and params (count, p->params; may be NULL where there are none) of the host
// to out, which is f32 (count, channels, height, width). Errors: AM_ERR_ARG another tensor; AM_ERR_UNSUPPORTED a device that runs
// no programs; AM_ERR_NOMEM; the device's.
AM_MUST_USE am_err am_device_augment(const am_augment_program *p, const uint8_t *bytes, const float *params, am_tensor *out);

#endif
