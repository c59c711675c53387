// Threads of the cpu backend: one parallel loop over ranges, on the OpenMP team that oneDNN uses too.
#include <omp.h>

#include "backend/cpu/cpu_internal.h"

void am_cpu_use_threads(const am_cpu *cpu) {
  if (omp_get_max_threads() != cpu->threads) omp_set_num_threads(cpu->threads);
  if (cpu->threads == 1) return;
  const unsigned mode = am_cpu_float_mode();
#pragma omp parallel num_threads(cpu->threads)
  am_cpu_set_float_mode(mode);
}

void am_cpu_for(const am_cpu *cpu, int64_t count, int64_t grain, am_cpu_range_fn fn, const void *arg) {
  int64_t pieces = am_min_i64(cpu->threads, count / am_max_i64(grain, 1));
  if (pieces <= 1) {
    if (count > 0) fn(arg, 0, count);
    return;
  }
  const unsigned mode = am_cpu_float_mode();
#pragma omp parallel for num_threads((int)pieces) schedule(static, 1)
  for (int64_t i = 0; i < pieces; i++) {
    am_cpu_set_float_mode(mode);
    fn(arg, count * i / pieces, count * (i + 1) / pieces);
  }
}
