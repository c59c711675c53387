// Benchmarks as a table of rows: what is done, how much of it a step is, what must come out.
//
// A row is measured alone in its process, so that its peak memory is its own:
//   open, two steps, check, close; open again, two steps, check   the two checks must agree bit for bit
//   `repeats` times: enough steps for MIN_SEC                      wall and CPU seconds of a step
//   peak memory of the process; rates of the machine; one more step with a profile
// Nothing is verified inside the timed region. A new row is one am_bench_row in the list of bench.c.
#ifndef AM_BENCH_BENCH_H
#define AM_BENCH_BENCH_H

#include <jansson.h>

#include "bench/ceiling.h"
#include "dist/comm.h"
#include "tensor/profile.h"

enum { AM_BENCH_REPEATS_MAX = 100, AM_BENCH_PHOTOS_MAX = 200 };

// What a row is given.
typedef struct {
  am_comm *comm;           // borrowed: one rank, or those of mpirun
  am_device *device;       // borrowed; NULL for rows that compute on none
  int threads;
  const char *precision;   // "fp32", "bf16" or "tf32": of the networks' arithmetic
  bool tiny;               // as small as still makes sense: for tests of the benchmark itself
  char *const *photo;      // borrowed: paths of JPEG photographs, of which the first AM_BENCH_PHOTOS_MAX are used
  int64_t photo_count;     // 0: pictures are drawn
  const char *scratch;     // a folder of this row alone, removed afterwards
} am_bench;

// What one step is.
typedef struct {
  double items;     // in the row's unit
  double bytes;     // that must be moved at least; 0: nothing is said
  char note[96];    // what the work depends on: "60 photographs, 105 kB each"
} am_bench_work;

typedef enum {
  AM_BENCH_DEVICE = 1,    // computes on a device
  AM_BENCH_NETWORK = 2,   // has a precision, too
  AM_BENCH_RANKS = 4,     // measures several ranks: only under mpirun
  AM_BENCH_ONE_CORE = 8,  // one thread, whatever --threads says
  AM_BENCH_CARD = 16      // so large that it is measured only when it is named
} am_bench_flag;

typedef struct {
  const char *name, *doc;
  const char *unit;     // "images/s": items of work per second; "GB/s": items are 1e9 bytes
  unsigned flags;       // am_bench_flag
  const void *variant;  // constant: what sets this row apart from others with the same functions
  // Collective where ranks are measured, as are the following. The error is the rank's own.
  AM_MUST_USE am_err (*open)(const am_bench *b, const void *variant, am_bench_work *work, void **self);
  AM_MUST_USE am_err (*step)(void *self);
  // A number that any wrong or different result would change, of all steps so far.
  AM_MUST_USE am_err (*check)(void *self, double *value);
  // The same work done by the system's own means, timed beside: a raw write, MPI_Allreduce. NULL: none.
  AM_MUST_USE am_err (*reference)(void *self);
  const char *reference_doc;
  void (*close)(void *self);
} am_bench_row;

const am_bench_row *const *am_bench_all(void);  // NULL-terminated
// Errors: AM_ERR_CONFIG names the nearest.
AM_MUST_USE am_err am_bench_find(const char *name, const am_bench_row **out);
// Whether the row can be measured on so many ranks. Errors: AM_ERR_CONFIG.
AM_MUST_USE am_err am_bench_check_ranks(const am_bench_row *row, int ranks);

typedef struct {
  am_comm *comm;
  const char *device_kind;
  int threads, repeats;     // repeats: 1 to AM_BENCH_REPEATS_MAX
  const char *precision;
  bool tiny;
  bool measured;            // am_device_cfg's
  char *const *photo;
  int64_t photo_count;
  const char *scratch_dir;  // the row's folder is made below
  // Called before each repeat, so that somebody else's repeats can come between; NULL: they follow at once.
  AM_MUST_USE am_err (*pace)(void *user, int repeat);
  void *pace_user;
} am_bench_cfg;
// Collective(comm): measures a row; *out is its JSON (record.h), a new reference, on every rank.
// Errors: AM_ERR_CONFIG a row that does not fit the number of ranks; AM_ERR_UNSUPPORTED precision;
// AM_ERR_NUMERIC a check that is not finite or differs between two runs.
AM_MUST_USE am_err am_bench_measure(const am_bench_row *row, const am_bench_cfg *cfg, json_t **out);

#endif
