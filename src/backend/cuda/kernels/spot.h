// For kernels on images: which place of which image a thread has in hand. One channel of it, or with channels last a pack of
// channels that lie together.
#ifndef AM_BACKEND_CUDA_SPOT_H
#define AM_BACKEND_CUDA_SPOT_H

#include "backend/cuda/kernels/launch.h"

typedef struct {
  bool channels_last;  // else plane by plane
  bool wide;           // packs of channels
  int64_t n, c;
} am_images;

// In x and y, pack by pack where they lie for it.
static inline am_images am_images_of(bool channels_last, am_dtype t, int64_t n, int64_t c, const void *x, const void *y) {
  am_images m;
  m.channels_last = channels_last;
  m.wide = channels_last && c % AM_PACK_WIDTH(t) == 0 && am_cuda_aligned(x) && am_cuda_aligned(y);
  m.n = n;
  m.c = c;
  return m;
}

// Threads for so many places of each plane.
AM_ON_BOTH int64_t am_spots(const am_images *m, am_dtype t, int64_t places) {
  return m->n * (m->wide ? m->c / AM_PACK_WIDTH(t) : m->c) * places;
}

// Where thread i of a launch over images of rows x columns is.
typedef struct {
  int64_t image, channel, row, column;
  int channels;
} am_spot;
AM_ON_CARD am_spot am_spot_of(const am_images *m, am_dtype t, int64_t i, int64_t rows, int64_t columns) {
  am_spot s;
  s.channels = m->wide ? AM_PACK_WIDTH(t) : 1;
  if (m->channels_last) {
    const int64_t packs = m->c / s.channels, pixel = i / packs;
    s.channel = i % packs * s.channels;
    s.column = pixel % columns;
    s.row = pixel / columns % rows;
    s.image = pixel / columns / rows;
  } else {
    s.column = i % columns;
    s.row = i / columns % rows;
    s.channel = i / columns / rows % m->c;
    s.image = i / columns / rows / m->c;
  }
  return s;
}

// How far apart the places of a plane lie, and where the spot's plane begins in images of so many.
AM_ON_CARD int64_t am_spot_step(const am_images *m) { return m->channels_last ? m->c : 1; }
AM_ON_CARD int64_t am_spot_plane(const am_images *m, am_spot s, int64_t places) {
  return m->channels_last ? s.image * places * m->c + s.channel : (s.image * m->c + s.channel) * places;
}

#endif
