// Named fault points, so that error paths can be tested: the n-th allocation fails, the n-th I/O
// call fails, the process stalls or dies at a named place.
//
// Armed by AUGMINT_FAULT, a comma-separated list of  point:n[@rank]
//   alloc:17        the 17th allocation of the process fails (counted from 1)
//   io:3            the 3rd write, fsync or rename through base/path fails
//   die:250@1       rank 1 kills itself with SIGKILL at its 250th am_fault_point()
//   stall:40@0      rank 0 sleeps for ever at its 40th am_fault_point()
//   slow:150        sleeps 150 ms at every am_fault_point(): long work that costs nothing
// Without the variable a check costs one load.
#ifndef AM_BASE_FAULT_H
#define AM_BASE_FAULT_H

#include <stdbool.h>

#include "base/err.h"

typedef enum { AM_FAULT_ALLOC, AM_FAULT_IO, AM_FAULT_DIE, AM_FAULT_STALL, AM_FAULT_SLOW, AM_FAULT_COUNT } am_fault;

// Reads AUGMINT_FAULT; called once by main after the rank is known. Errors: AM_ERR_CONFIG.
AM_MUST_USE am_err am_fault_init(const char *spec, int rank);
// Counts one event; true when this is the one that shall fail. Thread-safe.
bool am_fault_hit(am_fault fault);
// A place at which a rank may be told to die, to stall or to take its time: steps, blocks, commits.
void am_fault_point(void);

#endif
