// Weights by name: manifests/weights/<name>.yaml says what they are and what they must hash to; the file
// lies in DATA/weights/. Nothing is fetched: a missing file is an error that says where people get it.
// The keys are documented in data/manifests/README.md and by `augmint schema manifest`.
#ifndef AM_WEIGHTS_PINNED_H
#define AM_WEIGHTS_PINNED_H

#include "base/hash.h"
#include "config/bind.h"

#define AM_WEIGHTS_FIELDS(I, F, B, S, C)                                        \
  S(title, "", "what they are, for messages")                                   \
  S(file, "", "below the folder `weights` of the data folder; empty: NAME.safetensors") \
  S(sha256, "", "of the file; empty: any")                                      \
  S(source, "", "where people get them, and what to do with what they get")     \
  S(licence, "", "under which terms")                                           \
  S(citation, "", "what to cite")                                               \
  S(note, "", "what a user has to know")
typedef struct { AM_STRUCT(AM_WEIGHTS_FIELDS) } am_weights_cfg;
extern const am_schema am_weights_schema;

typedef struct {
  char *path;                  // owned: where the file is, or should be
  char sha256[AM_SHA256_HEX];  // what it must hash to; "": anything
  char *about;                 // owned: what, licence, source in words, for messages; "" for a plain file
} am_weights_ref;
// `name` is looked up in manifest_dir/weights, or is a path ending in .safetensors. Reads no weights.
// Errors: AM_ERR_CONFIG unknown name (with the nearest one), a hash that is none.
AM_MUST_USE am_err am_weights_ref_find(const char *name, const char *manifest_dir, const char *data_dir,
                                       am_weights_ref *out);
void am_weights_ref_fini(am_weights_ref *ref);
// SHA-256 of the file, which must be ref->sha256 when that is stated. cache_dir (may be NULL)
// remembers hashes as am_file_list_hash does. Errors: AM_ERR_DATA missing (with hash, licence and source), or
// another file than stated.
AM_MUST_USE am_err am_weights_ref_hash(const am_weights_ref *ref, const char *cache_dir,
                                       char hex[AM_SHA256_HEX]);
// Whether text is a SHA-256 in hexadecimal.
bool am_is_sha256(const char *text);

#endif
