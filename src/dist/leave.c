// The end of a job. All ranks meet here on a communicator that nothing else uses, so they are in
// step even when a group was abandoned in the middle of a collective.
#include "base/clock.h"
#include "dist/comm_internal.h"

// Polls one request of the leave communicator. Once a failure is known, the others have
// AM_COMM_LEAVE_SEC to come.
static am_err wait_to_leave(am_job *job, MPI_Request *request) {
  double start = am_clock_sec(), failed_at = 0;
  for (int64_t polls = 0;; am_backoff(&polls)) {
    int done = 0;
    AM_TRY_MPI(MPI_Test(request, &done, MPI_STATUS_IGNORE));
    if (done) break;
    bool failed = am_peers_poll(job) != AM_OK || am_peers_failed(job) ||
                  am_peers_watch(job, start, "the end of the job") != AM_OK;
    double now = am_clock_sec();
    if (failed && failed_at == 0) failed_at = now;
    if (failed && now - failed_at >= AM_COMM_LEAVE_SEC) {
      job->incomplete = true;
      return am_peers_failure(job);
    }
  }
  am_peers_wait_over(job);
  return AM_OK;
}

am_err am_leave_together(am_job *job) {
  if (job->incomplete) return am_peers_failure(job);
  MPI_Request request;
  AM_TRY_MPI(MPI_Ibarrier(job->leave, &request));
  return wait_to_leave(job, &request);
}

static am_err settle(am_comm *world, am_err mine) {
  am_job *job = world->job;
  am_err_record record = *am_err_last();
  int64_t key = am_origin_key(mine, job->rank), top = 0;
  MPI_Request request;
  AM_TRY_MPI(MPI_Iallreduce(&key, &top, 1, MPI_INT64_T, MPI_MAX, job->leave, &request));
  AM_TRY(wait_to_leave(job, &request));
  if (top == 0) return AM_OK;
  int origin = am_origin_rank(top);
  if (job->rank == origin) {
    am_err_restore(&record);
    am_name_origin(job);
    record = *am_err_last();
  }
  am_err_record shared = record;
  AM_TRY_MPI(MPI_Ibcast(&shared, sizeof shared, MPI_BYTE, origin, job->leave, &request));
  AM_TRY(wait_to_leave(job, &request));
  if (job->rank != origin) {
    shared.message[AM_ERR_MESSAGE_BYTES - 1] = '\0';
    shared.frame_count = 0;  // its pointers mean nothing here
    record = shared;
  }
  am_err_restore(&record);
  am_peers_foreign(job->rank == 0 ? &(am_err_record){0} : &record);
  return record.code;
}

am_err am_comm_settle(am_comm *world, am_err mine) {
  am_job *job = world->job;
  if (job->size == 1) return mine;
  // Ranks that a signal stops are not a failure: the others see the signal, too, and save first.
  if (mine != AM_OK && mine != AM_ERR_STOPPED) am_peer_notify(world);
  am_err_record own = *am_err_last();
  am_err err = settle(world, mine);
  if (job->incomplete && mine != AM_OK) {  // what this rank knew before says more
    am_err_restore(&own);
    err = mine;
  }
  return err;
}
