// doctor --gpu: drivers, devices, which rank sees which, and what the cuda backend says of itself.
#define _GNU_SOURCE  // RTLD_NOLOAD
#include <dirent.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "app/doctor.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "tensor/backend.h"

enum { WORDS = 128 };

typedef struct {
  char driver[WORDS];   // first line of the driver's own words, "" without one
  char visible[WORDS];  // CUDA_VISIBLE_DEVICES, "-" when it is not set
  char step[WORDS];     // SLURM_STEP_GPUS, likewise
  int devices;          // /dev/nvidia<number>
} report;

static void read_driver(char out[WORDS]) {
  char *text = NULL;
  size_t bytes = 0;
  out[0] = '\0';
  if (am_file_read("/proc/driver/nvidia/version", 1 << 16, &text, &bytes) != AM_OK) {
    am_err_clear();
    return;
  }
  snprintf(out, WORDS, "%.*s", (int)strcspn(text, "\n"), text);
  free(text);
}

static int count_devices(void) {
  int count = 0;
  DIR *dev = opendir("/dev");
  for (const struct dirent *e; dev && (e = readdir(dev));) {
    const char *number = e->d_name + strlen("nvidia");
    count += am_str_starts(e->d_name, "nvidia") && *number && !number[strspn(number, "0123456789")];
  }
  if (dev) closedir(dev);
  return count;
}

static void read_word(const char *name, char out[WORDS]) {
  const char *text = getenv(name);
  snprintf(out, WORDS, "%s", text ? text : "-");
}

static void check_host(am_doctor *d, const char *host, const report *on) {
  if (on->devices == 0 && !*on->driver) {
    am_doctor_ok(d, "GPU", "%s: no NVIDIA driver and no device", host);
  } else {
    am_doctor_prefer(d, on->devices > 0 && *on->driver, "GPU",
                     on->devices ? "load the driver's module (nvidia-smi), or start the container with --nv"
                                 : "ask Slurm for GPUs (--gres=gpu:N), or start the container with --nv",
                     "%s: %d device%s /dev/nvidia*, driver: %s", host, on->devices, on->devices == 1 ? "" : "s",
                     *on->driver ? on->driver : "none");
  }
}

// One device each is what a rank should see; two ranks on one host that see the same one share it.
static void check_binding(am_doctor *d, const report *all) {
  for (int r = 0; r < d->ranks; r++) {
    const report *a = &all[r];
    if (!strcmp(a->visible, "-") && !strcmp(a->step, "-")) continue;
    int twin = -1;
    for (int k = 0; k < r && twin < 0; k++) {
      if (am_doctor_same_host(d, k, r) && !strcmp(all[k].visible, a->visible) && strcmp(a->visible, "-")) twin = k;
    }
    bool missing = a->devices == 0;
    am_doctor_prefer(d, twin < 0 && !missing, "binding",
                     missing ? "ask Slurm for GPUs (--gres=gpu:N), or unset CUDA_VISIBLE_DEVICES"
                             : "one GPU a rank: srun --gpus-per-task=1, or a wrapper that sets CUDA_VISIBLE_DEVICES",
                     "rank %d on %s: CUDA_VISIBLE_DEVICES %s, SLURM_STEP_GPUS %s%s", r, d->host[r], a->visible, a->step,
                     missing ? ", but there is no device" : twin >= 0 ? ", as another rank of this host" : "");
  }
}

static int count_ops(const am_device *dev, am_dtype dtype) {
  int count = 0;
  for (int op = 0; op < AM_OP_COUNT; op++) count += am_device_check_type(dev, (am_op)op, dtype) == AM_OK;
  return count;
}

// What the cuda backend says of itself, on this rank.
static void check_backend(am_doctor *d) {
  am_device *dev = NULL;
  if (am_device_open(&(am_device_cfg){.kind = "cuda"}, &dev)) {
    am_doctor_warn(d, "GPU", "compute on the processor (--device cpu) and ask for no GPUs (gpus_per_node: 0)",
                   "no experiment runs on a GPU here: %s", am_err_last()->message);
  } else {
    am_doctor_warn(d, "GPU", "check with make check-gpu before numbers are kept; without --device cuda the processor computes",
                   "the cuda backend has not been run on a card yet: %s computes %d of %d ops in f32, %d in bf16",
                   am_device_describe(dev), count_ops(dev, AM_F32), (int)AM_OP_COUNT, count_ops(dev, AM_BF16));
  }
  am_err_clear();
  am_device_close(dev);
}

typedef struct {
  const char *file, *version;  // a library that the plug-in needs, and its function that tells its version
  bool to_pointer;             // int f(int *version), else size_t f(void)
} gpu_library;

// "libcudnn.so.9 91400": the number as NVIDIA writes it; nothing where the plug-in did not bring the library along.
static void add_version(const gpu_library *l, char text[WORDS]) {
  void *object = dlopen(l->file, RTLD_LAZY | RTLD_NOLOAD);
  void *symbol = object ? dlsym(object, l->version) : NULL;
  const size_t used = strlen(text);
  if (symbol && l->to_pointer) {
    int (*ask)(int *), version = 0;
    memcpy(&ask, &symbol, sizeof ask);
    if (ask(&version) == 0) snprintf(text + used, WORDS - used, "%s%s %d", used ? ", " : "", l->file, version);
  } else if (symbol) {
    size_t (*ask)(void);
    memcpy(&ask, &symbol, sizeof ask);
    snprintf(text + used, WORDS - used, "%s%s %zu", used ? ", " : "", l->file, ask());
  }
  if (object) dlclose(object);
}

// The versions that a record of a run needs, of what is loaded on this rank.
static void check_libraries(am_doctor *d) {
  static const gpu_library all[] = {{"libcudart.so.13", "cudaRuntimeGetVersion", true},
                                    {"libcublasLt.so.13", "cublasLtGetVersion", false},
                                    {"libcudnn.so.9", "cudnnGetVersion", false},
                                    {"libnccl.so.2", "ncclGetVersion", true}};
  char text[WORDS] = "";
  for (int i = 0; i < AM_COUNT_OF(all); i++) add_version(&all[i], text);
  if (*text) am_doctor_ok(d, "libraries", "%s", text);
}

am_err am_doctor_gpu(am_doctor *d) {
  am_err err = AM_OK;
  am_comm *world = d->app->world;
  report mine = {.devices = count_devices()}, *all = NULL;
  bool any = false;
  read_driver(mine.driver);
  read_word("CUDA_VISIBLE_DEVICES", mine.visible);
  read_word("SLURM_STEP_GPUS", mine.step);
  AM_TRY(am_agree(world, AM_NEW_ARRAY(&all, d->ranks)));
  AM_GO(done, am_comm_gather(world, &mine, sizeof mine, all, 0));
  if (am_comm_rank(world) != 0) goto done;
  for (int r = 0; r < d->ranks; r++) {
    if (am_doctor_first_on(d, r)) check_host(d, d->host[r], &all[r]);
    any |= all[r].devices > 0;
  }
  check_binding(d, all);
  if (any || d->asked) {
    check_backend(d);
    check_libraries(d);
  }
done:
  free(all);
  return err;
}
