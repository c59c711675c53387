#define _DEFAULT_SOURCE  // mkdtemp
#include "bench/bench.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/path.h"
#include "base/str.h"
#include "bench/record.h"
#include "bench/rows.h"

static const double MIN_SEC = 0.25;  // of a repeat: shorter ones measure the clock and the scheduler
enum { STEPS_MAX = 1000000 };

// ---- the table ----

static const am_bench_row *const rows[] = {&am_row_resnet18_32,
                                           &am_row_resnet18_64,
                                           &am_row_resnet50_224,
                                           &am_row_dcgan_1,
                                           &am_row_dcgan_64,
                                           &am_row_resnet18_32_512,
                                           &am_row_resnet50_224_256,
                                           &am_row_dcgan_128,
                                           &am_row_dcgan_p2,
                                           &am_row_predict_16,
                                           &am_row_predict_1,
                                           &am_row_decode,
                                           &am_row_shard_read,
                                           &am_row_shard_write,
                                           &am_row_loader,
                                           &am_row_loader_photos,
                                           &am_row_sgd,
                                           &am_row_adam,
                                           &am_row_resnet18_32_ranks,
                                           &am_row_allreduce,
                                           NULL};

const am_bench_row *const *am_bench_all(void) { return rows; }

am_err am_bench_find(const char *name, const am_bench_row **out) {
  const char *names[AM_COUNT_OF(rows)];
  int64_t count = 0;
  for (; rows[count]; count++) {
    names[count] = rows[count]->name;
    if (strcmp(names[count], name) != 0) continue;
    *out = rows[count];
    return AM_OK;
  }
  const char *nearest = am_str_nearest(name, names, count);
  if (nearest) return AM_FAIL(AM_ERR_CONFIG, "there is no benchmark %s: did you mean %s?", name, nearest);
  return AM_FAIL(AM_ERR_CONFIG, "there is no benchmark %s: augmint bench --list shows them", name);
}

am_err am_bench_check_ranks(const am_bench_row *row, int ranks) {
  AM_CHECK(!(row->flags & AM_BENCH_RANKS) || ranks > 1, AM_ERR_CONFIG,
           "%s measures several ranks: mpirun -n 2 augmint bench %s", row->name, row->name);
  AM_CHECK(row->flags & AM_BENCH_RANKS || ranks == 1, AM_ERR_CONFIG,
           "%s measures one rank, here are %d: start it without mpirun", row->name, ranks);
  return AM_OK;
}

// ---- one row ----

typedef struct {
  const am_bench_row *row;    // borrowed
  const am_bench_cfg *cfg;    // borrowed
  am_bench bench;
  am_device *device;          // owned
  char *scratch;              // owned
  void *self;                 // owned: of the row
  am_bench_record record;
} measurement;

static double cpu_sec(void) {
  struct timespec t;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

// The most memory that this process has held at once, in bytes.
static int64_t peak_memory(void) {
  char line[256];
  long long kib = 0;
  FILE *f = fopen("/proc/self/status", "r");
  while (f && fgets(line, sizeof line, f))
    if (sscanf(line, "VmHWM: %lld kB", &kib) == 1) break;
  if (f) fclose(f);
  return (int64_t)kib << 10;
}

static am_err make_scratch(measurement *m) {
  AM_TRY(am_path_mkdirs(m->cfg->scratch_dir));
  AM_TRY(am_str_format(&m->scratch, "%s/.bench-XXXXXX", m->cfg->scratch_dir));
  if (mkdtemp(m->scratch)) return AM_OK;
  am_err err = AM_FAIL(AM_ERR_IO, "cannot make a folder %s", m->scratch);
  free(m->scratch);
  m->scratch = NULL;
  return err;
}

static am_err prepare(measurement *m) {
  const am_bench_cfg *cfg = m->cfg;
  AM_TRY(am_bench_check_ranks(m->row, am_comm_size(cfg->comm)));
  m->record.idle_bytes = peak_memory();
  int threads = m->row->flags & AM_BENCH_ONE_CORE ? 1 : cfg->threads;
  if (m->row->flags & AM_BENCH_DEVICE) {
    const am_device_cfg device = {.kind = cfg->device_kind, .threads = threads, .index = am_comm_local_rank(cfg->comm),
                                  .measured = cfg->measured};
    AM_TRY(am_device_open(&device, &m->device));
  }
  AM_TRY(make_scratch(m));
  m->bench = (am_bench){.comm = cfg->comm,
                        .device = m->device,
                        .threads = threads,
                        .precision = cfg->precision,
                        .tiny = cfg->tiny,
                        .photo = cfg->photo,
                        .photo_count = cfg->photo_count,
                        .scratch = m->scratch};
  return AM_OK;
}

static void close_row(measurement *m) {
  if (m->self) m->row->close(m->self);
  m->self = NULL;
}

// From nothing to the check of two steps; *step_sec is what the second one took.
static am_err start(measurement *m, double *value, double *step_sec) {
  close_row(m);
  AM_TRY(m->row->open(&m->bench, m->row->variant, &m->record.work, &m->self));
  AM_TRY(m->row->step(m->self));
  double began = am_clock_sec();
  AM_TRY(m->row->step(m->self));
  *step_sec = am_clock_sec() - began;
  AM_TRY(m->row->check(m->self, value));
  AM_CHECK(isfinite(*value), AM_ERR_NUMERIC, "%s: the check after two steps is %g", m->row->name, *value);
  return AM_OK;
}

static am_err verify(measurement *m, double *step_sec) {
  double first = 0, second = 0;
  AM_TRY(start(m, &first, step_sec));
  AM_TRY(start(m, &second, step_sec));
  AM_CHECK(memcmp(&first, &second, sizeof first) == 0, AM_ERR_NUMERIC,
           "%s: two runs of the same two steps give %.17g and %.17g", m->row->name, first, second);
  m->record.check = second;
  return AM_OK;
}

static am_err sum_over_ranks(am_comm *c, int64_t mine, int64_t *sum) {
  int64_t *all = NULL;
  am_err err = AM_OK;
  *sum = 0;
  AM_GO(done, am_agree(c, AM_NEW_ARRAY(&all, am_comm_size(c))));
  AM_GO(done, am_comm_all_gather(c, &mine, sizeof mine, all));
  for (int r = 0; r < am_comm_size(c); r++) *sum += all[r];
done:
  free(all);
  return err;
}

// Ranks must agree, which costs time: between repeats. One rank looks before every step.
static am_err check_signals(const measurement *m, bool agree) {
  bool stop = false;
  if (am_comm_size(m->cfg->comm) == 1) stop = am_signal_seen();
  else if (agree) AM_TRY(am_signal_agreed(m->cfg->comm, &stop));
  AM_CHECK(!stop, AM_ERR_STOPPED, "%s was stopped by a signal: nothing is kept", m->row->name);
  return AM_OK;
}

// Ranks begin together and end together.
static am_err time_steps(measurement *m, am_err (*step)(void *), int64_t steps, double *wall, double *cpu) {
  AM_TRY(am_comm_barrier(m->cfg->comm));
  double began = am_clock_sec(), began_cpu = cpu_sec();
  am_err err = AM_OK;
  for (int64_t i = 0; i < steps && !err; i++) {
    err = check_signals(m, false);
    if (!err) err = step(m->self);
  }
  if (!err && m->device) err = am_device_sync(m->device);  // what is queued is part of the steps
  *cpu = (cpu_sec() - began_cpu) / (double)steps;
  AM_TRY(am_agree(m->cfg->comm, err));
  *wall = (am_clock_sec() - began) / (double)steps;
  return AM_OK;
}

// How many steps a repeat has. One step says little about short ones (the loader's first batches, say, are ready
// before they are asked for): they are run until they took a good part of a repeat.
static am_err choose_steps(measurement *m, double step_sec, int64_t *steps) {
  *steps = 1;
  if (m->cfg->tiny) return AM_OK;
  for (int64_t n = 1; step_sec * (double)n < MIN_SEC / 4 && n < STEPS_MAX; n *= 2) {
    double cpu;
    AM_TRY(time_steps(m, m->row->step, n, &step_sec, &cpu));
    AM_TRY(am_comm_bcast(m->cfg->comm, &step_sec, sizeof step_sec, 0));
  }
  *steps = am_clamp_i64((int64_t)ceil(MIN_SEC / step_sec), 1, STEPS_MAX);
  return AM_OK;
}

static am_err repeat(measurement *m, double step_sec) {
  am_bench_record *r = &m->record;
  double cpu = 0;
  AM_TRY(am_comm_bcast(m->cfg->comm, &step_sec, sizeof step_sec, 0));
  AM_TRY(choose_steps(m, step_sec, &r->steps));
  for (r->repeats = 0; r->repeats < m->cfg->repeats; r->repeats++) {
    AM_TRY(check_signals(m, true));
    if (m->cfg->pace) AM_TRY(m->cfg->pace(m->cfg->pace_user, r->repeats));
    AM_TRY(time_steps(m, m->row->step, r->steps, &r->sec[r->repeats], &r->cpu_sec[r->repeats]));
    if (m->row->reference) {
      AM_TRY(time_steps(m, m->row->reference, r->steps, &r->reference_sec[r->repeats], &cpu));
    }
  }
  return sum_over_ranks(m->cfg->comm, peak_memory(), &r->peak_bytes);
}

// One more step, op by op.
static am_err profile(measurement *m) {
  am_bench_record *r = &m->record;
  if (!m->device) return AM_OK;
  r->profile = (am_profile){
      .flops_per_sec = {[AM_F32] = r->rates.f32_flops, [AM_BF16] = r->rates.bf16_flops},
      .bytes_per_sec = am_bench_memory_rate(&r->rates)};
  am_device_profile(m->device, &r->profile);
  double cpu;
  am_err err = time_steps(m, m->row->step, 1, &r->profile_sec, &cpu);
  am_device_profile(m->device, NULL);
  return err;
}

static am_err measure_rates(measurement *m) {
  const bool card = m->device && !am_device_host_memory(m->device);
  if (card) return am_bench_rates_of_device(m->device, m->cfg->tiny, &m->record.rates);
  return am_bench_rates_measure(m->bench.threads, m->cfg->tiny, &m->record.rates);
}

static am_err measure(measurement *m) {
  double step_sec = 0;
  AM_TRY(am_agree(m->cfg->comm, prepare(m)));
  AM_TRY(am_agree(m->cfg->comm, verify(m, &step_sec)));
  AM_TRY(repeat(m, step_sec));
  AM_TRY(am_agree(m->cfg->comm, measure_rates(m)));
  return profile(m);
}

am_err am_bench_measure(const am_bench_row *row, const am_bench_cfg *cfg, json_t **out) {
  am_err err = AM_OK;
  measurement *m = NULL;
  AM_TRY(AM_NEW(&m));
  m->row = row;
  m->cfg = cfg;
  AM_GO(done, measure(m));
  m->record.row = row;
  m->record.precision = cfg->precision;
  m->record.threads = m->bench.threads;
  m->record.device = m->device ? am_device_describe(m->device) : "";
  m->record.ranks = am_comm_size(cfg->comm);
  AM_GO(done, am_bench_record_to_json(&m->record, out));
done:
  close_row(m);
  am_device_close(m->device);
  if (m->scratch) {
    am_err_record kept = *am_err_last();
    am_err removed = am_path_remove_tree(m->scratch);
    if (err) am_err_restore(&kept);
    else err = removed;
  }
  free(m->scratch);
  free(m);
  return err;
}
