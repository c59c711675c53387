#include "tensor/augment.h"

#include "tensor/device_internal.h"

bool am_device_augments(const am_device *dev) { return !dev->backend->host_memory && dev->backend->augment; }

am_err am_device_augment(am_device *dev, const am_augment_program *p, const uint8_t *bytes,
                         const float *params, int64_t count, am_tensor **out) {
  am_err err = AM_OK;
  am_tensor *in = NULL, *drawn = NULL, *result = NULL;
  AM_CHECK(am_device_augments(dev), AM_ERR_UNSUPPORTED, "device %s runs no transforms: the host does",
           dev->kind);
  AM_GO(done,
        am_tensor_from_host(dev, AM_U8, AM_SHAPE(count, p->in_height, p->in_width, p->channels), bytes, &in));
  if (p->params) AM_GO(done, am_tensor_from_host(dev, AM_F32, AM_SHAPE(count, p->params), params, &drawn));
  AM_GO(done, am_tensor_new(dev, AM_F32, AM_SHAPE(count, p->channels, p->height, p->width), &result));
  AM_GO(done, dev->backend->augment(dev->ctx, p, am_tensor_as_view(in).data,
                                    drawn ? am_tensor_as_view(drawn).data : NULL, count,
                                    am_tensor_as_view(result).data));
  *out = result;
  result = NULL;
done:
  am_tensor_release(in);
  am_tensor_release(drawn);
  am_tensor_release(result);
  return err;
}
