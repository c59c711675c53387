// Inside src/dist: what a communicator is, and the one loop in which ranks wait.
#ifndef AM_DIST_COMM_INTERNAL_H
#define AM_DIST_COMM_INTERNAL_H

#include <mpi.h>

#include "dist/comm.h"

enum { AM_HOST_BYTES = 64 };

struct am_peers;      // peer.c: notices between the ranks of the job
struct am_reduction;  // reduce.c

// The process in its job: shared by the world and its groups.
typedef struct am_job {
  bool mpi;  // false: one rank without MPI
  int rank, size, local_rank;
  char (*host)[AM_HOST_BYTES];  // owned: of every rank
  MPI_Comm leave;               // for leave.c alone: in step whatever happened before
  bool incomplete;              // some rank did not come to the end
  double deadline_sec;
  struct am_peers *peers;  // owned; NULL with one rank
} am_job;

struct am_comm {
  am_job *job;   // borrowed; owned by the world
  MPI_Comm mpi;  // MPI_COMM_NULL when size is 1
  int rank, size;
  int *job_rank;              // owned: rank in the job of each member
  bool broken;                // a collective was abandoned: its members are out of step
  int reduction_count;        // begun so far: part of message tags
  struct am_reduction *idle;  // owned: finished reductions whose buffers are used again
};

am_err am_mpi_fail(int rc, const char *call, const char *file, int line, const char *func);
#define AM_TRY_MPI(call)                                                   \
  do {                                                                     \
    int am_mpi_rc_ = (call);                                               \
    if (am_mpi_rc_ != MPI_SUCCESS) {                                       \
      return am_mpi_fail(am_mpi_rc_, #call, __FILE__, __LINE__, __func__); \
    }                                                                      \
  } while (0)

// AM_ERR_PEER when a collective of c was abandoned earlier.
am_err am_comm_usable(const am_comm *c);
// Polls until all requests are complete. `what` is for messages ("a barrier"). On error c is
// broken and the requests are left alone: the job is about to end.
am_err am_comm_wait(am_comm *c, int count, MPI_Request *request, const char *what);
// Gives the processor away for a moment, longer the longer one has waited.
void am_backoff(int64_t *polls);

// ---- peer.c ----
am_err am_peers_new(am_job *job);
void am_peers_free(am_job *job);
// Handles what has arrived. AM_ERR_PEER when a rank failed.
am_err am_peers_poll(am_job *job);
// Called while waiting since `since_sec`: calls the roll when the deadline has passed and fails
// when somebody is missing.
am_err am_peers_watch(am_job *job, double since_sec, const char *what);
void am_peers_wait_over(am_job *job);
bool am_peers_failed(const am_job *job);
// Makes what is known of the failure the error of this thread.
am_err am_peers_failure(const am_job *job);
// Remembers an error that another rank prints.
void am_peers_foreign(const am_err_record *record);

// ---- agree.c, leave.c ----
// Code and rank in one number whose maximum is the origin of the error; 0 when all is well.
int64_t am_origin_key(am_err code, int rank);
int am_origin_rank(int64_t key);
// Puts "rank R on HOST: " before the message, unless it names a rank already.
void am_name_origin(const am_job *job);
// A barrier of all ranks before MPI_Finalize.
am_err am_leave_together(am_job *job);

// ---- reduce.c ----
void am_reductions_free(am_comm *c);

#endif
