// Clipping by the global norm of the gradients, as PyTorch's clip_grad_norm_.
#include <math.h>

#include "base/mem.h"
#include "base/num.h"
#include "nn/optim.h"
#include "tensor/backend.h"

static const double NORM_ADDS = 1e-6;  // PyTorch's, against a norm of 0

// ---- where the host reads the gradients in place ----

enum { HOST_CHUNK = 1 << 18 };  // elements at a time

static double sum_of_squares(const void *host, am_dtype dtype, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; i++) {
    double v = dtype == AM_F64 ? ((const double *)host)[i] : (double)((const float *)host)[i];
    sum += v * v;
  }
  return sum;
}

// One f64 sum from the first element to the last: the same number on every rank and device.
static am_err grad_norm(am_tensor *grads, double *norm) {
  am_err err = AM_OK;
  char *host = NULL;
  am_tensor *part = NULL;
  double sum = 0;
  int64_t total = am_tensor_count(grads);
  AM_TRY(am_mem_alloc(&host, HOST_CHUNK, am_dtype_size(grads->dtype)));
  for (int64_t at = 0; at < total; at += HOST_CHUNK) {
    int64_t count = am_min_i64(HOST_CHUNK, total - at);
    AM_GO(done, am_tensor_view(grads, at, AM_SHAPE(count), &part));
    AM_GO(done, am_tensor_to_host(part, host));
    sum += sum_of_squares(host, grads->dtype, count);
    am_tensor_release(part);
    part = NULL;
  }
  *norm = sqrt(sum);
done:
  am_tensor_release(part);
  free(host);
  return err;
}

static am_err clip_on_host(am_tensor *grads, double max_norm) {
  am_err err = AM_OK;
  am_tensor *copy = NULL;
  double norm = 0;
  AM_TRY(grad_norm(grads, &norm));
  if (norm <= max_norm) return AM_OK;  // a norm that is NaN is not, and spoils every gradient
  am_unary_desc scale = {.kind = AM_UN_AFFINE, .a = max_norm / (norm + NORM_ADDS)};
  AM_GO(done, am_dispatch(grads->device, AM_OP_unary, &scale, &grads, &copy));
  AM_GO(done, am_dispatch(grads->device, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &copy, &grads));
done:
  am_tensor_release(copy);
  return err;
}

// ---- elsewhere: by ops of the device, whose result nobody waits for ----

enum { DEVICE_PIECE = 1 << 22 };  // elements whose squares or products need memory at a time

// *sum += the squares of the piece; NULL before the first one.
static am_err add_squares(am_tensor *piece, am_tensor **sum) {
  am_err err = AM_OK;
  am_device *dev = piece->device;
  am_tensor *square = NULL, *part = NULL, *before = *sum;
  AM_GO(done, am_dispatch(dev, AM_OP_unary, &(am_unary_desc){.kind = AM_UN_SQUARE}, &piece, &square));
  AM_GO(done,
        am_dispatch(dev, AM_OP_reduce, &(am_reduce_desc){.kind = AM_RED_SUM, .axes = 1}, &square, &part));
  if (before) {
    AM_GO(done, am_dispatch(dev, AM_OP_binary, &(am_binary_desc){.kind = AM_BIN_ADD},
                            (am_tensor *[]){before, part}, sum));
    am_tensor_release(before);
  } else {
    *sum = am_tensor_retain(part);
  }
done:
  am_tensor_release(square);
  am_tensor_release(part);
  return err;
}

static am_err scale_piece(am_tensor *piece, am_tensor **by) {
  am_err err = AM_OK;
  am_device *dev = piece->device;
  am_tensor *product = NULL;
  AM_GO(done, am_dispatch(dev, AM_OP_binary, &(am_binary_desc){.kind = AM_BIN_MUL},
                          (am_tensor *[]){piece, *by}, &product));
  AM_GO(done, am_dispatch(dev, AM_OP_axpby, &(am_axpby_desc){.a = 1}, &product, &piece));
done:
  am_tensor_release(product);
  return err;
}

static am_err for_each_piece(am_tensor *grads, am_err (*f)(am_tensor *piece, am_tensor **value),
                             am_tensor **value) {
  const int64_t total = am_tensor_count(grads);
  for (int64_t at = 0; at < total; at += DEVICE_PIECE) {
    am_tensor *piece = NULL;
    AM_TRY(am_tensor_view(grads, at, AM_SHAPE(am_min_i64(DEVICE_PIECE, total - at)), &piece));
    const am_err err = f(piece, value);
    am_tensor_release(piece);
    AM_TRY(err);
  }
  return AM_OK;
}

// *value, the sum of squares, becomes min(max_norm / (norm + 1e-6), 1); NaN stays.
static am_err coefficient_of(double max_norm, am_tensor **value) {
  const am_unary_desc step[] = {{.kind = AM_UN_SQRT},
                                {.kind = AM_UN_AFFINE, .a = 1, .b = NORM_ADDS},
                                {.kind = AM_UN_RECIP},
                                {.kind = AM_UN_AFFINE, .a = max_norm},
                                {.kind = AM_UN_CLAMP, .a = 0, .b = 1}};
  for (int i = 0; i < AM_COUNT_OF(step); i++) {
    am_tensor *next = NULL;
    AM_TRY(am_dispatch((*value)->device, AM_OP_unary, &step[i], value, &next));
    am_tensor_release(*value);
    *value = next;
  }
  return AM_OK;
}

// The norm decides on the device, so the multiplication happens in any case, by 1 where nothing is to be clipped. What is
// added at a time is a matter of sizes alone: the same bits on every rank.
static am_err clip_on_device(am_tensor *grads, double max_norm) {
  am_err err = AM_OK;
  am_tensor *value = NULL;
  AM_GO(done, for_each_piece(grads, add_squares, &value));
  AM_GO(done, coefficient_of(max_norm, &value));
  AM_GO(done, for_each_piece(grads, scale_piece, &value));
done:
  am_tensor_release(value);
  return err;
}

am_err am_clip_grad_norm(am_params *ps, double max_norm) {
  am_tensor *grads = am_params_grads(ps);
  return am_device_host_memory(grads->device) ? clip_on_host(grads, max_norm)
                                              : clip_on_device(grads, max_norm);
}
