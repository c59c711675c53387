// The store: finished artefacts by address. An artefact whose folder is there is complete.
//
//   store/<aa>/<address>/        stage.json       the text whose SHA-256 is the address
//                                provenance.json  versions, host, device, seconds
//                                ...              what the stage made
//                                MANIFEST         SHA-256 and name of each file (sha256sum -c)
//                                DONE             SHA-256 of MANIFEST; written last
//   store/<aa>/<address>.lease   who is making it (sweep/lease.h)
//   store/<aa>/<address>.part.<token>/   what that claimant has so far: out/ is renamed to the address,
//                                checkpoint/ survives it and is taken by its successor, with the cost
//                                of it (spent: rank-seconds)
//   store/<aa>/<address>.failed  why the last attempt failed
//   store/<aa>/<address>.gone.<token>/   what gc is removing (sweep/gc.h)
//   store/gc.lease               held by the gc that is removing
//
// A store may be shared by several users: when the group may write its folder (chmod g+ws
// RESULTS/store), the group may write all that is made in it, whatever the umask says.
#ifndef AM_SWEEP_STORE_H
#define AM_SWEEP_STORE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/hash.h"
#include "sweep/lease.h"

typedef struct am_store am_store;
// `create`: makes the folder, and fails when it cannot be written; the umask of the process lets the
// group write when the folder does. Errors: AM_ERR_IO.
AM_MUST_USE am_err am_store_open(const char *results_dir, bool create, am_store **out);
void am_store_close(am_store *s);
// After how long without a beat a lease of this process may be taken over (AM_LEASE_EXPIRY_SEC).
void am_store_set_expiry(am_store *s, double seconds);
bool am_store_has(const am_store *s, const char *address);
// *out = heap path of the folder in which everything of an address lies: STORE/<aa>.
AM_MUST_USE am_err am_store_folder(const am_store *s, const char *address, char **out);
// *out = heap path of a file of a finished artefact (of its folder when name is NULL).
AM_MUST_USE am_err am_store_path(const am_store *s, const char *address, const char *name, char **out);
// Attempts that failed one after the other with the same message, and *text = that message (heap; NULL
// when there is none). After AM_PARKED of them the artefact is parked: nobody tries it again until
// am_store_forgive.
enum { AM_PARKED = 3 };
AM_MUST_USE am_err am_store_failure(const am_store *s, const char *address, int64_t *count, char **text);
AM_MUST_USE am_err am_store_add_failure(am_store *s, const char *address, const char *text);
AM_MUST_USE am_err am_store_forgive(am_store *s, const char *address);
// Who is making it; *held is false when nobody is, as far as one look can tell.
AM_MUST_USE am_err am_store_holder(const am_store *s, const char *address, am_lease_holder *holder,
                                   bool *held);
// The same for an observer that looks again and again: *held turns false when the holder has been silent
// for too long, and am_artefact_begin would take over. *seen: what this store has seen of the lease, for
// am_store_set_watch of another rank's store; its since_sec is an age, as clocks differ between hosts.
AM_MUST_USE am_err am_store_observe(am_store *s, const char *address, am_lease_holder *holder, bool *held,
                                    am_lease_watch *seen);
AM_MUST_USE am_err am_store_set_watch(am_store *s, const char *address, const am_lease_watch *seen);
// Every finished artefact, in byte order: *address is heap memory, freed by the caller.
AM_MUST_USE am_err am_store_list(const am_store *s, char (**address)[AM_SHA256_HEX], int64_t *count);
// A number ("seconds", "ranks") or text ("device"; heap memory, NULL when unknown) of its provenance.
double am_store_number(const am_store *s, const char *address, const char *key);  // NaN when unknown
char *am_store_text(const am_store *s, const char *address, const char *key);

// ---- making one ----
typedef struct am_artefact am_artefact;
// Takes the lease and an empty folder to write to, for `ranks` ranks. *out is NULL when *holder (may be
// NULL) has it: call again later; the store remembers how long a holder has been silent.
AM_MUST_USE am_err am_artefact_begin(am_store *s, const char *address, int ranks, am_artefact **out,
                                     am_lease_holder *holder);
const char *am_artefact_dir(const am_artefact *a);         // files for the artefact go here
const char *am_artefact_checkpoint(const am_artefact *a);  // kept until the commit
// Rank-seconds that went into the checkpoint before this claim: what a resumed stage cost others.
double am_artefact_spent(const am_artefact *a);
// Of the files written so far.
AM_MUST_USE am_err am_artefact_bytes(const am_artefact *a, int64_t *bytes);
// Adds stage.json, provenance.json, MANIFEST, DONE; publishes by rename. Frees a in any case. *published
// is false when somebody took over while this process was stopped: the artefact is theirs to finish.
AM_MUST_USE am_err am_artefact_commit(am_artefact *a, const char *stage_text, const char *provenance,
                                      bool *published);
// Whether it is still ours to make.
bool am_artefact_held(const am_artefact *a);
// Gives up the lease; keeps the checkpoint. NULL is fine.
void am_artefact_abandon(am_artefact *a);

// Re-reads a finished artefact: address, MANIFEST, every file's hash. Errors: AM_ERR_DATA.
AM_MUST_USE am_err am_store_verify(const am_store *s, const char *address);

#endif
