// The weights that an experiment's models start from: where they are and what is in them.
#ifndef AM_SWEEP_GIVEN_H
#define AM_SWEEP_GIVEN_H

#include "base/hash.h"
#include "dist/comm.h"
#include "sweep/source.h"

typedef struct {
  char *path;                  // owned; NULL: the model starts from its seed
  char sha256[AM_SHA256_HEX];  // of the file's bytes
} am_given;

// Collective(comm). One entry for each model of e: rank 0 hashes the files and checks that they fit
// the network and the classes of the data; the others are told. comm NULL: this rank is alone. *out is
// heap memory, freed with am_given_free. Errors: AM_ERR_CONFIG, AM_ERR_DATA of weights/pinned.h and
// sweep/finetune.h.
AM_MUST_USE am_err am_given_look(const am_experiment *e, const am_source *source, const am_source_dirs *dirs,
                                 am_comm *comm, am_given **out);
void am_given_free(am_given *g, int64_t count);

#endif
