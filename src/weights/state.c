// A network's parameters to and from a safetensors file.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "weights/safetensors.h"

static am_err storage_dtype(am_dtype dtype, am_st_dtype *out) {
  switch (dtype) {
    case AM_F32:
      *out = AM_ST_F32;
      return AM_OK;
    case AM_F64:
      *out = AM_ST_F64;
      return AM_OK;
    default:
      break;
  }
  return AM_FAIL(AM_ERR_UNSUPPORTED, "parameters of type %s have no file form", am_dtype_name(dtype));
}

// ---- save --------------------------------------------------------------------------------------

// Fills entry i from the parameter; its bytes are heap memory that *host owns.
static am_err entry_of_param(am_param *p, am_st_entry *entry, void **host) {
  *entry = (am_st_entry){.name = p->name, .shape = p->shape};
  if (p->kind == AM_PARAM_COUNTER) {
    int64_t *counter = NULL;
    AM_TRY(AM_NEW(&counter));
    *counter = p->counter;
    *host = counter;
    entry->dtype = AM_ST_I64;
  } else {
    AM_TRY(storage_dtype(p->value->dtype, &entry->dtype));
    char *bytes = NULL;
    AM_TRY(am_mem_alloc(&bytes, am_shape_count(p->shape), am_st_dtype_size(entry->dtype)));
    *host = bytes;
    AM_TRY(am_tensor_to_host(p->value, bytes));
  }
  entry->data = *host;
  entry->bytes = (size_t)am_shape_count(p->shape) * am_st_dtype_size(entry->dtype);
  return AM_OK;
}

am_err am_params_save(am_params *ps, const char *path, const char *const *meta) {
  am_err err = AM_OK;
  int64_t count = am_params_count(ps);
  am_st_entry *entry = NULL;
  void **host = NULL;
  AM_GO(done, AM_NEW_ARRAY(&entry, count));
  AM_GO(done, AM_NEW_ARRAY(&host, count));
  for (int64_t i = 0; i < count; i++) AM_GO(done, entry_of_param(am_params_at(ps, i), &entry[i], &host[i]));
  AM_GO(done, am_safetensors_write(path, entry, count, meta));
done:
  for (int64_t i = 0; host && i < count; i++) free(host[i]);
  free(host);
  free(entry);
  return err;
}

// ---- load --------------------------------------------------------------------------------------

static float f32_from_bits(uint32_t bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}

static float f32_from_f16(uint16_t half) {
  uint32_t sign = (uint32_t)(half & 0x8000) << 16, exponent = half >> 10 & 31, fraction = half & 1023;
  if (exponent == 31) return f32_from_bits(sign | 0x7f800000 | fraction << 13);  // inf, nan
  if (exponent) return f32_from_bits(sign | (exponent + 112) << 23 | fraction << 13);
  float tiny = (float)fraction * 0x1p-24f;  // subnormal or zero
  return sign ? -tiny : tiny;
}

// Element i of a floating-point entry. The data may be unaligned.
static double element_at(const am_st_entry *e, int64_t i) {
  const char *at = (const char *)e->data + (size_t)i * am_st_dtype_size(e->dtype);
  uint16_t half;
  float single;
  double wide;
  switch (e->dtype) {
    case AM_ST_F16:
      memcpy(&half, at, sizeof half);
      return f32_from_f16(half);
    case AM_ST_BF16:
      memcpy(&half, at, sizeof half);
      return f32_from_bits((uint32_t)half << 16);
    case AM_ST_F32:
      memcpy(&single, at, sizeof single);
      return single;
    default:
      memcpy(&wide, at, sizeof wide);
      return wide;
  }
}

static bool is_float(am_st_dtype t) {
  return t == AM_ST_F16 || t == AM_ST_BF16 || t == AM_ST_F32 || t == AM_ST_F64;
}

// The entry as elements of the parameter's type in fresh heap memory.
static am_err convert_entry(const am_st_entry *e, am_dtype want, void **out) {
  am_st_dtype stored = AM_ST_F32;
  AM_TRY(storage_dtype(want, &stored));
  int64_t count = am_shape_count(e->shape);
  char *bytes = NULL;
  AM_TRY(am_mem_alloc(&bytes, count, am_st_dtype_size(stored)));
  *out = bytes;
  if (stored == e->dtype) {
    memcpy(bytes, e->data, e->bytes);
  } else if (want == AM_F32) {
    for (int64_t i = 0; i < count; i++) ((float *)*out)[i] = (float)element_at(e, i);
  } else {
    for (int64_t i = 0; i < count; i++) ((double *)*out)[i] = element_at(e, i);
  }
  return AM_OK;
}

static am_err check_param(const char *path, const am_param *p, const am_st_entry *e) {
  char have[AM_SHAPE_TEXT], want[AM_SHAPE_TEXT];
  AM_CHECK(e, AM_ERR_DATA, "%s has no tensor \"%s\", which the network needs with shape %s", path, p->name,
           am_shape_text(p->shape, want));
  AM_CHECK(am_shape_equal(e->shape, p->shape), AM_ERR_DATA,
           "%s: tensor \"%s\" has shape %s, the network's has %s", path, p->name,
           am_shape_text(e->shape, have), am_shape_text(p->shape, want));
  bool fits = p->kind == AM_PARAM_COUNTER ? e->dtype == AM_ST_I64 : is_float(e->dtype);
  AM_CHECK(fits, AM_ERR_DATA, "%s: tensor \"%s\" has type %s, expected %s", path, p->name,
           am_st_dtype_name(e->dtype), p->kind == AM_PARAM_COUNTER ? "I64" : "F32, F16, BF16 or F64");
  return AM_OK;
}

static am_err check_no_others(const char *path, am_params *ps, const am_safetensors *st) {
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const char *name = am_safetensors_at(st, i)->name;
    AM_CHECK(am_params_find(ps, name), AM_ERR_DATA,
             "%s holds a tensor \"%.200s\", which the network does not have", path, name);
  }
  return AM_OK;
}

am_err am_params_load(am_params *ps, const char *path) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  void **host = NULL;
  int64_t count = am_params_count(ps);
  AM_GO(done, am_safetensors_open(path, &st));
  AM_GO(done, AM_NEW_ARRAY(&host, count));

  // Everything that can disagree is found before the first value changes.
  for (int64_t i = 0; i < count; i++) {
    am_param *p = am_params_at(ps, i);
    const am_st_entry *e = am_safetensors_find(st, p->name);
    if (!e && p->kind == AM_PARAM_COUNTER) continue;
    AM_GO(done, check_param(path, p, e));
    if (p->kind != AM_PARAM_COUNTER) AM_GO(done, convert_entry(e, p->value->dtype, &host[i]));
  }
  AM_GO(done, check_no_others(path, ps, st));

  for (int64_t i = 0; i < count; i++) {
    am_param *p = am_params_at(ps, i);
    const am_st_entry *e = am_safetensors_find(st, p->name);
    if (p->kind != AM_PARAM_COUNTER) {
      AM_GO(done, am_tensor_copy_from_host(p->value, host[i]));
    } else if (e) {
      memcpy(&p->counter, e->data, sizeof p->counter);
    }
  }
done:
  for (int64_t i = 0; host && i < count; i++) free(host[i]);
  free(host);
  am_safetensors_close(st);
  return err;
}
