// Reductions whose result does not depend on how the work was spread.
#ifndef AM_DIST_COLLECTIVE_H
#define AM_DIST_COLLECTIVE_H

#include "dist/comm.h"

// The block of `total` indices that part `part` of `parts` owns: contiguous, sizes differ by at
// most one, earlier parts larger. *first .. *first + *count.
void am_partition(int64_t total, int64_t parts, int64_t part, int64_t *first, int64_t *count);
// Which part owns an index.
int64_t am_partition_owner(int64_t total, int64_t parts, int64_t index);

// Tree sum over S slices: s0..s(S-1) are added pairwise, (0+1)+(2+3).., an odd one out is carried
// up; the same bits for any number of ranks. Slices lie on ranks by am_partition(S, size, rank).
//   local[k] (count elements) is this rank's k-th slice and is used up; `out` receives the sum on
//   every rank and may be local[0].
// A rank first adds what forms a whole subtree of its own slices, then ranks exchange chunks, add
// the rest in tree order, and gather. Collective(c).
AM_MUST_USE am_err am_reduce_slices_f32(am_comm *c, float *const *local, int64_t slices, int64_t count,
                                        float *out);
AM_MUST_USE am_err am_reduce_slices_f64(am_comm *c, double *const *local, int64_t slices, int64_t count,
                                        double *out);

// The additions of that tree, of which a rank does those among its slices first .. first+count that no other slice comes
// between: calls add(user, to, from) in order, `to` += `from`, numbered from `first`. What remains are the roots of whole
// subtrees; with all slices here the sum is in 0. Local.
typedef am_err (*am_tree_add)(void *user, int64_t to, int64_t from);
AM_MUST_USE am_err am_tree_fold(int64_t slices, int64_t first, int64_t count, am_tree_add add, void *user);

// The same in the background, for overlap with backward: begin as soon as a bucket is complete on
// this rank, in the same order on every rank; progress between layers; wait before the step. The
// buffers belong to the reduction until then.
typedef struct am_reduction am_reduction;
AM_MUST_USE am_err am_reduction_begin(am_comm *c, float *const *local, int64_t slices, int64_t count,
                                      float *out, am_reduction **r);
AM_MUST_USE am_err am_reduction_progress(am_reduction *r, bool *done);
AM_MUST_USE am_err am_reduction_wait(am_reduction *r);  // and gives it back, also on error

#endif
