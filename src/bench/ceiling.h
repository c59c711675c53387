// What the machine can do at most, measured: the rates that floors are reckoned with.
#ifndef AM_BENCH_CEILING_H
#define AM_BENCH_CEILING_H

#include "tensor/device.h"

typedef struct {
  double f32_flops, bf16_flops;  // per second, of a large matrix product through oneDNN; bf16: 0 where
                                 // the processor has none
  // per second, from memory: an array summed up; memcpy, both ways; a <- a + b, all three ways
  double read_bytes, copy_bytes, update_bytes;
} am_bench_rates;

// The best of a few passes with this many threads. Takes about a second. `tiny`: arrays of a few
// kilobytes, numbers without meaning. Errors: AM_ERR_NOMEM, AM_ERR_DEVICE oneDNN refuses;
// AM_ERR_NUMERIC a product that is wrong.
AM_MUST_USE am_err am_bench_rates_measure(int threads, bool tiny, am_bench_rates *out);
// The same of a device that is not the processor, by its own ops: matmul of 8192 x 8192 random numbers in either type (0 where
// it has none), axpby over arrays of a GiB, without and with reading what is written; reading alone is not measured (0).
AM_MUST_USE am_err am_bench_rates_of_device(am_device *dev, bool tiny, am_bench_rates *out);

#endif
