#include "tensor/augment.h"

#include "tensor/device_internal.h"

bool am_device_augments(const am_device *dev) { return !dev->backend->host_memory && dev->backend->augment; }

am_err am_device_augment(const am_augment_program *p, const uint8_t *bytes, const float *params,
                         am_tensor *out) {
  am_err err = AM_OK;
  am_device *dev = out->device;
  am_tensor *in = NULL, *drawn = NULL;
  const int64_t count = out->shape.ndim ? out->shape.dim[0] : 0;
  char text[AM_SHAPE_TEXT];
  AM_CHECK(am_device_augments(dev), AM_ERR_UNSUPPORTED, "device %s runs no transforms: the host does",
           dev->kind);
  AM_CHECK(out->dtype == AM_F32 && out->layout == AM_LAYOUT_PLAIN &&
               am_shape_equal(out->shape, AM_SHAPE(count, p->channels, p->height, p->width)),
           AM_ERR_ARG, "a tensor of shape %s does not hold what the transforms make", am_shape_text(out->shape, text));
  AM_TRY(am_device_check_open(dev));
  AM_GO(done,
        am_tensor_from_host(dev, AM_U8, AM_SHAPE(count, p->in_height, p->in_width, p->channels), bytes, &in));
  if (p->params) AM_GO(done, am_tensor_from_host(dev, AM_F32, AM_SHAPE(count, p->params), params, &drawn));
  am_tensor_renew(out);
  AM_GO(done, dev->backend->augment(dev->ctx, p, am_tensor_as_view(in).data,
                                    drawn ? am_tensor_as_view(drawn).data : NULL, count,
                                    am_tensor_as_view(out).data));
done:
  am_tensor_release(in);
  am_tensor_release(drawn);
  return err;
}
