// Ranks. With MPI (mpirun, srun) or as a single process; the same calls either way. Only the main
// thread calls these.
//
// Collective calls never block inside MPI: they poll (comm_internal.h), so a rank that waits still
// hears that another one failed, and still answers when somebody asks who is alive.
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
// The end of the program: every rank comes here with its own error or AM_OK, whatever state its
// groups are in, and leaves with one error for all, as from am_agree. The others are notified of an
// error first, so they come soon; a rank that does not come within AM_COMM_LEAVE_SEC of a failure
// is given up: AM_ERR_PEER names it, unless this rank has an error of its own.
AM_MUST_USE am_err am_comm_settle(am_comm *world, am_err mine);
// Waits for every rank of the job, finalises MPI and frees world. Ranks that failed call it as
// well: after a failure it waits at most AM_COMM_LEAVE_SEC. AM_ERR_PEER: some rank did not come;
// MPI is then still up, world is kept, and main calls am_comm_abort.
enum { AM_COMM_LEAVE_SEC = 5 };
AM_MUST_USE am_err am_comm_finish(am_comm *world);
// Ends every rank of the job at once, without waiting for any. Only app/main.c calls it.
void am_comm_abort(am_comm *world, int exit_code);

int am_comm_rank(const am_comm *c);
int am_comm_size(const am_comm *c);
int am_comm_local_rank(const am_comm *c);  // of this process among the ranks of this host
const char *am_comm_host(const am_comm *c);
// Collective(parent): ranks with equal color form a group, ordered by rank. color < 0: no group, *out = NULL.
AM_MUST_USE am_err am_comm_split(am_comm *parent, int color, am_comm **out);
void am_comm_free(am_comm *c);  // Collective(c); groups only, the world goes with am_comm_finish

// Every collective below waits by polling: for completion, for a peer notice and for the deadline
// (am_comm_deadline, default 600 s, shared by all groups of the process). After waiting that long
// a rank calls the roll: ranks that wait, or work and poll between steps, answer, and the wait goes
// on; a rank that does not answer ends the job. Errors: AM_ERR_PEER names the rank and its host.
void am_comm_deadline(am_comm *c, double timeout_sec);
AM_MUST_USE am_err am_comm_barrier(am_comm *c);
AM_MUST_USE am_err am_comm_bcast(am_comm *c, void *data, size_t bytes, int root);
// `bytes` from every rank; all holds size * bytes, on root or on every rank.
AM_MUST_USE am_err am_comm_gather(am_comm *c, const void *data, size_t bytes, void *all, int root);
AM_MUST_USE am_err am_comm_all_gather(am_comm *c, const void *data, size_t bytes, void *all);
AM_MUST_USE am_err am_comm_max_i64(am_comm *c, int64_t *value);

// A wait for what no message tells of, a sum on cards say: calls poll(self, ..) until *done, and in between does what
// every wait here does. `what` is for messages ("the sums on the cards"). Local. Errors: poll's; AM_ERR_PEER. c is
// abandoned then.
typedef am_err (*am_comm_poll)(void *self, bool *done);
AM_MUST_USE am_err am_comm_wait_for(am_comm *c, am_comm_poll poll, void *self, const char *what);
// This rank goes on without the others of c, who may wait for it where no agreement is reached: they are notified of the
// error on this thread, and collectives of c fail here from now on. Local. A group of one has nobody to tell.
void am_comm_abandon(am_comm *c);
bool am_comm_abandoned(const am_comm *c);  // by am_comm_abandon, or in the middle of a collective

// ---- one error on every rank (agree.c) ----
// Collective(c): every rank leaves with the same code. When it is not AM_OK, the record of the
// origin (largest code, then lowest rank) replaces this rank's, prefixed "rank R on HOST: " when
// the job has several ranks (R counts in the whole job, also when c is a group).
AM_MUST_USE am_err am_agree(am_comm *c, am_err mine);
// The same, and *any = the union of every rank's flags (bits 0 .. AM_AGREE_FLAGS-1): one message
// per step boundary for errors, stop signals and whatever else the caller decides together.
enum { AM_AGREE_FLAGS = 3 };
AM_MUST_USE am_err am_agree_flags(am_comm *c, am_err mine, unsigned mine_flags, unsigned *any);

// ---- failures (peer.c) ----
// Tells all other ranks that this one failed with the error on this thread, without waiting for
// them. Once per process; later calls do nothing.
void am_peer_notify(am_comm *world);
// Local: AM_ERR_PEER with the origin's message when another rank failed. Long work that meets
// nobody (evaluation, sampling) calls it every few seconds: it also answers roll calls.
AM_MUST_USE am_err am_peer_check(void);
// Whether this rank should print the error on this thread: false when another rank does (its own
// failure, or the first rank of the group that agreed on it).
bool am_peer_should_print(void);

// ---- signals (signal.c) ----
// SIGTERM, SIGINT and SIGUSR1 set a flag; a second SIGINT ends the process.
void am_signal_install(void);
bool am_signal_seen(void);
// Collective(c): true on every rank when any rank saw a signal. Called at step boundaries.
AM_MUST_USE am_err am_signal_agreed(am_comm *c, bool *stop);

#endif
