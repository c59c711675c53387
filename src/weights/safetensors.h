// safetensors files: 8-byte little-endian header length, JSON header, tensors back to back.
// Foreign bytes: everything is checked before use (header at most 100 MB, offsets ascending without
// holes or overlaps, sizes matching shapes, duplicate names refused, UTF-8 names). What the Python
// package takes is taken, with these exceptions: names that come twice (it keeps the last), a header
// that does not begin with '{', more than AM_MAX_DIM dimensions, a NUL in a name, types of less than
// a byte (F4, F6).
#ifndef AM_WEIGHTS_SAFETENSORS_H
#define AM_WEIGHTS_SAFETENSORS_H

#include "nn/params.h"

// Every element type of the format that has whole bytes, in the order that decides the place of a
// tensor in the file: the reference writer puts the last of this list first.
//   X(name in the file, bytes)
#define AM_ST_DTYPE_LIST(X) \
  X(BOOL, 1) X(U8, 1) X(I8, 1) X(F8_E5M2, 1) X(F8_E4M3, 1) X(F8_E8M0, 1) X(F8_E4M3FNUZ, 1)          \
  X(F8_E5M2FNUZ, 1) X(I16, 2) X(U16, 2) X(F16, 2) X(BF16, 2) X(I32, 4) X(U32, 4) X(F32, 4) X(C64, 8) \
  X(F64, 8) X(I64, 8) X(U64, 8)
typedef enum {
#define AM_ST_DTYPE_ENUM(name, bytes) AM_ST_##name,
  AM_ST_DTYPE_LIST(AM_ST_DTYPE_ENUM)
#undef AM_ST_DTYPE_ENUM
      AM_ST_DTYPE_COUNT
} am_st_dtype;
const char *am_st_dtype_name(am_st_dtype t);  // "F32"
size_t am_st_dtype_size(am_st_dtype t);

typedef struct {
  const char *name;     // borrowed: from the file object, or the caller's when writing
  am_st_dtype dtype;
  am_shape shape;       // at most AM_MAX_DIM dimensions
  const void *data;     // borrowed: into the mapped file, little-endian, maybe unaligned
  size_t bytes;
} am_st_entry;

typedef struct am_safetensors am_safetensors;
// Maps the file and checks its header. Errors: AM_ERR_IO; AM_ERR_DATA names file and what is wrong.
AM_MUST_USE am_err am_safetensors_open(const char *path, am_safetensors **out);
// The same from bytes of the caller's, which stay as long as *out; `name` is for messages. The fuzz
// target enters here.
AM_MUST_USE am_err am_safetensors_parse(const char *name, const void *bytes, size_t count,
                                        am_safetensors **out);
void am_safetensors_close(am_safetensors *st);
int64_t am_safetensors_count(const am_safetensors *st);
const am_st_entry *am_safetensors_at(const am_safetensors *st, int64_t i);  // in file order
const am_st_entry *am_safetensors_find(const am_safetensors *st, const char *name);
const char *am_safetensors_meta(const am_safetensors *st, const char *key);  // NULL when absent
// The metadata in the order of the file: false when there are no more than i.
bool am_safetensors_meta_at(const am_safetensors *st, int64_t i, const char **key, const char **value);

// Writes entries (any order; sorted as the reference writer does: element type, then name), and
// meta (NULL-terminated key, value pairs, may be NULL) in the order given. The bytes are those of
// the Python package for the same tensors. Atomic. Errors: AM_ERR_IO; AM_ERR_ARG sizes disagree.
AM_MUST_USE am_err am_safetensors_write(const char *path, const am_st_entry *entry, int64_t count,
                                        const char *const *meta);

// A network's state dict (state.c): state-dict names, num_batches_tracked as I64 scalars.
// Load: F64, F16, BF16, F8_E4M3 and F8_E5M2 are converted (convert.c); every name must match both
// ways (a missing num_batches_tracked is fine and keeps its value). Errors: AM_ERR_DATA names the
// tensor and both shapes; nothing is changed then.
AM_MUST_USE am_err am_params_save(am_params *ps, const char *path, const char *const *meta);
AM_MUST_USE am_err am_params_load(am_params *ps, const char *path);
// The same without the module `without` ("fc"; am_param_matches), which stays as it is whatever the
// file has of it.
AM_MUST_USE am_err am_params_load_without(am_params *ps, const char *path, const char *without);
// Only the checks of am_params_load_without; the parameters need not be allocated.
AM_MUST_USE am_err am_params_fits(am_params *ps, const char *path, const char *without);

#endif
