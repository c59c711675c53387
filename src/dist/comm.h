// Ranks. With MPI (mpirun, srun) or as a single process; the same calls either way. Only the main
// thread calls these.
#ifndef AM_DIST_COMM_H
#define AM_DIST_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

typedef struct am_comm am_comm;

// MPI is initialised (MPI_THREAD_FUNNELED) only when a launcher's environment is seen or `force`;
// otherwise one rank without it, so that plain commands start in milliseconds.
AM_MUST_USE am_err am_comm_init(int *argc, char ***argv, bool force, am_comm **world);
// After an agreed error: finalises. When other ranks are lost: AM_ERR_PEER, and main aborts.
AM_MUST_USE am_err am_comm_finish(am_comm *world);
// Ends every rank of the job at once. Only app/main.c calls it.
void am_comm_abort(am_comm *world, int exit_code);

int am_comm_rank(const am_comm *c);
int am_comm_size(const am_comm *c);
int am_comm_local_rank(const am_comm *c);  // among the ranks of this host
const char *am_comm_host(const am_comm *c);
// Collective(parent): ranks with equal color form a group, ordered by rank. color < 0: no group, *out = NULL.
AM_MUST_USE am_err am_comm_split(am_comm *parent, int color, am_comm **out);
void am_comm_free(am_comm *c);  // Collective(c)

// Every blocking call below waits by polling: for completion, for a peer notice, for a lost peer
// and for the deadline (am_comm_deadline, default 600 s between ranks that should meet). Errors:
// AM_ERR_PEER names the rank when it is known.
void am_comm_deadline(am_comm *c, double timeout_sec);
AM_MUST_USE am_err am_comm_barrier(am_comm *c);                                              // Collective
AM_MUST_USE am_err am_comm_bcast(am_comm *c, void *data, size_t bytes, int root);            // Collective
AM_MUST_USE am_err am_comm_gather(am_comm *c, const void *data, size_t bytes, void *all, int root);  // Collective: all = size*bytes on root
AM_MUST_USE am_err am_comm_all_gather(am_comm *c, const void *data, size_t bytes, void *all);  // Collective
AM_MUST_USE am_err am_comm_max_i64(am_comm *c, int64_t *value);                              // Collective

// ---- one error on every rank (agree.c) ----
// Collective(c): every rank leaves with the same code. When it is not AM_OK, the record of the
// origin (largest code, then lowest rank) replaces this rank's, prefixed "rank R on HOST: ".
AM_MUST_USE am_err am_agree(am_comm *c, am_err mine);

// ---- failures and signals (peer.c) ----
// Tells all other ranks that this one failed (its record's message), without waiting for them.
void am_peer_notify(am_comm *world);
// SIGTERM, SIGINT and SIGUSR1 set a flag; a second SIGINT ends the process.
void am_signal_install(void);
bool am_signal_seen(void);
// Collective(c): true on every rank when any rank saw a signal. Called at step boundaries.
AM_MUST_USE am_err am_signal_agreed(am_comm *c, bool *stop);

#endif
