// Ceilings of a device through its own ops: a large product, and passes over long arrays.
#include <math.h>

#include "base/clock.h"
#include "base/num.h"
#include "bench/ceiling.h"
#include "bench/rows.h"

enum { PASSES = 6, PRODUCT_SIZE = 8192, PRODUCT_TINY = 32, ARRAY_TINY = 4096 };
static const int64_t ARRAY = (int64_t)1 << 28;  // elements: a GiB each, beyond any cache

// Passes of one op into out[], of which the first is not counted; *best = seconds of the fastest.
static am_err best_of(am_device *dev, am_op op, const void *desc, am_tensor *const *in, am_tensor *out,
                      double *best) {
  *best = INFINITY;
  for (int i = 0; i <= PASSES; i++) {
    am_tensor *made[AM_OP_MAX_OUTPUTS] = {out};
    AM_TRY(am_device_sync(dev));
    const double began = am_clock_sec();
    if (am_op_in_place(op))
      AM_TRY(am_dispatch(dev, op, desc, in, made));
    else
      AM_TRY(am_dispatch_into(dev, op, desc, in, &out, made));
    am_err err = am_device_sync(dev);
    if (i > 0) *best = fmin(*best, am_clock_sec() - began);
    if (!am_op_in_place(op)) am_tensor_release(made[0]);
    AM_TRY(err);
  }
  return AM_OK;
}

static am_err drawn(am_device *dev, am_dtype type, am_shape shape, am_tensor **out) {
  const am_random_desc draw = {.kind = AM_RAND_NORMAL, .dtype = type, .shape = shape, .seed = AM_BENCH_SEED};
  return am_dispatch(dev, AM_OP_random, &draw, NULL, out);
}

// 0 where the device has no product of this type. Random numbers: a card spends less power on ones, and runs faster.
static am_err measure_product(am_device *dev, am_dtype type, int64_t n, double *flops_per_sec) {
  am_err err = AM_OK;
  am_tensor *in[2] = {NULL}, *out = NULL;
  double best = 0;
  *flops_per_sec = 0;
  if (am_device_check_type(dev, AM_OP_matmul, type)) {
    am_err_clear();
    return AM_OK;
  }
  for (int i = 0; i < 2; i++) AM_GO(done, drawn(dev, type, AM_SHAPE(n, n), &in[i]));
  AM_GO(done, am_tensor_new(dev, type, AM_SHAPE(n, n), &out));
  AM_GO(done, best_of(dev, AM_OP_matmul, &(am_matmul_desc){0}, in, out, &best));
  *flops_per_sec = 2.0 * (double)n * (double)n * (double)n / best;
done:
  for (int i = 0; i < 2; i++) am_tensor_release(in[i]);
  am_tensor_release(out);
  return err;
}

static am_err measure_memory(am_device *dev, int64_t count, am_bench_rates *out) {
  am_err err = AM_OK;
  am_tensor *x = NULL, *y = NULL;
  double copy = 0, update = 0;
  const double bytes = (double)count * sizeof(float);
  AM_GO(done, drawn(dev, AM_F32, AM_SHAPE(count), &x));
  AM_GO(done, drawn(dev, AM_F32, AM_SHAPE(count), &y));
  AM_GO(done, best_of(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &x, y, &copy));
  AM_GO(done, best_of(dev, AM_OP_axpby, &(am_axpby_desc){.a = 0.5, .b = 0.5}, &x, y, &update));
  out->copy_bytes = 2 * bytes / copy;
  out->update_bytes = 3 * bytes / update;
done:
  am_tensor_release(x);
  am_tensor_release(y);
  return err;
}

am_err am_bench_rates_of_device(am_device *dev, bool tiny, am_bench_rates *out) {
  am_bench_rates rates = {0};
  const int64_t n = tiny ? PRODUCT_TINY : PRODUCT_SIZE;
  AM_TRY(measure_product(dev, AM_F32, n, &rates.f32_flops));
  AM_TRY(measure_product(dev, AM_BF16, n, &rates.bf16_flops));
  AM_TRY(measure_memory(dev, tiny ? ARRAY_TINY : ARRAY, &rates));
  *out = rates;
  return AM_OK;
}
