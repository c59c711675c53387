// An image on its way through a pipeline while it still has 8 bits: where torchvision would hold a PIL
// image. Each step reads one picture and writes the next into the worker's memory; a file is decoded when
// the first step knows which part of it is wanted.
#ifndef AM_AUGMENT_CANVAS_H
#define AM_AUGMENT_CANVAS_H

#include "data/loader.h"

typedef struct {
  const am_stored *stored;  // borrowed: a file that is still to be decoded; NULL once it is
  am_transform_work *work;  // borrowed
  am_image_part part;       // the picture, once there is one
  int64_t width, height, channels;
  int next;  // which image of `work` takes the next picture
} am_canvas;

// Errors of all: AM_ERR_DATA a file that cannot be read, AM_ERR_NOMEM.
AM_MUST_USE am_err am_canvas_open(const am_stored *image, am_transform_work *work, am_canvas *out);
// Makes sure that `part` is there.
AM_MUST_USE am_err am_canvas_decode(am_canvas *c);
// The window (left, top, width, height), which is inside, resized to out_width x out_height. Nothing outside it
// is looked at, as Pillow's crop followed by resize. may_reduce: a JPEG much larger than the result may be
// decoded at a fraction of its size (see am_image_decode_window for what that costs).
typedef struct {
  int64_t left, top, width, height;
} am_rect;
AM_MUST_USE am_err am_canvas_resize(am_canvas *c, const am_rect *window, int64_t out_width,
                                    int64_t out_height, am_resize_kind kind, bool may_reduce);
// A window that may reach beyond the picture: `fill` there.
AM_MUST_USE am_err am_canvas_crop(am_canvas *c, const am_rect *window, uint8_t fill);
AM_MUST_USE am_err am_canvas_flip_horizontal(am_canvas *c);
AM_MUST_USE am_err am_canvas_flip_vertical(am_canvas *c);

#endif
