// doctor: processor, memory, devices, libraries, and Python for figures.
#define _GNU_SOURCE  // process_vm_readv
#include <hdf5.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/doctor.h"
#include "base/version.h"
#include "bench/machine.h"
#include "nn/module.h"

extern char **environ;

// ---- the machine ----

static void check_precision(am_doctor *d, const am_device *device) {
  am_dtype compute;
  if (am_compute_type(device, "bf16", &compute) == AM_OK) {
    am_doctor_ok(d, "precision", "fp32 and bf16");
  } else {
    am_doctor_ok(d, "precision", "fp32; %s", am_err_last()->message);
  }
}

static void check_devices(am_doctor *d) {
  static const char *const kinds[] = {"cpu", "ref", "guard"};
  for (int64_t i = 0; i < AM_COUNT_OF(kinds); i++) {
    am_device *device = NULL;
    if (am_device_open(&(am_device_cfg){.kind = kinds[i]}, &device) == AM_OK) {
      am_doctor_ok(d, "device", "%s: %s", kinds[i], am_device_describe(device));
      if (i == 0) check_precision(d, device);
      am_device_close(device);
    } else {
      am_doctor_fail(d, "device", "build again where this program is to run", "%s: %s", kinds[i],
                     am_err_last()->message);
    }
  }
}

void am_doctor_machine(am_doctor *d) {
  am_machine m;
  am_machine_read(&m);
  am_doctor_ok(d, "augmint", "%s", AM_VERSION);
  am_doctor_ok(d, "processor", "%s, %s", *m.cpu ? m.cpu : "unknown", am_machine_isa_text(&m));
  am_doctor_ok(d, "cores", "%ld; start one rank a core: mpirun -n %ld augmint run ...", m.cores, m.cores);
  am_doctor_prefer(d, m.available_gib >= 2, "memory", "start fewer ranks: one that trains a ResNet-18 needs about 1 GiB",
                   "%.1f GiB are available", m.available_gib);
  check_devices(d);
}

// ---- libraries ----

// Whether the kernel lets a process read memory by process_vm_readv, here its own.
static bool may_copy_memory(void) {
  char from[8] = "1234567", to[8] = "";
  struct iovec local = {to, sizeof to}, remote = {from, sizeof from};
  return process_vm_readv(getpid(), &local, 1, &remote, 1, 0) == (ssize_t)sizeof to;
}

static void check_mpi_version(am_doctor *d, const char *version) {
  int major = 0, minor = 0;
  bool open_mpi = sscanf(version, "Open MPI v%d.%d", &major, &minor) == 2;
  // open-mpi/ompi issue 13523: PMI-1 and -2 are gone, and srun --mpi=pmi2 starts N programs of one rank each.
  if (open_mpi && major >= 5 && getenv("SLURM_JOB_ID")) {
    am_doctor_warn(d, "MPI", "start it by srun --mpi=pmix or mpirun, and look at the line `launch`",
                   "%s speaks PMIx only: with another srun --mpi= every process is a job of its own", version);
    return;
  }
  // open-mpi/ompi issue 4948: what it copies between processes of a host needs a call that containers often refuse.
  if (open_mpi && major < 5 && !may_copy_memory() && !getenv("OMPI_MCA_btl_vader_single_copy_mechanism")) {
    am_doctor_warn(d, "MPI", "export OMPI_MCA_btl_vader_single_copy_mechanism=none, else ranks say `Read -1, expected ...`",
                   "%s, but process_vm_readv is refused here", version);
    return;
  }
  am_doctor_prefer(d, !open_mpi || major > 4 || (major == 4 && minor >= 1), "MPI", "use Open MPI 4.1 or newer", "%s",
                   version);
}

// Versions that do not fit end the program when HDF5 is first used, unless somebody switched that check off.
static void check_hdf5_version(am_doctor *d) {
  unsigned major = 0, minor = 0, release = 0;
  H5get_libversion(&major, &minor, &release);
  bool same = major == H5_VERS_MAJOR && minor == H5_VERS_MINOR && release == H5_VERS_RELEASE;
  char built[64] = "";
  if (!same) snprintf(built, sizeof built, ", built with the headers of %d.%d.%d", H5_VERS_MAJOR, H5_VERS_MINOR, H5_VERS_RELEASE);
  am_doctor_require(d, same, "HDF5", "build again, or load the module that it was built with", "%u.%u.%u%s", major, minor,
                    release, built);
  if (getenv("HDF5_DISABLE_VERSION_CHECK"))
    am_doctor_warn(d, "HDF5", "unset HDF5_DISABLE_VERSION_CHECK", "its check of versions is switched off");
}

void am_doctor_libraries(am_doctor *d) {
  am_machine m;
  am_machine_read(&m);
  check_mpi_version(d, m.mpi);
  check_hdf5_version(d);
  am_doctor_ok(d, "oneDNN", "%s", m.onednn);
  am_doctor_ok(d, "BLAS", "%s", m.blas);
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

void am_doctor_figures(am_doctor *d) {
  static const char modules[] = "h5py numpy pandas matplotlib";
  static const char *const pythons[] = {"python3",
                                        "/usr/bin/python3"};  // the second where the first is an environment
  for (int64_t i = 0; i < AM_COUNT_OF(pythons); i++) {
    if (!python_has(pythons[i], modules)) continue;
    am_doctor_ok(d, "figures", "%s with %s", pythons[i], modules);
    return;
  }
  am_doctor_warn(d, "figures", "apt install python3-h5py python3-pandas python3-matplotlib",
                 "python3 lacks some of %s, which analysis/figures.py needs (report.html does not)", modules);
}
