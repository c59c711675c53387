// Shared by the files of this folder; not for others.
#ifndef AM_WEIGHTS_INTERNAL_H
#define AM_WEIGHTS_INTERNAL_H

#include "weights/safetensors.h"

// Whether am_st_convert reads the type (convert.c).
bool am_st_converts(am_st_dtype t);
// The elements of such an entry as AM_F32 or AM_F64, in fresh heap memory of the caller.
AM_MUST_USE am_err am_st_convert(const am_st_entry *e, am_dtype want, void **out);

#endif
