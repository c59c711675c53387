// What the host wants to see of a step, without making the device wait for it: values are copied behind the ops that compute
// them, and whoever wants them is called some reads later, in the order of the reads. A device whose memory is the host's
// has them at once, and calls at once. What is counted that way does not depend on when it is delivered.
#ifndef AM_TENSOR_LATER_H
#define AM_TENSOR_LATER_H

#include "tensor/tensor.h"

typedef struct am_later am_later;
enum { AM_LATER_TENSORS = 2, AM_LATER_AHEAD = 8 };  // tensors of a read; reads that are under way at most

// value[i]: the elements of the read's tensor i, plain; note: a copy of the read's. An error stops the read or the finish
// that delivers.
typedef am_err (*am_later_fn)(void *user, const void *note, const float *const *value);

// dev and user are borrowed.
AM_MUST_USE am_err am_later_new(am_device *dev, am_later_fn fn, void *user, am_later **out);
void am_later_free(am_later *l);  // what was not delivered is dropped; NULL is fine
// Local. Errors: fn's; AM_ERR_UNSUPPORTED another type than f32; the device's.
AM_MUST_USE am_err am_later_read(am_later *l, am_tensor *const *t, int count, const void *note,
                                 size_t note_bytes);
// All is delivered on return: before sums are read, and before a checkpoint.
AM_MUST_USE am_err am_later_finish(am_later *l);

#endif
