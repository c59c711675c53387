// Shared by the files of the cpu backend: its context, threads, scratch memory, image geometry.
#ifndef AM_BACKEND_CPU_INTERNAL_H
#define AM_BACKEND_CPU_INTERNAL_H

#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "backend/cpu/cpu.h"
#include "backend/cpu/dnnl_compat.h"
#include "base/num.h"

// One copy of a loop per instruction set, picked when the program is loaded. Contraction to fused
// multiply-add is off for the whole program, so the copies give the same bits. Sanitizers cannot
// instrument the resolvers, so there is one copy under them.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && !defined(AM_INVARIANTS)
#define AM_CPU_KERNEL __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define AM_CPU_KERNEL
#endif

enum { AM_CPU_LANES = 16 };  // channels of one AM_LAYOUT_C16 block, and lanes of our reductions

// Temporary memory of an op, kept from one op to the next and grown as needed. What is needed at the
// same time has names of its own.
typedef enum {
  AM_CPU_SCRATCH_TAPS, AM_CPU_SCRATCH_PLANES, AM_CPU_SCRATCH_COLUMNS, AM_CPU_SCRATCH_COLUMN_ROWS,  // im2col
  AM_CPU_SCRATCH_OUTPUT, AM_CPU_SCRATCH_OUTPUT_ROWS,
  AM_CPU_SCRATCH_WEIGHTS, AM_CPU_SCRATCH_SCALED, AM_CPU_SCRATCH_DNNL,                               // oneDNN
  AM_CPU_SCRATCH_PLAIN_X, AM_CPU_SCRATCH_PLAIN_Y,
  AM_CPU_SCRATCH_CHANNELS, AM_CPU_SCRATCH_SUMS, AM_CPU_SCRATCH_PARTS,        // normalisation of bf16
  AM_CPU_SCRATCH_STRIPS,                                                     // pooling of bf16
  AM_CPU_SCRATCH_PLACES, AM_CPU_SCRATCH_LINES,                               // resampling
  AM_CPU_SCRATCH_BITS,                                                       // dropout
  AM_CPU_SCRATCH_AMX_TILES, AM_CPU_SCRATCH_AMX_PLACES, AM_CPU_SCRATCH_AMX_ZERO,
  AM_CPU_SCRATCH_WIDE,  // one for each operand (cpu_wide.c)
  AM_CPU_SCRATCH_WIDE_END = AM_CPU_SCRATCH_WIDE + AM_OP_MAX_INPUTS + AM_OP_MAX_OUTPUTS - 1,
  AM_CPU_SCRATCH_SLOTS
} am_cpu_scratch_slot;
typedef struct {
  void *data;  // owned
  size_t bytes;
} am_cpu_block;

typedef struct am_cpu_conv_plan am_cpu_conv_plan;
typedef struct am_cpu_packed am_cpu_packed;

typedef struct {
  int threads;
  bool avx512;             // what oneDNN may use, AM_LAYOUT_C16 is only worth it there
  bool bf16;               // the processor has instructions for it, and oneDNN may use them
  bool amx;                // and multiplies tiles of it
  dnnl_engine_t engine;    // owned
  dnnl_stream_t stream;    // owned
  am_cpu_block scratch[AM_CPU_SCRATCH_SLOTS];
  am_cpu_conv_plan **plan; // owned: hash table of prepared convolutions (cpu_conv_dnnl.c)
  int64_t plan_count;
  am_cpu_packed *packed;   // owned: list of weights that were packed (cpu_amx_rows.c)
  size_t packed_bytes;
} am_cpu;

// ---- threads (cpu_parallel.c) ----
// Calls fn on disjoint ranges that cover 0..count, from up to cpu->threads threads; a range is at
// least `grain` long. fn must write results that do not depend on how the ranges are cut.
typedef void (*am_cpu_range_fn)(const void *arg, int64_t begin, int64_t end);
void am_cpu_for(const am_cpu *cpu, int64_t count, int64_t grain, am_cpu_range_fn fn, const void *arg);
// Makes libraries that are called from this thread use the context's number of threads, all in this
// thread's floating-point mode.
void am_cpu_use_threads(const am_cpu *cpu);

// The floating-point mode of the calling thread; with AM_CPU_FLUSH results and operands below 1e-38
// count as zero. am_cpu_for gives its threads the caller's mode.
#ifdef __SSE__
enum { AM_CPU_FLUSH = 0x8040 };
static inline unsigned am_cpu_float_mode(void) { return _mm_getcsr(); }
static inline void am_cpu_set_float_mode(unsigned mode) { _mm_setcsr(mode); }
#else
enum { AM_CPU_FLUSH = 0 };
static inline unsigned am_cpu_float_mode(void) { return 0; }
static inline void am_cpu_set_float_mode(unsigned mode) { (void)mode; }
#endif

// Elements below which cutting work between threads costs more than it gains.
enum { AM_CPU_GRAIN = 16384 };
// The grain for items of `each` elements.
static inline int64_t am_cpu_grain(int64_t each) { return am_max_i64(1, AM_CPU_GRAIN / am_max_i64(1, each)); }

// ---- scratch (cpu.c) ----
// *pp (any pointer variable) = uninitialised memory, 64-byte aligned, valid until this slot is
// asked for again.
AM_MUST_USE am_err am_cpu_scratch(am_cpu *cpu, am_cpu_scratch_slot slot, int64_t count, size_t size,
                                  void *pp);

// ---- geometry ----
// An activation as channel blocks: element (i, c, s) lies at
//   ((i*blocks + c/lanes)*spatial + s)*lanes + c%lanes.
// Plain memory has lanes = 1 and blocks = c; C16 has lanes = 16 and blocks = c/16.
typedef struct {
  int64_t n, c, h, w, spatial;
  int64_t blocks, lanes;
} am_cpu_image;
// Any shape (n, c, ...); h and w are those of a 4-D shape, else h = spatial and w = 1.
am_cpu_image am_cpu_image_of(const am_view *v);

static inline int64_t am_cpu_count(const am_view *v) { return am_shape_count(v->shape); }
static inline bool am_cpu_is_c16(const am_view *v) { return v->layout == AM_LAYOUT_C16; }

// ---- layouts (cpu_layout.c) ----
void am_cpu_choose_layout(void *ctx, am_op op, const void *desc, am_view *in, am_view *out);

// ---- convolution ----
// One convolution, with all zero-means-one defaults filled in, whichever of the three ops it is.
typedef struct {
  int64_t n, ci, h, w;       // x
  int64_t co, ho, wo;        // y
  int64_t kh, kw, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
  int64_t bf16;              // 1: images are rows of channels in bf16; kernels are plain f32 all the same
} am_cpu_conv;
am_cpu_conv am_cpu_conv_of(const am_conv2d_desc *desc, am_shape x, am_shape w, am_shape y, am_dtype image);
// Whether oneDNN carries it out in f32, on y in C16 and x in C16 or, with a few channels, plain.
bool am_cpu_conv_is_blocked(const am_cpu *cpu, am_op op, const am_cpu_conv *conv);
// Whether activations of this shape are kept in C16 where an op is free to choose.
bool am_cpu_prefers_c16(const am_cpu *cpu, am_shape s);

// im2col + sgemm (cpu_conv_gemm.c): any shape, everything plain f32.
AM_MUST_USE am_err am_cpu_conv_gemm(am_cpu *cpu, am_op op, const am_cpu_conv *c, float *x, float *w, float *y);
AM_MUST_USE am_err am_cpu_gemm_forward(am_cpu *cpu, const am_cpu_conv *c, const float *x, const float *w,
                                       float *y);
AM_MUST_USE am_err am_cpu_gemm_grad_input(am_cpu *cpu, const am_cpu_conv *c, const float *dy, const float *w,
                                          float *dx);
AM_MUST_USE am_err am_cpu_gemm_grad_weight(am_cpu *cpu, const am_cpu_conv *c, const float *dy, const float *x,
                                           float *dw);

// oneDNN on blocked activations, or on rows of bf16 (cpu_conv_dnnl.c), for one of the three ops or for
// conv2d_affine and conv2d_affine_add, which have an activation. x, w, y are the forward names of the
// arrays; the one that `op` computes is written. *plan is NULL when the rule gives the convolution to
// im2col + sgemm, and when oneDNN has nothing but its reference loops.
AM_MUST_USE am_err am_cpu_conv_plan_get(am_cpu *cpu, am_op op, const am_cpu_conv *c, am_activation act,
                                        am_cpu_conv_plan **plan);
const char *am_cpu_conv_plan_name(const am_cpu_conv_plan *plan);
bool am_cpu_conv_plan_is_amx(const am_cpu_conv_plan *plan);  // our own kernel
AM_MUST_USE am_err am_cpu_conv_plan_run(am_cpu *cpu, am_cpu_conv_plan *plan, void *x, void *w, void *y);
// The same for a plan of conv2d_affine(_add), whose weights have been scaled.
AM_MUST_USE am_err am_cpu_conv_plan_run_affine(am_cpu *cpu, am_cpu_conv_plan *plan, void *x, void *w,
                                               void *shift, void *residual, void *y);
// Whether Winograd's algorithm pays; its implementation adds no residual.
bool am_cpu_conv_suits_winograd(const am_cpu_conv *c);
void am_cpu_conv_plans_free(am_cpu *cpu);

// ---- layouts' bytes (cpu_reorder.c) ----
// dst[c*dst_stride + r] = src[r*src_stride + c] for a matrix of elements of 4 bytes.
void am_cpu_transpose(int64_t rows, int64_t cols, const void *src, int64_t src_stride, void *dst,
                      int64_t dst_stride);
// The same by all threads.
void am_cpu_transpose_all(const am_cpu *cpu, int64_t rows, int64_t cols, const void *src, int64_t src_stride, void *dst,
                          int64_t dst_stride);
// Plain (n, c, spatial) to C16 and back, elements of 4 bytes; c a multiple of 16.
void am_cpu_block_c16(const am_cpu *cpu, am_cpu_image im, const void *plain, void *blocked);
void am_cpu_unblock_c16(const am_cpu *cpu, am_cpu_image im, const void *blocked, void *plain);

// ---- bf16 (cpu_wide.c) ----
// Runs the f32 op on widened operands; what has no kernel for bf16 of its own.
AM_MUST_USE am_err am_cpu_run_wide(am_cpu *cpu, am_op op, const void *desc, const am_view *in, am_view *out);

// ---- the ops, one function each ----
#define AM_CPU_DECLARE(op, desc_type, inputs, outputs, in_place) \
  am_err am_cpu_##op(void *ctx, const desc_type *desc, const am_view *in, am_view *out);
AM_OP_LIST(AM_CPU_DECLARE)
#undef AM_CPU_DECLARE

#endif
