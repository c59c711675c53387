// Notices between the ranks of a job, on a communicator of their own with a receive that is always
// posted: "I failed", "who is there?", "I am".
//
// Every wait polls for them, so a failure reaches a waiting rank at once and a working rank at its
// next collective or am_peer_check. A rank that has waited for the deadline calls the roll:
//   everybody answers, somebody works     wait on
//   everybody answers, everybody waits    they wait for each other: an error
//   somebody does not answer              that rank is stuck or gone: an error that names it
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "dist/comm_internal.h"

typedef enum { NOTICE_FAILED = 1, NOTICE_ROLL_CALL, NOTICE_PRESENT } notice_kind;

typedef struct {
  int32_t kind;
  int32_t round;                       // roll call, present: which roll call
  double waiting_sec;                  // present: in the current wait; 0 while working
  char message[AM_ERR_MESSAGE_BYTES];  // failed: "rank R on HOST: ..."
} notice;

// A message on its way; MPI may still read it.
typedef struct outgoing {
  notice body;
  MPI_Request request;
  struct outgoing *next;
} outgoing;

typedef struct am_peers {
  MPI_Comm comm;
  notice inbox;
  MPI_Request inbox_request;
  outgoing *sent;
  bool told;              // the others know that this rank failed
  bool failed;            // some other rank did, or accused one
  am_err_record failure;  // what is known: from a notice, or from the roll call of this rank
  double waiting_since;   // 0: not waiting
  // the roll call of this rank
  int round;
  double called_at;     // 0: none is running
  double quiet_until;   // no roll call before this time
  bool *present;        // owned: answered this round
  double *waiting_sec;  // owned: as they said
} am_peers;

// The process is in one job at most; am_peer_check has no communicator at hand.
static am_job *this_job;
// The last error that another rank prints.
static char foreign_message[AM_ERR_MESSAGE_BYTES];

static am_err post_receive(am_peers *p) {
  AM_TRY_MPI(MPI_Irecv(&p->inbox, sizeof p->inbox, MPI_BYTE, MPI_ANY_SOURCE, 0, p->comm, &p->inbox_request));
  return AM_OK;
}

am_err am_peers_new(am_job *job) {
  am_err err = AM_OK;
  am_peers *p = NULL;
  AM_GO(done, AM_NEW(&p));
  AM_GO(done, AM_NEW_ARRAY(&p->present, job->size));
  AM_GO(done, AM_NEW_ARRAY(&p->waiting_sec, job->size));
  int rc = MPI_Comm_dup(MPI_COMM_WORLD, &p->comm);
  AM_CHECK_GO(done, rc == MPI_SUCCESS, AM_ERR_PEER, "MPI cannot duplicate its communicator");
  AM_GO(done, post_receive(p));
  job->peers = p;
  this_job = job;
  return AM_OK;
done:
  if (p) free(p->present);
  if (p) free(p->waiting_sec);
  free(p);
  return err;
}

static void reap_sent(am_peers *p) {
  for (outgoing **at = &p->sent; *at;) {
    outgoing *o = *at;
    int done = 0;
    if (MPI_Test(&o->request, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS || !done) {
      at = &o->next;
      continue;
    }
    *at = o->next;
    free(o);
  }
}

void am_peers_free(am_job *job) {
  am_peers *p = job->peers;
  if (!p) return;
  MPI_Cancel(&p->inbox_request);
  MPI_Wait(&p->inbox_request, MPI_STATUS_IGNORE);
  reap_sent(p);
  // What a dead rank never took stays allocated: MPI may still touch it.
  free(p->present);
  free(p->waiting_sec);
  free(p);
  job->peers = NULL;
  this_job = NULL;
}

static void send_to(am_peers *p, int rank, const notice *body) {
  outgoing *o = NULL;
  if (AM_NEW(&o) != AM_OK) return;  // a lost notice costs time (the deadline), not correctness
  o->body = *body;
  o->next = p->sent;
  int rc = MPI_Isend(&o->body, sizeof o->body, MPI_BYTE, rank, 0, p->comm, &o->request);
  if (rc != MPI_SUCCESS) {
    free(o);
    return;
  }
  p->sent = o;
}

static void send_to_others(am_job *job, const notice *body) {
  for (int r = 0; r < job->size; r++) {
    if (r != job->rank) send_to(job->peers, r, body);
  }
}

static double waiting_now(const am_peers *p) {
  return p->waiting_since == 0 ? 0 : am_clock_sec() - p->waiting_since;
}

void am_peers_foreign(const am_err_record *record) {
  memcpy(foreign_message, record->message, sizeof foreign_message);
  foreign_message[sizeof foreign_message - 1] = '\0';
}

static void handle(am_peers *p, const notice *n, int from) {
  if (n->kind == NOTICE_FAILED && !p->failed && !p->told) {  // the first failure is the one to tell
    p->failed = true;
    p->failure = (am_err_record){.code = AM_ERR_PEER};
    memcpy(p->failure.message, n->message, sizeof p->failure.message);
    p->failure.message[AM_ERR_MESSAGE_BYTES - 1] = '\0';
    am_peers_foreign(&p->failure);
  } else if (n->kind == NOTICE_ROLL_CALL) {
    notice answer = {.kind = NOTICE_PRESENT, .round = n->round, .waiting_sec = waiting_now(p)};
    send_to(p, from, &answer);
  } else if (n->kind == NOTICE_PRESENT && n->round == p->round) {
    p->present[from] = true;
    p->waiting_sec[from] = n->waiting_sec;
  }
}

am_err am_peers_failure(const am_job *job) {
  const am_err_record *known = &job->peers->failure;
  if (known->code == AM_OK) return AM_FAIL(AM_ERR_PEER, "some rank did not come to the end of the job");
  am_err_restore(known);
  return known->code;
}

bool am_peers_failed(const am_job *job) { return job->peers && (job->peers->failed || job->peers->told); }

am_err am_peers_poll(am_job *job) {
  am_peers *p = job->peers;
  if (!p) return AM_OK;
  for (;;) {
    int arrived = 0;
    MPI_Status status;
    AM_TRY_MPI(MPI_Test(&p->inbox_request, &arrived, &status));
    if (!arrived) break;
    notice n = p->inbox;
    AM_TRY(post_receive(p));
    handle(p, &n, status.MPI_SOURCE);
  }
  if (p->sent) reap_sent(p);
  return p->failed ? am_peers_failure(job) : AM_OK;
}

am_err am_peer_check(void) { return this_job ? am_peers_poll(this_job) : AM_OK; }

// ---- the roll ----

static void call_the_roll(am_job *job, double now) {
  am_peers *p = job->peers;
  p->round++;
  p->called_at = now;
  memset(p->present, 0, (size_t)job->size * sizeof *p->present);
  p->present[job->rank] = true;
  p->waiting_sec[job->rank] = waiting_now(p);
  notice question = {.kind = NOTICE_ROLL_CALL, .round = p->round};
  send_to_others(job, &question);
}

// The error that ends the job, told to the others before they reach the same conclusion.
static am_err accuse(am_job *job, am_err err) {
  am_peers *p = job->peers;
  notice n = {.kind = NOTICE_FAILED};
  memcpy(n.message, am_err_last()->message, sizeof n.message);
  send_to_others(job, &n);
  p->told = true;
  p->failure = *am_err_last();
  return err;
}

static am_err name_silent(am_job *job, const char *what) {
  am_str names = {0};
  am_err err = AM_OK;
  for (int r = 0; r < job->size && !err; r++) {
    if (job->peers->present[r]) continue;
    err = am_str_printf(&names, "%srank %d on %s", names.length ? ", " : "", r, job->host[r]);
  }
  if (!err) {
    err = AM_FAIL(AM_ERR_PEER, "%s gave no sign of life for %.0f s; rank %d on %s waits for %s",
                  am_str_get(&names), job->deadline_sec, job->rank, job->host[job->rank], what);
  }
  am_str_fini(&names);
  return err;
}

am_err am_peers_watch(am_job *job, double since_sec, const char *what) {
  am_peers *p = job->peers;
  if (!p) return AM_OK;
  double now = am_clock_sec();
  p->waiting_since = since_sec;
  if (p->told || now - since_sec < job->deadline_sec || now < p->quiet_until) return AM_OK;
  if (p->called_at == 0) call_the_roll(job, now);
  bool all_present = true, all_wait = true;
  for (int r = 0; r < job->size; r++) {
    all_present = all_present && p->present[r];
    all_wait = all_wait && p->waiting_sec[r] >= 0.9 * job->deadline_sec;
  }
  if (all_present && all_wait) {
    return accuse(
        job,
        AM_FAIL(AM_ERR_PEER, "all %d ranks have waited for each other for %.0f s; rank %d on %s waits for %s",
                job->size, job->deadline_sec, job->rank, job->host[job->rank], what));
  }
  if (all_present) {
    p->called_at = 0;
    p->quiet_until = now + job->deadline_sec;
    return AM_OK;
  }
  // A working rank answers at its next step. Lower ranks speak first, so that one message is printed.
  double grace_sec = fmin(job->deadline_sec, 60) + 0.2 * fmin(job->rank, 50);
  if (now - p->called_at < grace_sec) return AM_OK;
  return accuse(job, name_silent(job, what));
}

void am_peers_wait_over(am_job *job) {
  am_peers *p = job->peers;
  if (!p) return;
  p->waiting_since = 0;
  p->called_at = 0;
}

// ---- failing ----

void am_peer_notify(am_comm *world) {
  am_job *job = world->job;
  am_peers *p = job->peers;
  if (!p || p->told || p->failed) return;
  notice n = {.kind = NOTICE_FAILED};
  const am_err_record *mine = am_err_last();
  if (am_str_starts(mine->message, "rank ")) {
    memcpy(n.message, mine->message, sizeof n.message);
  } else {
    snprintf(n.message, sizeof n.message, "rank %d on %s: %s", job->rank, job->host[job->rank],
             mine->message);
  }
  send_to_others(job, &n);
  p->told = true;
  reap_sent(p);
}

bool am_peer_should_print(void) {
  return foreign_message[0] == '\0' || !strstr(am_err_last()->message, foreign_message);
}
