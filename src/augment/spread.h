// 8-bit pixels to normalised planes of floats.
#ifndef AM_AUGMENT_SPREAD_H
#define AM_AUGMENT_SPREAD_H

#include "data/image.h"

// One channel: v -> (v/255 - mean)/sd, rounded after each operation as torchvision's ToTensor and Normalize.
typedef struct {
  float mean, sd;
  float reciprocal;  // of sd
  bool exact;        // the fast way gives the bits of the table for every v
  float table[256];
} am_spread;
am_spread am_spread_for(float mean, float sd);

// (h, w, channels) -> (channels, h, w); channel[channels].
void am_spread_image(const am_image_part *in, const am_spread *channel, float *out);

#endif
