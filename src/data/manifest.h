// Manifests: data/manifests/<name>.yaml says what a data set is; the files lie in DIR/<name>/.
//
// A manifest names its layout (class_folders, object_folders, flat, idx, records, signs), classes, splits,
// which files belong together (object, byte-identical content) and must not be split, licence, where people
// get it.
// The keys are documented in data/manifests/README.md and by `augmint schema manifest`.
#ifndef AM_DATA_MANIFEST_H
#define AM_DATA_MANIFEST_H

#include "base/arena.h"
#include "config/bind.h"
#include "data/image.h"
#include "data/packed.h"

#define AM_MANIFEST_FIELDS(I, F, B, S, C)                                                                   \
  S(name, "", "names the folder below the data folder; empty: the name of the manifest file")               \
  S(title, "", "the data set's own name, for messages and reports")                                         \
  C(layout, NULL, "class_folders|object_folders|flat|idx|records|signs",                                    \
    "how files are arranged; idx, records: many images in one file; signs: drawn, no files")                \
  S(archive_folder, "", "folder that unpacking the archive makes; used where the data set's folder has it") \
  S(folder, "", "where the images begin, below the data set's folder")                                      \
  S(class_pattern, "",                                                                                      \
    "flat: regular expression on the file name whose first group is the class; empty: one class")           \
  S(object_pattern, "", "regular expression on the file name whose first group is the object; empty: none") \
  S(mask_folder, "", "where an image's mask lies, relative to the image's folder")                          \
  S(mask_suffix, "", "ending of the mask's name in place of the image's extension; empty: no masks")        \
  I(images, 0, 0, 1000000000, "images", "how many the complete set has; 0: not stated")                     \
  S(source, "", "where people get it")                                                                      \
  S(licence, "", "under which terms")                                                                       \
  S(citation, "", "what to cite")                                                                           \
  S(note, "", "what a user has to know")
#define AM_PACKED_FIELDS(I, F, B, S, C)                                                 \
  I(height, 0, 0, 65500, "px", "records: of every image")                               \
  I(width, 0, 0, 65500, "px", "records: of every image")                                \
  I(channels, 3, 1, 3, "", "records: planes of an image, 1 grey or 3 RGB")              \
  I(label_bytes, 0, 0, 16, "bytes", "records: labels before each image; 0: none there") \
  I(label_at, 0, 0, 15, "", "records: which of the label bytes is used, from 0")        \
  B(transposed, false, "planes are stored column after column, not row after row")      \
  I(first_label, 0, 0, 255, "", "label of the first class in the files")
#define AM_DIVIDE_FIELDS(I, F, B, S, C)                                                 \
  C(by, "object", "object|content",                                                     \
    "what is never split: files of one object and identical files, or only the latter") \
  I(seed, 0, 0, 4294967295.0, "", "another seed is another division")
typedef struct {
  AM_STRUCT(AM_MANIFEST_FIELDS)
} am_manifest_cfg;
typedef struct {
  AM_STRUCT(AM_PACKED_FIELDS)
} am_packed_cfg;
typedef struct {
  AM_STRUCT(AM_DIVIDE_FIELDS)
} am_divide_cfg;
extern const am_schema am_manifest_schema, am_packed_schema, am_divide_schema;

typedef struct am_manifest am_manifest;
// `name` ("eth80") is looked up in manifest_dir, or is a path ending in .yaml. Errors: AM_ERR_CONFIG with
// file, line, column and key; an unknown name with the nearest known one.
AM_MUST_USE am_err am_manifest_load(const char *name, const char *manifest_dir, am_manifest **out);
// The same from text; `name` is its file's, for messages. The fuzz target enters here.
AM_MUST_USE am_err am_manifest_parse(const char *name, const char *text, size_t bytes, am_manifest **out);
void am_manifest_free(am_manifest *m);
const char *am_manifest_name(const am_manifest *m);
bool am_manifest_is_drawn(const am_manifest *m);  // `signs`: made by the program, needs no files
const am_manifest_cfg *am_manifest_describe(const am_manifest *m);
// The splits it names, in its order; 0 when it has none.
int64_t am_manifest_split_count(const am_manifest *m);
const char *am_manifest_split_name(const am_manifest *m, int64_t k);
// How many images the manifest says split k has; 0: not stated.
int64_t am_manifest_split_images(const am_manifest *m, int64_t k);
// Split k has no labels: it is listed only when it is named.
bool am_manifest_split_is_unlabelled(const am_manifest *m, int64_t k);
// A folder that remembers what listing found out: what is in folders, and hashes (see am_file_list_hash) for
// manifests that divide by content, which have to read every file to list one. Borrowed; NULL: none.
void am_manifest_set_cache(am_manifest *m, const char *cache_dir);

// One image of a data set: a file, or one of the many in a packed file. Its words lie in the list's memory.
typedef struct {
  const char *path;       // below the data set's folder; packed: "FILE#17"; drawn: "train/stop/7"
  const char *mask_path;  // likewise, or NULL
  const char *object;     // object id within its class, or NULL
  const char *split;      // the split the manifest puts it in, or NULL
  const uint8_t
      *sha256;  // 32 bytes, of the file's bytes, packed: of the pixels; NULL before am_file_list_hash
  const am_packed *packed;  // borrowed from the list: the file it is in; NULL: a file of its own, or drawn
  int64_t index;            // place in the listing
  int32_t label;
  int32_t number;  // drawn images: which one of its split and class; packed: which one of its file
} am_file_entry;

typedef struct {
  am_file_entry *entry;  // owned, sorted by class, then path in byte order
  int64_t count, capacity;
  char **class_name;  // owned
  int64_t class_count;
  char *root;          // owned: DIR/<manifest>
  am_packed **packed;  // owned: open packed files
  int64_t packed_count, packed_capacity;
  am_arena text;  // owned: what the entries point to
} am_file_list;
void am_file_list_fini(am_file_list *list);
// Keeps the entries whose flag is set, in order; their `index` stays.
void am_file_list_keep(am_file_list *list, const bool *keep);

// Which part of a data set: a `data.train`-like node of an experiment.
typedef struct {
  const char *split;              // NULL: all
  const char *const *class_name;  // NULL: the manifest's; order gives the labels
  int64_t class_count;
  // objects[k]: comma-separated object ids of class k, NULL: all
  const char *const *object;
} am_selection;

// Lists the images, without reading them (except where the manifest divides them by content); packed
// files are opened and checked, and stay open with the list. A split without labels has one class,
// `unlabelled`, and is listed only when it is named. Errors: AM_ERR_CONFIG unknown split, class or object
// (with what there is); AM_ERR_DATA missing folder or file (says where the data set can be had), a packed
// file that is not what it should be, a class with no image.
AM_MUST_USE am_err am_manifest_list(am_manifest *m, const char *data_dir, const am_selection *what,
                                    am_file_list *out);
// SHA-256 of every image. cache_dir (may be NULL) is a folder that remembers hashes by path, size and
// modification time; one that cannot be read or written costs only time. Drawn images hash the revision
// of the artwork and their name.
AM_MUST_USE am_err am_file_list_hash(am_file_list *list, const char *cache_dir);
// group[i] (list->count values) = which images belong together, numbered from 0 as they first occur: the same
// content where there are hashes and, if by_object, the same object of a class, and all that these connect.
AM_MUST_USE am_err am_file_list_group(const am_file_list *list, bool by_object, int64_t *group);
// Image i, RGB, decoded (or drawn). Errors: AM_ERR_DATA naming the file: the caller decides what a
// corrupt image means.
AM_MUST_USE am_err am_manifest_image(am_manifest *m, const am_file_list *list, int64_t i, am_image *out);
// Its file as it is: heap memory of the caller, or NULL where it has none of its own (packed, drawn).
AM_MUST_USE am_err am_manifest_file(am_manifest *m, const am_file_list *list, int64_t i, char **bytes,
                                    size_t *count);
// Its mask, one channel, foreground above 127. Errors: AM_ERR_DATA when there is none.
AM_MUST_USE am_err am_manifest_mask(am_manifest *m, const am_file_list *list, int64_t i, am_image *out);
// Hash over the selection's meaning: class names, and label and content hash of each file in order.
AM_MUST_USE am_err am_file_list_address(const am_file_list *list, char hex[65]);

#endif
