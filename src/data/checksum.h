// Published checksums of a data set's files and archives: what its manifest's `checksums` says, compared
// with what is there.
#ifndef AM_DATA_CHECKSUM_H
#define AM_DATA_CHECKSUM_H

#include "base/hash.h"
#include "data/manifest.h"

typedef struct {
  const char *file;  // borrowed: the name in the manifest
  const char *kind;  // borrowed: "md5", "sha256"
  const char *hex;   // borrowed: what is published
  bool there;        // the file was found
  bool agrees;
  char found[AM_SHA256_HEX];  // when it is there
} am_checksum;

int64_t am_checksum_count(const am_manifest *m);
// Looks at file k: in the folder of the archive or the data set's own. A file that is there only as NAME.gz
// is unpacked for it. Errors: AM_ERR_IO; AM_ERR_DATA it does not unpack.
AM_MUST_USE am_err am_checksum_look(const am_manifest *m, const char *data_dir, int64_t k, am_checksum *out);

#endif
