// safetensors files: 8-byte little-endian header length, JSON header, tensors back to back.
// Foreign bytes: everything is checked before use (header at most 100 MB, offsets ascending without
// holes or overlaps, sizes matching shapes, duplicate names refused, UTF-8 names).
#ifndef AM_WEIGHTS_SAFETENSORS_H
#define AM_WEIGHTS_SAFETENSORS_H

#include "nn/params.h"

typedef struct {
  const char *name;     // borrowed from the file object
  am_dtype dtype;
  am_shape shape;
  const void *data;     // borrowed: into the mapped file, little-endian, maybe unaligned
  size_t bytes;
} am_st_entry;

typedef struct am_safetensors am_safetensors;
// Errors: AM_ERR_IO; AM_ERR_DATA names file and what is wrong.
AM_MUST_USE am_err am_safetensors_open(const char *path, am_safetensors **out);
void am_safetensors_close(am_safetensors *st);
int64_t am_safetensors_count(const am_safetensors *st);
const am_st_entry *am_safetensors_at(const am_safetensors *st, int64_t i);  // in file order
const am_st_entry *am_safetensors_find(const am_safetensors *st, const char *name);
const char *am_safetensors_meta(const am_safetensors *st, const char *key);  // NULL when absent

// A network's state dict. Save: state-dict names and order, entries sorted as the reference writer
// does (by dtype size descending, then name); num_batches_tracked as I64; meta: NULL-terminated
// key, value pairs. Load: f16/bf16/f64 are converted; every name must match both ways (missing
// num_batches_tracked is fine). Errors name the tensor and both shapes; nothing is changed then.
AM_MUST_USE am_err am_params_save(am_params *ps, const char *path, const char *const *meta);
AM_MUST_USE am_err am_params_load(am_params *ps, const char *path);

#endif
