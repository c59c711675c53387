#include "dist/comm.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/lsan_interface.h>
#endif

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "dist/comm_internal.h"

enum { DEFAULT_DEADLINE_SEC = 600 };

// ---- starting and leaving ----

static bool launched(void) {
  // SLURM_PROCID alone says little: it is also set in a batch script, outside srun.
  static const char *const sign[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK"};
  for (int64_t i = 0; i < AM_COUNT_OF(sign); i++) {
    if (getenv(sign[i])) return true;
  }
  return false;
}

am_err am_mpi_fail(int rc, const char *call, const char *file, int line, const char *func) {
  char text[MPI_MAX_ERROR_STRING] = "";
  int length = 0;
  MPI_Error_string(rc, text, &length);
  return am_err_set(AM_ERR_PEER, file, line, func, "MPI refused %.60s: %s", call, text);
}

static void read_host(char host[AM_HOST_BYTES]) {
  memset(host, 0, AM_HOST_BYTES);
  if (gethostname(host, AM_HOST_BYTES - 1) != 0 || !host[0]) snprintf(host, AM_HOST_BYTES, "localhost");
}

// For sanitizer builds. Open MPI loads plugins when it starts and unloads them when it ends; what
// only they knew of then looks leaked, without a name that a suppression could use. So what it takes
// while starting does not count, and the check of the end comes before it is finalised.
static void ignore_leaks(bool on) {
#ifdef __SANITIZE_ADDRESS__
  on ? __lsan_disable() : __lsan_enable();
#else
  (void)on;
#endif
}

static void check_leaks_now(void) {
#ifdef __SANITIZE_ADDRESS__
  __lsan_do_leak_check();
#endif
}

static am_err start_mpi(int *argc, char ***argv, am_job *job) {
  int provided = MPI_THREAD_SINGLE, up = 0;
  AM_TRY_MPI(MPI_Initialized(&up));
  if (!up) AM_TRY_MPI(MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided));
  AM_TRY_MPI(MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN));
  AM_TRY_MPI(MPI_Comm_rank(MPI_COMM_WORLD, &job->rank));
  AM_TRY_MPI(MPI_Comm_size(MPI_COMM_WORLD, &job->size));
  job->mpi = true;
  MPI_Comm here = MPI_COMM_NULL;
  AM_TRY_MPI(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, job->rank, MPI_INFO_NULL, &here));
  AM_TRY_MPI(MPI_Comm_rank(here, &job->local_rank));
  AM_TRY_MPI(MPI_Comm_free(&here));
  AM_TRY_MPI(MPI_Comm_dup(MPI_COMM_WORLD, &job->leave));
  return AM_OK;
}

static am_err share_hosts(am_job *job) {
  AM_TRY(AM_NEW_ARRAY(&job->host, job->size));
  read_host(job->host[job->rank]);
  if (job->size == 1) return AM_OK;
  AM_TRY_MPI(
      MPI_Allgather(MPI_IN_PLACE, 0, MPI_DATATYPE_NULL, job->host, AM_HOST_BYTES, MPI_CHAR, MPI_COMM_WORLD));
  return AM_OK;
}

static am_err comm_new(am_job *job, MPI_Comm mpi, int rank, int size, am_comm **out) {
  am_comm *c = NULL;
  am_err err = AM_OK;
  AM_GO(done, AM_NEW(&c));
  *c = (am_comm){.job = job, .mpi = mpi, .rank = rank, .size = size};
  AM_GO(done, AM_NEW_ARRAY(&c->job_rank, size));
  *out = c;
  return AM_OK;
done:
  free(c);
  return err;
}

static void job_free(am_job *job) {
  if (!job) return;
  am_peers_free(job);
  free(job->host);
  free(job);
}

am_err am_comm_init(int *argc, char ***argv, bool force, am_comm **world) {
  am_err err = AM_OK;
  am_job *job = NULL;
  AM_GO(done, AM_NEW(&job));
  *job = (am_job){.size = 1, .leave = MPI_COMM_NULL, .deadline_sec = DEFAULT_DEADLINE_SEC};
  if (force || launched()) {
    ignore_leaks(true);
    err = start_mpi(argc, argv, job);
    ignore_leaks(false);
    if (err) goto done;
  }
  AM_GO(done, share_hosts(job));
  MPI_Comm mpi = MPI_COMM_NULL;
  if (job->size > 1) {
    AM_GO(done, am_peers_new(job));
    ignore_leaks(true);
    int rc = MPI_Comm_dup(MPI_COMM_WORLD, &mpi);
    ignore_leaks(false);
    AM_CHECK_GO(done, rc == MPI_SUCCESS, AM_ERR_PEER, "MPI cannot duplicate its communicator");
  }
  AM_GO(done, comm_new(job, mpi, job->rank, job->size, world));
  for (int r = 0; r < job->size; r++) (*world)->job_rank[r] = r;
  job = NULL;
done:
  job_free(job);
  return err;
}

am_err am_comm_finish(am_comm *world) {
  if (!world) return AM_OK;
  am_job *job = world->job;
  if (job->size > 1) AM_TRY(am_leave_together(job));
  am_reductions_free(world);
  am_peers_free(job);
  if (job->mpi) {
    check_leaks_now();
    AM_TRY_MPI(MPI_Finalize());
  }
  free(world->job_rank);
  free(world);
  job_free(job);
  return AM_OK;
}

void am_comm_abort(am_comm *world, int exit_code) {
  // The end of one rank ends them all: let the one that prints the error do so first.
  if (!am_peer_should_print()) nanosleep(&(struct timespec){.tv_sec = 1}, NULL);
  if (world && world->job->mpi) MPI_Abort(MPI_COMM_WORLD, exit_code);
  _exit(exit_code);
}

int am_comm_rank(const am_comm *c) { return c->rank; }
int am_comm_size(const am_comm *c) { return c->size; }
int am_comm_local_rank(const am_comm *c) { return c->job->local_rank; }
const char *am_comm_host(const am_comm *c) { return c->job->host[c->job->rank]; }
void am_comm_deadline(am_comm *c, double timeout_sec) { c->job->deadline_sec = timeout_sec; }

// ---- groups ----

am_err am_comm_split(am_comm *parent, int color, am_comm **out) {
  *out = NULL;
  am_err err = AM_OK;
  am_comm *group = NULL;
  MPI_Comm mpi = MPI_COMM_NULL;
  int *all = NULL, size = 0, rank = 0;
  AM_GO(done, AM_NEW_ARRAY(&all, parent->size));
  AM_GO(done, am_comm_all_gather(parent, &color, sizeof color, all));
  for (int r = 0; r < parent->size; r++) {
    if (all[r] != color) continue;
    if (r < parent->rank) rank++;
    size++;
  }
  // MPI_Comm_split blocks, but after the exchange above every rank is on its way into it.
  if (parent->size > 1) {
    ignore_leaks(true);
    int rc = MPI_Comm_split(parent->mpi, color < 0 || size == 1 ? MPI_UNDEFINED : color, parent->rank, &mpi);
    ignore_leaks(false);
    AM_CHECK_GO(done, rc == MPI_SUCCESS, AM_ERR_PEER, "MPI cannot split a communicator");
  }
  if (color < 0) goto done;
  AM_GO(done, comm_new(parent->job, mpi, rank, size, &group));
  for (int r = 0, k = 0; r < parent->size; r++) {
    if (all[r] == color) group->job_rank[k++] = parent->job_rank[r];
  }
  *out = group;
done:
  free(all);
  return err;
}

void am_comm_free(am_comm *c) {
  if (!c) return;
  am_reductions_free(c);
  if (c->mpi != MPI_COMM_NULL && !c->broken) MPI_Comm_free(&c->mpi);
  free(c->job_rank);
  free(c);
}

// ---- waiting ----

// Short waits spin (a reduction between cores takes microseconds), longer ones yield, then sleep:
// ranks may share a core.
void am_backoff(int64_t *polls) {
  enum { SPIN = 100, YIELD = 400, NAP = 2000 };
  int64_t n = ++*polls;
  if (n <= SPIN) return;
  if (n <= YIELD) {
    sched_yield();
    return;
  }
  struct timespec nap = {.tv_nsec = n <= NAP ? 100000 : 2000000};
  nanosleep(&nap, NULL);
}

am_err am_comm_usable(const am_comm *c) {
  AM_CHECK(!c->broken, AM_ERR_PEER, "this group of ranks is out of step after an earlier failure");
  return AM_OK;
}

static am_err wait_until(am_comm *c, am_comm_poll poll, void *self, const char *what) {
  am_err err = AM_OK;
  double start = 0;
  for (int64_t polls = 0;; am_backoff(&polls)) {
    bool done = false;
    err = poll(self, &done);
    if (err || done) break;
    err = am_peers_poll(c->job);
    if (err) break;
    if (start == 0) start = am_clock_sec();
    err = am_peers_watch(c->job, start, what);
    if (err) break;
  }
  am_peers_wait_over(c->job);
  return err;
}

typedef struct {
  MPI_Request *request;  // borrowed
  int count;
  const char *what;
} requests;

// An am_comm_poll.
static am_err requests_done(void *self, bool *done) {
  const requests *r = self;
  int all = 0;
  const int rc = MPI_Testall(r->count, r->request, &all, MPI_STATUSES_IGNORE);
  *done = all;
  return rc == MPI_SUCCESS ? AM_OK : am_mpi_fail(rc, r->what, __FILE__, __LINE__, __func__);
}

am_err am_comm_wait(am_comm *c, int count, MPI_Request *request, const char *what) {
  requests r = {.request = request, .count = count, .what = what};
  const am_err err = wait_until(c, requests_done, &r, what);
  c->broken = err != AM_OK;
  return err;
}

am_err am_comm_wait_for(am_comm *c, am_comm_poll poll, void *self, const char *what) {
  const am_err err = wait_until(c, poll, self, what);
  if (err) am_comm_abandon(c);
  return err;
}

void am_comm_abandon(am_comm *c) {
  if (c->size == 1) return;
  c->broken = true;
  am_peer_notify(c);
}

bool am_comm_abandoned(const am_comm *c) { return c->broken; }

// What a group of one does in place of a collective: look for failed peers, so that ranks that
// work alone still hear of them.
static am_err alone(const am_comm *c) { return am_peers_poll(c->job); }

am_err am_comm_barrier(am_comm *c) {
  if (c->size == 1) return alone(c);
  AM_TRY(am_comm_usable(c));
  MPI_Request request;
  AM_TRY_MPI(MPI_Ibarrier(c->mpi, &request));
  return am_comm_wait(c, 1, &request, "a barrier");
}

am_err am_comm_bcast(am_comm *c, void *data, size_t bytes, int root) {
  enum { CHUNK_BYTES = 1 << 28 };  // MPI counts are int
  if (c->size == 1) return alone(c);
  AM_TRY(am_comm_usable(c));
  for (size_t at = 0; at < bytes; at += CHUNK_BYTES) {
    size_t n = bytes - at < CHUNK_BYTES ? bytes - at : CHUNK_BYTES;
    MPI_Request request;
    AM_TRY_MPI(MPI_Ibcast((char *)data + at, (int)n, MPI_BYTE, root, c->mpi, &request));
    AM_TRY(am_comm_wait(c, 1, &request, "a broadcast"));
  }
  return AM_OK;
}

am_err am_comm_gather(am_comm *c, const void *data, size_t bytes, void *all, int root) {
  if (c->size == 1) {
    memcpy(all, data, bytes);
    return alone(c);
  }
  AM_TRY(am_comm_usable(c));
  AM_CHECK(bytes <= INT32_MAX, AM_ERR_ARG, "gathering %zu bytes a rank: at most %d", bytes, INT32_MAX);
  MPI_Request request;
  AM_TRY_MPI(MPI_Igather(data, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, root, c->mpi, &request));
  return am_comm_wait(c, 1, &request, "a gather");
}

am_err am_comm_all_gather(am_comm *c, const void *data, size_t bytes, void *all) {
  if (c->size == 1) {
    memcpy(all, data, bytes);
    return alone(c);
  }
  AM_TRY(am_comm_usable(c));
  AM_CHECK(bytes <= INT32_MAX, AM_ERR_ARG, "gathering %zu bytes a rank: at most %d", bytes, INT32_MAX);
  MPI_Request request;
  AM_TRY_MPI(MPI_Iallgather(data, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, c->mpi, &request));
  return am_comm_wait(c, 1, &request, "a gather");
}

am_err am_comm_max_i64(am_comm *c, int64_t *value) {
  if (c->size == 1) return alone(c);
  AM_TRY(am_comm_usable(c));
  int64_t mine = *value;
  MPI_Request request;
  AM_TRY_MPI(MPI_Iallreduce(&mine, value, 1, MPI_INT64_T, MPI_MAX, c->mpi, &request));
  return am_comm_wait(c, 1, &request, "a maximum");
}
