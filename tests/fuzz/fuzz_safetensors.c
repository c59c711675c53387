// Any bytes: a checked list of tensors or an error. Every byte of every tensor is touched, floats are
// converted, and what the metadata say of preprocessing is read.
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "data/preprocess.h"
#include "weights/weights_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  am_safetensors *st = NULL;
  if (am_safetensors_parse("fuzz", data, size, &st) != AM_OK) return 0;
  volatile unsigned sum = 0;
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const am_st_entry *e = am_safetensors_at(st, i);
    for (size_t b = 0; b < e->bytes; b++) sum += ((const unsigned char *)e->data)[b];
    if (am_safetensors_find(st, e->name) == NULL) __builtin_trap();
    void *values = NULL;
    if (am_st_converts(e->dtype) && am_st_convert(e, AM_F32, &values) != AM_OK && values) __builtin_trap();
    free(values);
  }
  const char *key, *value;
  for (int64_t i = 0; am_safetensors_meta_at(st, i, &key, &value); i++) sum += (unsigned char)*value;
  const char *line = am_safetensors_meta(st, "preprocess");
  am_preprocess p = am_preprocess_none(3);
  if (line && am_preprocess_parse(line, &p) == AM_OK && !(p.sd[0] > 0)) __builtin_trap();
  am_safetensors_close(st);
  return 0;
}
