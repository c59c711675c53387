// Results made ahead of their use by threads, and taken in order: files decoded while a network
// computes. Item i is made in slot i % window, a place of the caller's; a slot is made anew only after
// the item behind the one it held was asked for.
#ifndef AM_BASE_AHEAD_H
#define AM_BASE_AHEAD_H

#include <stdint.h>

#include "base/err.h"

typedef struct am_ahead am_ahead;
// make(user, i, slot) for items 0 .. count-1, by `workers` threads (0: by the caller of am_ahead_next),
// at most `window` (1 or more) ahead. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_ahead_new(int workers, int64_t count, int64_t window,
                                am_err (*make)(void *user, int64_t i, int64_t slot), void *user, am_ahead **out);
// Stops the threads, whatever is left to do. NULL is fine.
void am_ahead_free(am_ahead *a);
// The slot of the next item, whose content is the caller's until the next call. At most `count` calls.
// Errors: that of making this item; the ones before it were delivered.
AM_MUST_USE am_err am_ahead_next(am_ahead *a, int64_t *slot);

#endif
