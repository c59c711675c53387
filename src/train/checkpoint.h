// Checkpoints: everything that an exact resume needs, on disk in a state that a lost node cannot spoil.
//
//   DIR/step-000000041000/      the newest: state after 41,000 steps
//   DIR/step-000000036920/      the one before it
//     index.txt                 "augmint-checkpoint 1", "step N", "identity TEXT", "state BYTES CRC32C", one
//                               line "blob NAME OFFSET BYTES" each, last "crc CRC32C" of the text above
//     state.bin                 the blobs, each on a 64-byte boundary, little-endian as in memory
//
// What training draws at random is a function of (seed, step), so its position is enough: no
// generator state is stored. Written as DIR/.new-step-N (every file fsynced), renamed, then all but
// the two newest are removed. Reading checks sizes and sums; a bad one is named in a warning and
// the one before it is taken.
#ifndef AM_TRAIN_CHECKPOINT_H
#define AM_TRAIN_CHECKPOINT_H

#include "dist/comm.h"
#include "nn/optim.h"

// In memory: named blobs.
typedef struct am_checkpoint am_checkpoint;

AM_MUST_USE am_err am_checkpoint_new(am_checkpoint **out);
void am_checkpoint_free(am_checkpoint *c);

// Copies in. Names are [a-z0-9_.]+ and not taken yet.
AM_MUST_USE am_err am_checkpoint_put(am_checkpoint *c, const char *name, const void *data, size_t bytes);
AM_MUST_USE am_err am_checkpoint_put_tensor(am_checkpoint *c, const char *name, am_tensor *t);
// Values, buffers and counters under NAME.values, NAME.buffers, NAME.counters.
AM_MUST_USE am_err am_checkpoint_put_params(am_checkpoint *c, const char *name, am_params *ps);
// State and step count under NAME.state0, NAME.state1, NAME.steps.
AM_MUST_USE am_err am_checkpoint_put_optim(am_checkpoint *c, const char *name, am_optim *o);

// Collective(comm): `count` doubles of each slice, gathered from the ranks that hold them: rows[k] is
// local slice k of am_partition(slices, size, rank).
AM_MUST_USE am_err am_checkpoint_put_slices(am_checkpoint *c, const char *name, am_comm *comm, int64_t slices,
                                            const double *rows, int64_t count);

// Copies out. Errors: AM_ERR_DATA when the blob is missing or has another size.
AM_MUST_USE am_err am_checkpoint_get(const am_checkpoint *c, const char *name, void *data, size_t bytes);
AM_MUST_USE am_err am_checkpoint_get_tensor(const am_checkpoint *c, const char *name, am_tensor *t);
AM_MUST_USE am_err am_checkpoint_get_params(const am_checkpoint *c, const char *name, am_params *ps);
AM_MUST_USE am_err am_checkpoint_get_optim(const am_checkpoint *c, const char *name, am_optim *o);
// Local: the rows of this rank's slices, whatever the number of ranks that wrote them.
AM_MUST_USE am_err am_checkpoint_get_slices(const am_checkpoint *c, const char *name, am_comm *comm,
                                            int64_t slices, double *rows, int64_t count);
// The bytes of a blob, borrowed; NULL when there is none.
const void *am_checkpoint_find(const am_checkpoint *c, const char *name, size_t *bytes);

// Local: one rank writes. `identity` (one line) says which training this is.
AM_MUST_USE am_err am_checkpoint_write(const am_checkpoint *c, const char *dir, const char *identity,
                                       int64_t step);
// Collective(comm): rank 0 reads the newest good one, everybody receives it; *out = NULL when there
// is none. Errors: AM_ERR_DATA the folder belongs to another training.
AM_MUST_USE am_err am_checkpoint_read(am_comm *comm, const char *dir, const char *identity,
                                      am_checkpoint **out);

#endif
