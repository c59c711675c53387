// How an image of any size becomes one of its data set's size.
#ifndef AM_DATA_FIT_H
#define AM_DATA_FIT_H

#include "data/image.h"

typedef enum {
  AM_FIT_STRETCH,  // both sides to `size`
  AM_FIT_CROP,     // short side to `short_side`, then the middle
  AM_FIT_PAD       // as it is, in the middle of black; a larger image counts as unreadable
} am_fit_kind;

typedef struct {
  int64_t size;        // height and width, px
  int64_t short_side;  // of AM_FIT_CROP before the crop; 0: size
  int64_t channels;    // 3 RGB, 1 grey
  am_resize_kind filter;
  am_fit_kind kind;
} am_image_fit;

// size x size, grey where asked for before it is resized; resizing is Pillow's to the bit.
AM_MUST_USE am_err am_fit_image(const am_image *in, const am_image_fit *fit, am_image *out);

#endif
