// A lease: who is at work on something, on a file system that several hosts share. It needs only that
// a file is created once (O_EXCL), so it works where fcntl locks do not (NFS, Lustre), and the lease of
// a lost node ends by itself.
//
//   PATH           made by the first claimant; who it is, and a beat that it rewrites while it lives
//   PATH.<token>   made by whoever takes over from the holder of that token; and so on
//
// The end of this chain holds. Two claimants that both find the end silent make the same name, so
// one of them wins; nothing is ever replaced, so a claimant that dies half-way is just one more
// silent holder. A holder gives up by removing PATH first, then the rest of its chain.
//
// Silent: the observer has seen no new beat for expiry_sec of its own clock (hosts need not agree
// on the time); or the holder ran on this machine and its process is gone, which is seen at once.
// A process that was stopped for longer may wake up and find that it holds no more. So a lease
// saves work, and am_lease_held is asked before publishing; what makes the result right is that
// claimants write to folders of their own and publish by rename (sweep/store.h).
#ifndef AM_SWEEP_LEASE_H
#define AM_SWEEP_LEASE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

enum { AM_LEASE_TOKEN = 24, AM_LEASE_WORD = 96 };
static const double AM_LEASE_EXPIRY_SEC = 90;  // unless the claimant says otherwise
enum { AM_LEASE_BEATS = 6 };                   // in that time

// What the file says of a claimant. The words hold no white space.
typedef struct {
  char token[AM_LEASE_TOKEN];  // random; names the claim
  int64_t beat;
  double expiry_sec;
  char machine[AM_LEASE_WORD];  // boot and process name space: where pid means something
  long pid;
  long long pid_start;  // since boot, so that a reused pid is told apart
  char host[AM_LEASE_WORD], user[AM_LEASE_WORD];
  char job[AM_LEASE_WORD];  // of Slurm, "123_4"; "-" outside
  int ranks;
  long long since;    // seconds since 1970
  double held_sec;    // from then to the last beat
  double silent_sec;  // since then, by this host's clock: for people
} am_lease_holder;

// What an observer remembers between looks at one lease. Starts as {0}.
typedef struct {
  char token[AM_LEASE_TOKEN];
  int64_t beat;
  double since_sec;
} am_lease_watch;

typedef struct am_lease am_lease;
// Tries once, without waiting. *out = the lease, kept alive by a thread, or NULL when *holder has it.
// Errors: AM_ERR_IO.
AM_MUST_USE am_err am_lease_take(const char *path, double expiry_sec, int ranks, am_lease_watch *watch,
                                 am_lease **out, am_lease_holder *holder);
const char *am_lease_token(const am_lease *l);
// The silent holder from whom it was taken over; its pid is 0 when there was none.
const am_lease_holder *am_lease_predecessor(const am_lease *l);
// False when somebody took over.
bool am_lease_held(const am_lease *l);
// Gives it up, unless somebody took over. NULL is fine.
void am_lease_release(am_lease *l);

// Who holds it. *there is false when nobody does, or only a process that is known to be gone; with a
// watch, also when it has been silent for long enough, so that am_lease_take would take over.
AM_MUST_USE am_err am_lease_look(const char *path, am_lease_watch *watch, am_lease_holder *holder,
                                 bool *there);
// "alice on node17, pid 4711, job 12_3, since 2024-05-01T12:00:00Z"
enum { AM_LEASE_TEXT = 512 };
const char *am_lease_describe(const am_lease_holder *h, char text[AM_LEASE_TEXT]);

#endif
