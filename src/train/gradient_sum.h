// How gradients are added over all slices of all ranks: four ways behind one table.
//
//   host     memory that the host reads: the fixed tree of dist/collective.h, on that memory
//   device   one rank: the additions of the same tree as ops of the device
//   staged   slices are copied to the host, added there in the fixed tree, and the sum is copied back. The copies wait for
//            the device; what goes between the ranks overlaps with backward
//   nccl     a card for every rank: local slices are added on it, then the ranks' by the backend's library in an order of
//            its own, behind backward; the device waits for it, the host does not
//
// host, device and staged give the same bits for the same gradients, whatever the ranks.
#ifndef AM_TRAIN_GRADIENT_SUM_H
#define AM_TRAIN_GRADIENT_SUM_H

#include "dist/comm.h"
#include "tensor/tensor.h"

// What is added. The flat gradients of a slice are used up.
typedef struct {
  am_comm *comm;                 // borrowed: the ranks that share the slices, by am_partition
  am_tensor *const *local;       // borrowed: flat gradients of this rank's slices
  int64_t slices, first, count;  // all of them; this rank's are first .. first+count, count may be 0
  am_tensor *out;                // borrowed: flat; receives the sums; it is local[0] where there is one
} am_gradient_slices;

typedef struct am_gradient_sum {
  const char *name;
  // Collective. g and what it names are borrowed until close.
  AM_MUST_USE am_err (*open)(const am_gradient_slices *g, void **self);
  // Elements first .. first+elements of every local slice are final; they belong to the sum until wait. Every rank begins the
  // same parts in the same order.
  AM_MUST_USE am_err (*begin)(void *self, int64_t first, int64_t elements);
  // Between layers: short, waits for nobody.
  AM_MUST_USE am_err (*progress)(void *self);
  // All that was begun: afterwards out holds the sums for whatever the device is told next, and nothing is under way, also on error.
  AM_MUST_USE am_err (*wait)(void *self);
  void (*close)(void *self);  // NULL is fine
} am_gradient_sum;

extern const am_gradient_sum am_gradient_sum_host, am_gradient_sum_device, am_gradient_sum_staged,
    am_gradient_sum_nccl;

// Collective: the way for these slices. reduce "ordered": the fixed tree. "fast": nccl where every rank has a card of its own;
// where not, the log says so once, and it is staged.
AM_MUST_USE am_err am_gradient_sum_choose(const am_gradient_slices *g, const char *reduce,
                                          const am_gradient_sum **out);

#endif
