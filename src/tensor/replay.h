// Steps that repeat: what the ops of a step come to on the device is recorded once, and from then on launched whole.
//
// A small network keeps a card waiting for the host, which takes longer to queue an op than the card to carry it out. So a
// trainer says what a step consists of, and a device that can record (CUDA graphs) does so when a step of that kind has come
// often enough for its shapes, plans and memory to be settled:
//
//   AM_TRY(am_replay_begin(r, &key, sizeof key, index));
//   err = am_replay_input(r, AM_F32, shape, batch, &images);         // what comes from the host
//   if (!err) err = am_replay_run(r, forward_and_backward, self, &loss, 1);
//   if (!err) err = am_later_read(...);  am_optim_step(...);         // whatever is not recorded, in between
//   err = am_replay_end(r, err);
//
// A part (am_replay_run) is a function that runs ops. When the step is launched it is not called, so all that it does beside
// running ops must be known here: it leaves no trace on the host but its outputs and the counters of am_replay_counter; it
// reads and writes no host memory; what its ops depend on is in the key, in the inputs or in device memory that outlives r. Only
// the indices of ops that draw (random and dropout: am_random_desc, am_dropout_desc) may move, all by as much as `index` did.
// Parts of one step may hand graphs and tensors to each other; nothing that a part makes outlives the step, except in the parts'
// outputs.
//
// On every other device parts are just called. The numbers are the same bits in any case. Local; main thread.
#ifndef AM_TENSOR_REPLAY_H
#define AM_TENSOR_REPLAY_H

#include "tensor/tensor.h"

typedef struct am_replay am_replay;

// May be recorded: `allowed`, and a device that can. Not allowed are steps that other processes take part in.
// dev is borrowed.
AM_MUST_USE am_err am_replay_new(am_device *dev, bool allowed, am_replay **out);
void am_replay_free(am_replay *r);  // before dev is closed; NULL is fine
// A host integer that parts move, by the same amount in every step of a key. Borrowed.
AM_MUST_USE am_err am_replay_counter(am_replay *r, int64_t *counter);

// Opens a step. Steps whose keys have equal bytes run the same ops (so padding must be zeroed). The first AM_REPLAY_KINDS keys
// may be recorded; steps of others are always carried out.
enum { AM_REPLAY_KINDS = 8 };
AM_MUST_USE am_err am_replay_begin(am_replay *r, const void *key, size_t bytes, uint64_t index);
// *out = a plain tensor that the caller fills in every step before the part that reads it; borrowed until the step ends.
AM_MUST_USE am_err am_replay_place(am_replay *r, am_dtype dtype, am_shape shape, am_tensor **out);
// The same, filled with these elements.
AM_MUST_USE am_err am_replay_input(am_replay *r, am_dtype dtype, am_shape shape, const void *host, am_tensor **out);
// Carries a part out, or launches it. out[0..count): NULL when the part is called, which puts references there or leaves them
// NULL; they belong to the step, also after an error, and are borrowed from it until it ends.
typedef am_err (*am_replay_part)(void *self, am_tensor **out);
AM_MUST_USE am_err am_replay_run(am_replay *r, am_replay_part part, void *self, am_tensor **out, int count);
// Ends the step, in which `err` came up; returns err. Always after am_replay_begin succeeded.
AM_MUST_USE am_err am_replay_end(am_replay *r, am_err err);

// Steps that were launched from a recording so far.
int64_t am_replay_launched(const am_replay *r);

#endif
