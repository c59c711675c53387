// Arguments of the ops that move, make or convert elements.
#include "base/num.h"
#include "tensor/infer.h"

static am_err axis_exists(int axis, am_shape s) {
  AM_CHECK(axis >= 0 && axis < s.ndim, AM_ERR_ARG, "there is no axis %d", axis);
  return AM_OK;
}

am_err am_infer_broadcast_to(am_shape_desc *desc, const am_view *in, am_view *out) {
  char text[AM_SHAPE_TEXT];
  am_shape both;
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(am_shape_broadcast(in->shape, desc->shape, &both));
  AM_CHECK(am_shape_equal(both, desc->shape), AM_ERR_ARG, "it does not broadcast to %s",
           am_shape_text(desc->shape, text));
  out->dtype = in->dtype;
  out->shape = desc->shape;
  return AM_OK;
}

am_err am_infer_permute(am_permute_desc *desc, const am_view *in, am_view *out) {
  unsigned seen = 0;
  AM_TRY(am_infer_floats(in, 1));
  out->dtype = in->dtype;
  out->shape.ndim = in->shape.ndim;
  for (int i = 0; i < in->shape.ndim; i++) {
    AM_TRY(axis_exists(desc->perm[i], in->shape));
    AM_CHECK(!(seen >> desc->perm[i] & 1u), AM_ERR_ARG, "axis %d is named twice", desc->perm[i]);
    seen |= 1u << desc->perm[i];
    out->shape.dim[i] = in->shape.dim[desc->perm[i]];
  }
  return AM_OK;
}

am_err am_infer_slice(am_slice_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(axis_exists(desc->axis, in->shape));
  bool inside = desc->start >= 0 && desc->start < desc->stop && desc->stop <= in->shape.dim[desc->axis];
  AM_CHECK(inside, AM_ERR_ARG, "[%lld, %lld) is not a range of axis %d", (long long)desc->start,
           (long long)desc->stop, desc->axis);
  out->dtype = in->dtype;
  out->shape = in->shape;
  out->shape.dim[desc->axis] = desc->stop - desc->start;
  return AM_OK;
}

am_err am_infer_pad(am_pad_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(axis_exists(desc->axis, in->shape));
  out->dtype = in->dtype;
  out->shape = in->shape;
  int64_t *length = &out->shape.dim[desc->axis];
  AM_CHECK(desc->before >= 0 && desc->after >= 0 && am_add_i64(*length, desc->before, length) &&
               am_add_i64(*length, desc->after, length),
           AM_ERR_ARG, "a pad of %lld before and %lld after is not possible", (long long)desc->before,
           (long long)desc->after);
  return AM_OK;
}

am_err am_infer_concat(am_axis_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 2));
  AM_TRY(axis_exists(desc->axis, in[0].shape));
  am_shape rest = in[1].shape;
  if (desc->axis < rest.ndim) rest.dim[desc->axis] = in[0].shape.dim[desc->axis];
  AM_CHECK(am_shape_equal(in[0].shape, rest), AM_ERR_ARG, "the shapes differ beside axis %d", desc->axis);
  out->dtype = in->dtype;
  out->shape = in[0].shape;
  out->shape.dim[desc->axis] += in[1].shape.dim[desc->axis];
  return AM_OK;
}

am_err am_infer_gather_rows(am_no_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(am_infer_index(&in[1]));
  AM_TRY(am_infer_ndim(&in[1], 1, "the index"));
  AM_CHECK(in->shape.ndim >= 1, AM_ERR_ARG, "a scalar has no rows");
  out->dtype = in->dtype;
  out->shape = in->shape;
  out->shape.dim[0] = in[1].shape.dim[0];
  return AM_OK;
}

am_err am_infer_scatter_rows(am_rows_desc *desc, const am_view *in, am_view *out) {
  AM_TRY(am_infer_floats(in, 1));
  AM_TRY(am_infer_index(&in[1]));
  AM_TRY(am_infer_ndim(&in[1], 1, "the index"));
  AM_CHECK(in->shape.ndim >= 1 && in->shape.dim[0] == in[1].shape.dim[0], AM_ERR_ARG,
           "there is not one index for each row");
  AM_CHECK(desc->rows >= 1, AM_ERR_ARG, "the result has %lld rows, at least 1 is expected",
           (long long)desc->rows);
  out->dtype = in->dtype;
  out->shape = in->shape;
  out->shape.dim[0] = desc->rows;
  return AM_OK;
}

am_err am_infer_reorder(am_layout_desc *desc, const am_view *in, am_view *out) {
  out->dtype = in->dtype;
  out->shape = in->shape;
  out->layout = desc->layout;  // that it fits the shape is checked where the tensor is made
  return AM_OK;
}

am_err am_infer_cast(am_dtype_desc *desc, const am_view *in, am_view *out) {
  out->dtype = desc->dtype;
  out->shape = in->shape;
  return AM_OK;
}

am_err am_infer_fill(am_fill_desc *desc, const am_view *in, am_view *out) {
  out->dtype = desc->dtype;
  out->shape = desc->shape;
  return AM_OK;
}

am_err am_infer_random(am_random_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->kind == AM_RAND_UNIFORM || desc->kind == AM_RAND_NORMAL, AM_ERR_ARG,
           "there is no distribution %d", (int)desc->kind);
  out->dtype = desc->dtype;
  out->shape = desc->shape;
  return am_infer_floats(out, 1);
}

am_err am_infer_dropout(am_dropout_desc *desc, const am_view *in, am_view *out) {
  AM_CHECK(desc->p >= 0 && desc->p < 1, AM_ERR_ARG, "a share of %g cannot be dropped: it must be in [0, 1)",
           desc->p);
  AM_TRY(am_infer_floats(in, 1));
  out->dtype = in->dtype;
  out->shape = in->shape;
  return AM_OK;
}
