// A network's parameters to and from a safetensors file.
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "weights/weights_internal.h"

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

static am_err check_param(const char *path, const am_param *p, const am_st_entry *e) {
  char have[AM_SHAPE_TEXT], want[AM_SHAPE_TEXT];
  AM_CHECK(e, AM_ERR_DATA, "%s has no tensor \"%s\", which the network needs with shape %s", path, p->name,
           am_shape_text(p->shape, want));
  AM_CHECK(am_shape_equal(e->shape, p->shape), AM_ERR_DATA,
           "%s: tensor \"%s\" has shape %s, the network's has %s", path, p->name,
           am_shape_text(e->shape, have), am_shape_text(p->shape, want));
  bool fits = p->kind == AM_PARAM_COUNTER ? e->dtype == AM_ST_I64 : am_st_converts(e->dtype);
  AM_CHECK(fits, AM_ERR_DATA, "%s: tensor \"%s\" has type %s, expected %s", path, p->name,
           am_st_dtype_name(e->dtype),
           p->kind == AM_PARAM_COUNTER ? "I64" : "F32, F64, F16, BF16, F8_E4M3 or F8_E5M2");
  return AM_OK;
}

static bool is_left_out(const char *name, const char *without) {
  return without && am_param_matches(name, without);
}

// Names the network does not have come first: they say more than one that is missing.
static am_err check_all(const char *path, am_params *ps, const am_safetensors *st, const char *without) {
  for (int64_t i = 0; i < am_safetensors_count(st); i++) {
    const char *name = am_safetensors_at(st, i)->name;
    AM_CHECK(is_left_out(name, without) || am_params_find(ps, name), AM_ERR_DATA,
             "%s holds a tensor \"%.200s\", which the network does not have%s", path, name,
             strncmp(name, "module.", 7) ? ""
                                         : ": the prefix is DataParallel's, analysis/convert_weights.py "
                                           "takes it off");
  }
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    const am_param *p = am_params_at(ps, i);
    const am_st_entry *e = am_safetensors_find(st, p->name);
    if (is_left_out(p->name, without) || (!e && p->kind == AM_PARAM_COUNTER)) continue;
    AM_TRY(check_param(path, p, e));
  }
  return AM_OK;
}

am_err am_params_fits(am_params *ps, const char *path, const char *without) {
  am_safetensors *st = NULL;
  AM_TRY(am_safetensors_open(path, &st));
  am_err err = check_all(path, ps, st, without);
  am_safetensors_close(st);
  return err;
}

am_err am_params_load(am_params *ps, const char *path) { return am_params_load_without(ps, path, NULL); }

am_err am_params_load_without(am_params *ps, const char *path, const char *without) {
  am_err err = AM_OK;
  am_safetensors *st = NULL;
  void **host = NULL;
  int64_t count = am_params_count(ps);
  AM_GO(done, am_safetensors_open(path, &st));
  AM_GO(done, AM_NEW_ARRAY(&host, count));

  // Everything that can disagree is found before the first value changes.
  AM_GO(done, check_all(path, ps, st, without));
  for (int64_t i = 0; i < count; i++) {
    const am_param *p = am_params_at(ps, i);
    if (is_left_out(p->name, without) || p->kind == AM_PARAM_COUNTER) continue;
    AM_GO(done, am_st_convert(am_safetensors_find(st, p->name), p->value->dtype, &host[i]));
  }

  for (int64_t i = 0; i < count; i++) {
    am_param *p = am_params_at(ps, i);
    const am_st_entry *e = am_safetensors_find(st, p->name);
    if (host[i]) AM_GO(done, am_tensor_copy_from_host(p->value, host[i]));
    if (p->kind == AM_PARAM_COUNTER && e && !is_left_out(p->name, without))
      memcpy(&p->counter, e->data, sizeof p->counter);
  }
done:
  for (int64_t i = 0; host && i < count; i++) free(host[i]);
  free(host);
  am_safetensors_close(st);
  return err;
}
