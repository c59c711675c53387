// The store: finished artefacts by address. An artefact whose folder is there is complete.
//
//   store/<aa>/<address>/        stage.json       the text whose SHA-256 is the address
//                                provenance.json  versions, host, device, seconds
//                                ...              what the stage made
//                                MANIFEST         SHA-256 and name of each file (sha256sum -c)
//                                DONE             SHA-256 of MANIFEST; written last
//   store/<aa>/<address>.lock    held (fcntl) by the process that makes it; names host and pid
//   store/<aa>/<address>.part/   unfinished: out/ is renamed to the address, checkpoint/ survives a kill
//   store/<aa>/<address>.failed  why the last attempt failed
#ifndef AM_SWEEP_STORE_H
#define AM_SWEEP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"

typedef struct am_store am_store;
// `create`: makes the folder, and fails when it cannot be written. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_store_open(const char *results_dir, bool create, am_store **out);
void am_store_close(am_store *s);
// How long am_artefact_begin waits for another process to let go (default 10 s).
void am_store_set_patience(am_store *s, double seconds);
bool am_store_has(const am_store *s, const char *address);
// *out = heap path of a file of a finished artefact (of its folder when name is NULL).
AM_MUST_USE am_err am_store_path(const am_store *s, const char *address, const char *name, char **out);
// *out = heap text of the last failure, or NULL.
AM_MUST_USE am_err am_store_failure(const am_store *s, const char *address, char **out);
AM_MUST_USE am_err am_store_set_failure(am_store *s, const char *address, const char *text);
// Whether a living process is making it.
bool am_store_is_held(const am_store *s, const char *address);
// Every finished artefact, in byte order: *address is heap memory, freed by the caller.
AM_MUST_USE am_err am_store_list(const am_store *s, char (**address)[AM_SHA256_HEX], int64_t *count);
// A number ("seconds", "ranks") or text ("device"; heap memory, NULL when unknown) of its provenance.
double am_store_number(const am_store *s, const char *address, const char *key);  // NaN when unknown
char *am_store_text(const am_store *s, const char *address, const char *key);

// ---- making one ----
typedef struct am_artefact am_artefact;
// Takes the lock and an empty folder to write to. Errors: AM_ERR_BUSY another process
// holds it, and still does when patience ends.
AM_MUST_USE am_err am_artefact_begin(am_store *s, const char *address, am_artefact **out);
const char *am_artefact_dir(const am_artefact *a);         // files for the artefact go here
const char *am_artefact_checkpoint(const am_artefact *a);  // kept until the commit
// Where another rank of the same group finds them; heap memory.
AM_MUST_USE am_err am_store_checkpoint_path(const am_store *s, const char *address, char **out);
// Adds stage.json, provenance.json, MANIFEST, DONE; publishes by rename. Frees a in any case.
AM_MUST_USE am_err am_artefact_commit(am_artefact *a, const char *stage_text, const char *provenance);
// Gives up the lock; keeps the checkpoint. NULL is fine.
void am_artefact_abandon(am_artefact *a);

// Re-reads a finished artefact: address, MANIFEST, every file's hash. Errors: AM_ERR_DATA.
AM_MUST_USE am_err am_store_verify(const am_store *s, const char *address);

#endif
