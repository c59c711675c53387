// HDF5 files: opening, building in memory, publishing.
#include "data/h5_internal.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"

static pthread_mutex_t library_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static char reason[256];  // guarded by library_lock

static void start_library(void) {
  H5open();
  H5Eset_auto2(H5E_DEFAULT, NULL, NULL);  // errors are returned, not printed
  H5PLset_loading_state(0);               // a file must not make us load code
}
void am_h5_lock(void) {
  pthread_mutex_lock(&library_lock);
  pthread_once(&library_once, start_library);
  reason[0] = '\0';
}
void am_h5_unlock(void) { pthread_mutex_unlock(&library_lock); }

static herr_t keep_deepest(unsigned n, const H5E_error2_t *e, void *user) {
  if (e->desc) snprintf(reason, sizeof reason, "%s", e->desc);
  return 0;
}
bool am_h5_noted(bool good) {
  if (!good) H5Ewalk2(H5E_DEFAULT, H5E_WALK_DOWNWARD, keep_deepest, NULL);
  return good;
}
const char *am_h5_reason(void) {
  am_h5_noted(false);
  H5Eclear2(H5E_DEFAULT);
  return reason[0] ? reason : "HDF5 gives no reason";
}

const char *am_h5_type_name(am_h5_type type) {
  static const char *const name[] = {"u8", "i32", "u32", "i64", "u64", "f32", "f64", "text"};
  return name[type];
}
hid_t am_h5_file_type(am_h5_type type) {
  const hid_t id[] = {H5T_STD_U8LE,  H5T_STD_I32LE,  H5T_STD_U32LE, H5T_STD_I64LE,
                      H5T_STD_U64LE, H5T_IEEE_F32LE, H5T_IEEE_F64LE};
  return id[type];
}
hid_t am_h5_memory_type(am_h5_type type) {
  const hid_t id[] = {H5T_NATIVE_UINT8,  H5T_NATIVE_INT32, H5T_NATIVE_UINT32, H5T_NATIVE_INT64,
                      H5T_NATIVE_UINT64, H5T_NATIVE_FLOAT, H5T_NATIVE_DOUBLE};
  return id[type];
}
const char *am_h5_object_name(const char *path) { return *path ? path : "/"; }

// ---- a file in memory: HDF5's core driver, with the memory under our control ----
//
// The bytes are taken at close, when HDF5 has completed the superblock. (H5Fget_file_image, asked
// before, clears a flag without renewing the superblock's checksum.)

static void *memory_malloc(size_t bytes, H5FD_file_image_op_t op, void *user) { return malloc(bytes); }
static void *memory_copy(void *to, const void *from, size_t bytes, H5FD_file_image_op_t op, void *user) {
  return memcpy(to, from, bytes);
}
// Zeroed (equal content, equal bytes); of a large block only the pages that are written cost anything.
static void *memory_grow(void *old, size_t bytes, H5FD_file_image_op_t op, void *user) {
  am_h5_memory *m = user;
  if (old && bytes <= m->room) {
    m->bytes = bytes;
    return old;
  }
  size_t room = m->room < bytes / 2 ? bytes : 2 * m->room;
  uint8_t *grown = calloc(1, room);
  if (!grown) return NULL;
  size_t before = m->array_at < m->bytes ? m->array_at : m->bytes, after = m->array_at + m->array_bytes;
  if (old) memcpy(grown, old, before);
  if (old && after < m->bytes) memcpy(grown + after, (const uint8_t *)old + after, m->bytes - after);
  free(old);
  m->bytes = bytes;
  m->room = room;
  return grown;
}
static herr_t memory_release(void *image, H5FD_file_image_op_t op, void *user) {
  am_h5_memory *m = user;
  if (op == H5FD_FILE_IMAGE_OP_FILE_CLOSE) {
    m->image = image;
  } else {
    free(image);
  }
  return 0;
}
static void *same_user(void *user) { return user; }
static herr_t keep_user(void *user) { return 0; }

// No time stamps anywhere: they are on unless switched off per object.
static hid_t create_in_memory(am_h5_memory *memory) {
  enum { GROWTH_BYTES = 1 << 16 };
  H5FD_file_image_callbacks_t callbacks = {memory_malloc, memory_copy, memory_grow, memory_release,
                                           same_user,     keep_user,   memory};
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), creation = H5Pcreate(H5P_FILE_CREATE), file = H5I_INVALID_HID;
  if (access >= 0 && creation >= 0 && H5Pset_fapl_core(access, GROWTH_BYTES, 0) >= 0 &&
      H5Pset_file_image_callbacks(access, &callbacks) >= 0 &&
      H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) >= 0 &&
      H5Pset_obj_track_times(creation, 0) >= 0) {
    file = H5Fcreate("in-memory", H5F_ACC_TRUNC, creation, access);
    am_h5_noted(file >= 0);
  }
  H5Pclose(access);
  H5Pclose(creation);
  return file;
}

am_err am_h5_create(am_h5 **out) {
  am_err err = AM_OK;
  am_h5 *f = NULL;
  AM_TRY(AM_NEW(&f));
  f->file = H5I_INVALID_HID;
  AM_GO(done, am_mem_strdup("(memory)", &f->path));
  am_h5_lock();
  f->file = create_in_memory(&f->memory);
  if (f->file < 0) err = AM_FAIL(AM_ERR_NOMEM, "cannot build an HDF5 file in memory: %s", am_h5_reason());
  am_h5_unlock();
  if (err) goto done;
  *out = f;
  f = NULL;
done:
  am_h5_close(f);
  return err;
}

// Published files never change, so locking them (which fails on some shared file systems) is off.
static hid_t open_to_read(const char *path) {
  hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = H5I_INVALID_HID;
  if (access >= 0 && H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) >= 0 &&
      H5Pset_file_locking(access, 0, 1) >= 0) {
    file = H5Fopen(path, H5F_ACC_RDONLY, access);
    am_h5_noted(file >= 0);
  }
  H5Pclose(access);
  return file;
}

am_err am_h5_open(const char *path, am_h5 **out) {
  am_err err = AM_OK;
  am_h5 *f = NULL;
  AM_TRY(AM_NEW(&f));
  f->file = H5I_INVALID_HID;
  AM_GO(done, am_mem_strdup(path, &f->path));
  AM_GO(done, am_file_size(path, &f->file_bytes));
  AM_CHECK_GO(done, !am_path_is_dir(path), AM_ERR_IO, "cannot read %s: it is a folder", path);
  AM_CHECK_GO(done, f->file_bytes > 0, AM_ERR_DATA, "%s: the file is empty", path);
  am_h5_lock();
  f->file = open_to_read(path);
  if (f->file < 0) err = AM_FAIL(AM_ERR_DATA, "%s: not a readable HDF5 file: %s", path, am_h5_reason());
  am_h5_unlock();
  if (err) goto done;
  *out = f;
  f = NULL;
done:
  am_h5_close(f);
  return err;
}

static bool close_file(am_h5 *f) {
  if (f->file < 0) return true;
  am_h5_lock();
  bool good = H5Fclose(f->file) >= 0;
  H5Eclear2(H5E_DEFAULT);
  am_h5_unlock();
  f->file = H5I_INVALID_HID;
  return good;
}

void am_h5_close(am_h5 *f) {
  if (!f) return;
  close_file(f);
  free(f->memory.image);
  free(f->path);
  free(f);
}

// The memory grows in steps: how much of it is the file is the end-of-file address in the superblock
// (HDF5 file format, superblock version 2: eight bytes, little-endian, at byte 28).
static size_t file_bytes(const am_h5_memory *m) {
  enum { SUPERBLOCK_BYTES = 48, END_OF_FILE = 28 };
  uint64_t end = 0;
  if (!m->image || m->bytes < SUPERBLOCK_BYTES) return 0;
  for (int i = 7; i >= 0; i--) end = end << 8 | m->image[END_OF_FILE + i];
  size_t known = m->array_at + m->array_bytes > m->bytes ? m->array_at + m->array_bytes : m->bytes;
  return end <= known ? (size_t)end : 0;  // HDF5 does not extend the image by an array it never saw
}

am_err am_h5_publish(am_h5 *f, const char *path) {
  const am_h5_memory *m = &f->memory;
  AM_CHECK(close_file(f), AM_ERR_NOMEM, "cannot finish an HDF5 file in memory for %s", path);
  size_t bytes = file_bytes(m), after = m->array_at + m->array_bytes;
  AM_CHECK(bytes > 0 && after <= bytes, AM_ERR_INTERNAL,
           "the HDF5 file built in memory for %s has no superblock, or ends within its array", path);
  const am_piece piece[] = {
      {m->image, m->array_at}, {m->array, m->array_bytes}, {m->image + after, bytes - after}};
  return am_file_write_pieces(path, piece, AM_COUNT_OF(piece));
}
