// libFuzzer: any bytes, plain or gzip, are idx files of images and labels, or an error.
#include "packed_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  const am_packed_desc desc = {
      .kind = AM_PACKED_IDX, .class_count = 10, .transposed = size > 2 && data[2] & 1};
  read_packed(&desc, data, size);
  return 0;
}
