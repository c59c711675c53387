// The result of a row as JSON, and tables made from it.
//
// A file of results:
//   {"format": "augmint-bench-1", "machine": {...}, "rows": [row, ...]}
// A row:
//   name, unit, note, reference   text
//   precision                     "fp32" | "bf16" | "tf32"; "" where it means nothing
//   device                        text: what the device says of itself
//   threads, ranks, steps         numbers; steps: of each repeat
//   items                         of one step, in the unit: a rate is items / sec
//   sec, cpu_sec, reference_sec   arrays: seconds of one step in each repeat, of the clock, of all of the
//                                 process's threads, and of the reference
//   check                         the number that two runs agreed on
//   peak_bytes, idle_bytes        most memory of the process; before anything was opened
//   rates                         {f32_flops, bf16_flops, read_bytes, copy_bytes, update_bytes}, per second
//   floor_sec                     what a step takes at least by these rates; 0: nothing is said
//   profile                       {sec, dispatch_sec, families: [{name, calls, sec, bytes, flops, floor_sec}]}
#ifndef AM_BENCH_RECORD_H
#define AM_BENCH_RECORD_H

#include "base/str.h"
#include "bench/bench.h"

typedef struct {
  const am_bench_row *row;
  const char *precision;
  const char *device;  // borrowed: what it says of itself, "" where nothing computes on one
  int threads, ranks, repeats;
  int64_t steps;
  am_bench_work work;
  double sec[AM_BENCH_REPEATS_MAX], cpu_sec[AM_BENCH_REPEATS_MAX], reference_sec[AM_BENCH_REPEATS_MAX];
  double check;
  int64_t peak_bytes, idle_bytes;
  am_bench_rates rates;
  am_profile profile;
  double profile_sec;
} am_bench_record;

// Bytes per second that floors are reckoned with: the best of reading, copying and updating.
double am_bench_memory_rate(const am_bench_rates *rates);
AM_MUST_USE am_err am_bench_record_to_json(const am_bench_record *r, json_t **out);

// Whole results. Reading checks everything that the functions below use; errors: AM_ERR_DATA with the
// file and what is wrong with it, AM_ERR_IO.
AM_MUST_USE am_err am_bench_results_new(json_t **out);
AM_MUST_USE am_err am_bench_results_read(const char *path, json_t **out);
AM_MUST_USE am_err am_bench_results_write(json_t *results, const char *path);

// Text for people. `rows` is the array of a results object.
AM_MUST_USE am_err am_bench_table(json_t *rows, am_str *out);
AM_MUST_USE am_err am_bench_profile_table(json_t *row, am_str *out);
// new / old of every row that both have, and what differs between the machines.
AM_MUST_USE am_err am_bench_compare(json_t *now, json_t *old, am_str *out);

#endif
