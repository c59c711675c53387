// augmint doctor: what this machine, this job and this file system can do, what is missing, what to change.
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "app/doctor.h"
#include "base/mem.h"

// ---- findings ----

__attribute__((format(printf, 5, 0))) static void say(am_doctor *d, const char *mark, const char *what,
                                                       const char *advice, const char *fmt, va_list args) {
  fprintf(d->app->out, "%-4s %-10s ", mark, what);
  vfprintf(d->app->out, fmt, args);
  fprintf(d->app->out, advice ? " -> %s\n" : "\n", advice);
}

void am_doctor_ok(am_doctor *d, const char *what, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  say(d, "ok", what, NULL, fmt, args);
  va_end(args);
}

__attribute__((format(printf, 4, 0))) static void warn(am_doctor *d, const char *what, const char *advice, const char *fmt, va_list args) {
  say(d, "warn", what, advice, fmt, args);
  d->warnings++;
}

__attribute__((format(printf, 4, 0))) static void fail(am_doctor *d, const char *what, const char *advice, const char *fmt, va_list args) {
  say(d, "fail", what, advice, fmt, args);
  d->failures++;
}

void am_doctor_warn(am_doctor *d, const char *what, const char *advice, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  warn(d, what, advice, fmt, args);
  va_end(args);
}

void am_doctor_fail(am_doctor *d, const char *what, const char *advice, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  fail(d, what, advice, fmt, args);
  va_end(args);
}

void am_doctor_prefer(am_doctor *d, bool good, const char *what, const char *advice, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  if (good) {
    say(d, "ok", what, NULL, fmt, args);
  } else {
    warn(d, what, advice, fmt, args);
  }
  va_end(args);
}

void am_doctor_require(am_doctor *d, bool good, const char *what, const char *advice, const char *fmt, ...) {
  va_list args;
  va_start(args, fmt);
  if (good) {
    say(d, "ok", what, NULL, fmt, args);
  } else {
    fail(d, what, advice, fmt, args);
  }
  va_end(args);
}

// ---- hosts ----

bool am_doctor_same_host(const am_doctor *d, int a, int b) { return !strcmp(d->host[a], d->host[b]); }

int am_doctor_ranks_on(const am_doctor *d, int rank) {
  int count = 0;
  for (int r = 0; r < d->ranks; r++) count += am_doctor_same_host(d, r, rank);
  return count;
}

bool am_doctor_first_on(const am_doctor *d, int rank) {
  for (int r = 0; r < rank; r++) {
    if (am_doctor_same_host(d, r, rank)) return false;
  }
  return true;
}

// Collective.
static am_err find_hosts(am_doctor *d) {
  am_comm *world = d->app->world;
  char mine[AM_DOCTOR_HOST] = "";
  d->ranks = am_comm_size(world);
  AM_TRY(am_agree(world, AM_NEW_ARRAY(&d->host, d->ranks)));
  snprintf(mine, sizeof mine, "%s", am_comm_host(world));
  AM_TRY(am_comm_all_gather(world, mine, sizeof mine, d->host));
  for (int r = 0; r < d->ranks; r++) d->hosts += am_doctor_first_on(d, r);
  return AM_OK;
}

// ---- the command ----

typedef struct {
  bool mpi, slurm, gpu, fs;
  const char *profile;
} sections;

// What only one rank has to look at.
static am_err look_alone(am_doctor *d, const sections *s, bool everything) {
  if (am_comm_rank(d->app->world) != 0) return AM_OK;
  if (everything) am_doctor_machine(d);
  if (everything || s->mpi) am_doctor_libraries(d);
  d->asked = s->slurm;
  if (everything || s->slurm) AM_TRY(am_doctor_slurm(d));
  if (!everything) return AM_OK;
  AM_TRY(am_doctor_data(d));
  am_doctor_figures(d);
  return AM_OK;
}

static am_err look_together(am_doctor *d, const sections *s, bool everything) {
  d->asked = s->mpi;
  if (everything || s->mpi) AM_TRY(am_doctor_mpi(d));
  d->asked = s->gpu;
  if (everything || s->gpu) AM_TRY(am_doctor_gpu(d));
  d->asked = s->fs;
  if (everything || s->fs) AM_TRY(am_doctor_fs(d));
  return AM_OK;
}

static am_err verdict(const am_doctor *d) {
  if (am_comm_rank(d->app->world) != 0) return AM_OK;
  fprintf(d->app->out, "\n%lld %s, %lld %s\n", (long long)d->failures, d->failures == 1 ? "failure" : "failures",
          (long long)d->warnings, d->warnings == 1 ? "warning" : "warnings");
  AM_CHECK(d->failures == 0, AM_ERR_UNSUPPORTED, "doctor found %lld that will not work here; the lines above say what to change", (long long)d->failures);
  return AM_OK;
}

static am_err run(am_app *app) {
  sections s = {0};
  const am_option options[] = {
      {"--mpi", AM_OPTION_FLAG, &s.mpi, NULL, "ranks, hosts, cores, and how fast they add up (under mpirun or srun)"},
      {"--slurm", AM_OPTION_FLAG, &s.slurm, NULL, "Slurm, and what a profile asks of it"},
      {"--gpu", AM_OPTION_FLAG, &s.gpu, NULL, "drivers, devices, and which rank sees which"},
      {"--fs", AM_OPTION_FLAG, &s.fs, NULL, "whether RESULTS lies on a file system that keeps its promises"},
      {"--profile", AM_OPTION_TEXT, &s.profile, "P", "site profile (a path, or a name in slurm/profiles) for --slurm"}};
  bool go = false;
  AM_TRY(am_command_begin(app, options, AM_COUNT_OF(options), 0, 0, &go));
  if (!go) return AM_OK;
  am_doctor d = {.app = app, .profile = s.profile};
  bool everything = !(s.mpi || s.slurm || s.gpu || s.fs);
  AM_CHECK(!s.profile || s.slurm || everything, AM_ERR_CONFIG, "--profile is for --slurm: say that, too");
  if (s.profile) s.slurm = true;
  am_err err = find_hosts(&d);
  if (!err) err = am_agree(app->world, look_alone(&d, &s, everything));
  if (!err) err = look_together(&d, &s, everything);
  if (!err) err = am_agree(app->world, verdict(&d));
  free(d.host);
  return err;
}

const am_command am_cmd_doctor = {
    .name = "doctor",
    .usage = "[--mpi] [--slurm [--profile P]] [--gpu] [--fs]",
    .doc = "what this machine can do, what is missing, what to change",
    .help =
        "Every line is `ok`, `warn` (worth a change) or `fail` (does not work), what was looked at, what was found, and\n"
        "behind -> what to change. Exit code 1 when something fails. Without a section: all that is quick.\n"
        "\n"
        "  mpirun -n 4 augmint doctor --mpi --fs          hosts, cores, all-reduce; files that all ranks see\n"
        "  srun -N 2 --mpi=pmix augmint doctor --mpi      the same through Slurm\n"
        "  augmint doctor --slurm --profile mysite        partition, limits and launcher against the profile\n"
        "\n"
        "The all-reduce adds 16 MiB over all ranks as training does. On one host it is expected to reach 1/16 of what\n"
        "memcpy gives all ranks at once; between hosts 100 MB/s, about what gigabit Ethernet gives.\n",
    .all_ranks = true,
    .run = run};
