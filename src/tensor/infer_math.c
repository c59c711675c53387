// Arguments of the elementwise ops, reductions, products, and of the ops that update in place.
#include "base/num.h"
#include "tensor/infer.h"

am_err am_infer_floats(const am_view *views, int count) {
  for (int i = 0; i < count; i++) {
    am_dtype t = views[i].dtype;
    AM_CHECK(t == AM_F32 || t == AM_F64 || t == AM_BF16, AM_ERR_UNSUPPORTED,
             "operand %d is %s, not floating point", i, am_dtype_name(t));
    AM_CHECK(t == views[0].dtype, AM_ERR_ARG, "types %s and %s are mixed", am_dtype_name(views[0].dtype),
             am_dtype_name(t));
  }
  return AM_OK;
}

am_dtype am_infer_parameter_dtype(am_dtype image) { return image == AM_BF16 ? AM_F32 : image; }

am_err am_infer_parameter(const am_view *v, am_dtype image, const char *what) {
  am_dtype want = am_infer_parameter_dtype(image);
  AM_CHECK(v->dtype == want, AM_ERR_ARG, "%s: one is %s, beside images of %s it is %s", what,
           am_dtype_name(v->dtype), am_dtype_name(image), am_dtype_name(want));
  return AM_OK;
}

am_err am_infer_ndim(const am_view *x, int ndim, const char *what) {
  AM_CHECK(x->shape.ndim == ndim, AM_ERR_ARG, "%s has %d dimensions, %d are expected", what, x->shape.ndim,
           ndim);
  return AM_OK;
}

am_err am_infer_shape(const am_view *v, am_shape shape, const char *what) {
  char have[AM_SHAPE_TEXT], want[AM_SHAPE_TEXT];
  AM_CHECK(am_shape_equal(v->shape, shape), AM_ERR_ARG, "%s has shape %s, %s is expected", what,
           am_shape_text(v->shape, have), am_shape_text(shape, want));
  return AM_OK;
}

am_err am_infer_index(const am_view *v) {
  AM_CHECK(v->dtype == AM_I32, AM_ERR_ARG, "the index is %s, i32 is expected", am_dtype_name(v->dtype));
  return AM_OK;
}

am_err am_infer_unary(am_unary_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->kind >= AM_UN_AFFINE && desc->kind <= AM_UN_STEP, AM_ERR_ARG, "there is no unary kind %d",
           (int)desc->kind);
  AM_TRY(am_infer_floats(in, 1));
  out->dtype = in->dtype;
  out->shape = in->shape;
  return AM_OK;
}

am_err am_infer_binary(am_binary_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->kind >= AM_BIN_ADD && desc->kind <= AM_BIN_SIGMOID_GRAD, AM_ERR_ARG,
           "there is no binary kind %d", (int)desc->kind);
  AM_TRY(am_infer_floats(in, 2));
  out->dtype = in->dtype;
  return am_shape_broadcast(in[0].shape, in[1].shape, &out->shape);
}

am_err am_infer_reduce(am_reduce_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_CHECK(desc->kind >= AM_RED_SUM && desc->kind <= AM_RED_ARGMAX, AM_ERR_ARG, "there is no reduction %d",
           (int)desc->kind);
  AM_CHECK(desc->axes >> in->shape.ndim == 0, AM_ERR_ARG, "axes 0x%x name a dimension beyond the last of %d",
           desc->axes, in->shape.ndim);
  AM_CHECK(desc->kind != AM_RED_ARGMAX || __builtin_popcount(desc->axes) == 1, AM_ERR_ARG,
           "argmax reduces one axis, axes 0x%x name another number", desc->axes);
  out->dtype = desc->kind == AM_RED_ARGMAX ? AM_I32 : in->dtype;
  out->shape = in->shape;
  for (int i = 0; i < in->shape.ndim; i++) {
    if (desc->axes >> i & 1u) out->shape.dim[i] = 1;
  }
  return AM_OK;
}

am_err am_infer_log_softmax(am_no_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(am_infer_ndim(in, 2, "x"));
  out->dtype = in->dtype;
  out->shape = in->shape;
  return AM_OK;
}

am_err am_infer_matmul(am_matmul_desc *desc, const am_view *in, am_view *out) {
  const am_shape a = in[0].shape, b = in[1].shape;
  AM_TRY(am_infer_floats(in, 2));
  AM_CHECK(a.ndim == b.ndim && (a.ndim == 2 || a.ndim == 3), AM_ERR_ARG,
           "both factors have 2 dimensions or both have 3");
  AM_CHECK(a.ndim == 2 || a.dim[0] == b.dim[0], AM_ERR_ARG, "there are %lld and %lld matrices",
           (long long)a.dim[0], (long long)b.dim[0]);
  int row = a.ndim - 2, col = a.ndim - 1;
  int64_t inner_a = a.dim[desc->transpose_a ? row : col];
  int64_t inner_b = b.dim[desc->transpose_b ? col : row];
  AM_CHECK(inner_a == inner_b, AM_ERR_ARG, "inner sizes %lld and %lld differ%s%s", (long long)inner_a,
           (long long)inner_b, desc->transpose_a ? ", first transposed" : "",
           desc->transpose_b ? ", second transposed" : "");
  out->dtype = in->dtype;
  out->shape = a;
  out->shape.dim[row] = a.dim[desc->transpose_a ? col : row];
  out->shape.dim[col] = b.dim[desc->transpose_b ? row : col];
  return AM_OK;
}

// Operands of an update: all floats of one type and shape.
static am_err updates(const am_view *in, const am_view *out, int outputs) {
  am_view all[1 + AM_OP_MAX_OUTPUTS] = {in[0]};
  for (int i = 0; i < outputs; i++) {
    all[1 + i] = out[i];
    AM_TRY(am_infer_shape(&out[i], in->shape, "a tensor that is updated"));
  }
  return am_infer_floats(all, 1 + outputs);
}

am_err am_infer_axpby(am_axpby_desc *desc, const am_view *in, am_view *out) { return updates(in, out, 1); }

am_err am_infer_running_stats(am_running_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->momentum >= 0 && desc->momentum <= 1, AM_ERR_ARG, "momentum %g is outside [0, 1]",
           desc->momentum);
  AM_TRY(am_infer_shape(&in[1], in->shape, "inv_std"));
  AM_TRY(am_infer_floats(in, 2));
  return updates(in, out, 2);
}

am_err am_infer_sgd_step(am_sgd_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->step >= 1, AM_ERR_ARG, "step %lld: steps count from 1", (long long)desc->step);
  AM_CHECK(!desc->nesterov || (desc->momentum > 0 && desc->dampening == 0), AM_ERR_ARG,
           "Nesterov needs momentum (%g) and no dampening (%g)", desc->momentum, desc->dampening);
  return updates(in, out, desc->momentum == 0 ? 1 : 2);
}

am_err am_infer_adam_step(am_adam_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->step >= 1, AM_ERR_ARG, "step %lld: steps count from 1", (long long)desc->step);
  AM_CHECK(desc->beta1 >= 0 && desc->beta1 < 1 && desc->beta2 >= 0 && desc->beta2 < 1, AM_ERR_ARG,
           "betas %g and %g are outside [0, 1)", desc->beta1, desc->beta2);
  return updates(in, out, 3);
}
