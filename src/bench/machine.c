#include "bench/machine.h"

#include <cblas.h>
#include <dnnl.h>
#include <hdf5.h>
#include <mpi.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <jpeglib.h>

#include "base/num.h"
#include "base/proc.h"
#include "base/str.h"
#include "base/version.h"

enum { LINE_BYTES = 8192 };

// ---- instruction sets ----

static const struct {
  const char *flag, *text;
} isa[] = {{"amx_bf16", "AMX"},
           {"avx512_bf16", "AVX-512 with bf16"},
           {"avx512f", "AVX-512"},
           {"avx2", "AVX2"},
           {"sse4_2", "SSE 4.2"}};

static bool has_word(const char *words, const char *word) {
  size_t bytes = strlen(word);
  for (const char *at = strstr(words, word); at; at = strstr(at + 1, word)) {
    bool begins = at == words || at[-1] == ' ', ends = at[bytes] == ' ' || !at[bytes];
    if (begins && ends) return true;
  }
  return false;
}

static void read_isa(char out[AM_MACHINE_TEXT]) {
  char flags[LINE_BYTES];
  size_t used = 0;
  am_proc_value("/proc/cpuinfo", "flags", flags, sizeof flags);
  out[0] = '\0';
  for (int64_t i = AM_COUNT_OF(isa) - 1; i >= 0; i--) {
    if (!has_word(flags, isa[i].flag)) continue;
    used += (size_t)snprintf(out + used, AM_MACHINE_TEXT - used, "%s%s", used ? " " : "", isa[i].flag);
  }
}

const char *am_machine_isa_text(const am_machine *m) {
  for (int64_t i = 0; i < AM_COUNT_OF(isa); i++) {
    if (has_word(m->isa, isa[i].flag)) return isa[i].text;
  }
  return "no vector extension known here";
}

bool am_machine_has_bf16(const am_machine *m) {
  return has_word(m->isa, "avx512_bf16") || has_word(m->isa, "amx_bf16");
}

// ---- memory ----

// What the kernel says under this key, or what a container or a job may take where that is less.
static double memory_gib(const char *key) {
  char text[64];
  am_proc_value("/proc/meminfo", key, text, sizeof text);
  double gib = strtod(text, NULL) / (1 << 20);
  FILE *f = fopen("/sys/fs/cgroup/memory.max", "r");
  double limit = 0;
  if (f && fscanf(f, "%lf", &limit) == 1 && limit / (1 << 30) < gib) gib = limit / (1 << 30);
  if (f) fclose(f);
  return gib;
}

// ---- libraries ----

#define TEXT_OF(x)  TEXT_OF_(x)
#define TEXT_OF_(x) #x
#ifdef LIBJPEG_TURBO_VERSION
static const char jpeg_version[] = "libjpeg-turbo " TEXT_OF(LIBJPEG_TURBO_VERSION);
#else
static const char jpeg_version[] = "libjpeg " TEXT_OF(JPEG_LIB_VERSION);
#endif

static void read_libraries(am_machine *m) {
  char mpi[MPI_MAX_LIBRARY_VERSION_STRING];
  int length = 0;
  unsigned major = 0, minor = 0, release = 0;
  MPI_Get_library_version(mpi, &length);
  snprintf(m->mpi, sizeof m->mpi, "%.*s", (int)strcspn(mpi, ",\n"), mpi);
  H5get_libversion(&major, &minor, &release);
  snprintf(m->hdf5, sizeof m->hdf5, "%u.%u.%u", major, minor, release);
  const dnnl_version_t *dnnl = dnnl_version();
  snprintf(m->onednn, sizeof m->onednn, "%d.%d.%d", dnnl->major, dnnl->minor, dnnl->patch);
  snprintf(m->blas, sizeof m->blas, "%s", openblas_get_config());
  m->blas[strcspn(m->blas, "\n")] = '\0';
  snprintf(m->jpeg, sizeof m->jpeg, "%s", jpeg_version);
}

void am_machine_read(am_machine *out) {
  *out = (am_machine){.cores = sysconf(_SC_NPROCESSORS_ONLN),
                      .memory_gib = memory_gib("MemTotal"),
                      .available_gib = memory_gib("MemAvailable")};
  am_proc_value("/proc/cpuinfo", "model name", out->cpu, sizeof out->cpu);
  read_isa(out->isa);
  read_libraries(out);
}

am_err am_machine_to_json(const am_machine *m, json_t **out) {
  json_t *j = json_pack("{s:s, s:s, s:I, s:f, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "cpu", m->cpu, "isa",
                        m->isa, "cores", (json_int_t)m->cores, "memory_gib", m->memory_gib, "mpi", m->mpi,
                        "hdf5", m->hdf5, "onednn", m->onednn, "blas", m->blas, "jpeg", m->jpeg, "augmint",
                        AM_VERSION, "commit", am_commit, "build", am_build);
  AM_CHECK(j, AM_ERR_NOMEM, "out of memory for the machine's description");
  *out = j;
  return AM_OK;
}
