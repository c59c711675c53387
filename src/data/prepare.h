// From files to packed shards: decode, resize, write. What the `prepare` stage of a sweep does.
#ifndef AM_DATA_PREPARE_H
#define AM_DATA_PREPARE_H

#include "data/fit.h"
#include "data/manifest.h"
#include "data/shard.h"

typedef struct {
  am_image_fit fit;
  bool keep_files;       // the shards hold the encoded files, of any size; who reads them fits the images
  double corrupt_limit;  // largest share of images that may be unreadable; 0: none
  int64_t block;         // images a shard
  int workers;           // threads that decode; the files do not depend on it
  // Called now and then by the calling thread; an error ends the work. NULL: nothing to look after.
  am_err (*watch)(void *user);
  void *user;
} am_prepare_cfg;

// What could not be read: "file: reason" in the order of the listing.
typedef struct {
  char **text;  // owned
  int64_t count, capacity;
} am_corrupt_list;
void am_corrupt_list_fini(am_corrupt_list *c);

// Writes DIR/block-<first index>.h5 and so on: raw pixels (or files), sample index and column `source` are the
// place in the listing; images that cannot be read are left out and named in *corrupt.
// Errors: AM_ERR_DATA more than corrupt_limit unreadable (names the first ones); AM_ERR_IO.
AM_MUST_USE am_err am_prepare_shards(am_manifest *m, const am_file_list *list, const am_prepare_cfg *cfg,
                                     const char *dir, am_corrupt_list *corrupt);

#endif
