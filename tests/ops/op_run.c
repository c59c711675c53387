#define _DEFAULT_SOURCE  // readlink
#include "op_run.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/rng.h"
#include "tensor/element.h"

// ---- devices ----

am_err op_open_kernels(am_device **out) {
  char folder[4096];
  const ssize_t length = readlink("/proc/self/exe", folder, sizeof folder - 16);
  AM_CHECK(length > 0, AM_ERR_INTERNAL, "this program does not know where it lies");
  folder[length] = '\0';
  *strrchr(folder, '/') = '\0';
  *strrchr(folder, '/') = '\0';
  strcat(folder, "/on_host");
  AM_CHECK(setenv("AUGMINT_BACKENDS", folder, 1) == 0, AM_ERR_NOMEM, "out of memory");
  return am_device_open(&(am_device_cfg){.kind = "cuda"}, out);
}

bool op_is_of_a_library(am_op op) {
  return op == AM_OP_matmul || (op >= AM_OP_conv2d && op <= AM_OP_conv2d_grad_weight) || op == AM_OP_conv2d_affine ||
         op == AM_OP_conv2d_affine_add;
}

bool op_is_taken(am_op op, int64_t seen, int64_t every, bool compiled) {
  const bool adds = op == AM_OP_conv2d_affine_add, affine = adds || op == AM_OP_conv2d_affine;
  if (!compiled || !affine) return seen % every == 0;
  const int64_t geometry = seen / OP_ACTIVATIONS;
  return (geometry + adds) % OP_ACTIVATIONS == seen % OP_ACTIVATIONS && geometry % every == 0;
}

// ---- values ----

static double special(int64_t i) {
  static const double values[] = {
    0.0,   -0.0,  INFINITY, -INFINITY, NAN,          1.0,           -1.0, 1e-40, -1e-40,     1.2e-38, 3.4e38,
    88.8,  -88.8, 104,      -104,      0.5,          -0.5,          20,   -20,   1e-4,       255.5,   -3.4e38,
    1e-8,  -1e-8, 9.3e18,   -9.3e18,   2147483648.0, -2147483904.0, -1.5, -0.75, 16777217.0,
  };
  return values[i % AM_COUNT_OF(values)];
}

// Of `length` pixels, one that the window at `position` covers.
static int64_t pixel_under(am_rng *rng, int64_t position, int64_t stride, int64_t kernel, int64_t pad, int64_t length) {
  const int64_t start = position * (stride ? stride : kernel) - pad;
  const int64_t first = am_max_i64(start, 0), end = am_min_i64(start + kernel, length);
  return first + am_rng_below(rng, end - first);
}

static double place_in_window(const am_pool2d_desc *d, am_shape s, am_rng *rng, int64_t i) {
  const int64_t row = pixel_under(rng, i / s.dim[3] % s.dim[2], d->stride_h, d->kernel_h, d->pad_h, d->in_h);
  const int64_t col = pixel_under(rng, i % s.dim[3], d->stride_w, d->kernel_w, d->pad_w, d->in_w);
  return (double)(row * d->in_w + col);
}

static double draw(const op_case *c, const op_operand *o, am_rng *rng, int64_t i) {
  switch (o->values) {
    case VALUES_NORMAL: return am_rng_normal(rng);
    case VALUES_POSITIVE: return am_rng_range(rng, 0.2, 3);
    case VALUES_UNIT: return am_rng_range(rng, -0.95, 0.95);
    case VALUES_TIES: return (double)am_rng_below(rng, 5) - 2;
    case VALUES_OFFSET: return 50 + am_rng_normal(rng);
    case VALUES_WIDE: return 40 * am_rng_normal(rng);
    case VALUES_SPECIAL: return special(i);
    case VALUES_HALVES: return (double)(i - 20) * (i % 3 == 0 ? 0.5 : i % 3 == 1 ? 1.00390625 : 7);
    case VALUES_NAN: return NAN;
    case VALUES_INDEX: return (double)am_rng_below(rng, o->limit);
    case VALUES_WINDOW: return place_in_window(&c->desc.max_pool2d, o->shape, rng, i);
  }
  return NAN;
}

am_err op_tensor_values(am_tensor *t, double **out) {
  am_err err = AM_OK;
  void *host = NULL;
  double *value = NULL;
  int64_t count = am_tensor_count(t);
  AM_GO(done, am_mem_alloc(&host, count, am_dtype_size(t->dtype)));
  AM_GO(done, AM_NEW_ARRAY(&value, count));
  AM_GO(done, am_tensor_to_host(t, host));
  am_view view = {.data = host, .dtype = t->dtype};
  for (int64_t i = 0; i < count; i++) value[i] = am_element_get(&view, i);
  *out = value;
  value = NULL;
done:
  free(host);
  free(value);
  return err;
}

static double rounded_to_bf16(double value) {
  uint16_t half;
  am_view view = {.data = &half, .dtype = AM_BF16};
  am_element_put(&view, 0, value);
  return am_element_get(&view, 0);
}

// ---- operands ----

static am_layout layout_of(const op_operand *o, op_place place) {
  bool image = o->shape.ndim == 4;
  if (place == PLACE_NHWC && image) return AM_LAYOUT_NHWC;
  if (place == PLACE_C16 && image && o->shape.dim[1] % 16 == 0) return AM_LAYOUT_C16;
  return AM_LAYOUT_PLAIN;
}

static bool operand_differs(const op_operand *o, op_place place) {
  return place == PLACE_PLAIN || place == PLACE_VIEW || layout_of(o, place) != AM_LAYOUT_PLAIN;
}

bool op_place_fits(const op_case *c, op_place place) {
  if (place == PLACE_PLAIN) return true;
  bool in_place = am_op_in_place(c->op), any = false;
  int outputs = in_place ? am_op_outputs(c->op) : 0;
  for (int i = 0; i < am_op_inputs(c->op); i++) any |= operand_differs(&c->in[i], place);
  // What is updated together lies alike.
  for (int i = 0; i < outputs; i++) any &= layout_of(&c->out[i], place) == layout_of(&c->out[0], place);
  return any;
}

enum { VIEW_BEFORE = 3, VIEW_AFTER = 5 };

// Inside a larger tensor, off every alignment but its type's.
static am_err make_view(am_device *dev, am_dtype dtype, am_shape shape, am_tensor **out) {
  am_tensor *base = NULL;
  AM_TRY(am_tensor_new(dev, dtype, AM_SHAPE(VIEW_BEFORE + am_shape_count(shape) + VIEW_AFTER), &base));
  am_err err = am_tensor_view(base, VIEW_BEFORE, shape, out);
  am_tensor_release(base);
  return err;
}

static am_err make_operand(am_device *dev, const op_case *c, const op_operand *o, int which, op_place place,
                           am_tensor **out) {
  am_err err = AM_OK;
  am_tensor *plain = NULL;
  void *host = NULL;
  int64_t count = am_shape_count(o->shape);
  am_rng rng = am_rng_at(c->seed, AM_RNG_TEST, (uint64_t)which);
  AM_GO(done, am_mem_alloc(&host, count, am_dtype_size(o->dtype)));
  am_view view = {.data = host, .dtype = o->dtype};
  for (int64_t i = 0; i < count; i++) {
    const double value = draw(c, o, &rng, i);
    am_element_put(&view, i, o->rounded ? rounded_to_bf16(value) : value);
  }
  if (place == PLACE_VIEW) {
    AM_GO(done, make_view(dev, o->dtype, o->shape, &plain));
    AM_GO(done, am_tensor_copy_from_host(plain, host));
  } else {
    AM_GO(done, am_tensor_from_host(dev, o->dtype, o->shape, host, &plain));
  }
  am_layout_desc layout = {layout_of(o, place)};
  if (layout.layout == AM_LAYOUT_PLAIN) {
    *out = am_tensor_retain(plain);
  } else {
    AM_GO(done, am_dispatch(dev, AM_OP_reorder, &layout, &plain, out));
  }
done:
  free(host);
  am_tensor_release(plain);
  return err;
}

// Runs the case again with memory for its outputs, which are plain, and puts these in place of out[].
static am_err run_into_views(am_device *dev, const op_case *c, am_tensor *const *in, am_tensor **out) {
  am_err err = AM_OK;
  am_tensor *view[AM_OP_MAX_OUTPUTS] = {0}, *again[AM_OP_MAX_OUTPUTS] = {0};
  int outputs = am_op_outputs(c->op);
  for (int i = 0; i < outputs; i++) AM_GO(done, make_view(dev, out[i]->dtype, out[i]->shape, &view[i]));
  AM_GO(done, am_dispatch_into(dev, c->op, &c->desc, in, view, again));
  for (int i = 0; i < outputs; i++) {
    AM_CHECK_GO(done, out[i]->layout != AM_LAYOUT_PLAIN || again[i] == view[i], AM_ERR_INTERNAL,
                "%s did not write output %d where it was asked to", am_op_name(c->op), i);
    am_tensor_release(out[i]);
    out[i] = again[i];
    again[i] = NULL;
  }
done:
  for (int i = 0; i < outputs; i++) {
    am_tensor_release(view[i]);
    am_tensor_release(again[i]);
  }
  return err;
}

am_err op_run(am_device *dev, const op_case *c, op_place place, op_result *result) {
  am_err err = AM_OK;
  am_tensor *in[AM_OP_MAX_INPUTS] = {0}, *out[AM_OP_MAX_OUTPUTS] = {0};
  int inputs = am_op_inputs(c->op), outputs = am_op_outputs(c->op);
  op_result r = {0};
  for (int i = 0; i < inputs; i++) AM_GO(done, make_operand(dev, c, &c->in[i], i, place, &in[i]));
  for (int i = 0; i < outputs && am_op_in_place(c->op); i++) {
    AM_GO(done, make_operand(dev, c, &c->out[i], AM_OP_MAX_INPUTS + i, place, &out[i]));
  }
  AM_GO(done, am_dispatch(dev, c->op, &c->desc, in, out));
  if (place == PLACE_VIEW && !am_op_in_place(c->op)) AM_GO(done, run_into_views(dev, c, in, out));
  for (int i = 0; i < outputs; i++) {
    r.count[i] = am_tensor_count(out[i]);
    r.shape[i] = out[i]->shape;
    r.dtype[i] = out[i]->dtype;
    AM_GO(done, op_tensor_values(out[i], &r.value[i]));
  }
  *result = r;
  r = (op_result){0};
done:
  for (int i = 0; i < inputs; i++) am_tensor_release(in[i]);
  for (int i = 0; i < outputs; i++) am_tensor_release(out[i]);
  op_result_fini(&r);
  return err;
}

void op_result_fini(op_result *r) {
  for (int i = 0; i < AM_OP_MAX_OUTPUTS; i++) free(r->value[i]);
  *r = (op_result){0};
}

// ---- comparison ----

static double tolerance_scale(void) {
  const char *text = getenv("AM_TOL_SCALE");
  return text ? atof(text) : 1.0;
}

static double largest(const double *value, int64_t count) {
  double max = 0;
  for (int64_t i = 0; i < count; i++) {
    if (isfinite(value[i])) max = fmax(max, fabs(value[i]));
  }
  return max;
}

// Distance in units of (|want| + scale); infinite when one is NaN or infinite and the other differs.
// Below the smallest normal number nothing is promised but smallness: kernels may flush to zero.
static double residual(double got, double want, double scale) {
  if (got == want || (isnan(got) && isnan(want))) return 0;
  if (!isfinite(got) || !isfinite(want)) return INFINITY;
  double distance = fabs(got - want);
  return distance <= 1.2e-38 ? 0 : distance / (fabs(want) + scale);
}

bool op_output_agrees(const op_case *c, const op_result *got, const op_result *want, int output,
                      const char *where) {
  char text[OP_CASE_TEXT], got_shape[AM_SHAPE_TEXT], want_shape[AM_SHAPE_TEXT];
  if (!am_shape_equal(got->shape[output], want->shape[output])) {
    fprintf(stderr, "%s %s: output %d has shape %s, expected %s\n", where, op_case_text(c, text), output,
            am_shape_text(got->shape[output], got_shape), am_shape_text(want->shape[output], want_shape));
    return false;
  }
  const double *g = got->value[output], *w = want->value[output];
  double scale = c->pointwise ? 0 : fmax(largest(w, want->count[output]), c->scale), worst = -1;
  int64_t at = 0;
  for (int64_t i = 0; i < want->count[output]; i++) {
    double r = residual(g[i], w[i], scale);
    if (r > worst) {
      worst = r;
      at = i;
    }
  }
  if (worst <= c->tolerance * tolerance_scale()) return true;
  fprintf(stderr, "%s %s: output %d element %lld is %.9g, expected %.9g: off by %.3g, tolerance %g\n", where,
          op_case_text(c, text), output, (long long)at, g[at], w[at], worst, c->tolerance);
  return false;
}

bool op_agrees(const op_case *c, const op_result *got, const op_result *want, const char *where) {
  bool agrees = true;
  for (int i = 0; i < am_op_outputs(c->op); i++) agrees &= op_output_agrees(c, got, want, i, where);
  return agrees;
}
