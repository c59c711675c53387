// Any bytes: a checked list of tensors or an error. Every byte of every tensor is touched.
#include <stddef.h>
#include <stdint.h>

#include "weights/safetensors.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_safetensors *st = NULL;
  if (am_safetensors_parse("fuzz", data, size, &st) != AM_OK) return 0;
  volatile unsigned sum = 0;
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *e = am_safetensors_at(st, i);
    for (size_t b = 0; b < e->bytes; b++) sum += ((const unsigned char *)e->data)[b];
    if (am_safetensors_find(st, e->name) == NULL) __builtin_trap();
  }
  am_safetensors_close(st);
  return 0;
}
