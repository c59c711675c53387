// Runs one op on the cpu backend and on ref and compares: what the tests of the cpu backend share.
#ifndef CPU_COMPARE_H
#define CPU_COMPARE_H

#include "am_test.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "tensor/backend.h"

typedef struct {
  am_device *cpu, *ref;
} cpu_pair;

static inline cpu_pair open_pair(int threads) {
  cpu_pair p = {0};
  am_ok(am_device_open(&(am_device_cfg){.kind = "cpu", .threads = threads}, &p.cpu));
  am_ok(am_device_open(&(am_device_cfg){.kind = "ref"}, &p.ref));
  return p;
}

// Every tensor of a test must be gone by now.
static inline void close_pair(cpu_pair *p) {
  assert_int_equal(am_device_memory_now(p->cpu).live_bytes, 0);
  assert_int_equal(am_device_memory_now(p->ref).live_bytes, 0);
  am_device_close(p->cpu);
  am_device_close(p->ref);
}

// Normal numbers, a function of `stream` alone.
static inline float *normals(int64_t count, uint64_t stream, double mean) {
  float *value = NULL;
  am_rng rng = am_rng_at(1, AM_RNG_TEST, stream);
  am_ok(AM_NEW_ARRAY(&value, count));
  for (int64_t i = 0; i < count; i++) value[i] = (float)(mean + am_rng_normal(&rng));
  return value;
}

static inline am_tensor *put(am_device *dev, am_shape shape, const float *value, am_layout layout) {
  am_tensor *plain = NULL, *t = NULL;
  am_ok(am_tensor_from_host(dev, AM_F32, shape, value, &plain));
  if (layout == AM_LAYOUT_PLAIN) return plain;
  am_ok(am_dispatch(dev, AM_OP_reorder, &(am_layout_desc){layout}, &plain, &t));
  am_tensor_release(plain);
  return t;
}

// |a - b| beyond `tolerance` times the root mean square of b, somewhere? Fails with the place.
static inline void assert_near(am_tensor *a, am_tensor *b, double tolerance, const char *what) {
  const int64_t count = am_tensor_count(b);
  float *x = NULL, *y = NULL;
  double sum = 0, scale;
  am_ok(AM_NEW_ARRAY(&x, count));
  am_ok(AM_NEW_ARRAY(&y, count));
  assert_true(am_shape_equal(a->shape, b->shape));
  am_ok(am_tensor_to_host(a, x));
  am_ok(am_tensor_to_host(b, y));
  if (b->dtype == AM_I32) {
    assert_memory_equal(x, y, (size_t)count * sizeof *x);
  } else {
    for (int64_t i = 0; i < count; i++) sum += (double)y[i] * y[i];
    scale = sqrt(sum / (double)count) + 1e-30;
    for (int64_t i = 0; i < count; i++) {
      if (fabs((double)x[i] - y[i]) <= tolerance * scale) continue;
      fail_msg("%s: element %lld of %lld is %.9g, expected %.9g (rms %g)", what, (long long)i,
               (long long)count, x[i], y[i], scale);
    }
  }
  free(x);
  free(y);
}

// Runs `op` on both; in[] are shapes filled with normal numbers and the layouts that the cpu is given.
typedef struct {
  am_shape shape;
  am_layout layout;
  const float *value;  // NULL: normal numbers
} operand;
static inline operand plain(am_shape shape) { return (operand){.shape = shape}; }

static inline void compare(cpu_pair *p, am_op op, const void *desc, const operand *in, double tolerance) {
  am_tensor *a[AM_OP_MAX_INPUTS], *b[AM_OP_MAX_INPUTS], *x[AM_OP_MAX_OUTPUTS], *y[AM_OP_MAX_OUTPUTS];
  const int inputs = am_op_inputs(op), outputs = am_op_outputs(op);
  for (int i = 0; i < inputs; i++) {
    float *made = in[i].value ? NULL : normals(am_shape_count(in[i].shape), (uint64_t)i + 1, 0);
    const float *value = in[i].value ? in[i].value : made;
    a[i] = put(p->cpu, in[i].shape, value, in[i].layout);
    b[i] = put(p->ref, in[i].shape, value, AM_LAYOUT_PLAIN);
    free(made);
  }
  am_ok(am_dispatch(p->cpu, op, desc, a, x));
  am_ok(am_dispatch(p->ref, op, desc, b, y));
  for (int i = 0; i < outputs; i++) assert_near(x[i], y[i], tolerance, am_op_name(op));
  for (int i = 0; i < inputs; i++) am_tensor_release(a[i]), am_tensor_release(b[i]);
  for (int i = 0; i < outputs; i++) am_tensor_release(x[i]), am_tensor_release(y[i]);
}

#endif
