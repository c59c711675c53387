#include "backend/cpu/dnnl_compat.h"

am_err am_dnnl_err_code(dnnl_status_t status) {
  return status == dnnl_out_of_memory ? AM_ERR_NOMEM : AM_ERR_DEVICE;
}

const char *am_dnnl_status_text(dnnl_status_t status) {
  switch (status) {
    case dnnl_success: return "success";
    case dnnl_out_of_memory: return "out of memory";
    case dnnl_invalid_arguments: return "invalid arguments";
    case dnnl_unimplemented: return "not implemented";
    case dnnl_runtime_error: return "runtime error";
    default: return "an unknown status";
  }
}

static dnnl_status_t append_relu(dnnl_post_ops_t ops, float slope) {
#if DNNL_VERSION_MAJOR >= 3
  return dnnl_post_ops_append_eltwise(ops, dnnl_eltwise_relu, slope, 0.0f);
#else
  return dnnl_post_ops_append_eltwise(ops, 1.0f, dnnl_eltwise_relu, slope, 0.0f);
#endif
}

// Scratch memory of the caller's, and what is done to each element before it is stored.
static dnnl_status_t create_attr(const am_dnnl_conv *conv, am_dnnl_md y, dnnl_primitive_attr_t *out) {
  dnnl_post_ops_t ops = NULL;
  dnnl_status_t status = dnnl_primitive_attr_create(out);
  if (status == dnnl_success)
    status = dnnl_primitive_attr_set_scratchpad_mode(*out, dnnl_scratchpad_mode_user);
  if (status == dnnl_success) status = dnnl_post_ops_create(&ops);
  if (status == dnnl_success && conv->adds_image) {
    status = dnnl_post_ops_append_binary(ops, dnnl_binary_add, y);
  }
  if (status == dnnl_success && conv->activates) status = append_relu(ops, conv->slope);
  if (status == dnnl_success) status = dnnl_primitive_attr_set_post_ops(*out, ops);
  if (ops) dnnl_post_ops_destroy(ops);
  return status;
}

// Forward is always that of training (dnnl_forward_training): for evaluation Winograd wants its weights
// transformed by a reorder that takes longer than the convolution.

#if DNNL_VERSION_MAJOR >= 3

static dnnl_status_t create_pd(dnnl_engine_t engine, const am_dnnl_conv *conv, dnnl_memory_desc_t x,
                               dnnl_memory_desc_t w, dnnl_memory_desc_t bias, dnnl_memory_desc_t y,
                               dnnl_primitive_attr_t attr, dnnl_primitive_desc_t *out) {
  dnnl_alg_kind_t alg = conv->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
  switch (conv->kind) {
    case AM_DNNL_FORWARD:
      return dnnl_convolution_forward_primitive_desc_create(out, engine, dnnl_forward_training, alg, x, w,
                                                            bias, y, conv->stride, conv->dilation,
                                                            conv->pad_before, conv->pad_after, attr);
    case AM_DNNL_GRAD_INPUT:
      return dnnl_convolution_backward_data_primitive_desc_create(out, engine, alg, x, w, y, conv->stride,
                                                                  conv->dilation, conv->pad_before,
                                                                  conv->pad_after, NULL, attr);
    default:
      return dnnl_convolution_backward_weights_primitive_desc_create(
          out, engine, alg, x, w, NULL, y, conv->stride, conv->dilation, conv->pad_before, conv->pad_after,
          NULL, attr);
  }
}

dnnl_status_t am_dnnl_conv_pd(dnnl_engine_t engine, const am_dnnl_conv *conv, dnnl_primitive_desc_t *out) {
  dnnl_memory_desc_t x = NULL, w = NULL, bias = NULL, y = NULL;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t status = dnnl_memory_desc_create_with_tag(&x, 4, conv->x, conv->image, conv->x_tag);
  if (status == dnnl_success)
    status = dnnl_memory_desc_create_with_tag(&w, 4, conv->w, conv->kernel, dnnl_format_tag_any);
  if (status == dnnl_success)
    status = dnnl_memory_desc_create_with_tag(&y, 4, conv->y, conv->image, conv->y_tag);
  if (status == dnnl_success && conv->finished)
    status = dnnl_memory_desc_create_with_tag(&bias, 1, conv->w, dnnl_f32, dnnl_a);
  if (status == dnnl_success) status = create_attr(conv, y, &attr);
  if (status == dnnl_success) status = create_pd(engine, conv, x, w, bias, y, attr, out);
  if (attr) dnnl_primitive_attr_destroy(attr);
  if (x) dnnl_memory_desc_destroy(x);
  if (w) dnnl_memory_desc_destroy(w);
  if (bias) dnnl_memory_desc_destroy(bias);
  if (y) dnnl_memory_desc_destroy(y);
  return status;
}

dnnl_status_t am_dnnl_memory(dnnl_engine_t engine, int ndim, const dnnl_dims_t dims, dnnl_format_tag_t tag,
                             dnnl_memory_t *out) {
  dnnl_memory_desc_t md = NULL;
  dnnl_status_t status = dnnl_memory_desc_create_with_tag(&md, ndim, dims, dnnl_f32, tag);
  if (status == dnnl_success) status = dnnl_memory_create(out, md, engine, DNNL_MEMORY_NONE);
  if (md) dnnl_memory_desc_destroy(md);
  return status;
}

#else

static dnnl_status_t init_op(const am_dnnl_conv *conv, dnnl_convolution_desc_t *op) {
  dnnl_alg_kind_t alg = conv->winograd ? dnnl_convolution_winograd : dnnl_convolution_direct;
  dnnl_memory_desc_t x, w, bias, y;
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(&x, 4, conv->x, conv->image, conv->x_tag);
  if (status == dnnl_success)
    status = dnnl_memory_desc_init_by_tag(&w, 4, conv->w, conv->kernel, dnnl_format_tag_any);
  if (status == dnnl_success) status = dnnl_memory_desc_init_by_tag(&y, 4, conv->y, conv->image, conv->y_tag);
  if (status == dnnl_success) status = dnnl_memory_desc_init_by_tag(&bias, 1, conv->w, dnnl_f32, dnnl_a);
  if (status != dnnl_success) return status;
  switch (conv->kind) {
    case AM_DNNL_FORWARD:
      return dnnl_dilated_convolution_forward_desc_init(op, dnnl_forward_training, alg, &x, &w,
                                                        conv->finished ? &bias : NULL, &y, conv->stride,
                                                        conv->dilation, conv->pad_before, conv->pad_after);
    case AM_DNNL_GRAD_INPUT:
      return dnnl_dilated_convolution_backward_data_desc_init(
          op, alg, &x, &w, &y, conv->stride, conv->dilation, conv->pad_before, conv->pad_after);
    default:
      return dnnl_dilated_convolution_backward_weights_desc_init(op, alg, &x, &w, NULL, &y, conv->stride,
                                                                 conv->dilation, conv->pad_before,
                                                                 conv->pad_after);
  }
}

dnnl_status_t am_dnnl_conv_pd(dnnl_engine_t engine, const am_dnnl_conv *conv, dnnl_primitive_desc_t *out) {
  dnnl_convolution_desc_t op;
  dnnl_primitive_attr_t attr = NULL;
  dnnl_status_t status = init_op(conv, &op);
  if (status == dnnl_success) status = create_attr(conv, &op.dst_desc, &attr);
  if (status == dnnl_success) status = dnnl_primitive_desc_create(out, &op, attr, engine, NULL);
  if (attr) dnnl_primitive_attr_destroy(attr);
  return status;
}

dnnl_status_t am_dnnl_memory(dnnl_engine_t engine, int ndim, const dnnl_dims_t dims, dnnl_format_tag_t tag,
                             dnnl_memory_t *out) {
  dnnl_memory_desc_t md;
  dnnl_status_t status = dnnl_memory_desc_init_by_tag(&md, ndim, dims, dnnl_f32, tag);
  return status == dnnl_success ? dnnl_memory_create(out, &md, engine, DNNL_MEMORY_NONE) : status;
}

#endif

dnnl_status_t am_dnnl_memory_md(dnnl_memory_t memory, am_dnnl_md *out) {
  return dnnl_memory_get_memory_desc(memory, out);
}
