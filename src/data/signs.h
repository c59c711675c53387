// `signs`: ten classes of road signs drawn by the program, 64 x 64 RGB, deterministic, with exact
// foreground masks: artwork under random perspective, lighting, weather, blur, noise, background.
#ifndef AM_DATA_SIGNS_H
#define AM_DATA_SIGNS_H

#include "data/image.h"

// Raised whenever a pixel of any image changes: it stands for the images in addresses.
enum { AM_SIGNS_REVISION = 1 };
enum { AM_SIGNS_CLASSES = 10, AM_SIGNS_SIZE = 64 };
typedef enum {
  AM_SIGNS_TRAIN,
  AM_SIGNS_VAL,
  AM_SIGNS_TEST,
  AM_SIGNS_SHIFTED,
  AM_SIGNS_SKETCH,
  AM_SIGNS_SPLITS
} am_signs_split;
const char *am_signs_class_name(int k);
const char *am_signs_split_name(am_signs_split split);
// Images of class k in a split: train 8 to 78 (imbalanced), the others balanced.
int64_t am_signs_count(am_signs_split split, int k);
// Image i of class k; mask (may be NULL) is one channel, 255 on the sign.
AM_MUST_USE am_err am_signs_draw(am_signs_split split, int k, int64_t i, am_image *image, am_image *mask);

#endif
