// doctor --mpi: whether the ranks found each other, what cores they have, and how fast they add up.
#define _GNU_SOURCE  // sched_getaffinity
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "app/doctor.h"
#include "base/clock.h"
#include "base/mem.h"
#include "dist/collective.h"

enum { REDUCE_FLOATS = 4 << 20, ROUNDS = 3, COPY_BYTES = 32 << 20 };
// The rule for what an all-reduce should reach, as --help says it.
static const double SHARE_OF_MEMCPY = 1.0 / 16, BETWEEN_HOSTS = 100e6;

typedef struct {
  cpu_set_t cores;  // where this rank may run
  double copy_rate, reduce_rate;  // bytes per second
} report;

// ---- launch ----

// How many processes the launcher of this one says it started; 0: it says nothing.
static long launched_ranks(const char **says) {
  // SLURM_NTASKS is also there in a batch script, where one process is right.
  static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "SLURM_STEP_NUM_TASKS", "PMI_SIZE"};
  for (int64_t i = 0; i < AM_COUNT_OF(names); i++) {
    const char *text = getenv(names[i]);
    if (!text) continue;
    *says = names[i];
    return strtol(text, NULL, 10);
  }
  return 0;
}

static am_err describe_hosts(const am_doctor *d, am_str *out) {
  for (int r = 0; r < d->ranks; r++) {
    if (!am_doctor_first_on(d, r)) continue;
    AM_TRY(am_str_printf(out, "%s%s %d", r ? ", " : "", d->host[r], am_doctor_ranks_on(d, r)));
  }
  return AM_OK;
}

static bool is_even(const am_doctor *d) {
  for (int r = 0; r < d->ranks; r++) {
    if (am_doctor_ranks_on(d, r) != am_doctor_ranks_on(d, 0)) return false;
  }
  return true;
}

static am_err check_launch(am_doctor *d) {
  const char *says = NULL;
  long expected = launched_ranks(&says);
  am_str text = {0};
  AM_TRY(describe_hosts(d, &text));
  if (d->ranks == 1 && expected > 1) {
    am_doctor_fail(d, "launch",
                   "the launcher and this MPI do not speak the same PMIx: start by `srun --mpi=pmix` (srun --mpi=list), "
                   "or by the mpirun of the MPI that augmint was built with",
                   "this process is rank 0 of 1, but %s=%ld were started: each would do all of the work", says, expected);
  } else if (d->ranks == 1) {
    am_doctor_ok(d, "launch", "one rank; mpirun -n N augmint doctor --mpi looks at N");
  } else {
    am_doctor_prefer(d, is_even(d), "launch",
                     "give every host as many ranks (mpirun --map-by ppr:N:node, srun --ntasks-per-node=N)",
                     "%d ranks on %d host%s: %s", d->ranks, d->hosts, d->hosts == 1 ? "" : "s", am_str_get(&text));
  }
  am_str_fini(&text);
  return AM_OK;
}

// ---- cores ----

static void check_binding(am_doctor *d, const report *all, int threads) {
  for (int r = 0; r < d->ranks; r++) {
    int cores = CPU_COUNT(&all[r].cores);
    if (cores >= threads) continue;
    am_doctor_warn(d, "binding",
                   "mpirun --map-by slot:PE=THREADS --bind-to core, srun --cpus-per-task=THREADS, or fewer --threads",
                   "rank %d may run on %d core%s but has %d threads", r, cores, cores == 1 ? "" : "s", threads);
    return;  // the others are as a rule the same
  }
}

static void check_cores(am_doctor *d, const report *all, int threads) {
  for (int r = 0; r < d->ranks; r++) {
    if (!am_doctor_first_on(d, r)) continue;
    cpu_set_t together;
    CPU_ZERO(&together);
    for (int k = r; k < d->ranks; k++) {
      if (am_doctor_same_host(d, k, r)) CPU_OR(&together, &together, &all[k].cores);
    }
    int ranks = am_doctor_ranks_on(d, r), cores = CPU_COUNT(&together);
    am_doctor_prefer(d, ranks * threads <= cores, "cores",
                     "start fewer ranks, or bind them apart (mpirun --bind-to core, srun --cpu-bind=cores)",
                     "%s: %d rank%s of %d thread%s on %d core%s", d->host[r], ranks, ranks == 1 ? "" : "s", threads,
                     threads == 1 ? "" : "s", cores, cores == 1 ? "" : "s");
  }
}

// ---- speed ----

// All ranks copy at the same time: a host's memory is what they share.
static am_err measure_copy(am_comm *world, double *rate) {
  am_err err = AM_OK;
  char *from = NULL, *to = NULL;
  *rate = 0;
  err = AM_NEW_ARRAY(&from, COPY_BYTES);
  if (!err) err = AM_NEW_ARRAY(&to, COPY_BYTES);
  err = am_agree(world, err);
  for (int round = -1; round < ROUNDS && !err; round++) {  // the first touches the pages
    err = am_comm_barrier(world);
    double start = am_clock_sec();
    memcpy(to, from, COPY_BYTES);
    from[round + 1] = to[COPY_BYTES / 2];
    if (round >= 0 && COPY_BYTES / (am_clock_sec() - start) > *rate) *rate = COPY_BYTES / (am_clock_sec() - start);
  }
  free(from);
  free(to);
  return err;
}

// Gradients as training adds them: one slice a rank. The sum must be right, too.
static am_err measure_reduce(am_comm *world, double *rate) {
  float *x = NULL;
  int size = am_comm_size(world);
  *rate = 0;
  am_err err = am_agree(world, AM_NEW_ARRAY(&x, REDUCE_FLOATS));
  for (int round = -1; round < ROUNDS && !err; round++) {
    for (int64_t i = 0; i < REDUCE_FLOATS; i++) x[i] = (float)(am_comm_rank(world) + i % 7);
    err = am_comm_barrier(world);
    double start = am_clock_sec();
    if (!err) err = am_reduce_slices_f32(world, &x, size, REDUCE_FLOATS, x);
    double bytes_per_sec = REDUCE_FLOATS * sizeof *x / (am_clock_sec() - start);
    if (round >= 0 && bytes_per_sec > *rate) *rate = bytes_per_sec;
    for (int64_t i = 0; i < REDUCE_FLOATS && !err; i++) {
      float want = (float)((int64_t)size * (size - 1) / 2 + size * (i % 7));
      if (x[i] != want) err = AM_FAIL(AM_ERR_NUMERIC, "the all-reduce gave %g at %lld, expected %g", x[i], (long long)i, want);
    }
  }
  free(x);
  return am_agree(world, err);
}

static void judge_speed(am_doctor *d, const report *all) {
  double reduce = all[0].reduce_rate, copy = all[0].copy_rate;
  for (int r = 1; r < d->ranks; r++) {
    if (all[r].reduce_rate < reduce) reduce = all[r].reduce_rate;
    if (all[r].copy_rate < copy) copy = all[r].copy_rate;
  }
  bool far = d->hosts > 1;
  double expected = far ? BETWEEN_HOSTS : copy * SHARE_OF_MEMCPY;
  am_doctor_prefer(d, reduce >= expected, "all-reduce",
                   far ? "let MPI use the fast network (ompi_info | grep -E 'btl|pml', ucx_info -d), and ask the site for "
                         "its settings"
                       : "give each rank cores of its own, and look for other jobs on this host",
                   "%.0f MB/s of 16 MiB over %d ranks; expected at least %.0f (%s %.0f MB/s a rank)", reduce / 1e6,
                   d->ranks, expected / 1e6, far ? "between hosts; memcpy has" : "1/16 of memcpy's", copy / 1e6);
}

am_err am_doctor_mpi(am_doctor *d) {
  am_err err = AM_OK;
  am_comm *world = d->app->world;
  int threads = d->app->threads ? (int)d->app->threads : 1;
  report mine = {0}, *all = NULL;
  if (sched_getaffinity(0, sizeof mine.cores, &mine.cores) != 0) CPU_ZERO(&mine.cores);
  if (d->ranks > 1) AM_TRY(measure_copy(world, &mine.copy_rate));
  if (d->ranks > 1) AM_TRY(measure_reduce(world, &mine.reduce_rate));
  AM_TRY(am_agree(world, AM_NEW_ARRAY(&all, d->ranks)));
  AM_GO(done, am_comm_gather(world, &mine, sizeof mine, all, 0));
  if (am_comm_rank(world) != 0) goto done;
  AM_GO(done, check_launch(d));
  check_binding(d, all, threads);
  check_cores(d, all, threads);
  if (d->ranks > 1) judge_speed(d, all);
done:
  free(all);
  return err;
}
