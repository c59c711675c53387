// libFuzzer: a well-formed HDF5 file whose parts say anything is a shard that can be read, or an error.
//
// The container itself is HDF5's to check; what is fuzzed here is what we believe of its contents:
// sizes, counts, types, offsets, labels, and encoded images. An input is a header, then offsets,
// labels and image bytes. (CRCs are zero, so of the images only those with that sum are decoded;
// fuzz_image.c decodes the others.)
#include <hdf5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data/h5.h"
#include "data/shard.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

// HDF5 keeps half a megabyte of tables for each open file: without a limit it uses them again.
int LLVMFuzzerInitialize(int *argc, char ***argv) {
  H5set_free_list_limits(-1, -1, -1, -1, -1, -1);
  return 0;
}

typedef struct {
  int64_t height, width, channels, classes;
  uint8_t encoding, images, labels, class_names, column, types;
} header;

static void must(am_err err) {
  if (err) abort();
}

// The next `bytes` of the input, zeros once it is used up.
typedef struct {
  const uint8_t *data;
  size_t left;
} input;
static void take(input *in, void *out, size_t bytes) {
  size_t have = bytes < in->left ? bytes : in->left;
  memset(out, 0, bytes);
  if (have) memcpy(out, in->data, have);
  in->data += have;
  in->left -= have;
}

static void put_attributes(am_h5 *f, const header *h) {
  static const char *const encoding[] = {"raw", "png", "jpeg", "webp"}, *const name[] = {"a", "b", "c", "d"};
  must(am_h5_put_attr_text(f, "", "format", "augmint-shard-1"));
  must(am_h5_put_attr_text(f, "", "encoding", encoding[h->encoding % 4]));
  must(am_h5_put_attr_i64(f, "", "height", h->height));
  must(am_h5_put_attr_i64(f, "", "width", h->width));
  must(am_h5_put_attr_i64(f, "", "channels", h->channels));
  must(am_h5_put_attr_i64(f, "", "classes", h->classes));
  must(am_h5_put_attr_texts(f, "", "class_names", name, h->class_names % 5));
}

static void put_arrays(am_h5 *f, const header *h, input *in) {
  enum { MOST = 256 };
  uint64_t offset[MOST + 1];
  int32_t label[MOST] = {0};
  int64_t index[MOST], images = h->images, offsets = images + 1,
                       labels = h->labels & 1 ? h->labels : h->images;
  uint32_t crc[MOST] = {0};
  take(in, offset, (size_t)offsets * sizeof *offset);
  take(in, label, (size_t)labels * sizeof *label);
  for (int64_t i = 0; i < MOST; i++) index[i] = i;
  must(am_h5_put(f, "offset", h->types & 1 ? AM_H5_I64 : AM_H5_U64, 1, &offsets, offset));
  must(am_h5_put(f, "label", h->types & 2 ? AM_H5_F32 : AM_H5_I32, 1, &labels, label));
  must(am_h5_put(f, "index", AM_H5_I64, 1, &images, index));
  must(am_h5_put(f, "crc32c", AM_H5_U32, 1, &images, crc));
  if (h->column & 1) must(am_h5_put(f, "source", AM_H5_I64, 1, &images, index));
  if (h->column & 2) must(am_h5_put_group(f, "more"));
  int64_t bytes = (int64_t)in->left;
  must(am_h5_put(f, "image_bytes", h->types & 4 ? AM_H5_I32 : AM_H5_U8, 1, h->types & 4 ? &images : &bytes,
                 h->types & 4 ? (const void *)label : in->data));
}

// One file of this process, rewritten for every input; in memory where the system has such a folder,
// because publishing waits for the disk.
static const char *target_path(void) {
  static char path[64];
  if (path[0]) return path;
  const char *dir = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
  snprintf(path, sizeof path, "%s/fuzz-shard-XXXXXX", dir);
  int fd = mkstemp(path);
  if (fd < 0) abort();
  close(fd);
  return path;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  input in = {data, size};
  header h;
  am_h5 *f = NULL;
  am_shard *s = NULL;
  take(&in, &h, sizeof h);
  must(am_h5_create(&f));
  put_attributes(f, &h);
  put_arrays(f, &h, &in);
  must(am_h5_publish(f, target_path()));
  am_h5_close(f);
  if (am_shard_open(target_path(), &s)) return 0;
  for (int64_t i = 0; i < am_shard_count(s); i++) {
    am_image image = {0};
    if (!am_shard_image(s, i, &image)) am_image_fini(&image);
  }
  am_shard_close(s);
  return 0;
}
