// What a split of an experiment is made of: which files, and the hash of what is in them.
#ifndef AM_SWEEP_SOURCE_H
#define AM_SWEEP_SOURCE_H

#include "base/hash.h"
#include "data/manifest.h"
#include "dist/comm.h"
#include "sweep/experiment.h"

enum { AM_CLASS_NAME = 96 };
typedef struct {
  char address[AM_SHA256_HEX];  // of the selected files' contents and labels
  int64_t images, class_count;
  int64_t *per_class;                 // owned
  char (*class_name)[AM_CLASS_NAME];  // owned
  int64_t dropped;                    // files left out because train holds the same bytes
} am_source;

typedef struct {
  const char *data_dir, *manifest_dir;
  const char *cache_dir;  // remembers listings and hashes; NULL: none
} am_source_dirs;

// Collective(comm). The sources of every draw and split ([draw][split]): rank 0 looks at the files,
// the others are told. comm NULL: this rank is alone. *out is heap memory, freed with am_sources_free.
// Errors: AM_ERR_DATA, AM_ERR_CONFIG as am_manifest_load and am_manifest_list give them; a class
// without images.
AM_MUST_USE am_err am_sources_look(const am_experiment *e, const am_source_dirs *dirs, am_comm *comm,
                                   am_source **out);
void am_sources_free(am_source *s, int64_t count);

// The files of one split, hashed: selected by class, object and split, at most per_class of each
// class, without those of a test split whose bytes are also in train. Local.
AM_MUST_USE am_err am_source_files(const am_experiment *e, int64_t draw, int64_t split,
                                   const am_source_dirs *dirs, am_manifest **manifest, am_file_list *list,
                                   int64_t *dropped);

#endif
