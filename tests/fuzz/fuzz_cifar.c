// libFuzzer: any bytes are records of one size, or an error: CIFAR-10's, CIFAR-100's and STL-10's way.
#include "packed_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  static const am_packed_desc ways[] = {{.kind = AM_PACKED_RECORDS,
                                         .height = 2,
                                         .width = 3,
                                         .channels = 3,
                                         .label_bytes = 1,
                                         .class_count = 10},
                                        {.kind = AM_PACKED_RECORDS,
                                         .height = 2,
                                         .width = 2,
                                         .channels = 1,
                                         .label_bytes = 2,
                                         .label_at = 1,
                                         .class_count = 100},
                                        {.kind = AM_PACKED_RECORDS,
                                         .height = 3,
                                         .width = 2,
                                         .channels = 3,
                                         .transposed = true,
                                         .first_label = 1,
                                         .class_count = 10}};
  if (size > 0) read_packed(&ways[data[0] % 3], data + 1, size - 1);
  return 0;
}
