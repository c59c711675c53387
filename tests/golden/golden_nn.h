// Reading nn.safetensors (make_nn.py), or a file like it, in tests: its f64 arrays as tensors of the
// device under test, and comparisons against them.
#ifndef AM_GOLDEN_NN_H
#define AM_GOLDEN_NN_H

#include "am_test.h"
#include "autograd/ops.h"
#include "nn/params.h"
#include "weights/safetensors.h"

// What a test runs on. Tolerances are relative to the largest element of what is compared; f32 ones
// leave room for the order of sums in a backend's kernels.
typedef struct {
  const char *kind;
  am_dtype dtype;
  double tolerance;
  const char *path;  // NULL: nn.safetensors
  am_device *device;
  am_safetensors *file;
  am_graph *graph;
} golden;

static inline void golden_open(golden *t) {
  am_ok(am_device_open(&(am_device_cfg){.kind = t->kind}, &t->device));
  am_ok(am_safetensors_open(t->path ? t->path : "tests/golden/nn.safetensors", &t->file));
  am_ok(am_graph_new(t->device, &t->graph));
}

static inline void golden_close(golden *t) {
  am_graph_free(t->graph);
  am_safetensors_close(t->file);
  am_device_close(t->device);
}

static inline const am_st_entry *golden_entry(const golden *t, const char *name) {
  const am_st_entry *e = am_safetensors_find(t->file, name);
  if (!e) fail_msg("the golden file has no %s", name);
  return e;
}

// Elements [first, first + count) of an array, to be freed.
static inline double *golden_part(const golden *t, const char *name, int64_t first, int64_t count) {
  const am_st_entry *e = golden_entry(t, name);
  assert_int_equal(e->dtype, AM_ST_F64);
  assert_true(first >= 0 && (size_t)(first + count) * sizeof(double) <= e->bytes);
  double *host = malloc(sizeof(double) * (size_t)count);
  assert_non_null(host);
  memcpy(host, (const char *)e->data + (size_t)first * sizeof(double), sizeof(double) * (size_t)count);
  return host;
}

static inline double *golden_values(const golden *t, const char *name) {
  return golden_part(t, name, 0, am_shape_count(golden_entry(t, name)->shape));
}

static inline double golden_number(const golden *t, const char *name) {
  double *host = golden_values(t, name), value = host[0];
  free(host);
  return value;
}

// Writes f64 values into a tensor of the device's type.
static inline void golden_store(const golden *t, am_tensor *to, const double *value) {
  int64_t count = am_tensor_count(to);
  if (t->dtype == AM_F64) {
    am_ok(am_tensor_copy_from_host(to, value));
    return;
  }
  float *single = malloc(sizeof(float) * (size_t)count);
  assert_non_null(single);
  for (int64_t i = 0; i < count; i++) single[i] = (float)value[i];
  am_ok(am_tensor_copy_from_host(to, single));
  free(single);
}

// A tensor that the graph owns: part `row` of an array cut along its first dimension (-1: the whole).
static inline am_tensor *golden_tensor(const golden *t, const char *name, int64_t row) {
  am_tensor *out = NULL;
  am_shape shape = golden_entry(t, name)->shape;
  if (row >= 0) {
    shape.ndim--;
    memmove(shape.dim, shape.dim + 1, sizeof(int64_t) * (size_t)shape.ndim);
  }
  int64_t count = am_shape_count(shape);
  double *host = golden_part(t, name, row < 0 ? 0 : row * count, count);
  am_ok(am_tensor_new(t->device, t->dtype, shape, &out));
  golden_store(t, out, host);
  free(host);
  am_ok(am_graph_own(t->graph, out));
  return out;
}

static inline void golden_expect(const golden *t, am_tensor *got, const char *name, const double *want,
                                 double loosen) {
  int64_t count = am_tensor_count(got);
  double *host = malloc(sizeof(double) * (size_t)count), largest = 0;
  assert_non_null(host);
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(want[i]));
  if (t->dtype == AM_F64) {
    am_ok(am_tensor_to_host(got, host));
  } else {
    float *single = malloc(sizeof(float) * (size_t)count);
    assert_non_null(single);
    am_ok(am_tensor_to_host(got, single));
    for (int64_t i = 0; i < count; i++) host[i] = single[i];
    free(single);
  }
  am_close_at(host, want, count, 0, loosen * t->tolerance * (largest + 1), name, t->kind, (int)t->dtype);
  free(host);
}

// got against the array `name` (or its part `row`).
static inline void golden_check(const golden *t, am_tensor *got, const char *name, double loosen) {
  double *want = golden_values(t, name);
  assert_int_equal(am_tensor_count(got), am_shape_count(golden_entry(t, name)->shape));
  golden_expect(t, got, name, want, loosen);
  free(want);
}

static inline const char *golden_name(const char *prefix, const char *name) {
  static char text[160];
  snprintf(text, sizeof text, "%s/%s", prefix, name);
  return text;
}

static inline void golden_load(const golden *t, am_params *ps, const char *prefix) {
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    am_param *p = am_params_at(ps, i);
    if (!p->value) continue;
    const char *name = golden_name(prefix, p->name);
    assert_true(am_shape_equal(golden_entry(t, name)->shape, p->shape));
    double *value = golden_values(t, name);
    golden_store(t, p->value, value);
    free(value);
  }
}

static inline int64_t golden_counter(const golden *t, const char *name) {
  int64_t value = 0;
  const am_st_entry *e = golden_entry(t, name);
  assert_int_equal(e->dtype, AM_ST_I64);
  memcpy(&value, e->data, sizeof value);
  return value;
}

static inline void golden_check_state(const golden *t, am_params *ps, const char *prefix, double loosen) {
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    am_param *p = am_params_at(ps, i);
    const char *name = golden_name(prefix, p->name);
    if (p->value) {
      golden_check(t, p->value, name, loosen);
    } else {
      assert_int_equal(p->counter, golden_counter(t, name));
    }
  }
}

static inline void golden_check_grads(const golden *t, am_params *ps, const char *prefix, double loosen) {
  for (int64_t i = 0; i < am_params_count(ps); i++) {
    am_param *p = am_params_at(ps, i);
    if (p->grad) golden_check(t, p->grad, golden_name(prefix, p->name), loosen);
  }
}

#endif
