// Shapes, element types and what they say as text.
#include <stdio.h>

#include "base/num.h"
#include "tensor/backend.h"

int64_t am_shape_count(am_shape s) {
  int64_t count = 1;
  for (int i = 0; i < s.ndim; i++) count *= s.dim[i];
  return count;
}

bool am_shape_equal(am_shape a, am_shape b) {
  if (a.ndim != b.ndim) return false;
  for (int i = 0; i < a.ndim; i++) {
    if (a.dim[i] != b.dim[i]) return false;
  }
  return true;
}

const char *am_shape_text(am_shape s, char text[AM_SHAPE_TEXT]) {
  int used = snprintf(text, AM_SHAPE_TEXT, "(");
  for (int i = 0; i < s.ndim && i < AM_MAX_DIM && used < AM_SHAPE_TEXT; i++) {
    size_t room = (size_t)(AM_SHAPE_TEXT - used);
    used += snprintf(text + used, room, "%s%lld", i ? ", " : "", (long long)s.dim[i]);
  }
  if (used < AM_SHAPE_TEXT) snprintf(text + used, (size_t)(AM_SHAPE_TEXT - used), ")");
  return text;
}

am_err am_shape_broadcast(am_shape a, am_shape b, am_shape *out) {
  am_shape y = {.ndim = a.ndim > b.ndim ? a.ndim : b.ndim};
  for (int back = 1; back <= y.ndim; back++) {  // aligned at the last axis
    int64_t p = back <= a.ndim ? a.dim[a.ndim - back] : 1;
    int64_t q = back <= b.ndim ? b.dim[b.ndim - back] : 1;
    if (p != q && p != 1 && q != 1) {
      char p_text[AM_SHAPE_TEXT], q_text[AM_SHAPE_TEXT];
      return AM_FAIL(AM_ERR_ARG, "shapes %s and %s do not broadcast", am_shape_text(a, p_text),
                     am_shape_text(b, q_text));
    }
    y.dim[y.ndim - back] = p == 1 ? q : p;
  }
  *out = y;
  return AM_OK;
}

static const struct {
  const char *name;
  size_t bytes;
} dtype_info[AM_DTYPE_COUNT] = {
  [AM_F32] = {"f32", 4}, [AM_F64] = {"f64", 8}, [AM_BF16] = {"bf16", 2},
  [AM_I32] = {"i32", 4}, [AM_I64] = {"i64", 8}, [AM_U8] = {"u8", 1},
};

size_t am_dtype_size(am_dtype t) { return dtype_info[t].bytes; }

const char *am_dtype_name(am_dtype t) { return dtype_info[t].name; }
