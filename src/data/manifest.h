// Manifests: data/manifests/<name>.yaml says what a data set is; the files lie in DIR/<name>/.
//
// A manifest names its layout (class_folders, object_folders, flat, signs), classes, splits, which
// files belong together (object, byte-identical content) and must not be split, licence, where people get it.
// The keys are documented in data/manifests/README.md and by `augmint schema manifest`.
#ifndef AM_DATA_MANIFEST_H
#define AM_DATA_MANIFEST_H

#include "config/node.h"
#include "data/image.h"

typedef struct am_manifest am_manifest;
// `name` ("eth80") is looked up in manifest_dir, or is a path ending in .yaml.
AM_MUST_USE am_err am_manifest_load(const char *name, const char *manifest_dir, am_manifest **out);
void am_manifest_free(am_manifest *m);
const char *am_manifest_name(const am_manifest *m);
bool am_manifest_is_drawn(const am_manifest *m);  // `signs`: made by the program, needs no files

// One file of a data set.
typedef struct {
  char *path;        // owned: below the data set's folder; "" for drawn images
  char *mask_path;   // owned or NULL
  char *object;      // owned or NULL: object id within its class
  char *split;       // owned or NULL: the split the manifest puts it in
  int32_t label;
  int64_t index;     // place in the listing
  char sha256[65];   // of the file's bytes (filled by am_file_list_hash)
  int64_t group;     // files of one group stay together: same content (after hashing) or same object
} am_file_entry;

typedef struct {
  am_file_entry *entry;   // owned, sorted by class, then path in byte order
  int64_t count;
  char **class_name;      // owned
  int64_t class_count;
  char *root;             // owned: DIR/<manifest>
} am_file_list;
void am_file_list_fini(am_file_list *list);

// Which part of a data set: a `data.train`-like node of an experiment.
typedef struct {
  const char *split;               // NULL: all
  const char *const *class_name;   // NULL: the manifest's; order gives the labels
  int64_t class_count;
  // objects[k]: comma-separated object ids of class k, NULL: all
  const char *const *object;
} am_selection;

// Lists the files, without reading them. Errors: AM_ERR_DATA: missing folder (says where the data set can
// be had), a class with no image, unknown class (nearest name) or object.
AM_MUST_USE am_err am_manifest_list(am_manifest *m, const char *data_dir, const am_selection *what, am_file_list *out);
// SHA-256 of every file and the groups of identical content. cache_path (may be NULL) remembers
// hashes by path, size and modification time.
AM_MUST_USE am_err am_file_list_hash(am_file_list *list, const char *cache_path);
// Image i, RGB, decoded (or drawn).
AM_MUST_USE am_err am_manifest_image(am_manifest *m, const am_file_list *list, int64_t i, am_image *out);
// Hash over the selection's meaning: class names, and label and content hash of each file in order.
AM_MUST_USE am_err am_file_list_address(const am_file_list *list, char hex[65]);

#endif
