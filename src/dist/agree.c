// One error on every rank: the largest code wins, then the lowest rank; its record is broadcast.
#include <stdio.h>
#include <string.h>

#include "dist/comm_internal.h"

int64_t am_origin_key(am_err code, int rank) {
  return code == AM_OK ? 0 : (int64_t)code << 32 | (int64_t)(INT32_MAX - rank);
}

int am_origin_rank(int64_t key) { return (int)(INT32_MAX - (key & INT32_MAX)); }

static bool starts_with_rank(const char *message) {
  int rank = 0, end = 0;
  return sscanf(message, "rank %d on %*s%n", &rank, &end) == 1 && end > 0;
}

void am_name_origin(const am_job *job) {
  const am_err_record *record = am_err_last();
  if (job->size == 1 || record->code == AM_ERR_PEER || starts_with_rank(record->message)) return;
  am_err_prefix("rank %d on %s", job->rank, job->host[job->rank]);
}

static am_err share_record(am_comm *c, int origin) {
  am_err_record record = {0};
  if (c->rank == origin) {
    am_name_origin(c->job);
    record = *am_err_last();
    record.frame_count = 0;  // its pointers mean nothing elsewhere
  }
  AM_TRY(am_comm_bcast(c, &record, sizeof record, origin));
  record.message[AM_ERR_MESSAGE_BYTES - 1] = '\0';
  if (c->rank != 0) am_peers_foreign(&record);
  if (c->rank != origin) am_err_restore(&record);
  return record.code;
}

am_err am_agree_flags(am_comm *c, am_err mine, unsigned mine_flags, unsigned *any) {
  *any = mine_flags;
  if (c->size == 1) {
    if (mine == AM_OK) return am_peers_poll(c->job);
    if (mine != AM_ERR_PEER) am_name_origin(c->job);
    return mine;
  }
  // A rank that has left a collective half-way cannot take part any more.
  if (c->broken) return mine != AM_OK ? mine : am_comm_usable(c);
  int64_t have[1 + AM_AGREE_FLAGS] = {am_origin_key(mine, c->rank)}, most[1 + AM_AGREE_FLAGS];
  for (int f = 0; f < AM_AGREE_FLAGS; f++) have[1 + f] = mine_flags >> f & 1;
  MPI_Request request;
  AM_TRY_MPI(MPI_Iallreduce(have, most, 1 + AM_AGREE_FLAGS, MPI_INT64_T, MPI_MAX, c->mpi, &request));
  AM_TRY(am_comm_wait(c, 1, &request, "an agreement"));
  *any = 0;
  for (int f = 0; f < AM_AGREE_FLAGS; f++) *any |= most[1 + f] ? 1u << f : 0;
  if (most[0] == 0) return AM_OK;
  return share_record(c, am_origin_rank(most[0]));
}

am_err am_agree(am_comm *c, am_err mine) {
  unsigned any = 0;
  return am_agree_flags(c, mine, 0, &any);
}
