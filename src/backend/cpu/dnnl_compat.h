// The part of oneDNN that changed between 2.x and 3.x, behind one face.
//
// 2.x describes memory by a struct and an operation by a descriptor that is then turned into a
// primitive descriptor; 3.x has opaque memory descriptors and one call per primitive descriptor.
#ifndef AM_BACKEND_CPU_DNNL_COMPAT_H
#define AM_BACKEND_CPU_DNNL_COMPAT_H

#include <dnnl.h>

#include "base/err.h"

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t am_dnnl_md;         // borrowed
#else
typedef const dnnl_memory_desc_t *am_dnnl_md;        // borrowed
#endif

#define AM_TRY_DNNL(call)                                                                              \
  do {                                                                                                 \
    dnnl_status_t am_dnnl_status_ = (call);                                                            \
    AM_CHECK(am_dnnl_status_ == dnnl_success, am_dnnl_err_code(am_dnnl_status_), "oneDNN: %s gave %s", \
             #call, am_dnnl_status_text(am_dnnl_status_));                                             \
  } while (0)
#define AM_GO_DNNL(label, call)                                                                        \
  do {                                                                                                 \
    dnnl_status_t am_dnnl_status_ = (call);                                                            \
    AM_CHECK_GO(label, am_dnnl_status_ == dnnl_success, am_dnnl_err_code(am_dnnl_status_),             \
                "oneDNN: %s gave %s", #call, am_dnnl_status_text(am_dnnl_status_));                    \
  } while (0)
am_err am_dnnl_err_code(dnnl_status_t status);
const char *am_dnnl_status_text(dnnl_status_t status);

// A 2-D convolution without groups. Layout tags name how x and y lie; the weights' is left to oneDNN.
typedef enum { AM_DNNL_FORWARD, AM_DNNL_GRAD_INPUT, AM_DNNL_GRAD_WEIGHT } am_dnnl_conv_kind;
typedef struct {
  am_dnnl_conv_kind kind;
  bool winograd;
  dnnl_dims_t x, w, y;                     // (n, c, h, w), (co, ci, kh, kw), (n, co, ho, wo)
  dnnl_format_tag_t x_tag, y_tag;
  dnnl_data_type_t image, kernel;          // types of x and y, and of w
  dnnl_dims_t stride, dilation, pad_before, pad_after;  // dilation counts the gaps: 0 is dense
  // Forward, for evaluation: y = leaky_relu(conv + f32 bias [+ an image that lies as y], slope).
  bool finished, adds_image, activates;
  float slope;
} am_dnnl_conv;
// Scratch memory is handed over at execution (DNNL_ARG_SCRATCHPAD). dnnl_unimplemented where there
// is no such implementation.
dnnl_status_t am_dnnl_conv_pd(dnnl_engine_t engine, const am_dnnl_conv *conv, dnnl_primitive_desc_t *out);
// f32 memory without data, of these dimensions and layout.
dnnl_status_t am_dnnl_memory(dnnl_engine_t engine, int ndim, const dnnl_dims_t dims, dnnl_format_tag_t tag,
                             dnnl_memory_t *out);
// What a memory object describes.
dnnl_status_t am_dnnl_memory_md(dnnl_memory_t memory, am_dnnl_md *out);

#endif
