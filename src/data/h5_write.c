// Writing groups, arrays, text and attributes into a file in memory.
//
// The static functions run under the library's lock and report with false; the public ones turn
// that into an am_err.
#include "data/h5_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"

static bool make_group(hid_t file, const char *path) {
  if (H5Lexists(file, path, H5P_DEFAULT) > 0) return true;
  hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
  bool good = creation >= 0 && H5Pset_obj_track_times(creation, 0) >= 0;
  hid_t group = good ? H5Gcreate2(file, path, H5P_DEFAULT, creation, H5P_DEFAULT) : H5I_INVALID_HID;
  am_h5_noted(group >= 0);
  if (group >= 0) H5Gclose(group);
  H5Pclose(creation);
  return group >= 0;
}

// Makes the groups "a", "a/b" on the way to "a/b/c"; the last part too when `whole`.
static bool make_parents(hid_t file, char *path, bool whole) {
  for (char *slash = strchr(path, '/'); slash; slash = strchr(slash + 1, '/')) {
    *slash = '\0';
    bool good = make_group(file, path);
    *slash = '/';
    if (!good) return false;
  }
  return !whole || make_group(file, path);
}

static hid_t create_set(hid_t file, const char *path, hid_t file_type, hid_t space, H5D_alloc_time_t when) {
  hid_t creation = H5Pcreate(H5P_DATASET_CREATE), set = H5I_INVALID_HID;
  if (creation >= 0 && H5Pset_obj_track_times(creation, 0) >= 0 &&
      H5Pset_layout(creation, H5D_CONTIGUOUS) >= 0 && H5Pset_alloc_time(creation, when) >= 0 &&
      H5Pset_fill_time(creation, H5D_FILL_TIME_NEVER) >= 0) {
    set = H5Dcreate2(file, path, file_type, space, H5P_DEFAULT, creation, H5P_DEFAULT);
  }
  am_h5_noted(set >= 0);
  H5Pclose(creation);
  return set;
}

static bool write_set(hid_t file, const char *path, hid_t file_type, hid_t memory_type, hid_t space,
                      const void *data) {
  hid_t set = create_set(file, path, file_type, space, H5D_ALLOC_TIME_LATE);
  bool good = set >= 0 && (H5Sget_simple_extent_npoints(space) == 0 ||
                           H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) >= 0);
  am_h5_noted(good);
  if (set >= 0) H5Dclose(set);
  return good;
}

static bool write_attr(hid_t file, const char *path, const char *name, hid_t file_type, hid_t memory_type,
                       hid_t space, const void *data) {
  hid_t object = H5Oopen(file, am_h5_object_name(path), H5P_DEFAULT);
  hid_t attr =
      object >= 0 ? H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT) : H5I_INVALID_HID;
  bool good =
      attr >= 0 && (H5Sget_simple_extent_npoints(space) == 0 || H5Awrite(attr, memory_type, data) >= 0);
  am_h5_noted(good);
  if (attr >= 0) H5Aclose(attr);
  if (object >= 0) H5Oclose(object);
  return good;
}

// One array, as a data set (attr NULL) or as an attribute of the object at path. dim NULL: a scalar.
static am_err put(am_h5 *f, const char *path, const char *attr, hid_t file_type, hid_t memory_type, int ndim,
                  const int64_t *dim, const void *data) {
  am_err err = AM_OK;
  char *copy = NULL;
  hsize_t extent[AM_H5_DIMS] = {0};
  AM_CHECK(ndim <= AM_H5_DIMS, AM_ERR_ARG, "%s: %d dimensions, at most %d", path, ndim, AM_H5_DIMS);
  for (int d = 0; d < ndim; d++) extent[d] = (hsize_t)dim[d];
  AM_TRY(am_mem_strdup(path, &copy));
  am_h5_lock();
  hid_t space = ndim ? H5Screate_simple(ndim, extent, NULL) : H5Screate(H5S_SCALAR);
  bool good = space >= 0 && (attr ? write_attr(f->file, path, attr, file_type, memory_type, space, data)
                                  : make_parents(f->file, copy, false) &&
                                        write_set(f->file, path, file_type, memory_type, space, data));
  if (!good) {
    err = AM_FAIL(AM_ERR_NOMEM, "cannot put %s%s%s into an HDF5 file: %s", path, attr ? " attribute " : "",
                  attr ? attr : "", am_h5_reason());
  }
  if (space >= 0) H5Sclose(space);
  am_h5_unlock();
  free(copy);
  return err;
}

am_err am_h5_put_group(am_h5 *f, const char *path) {
  char *copy = NULL;
  AM_TRY(am_mem_strdup(path, &copy));
  am_h5_lock();
  am_err err =
      make_parents(f->file, copy, true)
          ? AM_OK
          : AM_FAIL(AM_ERR_NOMEM, "cannot make the group %s in an HDF5 file: %s", path, am_h5_reason());
  am_h5_unlock();
  free(copy);
  return err;
}

am_err am_h5_put(am_h5 *f, const char *path, am_h5_type type, int ndim, const int64_t *dim,
                 const void *data) {
  return put(f, path, NULL, am_h5_file_type(type), am_h5_memory_type(type), ndim, dim, data);
}
// Gives the array its place in the file without writing it.
static bool place_set(am_h5 *f, const char *path, am_h5_type type, int64_t count) {
  hsize_t extent = (hsize_t)count;
  hid_t space = H5Screate_simple(1, &extent, NULL), set = H5I_INVALID_HID;
  if (space >= 0) set = create_set(f->file, path, am_h5_file_type(type), space, H5D_ALLOC_TIME_EARLY);
  haddr_t at = set >= 0 ? H5Dget_offset(set) : HADDR_UNDEF;
  bool good = am_h5_noted(at != HADDR_UNDEF);
  if (good) f->memory.array_at = (size_t)at;
  if (set >= 0) H5Dclose(set);
  if (space >= 0) H5Sclose(space);
  return good;
}

am_err am_h5_put_borrowed(am_h5 *f, const char *path, am_h5_type type, int64_t count, const void *data) {
  if (count == 0) return am_h5_put(f, path, type, 1, &count, data);
  am_err err = AM_OK;
  AM_CHECK(!f->memory.array, AM_ERR_ARG, "%s: a second borrowed array in one HDF5 file", path);
  am_h5_lock();
  if (place_set(f, path, type, count)) {
    f->memory.array = data;
    f->memory.array_bytes = (size_t)count * H5Tget_size(am_h5_memory_type(type));
  } else {
    err = AM_FAIL(AM_ERR_NOMEM, "cannot put %s into an HDF5 file: %s", path, am_h5_reason());
  }
  am_h5_unlock();
  return err;
}
am_err am_h5_put_attr_i64(am_h5 *f, const char *path, const char *name, int64_t value) {
  return put(f, path, name, am_h5_file_type(AM_H5_I64), am_h5_memory_type(AM_H5_I64), 0, NULL, &value);
}
am_err am_h5_put_attr_i64s(am_h5 *f, const char *path, const char *name, const int64_t *value,
                           int64_t count) {
  return put(f, path, name, am_h5_file_type(AM_H5_I64), am_h5_memory_type(AM_H5_I64), 1, &count, value);
}
static hid_t text_type(size_t bytes) {
  am_h5_lock();
  hid_t type = H5Tcopy(H5T_C_S1);
  if (type >= 0 && (H5Tset_size(type, bytes) < 0 || H5Tset_strpad(type, H5T_STR_NULLPAD) < 0 ||
                    H5Tset_cset(type, H5T_CSET_UTF8) < 0)) {
    H5Tclose(type);
    type = H5I_INVALID_HID;
  }
  am_h5_unlock();
  return type;
}

// Texts side by side, zero-padded to the longest.
static am_err pack_texts(const char *const *text, int64_t count, char **out, size_t *item_bytes) {
  size_t longest = 1;
  int64_t total = 0;
  for (int64_t i = 0; i < count; i++) longest = strlen(text[i]) > longest ? strlen(text[i]) : longest;
  AM_CHECK(am_mul_i64(count, (int64_t)longest, &total), AM_ERR_NOMEM, "%lld texts of %zu bytes",
           (long long)count, longest);
  AM_TRY(AM_NEW_ARRAY(out, total));
  for (int64_t i = 0; i < count; i++) memcpy(*out + (size_t)i * longest, text[i], strlen(text[i]));
  *item_bytes = longest;
  return AM_OK;
}

static am_err put_texts(am_h5 *f, const char *path, const char *attr, int ndim, const char *const *text,
                        int64_t count) {
  am_err err = AM_OK;
  char *packed = NULL;
  size_t item_bytes = 0;
  hid_t type = H5I_INVALID_HID;
  AM_GO(done, pack_texts(text, count, &packed, &item_bytes));
  type = text_type(item_bytes);
  AM_CHECK_GO(done, type >= 0, AM_ERR_NOMEM, "cannot make an HDF5 text type of %zu bytes", item_bytes);
  AM_GO(done, put(f, path, attr, type, type, ndim, &count, packed));
done:
  if (type >= 0) {
    am_h5_lock();
    H5Tclose(type);
    am_h5_unlock();
  }
  free(packed);
  return err;
}

am_err am_h5_put_text(am_h5 *f, const char *path, const char *const *text, int64_t count) {
  return put_texts(f, path, NULL, 1, text, count);
}
am_err am_h5_put_attr_text(am_h5 *f, const char *path, const char *name, const char *value) {
  return put_texts(f, path, name, 0, &value, 1);
}
am_err am_h5_put_attr_texts(am_h5 *f, const char *path, const char *name, const char *const *text,
                            int64_t count) {
  return put_texts(f, path, name, 1, text, count);
}
