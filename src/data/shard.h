// Shards: HDF5 files with the images of one block of sample indices. Readable with h5py alone.
//
//   /image_bytes  u8  (total)   image after image, one contiguous run
//   /offset       u64 (n + 1)   image i is image_bytes[offset[i] .. offset[i+1])
//   /label        i32 (n)       class, -1 when unlabelled
//   /index        i64 (n)       sample index in the pool or data set
//   /crc32c       u32 (n)       of each image's bytes
//   /source, ...  optional i64 (n) columns of provenance (source image index, seed, ...)
//   attributes of /: format "augmint-shard-1", encoding "raw" | "png" | "jpeg" | "files",
//                    height, width, channels (i64; 0 when images differ), classes (i64 count),
//                    class_names (fixed-length strings)
// raw = u8 (height, width, channels), all images of one size; files = JPEG or PNG, each as its own first
// bytes say. No chunks, no filters, no timestamps,
// no variable-length types: equal content is equal bytes. Files of other writers may be chunked or
// compressed; their images are then read into memory on open.
#ifndef AM_DATA_SHARD_H
#define AM_DATA_SHARD_H

#include "data/image.h"

enum { AM_SHARD_COLUMNS = 8, AM_SHARD_NAME = 32 };

typedef enum { AM_ENCODING_RAW, AM_ENCODING_PNG, AM_ENCODING_JPEG, AM_ENCODING_FILES } am_encoding;

typedef struct {
  am_encoding encoding;
  int64_t height, width, channels;  // 0: images differ
  int64_t class_count;
  const char *const *class_name;  // borrowed
  int column_count;               // provenance columns
  const char *column_name[AM_SHARD_COLUMNS];
} am_shard_desc;

// A block in memory, written whole. One writer makes one file; publish is write, fsync, rename.
typedef struct am_shard_writer am_shard_writer;
AM_MUST_USE am_err am_shard_writer_new(const am_shard_desc *desc, am_shard_writer **out);
void am_shard_writer_free(am_shard_writer *w);
AM_MUST_USE am_err am_shard_add(am_shard_writer *w, const void *bytes, size_t count, int32_t label,
                                int64_t index, const int64_t *column /* column_count values, NULL: all -1 */);
// Encoded as the shard is (JPEG at quality 95; files: PNG).
AM_MUST_USE am_err am_shard_add_image(am_shard_writer *w, const am_image *image, int32_t label, int64_t index,
                                      const int64_t *column);
// Errors: AM_ERR_IO (full disk, unwritable folder); the target is then as before.
AM_MUST_USE am_err am_shard_publish(am_shard_writer *w, const char *path);

// Reading: the metadata is loaded and checked on open, image bytes are mapped (H5Dget_offset) or,
// where HDF5 gives no offset, read through HDF5. Thread-safe after open.
// Errors: AM_ERR_DATA foreign, truncated or corrupt file, with path and reason.
typedef struct am_shard am_shard;
AM_MUST_USE am_err am_shard_open(const char *path, am_shard **out);
void am_shard_close(am_shard *s);
int64_t am_shard_count(const am_shard *s);
const am_shard_desc *am_shard_describe(const am_shard *s);
int32_t am_shard_label(const am_shard *s, int64_t i);
int64_t am_shard_index(const am_shard *s, int64_t i);
const char *am_shard_path(const am_shard *s);
// The named provenance column (n values), or NULL.
const int64_t *am_shard_column(const am_shard *s, const char *name);
// Stored bytes of image i; borrowed, valid until close. Errors: AM_ERR_DATA on a CRC mismatch
// (checked on the first access of each image).
AM_MUST_USE am_err am_shard_bytes(am_shard *s, int64_t i, const uint8_t **bytes, size_t *count);
AM_MUST_USE am_err am_shard_image(am_shard *s, int64_t i, am_image *out);  // decoded
// Checks every CRC.
AM_MUST_USE am_err am_shard_verify(am_shard *s);

// All shards of a folder (names sorted: block-00000000.h5, ...) as one sequence ordered by index, then
// label; a single .h5 file works too. Errors: AM_ERR_DATA shards that disagree, or none, or a sample
// (index and label) that occurs twice.
typedef struct am_shard_set am_shard_set;
AM_MUST_USE am_err am_shard_set_open(const char *path, am_shard_set **out);
void am_shard_set_close(am_shard_set *set);
int64_t am_shard_set_count(const am_shard_set *set);
const am_shard_desc *am_shard_set_describe(const am_shard_set *set);
am_shard *am_shard_set_at(am_shard_set *set, int64_t i, int64_t *row);  // which shard and row hold item i

#endif
