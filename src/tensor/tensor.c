#include "tensor/tensor.h"

#include "base/mem.h"
#include "base/num.h"
#include "tensor/device_internal.h"

// Bytes of a tensor; refuses shapes that memory cannot hold and layouts that do not fit the shape.
static am_err checked_bytes(am_dtype dtype, am_shape shape, am_layout layout, size_t *bytes) {
  char text[AM_SHAPE_TEXT];
  AM_CHECK((int)dtype >= 0 && dtype < AM_DTYPE_COUNT, AM_ERR_ARG, "%d is not an element type", (int)dtype);
  AM_CHECK(shape.ndim >= 0 && shape.ndim <= AM_MAX_DIM, AM_ERR_ARG, "a tensor has 0 to %d dimensions, not %d",
           AM_MAX_DIM, shape.ndim);
  int64_t count = (int64_t)am_dtype_size(dtype);
  for (int i = 0; i < shape.ndim; i++) {
    AM_CHECK(shape.dim[i] >= 1 && am_mul_i64(count, shape.dim[i], &count), AM_ERR_ARG,
             "%s is not a shape of a tensor: dimensions are at least 1 and their product fits memory",
             am_shape_text(shape, text));
  }
  bool fits = layout == AM_LAYOUT_PLAIN || (layout == AM_LAYOUT_NHWC && shape.ndim == 4) ||
              (layout == AM_LAYOUT_C16 && shape.ndim == 4 && shape.dim[1] % 16 == 0);
  AM_CHECK(fits, AM_ERR_ARG, "a tensor of shape %s cannot have layout %d", am_shape_text(shape, text),
           (int)layout);
  *bytes = (size_t)count;
  return AM_OK;
}

am_err am_tensor_wrap(am_device *dev, am_dtype dtype, am_shape shape, am_layout layout, am_buffer *buffer,
                      size_t offset_bytes, am_tensor **out) {
  am_err err = AM_OK;
  am_tensor *t = NULL;
  AM_GO(fail, AM_NEW(&t));
  *t = (am_tensor){.device = dev, .shape = shape, .dtype = dtype, .layout = layout, .buffer = buffer,
                   .offset_bytes = offset_bytes, .refs = 1};
  *out = t;
  return AM_OK;
fail:
  am_buffer_release(buffer);
  return err;
}

am_err am_tensor_new_layout(am_device *dev, am_dtype dtype, am_shape shape, am_layout layout,
                            am_tensor **out) {
  size_t bytes = 0;
  am_buffer *buffer = NULL;
  AM_TRY(checked_bytes(dtype, shape, layout, &bytes));
  AM_TRY(am_pool_take(dev->taking, bytes, &buffer));
  AM_TRY(am_tensor_wrap(dev, dtype, shape, layout, buffer, 0, out));
  return AM_OK;
}

am_err am_tensor_new(am_device *dev, am_dtype dtype, am_shape shape, am_tensor **out) {
  return am_tensor_new_layout(dev, dtype, shape, AM_LAYOUT_PLAIN, out);
}

am_err am_tensor_zeros(am_device *dev, am_dtype dtype, am_shape shape, am_tensor **out) {
  am_fill_desc desc = {.shape = shape, .dtype = dtype, .value = 0};
  return am_dispatch(dev, AM_OP_fill, &desc, NULL, out);
}

am_err am_tensor_from_host(am_device *dev, am_dtype dtype, am_shape shape, const void *host,
                           am_tensor **out) {
  am_err err = AM_OK;
  am_tensor *t = NULL;
  AM_GO(done, am_tensor_new(dev, dtype, shape, &t));
  AM_GO(done, am_tensor_copy_from_host(t, host));
  *out = t;
  t = NULL;
done:
  am_tensor_release(t);
  return err;
}

am_err am_tensor_check_present(const am_tensor *t) {
  char text[AM_SHAPE_TEXT];
  AM_CHECK(t->buffer, AM_ERR_ARG,
           "the elements of an intermediate result of shape %s are gone: read them before am_grad, or retain "
           "the tensor", am_shape_text(t->shape, text));
  return AM_OK;
}

am_err am_tensor_view(am_tensor *base, int64_t first, am_shape shape, am_tensor **out) {
  char text[AM_SHAPE_TEXT], base_text[AM_SHAPE_TEXT];
  size_t bytes = 0;
  AM_TRY(am_tensor_check_present(base));
  AM_CHECK(base->layout == AM_LAYOUT_PLAIN, AM_ERR_ARG, "only a plain tensor can be viewed; %s is not",
           am_shape_text(base->shape, base_text));
  AM_TRY(checked_bytes(base->dtype, shape, AM_LAYOUT_PLAIN, &bytes));
  int64_t count = am_shape_count(shape), base_count = am_tensor_count(base);
  AM_CHECK(first >= 0 && count <= base_count && first <= base_count - count, AM_ERR_ARG,
           "a view of shape %s from element %lld leaves its base of shape %s", am_shape_text(shape, text),
           (long long)first, am_shape_text(base->shape, base_text));
  size_t offset = base->offset_bytes + (size_t)first * am_dtype_size(base->dtype);
  am_buffer *shared = am_buffer_retain(base->buffer);
  return am_tensor_wrap(base->device, base->dtype, shape, AM_LAYOUT_PLAIN, shared, offset, out);
}

am_err am_tensor_alias(am_tensor *t, am_tensor **out) {
  AM_TRY(am_tensor_check_present(t));
  am_buffer *shared = am_buffer_retain(t->buffer);
  return am_tensor_wrap(t->device, t->dtype, t->shape, t->layout, shared, t->offset_bytes, out);
}

void am_tensor_discard(am_tensor *t) {
  am_buffer_release(t->buffer);
  t->buffer = NULL;
}

am_tensor *am_tensor_retain(am_tensor *t) {
  t->refs++;
  return t;
}

void am_tensor_release(am_tensor *t) {
  if (!t || --t->refs > 0) return;
  am_buffer_release(t->buffer);
  free(t);
}

int64_t am_tensor_count(const am_tensor *t) { return am_shape_count(t->shape); }

am_view am_tensor_as_view(const am_tensor *t) {
  return (am_view){.data = (char *)t->buffer->data + t->offset_bytes, .dtype = t->dtype, .layout = t->layout,
                   .shape = t->shape, .stamp = t->buffer->stamp};
}

void am_tensor_renew(am_tensor *t) { am_buffer_renew(t->buffer); }

am_err am_tensor_in_layout(am_tensor *t, am_layout layout, am_tensor **out) {
  AM_TRY(am_tensor_check_present(t));
  if (t->layout == layout) {
    *out = am_tensor_retain(t);
    return AM_OK;
  }
  if (am_layout_same_bytes(t->shape, t->layout, layout)) {
    am_buffer *shared = am_buffer_retain(t->buffer);
    return am_tensor_wrap(t->device, t->dtype, t->shape, layout, shared, t->offset_bytes, out);
  }
  am_layout_desc desc = {.layout = layout};
  return am_dispatch(t->device, AM_OP_reorder, &desc, &t, out);
}

am_err am_tensor_plain(am_tensor *t, am_tensor **out) { return am_tensor_in_layout(t, AM_LAYOUT_PLAIN, out); }

static size_t bytes_of(const am_tensor *t) { return (size_t)am_tensor_count(t) * am_dtype_size(t->dtype); }

am_err am_tensor_to_host(am_tensor *t, void *host) {
  am_err err = AM_OK;
  am_tensor *plain = NULL;
  const am_device *dev = t->device;
  AM_TRY(am_device_check_open(dev));
  AM_GO(done, am_tensor_plain(t, &plain));
  AM_GO(done, dev->backend->to_host(dev->ctx, host, am_tensor_as_view(plain).data, bytes_of(plain)));
done:
  am_tensor_release(plain);
  return err;
}

am_err am_tensor_copy_from_host(am_tensor *t, const void *host) {
  const am_device *dev = t->device;
  AM_TRY(am_tensor_check_present(t));
  AM_CHECK(t->layout == AM_LAYOUT_PLAIN, AM_ERR_ARG, "host memory is copied into plain tensors only");
  AM_TRY(am_device_check_open(dev));
  am_buffer_renew(t->buffer);
  return dev->backend->from_host(dev->ctx, am_tensor_as_view(t).data, host, bytes_of(t));
}

am_err am_tensor_item(am_tensor *t, double *out) {
  char text[AM_SHAPE_TEXT];
  float single = 0;
  double value = 0;
  AM_CHECK(am_tensor_count(t) == 1, AM_ERR_ARG, "a tensor of shape %s has no single element",
           am_shape_text(t->shape, text));
  AM_CHECK(t->dtype == AM_F32 || t->dtype == AM_F64, AM_ERR_UNSUPPORTED,
           "the single element is of type %s, not f32 or f64", am_dtype_name(t->dtype));
  if (t->dtype == AM_F32) {
    AM_TRY(am_tensor_to_host(t, &single));
    value = single;
  } else {
    AM_TRY(am_tensor_to_host(t, &value));
  }
  *out = value;
  return AM_OK;
}
