// Reading foreign HDF5 files: every link, type and size is checked before anything is allocated.
#include "data/h5_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

// An open data set or attribute and what it says about itself.
typedef struct {
  hid_t id, type, space;
  am_h5_info info;
} source;

// True when every step of the path is a hard link: nothing that leads out of the file is followed.
static bool is_hard_path(hid_t file, const char *path) {
  char step[1024];
  if (strlen(path) >= sizeof step) return false;
  for (size_t i = 1; i <= strlen(path); i++) {
    H5L_info_t link;
    if (path[i] != '/' && path[i] != '\0') continue;
    snprintf(step, sizeof step, "%.*s", (int)i, path);
    if (H5Lget_info(file, step, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD) return false;
  }
  return true;
}

static H5O_type_t object_type(am_h5 *f, const char *path) {
  H5O_info_t info;
  if (!is_hard_path(f->file, path)) return H5O_TYPE_UNKNOWN;
  if (H5Oget_info_by_name2(f->file, am_h5_object_name(path), &info, H5O_INFO_BASIC, H5P_DEFAULT) < 0)
    return H5O_TYPE_UNKNOWN;
  return info.type;
}

static bool known_type(hid_t type, am_h5_type *out, size_t *bytes) {
  H5T_class_t kind = H5Tget_class(type);
  *bytes = H5Tget_size(type);
  if (kind == H5T_STRING) {
    *out = AM_H5_TEXT;
    return H5Tis_variable_str(type) == 0;
  }
  for (am_h5_type t = AM_H5_U8; t < AM_H5_TEXT; t++) {
    hid_t native = am_h5_memory_type(t);
    if (kind != H5Tget_class(native) || *bytes != H5Tget_size(native)) continue;
    if (kind == H5T_INTEGER && H5Tget_sign(type) != H5Tget_sign(native)) continue;
    *out = t;
    return true;
  }
  return false;
}

static am_err describe_source(am_h5 *f, const char *what, source *s) {
  am_h5_info *info = &s->info;
  size_t item_bytes = 0;
  hsize_t extent[AM_H5_DIMS];
  AM_CHECK(s->type >= 0 && s->space >= 0 && known_type(s->type, &info->type, &item_bytes), AM_ERR_DATA,
           "%s: %s has an element type that is not read here", f->path, what);
  info->ndim = H5Sget_simple_extent_ndims(s->space);
  AM_CHECK(H5Sis_simple(s->space) > 0 && info->ndim >= 0 && info->ndim <= AM_H5_DIMS, AM_ERR_DATA,
           "%s: %s has %d dimensions, at most %d are read", f->path, what, info->ndim, AM_H5_DIMS);
  H5Sget_simple_extent_dims(s->space, extent, NULL);
  info->item_bytes = (int64_t)item_bytes;
  info->count = 1;
  int64_t bytes = (int64_t)item_bytes, most = am_max_i64(f->file_bytes, (int64_t)1 << 30);
  for (int d = 0; d < info->ndim; d++) {
    info->dim[d] = (int64_t)extent[d];
    AM_CHECK(am_mul_i64(info->count, info->dim[d], &info->count) &&
                 am_mul_i64((int64_t)item_bytes, info->count, &bytes) && bytes <= most,
             AM_ERR_DATA, "%s: %s claims more than %lld bytes", f->path, what, (long long)most);
  }
  return AM_OK;
}

static void source_close(source *s, bool attr) {
  if (s->type >= 0) H5Tclose(s->type);
  if (s->space >= 0) H5Sclose(s->space);
  if (s->id >= 0 && attr) H5Aclose(s->id);
  if (s->id >= 0 && !attr) H5Dclose(s->id);
  H5Eclear2(H5E_DEFAULT);
}

static bool stored_inside(hid_t set) {
  hid_t creation = H5Dget_create_plist(set);
  if (creation < 0) return false;
  H5D_layout_t layout = H5Pget_layout(creation);
  bool inside = (layout == H5D_COMPACT || layout == H5D_CONTIGUOUS || layout == H5D_CHUNKED) &&
                H5Pget_external_count(creation) == 0;
  H5Pclose(creation);
  return inside;
}

// Opens the data set (attr NULL) or attribute; on error s is closed.
static am_err source_open(am_h5 *f, const char *path, const char *attr, source *s) {
  *s = (source){.id = H5I_INVALID_HID, .type = H5I_INVALID_HID, .space = H5I_INVALID_HID};
  const char *what = attr ? attr : path;
  H5O_type_t kind = object_type(f, path);
  AM_CHECK(kind != H5O_TYPE_UNKNOWN, AM_ERR_DATA, "%s: there is no \"%s\" in this file", f->path, path);
  if (attr) {
    s->id = H5Aexists_by_name(f->file, am_h5_object_name(path), attr, H5P_DEFAULT) > 0
                ? H5Aopen_by_name(f->file, am_h5_object_name(path), attr, H5P_DEFAULT, H5P_DEFAULT)
                : H5I_INVALID_HID;
    AM_CHECK(s->id >= 0, AM_ERR_DATA, "%s: the attribute \"%s\" of /%s is missing", f->path, attr, path);
    s->type = H5Aget_type(s->id);
    s->space = H5Aget_space(s->id);
  } else {
    AM_CHECK(kind == H5O_TYPE_DATASET, AM_ERR_DATA, "%s: /%s is not a data set", f->path, path);
    s->id = H5Dopen2(f->file, path, H5P_DEFAULT);
    AM_CHECK(s->id >= 0, AM_ERR_DATA, "%s: cannot open /%s: %s", f->path, path, am_h5_reason());
    s->type = H5Dget_type(s->id);
    s->space = H5Dget_space(s->id);
  }
  am_err err = attr || stored_inside(s->id)
                   ? describe_source(f, what, s)
                   : AM_FAIL(AM_ERR_DATA, "%s: /%s keeps its data outside the file", f->path, path);
  if (err) source_close(s, attr != NULL);
  return err;
}

static am_err read_source(am_h5 *f, const char *what, bool attr, const source *s, void *out) {
  if (s->info.count == 0) return AM_OK;
  hid_t memory = s->info.type == AM_H5_TEXT ? s->type : am_h5_memory_type(s->info.type);
  herr_t rc = attr ? H5Aread(s->id, memory, out) : H5Dread(s->id, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, out);
  AM_CHECK(rc >= 0, AM_ERR_DATA, "%s: cannot read %s: %s", f->path, what, am_h5_reason());
  return AM_OK;
}

static am_err get_locked(am_h5 *f, const char *path, const char *attr, am_h5_type type, int ndim,
                         am_h5_info *info, char **data) {
  am_err err = AM_OK;
  source s;
  char *bytes = NULL;
  const char *what = attr ? attr : path;
  AM_TRY(source_open(f, path, attr, &s));
  AM_CHECK_GO(done, s.info.type == type && s.info.ndim == ndim, AM_ERR_DATA,
              "%s: %s is a %d-dimensional array of %s, expected %d dimensions of %s", f->path, what,
              s.info.ndim, am_h5_type_name(s.info.type), ndim, am_h5_type_name(type));
  AM_GO(done, AM_NEW_ARRAY(&bytes, s.info.count * s.info.item_bytes));
  AM_GO(done, read_source(f, what, attr != NULL, &s, bytes));
  *info = s.info;
  *data = bytes;
  bytes = NULL;
done:
  free(bytes);
  source_close(&s, attr != NULL);
  return err;
}

static am_err get(am_h5 *f, const char *path, const char *attr, am_h5_type type, int ndim, am_h5_info *info,
                  char **data) {
  am_h5_lock();
  am_err err = get_locked(f, path, attr, type, ndim, info, data);
  am_h5_unlock();
  return err;
}

am_err am_h5_get(am_h5 *f, const char *path, am_h5_type type, int ndim, am_h5_info *info, void *data) {
  am_h5_info unused;
  char *bytes = NULL;
  AM_TRY(get(f, path, NULL, type, ndim, info ? info : &unused, &bytes));
  memcpy(data, &bytes, sizeof bytes);
  return AM_OK;
}

void am_h5_free_texts(char **text, int64_t count) {
  for (int64_t i = 0; text && i < count; i++) free(text[i]);
  free(text);
}

static am_err unpack_texts(const char *packed, const am_h5_info *info, char ***out) {
  char **text = NULL;
  AM_TRY(AM_NEW_ARRAY(&text, info->count));
  for (int64_t i = 0; i < info->count; i++) {
    const char *item = packed + i * info->item_bytes;
    size_t length = strnlen(item, (size_t)info->item_bytes);
    am_err err = AM_NEW_ARRAY(&text[i], (int64_t)length + 1);
    if (err) {
      am_h5_free_texts(text, i);
      return err;
    }
    memcpy(text[i], item, length);
  }
  *out = text;
  return AM_OK;
}

static am_err get_texts(am_h5 *f, const char *path, const char *attr, char ***text, int64_t *count) {
  am_h5_info info;
  char *packed = NULL;
  AM_TRY(get(f, path, attr, AM_H5_TEXT, 1, &info, &packed));
  am_err err = unpack_texts(packed, &info, text);
  free(packed);
  if (!err) *count = info.count;
  return err;
}
am_err am_h5_get_text(am_h5 *f, const char *path, char ***text, int64_t *count) {
  return get_texts(f, path, NULL, text, count);
}
am_err am_h5_get_attr_texts(am_h5 *f, const char *path, const char *name, char ***text, int64_t *count) {
  return get_texts(f, path, name, text, count);
}

am_err am_h5_get_attr_text(am_h5 *f, const char *path, const char *name, char **value) {
  am_h5_info info;
  char *packed = NULL, **one = NULL;
  AM_TRY(get(f, path, name, AM_H5_TEXT, 0, &info, &packed));
  am_err err = unpack_texts(packed, &info, &one);
  free(packed);
  if (err) return err;
  *value = one[0];
  free(one);
  return AM_OK;
}

// A scalar of any integer (or float) width: other writers choose their own.
static am_err get_scalar(am_h5 *f, const char *path, const char *name, H5T_class_t kind, hid_t memory,
                         void *value) {
  am_err err = AM_OK;
  source s;
  am_h5_lock();
  AM_GO(done, source_open(f, path, name, &s));
  if (H5Tget_class(s.type) != kind || s.info.count != 1 || H5Aread(s.id, memory, value) < 0) {
    err = AM_FAIL(AM_ERR_DATA, "%s: the attribute \"%s\" of /%s is not one %s", f->path, name, path,
                  kind == H5T_INTEGER ? "integer" : "float");
  }
  source_close(&s, true);
done:
  am_h5_unlock();
  return err;
}
am_err am_h5_get_attr_i64(am_h5 *f, const char *path, const char *name, int64_t *value) {
  return get_scalar(f, path, name, H5T_INTEGER, H5T_NATIVE_INT64, value);
}
am_err am_h5_get_attr_i64s(am_h5 *f, const char *path, const char *name, int64_t **value, int64_t *count) {
  am_h5_info info;
  char *bytes = NULL;
  AM_TRY(get(f, path, name, AM_H5_I64, 1, &info, &bytes));
  *value = (int64_t *)(void *)bytes;
  *count = info.count;
  return AM_OK;
}
bool am_h5_has(am_h5 *f, const char *path) {
  am_h5_lock();
  bool has = object_type(f, path) != H5O_TYPE_UNKNOWN;
  H5Eclear2(H5E_DEFAULT);
  am_h5_unlock();
  return has;
}
bool am_h5_is_group(am_h5 *f, const char *path) {
  am_h5_lock();
  bool is = object_type(f, path) == H5O_TYPE_GROUP;
  H5Eclear2(H5E_DEFAULT);
  am_h5_unlock();
  return is;
}
bool am_h5_has_attr(am_h5 *f, const char *path, const char *name) {
  am_h5_lock();
  bool has = object_type(f, path) != H5O_TYPE_UNKNOWN &&
             H5Aexists_by_name(f->file, am_h5_object_name(path), name, H5P_DEFAULT) > 0;
  H5Eclear2(H5E_DEFAULT);
  am_h5_unlock();
  return has;
}

am_err am_h5_describe(am_h5 *f, const char *path, am_h5_info *out) {
  source s;
  am_h5_lock();
  am_err err = source_open(f, path, NULL, &s);
  if (!err) {
    *out = s.info;
    source_close(&s, false);
  }
  am_h5_unlock();
  return err;
}

static am_err list_locked(am_h5 *f, const char *path, char ***name, int64_t *count) {
  enum { MOST_NAMES = 1 << 20 };
  am_err err = AM_OK;
  H5G_info_t group;
  char **list = NULL;
  int64_t n = 0;
  AM_CHECK(object_type(f, path) == H5O_TYPE_GROUP &&
               H5Gget_info_by_name(f->file, am_h5_object_name(path), &group, H5P_DEFAULT) >= 0,
           AM_ERR_DATA, "%s: there is no group /%s", f->path, path);
  AM_CHECK(group.nlinks <= MOST_NAMES, AM_ERR_DATA, "%s: /%s holds more than %d objects", f->path, path,
           MOST_NAMES);
  AM_TRY(AM_NEW_ARRAY(&list, (int64_t)group.nlinks));
  for (; n < (int64_t)group.nlinks; n++) {
    const char *object = am_h5_object_name(path);
    ssize_t length =
        H5Lget_name_by_idx(f->file, object, H5_INDEX_NAME, H5_ITER_INC, (hsize_t)n, NULL, 0, H5P_DEFAULT);
    AM_CHECK_GO(fail, length >= 0, AM_ERR_DATA, "%s: cannot list /%s: %s", f->path, path, am_h5_reason());
    AM_GO(fail, AM_NEW_ARRAY(&list[n], (int64_t)length + 1));
    H5Lget_name_by_idx(f->file, object, H5_INDEX_NAME, H5_ITER_INC, (hsize_t)n, list[n], (size_t)length + 1,
                       H5P_DEFAULT);
  }
  *name = list;
  *count = n;
  return AM_OK;
fail:
  am_h5_free_texts(list, n);
  return err;
}

am_err am_h5_list(am_h5 *f, const char *path, char ***name, int64_t *count) {
  am_h5_lock();
  am_err err = list_locked(f, path, name, count);
  am_h5_unlock();
  return err;
}

am_err am_h5_offset(am_h5 *f, const char *path, int64_t *offset) {
  source s;
  *offset = -1;
  am_h5_lock();
  am_err err = source_open(f, path, NULL, &s);
  if (!err) {
    haddr_t at = H5Dget_offset(s.id);
    int64_t bytes = s.info.count * s.info.item_bytes;
    if (at != HADDR_UNDEF && at <= (haddr_t)f->file_bytes && bytes <= f->file_bytes - (int64_t)at)
      *offset = (int64_t)at;
    source_close(&s, false);
  }
  am_h5_unlock();
  return err;
}
