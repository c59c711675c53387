// augmint doctor: what this machine can do, what is missing, what to change.
#include <spawn.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/command.h"
#include "base/path.h"
#include "base/version.h"
#include "bench/machine.h"
#include "data/manifest.h"
#include "nn/module.h"

extern char **environ;

typedef struct {
  const am_app *app;
  int problems;  // what keeps things from working
  int advice;    // what would make them better
} doctor;

static void good(doctor *d, const char *what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void better(doctor *d, const char *what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void bad(doctor *d, const char *what, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

__attribute__((format(printf, 4, 0))) static void say(doctor *d, const char *mark, const char *what,
                                                       const char *fmt, va_list args) {
  fprintf(d->app->out, "%-4s %-10s ", mark, what);
  vfprintf(d->app->out, fmt, args);
  fputc('\n', d->app->out);
}

#define SAY(name, mark, count)                                          \
  static void name(doctor *d, const char *what, const char *fmt, ...) { \
    va_list args;                                                       \
    va_start(args, fmt);                                                \
    say(d, mark, what, fmt, args);                                      \
    va_end(args);                                                       \
    count;                                                              \
  }
SAY(good, "ok", (void)d)
SAY(better, "note", d->advice++)
SAY(bad, "MISS", d->problems++)
#undef SAY

// ---- the machine ----

static void check_machine(doctor *d) {
  am_machine m;
  am_machine_read(&m);
  good(d, "processor", "%s, %s", *m.cpu ? m.cpu : "unknown", am_machine_isa_text(&m));
  good(d, "cores", "%ld; start one rank a core: mpirun -n %ld augmint run ...", m.cores, m.cores);
  if (m.available_gib >= 2) {
    good(d, "memory", "%.1f GiB are available", m.available_gib);
  } else {
    better(d, "memory", "%.1f GiB are available; a rank that trains a ResNet-18 needs about 1 GiB",
           m.available_gib);
  }
  good(d, "augmint", "%s", AM_VERSION);
  good(d, "MPI", "%s", m.mpi);
  good(d, "HDF5", "%s", m.hdf5);
  good(d, "oneDNN", "%s", m.onednn);
  good(d, "BLAS", "%s", m.blas);
}

// ---- devices ----

static void check_precision(doctor *d, const am_device *device) {
  am_dtype compute;
  if (am_compute_type(device, "bf16", &compute) == AM_OK) {
    good(d, "precision", "fp32 and bf16");
  } else {
    good(d, "precision", "fp32; %s", am_err_last()->message);
  }
}

static void check_devices(doctor *d) {
  static const char *const kinds[] = {"cpu", "ref", "guard"};
  for (int64_t i = 0; i < AM_COUNT_OF(kinds); i++) {
    am_device *device = NULL;
    if (am_device_open(&(am_device_cfg){.kind = kinds[i]}, &device) == AM_OK) {
      good(d, "device", "%s: %s", kinds[i], am_device_describe(device));
      if (i == 0) check_precision(d, device);
      am_device_close(device);
    } else {
      bad(d, "device", "%s: %s", kinds[i], am_err_last()->message);
    }
  }
}

// ---- folders ----

static void check_results(doctor *d) {
  const char *dir = d->app->results_dir;
  bool exists = am_path_is_dir(dir);
  int64_t bytes = 0;
  if (exists && access(dir, W_OK) != 0) {
    bad(d, "results", "%s cannot be written: choose another with --results DIR", dir);
  } else if (am_path_free_bytes(exists ? dir : ".", &bytes) != AM_OK) {
    bad(d, "results", "%s", am_err_last()->message);
  } else {
    double gib = (double)bytes / (1 << 30);
    (gib < 1 ? better : good)(d, "results", "%s%s: %.1f GiB are free", dir, exists ? "" : " (will be made)",
                              gib);
  }
}

static void check_data_set(doctor *d, const char *file) {
  am_manifest *m = NULL;
  am_file_list list = {0};
  char *path = NULL;
  am_err err = am_path_join(d->app->manifest_dir, file, &path);
  if (!err) err = am_manifest_load(path, d->app->manifest_dir, &m);
  if (err) {
    bad(d, "data", "%s", am_err_last()->message);
  } else if (am_manifest_list(m, d->app->data_dir, &(am_selection){0}, &list) == AM_OK) {
    good(d, "data", "%s: %lld images of %lld classes%s", am_manifest_name(m), (long long)list.count,
         (long long)list.class_count, am_manifest_is_drawn(m) ? ", drawn by the program" : "");
  } else {
    better(d, "data", "%s: %s", am_manifest_name(m), am_err_last()->message);
  }
  am_file_list_fini(&list);
  am_manifest_free(m);
  free(path);
}

static am_err check_data(doctor *d) {
  am_dir_list list = {0};
  if (!am_path_is_dir(d->app->manifest_dir)) {
    bad(d, "data", "there is no folder of manifests %s: start in the source folder or give --manifests DIR",
        d->app->manifest_dir);
    return AM_OK;
  }
  good(d, "data", "image sets are looked for in %s/<manifest>/ (--data DIR or AUGMINT_DATA)",
       d->app->data_dir);
  AM_TRY(am_dir_read(d->app->manifest_dir, &list));
  for (int64_t i = 0; i < list.count; i++) {
    if (am_str_ends(list.name[i], ".yaml")) check_data_set(d, list.name[i]);
  }
  am_dir_list_fini(&list);
  return AM_OK;
}

// ---- figures ----

// Whether this Python finds all of `modules` ("h5py numpy").
static bool python_has(const char *python, const char *modules) {
  char program[64], code[160];
  pid_t child;
  int status = 0;
  snprintf(program, sizeof program, "%s", python);
  snprintf(code, sizeof code,
           "import importlib.util as u, sys; sys.exit(any(u.find_spec(m) is None for m in '%s'.split()))",
           modules);
  char *const argv[] = {program, "-c", code, NULL};
  if (posix_spawnp(&child, program, NULL, NULL, argv, environ) != 0) return false;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void check_figures(doctor *d) {
  static const char modules[] = "h5py numpy pandas matplotlib";
  static const char *const pythons[] = {"python3",
                                        "/usr/bin/python3"};  // the second where the first is an environment
  for (int64_t i = 0; i < AM_COUNT_OF(pythons); i++) {
    if (!python_has(pythons[i], modules)) continue;
    good(d, "figures", "%s with %s", pythons[i], modules);
    return;
  }
  better(d, "figures",
         "python3 lacks some of %s, which analysis/figures.py needs (report.html does not): apt install "
         "python3-h5py python3-pandas python3-matplotlib",
         modules);
}

static am_err run(am_app *app) {
  doctor d = {.app = app};
  bool go = false;
  AM_TRY(am_command_begin(app, NULL, 0, 0, 0, &go));
  if (!go) return AM_OK;
  check_machine(&d);
  check_devices(&d);
  check_results(&d);
  AM_TRY(check_data(&d));
  check_figures(&d);
  fprintf(app->out, "\n%d missing, %d %s worth reading\n", d.problems, d.advice,
          d.advice == 1 ? "note" : "notes");
  AM_CHECK(d.problems == 0, AM_ERR_UNSUPPORTED, "%d of the things above are missing here", d.problems);
  return AM_OK;
}

const am_command am_cmd_doctor = {.name = "doctor",
                                  .usage = "",
                                  .doc = "what this machine can do, what is missing, what to change",
                                  .help =
                                      "Lines begin with ok, note (worth reading) or MISS (does not work). "
                                      "Exit code 1 when something is missing.\n",
                                  .run = run};
