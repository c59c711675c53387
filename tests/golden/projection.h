// What the network tests share with projection.py: numbers by formula in place of stored weights,
// and tensors compared by their norm and two projections on fixed vectors.
#ifndef AM_GOLDEN_PROJECTION_H
#define AM_GOLDEN_PROJECTION_H

#include "am_test.h"

#include "models/registry.h"
#include "weights/safetensors.h"

enum { GOLDEN_IMAGES = 1 << 20, GOLDEN_LATENT = 1 << 21, GOLDEN_PROJECTION = 1 << 22, GOLDEN_COLUMNS = 3 };

// Element i of a stream, in [-1, 1): the 32-bit finaliser of MurmurHash3 over a counter.
static inline double golden_noise(uint32_t stream, int64_t i) {
  uint32_t h = (uint32_t)i + 0x9E3779B9u * (stream + 1);
  h = (h ^ h >> 16) * 0x85EBCA6Bu;
  h = (h ^ h >> 13) * 0xC2B2AE35u;
  h ^= h >> 16;
  return (double)(h >> 8) * 0x1p-23 - 1.0;
}

static inline bool golden_name_ends(const char *name, const char *end) {
  size_t n = strlen(name), m = strlen(end);
  return n >= m && strcmp(name + n - m, end) == 0;
}

static inline float *golden_floats(int64_t count) {
  float *x = calloc((size_t)count, sizeof *x);
  assert_non_null(x);
  return x;
}

// An input tensor of a stream that the graph owns.
static inline am_tensor *golden_input(am_graph *g, am_shape shape, uint32_t stream) {
  int64_t n = am_shape_count(shape);
  float *host = golden_floats(n);
  for (int64_t i = 0; i < n; i++) host[i] = (float)golden_noise(stream, i);
  am_tensor *t = NULL;
  am_ok(am_tensor_from_host(am_graph_device(g), AM_F32, shape, host, &t));
  am_ok(am_graph_own(g, t));
  free(host);
  return t;
}

// projection.py's fill(): every value from its place in the state dict.
static inline void golden_fill(am_params *ps) {
  for (int64_t k = 0; k < am_params_count(ps); k++) {
    am_param *p = am_params_at(ps, k);
    if (p->kind == AM_PARAM_COUNTER) continue;
    int64_t n = am_shape_count(p->shape);
    double scale = 0.1, shift = 0;
    if (p->shape.ndim > 1) {
      scale = sqrt(6.0 / (double)(n / p->shape.dim[0]));
    } else if (golden_name_ends(p->name, "bn3.weight")) {
      scale = 0.03125;
      shift = 0.125;
    } else if (golden_name_ends(p->name, "running_var") || golden_name_ends(p->name, "weight")) {
      scale = 0.125;
      shift = 0.5;
    }
    float *host = golden_floats(n);
    for (int64_t i = 0; i < n; i++) host[i] = (float)(shift + scale * golden_noise((uint32_t)k, i));
    am_ok(am_tensor_copy_from_host(p->value, host));
    free(host);
  }
}

static inline int64_t golden_count_kind(am_params *ps, am_param_kind kind) {
  int64_t count = 0;
  for (int64_t i = 0; i < am_params_count(ps); i++) count += am_params_at(ps, i)->kind == kind;
  return count;
}

// Projections of one tensor.
static inline void golden_project_one(const float *value, int64_t count, uint32_t place,
                                      double row[GOLDEN_COLUMNS]) {
  double sum = 0;
  row[1] = row[2] = 0;
  for (int64_t i = 0; i < count; i++) {
    double x = value[i];
    sum += x * x;
    for (uint32_t j = 0; j < 2; j++) row[1 + j] += x * golden_noise(GOLDEN_PROJECTION + 2 * place + j, i);
  }
  row[0] = sqrt(sum);
}

// The elements of a flat tensor (am_params_values, _grads, _buffers) on the host.
static inline float *golden_flat(am_tensor *t) {
  float *host = golden_floats(am_tensor_count(t));
  am_ok(am_tensor_to_host(t, host));
  return host;
}

// Rows {norm, projection 0, projection 1} of every parameter of a kind, in order, from its flat storage.
static inline double *golden_project(am_params *ps, am_param_kind kind, const float *flat) {
  double *rows = calloc((size_t)(golden_count_kind(ps, kind) * GOLDEN_COLUMNS), sizeof *rows), *row = rows;
  assert_non_null(rows);
  uint32_t place = 0;
  for (int64_t k = 0; k < am_params_count(ps); k++) {
    const am_param *p = am_params_at(ps, k);
    if (p->kind != kind) continue;
    golden_project_one(flat + p->offset, am_shape_count(p->shape), place, row);
    row += GOLDEN_COLUMNS;
    place++;
  }
  return rows;
}

// Compares with the stored f64 values of `name`: projections relative to their row's norm, others
// relative to the largest value. Beside the result stands how far PyTorch in f32 is away.
static inline void golden_close(const am_safetensors *st, const char *name, const double *got,
                                double tolerance) {
  char error_name[64];
  snprintf(error_name, sizeof error_name, "%s.error", name);
  const am_st_entry *want = am_safetensors_find(st, name), *error = am_safetensors_find(st, error_name);
  assert_non_null(want);
  assert_non_null(error);
  assert_int_equal(want->dtype, AM_ST_F64);
  double torch_error = 0;
  memcpy(&torch_error, error->data, sizeof torch_error);
  int64_t count = am_shape_count(want->shape);
  bool projections = want->shape.ndim == 2 && want->shape.dim[1] == GOLDEN_COLUMNS;
  double *value = calloc((size_t)count, sizeof *value), largest = 0, worst = 0;
  assert_non_null(value);
  memcpy(value, want->data, want->bytes);
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(value[i]));
  for (int64_t i = 0; i < count; i++) {
    double scale = projections ? value[i - i % GOLDEN_COLUMNS] : largest;
    double relative = fabs(got[i] - value[i]) / scale;
    worst = relative >= worst ? relative : isnan(relative) ? INFINITY : worst;
  }
  free(value);
  printf("# %s: off by %.1e, allowed %.1e, PyTorch in f32 by %.1e\n", name, worst, tolerance, torch_error);
  assert_true(worst <= tolerance);
}

// ---- bf16 ----

// Root mean square of a - b: of projections relative to their rows' norms, of others to the largest value, by `exact`.
static inline double golden_distance(const double *a, const double *b, const am_st_entry *e, const double *exact) {
  const bool projections = e->shape.ndim == 2 && e->shape.dim[1] == GOLDEN_COLUMNS;
  const int64_t count = am_shape_count(e->shape);
  double largest = 0, sum = 0;
  for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(exact[i]));
  for (int64_t i = 0; i < count; i++) {
    const double d = (a[i] - b[i]) / (projections ? exact[i - i % GOLDEN_COLUMNS] : largest);
    sum += d * d;
  }
  return sqrt(sum / (double)count);
}

static inline double *golden_doubles(const am_st_entry *e) {
  assert_true(e && e->dtype == AM_ST_F64);
  double *host = malloc(e->bytes);
  assert_non_null(host);
  memcpy(host, e->data, e->bytes);
  return host;
}

// Half a unit of bf16 is 2^-9 of a number, but a ReLU that falls on the other side is worth a whole one, so behind
// eighteen layers a gradient is off by a tenth and more, and no bound on that tells right from wrong. What does: PyTorch
// under autocast starts from the same numbers and rounds (nearly) the same ones, so
// - ours is about as far from the exact result as PyTorch's is: to 1.5 of it, since what lies between the convolutions
//   is rounded in other places, and on from there each goes its own way;
// - not much nearer: it is bf16 that was computed in;
// - and it strays from PyTorch's less than two ways that round independently would, which is sqrt(2).
static inline void golden_follows_autocast(const am_safetensors *st, const char *name, const double *got) {
  char half_name[64];
  snprintf(half_name, sizeof half_name, "%s.bf16", name);
  const am_st_entry *e = am_safetensors_find(st, name);
  double *exact = golden_doubles(e), *half = golden_doubles(am_safetensors_find(st, half_name));
  const double theirs = golden_distance(half, exact, e, exact), ours = golden_distance(got, exact, e, exact) / theirs,
               between = golden_distance(got, half, e, exact) / theirs;
  printf("# %s: autocast is off by %.1e, ours by %.2f of that, and from autocast by %.2f\n", name, theirs, ours, between);
  assert_true(ours < 1.5 && ours > 0.5 && between < 1.25);
  free(exact);
  free(half);
}

#endif
