// What the fuzz targets of packed files share: an input is the length of the labels (two bytes), the labels,
// the images. Every image of what is accepted can be read, and its label is in range.
#ifndef AM_TESTS_FUZZ_PACKED_FUZZ_H
#define AM_TESTS_FUZZ_PACKED_FUZZ_H

#include <stdlib.h>

#include "data/packed.h"

static void read_images(const am_packed_desc *d, const am_packed *p) {
  enum { MOST_READ = 64 };
  for (int64_t i = 0; i < am_packed_count(p) && i < MOST_READ; i++) {
    am_image image = {0};
    int32_t label = am_packed_label(p, i);
    if (label < -1 || label >= d->class_count) abort();
    if (am_packed_image(p, i, &image)) abort();
    if (image.width <= 0 || image.height <= 0 || image.channels != 3) abort();
    am_image_fini(&image);
  }
}

static void read_packed(const am_packed_desc *d, const uint8_t *data, size_t size) {
  am_packed *p = NULL;
  if (size < 2) return;
  size_t labels = (size_t)data[0] + ((size_t)data[1] << 8);
  data += 2;
  size -= 2;
  if (labels > size) labels = size;
  if (am_packed_parse(d, data + labels, size - labels, labels ? data : NULL, labels, &p)) return;
  read_images(d, p);
  am_packed_close(p);
}

#endif
