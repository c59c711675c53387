// libFuzzer: any bytes are an image or an error; an image is what its size says and can be resized.
#include <stdlib.h>

#include "data/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_image image = {0}, small = {0};
  if (am_image_decode("fuzz", data, size, &image)) return 0;
  if (image.channels != 3) abort();
  if (image.width * image.height < 1 << 20 && am_image_resize(&image, 7, 5, AM_RESIZE_BILINEAR, &small))
    abort();
  am_image_fini(&small);
  am_image_fini(&image);
  return 0;
}
