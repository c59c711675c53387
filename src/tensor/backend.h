// The op table: what a backend must be able to do, as one list.
//
// Each op has a typed descriptor and a fixed number of inputs and outputs. AM_OP_LIST makes the
// enum, the table of function pointers, dispatch (tensor/dispatch*.c), the guard's wrappers and
// the cases of tests/ops: an op that is added here and not implemented somewhere does not compile.
//
// Dispatch checks arguments, infers shapes, settles layouts and allocates outputs once, for all
// backends (infer_* in tensor/infer_*.c); a backend trusts its arguments. Outputs do not overlap
// inputs, except in the in-place ops, whose outputs already hold values. Every backend implements every
// op for f32; `ref` does so for f64 too, `cpu` (where the processor has the instructions) and `cuda` (which has not been run
// on a card yet) all but the in-place ops for bf16.
// Ops take and give floating point, one type throughout, but for i32 indices and for parameters beside images
// of bf16, which are f32 with their gradients: kernels of convolutions (rounded to bf16 on the way in), filters and what
// belongs to a channel (gamma, beta, mean, inv_std, scale, shift). In bf16 every sum is taken in f32 or wider
// and a result is rounded once (conv2d_affine's kernel may be rounded after it was scaled). fill, cast and reorder know every type (cast from float to integer truncates
// towards zero and saturates, NaN gives 0; to bf16 it rounds to the nearest even). Memory is aligned for its
// type, not more: a view may start anywhere in flat storage. Row and pool indices are values, which
// dispatch cannot see: a backend that reads them on the host checks them (AM_ERR_ARG).
//
// The families are closed under differentiation: the vjp of each op is written in ops of this list.
#ifndef AM_TENSOR_BACKEND_H
#define AM_TENSOR_BACKEND_H

#include "tensor/augment.h"

// ---- descriptors -------------------------------------------------------------------------------

typedef struct { int unused; } am_no_desc;

// y = f(x), elementwise, any layout.
typedef enum {
  AM_UN_AFFINE,      // a*x + b
  AM_UN_EXP, AM_UN_LOG, AM_UN_SQRT, AM_UN_RSQRT, AM_UN_RECIP, AM_UN_SQUARE, AM_UN_ABS, AM_UN_SIGN,
  AM_UN_TANH, AM_UN_SIGMOID, AM_UN_SOFTPLUS,  // softplus(x) = max(x,0) + log1p(exp(-|x|))
  AM_UN_LEAKY_RELU,  // x > 0 ? x : a*x   (a = 0: ReLU)
  AM_UN_CLAMP,       // min(max(x, a), b)
  AM_UN_STEP         // x > a ? 1 : 0
} am_unary_kind;
typedef struct { am_unary_kind kind; double a, b; } am_unary_desc;

// y = f(p, q), elementwise with numpy broadcasting; any layout when shapes and layouts are equal or
// q is per channel (shape (1, c, 1, 1) or (n, c, 1, 1)) or a scalar.
typedef enum {
  AM_BIN_ADD, AM_BIN_SUB, AM_BIN_MUL, AM_BIN_DIV, AM_BIN_MAX, AM_BIN_MIN,
  AM_BIN_LEAKY_GRAD,    // q > 0 ? p : a*p    q = the output (or input) of leaky_relu(a)
  AM_BIN_TANH_GRAD,     // p * (1 - q*q)      q = tanh(x)
  AM_BIN_SIGMOID_GRAD   // p * q * (1 - q)    q = sigmoid(x)
} am_binary_kind;
typedef struct { am_binary_kind kind; double a; } am_binary_desc;

// Sum (or max, argmax) over the axes whose bit is set; reduced axes stay with length 1. No axis: a copy.
// argmax reduces exactly one axis and gives i32, the first of equal maxima.
typedef enum { AM_RED_SUM, AM_RED_MAX, AM_RED_ARGMAX } am_reduce_kind;
typedef struct { am_reduce_kind kind; unsigned axes; } am_reduce_desc;

typedef struct { am_shape shape; } am_shape_desc;                  // broadcast_to
typedef struct { int perm[AM_MAX_DIM]; } am_permute_desc;          // out.dim[i] = in.dim[perm[i]]
typedef struct { int axis; int64_t start, stop; } am_slice_desc;
typedef struct { int axis; int64_t before, after; } am_pad_desc;   // zeros; vjp of slice
typedef struct { int axis; } am_axis_desc;                         // concat
typedef struct { int64_t rows; } am_rows_desc;                     // scatter_rows: rows of the output
typedef struct { am_layout layout; } am_layout_desc;               // reorder
typedef struct { am_dtype dtype; } am_dtype_desc;                  // cast
typedef struct { am_shape shape; am_dtype dtype; double value; } am_fill_desc;

// Element e of row r (r = index along dim 0) is draw e of stream (seed, purpose, index + r): the
// numbers of a row do not depend on the rows beside it. Uniform numbers are in [0, 1), but in f32 the
// largest of them round to 1.
typedef enum { AM_RAND_UNIFORM, AM_RAND_NORMAL } am_random_kind;
typedef struct {
  am_random_kind kind;
  am_dtype dtype;
  am_shape shape;
  uint64_t seed, index;
  int purpose;  // am_rng_purpose
} am_random_desc;

// y = x / (1 - p), where the factor is rounded to the type of x, or 0: element e of row r of x is kept where the uniform
// number that am_random_desc gives that place, in f32 (beside f64 in f64), is above p, which a device that computes in f32
// rounds, too. Dropped elements are multiplied by 0, as in PyTorch: negative ones give -0, infinities and NaN give NaN. The
// numbers belong to places of the plain order, whatever the layout of x. The gradient is the same op on dy.
typedef struct {
  double p;  // share that is dropped, in [0, 1)
  uint64_t seed, index;
  int purpose;  // am_rng_purpose
} am_dropout_desc;

// 2-D: C = op(A) op(B), A (m, k), B (k, n) after the transposes. 3-D: the same per leading index.
typedef struct { bool transpose_a, transpose_b; } am_matmul_desc;

// PyTorch's conv2d. x (n, ci, h, w), w (co, ci/groups, kh, kw), y (n, co, ho, wo),
//   ho = (h + 2*pad - dilation*(kh-1) - 1) / stride + 1 (floor).
// in_h/in_w name the input's size for grad_input, kernel_h/kernel_w that of the kernel for
// grad_weight; the forward op ignores them. A transposed convolution is grad_input. Dispatch turns
// zero strides, dilations and groups into 1 before a backend sees them.
typedef struct {
  int64_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  int64_t in_h, in_w, kernel_h, kernel_w;
} am_conv2d_desc;

// y (n, c, ho, wo); padding counts as -inf for max; for average it is counted in the divisor when
// include_pad (PyTorch's default). in_h/in_w: input size, for the gradients. A stride of 0 means the
// kernel's size (dispatch fills it in); a pad is at most half a kernel, as PyTorch demands. An index that pool_scatter
// and pool_gather are given lies under its own window, as those of max_pool2d do: a backend need not look elsewhere.
typedef struct {
  int64_t kernel_h, kernel_w, stride_h, stride_w, pad_h, pad_w;
  int64_t in_h, in_w;
  bool include_pad;
} am_pool2d_desc;

// Upsample, filter, downsample, as NVIDIA's upfirdn2d (StyleGAN2-ADA): up - 1 zeros go behind every pixel, pads of zeros
// around it all (negative ones crop), a filter over it, and every down-th value is kept. x (n, c, h, w), filter (kh, kw), one
// for all channels, y (n, c, ho, wo),
//   ho = (h*up_h + pad_top + pad_bottom - kh) / down_h + 1 (floor).
// With flip_filter the filter lies on the image as it is (correlation), else turned by 180 degrees (convolution). Dispatch turns
// zero ups, downs and gains into 1. The filter is a constant: asking for its gradient is an error.
typedef struct {
  int64_t up_h, up_w, down_h, down_w;
  int64_t pad_top, pad_bottom, pad_left, pad_right;
  bool flip_filter;
  double gain;  // of the filter
} am_upfirdn2d_desc;

// PyTorch's interpolate to a size, align_corners=False, without antialiasing (tensor/resample_rules.h). out_h/out_w: the result's
// size; in_h/in_w: the input's, for the gradient, which takes the result's from its operand.
typedef enum { AM_RESAMPLE_NEAREST, AM_RESAMPLE_BILINEAR } am_resample_kind;
typedef struct {
  am_resample_kind kind;
  int64_t out_h, out_w;
  int64_t in_h, in_w;
} am_resample2d_desc;

// What ends an op on images: leaky_relu(slope) when `on`; slope 0 is ReLU. A slope is not negative, so
// that the sign of the result tells that of its argument.
typedef struct { bool on; double slope; } am_activation;

// y = act(conv2d(x, w) * scale + shift [+ residual]): what a convolution, a normalisation by running
// statistics, a sum and an activation come to when nothing is recorded.
typedef struct { am_conv2d_desc conv; am_activation act; } am_conv2d_affine_desc;

// x (n, c, ...), statistics over all but c, biased variance; y = act(normalised x [+ residual]). The gradient
// without a residual finds out anew from x which elements the activation let through.
typedef struct { double eps; am_activation act; } am_norm_desc;

// PyTorch's rules and order of operations (weight_decay added to the gradient for SGD and Adam,
// decoupled for AdamW; Nesterov; bias correction by `step`, counted from 1). The first step of SGD
// sets the momentum buffer to the gradient, whatever it held; with momentum 0 it is not touched and
// may have any shape.
typedef struct {
  double lr, momentum, dampening, weight_decay;
  bool nesterov;
  int64_t step;
} am_sgd_desc;
typedef struct {
  double lr, beta1, beta2, eps, weight_decay;
  bool decoupled;
  int64_t step;
} am_adam_desc;
typedef struct { double a, b; } am_axpby_desc;

// running <- (1 - momentum) * running + momentum * of the batch (momentum 1: what runs is not read), whose variance is
// unbias * (1/inv_std^2 - eps) of what batch_norm gives.
typedef struct { double momentum, unbias, eps; } am_running_desc;

// ---- the list ----------------------------------------------------------------------------------
//   X(op, descriptor, inputs, outputs, in_place)
#define AM_OP_LIST(X)                                                                             \
  X(unary, am_unary_desc, 1, 1, 0)             /* x -> y */                                       \
  X(binary, am_binary_desc, 2, 1, 0)           /* p, q -> y */                                    \
  X(reduce, am_reduce_desc, 1, 1, 0)           /* x -> y */                                       \
  X(broadcast_to, am_shape_desc, 1, 1, 0)      /* x -> y */                                       \
  X(permute, am_permute_desc, 1, 1, 0)         /* x -> y */                                       \
  X(slice, am_slice_desc, 1, 1, 0)             /* x -> y */                                       \
  X(pad, am_pad_desc, 1, 1, 0)                 /* x -> y */                                       \
  X(concat, am_axis_desc, 2, 1, 0)             /* p, q -> y */                                    \
  X(gather_rows, am_no_desc, 2, 1, 0)          /* x (r, ...), i32 index (m) -> y (m, ...) */      \
  X(scatter_rows, am_rows_desc, 2, 1, 0)       /* y (m, ...), i32 index (m) -> x (rows, ...) */   \
  X(reorder, am_layout_desc, 1, 1, 0)          /* x -> y, other layout */                         \
  X(cast, am_dtype_desc, 1, 1, 0)              /* x -> y, other type */                           \
  X(fill, am_fill_desc, 0, 1, 0)               /* -> y */                                         \
  X(random, am_random_desc, 0, 1, 0)           /* -> y */                                         \
  X(dropout, am_dropout_desc, 1, 1, 0)         /* x -> y */                                       \
  X(log_softmax, am_no_desc, 1, 1, 0)          /* x (n, k) -> y, over the last axis */            \
  X(matmul, am_matmul_desc, 2, 1, 0)           /* a, b -> c */                                    \
  X(conv2d, am_conv2d_desc, 2, 1, 0)           /* x, w -> y */                                    \
  X(conv2d_grad_input, am_conv2d_desc, 2, 1, 0)  /* dy, w -> dx */                                \
  X(conv2d_grad_weight, am_conv2d_desc, 2, 1, 0) /* dy, x -> dw */                                \
  X(max_pool2d, am_pool2d_desc, 1, 2, 0)       /* x -> y, i32 index (iy*w + ix) of each maximum */ \
  X(max_pool2d_values, am_pool2d_desc, 1, 1, 0) /* x -> y; nobody asks where the maxima were */    \
  X(pool_scatter, am_pool2d_desc, 2, 1, 0)     /* dy, index -> dx (n, c, in_h, in_w), summed */   \
  X(pool_gather, am_pool2d_desc, 2, 1, 0)      /* x, index -> y (shape of index) */               \
  X(avg_pool2d, am_pool2d_desc, 1, 1, 0)       /* x -> y */                                       \
  X(avg_pool2d_grad, am_pool2d_desc, 1, 1, 0)  /* dy -> dx (n, c, in_h, in_w) */                  \
  X(upfirdn2d, am_upfirdn2d_desc, 2, 1, 0)     /* x, filter (kh, kw) -> y */                      \
  X(resample2d, am_resample2d_desc, 1, 1, 0)   /* x -> y (n, c, out_h, out_w) */                  \
  X(resample2d_grad, am_resample2d_desc, 1, 1, 0) /* dy -> dx (n, c, in_h, in_w) */               \
  X(conv2d_affine, am_conv2d_affine_desc, 4, 1, 0) /* x, w, scale (co), shift (co) -> y */        \
  X(conv2d_affine_add, am_conv2d_affine_desc, 5, 1, 0) /* x, w, scale, shift, residual -> y */    \
  X(batch_norm, am_norm_desc, 3, 3, 0)         /* x, gamma (c), beta (c) -> y, mean (c), inv_std (c) */ \
  X(batch_norm_grad, am_norm_desc, 6, 3, 0)    /* dy, x, gamma, beta, mean, inv_std               \
                                                  -> dx, dgamma, dbeta */                         \
  X(batch_norm_add, am_norm_desc, 4, 3, 0)     /* x, gamma, beta, residual -> y, mean, inv_std */ \
  X(batch_norm_add_grad, am_norm_desc, 6, 4, 0) /* dy, x, y, gamma, mean, inv_std                 \
                                                  -> dx, dresidual, dgamma, dbeta */              \
  X(scale_shift, am_no_desc, 3, 1, 0)          /* x, scale (c), shift (c) -> x*scale + shift */   \
  X(bias_act, am_activation, 2, 1, 0)          /* x, bias (c) -> act(x + bias) */                 \
  X(bias_act_grad, am_activation, 2, 2, 0)     /* dy, y -> dx, dbias */                           \
  X(axpby, am_axpby_desc, 1, 1, 1)             /* x; y <- a*x + b*y (b = 0: y is not read) */     \
  X(running_stats, am_running_desc, 2, 2, 1)   /* mean (c), inv_std (c); running mean, variance */ \
  X(sgd_step, am_sgd_desc, 1, 2, 1)            /* grad; param, momentum */                        \
  X(adam_step, am_adam_desc, 1, 3, 1)          /* grad; param, m, v */

typedef enum {
#define AM_OP_ENUM(op, desc, inputs, outputs, in_place) AM_OP_##op,
  AM_OP_LIST(AM_OP_ENUM)
#undef AM_OP_ENUM
      AM_OP_COUNT
} am_op;
enum { AM_OP_MAX_INPUTS = 6, AM_OP_MAX_OUTPUTS = 4 };

// ---- sums over the devices of several processes ----

// Calls poll(self, ..) again and again until *done, and meanwhile looks after what may happen to the other processes.
// Errors: poll's, and the caller's own reason to wait no longer.
typedef am_err (*am_device_poll)(void *self, bool *done);
typedef struct {
  am_err (*until)(void *user, am_device_poll poll, void *self);
  void *user;
} am_device_waiter;

// Optional, for devices that reach each other without the host (NCCL). Nothing here waits for another process but through
// the waiter: what takes time is begun and polled, so that the loss of a process is noticed. Local; main thread.
enum { AM_GROUP_ID_BYTES = 128, AM_CARD_TEXT = 32 };
typedef struct am_backend_collective {
  // Which card of the host this is: the same text in every process that computes on it.
  AM_MUST_USE am_err (*card)(void *ctx, char text[AM_CARD_TEXT]);
  // A new name for a group: one process makes it and tells the others.
  AM_MUST_USE am_err (*make_id)(void *ctx, unsigned char id[AM_GROUP_ID_BYTES]);
  // Begins to join the group as one of `size`, each on a card of its own. The device waits through `waiter` (copied) whenever
  // it waits for sums that were joined; when the waiter gives up the group is aborted.
  AM_MUST_USE am_err (*open)(void *ctx, const unsigned char id[AM_GROUP_ID_BYTES], int rank, int size,
                             const am_device_waiter *waiter, void **group);
  // *done: what was begun last is under way on the device, and the next thing may be begun. An am_device_poll.
  // Errors: AM_ERR_DEVICE the library lost its way, or another process.
  AM_MUST_USE am_err (*poll)(void *group, bool *done);
  // Begins data[0..count) = its sum over the group, after what is queued on the device now and beside what comes later. Same
  // calls in the same order in every process; the order of additions is the library's.
  AM_MUST_USE am_err (*all_reduce)(void *group, float *data, int64_t count);
  // What is queued on the device from now on comes after all sums begun so far. The host does not wait.
  AM_MUST_USE am_err (*join)(void *group);
  // Ends what is under way, whatever the others do. The group is good for nothing but close afterwards.
  void (*abort)(void *group);
  // Unless aborted: every process of the group closes, and is waited for.
  void (*close)(void *group);
} am_backend_collective;

// ---- steps that are recorded ----

// Optional, for devices to which a whole sequence of ops can be handed at once (CUDA graphs). Between begin and end ops are
// noted, not carried out; nothing is allocated or copied then. Memory that the ops name must stay where it is as long as
// the recording is launched.
typedef struct am_backend_recorder {
  AM_MUST_USE am_err (*begin)(void *ctx);
  AM_MUST_USE am_err (*end)(void *ctx, void **recording);
  // Queues what was noted, with the index of each random and dropout op moved on by `moved` (modulo 2^64).
  AM_MUST_USE am_err (*launch)(void *ctx, void *recording, uint64_t moved);
  void (*free)(void *ctx, void *recording);
} am_backend_recorder;

// One constant table per backend, filled with designated initialisers.
typedef struct am_backend {
  const char *name;  // "ref" | "cpu" | "guard" | "cuda"
  bool uncached;     // buffers go back at once and are never recycled: for the guard
  bool host_memory;  // the host may read and write its memory in place; else only to_host and from_host reach it
  bool measures;     // am_device_cfg.measured means something to it
  const am_backend_collective *collective;  // NULL: none
  const am_backend_recorder *recorder;      // NULL: none
  AM_MUST_USE am_err (*open)(const am_device_cfg *cfg, void **ctx);
  void (*close)(void *ctx);
  AM_MUST_USE am_err (*describe)(void *ctx, char *text, size_t bytes);
  // Device memory, 64-byte aligned. The pool in tensor/ caches; a backend only provides.
  AM_MUST_USE am_err (*alloc)(void *ctx, size_t bytes, void **out);
  void (*release)(void *ctx, void *memory, size_t bytes);
  AM_MUST_USE am_err (*to_host)(void *ctx, void *host, const void *device, size_t bytes);    // blocking
  // `host` may be used again at once; the bytes are there for whatever is queued from now on.
  AM_MUST_USE am_err (*from_host)(void *ctx, void *device, const void *host, size_t bytes);
  AM_MUST_USE am_err (*sync)(void *ctx);
  // Optional, both or none, for profiles: *sec = the device's own time from begin to what was queued last before end, which
  // waits for it.
  AM_MUST_USE am_err (*time_begin)(void *ctx);
  AM_MUST_USE am_err (*time_end)(void *ctx, double *sec);
  // Optional, all three or none: copies to the host behind what is queued, which nobody waits for. fetched: *host = the
  // bytes, until fetch_end; NULL as long as they are on their way, unless `wait`.
  AM_MUST_USE am_err (*fetch)(void *ctx, const void *device, size_t bytes, void **copy);
  AM_MUST_USE am_err (*fetched)(void *ctx, void *copy, bool wait, const void **host);
  void (*fetch_end)(void *ctx, void *copy);
  // Host memory that copies are fastest with (pinned); optional, both or none.
  AM_MUST_USE am_err (*alloc_host)(void *ctx, size_t bytes, void **out);
  void (*release_host)(void *ctx, void *memory);
  // NULL when the op computes in this floating-point type, else what stands against it, to follow
  // "device cpu does not compute conv2d in bf16: ". Without this function: f32 alone.
  const char *(*lacks)(void *ctx, am_op op, am_dtype dtype);
  // From now on products and convolutions of f32 may read their operands as TF32 (8 bits of exponent, 10 of mantissa; sums
  // stay f32), or not. NULL: they never do.
  void (*set_tf32)(void *ctx, bool on);
  // Optional, and asked for only where memory is not the host's (there the loader's workers do it all): `count` images u8
  // (h, w, c) with their parameters through a program, to f32 (c, h, w). All of it on the device; the bits of the host's
  // (tensor/augment.h). It trusts the program.
  AM_MUST_USE am_err (*augment)(void *ctx, const am_augment_program *p, const uint8_t *bytes, const float *params,
                                int64_t count, float *out);
  // Layouts of an op's outputs, and of the inputs it wants. On entry in[i].layout is what there is
  // and out[i].layout is plain; data pointers are NULL. The backend sets every in[i].layout to what
  // its op shall see (dispatch then reorders that input) and out[i].layout to what it will write;
  // am_layout_default is the rule for the ops it has no opinion on. Not asked for reorder and for
  // in-place ops, whose inputs take the layout of out[0]. NULL: everything plain.
  // A fixed rule of shape, type and machine; never a timing.
  void (*choose_layout)(void *ctx, am_op op, const void *desc, am_view *in, am_view *out);
#define AM_OP_SLOT(op, desc_type, inputs, outputs, in_place) \
  AM_MUST_USE am_err (*op)(void *ctx, const desc_type *desc, const am_view *in, am_view *out);
  AM_OP_LIST(AM_OP_SLOT)
#undef AM_OP_SLOT
} am_backend;

// The built backends, NULL-terminated, and the one of this name (NULL when unknown).
const am_backend *const *am_backend_all(void);
const am_backend *am_backend_find(const char *name);
// Whether a backend of this name comes as a shared object (backend/plugin.h), and that one. Errors: am_plugin_load's.
bool am_backend_is_plugin(const char *name);
AM_MUST_USE am_err am_backend_load(const char *name, const am_backend **out);

// What the backend of dev has to sum with, or NULL, and the context that its functions take.
const am_backend_collective *am_device_collective(const am_device *dev, void **ctx);

// Calls the slot of an op. Errors: the op's; AM_ERR_UNSUPPORTED when the backend has none.
AM_MUST_USE am_err am_backend_call(const am_backend *backend, void *ctx, am_op op, const void *desc,
                                   const am_view *in, am_view *out);

// ---- layouts -----------------------------------------------------------------------------------

// Elementwise ops keep a layout: unary, cast and dropout that of x; binary that of the first operand that
// has one of its own, when shapes are equal or q is per channel or a scalar. Everything else: plain.
void am_layout_default(am_op op, am_view *in, am_view *out);
// True when a tensor of this shape has the same bytes in both layouts: (n, c, 1, 1) in any of them.
bool am_layout_same_bytes(am_shape shape, am_layout a, am_layout b);
// q of a binary op against p: (1, c, 1, 1) or (n, c, 1, 1) beside a 4-D p of those c and n.
bool am_shape_is_per_channel(am_shape p, am_shape q);

// ---- dispatch ----------------------------------------------------------------------------------

// Whether the device computes this op in this floating-point type: AM_OK, or AM_ERR_UNSUPPORTED that says
// what it lacks.
AM_MUST_USE am_err am_device_check_type(const am_device *dev, am_op op, am_dtype dtype);
const char *am_op_name(am_op op);
int am_op_inputs(am_op op);
int am_op_outputs(am_op op);
bool am_op_in_place(am_op op);
size_t am_op_desc_size(am_op op);

// Runs one op: checks, infers, reorders inputs where needed, allocates out[] (one reference each
// to the caller; for in-place ops out[] is given), calls the backend of dev. `desc` points to the
// op's descriptor type (NULL: all zero). Local. Errors name the op and its operands: AM_ERR_ARG
// shapes or descriptor; AM_ERR_UNSUPPORTED type; AM_ERR_NOMEM; what the backend says.
AM_MUST_USE am_err am_dispatch(am_device *dev, am_op op, const void *desc, am_tensor *const *in,
                               am_tensor **out);
// The same, but output i is written straight to into[i] where that one has the type, shape and layout of
// the output and shares no memory with an input: out[i] is then into[i], with one more reference. into
// and its entries may be NULL. Not for in-place ops. After an error into[i] may be partly written.
AM_MUST_USE am_err am_dispatch_into(am_device *dev, am_op op, const void *desc, am_tensor *const *in,
                                    am_tensor *const *into, am_tensor **out);

#endif
