// What this machine and this build are: the fingerprint of a measurement, and what doctor reports.
#ifndef AM_BENCH_MACHINE_H
#define AM_BENCH_MACHINE_H

#include <jansson.h>

#include "base/err.h"

enum { AM_MACHINE_TEXT = 256 };
typedef struct {
  char cpu[AM_MACHINE_TEXT];  // "AMD EPYC 9B45", "" where the kernel does not say
  char isa[AM_MACHINE_TEXT];  // those of its instruction sets that matter here: "avx2 avx512f avx512_bf16"
  long cores;                 // that are online
  double memory_gib;          // installed, or what a container or job may take
  double available_gib;       // now
  char mpi[AM_MACHINE_TEXT], hdf5[AM_MACHINE_TEXT], onednn[AM_MACHINE_TEXT], blas[AM_MACHINE_TEXT], jpeg[AM_MACHINE_TEXT];
} am_machine;
void am_machine_read(am_machine *out);
// "AVX-512 with bf16": the widest of m->isa in words.
const char *am_machine_isa_text(const am_machine *m);
// The processor computes in bf16 without emulation.
bool am_machine_has_bf16(const am_machine *m);

// The fingerprint as JSON, with commit, compiler and flags; a new reference. Errors: AM_ERR_NOMEM.
AM_MUST_USE am_err am_machine_to_json(const am_machine *m, json_t **out);

#endif
