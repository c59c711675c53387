// Tensors: a shape and a type on reference-counted device memory.
//
// Plain tensors are row-major over dim[0..ndim). A 4-D tensor may instead carry a backend's own
// layout (activations that stay blocked from one convolution to the next); its shape is still
// (n, c, h, w), only its bytes are arranged differently. Code outside a backend never reads the
// bytes of a tensor that is not plain: am_tensor_to_host and am_tensor_plain convert.
//
// Counting: am_tensor_new and everything that hands out a tensor through `out` gives one reference
// to the caller unless its comment says the graph owns it. Local; not thread-safe per tensor.
#ifndef AM_TENSOR_TENSOR_H
#define AM_TENSOR_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "tensor/device.h"

typedef enum { AM_F32, AM_F64, AM_BF16, AM_I32, AM_I64, AM_U8, AM_DTYPE_COUNT } am_dtype;

enum { AM_MAX_DIM = 6 };
typedef struct {
  int ndim;
  int64_t dim[AM_MAX_DIM];
} am_shape;

typedef enum {
  AM_LAYOUT_PLAIN,   // row-major; for images (n, c, h, w)
  AM_LAYOUT_NHWC,    // 4-D only: channels last
  AM_LAYOUT_C16      // 4-D only, c a multiple of 16: (n, c/16, h, w, 16)
} am_layout;

// What a backend sees: borrowed memory with its meaning. Never owns. Two views of a device that have the
// same memory and the same stamp have the same content, so that a backend may keep what it derived from it (weights
// in another order). Whatever writes gives it a new stamp. 0: nothing is known.
typedef struct {
  void *data;
  am_dtype dtype;
  am_layout layout;
  am_shape shape;
  uint64_t stamp;
} am_view;

typedef struct am_buffer am_buffer;  // device memory, reference-counted
struct am_node;                      // autograd's record of how a tensor came about

// Fields are read-only outside src/tensor (node, requires_grad: outside src/autograd).
typedef struct am_tensor {
  am_device *device;    // borrowed
  am_shape shape;
  am_dtype dtype;
  am_layout layout;
  am_buffer *buffer;    // shared
  size_t offset_bytes;  // into buffer
  int refs;
  bool requires_grad;     // a leaf whose gradient may be asked for, or computed from one
  struct am_node *node;   // borrowed from the graph; NULL for leaves
} am_tensor;

// shapes: AM_SHAPE(2, 3, 64, 64)
#define AM_SHAPE(...)                                                         \
  ((am_shape){.ndim = (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
              .dim = {__VA_ARGS__}})
#define AM_SHAPE_SCALAR ((am_shape){0})
int64_t am_shape_count(am_shape s);  // product of dims; 1 for a scalar
bool am_shape_equal(am_shape a, am_shape b);
// "(64, 3, 4, 4)" into a caller's buffer; returns it.
enum { AM_SHAPE_TEXT = 96 };
const char *am_shape_text(am_shape s, char text[AM_SHAPE_TEXT]);
// numpy's rule. Errors: AM_ERR_ARG with both shapes.
AM_MUST_USE am_err am_shape_broadcast(am_shape a, am_shape b, am_shape *out);

size_t am_dtype_size(am_dtype t);
const char *am_dtype_name(am_dtype t);  // "f32"

// Uninitialised memory. Errors: AM_ERR_ARG bad shape (every dimension is at least 1) or a layout
// that does not fit it, AM_ERR_NOMEM.
AM_MUST_USE am_err am_tensor_new(am_device *dev, am_dtype dtype, am_shape shape, am_tensor **out);
AM_MUST_USE am_err am_tensor_new_layout(am_device *dev, am_dtype dtype, am_shape shape,
                                        am_layout layout, am_tensor **out);
AM_MUST_USE am_err am_tensor_zeros(am_device *dev, am_dtype dtype, am_shape shape, am_tensor **out);
// Copies count * sizeof(dtype) bytes from host memory.
AM_MUST_USE am_err am_tensor_from_host(am_device *dev, am_dtype dtype, am_shape shape,
                                       const void *host, am_tensor **out);
// A plain tensor on a part of another plain tensor's memory (same buffer, shared). `first` and the
// shape count elements. For parameters in flat storage, rows of a batch.
AM_MUST_USE am_err am_tensor_view(am_tensor *base, int64_t first, am_shape shape, am_tensor **out);
// A second tensor on the same memory with the same shape and layout, a leaf of its own.
AM_MUST_USE am_err am_tensor_alias(am_tensor *t, am_tensor **out);
// Gives t's share of its memory back although t is still referenced: t keeps its shape and type,
// its elements are gone, and reading them is AM_ERR_ARG from then on.
void am_tensor_discard(am_tensor *t);
am_tensor *am_tensor_retain(am_tensor *t);
void am_tensor_release(am_tensor *t);  // NULL is fine

int64_t am_tensor_count(const am_tensor *t);
am_view am_tensor_as_view(const am_tensor *t);
// Before writing through a view's pointer: t's memory gets a new stamp. Ops and copies from the host do so themselves.
void am_tensor_renew(am_tensor *t);
// *out = t itself (retained) when plain, else a plain copy.
AM_MUST_USE am_err am_tensor_plain(am_tensor *t, am_tensor **out);
// Writes the elements in row-major order to host memory, synchronising with the device.
AM_MUST_USE am_err am_tensor_to_host(am_tensor *t, void *host);
// t must be plain.
AM_MUST_USE am_err am_tensor_copy_from_host(am_tensor *t, const void *host);
// The single element of a one-element f32/f64 tensor.
AM_MUST_USE am_err am_tensor_item(am_tensor *t, double *out);

#endif
